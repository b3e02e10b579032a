//! Rules that are played on the past.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sysmon_aggregator::{Aggregator, Config, Stores};
use sysmon_api::{Code, Role, wire};
use sysmon_core::alert::{MachineAlerts, Phase, Rule, RuleSet};
use sysmon_core::{Epoch, HostInfo, MachineId, MetricId, SeriesKey};
use sysmon_store::{Content, History, HistoryOptions, IngestBatch, SeriesEntry, SeriesTable, open_history};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::command::Body as Ask;
use wire::response::Body as Answer;

use crate::faulty::{Faulty, Mode};
use crate::rules::Service;
use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);
const CANCELLED: u32 = 1;
/// Samples are this far apart.
const STEP_MS: i64 = 5_000;

/// Stores a machine's processor, a sample every five seconds from `from_ms` after the start, in percent.
async fn remember(history: &Faulty, machine: &str, role: &str, from_ms: i64, busy: &[i64]) {
    let entry = |metric| SeriesEntry {
        key: Arc::new(SeriesKey::plain(metric)),
        decimals: 0,
    };
    let series = [(1, MetricId::CpuBusy), (2, MetricId::CollectorInterval)];
    let table = series.map(|(number, metric)| (number, entry(metric)));
    let table = Arc::new(SeriesTable::new(table.into()));
    let host = Arc::new(HostInfo {
        labels: vec![("role".into(), role.into())],
        ..HostInfo::default()
    });
    let batches: Vec<_> = (1..)
        .zip(busy)
        .map(|(sequence, busy)| IngestBatch {
            machine: MachineId::parse(machine).unwrap(),
            epoch: Epoch([1; 16]),
            sequence: u64::try_from(sequence).unwrap(),
            content: Content::Tick {
                at: START.plus_ms(from_ms + sequence * STEP_MS),
                series: Arc::clone(&table),
                values: vec![(1, *busy), (2, STEP_MS)],
            },
            clock_offset_ms: 0,
            host: Some(Arc::clone(&host)),
            spool_was_lost: false,
        })
        .collect();
    for batches in batches.chunks(1_000) {
        history.commit(batches).await.unwrap();
    }
}

/// Quiet, busy for two minutes, quiet, and busy to the end.
fn two_busy_times() -> Vec<i64> {
    [vec![20; 60], vec![95; 24], vec![20; 60], vec![99; 24]].concat()
}

/// Fires after a minute at 80 percent or more.
fn rule(scope: Option<wire::RuleScope>) -> wire::Rule {
    wire::Rule {
        rule_id: "cpu-busy".into(),
        title: "Processor busy".into(),
        enabled: true,
        hold_ms: 60_000,
        scope,
        check: Some(wire::rule::Check::Metric(wire::MetricCheck {
            quantity: Some(wire::Quantity {
                metric: "cpu.busy_percent".into(),
                per: String::new(),
                function: wire::Function::Last.into(),
                window_ms: 0,
            }),
            comparison: wire::Comparison::Above.into(),
            info: None,
            warning: Some(wire::Level {
                trigger: 80.0,
                clear: None,
                and: None,
            }),
            critical: None,
        })),
        ..Default::default()
    }
}

fn play(scope: Option<wire::RuleScope>, from_ms: i64, to_ms: i64) -> wire::DryRunRequest {
    wire::DryRunRequest {
        rule: Some(rule(scope)),
        from_unix_ms: START.0 + from_ms,
        to_unix_ms: START.0 + to_ms,
        machine_ids: Vec::new(),
    }
}

async fn start(history: &Arc<Faulty>) -> (Arc<Aggregator>, CancellationToken) {
    let (rules, bus, _service) = Service::new().await;
    let stores = Stores {
        history: Some(Arc::clone(history) as Arc<dyn History>),
        ..rules.stores(Some(&bus))
    };
    start_with(Config::default(), stores)
}

/// The answer to a command, whatever is said of the stores meanwhile.
async fn answer(console: &mut Console, id: u64) -> Answer {
    loop {
        let response = tokio::time::timeout(600 * SECOND, console.response())
            .await
            .unwrap();
        match response.body.unwrap() {
            Answer::Storage(_) => {}
            other if response.request_id == id => return other,
            other => panic!("{other:?} instead of the answer to {id}"),
        }
    }
}

async fn played(console: &mut Console, request: wire::DryRunRequest) -> wire::DryRunReply {
    let id = console.ask(Ask::DryRun(request)).await;
    match answer(console, id).await {
        Answer::DryRun(reply) => reply,
        other => panic!("{other:?}"),
    }
}

async fn refused(console: &mut Console, request: wire::DryRunRequest) -> (u32, String) {
    let id = console.ask(Ask::DryRun(request)).await;
    match answer(console, id).await {
        Answer::Failure(failure) => (failure.code, failure.message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_viewer_sees_when_a_rule_would_have_fired_and_for_how_long() {
    let history = Faulty::new().await;
    remember(&history, "a", "db", 0, &two_busy_times()).await;
    remember(&history, "b", "web", 0, &[20; 168]).await;
    remember(&history, "c", "db", 0, &two_busy_times()).await;
    let (aggregator, _shutdown) = start(&history).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;

    let reply = played(&mut console, play(None, 0, 900_000)).await;
    assert_eq!((reply.count, reply.machine_count, reply.step_ms), (4, 3, 0));
    let begun: Vec<_> = reply
        .episodes
        .iter()
        .map(|episode| (&*episode.machine_id, episode.from_unix_ms - START.0))
        .collect();
    // Busy from the 61st sample, firing a minute later; the second time from the 145th.
    assert_eq!(
        begun,
        [("a", 365_000), ("c", 365_000), ("a", 785_000), ("c", 785_000)]
    );
    let first = &reply.episodes[0];
    assert_eq!(first.to_unix_ms, Some(START.0 + 425_000));
    assert_eq!(
        (first.peak, first.severity()),
        (Some(95.0), wire::Severity::Warning)
    );
    assert_eq!(reply.episodes[3].to_unix_ms, None, "it still fires");
    // The last ones count to the end of the range.
    assert_eq!(
        (reply.longest_ms, reply.total_ms),
        (115_000, 2 * (60_000 + 115_000))
    );

    let labels = wire::RuleScope {
        labels: vec!["role=web".into()],
        ..Default::default()
    };
    let reply = played(&mut console, play(Some(labels), 0, 900_000)).await;
    assert_eq!((reply.count, reply.machine_count), (0, 1));
    let only_a = wire::DryRunRequest {
        machine_ids: vec!["a".into(), "unknown".into()],
        ..play(None, 0, 900_000)
    };
    let reply = played(&mut console, only_a).await;
    assert_eq!((reply.count, reply.machine_count), (2, 1));
    // What began before the range and ended in it counts with its part; what ended before does not.
    let reply = played(&mut console, play(None, 400_000, 700_000)).await;
    assert_eq!((reply.count, reply.total_ms), (2, 2 * 25_000));
    let reply = played(&mut console, play(None, 430_000, 700_000)).await;
    assert_eq!((reply.count, reply.machine_count), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_day_is_played_sample_by_sample_and_a_week_on_roll_ups() {
    let history = Faulty::new().await;
    let mut busy = vec![20; 17_000];
    busy.extend([95; 280]);
    remember(&history, "a", "db", -17_280 * STEP_MS, &busy).await;
    let (aggregator, _shutdown) = start(&history).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    let day = played(&mut console, play(None, -86_400_000, 1)).await;
    assert_eq!((day.step_ms, day.count), (0, 1));
    let begun = day.episodes[0].from_unix_ms;
    let week = played(&mut console, play(None, -7 * 86_400_000, 1)).await;
    assert_eq!((week.step_ms, week.count), (60_000, 1));
    assert!(week.episodes[0].from_unix_ms.abs_diff(begun) <= 120_000);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_played_is_refused_with_advice() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start(&history).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    let mut untitled = play(None, 0, 1_000);
    untitled.rule.as_mut().unwrap().title.clear();
    for (request, word) in [
        (play(None, 5, 5), "empty"),
        (play(None, -32 * 86_400_000, 0), "31 days"),
        (untitled, "title"),
        (play(None, -START.0 - 1, 1_000), "1970"),
        (
            wire::DryRunRequest {
                from_unix_ms: i64::MAX - 9_000_000,
                to_unix_ms: i64::MAX,
                ..play(None, 0, 1)
            },
            "ahead",
        ),
        (wire::DryRunRequest::default(), "no rule"),
    ] {
        let (code, message) = refused(&mut console, request).await;
        assert_eq!(code, Code::InvalidArgument as u32);
        assert!(message.contains(word), "{message}");
    }
    let reply = played(&mut console, play(None, 0, 1_000)).await;
    assert_eq!((reply.count, reply.machine_count), (0, 0));
    history.fail();
    let (code, message) = refused(&mut console, play(None, 0, 1_000)).await;
    assert_eq!(code, Code::Unavailable as u32, "{message}");

    let (rules, bus, _service) = Service::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), rules.stores(Some(&bus)));
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    let (code, message) = refused(&mut console, play(None, 0, 1_000)).await;
    assert!(
        code == Code::FailedPrecondition as u32 && message.contains("history"),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_play_can_be_cancelled_and_two_run_at_a_time() {
    let history = Faulty::new().await;
    remember(&history, "a", "db", 0, &two_busy_times()).await;
    let (aggregator, _shutdown) = start(&history).await;
    let mut consoles = Vec::new();
    for _ in 0..4 {
        consoles.push(Console::join(&aggregator, Role::Viewer).await);
    }
    tokio::time::sleep(SECOND).await;
    history.set(Mode::Slow(10 * SECOND));
    let mut ids = Vec::new();
    for console in &mut consoles {
        ids.push(console.ask(Ask::DryRun(play(None, 0, 900_000))).await);
    }
    // One per client.
    let (code, message) = refused(&mut consoles[0], play(None, 0, 900_000)).await;
    assert!(
        code == Code::ResourceExhausted as u32 && message.contains("cancel"),
        "{message}"
    );

    let cancel = Ask::Cancel(wire::Cancel { request_id: ids[0] });
    let cancel = consoles[0].ask(cancel).await;
    let Answer::Failure(cancelled) = answer(&mut consoles[0], ids[0]).await else {
        panic!("it was cancelled");
    };
    assert_eq!(cancelled.code, CANCELLED);
    assert!(matches!(
        answer(&mut consoles[0], cancel).await,
        Answer::Accepted(_)
    ));
    // Its place is free: of the other three, two are done after two slow answers of the store, the last after two more.
    let begin = Instant::now();
    let mut ends = Vec::new();
    for (console, id) in consoles.iter_mut().zip(&ids).skip(1) {
        let Answer::DryRun(reply) = answer(console, *id).await else {
            panic!("it is played");
        };
        assert_eq!(reply.count, 2);
        ends.push(begin.elapsed().as_secs());
    }
    assert_eq!(ends, [20, 20, 40]);
    assert!(history.asking_max.load(Ordering::Relaxed) <= 2);
    // Nothing more comes of what was cancelled.
    tokio::time::sleep(100 * SECOND).await;
    while let Ok(response) = consoles[0].responses.try_recv() {
        assert!(matches!(
            response.unwrap().into_response().unwrap().body,
            Some(Answer::Storage(_))
        ));
    }
}

#[tokio::test(start_paused = true)]
async fn a_play_that_takes_too_long_ends_and_says_what_to_do() {
    let history = Faulty::new().await;
    for machine in ["a", "b"] {
        remember(&history, machine, "db", 0, &two_busy_times()).await;
    }
    let (aggregator, _shutdown) = start(&history).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    tokio::time::sleep(SECOND).await;
    history.set(Mode::Hangs);
    let begin = Instant::now();
    let (code, message) = refused(&mut console, play(None, 0, 900_000)).await;
    assert_eq!(code, Code::DeadlineExceeded as u32);
    assert!(message.contains("shorter range"), "{message}");
    assert!(begin.elapsed() <= 120 * SECOND);
    history.set(Mode::Well);
    let reply = played(&mut console, play(None, 0, 900_000)).await;
    assert_eq!(reply.count, 4);
}

/// What the engine makes of the same samples, live: when it fires and when that is over.
fn judged(rule: &Rule, machine: &str, samples: &[(i64, i64)]) -> Vec<(String, i64, Option<i64>)> {
    let mut engine = MachineAlerts::new(MachineId::parse(machine).unwrap());
    let mut steps = Vec::new();
    engine.set_host(&[], STEP_MS.unsigned_abs(), START, &mut steps);
    engine.set_rules(&Arc::new(RuleSet::new([rule.clone()])), START, &mut steps);
    engine.announce(1, &Arc::new(SeriesKey::plain(MetricId::CpuBusy)));
    for (at_ms, busy) in samples {
        let at = START.plus_ms(*at_ms);
        engine.observe(at, at, &[(1, sysmon_core::from_scaled(*busy, 1))], &mut steps);
    }
    let mut episodes: Vec<(String, i64, Option<i64>)> = Vec::new();
    for step in steps {
        let open = episodes.last_mut().filter(|(_, _, to)| to.is_none());
        match (open, step.to) {
            (Some((_, _, to)), Phase::Resolved) => *to = Some(step.at.0),
            (None, Phase::Firing) => episodes.push((machine.to_owned(), step.at.0, None)),
            _ => {}
        }
    }
    episodes
}

#[tokio::test]
async fn what_is_played_from_sqlite_is_what_the_engine_did_on_the_same_random_samples() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("history.db").display());
    let history = open_history(&url, HistoryOptions::default()).await.unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |limit: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % limit).cast_signed()
    };
    let series = [(1, MetricId::CpuBusy, 1), (2, MetricId::CollectorInterval, 0)];
    let table = Arc::new(SeriesTable::new(
        series
            .map(|(number, metric, decimals)| {
                let key = Arc::new(SeriesKey::plain(metric));
                (number, SeriesEntry { key, decimals })
            })
            .into(),
    ));
    let machines: Vec<String> = (0..6).map(|number| format!("m{number}")).collect();
    let mut all: Vec<Vec<(i64, i64)>> = Vec::new();
    for machine in &machines {
        let (mut at_ms, mut busy, mut samples) = (0, 700, Vec::new());
        for _ in 0..4_000 {
            // Now and then something is missing, for a moment or for minutes.
            at_ms += STEP_MS * if below(400) == 0 { 1 + below(60) } else { 1 };
            busy = (busy + below(81) - 40).clamp(300, 1_000);
            samples.push((at_ms, busy));
        }
        let batches: Vec<_> = (1..)
            .zip(&samples)
            .map(|(sequence, (at_ms, busy))| IngestBatch {
                machine: MachineId::parse(machine).unwrap(),
                epoch: Epoch([1; 16]),
                sequence,
                content: Content::Tick {
                    at: START.plus_ms(*at_ms),
                    series: Arc::clone(&table),
                    values: vec![(1, *busy), (2, STEP_MS)],
                },
                clock_offset_ms: 0,
                host: None,
                spool_was_lost: false,
            })
            .collect();
        for batches in batches.chunks(1_000) {
            history.commit(batches).await.unwrap();
        }
        all.push(samples);
    }
    // Most of it is in blocks by now, the last hour is not.
    let end_ms = all
        .iter()
        .filter_map(|samples| Some(samples.last()?.0))
        .max()
        .unwrap();
    while history.maintain(START.plus_ms(end_ms)).await.unwrap().more {}

    let (rules, bus, _service) = Service::new().await;
    let stores = Stores {
        history: Some(history),
        ..rules.stores(Some(&bus))
    };
    let (aggregator, _shutdown) = start_with(Config::default(), stores);
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    let mut total = 0;
    for (hold_ms, function, window_ms) in [
        (0, wire::Function::Last, 0),
        (60_000, wire::Function::Last, 0),
        (0, wire::Function::Average, 600_000),
        (30_000, wire::Function::Minimum, 120_000),
    ] {
        let mut request = play(None, 0, end_ms + 1);
        let played_rule = request.rule.as_mut().unwrap();
        played_rule.hold_ms = hold_ms;
        if let Some(wire::rule::Check::Metric(check)) = &mut played_rule.check {
            let quantity = check.quantity.as_mut().unwrap();
            quantity.set_function(function);
            quantity.window_ms = window_ms;
            check.critical = Some(wire::Level {
                trigger: 95.0,
                clear: None,
                and: None,
            });
        }
        let rule = sysmon_api::rule_from_wire(played_rule).unwrap();
        let reply = played(&mut console, request).await;
        assert_eq!((reply.step_ms, reply.machine_count), (0, 6));
        let mut expected: Vec<_> = machines
            .iter()
            .zip(&all)
            .flat_map(|(machine, samples)| judged(&rule, machine, samples))
            .collect();
        let mut got: Vec<_> = reply
            .episodes
            .into_iter()
            .map(|episode| (episode.machine_id, episode.from_unix_ms, episode.to_unix_ms))
            .collect();
        expected.sort();
        got.sort();
        total += got.len();
        assert_eq!(got, expected, "{function:?} {hold_ms}");
    }
    assert!(total > 20, "nothing to compare: {total}");
}
