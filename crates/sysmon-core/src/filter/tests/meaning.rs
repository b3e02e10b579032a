//! What filters mean.

use super::*;

#[test]
fn the_example_of_the_manual_holds() {
    assert!(matches(
        "cpu > 50 and (host ~ web or label.role = db) and alert != none"
    ));
}

#[test]
fn plain_words_occur_in_id_hostname_or_labels_in_any_case() {
    for (filter, expected) in [
        ("", true),
        ("   ", true),
        ("m-17", true),
        ("db-01", true),
        ("EXAMPLE m-1", true),
        ("köln", true),
        ("role db", true),
        ("\"role=d\"", true),
        ("web", false),
        ("web db", false),
        ("debian", false),
        ("cpu", false),
    ] {
        assert_eq!(matches(filter), expected, "{filter}");
    }
}

#[test]
fn every_kind_of_field_is_compared() {
    for (filter, expected) in [
        ("host = db-01.EXAMPLE", true),
        ("host = db-01", false),
        ("host ~ db", true),
        ("host !~ web", true),
        ("id != m-18", true),
        ("os ~ debian", true),
        ("kernel ~ 6.1", true),
        ("arch = x86_64", false),
        ("arch != x86_64", false),
        ("role = DB", true),
        ("label.role != web", true),
        ("site ~ KÖL", true),
        ("nothing = x", false),
        ("nothing != x", false),
        ("not nothing = x", true),
        ("role ~ \"\"", true),
        ("state = live", true),
        ("state >= stale", false),
        ("health >= warning", true),
        ("health = ok", false),
        ("health = WARNING", true),
        ("cores >= 8", true),
        ("interval = 5s", true),
        ("age < 2", true),
        ("age > 5m", false),
    ] {
        assert_eq!(matches(filter), expected, "{filter}");
    }
}

#[test]
fn metrics_go_by_short_and_long_names_and_any_entity_will_do() {
    for (filter, expected) in [
        ("cpu > 50", true),
        ("CPU>72.5", false),
        ("cpu >= 72.5%", true),
        ("cpu.busy_percent < 50", false),
        ("mem.used > 5G", true),
        ("mem.used > 7G", false),
        ("net.rx > 10MB/s", true),
        ("net.rx > 100Mbit", false),
        ("disk > 90", true),
        ("disk{/home} > 90", true),
        ("disk{/} > 90", false),
        ("mount.used_percent > 90", true),
        ("mount.used_percent < 50", true),
        ("mount.used_percent{/home} < 50", false),
        ("mount.used_percent{\"/home\"} > 50", true),
        ("swap > 0", false),
        ("swap <= 0", false),
        ("swap != 1", false),
        ("not swap > 0", true),
    ] {
        assert_eq!(matches(filter), expected, "{filter}");
    }
}

#[test]
fn alerts_are_asked_for_by_kind_and_rule() {
    for (filter, expected) in [
        ("alert = any", true),
        ("alert = none", false),
        ("alert != none", true),
        ("alert = warning", true),
        ("alert = critical", false),
        ("alert != critical", true),
        ("alert = acknowledged", true),
        ("alert = unacknowledged", false),
        ("alert = silenced", false),
        ("alert = pending", false),
        ("alert = disk-full", true),
        ("alert = disk", false),
        ("alert ~ disk", true),
        ("alert !~ cpu", true),
    ] {
        assert_eq!(matches(filter), expected, "{filter}");
    }
}

#[test]
fn and_binds_tighter_than_or_and_not_tightest() {
    for (filter, expected) in [
        ("web and db or db", true),
        ("db or db and web", true),
        ("(db or db) and web", false),
        ("not web and db", true),
        ("not (web or db)", false),
        ("!web && db", true),
        ("web || db", true),
        ("not not db", true),
        ("db not web", true),
        ("NOT web AND db OR web", true),
    ] {
        assert_eq!(matches(filter), expected, "{filter}");
    }
}

#[test]
fn the_normal_form_is_written_in_one_way() {
    for (written, normal) in [
        ("", ""),
        ("web   DB", "web db"),
        ("a & b && (c and d)", "a b c d"),
        ("((a or (b or c)))", "a or b or c"),
        ("a or (b and c) or not not a", "a or b c"),
        ("(a or b) cpu>50", "(a or b) and cpu > 50%"),
        ("!(a b) cpu.busy_percent>=50%", "not (a b) and cpu >= 50%"),
        ("label.role==WEB", "role = web"),
        ("label.host = x", "label.host = x"),
        ("\"host\" = x", "label.host = x"),
        ("\"my label\" ~ 'a b'", "\"my label\" ~ \"a b\""),
        ("mount.used_percent{/home}>90", "disk{/home} > 90%"),
        ("mount.used_percent>90", "mount.used_percent > 90%"),
        ("memory.used_bytes > 5368709120", "mem.used > 5G"),
        ("net.rx > 10000kB/s", "net.rx > 10MB/s"),
        ("age > 3600", "age > 1h"),
        ("health = healthy", "health = ok"),
        ("\"and\" \"or\"", "\"and\" \"or\""),
        ("'it\\'s' \"\\\"\"", "\"it's\" \"\\\"\""),
    ] {
        let filter = Filter::parse(written).unwrap();
        assert_eq!(filter.to_string(), normal, "{written}");
        assert_eq!(Filter::parse(normal).unwrap(), filter, "{written}");
    }
}

#[test]
fn a_filter_tells_what_it_looks_at() {
    let filter =
        Filter::parse("web state = live or role = db and cpu > 5 and disk{/} > 5 and cpu < 9").unwrap();
    let needs = filter.needs();
    assert!(needs.metrics && needs.status && !needs.alerts && !needs.age);
    assert_eq!(filter.metrics(), [MetricId::CpuBusy, MetricId::MountUsedPercent]);
    assert_eq!(filter.labels(), ["role"]);
    assert!(Filter::parse("alert = any age > 5").unwrap().needs().age);
    assert_eq!(Filter::closest_field("hots").as_deref(), Some("host"));
}
