//! The past on screen: the whole console shows a moment, plays on from it, and comes back to exactly where it was.

use sysmon_api::{Code, alert_key_to_wire, history_to_wire, wire};
use sysmon_core::alert::{AlertKey, RuleId};
use sysmon_core::{
    Gap, GapReason, Health, Liveness, MachineHistory, MachineId, MetricId, Point, SeriesKey, SeriesPoints,
    Tier, UnixMillis,
};
use sysmon_tui::{Effect, Event, Key, KeyCode, LinkEvent, Mouse, MouseAction};

use crate::alerts_world::board;
use crate::machine_scenes::{processes, series_of, with_machine};
use crate::world::{FLEET, Made, NOW, SIZES, World, fleet_snapshot};

const MINUTE: i64 = 60_000;
const CAPABILITIES: [&str; 3] = ["history", "alerts", "past"];

/// A connected client with the fleet, at an aggregator that keeps everything.
fn fleet(size: (u16, u16)) -> World {
    let mut world = World::new(size);
    world
        .connected_with(&CAPABILITIES)
        .update(fleet_snapshot(&FLEET))
        .board(board());
    world
}

/// The same with the worst machine open.
fn machine(size: (u16, u16)) -> World {
    let mut world = fleet(size);
    world.keys("sw").keys("gg").key(KeyCode::Down).key(KeyCode::Enter);
    with_machine(&mut world);
    answer_charts(&mut world, Vec::new());
    world
}

/// Subscriptions to the past among what was just sent, with the numbers of their commands.
fn subscribed(effects: &[Effect]) -> Vec<(u64, wire::Subscribe)> {
    let subscribe = |effect: &Effect| match effect {
        Effect::Ask {
            request_id,
            body: wire::command::Body::Subscribe(subscribe),
        } => Some((*request_id, subscribe.clone())),
        _ => None,
    };
    effects.iter().filter_map(subscribe).collect()
}

/// The newest subscription to the past.
fn newest(world: &World) -> (u64, wire::Subscribe) {
    subscribed(&world.asked).pop().unwrap()
}

fn count(world: &World) -> usize {
    subscribed(&world.asked).len()
}

fn asked_at(world: &World) -> i64 {
    newest(world).1.at_unix_ms.unwrap()
}

fn unsubscribed(world: &World) -> Vec<u32> {
    let end = |effect: &Effect| match effect {
        Effect::Ask {
            body: wire::command::Body::Unsubscribe(end),
            ..
        } => Some(end.subscription),
        _ => None,
    };
    world.effects.iter().filter_map(end).collect()
}

/// A machine as it was at `at`, in the words of now.
fn at_moment(mut machine: wire::MachineUpdate, at: i64) -> wire::MachineUpdate {
    let by = NOW - at;
    machine.last_seen_unix_ms -= by;
    if let Some(history) = &mut machine.history
        && let Some(first) = history.at_unix_ms_steps.first_mut()
    {
        *first -= by;
    }
    for tick in &mut machine.ticks {
        tick.at_unix_ms -= by;
    }
    machine
}

fn picture(subscribe: &wire::Subscribe, at: i64, machines: Vec<wire::MachineUpdate>) -> wire::Update {
    wire::Update {
        subscription: subscribe.subscription,
        number: 1,
        snapshot: true,
        now_unix_ms: at,
        at_unix_ms: at,
        machines: machines
            .into_iter()
            .map(|machine| at_moment(machine, at))
            .collect(),
        totals: Some(wire::FleetTotals {
            live: 3,
            healthy: 2,
            critical: 1,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Then another machine was busy, and one was not there yet.
const FLEET_THEN: [Made; 3] = [
    Made::new(1, "web-017", [12.0, 14.0], 41.0, 90.0),
    Made::new(2, "db-002", [60.0, 99.0], 71.4, 63.0).health(Health::Critical),
    Made::new(3, "edge-31", [35.0, 38.0], 20.0, 69.0),
];

/// Answers the newest subscription to the past.
pub(crate) fn answer(world: &mut World) {
    let (_, subscribe) = newest(world);
    let at = subscribe.at_unix_ms.unwrap();
    let machines = if subscribe.machine_ids.is_empty() {
        FLEET_THEN.iter().map(|made| made.enter(Vec::new())).collect()
    } else {
        let mut machine = FLEET_THEN[0].enter(series_of(&FLEET_THEN[0]));
        let mut processes = processes();
        processes.complete = false;
        machine.processes = Some(processes);
        vec![machine]
    };
    world.update(picture(&subscribe, at, machines));
}

/// What the charts have asked for last.
fn charts_question(world: &World) -> Option<(u64, wire::HistoryRequest)> {
    let question = |effect: &Effect| match effect {
        Effect::Ask {
            request_id,
            body: wire::command::Body::QueryHistory(request),
        } => Some((*request_id, request.clone())),
        _ => None,
    };
    world.asked.iter().rev().find_map(question)
}

/// A calm processor with one peak of ten minutes, half an hour before now; on other days a slow rise.
fn history(request: &wire::HistoryRequest, gaps: Vec<Gap>) -> MachineHistory {
    let (from, to) = (request.from_unix_ms, request.to_unix_ms);
    let step = ((to - from) / i64::from(request.points)).max(1_000);
    let is_lost = |at: i64| gaps.iter().any(|gap| at + step > gap.from.0 && at < gap.to.0);
    let times: Vec<i64> = (0..i64::from(request.points))
        .map(|index| from + index * step)
        .filter(|at| !is_lost(*at))
        .collect();
    let series = |metric: MetricId, base: f64| SeriesPoints {
        key: SeriesKey::plain(metric).into(),
        decimals: 1,
        points: times
            .iter()
            .map(|at| {
                let is_peak = (25 * MINUTE..35 * MINUTE).contains(&(NOW - at));
                let is_other_day = NOW - at > 12 * 60 * MINUTE;
                let mean = match (is_peak, is_other_day) {
                    (_, true) => base * 0.4 + (at - from) as f64 / (to - from) as f64 * 60.0,
                    (true, false) => base + 50.0,
                    (false, false) => base,
                };
                Some(Point {
                    minimum: mean - 5.0,
                    maximum: mean + 9.0,
                    mean,
                    count: 60,
                })
            })
            .collect(),
    };
    MachineHistory {
        machine: MachineId::parse(&request.machine_ids[0]).unwrap(),
        tier: Tier::Raw,
        step_ms: u64::try_from(step).unwrap(),
        series: vec![
            series(MetricId::CpuBusy, 30.0),
            series(MetricId::MemoryUsedPercent, 40.0),
        ],
        times: times.into_iter().map(UnixMillis).collect(),
        gaps,
    }
}

fn answer_charts(world: &mut World, gaps: Vec<Gap>) {
    let Some((request_id, request)) = charts_question(world) else {
        return;
    };
    for part in history_to_wire(&history(&request, gaps), usize::MAX) {
        world.event(Event::Link(LinkEvent::History {
            request_id,
            chunk: Box::new(wire::HistoryChunk {
                machines: vec![part],
                more: false,
            }),
        }));
    }
}

fn log_question(world: &World) -> (u64, wire::AlertLogRequest) {
    let question = |effect: &Effect| match effect {
        Effect::Ask {
            request_id,
            body: wire::command::Body::AlertLog(request),
        } => Some((*request_id, request.clone())),
        _ => None,
    };
    world.asked.iter().rev().find_map(question).unwrap()
}

fn step(machine: &str, at: i64, from: wire::AlertPhase, to: wire::AlertPhase) -> wire::AlertTransition {
    let key = AlertKey {
        rule: RuleId::parse("cpu-busy").unwrap(),
        machine: MachineId::parse(machine).unwrap(),
        entity: "".into(),
    };
    wire::AlertTransition {
        transition_id: at / 1_000,
        key: Some(alert_key_to_wire(&key)),
        at_unix_ms: at,
        from: from.into(),
        to: to.into(),
        severity_before: wire::Severity::Critical.into(),
        severity: wire::Severity::Critical.into(),
        cause: "held".into(),
        value: Some(99.0),
        threshold: Some(95.0),
        ..Default::default()
    }
}

/// Tells the log, newest first unless asked otherwise.
pub(crate) fn answer_log(world: &mut World, mut transitions: Vec<wire::AlertTransition>) {
    let (request_id, request) = log_question(world);
    transitions.retain(|step| {
        step.at_unix_ms >= request.from_unix_ms
            && (request.to_unix_ms == 0 || step.at_unix_ms < request.to_unix_ms)
    });
    transitions.sort_by_key(|step| {
        if request.oldest_first {
            step.at_unix_ms
        } else {
            -step.at_unix_ms
        }
    });
    let log = wire::AlertLog { transitions };
    world.event(Event::Link(LinkEvent::AlertLog {
        request_id,
        log: Box::new(log),
    }));
}

/// The alert of db-002 that fired from half an hour ago until twenty minutes ago.
fn steps() -> Vec<wire::AlertTransition> {
    use wire::AlertPhase::{Firing, Inactive, Pending, Resolved};
    vec![
        step("db-002", NOW - 31 * MINUTE, Inactive, Pending),
        step("db-002", NOW - 30 * MINUTE, Pending, Firing),
        step("db-002", NOW - 20 * MINUTE, Firing, Resolved),
    ]
}

fn go_to(world: &mut World, text: &str) {
    world.keys("gt").keys(text).key(KeyCode::Enter);
}

fn past_fleet(size: (u16, u16)) -> World {
    let mut world = fleet(size);
    go_to(&mut world, "24m ago");
    answer(&mut world);
    answer_log(&mut world, steps());
    world
}

fn past_machine(size: (u16, u16)) -> World {
    let mut world = machine(size);
    go_to(&mut world, "28m ago");
    answer(&mut world);
    answer_log(&mut world, steps());
    answer_charts(&mut world, vec![silence(48, 44)]);
    world
}

fn silence(from: i64, to: i64) -> Gap {
    Gap {
        from: UnixMillis(NOW - from * MINUTE),
        to: UnixMillis(NOW - to * MINUTE),
        samples: 0,
        reason: GapReason::Silent,
    }
}

fn at_every_size(name: &str, scene: impl Fn((u16, u16)) -> World) {
    for (width, height) in SIZES {
        insta::assert_snapshot!(
            format!("{name}_{width}x{height}"),
            scene((width, height)).screen()
        );
    }
}

#[test]
fn the_fleet_is_as_it_was_then() {
    at_every_size("travel_fleet", past_fleet);
    at_every_size("travel_fleet_ascii", |size| past_fleet(size).ascii());
}

#[test]
fn a_machine_is_as_it_was_then_with_the_hours_around() {
    at_every_size("travel_machine", past_machine);
    at_every_size("travel_machine_ascii", |size| past_machine(size).ascii());
    let screen = past_machine((200, 60)).ascii().screen();
    let ours: String = screen
        .lines()
        .filter(|line| !line.contains("データ") && !line.contains('\u{fffd}'))
        .collect();
    assert!(ours.is_ascii(), "{ours}");
}

#[test]
fn until_the_first_picture_comes_the_last_one_stays_and_it_is_said_what_loads() {
    at_every_size("travel_loading", |size| {
        let mut world = machine(size);
        go_to(&mut world, "13:41:10");
        world
    });
}

#[test]
fn alerts_are_those_of_the_moment() {
    at_every_size("travel_alerts", |size| {
        let mut world = past_fleet(size);
        world.keys("2");
        world
    });
    let mut world = past_fleet((80, 24));
    world.keys("2");
    assert!(world.screen().contains("db-002"), "{}", world.screen());
    go_to(&mut world, "10m ago");
    world.at(NOW + 1_000);
    answer(&mut world);
    let screen = world.screen();
    let is_there = |line: &str| line.contains("CPU busy") && line.contains("db-002");
    assert!(!screen.lines().any(is_there), "by then it was over: {screen}");
    let knew = |line: &str| line.contains("Memory") && line.contains("ack ana");
    assert!(screen.lines().any(knew), "and another one had begun: {screen}");
}

#[test]
fn what_was_not_recorded_is_said() {
    let scene = |size| {
        let mut world = machine(size);
        go_to(&mut world, "46m ago");
        let (_, subscribe) = newest(&world);
        let lost = Made::new(1, "web-017", [12.0, 14.0], 41.0, 90.0).silent(Liveness::Lost, 2 * MINUTE);
        let picture = picture(&subscribe, NOW - 46 * MINUTE, vec![lost.enter(Vec::new())]);
        world.update(picture);
        answer_charts(&mut world, vec![silence(48, 44)]);
        world
    };
    at_every_size("travel_gap", scene);
    assert!(
        scene((80, 24))
            .screen()
            .contains("no data: silent from 13:17 to 13:21 (gap)"),
        "{}",
        scene((80, 24)).screen()
    );
    let mut world = machine((80, 24));
    go_to(&mut world, "28m ago");
    let (_, subscribe) = newest(&world);
    let picture = picture(
        &subscribe,
        NOW - 28 * MINUTE,
        vec![FLEET_THEN[0].enter(series_of(&FLEET_THEN[0]))],
    );
    world.update(picture);
    assert!(
        world
            .screen()
            .contains("no process list was kept for this moment"),
        "{}",
        world.screen()
    );
}

#[test]
fn playing_says_how_fast_and_follows_the_moments_that_are_told() {
    let scene = |size| {
        let mut world = past_machine(size);
        world
            .at(NOW + 1_000)
            .keys("P")
            .at(NOW + 2_000)
            .keys("p")
            .at(NOW + 3_000);
        answer(&mut world);
        world
    };
    at_every_size("travel_playing", scene);
    let mut world = scene((80, 24));
    let (_, subscribe) = newest(&world);
    assert_eq!(subscribe.speed, 10);
    let asked = count(&world);
    for tick in 1..=3i64 {
        let at = NOW - 28 * MINUTE + tick * 2_500;
        let update = wire::Update {
            subscription: subscribe.subscription,
            number: u64::try_from(tick).unwrap() + 1,
            now_unix_ms: at,
            at_unix_ms: at,
            machines: vec![wire::MachineUpdate {
                machine: 1,
                liveness: wire::Liveness::Live.into(),
                last_seen_unix_ms: at,
                sequence: 121,
                follows_sequence: 121,
                ..Default::default()
            }],
            ..Default::default()
        };
        world.update(update);
        world.at(NOW + 3_000 + tick * 250);
    }
    assert!(world.screen().contains("PAST 13:37:39"), "{}", world.screen());
    assert_eq!(count(&world), asked, "what plays is not asked for again");
    // Paused, the moment that it has come to is asked for.
    world.keys("p").at(NOW + 5_000);
    assert_eq!(newest(&world).1.speed, 0);
    assert_eq!(asked_at(&world), NOW - 28 * MINUTE + 7_500);
}

#[test]
fn at_the_beginning_of_history_the_picture_stays_and_it_is_said_why() {
    let scene = |size| {
        let mut world = past_machine(size);
        world.at(NOW + 1_000);
        go_to(&mut world, "2d ago");
        refuse(
            &mut world,
            Code::InvalidArgument,
            "history begins at 2026-11-23 12:00:04 UTC",
        );
        world
    };
    at_every_size("travel_beginning", scene);
    let world = scene((80, 24));
    assert!(world.screen().contains("PAST 13:37:32"), "{}", world.screen());
    // Where nothing has been shown yet, there is nothing to stay with.
    let mut world = machine((80, 24));
    let before = world.screen();
    go_to(&mut world, "2d ago");
    refuse(&mut world, Code::InvalidArgument, "history begins at 12:00:04");
    world.at(NOW + 7_000).at(NOW);
    assert_eq!(world.screen(), before);
}

fn refuse(world: &mut World, code: Code, reason: &str) {
    let (request_id, _) = newest(world);
    world.event(Event::Link(LinkEvent::Refused {
        request_id,
        code: code as u32,
        reason: reason.into(),
    }));
}

#[test]
fn a_history_that_is_down_is_named_and_asked_again_later() {
    let mut world = fleet((120, 24));
    go_to(&mut world, "24m ago");
    refuse(&mut world, Code::Unavailable, "history is down");
    assert!(world.screen().contains("history is down"), "{}", world.screen());
    let asked = count(&world);
    world.at(NOW + 5_000);
    assert_eq!(count(&world), asked, "not at once");
    world.at(NOW + 11_000);
    assert_eq!(count(&world), asked + 1);
    answer(&mut world);
    assert!(!world.screen().contains("down"), "{}", world.screen());
}

#[test]
fn without_the_capability_it_is_said_that_charts_still_go_back() {
    let mut world = World::new((100, 24));
    world
        .connected_with(&["history", "alerts"])
        .update(fleet_snapshot(&FLEET))
        .keys("t");
    let screen = world.screen();
    assert!(
        screen.contains("cannot show the past") && screen.contains("charts"),
        "{screen}"
    );
    assert_eq!(count(&world), 0);
}

#[test]
fn the_past_is_asked_for_with_what_the_view_shows() {
    let mut world = fleet((80, 24));
    world.keys("t");
    let (request_id, subscribe) = newest(&world);
    assert_eq!(subscribe.at_unix_ms, Some(NOW - MINUTE));
    assert_eq!(subscribe.speed, 0);
    assert!(subscribe.subscription > 2 && request_id >= 1 << 48);
    assert!(subscribe.machine_ids.is_empty() && subscribe.history_ms == 300_000);
    let mut world = machine((80, 24));
    world.keys("t");
    let (_, subscribe) = newest(&world);
    assert_eq!(subscribe.machine_ids, ["web-017"]);
    assert_eq!(subscribe.processes, i32::from(wire::ProcessDetail::All));
}

#[test]
fn escape_returns_exactly_to_where_one_was() {
    let mut world = fleet((80, 24));
    world.keys("jj");
    let before = world.screen();
    world.keys("t");
    answer(&mut world);
    assert!(world.screen().contains("PAST"));
    // Elsewhere in the past: another machine, another order, another view.
    world.keys("snk").key(KeyCode::Enter).at(NOW + 500);
    answer(&mut world);
    world.keys("2");
    world.key(KeyCode::Escape);
    assert_eq!(
        unsubscribed(&world).len(),
        1,
        "the fleet of then, and nothing that is live"
    );
    world.at(NOW);
    assert_eq!(world.screen(), before);

    let mut world = machine((80, 24));
    world.keys("jj-");
    world.at(NOW + 7_000).at(NOW);
    let before = world.screen();
    world.keys("t");
    answer(&mut world);
    world.keys("G++").keys("1");
    world.key(KeyCode::Escape);
    assert_eq!(world.screen(), before);
    let live = |effect: &Effect| matches!(effect, Effect::Send(wire::command::Body::Subscribe(_)));
    assert!(!world.effects.iter().any(live), "what is live never stopped");
}

#[test]
fn escape_takes_a_filter_of_the_past_back_first() {
    let mut world = past_fleet((80, 24));
    world.keys("/web").key(KeyCode::Enter);
    world.key(KeyCode::Escape);
    assert!(world.screen().contains("PAST") && world.screen().contains("db-002"));
    world.key(KeyCode::Escape);
    assert!(!world.screen().contains("PAST"));
}

#[test]
fn what_is_live_goes_on_behind_the_past_and_draws_nothing() {
    let mut world = past_fleet((80, 24));
    world.state.take_dirty();
    let mut gone = fleet_snapshot(&FLEET[..2]);
    gone.number = 2;
    world.update(gone);
    assert!(!world.state.is_dirty(), "nobody sees it");
    let received = |effect: &Effect| matches!(effect, Effect::Send(wire::command::Body::UpdateReceived(_)));
    assert!(world.effects.iter().any(received), "the aggregator goes on");
    assert!(world.screen().contains("edge-31"));
    world.key(KeyCode::Escape);
    assert!(!world.screen().contains("edge-31"), "{}", world.screen());
}

#[test]
fn of_steps_in_a_row_the_newest_is_asked_for() {
    let mut world = past_fleet((80, 24));
    let asked = count(&world);
    world.at(NOW + 2_000).keys(",");
    assert_eq!(count(&world), asked + 1, "the first step is asked for at once");
    let first = newest(&world).1;
    for step in 1..=6 {
        world.at(NOW + 2_000 + step * 30).keys(",");
    }
    assert_eq!(count(&world), asked + 1, "the others wait");
    world.update(picture(&first, first.at_unix_ms.unwrap(), Vec::new()));
    world.at(NOW + 2_400);
    assert_eq!(count(&world), asked + 2, "then the newest is asked for, once");
    assert_eq!(asked_at(&world), NOW - 24 * MINUTE - 7 * 10_000);
    // The answer to an older step that comes late is not taken.
    let screen = world.screen();
    world.update(picture(&first, first.at_unix_ms.unwrap(), Vec::new()));
    assert_eq!(world.screen(), screen);
    assert!(world.effects.is_empty());
}

#[test]
fn a_step_is_a_column_of_the_chart_and_a_leap_ten() {
    let mut world = past_machine((80, 24));
    world.at(NOW + 1_000).keys(",");
    let step = NOW - 28 * MINUTE - asked_at(&world);
    assert!((40_000..=60_000).contains(&step), "an hour on 70 columns: {step}");
    world.at(NOW + 2_000).event(Event::Key(Key {
        code: KeyCode::Right,
        control: true,
    }));
    answer(&mut world);
    world.at(NOW + 3_000);
    assert_eq!(asked_at(&world), NOW - 28 * MINUTE + 9 * step);
}

#[test]
fn a_step_beyond_now_is_now() {
    let mut world = fleet((80, 24));
    world.keys("t");
    answer(&mut world);
    for second in 1..=8 {
        world.at(NOW + second * 1_000).keys(".");
    }
    assert!(!world.screen().contains("PAST"), "{}", world.screen());
}

#[test]
fn played_to_the_end_the_same_view_goes_on_live() {
    let mut world = past_fleet((80, 24));
    world.at(NOW + 1_000).keys("PPp").at(NOW + 2_000);
    answer(&mut world);
    // The way into a machine while it plays.
    world.keys("sn").key(KeyCode::Enter).at(NOW + 3_000);
    let (_, subscribe) = newest(&world);
    assert_eq!(subscribe.speed, 60);
    let machine = subscribe.machine_ids[0].clone();
    answer(&mut world);
    world.update(wire::Update {
        subscription: subscribe.subscription,
        number: 2,
        now_unix_ms: NOW + 3_000,
        at_unix_ms: NOW + 3_000,
        caught_up: true,
        ..Default::default()
    });
    assert!(!world.screen().contains("PAST"), "{}", world.screen());
    assert!(world.screen().contains(&machine), "{}", world.screen());
    let live = |effect: &Effect| {
        matches!(effect, Effect::Send(wire::command::Body::Subscribe(subscribe))
            if subscribe.subscription == 2 && subscribe.machine_ids == [machine.as_str()] && subscribe.at_unix_ms.is_none())
    };
    assert!(world.effects.iter().any(live), "{:?}", world.effects);
}

#[test]
fn after_a_lost_connection_the_moment_is_asked_for_again() {
    let mut world = past_machine((80, 24));
    let at = asked_at(&world);
    world.failed("gone", false).at(NOW + 2_000);
    let screen = world.screen();
    assert!(
        screen.contains("PAST 13:37:32") && screen.contains("reconnecting"),
        "{screen}"
    );
    let asked = count(&world);
    world.connected_with(&CAPABILITIES);
    let live: Vec<u32> = world
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send(wire::command::Body::Subscribe(subscribe)) => Some(subscribe.subscription),
            _ => None,
        })
        .collect();
    assert_eq!(live, [1, 2], "what is live, for the way back");
    assert!(count(&world) > asked);
    assert_eq!(asked_at(&world), at);
    answer(&mut world);
    assert!(world.screen().contains("PAST 13:37:32"), "{}", world.screen());
    // An aggregator that cannot show the past brings one back to now.
    world.failed("gone", false).connected_with(&["history"]);
    assert!(!world.screen().contains("PAST"));
}

#[test]
fn the_next_event_is_found_in_the_log_and_among_the_gaps() {
    let mut world = past_fleet((80, 24));
    world.at(NOW + 1_000).keys("<");
    let (_, request) = log_question(&world);
    assert_eq!(request.to_unix_ms, NOW - 24 * MINUTE);
    answer_log(&mut world, steps());
    world.at(NOW + 2_000);
    assert_eq!(asked_at(&world), NOW - 30 * MINUTE, "pending is no event");
    answer(&mut world);
    world.keys(">");
    assert!(log_question(&world).1.oldest_first);
    answer_log(&mut world, steps());
    world.at(NOW + 3_000);
    assert_eq!(asked_at(&world), NOW - 20 * MINUTE);
    answer(&mut world);
    world.keys(">");
    answer_log(&mut world, steps());
    assert!(
        world.screen().contains("no alert, reboot or gap is known after"),
        "{}",
        world.screen()
    );

    let mut world = past_machine((80, 24));
    world.at(NOW + 1_000).keys("<");
    answer_log(&mut world, Vec::new());
    world.at(NOW + 2_000);
    assert_eq!(asked_at(&world), NOW - 44 * MINUTE, "the end of the gap");
}

#[test]
fn a_step_of_the_log_is_shown_at_its_moment() {
    let mut world = fleet((80, 24));
    world.keys("2H");
    answer_log_of_view(&mut world);
    let before = world.screen();
    // The steps come below what fires now; the last line is the oldest.
    world.keys("G").key(KeyCode::Enter);
    let (_, subscribe) = newest(&world);
    assert_eq!(subscribe.at_unix_ms, Some(NOW - 31 * MINUTE));
    assert_eq!(subscribe.machine_ids, ["db-002"]);
    world.key(KeyCode::Escape);
    assert!(world.screen().contains("db-002") && !world.screen().contains("PAST"));
    assert_eq!(world.screen().lines().count(), before.lines().count());
}

fn answer_log_of_view(world: &mut World) {
    let mut transitions = steps();
    transitions.reverse();
    let (request_id, _) = log_question(world);
    world.event(Event::Link(LinkEvent::AlertLog {
        request_id,
        log: Box::new(wire::AlertLog { transitions }),
    }));
}

#[test]
fn nothing_is_changed_from_the_past_but_what_is_still_there() {
    let mut world = past_fleet((80, 24));
    for keys in ["e", "3d", "3 ", "3n", "3c", "3e"] {
        let asked = world.asked.len();
        world.keys(keys);
        assert!(
            world
                .screen()
                .contains("this is the past, which cannot be changed"),
            "{keys}: {}",
            world.screen()
        );
        assert_eq!(world.asked.len(), asked, "{keys}");
    }
    // What fired then and is over cannot be acknowledged.
    world.keys("2a");
    assert!(
        world.screen().contains("what is over cannot be changed"),
        "{}",
        world.screen()
    );
    // What fires still can.
    let mut world = fleet((80, 24));
    go_to(&mut world, "2m ago");
    answer(&mut world);
    answer_log(&mut world, Vec::new());
    world.keys("2/web-017").key(KeyCode::Enter).keys("a");
    let screen = world.screen();
    assert!(screen.contains("acknowledge CPU busy on web-017"), "{screen}");
    assert!(screen.contains("PAST"), "{screen}");
}

#[test]
fn a_wrong_moment_can_be_mended() {
    let mut world = fleet((120, 24));
    go_to(&mut world, "noon");
    let screen = world.screen();
    assert!(
        screen.contains("is no time") && screen.contains("go to: noon"),
        "{screen}"
    );
    assert_eq!(count(&world), 0);
    world
        .event(Event::Key(Key::control('u')))
        .keys("14:00")
        .key(KeyCode::Enter);
    assert_eq!(count(&world), 1);
    let screen = world.screen();
    assert!(screen.contains("loading 14:00:00"), "{screen}");
}

#[test]
fn a_click_on_a_chart_shows_its_moment_and_dragging_moves_it() {
    let mut world = machine((80, 24));
    let mouse = |world: &mut World, action, column| {
        world.event(Event::Mouse(Mouse {
            action,
            column,
            row: 3,
        }));
    };
    mouse(&mut world, MouseAction::Press, 40);
    let first = asked_at(&world);
    assert!(
        (NOW - 40 * MINUTE..NOW - 20 * MINUTE).contains(&first),
        "the middle of the hour"
    );
    answer(&mut world);
    for (step, column) in [39, 30, 20].into_iter().enumerate() {
        world.at(NOW + 1_000 + i64::try_from(step).unwrap() * 50);
        mouse(&mut world, MouseAction::Drag, column);
    }
    answer(&mut world);
    world.at(NOW + 3_000);
    let dragged = asked_at(&world);
    assert!(dragged < first - 10 * MINUTE, "{}", (first - dragged) / MINUTE);
    mouse(&mut world, MouseAction::Release, 20);
    mouse(&mut world, MouseAction::Drag, 60);
    world.at(NOW + 4_000);
    assert_eq!(asked_at(&world), dragged, "the button is up");
}

#[test]
fn charts_stand_still_while_the_moment_moves_within_them_and_ask_when_it_leaves() {
    let mut world = past_machine((80, 24));
    let (before, _) = charts_question(&world).unwrap();
    world.at(NOW + 1_000).keys(",").at(NOW + 2_000);
    answer(&mut world);
    assert_eq!(charts_question(&world).unwrap().0, before);
    go_to(&mut world, "5h ago");
    world.at(NOW + 4_000);
    let (after, request) = charts_question(&world).unwrap();
    assert_ne!(after, before);
    let at = NOW - 5 * 60 * MINUTE;
    assert!(request.from_unix_ms < at - 20 * MINUTE && request.to_unix_ms > at + 20 * MINUTE);
}

#[test]
fn another_day_is_drawn_beside_and_a_gap_of_it_is_a_gap() {
    let scene = |size| {
        let mut world = machine(size);
        world.keys("C").told_at(NOW + 7_000);
        answer_charts(&mut world, vec![silence(24 * 60 + 50, 24 * 60 + 40)]);
        world
    };
    at_every_size("travel_compare", scene);
    at_every_size("travel_compare_ascii", |size| scene(size).ascii());
    let world = scene((80, 24));
    let (_, request) = charts_question(&world).unwrap();
    let day = 86_400_000;
    assert!(request.from_unix_ms < NOW - day - 50 * MINUTE && request.to_unix_ms > NOW - day);
    // A minute later nothing more is needed: some of what comes next was asked for ahead.
    let mut world = scene((80, 24));
    let before = charts_question(&world).unwrap().0;
    world.at(NOW + 60_000);
    assert_eq!(charts_question(&world).unwrap().0, before);
    world.keys("C");
    let (_, request) = charts_question(&world).unwrap();
    assert!(request.to_unix_ms < NOW - 6 * day, "last week");
    world.keys("C").at(NOW + 70_000);
    assert!(!world.screen().contains("last week"), "{}", world.screen());
}
