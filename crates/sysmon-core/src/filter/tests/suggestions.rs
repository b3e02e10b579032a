//! What is offered while a filter is typed.

use super::super::complete::{CandidateKind, Vocabulary, complete};
use super::*;

fn vocabulary() -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    vocabulary.add_machine("m-17", &machine().host);
    let web = HostInfo {
        hostname: "web-01".into(),
        labels: vec![
            ("role".into(), "web front".into()),
            ("host".into(), "rack".into()),
        ],
        ..HostInfo::default()
    };
    vocabulary.add_machine("m-18", &web);
    vocabulary.add_rule("disk-full");
    let entities = vocabulary.entities.entry(MetricId::MountUsedPercent).or_default();
    entities.extend(["/".into(), "/home".into()]);
    vocabulary
}

/// The text with the cursor at `|` after the first candidate went in, and all candidates.
fn completed(marked: &str) -> (String, Vec<String>) {
    let cursor = marked.find('|').unwrap();
    let text = marked.replacen('|', "", 1);
    let completion = complete(&text, cursor, &vocabulary());
    let candidates: Vec<String> = completion
        .candidates
        .iter()
        .map(|candidate| candidate.text.clone())
        .collect();
    let mut first = text.clone();
    if let Some(candidate) = candidates.first() {
        first.replace_range(completion.span, candidate);
    }
    (first, candidates)
}

#[test]
fn a_word_at_the_cursor_is_completed_in_place() {
    for (marked, first) in [
        ("ho|", "host"),
        ("cpu > 5 and ker|", "cpu > 5 and kernel"),
        ("me|m > 5", "mem > 5"),
        ("cpu|x > 5", "cpu > 5"),
        ("memo|", "mem"),
        ("label.r|", "label.role"),
        ("rol|", "role"),
        ("state = l|", "state = live"),
        ("role = w|", "role = \"web front\""),
        ("role = \"web f|", "role = \"web front\""),
        ("host ~ d|", "host ~ DB-01.example"),
        ("alert = disk|", "alert = disk-full"),
        ("disk{/h|", "disk{/home}"),
        ("disk{/h|}", "disk{/home}"),
        ("mount.used_percent{/h|} > 5", "disk{/home} > 5"),
        ("cpu |", "cpu >"),
        ("host |", "host ="),
        ("cpu.busy_|", "cpu.busy_percent"),
    ] {
        assert_eq!(completed(marked).0, first, "{marked}");
    }
}

#[test]
fn what_is_offered_belongs_there() {
    let offered = |marked: &str| completed(marked).1;
    assert!(offered("|").contains(&"cpu".to_string()) && offered("|").contains(&"not".to_string()));
    assert!(!offered("|").contains(&"and".to_string()));
    assert!(offered("cpu > 5 |").starts_with(&["and".into(), "or".into()]));
    assert_eq!(offered("state = |"), ["live", "stale", "lost"]);
    assert_eq!(offered("swap > |"), ["50%", "90%"]);
    assert!(offered("(web |").contains(&"or".to_string()));
    assert!(
        offered("label.host|").contains(&"label.host".to_string()),
        "a label that is called as a field is"
    );
    assert_eq!(offered("disk{/}|"), [""; 0]);
    assert_eq!(offered("zzz|"), [""; 0]);
}

#[test]
fn a_large_fleet_gives_no_more_than_can_be_looked_at() {
    let mut vocabulary = Vocabulary::default();
    for number in 0..30_000 {
        vocabulary.add_machine(&format!("m-{number}"), &HostInfo::default());
    }
    assert_eq!(vocabulary.ids.len(), Vocabulary::WORDS_MAX);
    let completion = complete("id = m", 6, &vocabulary);
    assert_eq!(completion.candidates.len(), 100);
    assert!(
        completion
            .candidates
            .iter()
            .all(|candidate| candidate.kind == CandidateKind::Value)
    );
}
