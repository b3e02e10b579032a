//! Alerts and rules: what is on the bar, in their views and lists, and what the keys send.

use sysmon_api::{Code, wire};
use sysmon_tui::{Effect, Event, KeyCode, LinkEvent};

use crate::alerts_world::{alert, board, put, rules, silence, watching, watching_with};
use crate::world::{FLEET, NOW, SIZES, World, fleet_snapshot};

fn at_every_size(name: &str, scene: impl Fn((u16, u16)) -> World) {
    for (width, height) in SIZES {
        insta::assert_snapshot!(
            format!("{name}_{width}x{height}"),
            scene((width, height)).screen()
        );
    }
}

fn alerts_view(size: (u16, u16)) -> World {
    let mut world = watching(size);
    world.keys("2");
    world
}

fn rules_view(size: (u16, u16)) -> World {
    let mut world = watching(size);
    world.keys("3");
    world
}

fn answer(world: &mut World, event: impl FnOnce(u64) -> LinkEvent) {
    let (request_id, _) = world.last_asked();
    world.event(Event::Link(event(request_id)));
}

fn accept(world: &mut World) {
    answer(world, |request_id| LinkEvent::Accepted { request_id });
}

fn refuse(world: &mut World, code: Code, reason: &str) {
    let reason = reason.to_owned();
    answer(world, |request_id| LinkEvent::Refused {
        request_id,
        code: code as u32,
        reason,
    });
}

fn changed(world: &mut World, conflict: bool, stored: Option<wire::StoredRule>) {
    let reply = Box::new(wire::ChangeReply { conflict, stored });
    answer(world, |request_id| LinkEvent::Change { request_id, reply });
}

#[test]
fn what_has_to_be_acted_on_is_on_top() {
    at_every_size("alerts", alerts_view);
    insta::assert_snapshot!("alerts_200x50", alerts_view((200, 50)).screen());
}

#[test]
fn every_place_counts_the_same_alerts_by_the_same_words() {
    let screen = alerts_view((80, 24)).screen();
    for said in [
        "FIRING 3",
        "silenced 1",
        "inhibited 1",
        "not delivered 2",
        "flapping",
        "silenced 40m",
    ] {
        assert!(screen.contains(said), "{said}: {screen}");
    }
    let rules = rules_view((80, 24)).screen();
    let firing = rules.lines().filter_map(|line| {
        let last = line.split_whitespace().last()?;
        line.starts_with([' '])
            .then(|| last.parse::<u32>().ok())
            .flatten()
    });
    assert_eq!(
        firing.sum::<u32>(),
        3,
        "as many as in the view of alerts: {rules}"
    );
    let wide = alerts_view((200, 50)).screen();
    assert!(wide.contains("inhibited: machine down"), "{wide}");
    assert!(wide.contains("silenced, 40 min left"), "{wide}");
}

#[test]
fn a_count_at_the_edge_is_left_out_and_never_cut() {
    for width in 24..120 {
        let screen = alerts_view((width, 24)).screen();
        let line = screen.lines().nth(1).unwrap();
        assert!(
            line.ends_with(|last: char| last.is_ascii_digit()),
            "{width}: {line}"
        );
    }
}

#[test]
fn groups_stand_by_their_worst_alert_and_say_how_theirs_stand() {
    let mut world = alerts_view((80, 24));
    let headings = |world: &World| -> Vec<String> {
        let screen = world.screen();
        let headings = screen.lines().filter(|line| line.contains(" alert"));
        headings
            .skip(1)
            .filter(|line| !line.contains("Enter"))
            .map(|line| line.trim().to_owned())
            .collect()
    };
    world.keys("b");
    assert_eq!(headings(&world)[0], "web-017  2 alerts  ■1 ◌1");
    assert_eq!(headings(&world)[1], "edge-31  2 alerts  ■1 ~1");
    world.keys("b");
    assert_eq!(headings(&world)[0], "CPU busy  3 alerts  ■1 ▲1 ~1");
    // By name where the names are what is sorted by.
    world.keys("bb").keys("sm");
    assert!(
        headings(&world)[0].starts_with("db-002"),
        "{:?}",
        headings(&world)
    );
}

#[test]
fn the_whole_of_a_notification_is_read_when_it_is_selected() {
    let mut world = alerts_view((80, 24));
    world.keys("N").keys("jjj");
    let screen = world.screen();
    insta::assert_snapshot!("alerts_delivery_selected", screen);
    assert!(screen.contains("webhook is gone"), "{screen}");
    assert!(screen.contains("Machine down on edge-31"), "{screen}");
    assert!(screen.contains("given up after 6 tries"), "{screen}");
}

#[test]
fn alerts_in_ascii_tell_as_much() {
    at_every_size("alerts_ascii", |size| alerts_view(size).ascii());
    assert!(alerts_view((200, 60)).ascii().screen().lines().all(|line| {
        // What comes from afar is shown as it is.
        line.contains('\u{fffd}') || line.is_ascii()
    }));
}

#[test]
fn the_fleet_shows_what_fires_where() {
    at_every_size("alerts_fleet", watching);
    insta::assert_snapshot!("alerts_fleet_ascii", watching((80, 24)).ascii().screen());
}

#[test]
fn rules_say_in_words_what_they_watch() {
    at_every_size("rules", rules_view);
    insta::assert_snapshot!("rules_ascii", rules_view((80, 24)).ascii().screen());
}

#[test]
fn when_nothing_is_wrong_it_says_how_much_is_watched() {
    let quiet = wire::AlertBoard {
        alerts: Vec::new(),
        deliveries: Vec::new(),
        ..board()
    };
    at_every_size("alerts_quiet", |size| {
        let mut world = watching_with(size, quiet.clone());
        world.keys("2");
        world
    });
    let mut world = watching_with((80, 24), quiet);
    world.at(NOW + 40_000).keys("2");
    let screen = world.screen();
    assert!(
        screen.contains("silent") && !screen.contains("Nothing is wrong"),
        "nobody judges the rules, so nobody may say that all is well:\n{screen}"
    );
}

#[test]
fn without_a_connection_nobody_says_that_nothing_is_wrong() {
    let quiet = wire::AlertBoard {
        alerts: Vec::new(),
        ..board()
    };
    let mut world = watching_with((80, 24), quiet);
    world.keys("2").failed("gone", false).at(NOW + 60_000);
    let screen = world.screen();
    assert!(
        screen.contains("Nothing was wrong when the connection broke"),
        "{screen}"
    );
    assert!(!screen.contains("silent"), "{screen}");
}

#[test]
fn before_the_board_has_come_it_says_that_it_is_loading() {
    at_every_size("alerts_loading", |size| {
        let mut world = World::new(size);
        world
            .connected_with(&["history", "alerts"])
            .update(fleet_snapshot(&FLEET))
            .keys("2");
        world
    });
}

#[test]
fn an_aggregator_without_rules_says_what_to_do() {
    at_every_size("alerts_not_kept", |size| {
        let mut world = World::new(size);
        world.connected().update(fleet_snapshot(&FLEET)).keys("2");
        assert!(
            world.asked.is_empty(),
            "who knows no alerts is not asked for them"
        );
        world
    });
}

#[test]
fn a_board_that_is_refused_says_why() {
    at_every_size("alerts_refused", |size| {
        let mut world = World::new(size);
        world
            .connected_with(&["alerts"])
            .update(fleet_snapshot(&FLEET))
            .keys("2");
        refuse(
            &mut world,
            Code::Unavailable,
            "the rules cannot be read: the database is down",
        );
        world
    });
}

#[test]
fn the_board_is_asked_for_on_every_connection() {
    let mut world = World::new((80, 24));
    for _ in 0..2 {
        world.connected_with(&["alerts"]);
        assert!(matches!(
            world.last_asked().1,
            wire::command::Body::WatchAlerts(_)
        ));
        world.failed("gone", false);
    }
    assert_eq!(world.asked.len(), 2);
}

#[test]
fn groups_sorts_and_filters_find_an_alert() {
    let mut world = alerts_view((80, 24));
    world.keys("b");
    insta::assert_snapshot!("alerts_by_machine", world.screen());
    world.keys("b");
    insta::assert_snapshot!("alerts_by_rule", world.screen());
    world.keys("b").keys("/edge").key(KeyCode::Enter);
    insta::assert_snapshot!("alerts_filter", world.screen());
    world.keys("/nothing").key(KeyCode::Enter);
    assert!(world.screen().contains("no alert matches the filter"));
}

#[test]
fn enter_goes_to_the_machine_with_a_chart_of_the_metric_and_esc_comes_back() {
    let mut world = alerts_view((80, 24));
    world.keys("/web-017 file").key(KeyCode::Enter);
    let before = world.screen();
    world.key(KeyCode::Enter);
    let subscribed = |effect: &Effect| matches!(effect, Effect::Send(wire::command::Body::Subscribe(subscribe)) if subscribe.machine_ids == ["web-017"]);
    assert!(world.effects.iter().any(subscribed), "{:?}", world.effects);
    crate::machine_scenes::with_machine(&mut world);
    insta::assert_snapshot!("alerts_to_machine", world.screen());
    let asked_for = |effect: &Effect| match effect {
        Effect::Ask {
            body: wire::command::Body::QueryHistory(query),
            ..
        } => query.metrics.iter().any(|metric| metric == "mount.used_percent"),
        _ => false,
    };
    assert!(
        world.asked.iter().any(asked_for),
        "the past of the metric is asked for"
    );
    world.key(KeyCode::Escape);
    assert_eq!(world.screen(), before);
}

#[test]
fn views_are_left_one_by_one_to_where_one_came_from() {
    let mut world = watching((80, 24));
    world.keys("jj");
    let fleet = world.screen();
    world.keys("2").keys("3");
    assert!(world.screen().contains("WATCHES"));
    world.key(KeyCode::Escape);
    assert!(world.screen().contains("FIRING"));
    world.key(KeyCode::Escape);
    assert_eq!(world.screen(), fleet);
}

#[test]
fn an_acknowledgement_carries_a_comment_and_the_same_key_takes_it_back() {
    let mut world = alerts_view((80, 24));
    world.keys("/cpu web-017").key(KeyCode::Enter);
    world.keys("a").keys("restart q");
    insta::assert_snapshot!("alerts_acknowledge", world.screen());
    world.key(KeyCode::Enter);
    let wire::command::Body::Acknowledge(acknowledge) = world.last_asked().1 else {
        panic!()
    };
    assert_eq!(
        (acknowledge.comment.as_str(), acknowledge.clear),
        ("restart q", false)
    );
    assert_eq!(acknowledge.key.unwrap().machine_id, "web-017");
    accept(&mut world);
    assert!(world.screen().contains("CPU busy on web-017 acknowledged"));
    world.key(KeyCode::Escape);
    world.keys("/memory").key(KeyCode::Enter).keys("a");
    let wire::command::Body::Acknowledge(acknowledge) = world.last_asked().1 else {
        panic!()
    };
    assert!(acknowledge.clear && acknowledge.key.unwrap().rule_id == "memory");
}

#[test]
fn a_refusal_is_said_and_nothing_pretends_to_be_done() {
    let mut world = alerts_view((80, 24));
    world.keys("a").key(KeyCode::Enter);
    refuse(
        &mut world,
        Code::PermissionDenied,
        "your role is viewer; this asks for operator",
    );
    let screen = world.screen();
    assert!(screen.contains("not allowed: your role is viewer"), "{screen}");
    assert!(!screen.contains("acknowledged\n"));
    world.keys("a").key(KeyCode::Enter).failed("gone", false);
    assert!(world.screen().contains("unknown whether this was done"));
    let sent = world.asked.len();
    world.keys("a").key(KeyCode::Enter);
    assert_eq!(world.asked.len(), sent);
    assert!(world.screen().contains("not connected: nothing was changed"));
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for() {
    let mut world = alerts_view((80, 24));
    world.keys("a").key(KeyCode::Enter).at(NOW + 21_000);
    assert!(world.screen().contains("does not answer in time"));
}

#[test]
fn a_silence_has_a_length_a_scope_and_a_reason() {
    at_every_size("alerts_silence", |size| {
        let mut world = alerts_view(size);
        world.keys("S").key(KeyCode::Up).key(KeyCode::Tab);
        world.key(KeyCode::Down).key(KeyCode::Tab).keys("a deploy");
        world
    });
    let mut world = alerts_view((80, 24));
    world.keys("/cpu web-017").key(KeyCode::Enter);
    world.keys("S").keys("90m").key(KeyCode::Tab).key(KeyCode::Down);
    world.key(KeyCode::Enter);
    let wire::command::Body::AddSilence(sent) = world.last_asked().1 else {
        panic!()
    };
    assert_eq!(sent.until_unix_ms - sent.from_unix_ms, 5_400_000);
    assert_eq!(
        (sent.rule_ids, sent.machine_ids),
        (vec!["cpu-busy".to_owned()], vec![])
    );
    let silence = Box::new(silence(9, "web-017"));
    answer(&mut world, |request_id| LinkEvent::Silence {
        request_id,
        silence,
    });
    assert!(world.screen().contains("silenced for 1h30m: CPU busy everywhere"));
}

#[test]
fn a_length_that_is_none_is_said_and_nothing_is_silenced() {
    let mut world = alerts_view((80, 24));
    let sent = world.asked.len();
    world.keys("S").keys("soon").key(KeyCode::Enter);
    assert_eq!(world.asked.len(), sent);
    assert!(world.screen().contains("is no duration"));
    world.key(KeyCode::Escape).key(KeyCode::Escape);
    assert!(!world.screen().contains("Silence"));
}

#[test]
fn silences_are_listed_and_ended() {
    at_every_size("alerts_silences", |size| {
        let mut world = alerts_view(size);
        world.keys("L");
        world
    });
    let mut world = alerts_view((80, 24));
    world.keys("L").keys("d");
    assert_eq!(
        world.last_asked().1,
        wire::command::Body::EndSilence(wire::EndSilence { silence_id: 7 })
    );
    world.board(wire::AlertBoard {
        has_silences: true,
        ..Default::default()
    });
    assert!(world.screen().contains("nothing is silenced"));
}

#[test]
fn what_was_not_delivered_is_listed_sent_again_and_tested() {
    at_every_size("alerts_deliveries", |size| {
        let mut world = alerts_view(size);
        world.keys("N");
        world
    });
    let mut world = alerts_view((80, 24));
    world.keys("N").keys("T");
    let test = wire::TestReceiver {
        receiver: "ops-slack".into(),
    };
    assert_eq!(world.last_asked().1, wire::command::Body::TestReceiver(test));
    world.keys("jjj").keys("R");
    let resend = wire::ResendDelivery {
        delivery_id: "d1".into(),
    };
    assert_eq!(world.last_asked().1, wire::command::Body::ResendDelivery(resend));
}

fn step(id: i64, to: wire::AlertPhase, minutes: i64) -> wire::AlertTransition {
    wire::AlertTransition {
        transition_id: id,
        key: alert("cpu-busy", "web-017", "", to, wire::Severity::Critical, 0).key,
        at_unix_ms: NOW - minutes * 60_000,
        from: wire::AlertPhase::Pending.into(),
        to: to.into(),
        severity_before: wire::Severity::Warning.into(),
        severity: wire::Severity::Critical.into(),
        cause: "held".into(),
        value: Some(97.5),
        threshold: Some(95.0),
        ..Default::default()
    }
}

#[test]
fn what_has_happened_is_asked_for_page_by_page() {
    let mut world = alerts_view((80, 24));
    world.keys("H");
    let wire::command::Body::AlertLog(request) = world.last_asked().1 else {
        panic!()
    };
    assert_eq!((request.before, request.limit), (0, 200));
    let mut page: Vec<wire::AlertTransition> = (0..200)
        .map(|index| step(1_000 - index, wire::AlertPhase::Firing, index + 60))
        .collect();
    page[1] = step(999, wire::AlertPhase::Resolved, 61);
    let log = |transitions: Vec<wire::AlertTransition>| Box::new(wire::AlertLog { transitions });
    let first = log(page);
    answer(&mut world, |request_id| LinkEvent::AlertLog {
        request_id,
        log: first,
    });
    insta::assert_snapshot!("alerts_history", world.screen());
    world.keys("H");
    let wire::command::Body::AlertLog(request) = world.last_asked().1 else {
        panic!()
    };
    assert_eq!(request.before, 801, "older than the oldest that is known");
    let last = log(vec![step(5, wire::AlertPhase::Firing, 999)]);
    answer(&mut world, |request_id| LinkEvent::AlertLog {
        request_id,
        log: last,
    });
    let sent = world.asked.len();
    world.keys("H");
    assert_eq!(world.asked.len(), sent, "there is nothing older");
    world.keys("G").keys("a");
    assert_eq!(world.asked.len(), sent);
    world.key(KeyCode::Escape);
    assert!(!world.screen().contains("history"));
}

#[test]
fn a_rule_is_switched_off_removed_and_put_back() {
    let mut world = rules_view((80, 24));
    world.keys(" ");
    let (rule, version) = put(world.last_asked().1);
    assert_eq!((rule.id.as_str(), rule.enabled, version), ("cpu-busy", false, 1));
    changed(&mut world, false, Some(rules().remove(0)));
    assert!(world.screen().contains("CPU busy is off"));
    world.keys("d");
    let wire::command::Body::DeleteRule(delete) = world.last_asked().1 else {
        panic!()
    };
    assert_eq!(
        (delete.rule_id.as_str(), delete.expected_version),
        ("cpu-busy", 1)
    );
    changed(&mut world, false, None);
    world.board(wire::AlertBoard {
        removed_rule_ids: vec!["cpu-busy".into()],
        ..Default::default()
    });
    let screen = world.screen();
    assert!(screen.contains("cpu-busy removed; u puts it back"), "{screen}");
    world.keys("u");
    let (rule, version) = put(world.last_asked().1);
    assert_eq!((rule.id.as_str(), rule.enabled, version), ("cpu-busy", true, 0));
    changed(&mut world, false, None);
    world.keys("u");
    assert!(world.screen().contains("nothing was removed"));
}

#[test]
fn a_switch_that_came_too_late_changes_nothing_and_says_who_was_faster() {
    let mut world = rules_view((80, 24));
    world.keys(" ");
    let mut theirs = rules().remove(0);
    theirs.changed_by = "bo".into();
    changed(&mut world, true, Some(theirs));
    let screen = world.screen();
    assert!(
        screen.contains("nothing was done: bo changed it just now"),
        "{screen}"
    );
}

#[test]
fn what_becomes_critical_is_announced_once_and_nothing_else_is() {
    use wire::AlertPhase::{Firing, Pending};
    use wire::Severity::{Critical, Warning};
    let said = |world: &World| -> Vec<String> {
        let announced = |effect: &Effect| match effect {
            Effect::Announce(text) => Some(text.clone()),
            _ => None,
        };
        world.effects.iter().filter_map(announced).collect()
    };
    let change = |alerts: Vec<wire::Alert>| wire::AlertBoard {
        alerts,
        ..Default::default()
    };
    let mut world = watching((80, 24));
    assert!(said(&world).is_empty(), "what was so before is no news");
    world.board(change(vec![alert("memory", "web-9", "", Pending, Critical, 0)]));
    assert!(said(&world).is_empty());
    world.board(change(vec![alert("memory", "web-9", "", Firing, Warning, 0)]));
    assert!(said(&world).is_empty());
    let critical = alert("memory", "web-9", "a\u{7}b", Firing, Critical, 0);
    world.board(change(vec![critical.clone()]));
    assert_eq!(said(&world), ["Memory critical on web-9 a\u{fffd}b"]);
    world.board(change(vec![critical.clone()]));
    assert!(said(&world).is_empty(), "it was said already");
    let mut muted = alert("cpu-busy", "web-9", "", Firing, Critical, 0);
    muted.silence_id = 7;
    world.board(change(vec![muted]));
    assert!(said(&world).is_empty());
    let both = ["web-10", "web-004"].map(|machine| alert("machine-down", machine, "", Firing, Critical, 0));
    world.failed("gone", false).connected_with(&["alerts"]);
    let mut after = board();
    after.alerts.push(critical);
    after.alerts.extend(both);
    world.board(after);
    assert_eq!(
        said(&world),
        ["Machine down critical on web-10 and 1 more"],
        "what began while the connection was away"
    );
}

#[test]
fn marks_stand_where_an_alert_began() {
    let mut world = watching((120, 40));
    world.board(wire::AlertBoard {
        transitions: vec![step(1, wire::AlertPhase::Firing, 1)],
        ..Default::default()
    });
    let fleet = world.screen();
    let row = fleet.lines().find(|line| line.contains("web-017")).unwrap();
    assert!(
        row[row.find("97%").unwrap()..row.find("88%").unwrap()].contains('■'),
        "{row}"
    );
    world.keys("gg").key(KeyCode::Down).key(KeyCode::Enter);
    crate::machine_scenes::with_machine(&mut world);
    world.keys("-");
    insta::assert_snapshot!("alerts_marks", world.screen());
}
