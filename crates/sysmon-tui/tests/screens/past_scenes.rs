//! The past in the charts: ranges, gaps, bands, and what is said while there is none.

use sysmon_api::{Code, history_to_wire, wire};
use sysmon_core::{
    Gap, GapReason, MachineHistory, MachineId, MetricId, Point, SeriesKey, SeriesPoints, Tier, UnixMillis,
};
use sysmon_tui::{Effect, Event, LinkEvent};

use crate::machine_scenes::{opened_on, with_machine};
use crate::world::{NOW, SIZES, World};

/// What the client asked, with the number of the question.
fn question(world: &World) -> Option<(u64, wire::HistoryRequest)> {
    world.asked.last().and_then(|effect| match effect {
        Effect::Ask {
            request_id,
            body: wire::command::Body::QueryHistory(request),
        } => Some((*request_id, request.clone())),
        _ => None,
    })
}

fn questions(world: &World) -> usize {
    world.asked.len()
}

/// A past with daily ups and downs, without the samples of `hole`, as the stores would answer it.
fn answer(request: &wire::HistoryRequest, tier: Tier, gaps: Vec<Gap>) -> MachineHistory {
    let (from, to) = (request.from_unix_ms, request.to_unix_ms);
    let step = (to - from + i64::from(request.points) - 1) / i64::from(request.points);
    let is_lost = |at: i64| gaps.iter().any(|gap| at + step > gap.from.0 && at < gap.to.0);
    let times: Vec<i64> = (0..i64::from(request.points))
        .map(|index| from + index * step)
        .filter(|at| !is_lost(*at))
        .collect();
    let series = |metric: MetricId, base: f64, swing: f64| SeriesPoints {
        key: SeriesKey::plain(metric).into(),
        decimals: 1,
        points: times
            .iter()
            .map(|at| {
                let phase = (*at - from) as f64 / (to - from) as f64 * 12.0;
                let mean = base + swing * phase.sin();
                let is_spiky = (*at / step) % 7 == 0;
                let maximum = (mean + if is_spiky { 45.0 } else { swing / 2.0 + 6.0 }).min(100.0);
                Some(Point {
                    minimum: (mean - swing / 2.0 - 3.0).max(0.0),
                    maximum,
                    mean,
                    count: 60,
                })
            })
            .collect(),
    };
    MachineHistory {
        machine: MachineId::parse(&request.machine_ids[0]).unwrap(),
        tier,
        step_ms: u64::try_from(step).unwrap(),
        series: vec![
            series(MetricId::CpuBusy, 34.0, 18.0),
            series(MetricId::MemoryUsedPercent, 80.0, 4.0),
        ],
        times: times.into_iter().map(UnixMillis).collect(),
        gaps,
    }
}

/// The answer in parts as small as they come, so that taking it together is exercised.
fn send(world: &mut World, request_id: u64, history: &MachineHistory) {
    let parts = history_to_wire(history, 2_000);
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

fn ago(minutes: i64) -> UnixMillis {
    UnixMillis(NOW - minutes * 60_000)
}

fn gap(from: i64, to: i64, samples: u64, reason: GapReason) -> Gap {
    Gap {
        from: ago(from),
        to: ago(to),
        samples,
        reason,
    }
}

fn store(
    role: wire::StorageRole,
    engine: &str,
    health: wire::StorageHealth,
    minutes: i64,
) -> wire::StorageComponent {
    wire::StorageComponent {
        role: role.into(),
        engine: engine.into(),
        health: health.into(),
        since_unix_ms: ago(minutes).0,
        detail: if health == wire::StorageHealth::Ok {
            String::new()
        } else {
            "connection refused (is PostgreSQL running on db:5432?)".into()
        },
        notices: Vec::new(),
    }
}

fn status(world: &mut World, components: Vec<wire::StorageComponent>) {
    world.event(Event::Link(LinkEvent::Storage(Box::new(wire::StorageStatus {
        components,
    }))));
}

fn all_well(world: &mut World) {
    use wire::{StorageHealth::Ok, StorageRole};
    let mut history = store(StorageRole::History, "PostgreSQL 17.6", Ok, 300);
    history.notices = vec!["TimescaleDB is not installed: nothing is compressed".into()];
    let hot = store(StorageRole::HotState, "Redis 7.2", Ok, 300);
    status(world, vec![history, hot]);
}

/// A machine on screen where history is kept; the question for its past is not answered yet.
fn asking(size: (u16, u16)) -> World {
    let mut world = World::new(size);
    world.connected_with(&["history"]);
    all_well(&mut world);
    opened_on(&mut world);
    with_machine(&mut world);
    world
}

fn an_hour_with_gaps(size: (u16, u16)) -> World {
    let mut world = asking(size);
    if let Some((request_id, request)) = question(&world) {
        let gaps = vec![
            gap(48, 30, 0, GapReason::Silent),
            gap(14, 10, 412, GapReason::SpoolFull),
        ];
        send(&mut world, request_id, &answer(&request, Tier::Raw, gaps));
    }
    world
}

fn a_month(size: (u16, u16)) -> World {
    let mut world = asking(size);
    for second in 1..=4 {
        world.keys("+").told_at(NOW + second * 2_000);
    }
    if let Some((request_id, request)) = question(&world) {
        let gaps = vec![gap(60 * 24 * 13, 60 * 24 * 11, 0, GapReason::Silent)];
        send(&mut world, request_id, &answer(&request, Tier::Hour, gaps));
    }
    world
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
fn an_hour_shows_its_gaps_as_gaps() {
    at_every_size("past_hour", an_hour_with_gaps);
    insta::assert_snapshot!("past_hour_120x40", an_hour_with_gaps((120, 40)).screen());
}

#[test]
fn a_month_shows_mean_and_band() {
    at_every_size("past_month", a_month);
}

#[test]
fn the_past_can_be_read_in_ascii_without_colour() {
    at_every_size("past_month_ascii", |size| a_month(size).ascii());
    let screen = an_hour_with_gaps((80, 24)).ascii().screen();
    let ours: String = screen.lines().filter(|line| !line.contains('\u{fffd}')).collect();
    assert!(ours.is_ascii(), "{ours}");
}

#[test]
fn while_the_past_is_loading_live_data_is_shown() {
    at_every_size("past_loading", asking);
}

#[test]
fn where_no_history_is_kept_the_charts_say_so() {
    at_every_size("past_not_kept", |size| {
        let mut world = World::new(size);
        world.connected();
        opened_on(&mut world);
        with_machine(&mut world);
        world.keys("+");
        world
    });
}

fn history_down(size: (u16, u16)) -> World {
    let mut world = asking(size);
    let down = store(
        wire::StorageRole::History,
        "TimescaleDB 2.23.1",
        wire::StorageHealth::Down,
        3,
    );
    let hot = store(
        wire::StorageRole::HotState,
        "Redis 7.2",
        wire::StorageHealth::Ok,
        300,
    );
    status(&mut world, vec![down, hot]);
    if let Some((request_id, _)) = question(&world) {
        refuse(&mut world, request_id, Code::Unavailable as u32);
    }
    world
}

fn refuse(world: &mut World, request_id: u64, code: u32) {
    world.event(Event::Link(LinkEvent::Refused {
        request_id,
        code,
        reason: "history is down: wait until its database is back".into(),
    }));
}

#[test]
fn a_history_that_is_down_is_named_with_its_time() {
    at_every_size("past_down", history_down);
}

#[test]
fn details_tell_of_stores_and_gaps() {
    at_every_size("details", |size| {
        let mut world = an_hour_with_gaps(size);
        world.keys("D");
        world
    });
    insta::assert_snapshot!("details_down", {
        let mut world = history_down((80, 24));
        world.keys("D");
        world.screen()
    });
}

#[test]
fn an_hour_is_asked_for_at_once_with_as_many_points_as_there_are_dots() {
    let world = asking((80, 24));
    let (request_id, request) = question(&world).unwrap();
    assert!(request_id >= 1 << 32, "out of the way of the link's own numbers");
    assert_eq!(request.machine_ids, ["web-017"]);
    assert_eq!(request.metrics, ["cpu.busy_percent", "memory.used_percent"]);
    assert!(request.points <= 150, "{}", request.points);
    let window = request.to_unix_ms - request.from_unix_ms;
    assert!((3_500_000..4_000_000).contains(&window), "{window}");
    assert!(
        request.to_unix_ms < NOW && request.to_unix_ms > NOW - 120_000,
        "live data tells of the rest"
    );
}

#[test]
fn without_a_chart_on_screen_nothing_is_asked() {
    assert_eq!(questions(&asking((40, 10))), 0);
}

#[test]
fn the_same_is_not_asked_twice_and_another_range_takes_the_question_back() {
    let mut world = asking((80, 24));
    let (first, _) = question(&world).unwrap();
    world.at(NOW + 1_000).at(NOW + 2_000);
    assert_eq!(questions(&world), 1);
    world.keys("+");
    let (second, request) = question(&world).unwrap();
    assert!(request.to_unix_ms - request.from_unix_ms > 5 * 3_600_000);
    let cancel = wire::command::Body::Cancel(wire::Cancel { request_id: first });
    assert!(
        world.effects.contains(&Effect::Send(cancel)),
        "{:?}",
        world.effects
    );
    // What was taken back changes nothing any more.
    let before = world.screen();
    send(&mut world, first, &answer(&request, Tier::Raw, Vec::new()));
    assert_eq!(world.screen(), before);
    send(&mut world, second, &answer(&request, Tier::Raw, Vec::new()));
    assert_ne!(world.screen(), before);
}

#[test]
fn a_burst_of_keys_asks_once() {
    let mut world = asking((80, 24));
    world.at(NOW + 5_000).keys("+").at(NOW + 5_050).keys("++");
    assert_eq!(questions(&world), 2, "the first key asks, the others wait");
    assert_eq!(
        world.state.wakes_at(),
        Some(UnixMillis(NOW + 5_200)),
        "the loop is told when to come back"
    );
    world.at(NOW + 5_201);
    assert_eq!(questions(&world), 3);
    let (_, request) = question(&world).unwrap();
    assert!(request.to_unix_ms - request.from_unix_ms > 6 * 86_400_000);
}

#[test]
fn an_answer_is_asked_for_again_only_when_live_data_is_about_to_leave_a_hole() {
    // What a collector kept while it was cut off may still come.
    let mut world = asking((80, 24));
    let (request_id, request) = question(&world).unwrap();
    let young = vec![gap(12, 9, 0, GapReason::Silent)];
    send(&mut world, request_id, &answer(&request, Tier::Raw, young));
    world.at(NOW + 20_000);
    assert_eq!(questions(&world), 1);
    world.at(NOW + 31_000);
    assert_eq!(questions(&world), 2);
    // Without young gaps and without new ticks there is nothing to ask.
    let mut world = asking((80, 24));
    let (request_id, request) = question(&world).unwrap();
    send(&mut world, request_id, &answer(&request, Tier::Raw, Vec::new()));
    for minute in 1..10 {
        world.at(NOW + minute * 60_000);
    }
    assert_eq!(questions(&world), 1);
}

#[test]
fn an_aggregator_that_refuses_history_is_not_asked_again_and_one_that_is_down_is_later() {
    let mut world = asking((80, 24));
    let (request_id, _) = question(&world).unwrap();
    refuse(&mut world, request_id, Code::FailedPrecondition as u32);
    assert!(!world.screen().contains("loading"));
    world.at(NOW + 100_000);
    assert_eq!(questions(&world), 1);

    let mut world = asking((80, 24));
    let (request_id, _) = question(&world).unwrap();
    refuse(&mut world, request_id, Code::Unavailable as u32);
    world.at(NOW + 5_000);
    assert_eq!(questions(&world), 1, "not at once");
    world.at(NOW + 16_000);
    assert_eq!(questions(&world), 2);
}

#[test]
fn a_history_that_is_back_is_asked_at_once() {
    let mut world = history_down((80, 24));
    world.at(NOW + 3_000);
    assert_eq!(questions(&world), 1);
    all_well(&mut world);
    assert_eq!(questions(&world), 2);
    assert!(!world.screen().contains("down"), "{}", world.screen());
}

#[test]
fn an_answer_that_does_not_come_is_given_up() {
    let mut world = asking((80, 24));
    world.at(NOW + 21_000);
    assert!(
        world.screen().contains("does not answer in time"),
        "{}",
        world.screen()
    );
}

#[test]
fn a_new_connection_asks_again_and_keeps_what_is_known_meanwhile() {
    let mut world = an_hour_with_gaps((80, 24));
    world
        .failed("gone", false)
        .at(NOW + 3_000)
        .connected_with(&["history"]);
    assert_eq!(questions(&world), 2);
    assert!(!world.screen().contains("loading"), "{}", world.screen());
}

#[test]
fn an_endless_answer_is_cut_off() {
    let mut world = asking((80, 24));
    let (request_id, request) = question(&world).unwrap();
    let part = history_to_wire(&answer(&request, Tier::Raw, Vec::new()), usize::MAX).remove(0);
    for _ in 0..70 {
        world.event(Event::Link(LinkEvent::History {
            request_id,
            chunk: Box::new(wire::HistoryChunk {
                machines: vec![part.clone()],
                more: true,
            }),
        }));
    }
    assert!(
        world.screen().contains("longer than what was asked for"),
        "{}",
        world.screen()
    );
}

#[test]
fn ranges_end_somewhere_and_say_so() {
    let mut world = an_hour_with_gaps((80, 24));
    world.keys("--");
    assert!(
        world.screen().contains("5 min is the shortest"),
        "{}",
        world.screen()
    );
    world.keys("++++++");
    assert!(
        world.screen().contains("30 d is the longest"),
        "{}",
        world.screen()
    );
}

#[test]
fn a_month_looks_the_same_a_second_later() {
    let mut world = a_month((200, 60));
    let charts = |world: &World| {
        let screen = world.screen();
        screen.lines().skip(1).take(15).collect::<Vec<_>>().join("\n")
    };
    let before = charts(&world);
    world.at(NOW + 9_000).at(NOW + 10_000);
    assert_eq!(charts(&world), before);
}

#[test]
fn a_history_that_has_just_begun_does_not_stretch_a_minute_over_an_hour() {
    let mut world = asking((80, 24));
    let (request_id, request) = question(&world).unwrap();
    let mut history = answer(&request, Tier::Raw, Vec::new());
    history.times.clear();
    history.series.clear();
    send(&mut world, request_id, &history);
    assert!(world.screen().contains("last 5 min"), "{}", world.screen());
    // Whoever wants the hour gets it.
    world.keys("+");
    assert!(world.screen().contains("last 1 h"), "{}", world.screen());
}
