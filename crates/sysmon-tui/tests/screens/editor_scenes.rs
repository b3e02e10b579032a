//! The editor of a rule: over the chart, with a dry run, and when two people edit at once.

use std::sync::Arc;

use sysmon_api::{Code, history_to_wire, rule_from_wire, wire};
use sysmon_core::alert::{Check, Rule};
use sysmon_core::{
    CATALOGUE, MachineHistory, MachineId, MetricId, Point, SeriesKey, SeriesPoints, Tier, UnixMillis,
};
use sysmon_tui::{Effect, Event, Key, KeyCode, LinkEvent};

use crate::alerts_world::{put, rules, stored, watching};
use crate::world::{NOW, SIZES, World};

fn at_every_size(name: &str, scene: impl Fn((u16, u16)) -> World) {
    for (width, height) in SIZES {
        insta::assert_snapshot!(
            format!("{name}_{width}x{height}"),
            scene((width, height)).screen()
        );
    }
}

/// The newest command of a kind.
fn asked<T>(world: &World, pick: impl Fn(&wire::command::Body) -> Option<T>) -> Option<(u64, T)> {
    world.asked.iter().rev().find_map(|effect| match effect {
        Effect::Ask { request_id, body } => Some((*request_id, pick(body)?)),
        _ => None,
    })
}

fn dry_run(world: &World) -> Option<(u64, Rule)> {
    asked(world, |body| match body {
        wire::command::Body::DryRun(request) => Some(rule_from_wire(request.rule.as_ref()?).ok()?),
        _ => None,
    })
}

fn dry_runs(world: &World) -> usize {
    let is_run = |effect: &&Effect| {
        matches!(
            effect,
            Effect::Ask {
                body: wire::command::Body::DryRun(_),
                ..
            }
        )
    };
    world.asked.iter().filter(is_run).count()
}

/// Two busy hours of a quiet day.
fn answer_history(world: &mut World) {
    let question = asked(world, |body| match body {
        wire::command::Body::QueryHistory(request) => Some(request.clone()),
        _ => None,
    });
    // Where there is no room for a chart nothing is asked for it.
    let Some((request_id, request)) = question else {
        return;
    };
    let (from, to) = (request.from_unix_ms, request.to_unix_ms);
    let step = (to - from) / i64::from(request.points);
    let times: Vec<i64> = (0..i64::from(request.points))
        .map(|index| from + index * step)
        .collect();
    let metric = MetricId::from_name(&request.metrics[0]).unwrap();
    let keys: Vec<SeriesKey> = if metric.definition().label.is_some() {
        vec![SeriesKey::of(metric, "/srv"), SeriesKey::of(metric, "/")]
    } else {
        vec![SeriesKey::plain(metric)]
    };
    let series = keys.into_iter().map(|key| {
        let scale = if key.entity() == Some("/srv") { 0.4 } else { 1.0 };
        let points = times.iter().map(|at| {
            let share = (at - from) as f64 / (to - from) as f64;
            let is_busy = (0.55..0.6).contains(&share) || share > 0.95;
            let mean = (if is_busy {
                93.0
            } else {
                40.0 + 25.0 * (share * 20.0).sin()
            }) * scale;
            Some(Point {
                minimum: mean - 4.0,
                maximum: mean + 4.0,
                mean,
                count: 60,
            })
        });
        SeriesPoints {
            key: Arc::new(key),
            decimals: 1,
            points: points.collect(),
        }
    });
    let history = MachineHistory {
        machine: MachineId::parse(&request.machine_ids[0]).unwrap(),
        tier: Tier::Minute,
        step_ms: u64::try_from(step).unwrap(),
        series: series.collect(),
        times: times.into_iter().map(UnixMillis).collect(),
        gaps: Vec::new(),
    };
    let parts = history_to_wire(&history, 100_000);
    let last = parts.len() - 1;
    for (index, part) in parts.into_iter().enumerate() {
        let chunk = wire::HistoryChunk {
            machines: vec![part],
            more: index < last,
        };
        world.event(Event::Link(LinkEvent::History {
            request_id,
            chunk: Box::new(chunk),
        }));
    }
}

fn answer_dry_run(world: &mut World) {
    let (request_id, _) = dry_run(world).unwrap();
    let episode = |machine: &str, hours: i64, minutes: i64| wire::Episode {
        machine_id: machine.into(),
        entity: String::new(),
        severity: wire::Severity::Warning.into(),
        from_unix_ms: NOW - hours * 3_600_000,
        to_unix_ms: (minutes > 0).then(|| NOW - hours * 3_600_000 + minutes * 60_000),
        peak: Some(99.0),
    };
    let reply = wire::DryRunReply {
        episodes: vec![
            episode("web-017", 10, 72),
            episode("db-002", 7, 12),
            episode("web-017", 6, 5),
            episode("web-017", 1, 0),
        ],
        count: 4,
        longest_ms: 72 * 60_000,
        total_ms: 149 * 60_000,
        step_ms: 60_000,
        machine_count: 7,
    };
    world.event(Event::Link(LinkEvent::DryRun {
        request_id,
        reply: Box::new(reply),
    }));
}

/// The editor of the processor rule over the chart of a machine, with everything answered.
pub(crate) fn editing(size: (u16, u16)) -> World {
    let mut world = opened(size);
    world.at(NOW + 200);
    answer_history(&mut world);
    answer_dry_run(&mut world);
    world
}

fn opened(size: (u16, u16)) -> World {
    let mut world = watching(size);
    world.keys("2/cpu web-017").key(KeyCode::Enter).keys("e");
    world
}

fn reply(world: &mut World, conflict: bool, stored: Option<wire::StoredRule>) {
    let (request_id, _) = asked(world, |body| {
        matches!(body, wire::command::Body::PutRule(_)).then_some(())
    })
    .unwrap();
    let reply = Box::new(wire::ChangeReply { conflict, stored });
    world.event(Event::Link(LinkEvent::Change { request_id, reply }));
}

fn levels(rule: &Rule) -> (Option<f64>, Option<f64>) {
    let Check::Metric(check) = &rule.check else {
        panic!("{rule:?}")
    };
    let trigger = |level: &Option<sysmon_core::alert::Level>| level.as_ref().map(|level| level.trigger);
    (trigger(&check.warning), trigger(&check.critical))
}

#[test]
fn levels_lie_over_a_day_of_the_metric_with_what_they_would_have_done() {
    at_every_size("editor", editing);
    insta::assert_snapshot!("editor_200x50", editing((200, 50)).screen());
}

#[test]
fn the_editor_in_ascii_tells_as_much() {
    at_every_size("editor_ascii", |size| editing(size).ascii());
    assert!(editing((80, 24)).ascii().screen().is_ascii());
}

#[test]
fn while_it_is_played_the_numbers_before_stay_and_are_marked() {
    at_every_size("editor_running", |size| {
        let mut world = editing(size);
        world.key(KeyCode::Up).at(NOW + 500);
        world
    });
    insta::assert_snapshot!("editor_first_run", opened((80, 24)).screen());
}

#[test]
fn a_run_is_asked_when_the_keys_rest_and_the_one_before_is_taken_back() {
    let mut world = opened((80, 24));
    assert_eq!(dry_runs(&world), 0);
    assert_eq!(world.state.wakes_at(), Some(UnixMillis(NOW + 150)));
    world.at(NOW + 150);
    let (first, rule) = dry_run(&world).unwrap();
    assert_eq!(levels(&rule), (Some(85.0), Some(95.0)));
    world
        .key(KeyCode::Up)
        .at(NOW + 200)
        .key(KeyCode::Up)
        .at(NOW + 300);
    assert_eq!(dry_runs(&world), 1, "the keys have not rested yet");
    world.at(NOW + 350);
    let cancelled = Effect::Send(wire::command::Body::Cancel(wire::Cancel { request_id: first }));
    assert!(world.effects.contains(&cancelled), "{:?}", world.effects);
    let (second, rule) = dry_run(&world).unwrap();
    assert_eq!(levels(&rule), (Some(87.0), Some(95.0)));
    let late = wire::DryRunReply {
        count: 99,
        machine_count: 7,
        ..Default::default()
    };
    world.event(Event::Link(LinkEvent::DryRun {
        request_id: first,
        reply: Box::new(late),
    }));
    assert!(!world.screen().contains("99 times"), "an answer to another rule");
    assert_ne!(first, second);
}

#[test]
fn keys_step_leap_type_and_switch() {
    let mut world = editing((80, 24));
    world.key(KeyCode::Up).key(KeyCode::PageDown);
    world.key(KeyCode::Tab).key(KeyCode::Up);
    world
        .key(KeyCode::BackTab)
        .key(KeyCode::BackTab)
        .key(KeyCode::BackTab);
    world.keys("97 %").key(KeyCode::Tab).key(KeyCode::Tab);
    world.at(NOW + 1_000);
    let (_, rule) = dry_run(&world).unwrap();
    assert_eq!(levels(&rule), (Some(80.0), Some(97.0)));
    let Check::Metric(check) = &rule.check else {
        panic!()
    };
    assert_eq!(
        check.critical.as_ref().unwrap().clear,
        Some(87.0),
        "it goes with its level"
    );
    assert_eq!(check.warning.as_ref().unwrap().clear, Some(71.0));
    // The warning is off, then on again as it was.
    world.keys(" ").at(NOW + 2_000);
    assert_eq!(levels(&dry_run(&world).unwrap().1), (None, Some(97.0)));
    world.keys(" ").at(NOW + 3_000);
    assert_eq!(levels(&dry_run(&world).unwrap().1), (Some(80.0), Some(97.0)));
}

#[test]
fn every_field_can_be_reached_and_changed() {
    let mut world = editing((80, 24));
    let hold = |world: &mut World| {
        for _ in 0..20 {
            if world.screen().contains("▸1m◂") {
                return;
            }
            world.key(KeyCode::Tab);
        }
        panic!("{}", world.screen());
    };
    hold(&mut world);
    world.keys("10m").key(KeyCode::Tab).key(KeyCode::Up);
    // This machine only, then those of its role.
    world.key(KeyCode::Tab).key(KeyCode::Down);
    world.key(KeyCode::Tab).keys(" ").key(KeyCode::Tab).keys(" now");
    world.key(KeyCode::Tab).keys(" q").key(KeyCode::Enter);
    let (rule, version) = put(world.last_asked().1);
    assert_eq!((rule.hold_ms, rule.clear_hold_ms, version), (600_000, 10_000, 1));
    assert_eq!(rule.scope.machines, [MachineId::parse("web-017").unwrap()]);
    assert_eq!((rule.enabled, rule.title.as_str()), (false, "CPU busy now"));
    assert!(rule.note.ends_with("one of them. q"));
}

#[test]
fn what_cannot_be_a_value_is_said_at_once_and_nothing_is_saved() {
    let mut world = editing((80, 24));
    let sent = world.asked.len();
    world.keys("9x").key(KeyCode::Enter);
    insta::assert_snapshot!("editor_problem", world.screen());
    assert_eq!(world.asked.len(), sent);
    world
        .key(KeyCode::Backspace)
        .key(KeyCode::Char('1'))
        .key(KeyCode::Enter);
    assert_eq!(levels(&put(world.last_asked().1).0), (Some(91.0), Some(95.0)));
}

#[test]
fn saving_closes_the_editor_and_leaving_asks_first() {
    let mut world = editing((80, 24));
    world.key(KeyCode::Up).key(KeyCode::Escape);
    insta::assert_snapshot!("editor_leaving", world.screen());
    world.key(KeyCode::Escape).key(KeyCode::Enter);
    assert_eq!(put(world.last_asked().1).1, 1);
    let mut saved = rules().remove(0);
    saved.version = 2;
    reply(&mut world, false, Some(saved));
    let screen = world.screen();
    assert!(screen.contains("cpu-busy saved, version 2"), "{screen}");
    assert!(!screen.contains("clears at"));
    let mut world = editing((80, 24));
    let sent = world.asked.len();
    world.key(KeyCode::Up).key(KeyCode::Escape).keys("y");
    assert!(!world.screen().contains("clears at") && world.asked.len() == sent);
    let mut world = editing((80, 24));
    world.key(KeyCode::Escape);
    assert!(
        !world.screen().contains("clears at"),
        "nothing was changed, nothing is asked"
    );
}

#[test]
fn what_the_server_has_against_a_rule_is_shown_below_it() {
    let mut world = editing((80, 24));
    world.keys("99").key(KeyCode::Enter);
    let (request_id, _) = world.last_asked();
    let refuse = |world: &mut World, request_id, code: Code, reason: &str| {
        world.event(Event::Link(LinkEvent::Refused {
            request_id,
            code: code as u32,
            reason: reason.into(),
        }));
    };
    refuse(
        &mut world,
        request_id,
        Code::InvalidArgument,
        "critical is at 95, which is not as far as the warning at 99",
    );
    world.at(NOW + 1_000);
    let (request_id, _) = dry_run(&world).unwrap();
    refuse(
        &mut world,
        request_id,
        Code::InvalidArgument,
        "critical is below the warning",
    );
    insta::assert_snapshot!("editor_refused", world.screen());
    world.key(KeyCode::Down).key(KeyCode::Enter);
    let (request_id, _) = world.last_asked();
    refuse(
        &mut world,
        request_id,
        Code::PermissionDenied,
        "your role is viewer",
    );
    assert!(world.screen().contains("not allowed: your role is viewer"));
}

pub(crate) fn conflicting(size: (u16, u16)) -> World {
    let mut world = editing(size);
    world.key(KeyCode::Up).key(KeyCode::Enter);
    let mut theirs = rule_from_wire(rules()[0].rule.as_ref().unwrap()).unwrap();
    theirs.hold_ms = 300_000;
    theirs.title = "Processor busy".into();
    if let Check::Metric(check) = &mut theirs.check {
        check.warning.as_mut().unwrap().trigger = 80.0;
    }
    reply(&mut world, true, Some(stored(&theirs, 2)));
    world
}

#[test]
fn two_edits_are_shown_field_by_field() {
    at_every_size("editor_conflict", conflicting);
    insta::assert_snapshot!("editor_conflict_ascii", conflicting((80, 24)).ascii().screen());
}

#[test]
fn a_conflict_is_solved_by_theirs_mine_or_both() {
    let mut world = conflicting((80, 24));
    world.keys("m").key(KeyCode::Enter);
    let (rule, version) = put(world.last_asked().1);
    assert_eq!(
        (rule.hold_ms, rule.title.as_str(), version),
        (300_000, "Processor busy", 2)
    );
    assert_eq!(
        levels(&rule),
        (Some(86.0), Some(95.0)),
        "this one was changed here"
    );
    let mut world = conflicting((80, 24));
    world.keys("k");
    let (rule, version) = put(world.last_asked().1);
    assert_eq!((rule.hold_ms, version, levels(&rule).0), (60_000, 2, Some(86.0)));
    let mut world = conflicting((80, 24));
    let sent = world.asked.len();
    world.keys("t").key(KeyCode::Enter);
    assert_eq!(
        world.asked.len(),
        sent,
        "theirs is saved already: the editor is left"
    );
    assert!(!world.screen().contains("clears at"));
}

#[test]
fn a_rule_that_was_removed_meanwhile_can_be_saved_again() {
    let mut world = editing((80, 24));
    world.key(KeyCode::Up).key(KeyCode::Enter);
    reply(&mut world, true, None);
    assert!(world.screen().contains("removed this rule meanwhile"));
    world.keys("k");
    assert_eq!(put(world.last_asked().1).1, 0);
    reply(&mut world, true, None);
    world.keys("t");
    assert!(world.screen().contains("was removed by somebody else"));
}

#[test]
fn another_edit_is_seen_before_saving() {
    let mut world = editing((80, 24));
    let mut theirs = rules().remove(0);
    theirs.version = 2;
    theirs.changed_by = "bo".into();
    world.board(wire::AlertBoard {
        rules: vec![theirs],
        ..Default::default()
    });
    assert!(world.screen().contains("bo has saved version 2 meanwhile"));
}

#[test]
fn a_metric_of_the_fleet_is_edited_by_its_column_and_proposed_where_no_rule_watches_it() {
    let mut world = watching((80, 24));
    world.keys("gg").keys("e");
    insta::assert_snapshot!("editor_choose", world.screen());
    world.keys("c").at(NOW + 200);
    assert_eq!(dry_run(&world).unwrap().1.id.as_str(), "cpu-busy");
    let mut world = watching((80, 24));
    world.keys("/web-017").key(KeyCode::Enter);
    world.keys("er").at(NOW + 200);
    answer_history(&mut world);
    insta::assert_snapshot!("editor_new", world.screen());
    world.key(KeyCode::Enter);
    let (rule, version) = put(world.last_asked().1);
    assert_eq!(
        (rule.id.as_str(), version),
        ("network-total-receive-bytes-per-second", 0)
    );
}

#[test]
fn a_file_system_is_edited_on_the_chart_of_the_fullest_one() {
    at_every_size("editor_mount", |size| {
        let mut world = watching(size);
        world
            .keys("/web-017")
            .key(KeyCode::Enter)
            .keys("ed")
            .at(NOW + 200);
        answer_history(&mut world);
        world
    });
}

#[test]
fn a_new_rule_begins_with_its_metric_and_a_copy_with_everything() {
    let mut world = watching((80, 24));
    world.keys("3n").at(NOW + 200);
    insta::assert_snapshot!("editor_metric", world.screen());
    world.keys("memory.used_percent").key(KeyCode::Tab).at(NOW + 400);
    let (_, rule) = dry_run(&world).unwrap();
    assert_eq!(
        (rule.id.as_str(), levels(&rule)),
        ("memory-used-percent", (Some(90.0), Some(98.0)))
    );
    let mut world = watching((80, 24));
    world.keys("3c").key(KeyCode::Enter);
    let (rule, version) = put(world.last_asked().1);
    assert_eq!(
        (rule.id.as_str(), rule.title.as_str(), version),
        ("cpu-busy-copy", "CPU busy (copy)", 0)
    );
}

#[test]
fn leaving_takes_back_what_is_not_answered_yet() {
    let mut world = opened((80, 24));
    world.at(NOW + 200);
    world.key(KeyCode::Escape);
    let cancelled = world
        .effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Send(wire::command::Body::Cancel(_))));
    assert_eq!(cancelled.count(), 2, "the dry run and the chart");
}

#[test]
fn a_rule_for_machines_that_are_down_has_no_levels() {
    let mut world = watching((80, 24));
    world
        .keys("3/machine-down")
        .key(KeyCode::Enter)
        .key(KeyCode::Enter);
    world.at(NOW + 200);
    insta::assert_snapshot!("editor_machine_down", world.screen());
}

#[test]
fn without_rules_there_is_nothing_to_edit_and_it_says_so() {
    let mut world = World::new((80, 24));
    world
        .connected()
        .update(crate::world::fleet_snapshot(&crate::world::FLEET));
    world.keys("ec");
    assert!(world.screen().contains("keeps no rules"));
}

#[test]
fn numbers_of_another_draft_say_which_and_those_of_this_one_stay_true_offline() {
    let mut world = editing((80, 24));
    assert!(world.screen().contains("would have fired"), "{}", world.screen());
    world.failed("gone", false);
    let unchanged = world.screen();
    assert!(unchanged.contains("would have fired"), "{unchanged}");
    assert!(!unchanged.contains("before the change"), "{unchanged}");
    world.key(KeyCode::Up);
    let changed = world.screen();
    assert!(changed.contains("(before the change)"), "{changed}");
}

#[test]
fn every_field_of_a_new_rule_is_on_screen_at_80_columns() {
    let mut world = watching((80, 24));
    world.keys("3n");
    let screen = world.screen();
    for label in ["watches", "the ", "compared", "clears at", "clear for", "title"] {
        assert!(screen.contains(label), "{label}: {screen}");
    }
}

#[test]
fn a_broken_connection_does_not_lose_the_edit() {
    let mut world = editing((80, 24));
    world.key(KeyCode::Up).key(KeyCode::Enter).failed("gone", false);
    let screen = world.screen();
    assert!(
        screen.contains("86%") && screen.contains("the connection broke while the rule was saved"),
        "{screen}"
    );
    world.connected_with(&["history", "alerts"]).at(NOW + 9_000);
    assert_eq!(levels(&dry_run(&world).unwrap().1).0, Some(86.0));
    world.event(Event::Key(Key::control('c')));
    assert_eq!(world.effects, [Effect::Quit]);
}

#[test]
fn the_levels_of_any_metric_are_edited_by_its_name() {
    let on_machine = |line: &str| {
        let mut world = watching((100, 30));
        crate::machine_scenes::opened_on(&mut world);
        world.keys(line).key(KeyCode::Enter);
        world.screen()
    };
    // Of none of these there is a key.
    for definition in CATALOGUE {
        let screen = on_machine(&format!(":threshold {}", definition.name));
        assert!(screen.contains("applies to"), "{}: {screen}", definition.name);
    }
    let of_one = on_machine(":threshold network.receive_errors_per_second lo");
    assert!(of_one.contains("of web-017 lo"), "{of_one}");
    for (line, told) in [
        (":threshold cpu.stolen", "no metric \"cpu.stolen\""),
        (":threshold cpu.steal_percent 3", "measured once"),
    ] {
        let screen = on_machine(line);
        assert!(screen.contains(told), "{screen}");
    }
}

#[test]
fn a_name_changes_no_levels_where_the_key_would_not() {
    let mut readonly = watching((100, 30)).readonly();
    crate::machine_scenes::opened_on(&mut readonly);
    readonly.keys(":threshold cpu.steal_percent").key(KeyCode::Enter);
    let screen = readonly.screen();
    assert!(
        screen.contains("read-only") && !screen.contains("applies to"),
        "{screen}"
    );
}
