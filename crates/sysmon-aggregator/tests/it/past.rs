//! Subscriptions to the past.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sysmon_aggregator::{Aggregator, Clock, Config, Stores};
use sysmon_api::{Code, Replica, Role, wire};
use sysmon_core::alert::{Alert, Phase, Severity};
use sysmon_core::{
    Epoch, Health, HostInfo, Liveness, MachineId, MetricId, ProcessSnapshot, SeriesKey, UnixMillis,
};
use sysmon_store::{
    Content, History, HistoryOptions, IngestBatch, MachineProcesses, SeriesEntry, SeriesTable, open_history,
};
use tokio_util::sync::CancellationToken;
use wire::command::Body as Ask;
use wire::response::Body as Answer;

use crate::faulty::{Faulty, Mode};
use crate::rules::{Service, alert};
use crate::support::*;

const SECOND_MS: i64 = 1_000;
const CANCELLED: u32 = 1;

/// Ticks every five seconds, in seconds before the start: the processor's share is what the machine's age in ticks is.
async fn put(history: &dyn History, name: &str, from: i64, to: i64, busy: impl Fn(i64) -> i64) {
    put_at(history, START, name, from, to, busy).await;
}

/// The same relative to another moment.
async fn put_at(
    history: &dyn History,
    now: UnixMillis,
    name: &str,
    from: i64,
    to: i64,
    busy: impl Fn(i64) -> i64,
) {
    let entries: BTreeMap<u32, SeriesEntry> = [
        (1, SeriesKey::plain(MetricId::CpuBusy), 1),
        (2, SeriesKey::plain(MetricId::CollectorInterval), 0),
        (3, SeriesKey::plain(MetricId::MemoryUsedPercent), 1),
    ]
    .map(|(number, key, decimals)| {
        let key = Arc::new(key);
        (number, SeriesEntry { key, decimals })
    })
    .into();
    let series = Arc::new(SeriesTable::new(entries));
    let host = HostInfo {
        hostname: format!("{name}.example"),
        labels: vec![("role".into(), name[..1].into())],
        ..HostInfo::default()
    };
    let batch = |index: i64| IngestBatch {
        machine: MachineId::parse(name).unwrap(),
        epoch: Epoch([1; 16]),
        sequence: index.cast_unsigned() + 1,
        content: Content::Tick {
            at: now.plus_ms((from + index * 5) * SECOND_MS),
            series: Arc::clone(&series),
            values: vec![(1, busy(index)), (2, 5_000), (3, 400)],
        },
        clock_offset_ms: 0,
        host: Some(Arc::new(host.clone())),
        spool_was_lost: false,
    };
    let batches: Vec<_> = (0..=(to - from) / 5).map(batch).collect();
    history.commit(&batches).await.unwrap();
}

/// A fleet that had a good ten minutes: `a` reports all the time, `b` stopped after five, `c` came after eight.
async fn fleet() -> (Arc<Faulty>, Arc<Aggregator>, CancellationToken) {
    let history = Faulty::new().await;
    put(&*history, "a", -600, 0, |index| index * 5).await;
    put(&*history, "b", -600, -300, |_| 980).await;
    put(&*history, "c", -120, 0, |_| 10).await;
    let (aggregator, shutdown) = start_with(Config::default(), history.stores());
    (history, aggregator, shutdown)
}

async fn join(aggregator: &Arc<Aggregator>) -> Console {
    let mut console = Console::join(aggregator, Role::Viewer).await;
    console.storage().await;
    console
}

fn subscribe(seconds: i64, speed: u32) -> wire::Subscribe {
    wire::Subscribe {
        subscription: 1,
        at_unix_ms: Some(START.0 + seconds * SECOND_MS),
        speed,
        history_ms: 300_000,
        ..Default::default()
    }
}

fn at(seconds: i64, speed: u32) -> Ask {
    Ask::Subscribe(subscribe(seconds, speed))
}

/// The next update, taken over and acknowledged.
async fn update(console: &mut Console) -> wire::Update {
    loop {
        if let Answer::Update(update) = console.response().await.body.unwrap() {
            console.take(update.clone()).await;
            return update;
        }
    }
}

async fn failure(console: &mut Console, ask: Ask) -> wire::Failure {
    console.command(ask).await.unwrap_err()
}

/// Nothing comes for a while.
async fn silence(console: &mut Console) {
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(console.responses.try_recv().is_err());
}

fn liveness(replica: &Replica, machine: &str) -> Option<Liveness> {
    Some(replica.find(machine)?.liveness)
}

#[tokio::test(start_paused = true)]
async fn a_moment_shows_the_fleet_as_it_was() {
    let (_history, aggregator, _shutdown) = fleet().await;
    let mut console = join(&aggregator).await;
    console.command(at(-200, 0)).await.unwrap();
    let first = update(&mut console).await;
    let moment = START.plus_ms(-200 * SECOND_MS);
    assert!(first.snapshot && !first.more && !first.caught_up);
    assert_eq!((first.at_unix_ms, first.now_unix_ms), (moment.0, moment.0));
    let replica = &console.replica;
    assert_eq!(replica.machines().len(), 2, "c came later");
    let a = replica.find("a").unwrap();
    assert_eq!(
        (a.liveness, a.health, a.last_seen),
        (Liveness::Live, Health::Healthy, moment)
    );
    assert_eq!((a.host.hostname.as_str(), a.interval_ms), ("a.example", 5_000));
    assert_eq!(busy(replica, "a"), Some(40.0), "80 ticks of half a per cent");
    assert_eq!(
        a.recent.times().len(),
        61,
        "five minutes of the past come with it"
    );
    assert_eq!(a.recent.times().back(), Some(&moment));
    let b = replica.find("b").unwrap();
    assert_eq!(
        (b.liveness, b.last_seen),
        (Liveness::Lost, START.plus_ms(-300 * SECOND_MS))
    );
    let totals = replica.totals();
    assert_eq!((totals.live, totals.lost, totals.healthy), (1, 1, 1));
    silence(&mut console).await;

    // When both were there b was busy, and so not well.
    console.command(at(-301, 0)).await.unwrap();
    assert!(update(&mut console).await.snapshot);
    let b = console.replica.find("b").unwrap();
    assert_eq!((b.liveness, b.health), (Liveness::Live, Health::Critical));
    // One is stale before it is lost.
    console.command(at(-270, 0)).await.unwrap();
    update(&mut console).await;
    assert_eq!(liveness(&console.replica, "b"), Some(Liveness::Stale));
    assert_eq!(aggregator.figures().pasts, 3);
}

#[tokio::test(start_paused = true)]
async fn ids_filter_and_metrics_choose_as_they_do_now() {
    let (_history, aggregator, _shutdown) = fleet().await;
    let mut console = join(&aggregator).await;
    let filtered = wire::Subscribe {
        filter: "role=b".into(),
        metrics: vec!["memory.used_percent".into()],
        history_ms: 0,
        ..subscribe(-310, 0)
    };
    console.command(Ask::Subscribe(filtered)).await.unwrap();
    update(&mut console).await;
    let replica = &console.replica;
    assert_eq!((replica.machines().len(), replica.totals().live), (1, 2));
    let b = replica.find("b").unwrap();
    assert_eq!(
        b.health,
        Health::Critical,
        "judged by what it does not want to see"
    );
    assert_eq!(b.recent.series().len(), 1);
    assert_eq!(b.recent.value(MetricId::MemoryUsedPercent), Some(40.0));
    assert_eq!(b.recent.times().len(), 1);
    let named = wire::Subscribe {
        machine_ids: vec!["a".into(), "nobody".into()],
        ..subscribe(-310, 0)
    };
    console.command(Ask::Subscribe(named)).await.unwrap();
    update(&mut console).await;
    assert_eq!(
        (console.replica.machines().len(), console.replica.totals().live),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_past_is_played_at_its_speed_until_the_present() {
    let (_history, aggregator, _shutdown) = fleet().await;
    let mut console = join(&aggregator).await;
    console.command(at(-320, 60)).await.unwrap();
    let first = update(&mut console).await;
    let begin = tokio::time::Instant::now();
    let (mut last, mut count) = (first.at_unix_ms, 0);
    loop {
        let next = update(&mut console).await;
        assert!(!next.snapshot);
        assert_eq!(next.at_unix_ms, next.now_unix_ms);
        count += 1;
        if next.caught_up {
            let now = START.plus_ms(i64::try_from(begin.elapsed().as_millis()).unwrap());
            assert_eq!(next.at_unix_ms, now.0, "the present");
            break;
        }
        assert_eq!(
            next.at_unix_ms - last,
            15_000,
            "a quarter of a second at sixty times"
        );
        last = next.at_unix_ms;
        let seconds = (last - START.0) / SECOND_MS;
        let ticks = (seconds + 600) / 5;
        assert_eq!(
            busy(&console.replica, "a"),
            Some(ticks as f64 / 2.0),
            "at {seconds} s"
        );
        let expected = match seconds {
            ..-284 => Liveness::Live,
            -284..-240 => Liveness::Stale,
            _ => Liveness::Lost,
        };
        assert_eq!(liveness(&console.replica, "b"), Some(expected), "at {seconds} s");
        assert_eq!(
            console.replica.find("c").is_some(),
            seconds >= -120,
            "at {seconds} s"
        );
    }
    // 320 s at sixty times: five and a third seconds.
    assert_eq!((count, begin.elapsed().as_millis()), (22, 5_500));
    assert_eq!(console.replica.find("a").unwrap().recent.times().len(), 61);
    silence(&mut console).await;
    // It is over, and its number free for the present.
    let over = Ask::Unsubscribe(wire::Unsubscribe { subscription: 1 });
    assert_eq!(failure(&mut console, over).await.code, Code::NotFound as u32);
}

#[tokio::test(start_paused = true)]
async fn at_its_own_pace_the_past_is_told_once_a_second_even_when_nothing_happens() {
    let (_history, aggregator, _shutdown) = fleet().await;
    let mut console = join(&aggregator).await;
    console.command(at(-500, 1)).await.unwrap();
    let first = update(&mut console).await.at_unix_ms;
    let begin = tokio::time::Instant::now();
    for second in 1..=12 {
        assert_eq!(update(&mut console).await.at_unix_ms, first + second * SECOND_MS);
    }
    assert_eq!(begin.elapsed().as_secs(), 12);
    assert_eq!(busy(&console.replica, "a"), Some(11.0), "22 ticks");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_owed_two_updates_and_no_more() {
    let (_history, aggregator, _shutdown) = fleet().await;
    let mut console = join(&aggregator).await;
    let id = console.ask(at(-500, 60)).await;
    let mut updates = Vec::new();
    let mut accepted = false;
    while updates.len() < 2 {
        let response = console.response().await;
        match response.body.unwrap() {
            Answer::Accepted(_) => accepted = response.request_id == id,
            Answer::Update(update) => updates.push(update),
            other => panic!("{other:?}"),
        }
    }
    assert!(accepted);
    silence(&mut console).await;
    // What it missed comes at once when it reads again.
    let last = updates.pop().unwrap();
    console.take(updates.pop().unwrap()).await;
    console.take(last.clone()).await;
    let next = update(&mut console).await;
    assert!(
        next.at_unix_ms - last.at_unix_ms >= 300_000,
        "{}",
        next.at_unix_ms - last.at_unix_ms
    );
    assert!(!next.snapshot);
}

#[tokio::test(start_paused = true)]
async fn live_and_past_take_each_others_place_under_one_number() {
    let (_history, aggregator, _shutdown) = fleet().await;
    let (mut collector, _) = Collector::join(&aggregator, "now", 1).await;
    collector.tick(START, 5).await;
    let mut console = join(&aggregator).await;
    for _ in 0..3 {
        console.command(everything(&["now"])).await.unwrap();
        console.until(|replica| replica.find("now").is_some()).await;
        console.command(at(-400, 0)).await.unwrap();
        assert!(update(&mut console).await.at_unix_ms != 0);
        // What happens now is none of its business.
        for second in 1..5 {
            collector.tick(START.plus_ms(second * 100), 7).await;
        }
        silence(&mut console).await;
        assert!(console.replica.find("now").is_none());
    }
    let end = Ask::Unsubscribe(wire::Unsubscribe { subscription: 1 });
    console.command(end.clone()).await.unwrap();
    assert_eq!(failure(&mut console, end).await.code, Code::NotFound as u32);
    // Beside each other they do not mind each other.
    console.command(at(-400, 1)).await.unwrap();
    let live = wire::Subscribe {
        subscription: 2,
        machine_ids: vec!["now".into()],
        ..Default::default()
    };
    let ask = console.ask(Ask::Subscribe(live)).await;
    let (mut of_past, mut of_now) = (0, 0);
    while of_past < 5 || of_now < 2 {
        collector.tick(START.plus_ms(60_000), 9).await;
        let response = console.response().await;
        match response.body.unwrap() {
            Answer::Update(update) => {
                of_past += usize::from(update.subscription == 1 && update.at_unix_ms != 0);
                of_now += usize::from(update.subscription == 2 && update.at_unix_ms == 0);
                let received = wire::UpdateReceived {
                    subscription: update.subscription,
                    number: update.number,
                };
                console.ask(Ask::UpdateReceived(received)).await;
            }
            Answer::Accepted(_) => assert_eq!(response.request_id, ask),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_of_several_wins_and_the_others_are_told_so() {
    let (history, aggregator, _shutdown) = fleet().await;
    let mut console = join(&aggregator).await;
    history.set(Mode::Hangs);
    let mut last = console.ask(at(-500, 0)).await;
    for second in 1..40 {
        let next = console.ask(at(-500 + second, 0)).await;
        let response = console.response().await;
        assert_eq!(response.request_id, last);
        let Some(Answer::Failure(failure)) = response.body else {
            panic!("it has been overtaken");
        };
        assert_eq!(failure.code, CANCELLED);
        last = next;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(console.responses.try_recv().is_err());
    history.set(Mode::Well);
    assert_eq!(console.response().await.request_id, last);
    assert_eq!(update(&mut console).await.at_unix_ms, START.0 - 461 * SECOND_MS);
    silence(&mut console).await;
    // One that is still being read can be cancelled by its id.
    history.set(Mode::Hangs);
    let id = console.ask(at(-100, 0)).await;
    let cancel = console.ask(Ask::Cancel(wire::Cancel { request_id: id })).await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let response = console.response().await;
        let is_failure = matches!(response.body, Some(Answer::Failure(_)));
        told.push((response.request_id, is_failure));
    }
    told.sort_unstable();
    assert_eq!(told, [(id, true), (cancel, false)]);
    history.set(Mode::Well);
    silence(&mut console).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_shown_is_refused_in_words_and_the_stream_goes_on() {
    let (aggregator, _shutdown) = start(Config::default());
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    let none = failure(&mut console, at(-10, 0)).await;
    assert_eq!(none.code, Code::FailedPrecondition as u32);

    let empty = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), empty.stores());
    let mut console = join(&aggregator).await;
    let none = failure(&mut console, at(-10, 0)).await;
    assert!(none.message.contains("no history yet"), "{}", none.message);

    let (history, aggregator, _shutdown) = fleet().await;
    let mut console = join(&aggregator).await;
    let hostile = |change: fn(&mut wire::Subscribe)| {
        let mut subscribe = subscribe(-10, 0);
        change(&mut subscribe);
        Ask::Subscribe(subscribe)
    };
    for (ask, told) in [
        (at(60, 0), "in the future"),
        (at(i64::MAX / 2_000, 0), "in the future"),
        (at(-601, 0), "there is history from 2023-11-14 22:03:20 UTC on"),
        (at(-10, 601), "at most 600 times"),
        (
            hostile(|it| it.at_unix_ms = Some(i64::MIN)),
            "there is history from",
        ),
        (hostile(|it| it.history_ms = u32::MAX), "at most 300000"),
        (hostile(|it| it.filter = "x".repeat(5_000)), "at most"),
        (hostile(|it| it.metrics = vec![String::new(); 2_000]), "at most"),
    ] {
        let refused = failure(&mut console, ask).await;
        assert_eq!(refused.code, Code::InvalidArgument as u32, "{}", refused.message);
        assert!(refused.message.contains(told), "{}", refused.message);
    }
    history.fail();
    let down = failure(&mut console, at(-10, 0)).await;
    assert_eq!(down.code, Code::Unavailable as u32);
    assert!(down.message.contains("connection refused"), "{}", down.message);
    history.set(Mode::Panics);
    let broken = failure(&mut console, at(-10, 0)).await;
    assert_eq!(broken.code, Code::Unavailable as u32, "{}", broken.message);
    history.set(Mode::Hangs);
    let slow = failure(&mut console, at(-10, 0)).await;
    assert_eq!(slow.code, Code::DeadlineExceeded as u32);
    history.set(Mode::Well);
    console.command(at(-10, 0)).await.unwrap();
    assert!(update(&mut console).await.snapshot);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_breaks_while_the_past_is_played_stops_it_where_it_is() {
    let (history, aggregator, _shutdown) = fleet().await;
    let mut console = join(&aggregator).await;
    let id = console.ask(at(-590, 10)).await;
    assert_eq!(console.response().await.request_id, id);
    update(&mut console).await;
    let mut last = update(&mut console).await.at_unix_ms;
    history.fail();
    let refused = loop {
        let response = console.response().await;
        match response.body.unwrap() {
            Answer::Update(update) => {
                last = update.at_unix_ms;
                console.take(update).await;
            }
            Answer::Failure(failure) => {
                assert_eq!(response.request_id, id);
                break failure;
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused.code, Code::Unavailable as u32);
    assert!(last > START.0 - 590 * SECOND_MS && last < START.0 - 400 * SECOND_MS);
    silence(&mut console).await;
    history.set(Mode::Well);
    let from_there = wire::Subscribe {
        at_unix_ms: Some(last),
        ..subscribe(0, 10)
    };
    console.command(Ask::Subscribe(from_there)).await.unwrap();
    assert_eq!(update(&mut console).await.at_unix_ms, last);
    assert!(update(&mut console).await.at_unix_ms > last);
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_eight_of_them_and_a_client_that_leaves_ends_them() {
    let (_history, aggregator, _shutdown) = fleet().await;
    let mut console = join(&aggregator).await;
    for subscription in 1..=9 {
        let ask = Ask::Subscribe(wire::Subscribe {
            subscription,
            ..subscribe(-100, 0)
        });
        let id = console.ask(ask).await;
        loop {
            let response = console.response().await;
            match response.body.unwrap() {
                Answer::Accepted(_) => break assert!(subscription <= 8 && response.request_id == id),
                Answer::Failure(failure) => {
                    assert_eq!((subscription, failure.code), (9, Code::ResourceExhausted as u32));
                    break;
                }
                Answer::Update(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    drop(console.commands);
    assert!(console.call.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn machines_fared_as_their_alerts_say_where_the_log_knows() {
    let (history, ..) = fleet().await;
    let (rules, bus, service) = Service::new().await;
    let alert = |seconds: i64, phase| Alert {
        since: START.plus_ms(seconds * SECOND_MS),
        phase,
        ..alert("cpu-busy", "a", Severity::Critical)
    };
    service.store(&[alert(-400, Phase::Firing)]).await;
    service.store(&[alert(-300, Phase::Resolved)]).await;
    let stores = Stores {
        history: Some(history),
        ..rules.stores(Some(&bus))
    };
    let (aggregator, _shutdown) = start_with(Config::default(), stores);
    let mut console = join(&aggregator).await;
    console.command(at(-350, 0)).await.unwrap();
    update(&mut console).await;
    let health = |console: &Console, machine: &str| console.replica.find(machine).unwrap().health;
    assert_eq!(health(&console, "a"), Health::Critical);
    assert_eq!(
        health(&console, "b"),
        Health::Healthy,
        "busy, but no alert says so"
    );
    // Before the log begins its numbers judge.
    console.command(at(-410, 0)).await.unwrap();
    update(&mut console).await;
    assert_eq!(
        (health(&console, "a"), health(&console, "b")),
        (Health::Healthy, Health::Critical)
    );
    // Played over the end of the alert.
    console.command(at(-320, 10)).await.unwrap();
    loop {
        let seconds = (update(&mut console).await.at_unix_ms - START.0) / SECOND_MS;
        let expected = if seconds < -300 {
            Health::Critical
        } else {
            Health::Healthy
        };
        assert_eq!(health(&console, "a"), expected, "at {seconds} s");
        if seconds > -280 {
            break;
        }
    }
    // Without the log the past is shown all the same.
    rules.fail();
    console.command(at(-350, 0)).await.unwrap();
    update(&mut console).await;
    assert_eq!(health(&console, "a"), Health::Healthy);
}

/// A list with a process that has this pid.
fn listing(pid: u32) -> wire::ProcessUpdate {
    wire::ProcessUpdate {
        replace: true,
        changed: vec![wire::Process {
            pid,
            start_ms: 7,
            name: "worker".into(),
            command: format!("worker --number {pid}"),
            memory_bytes: 8 << 20,
            threads: 1,
            ..Default::default()
        }],
        process_count: pid,
        ..Default::default()
    }
}

#[tokio::test(start_paused = true)]
async fn processes_are_kept_every_minute_and_more_often_while_somebody_looks() {
    let history = Faulty::new().await;
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    let mut console = join(&aggregator).await;
    let mut second = 0;
    let mut live = async |collector: &mut Collector, seconds: u32| {
        for _ in 0..seconds {
            second += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let at = START.plus_ms(i64::from(second) * SECOND_MS);
            collector.listing(at, 5, listing(1_000 + second)).await;
            // What it is told does not concern us.
            while collector.responses.try_recv().is_ok() {}
        }
    };
    live(&mut collector, 180).await;
    let at_rest = aggregator.figures().snapshots;
    assert!((2..=4).contains(&at_rest), "{at_rest}");
    let watch = wire::Subscribe {
        subscription: 2,
        processes: wire::ProcessDetail::All.into(),
        ..Default::default()
    };
    console.ask(Ask::Subscribe(watch)).await;
    live(&mut collector, 120).await;
    let watched = aggregator.figures().snapshots - at_rest;
    assert!((11..=13).contains(&watched), "{watched}");
    // A store that is down drops them, and everything else goes on.
    let before = aggregator.figures();
    history.fail();
    live(&mut collector, 30).await;
    assert_eq!(aggregator.figures().snapshots, before.snapshots);
    assert!(aggregator.figures().dropped_snapshots >= 2);
    assert!(aggregator.figures().ticks > before.ticks);
    history.set(Mode::Well);
    live(&mut collector, 60).await;

    // The moment has the processes that there were, by what was taken last before it.
    let mut console = join(&aggregator).await;
    let with_processes = wire::Subscribe {
        processes: wire::ProcessDetail::Top.into(),
        history_ms: 0,
        ..subscribe(275, 1)
    };
    console.command(Ask::Subscribe(with_processes)).await.unwrap();
    update(&mut console).await;
    let pid = |console: &Console| {
        let machine = console.replica.find("a").unwrap();
        assert!(!machine.processes.is_complete());
        let pids: Vec<u32> = machine.processes.iter().map(|process| process.key.pid).collect();
        assert_eq!(pids.len(), 1);
        assert_eq!(machine.processes.totals().processes, pids[0]);
        pids[0]
    };
    let first = pid(&console);
    assert!((1_260..=1_275).contains(&first), "{first}");
    for _ in 0..11 {
        update(&mut console).await;
    }
    let next = pid(&console);
    assert!(next > first && next <= 1_286, "{first}, then {next}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_history_is_shown_and_played_from_end_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("history.db").display());
    let history = open_history(&url, HistoryOptions::default()).await.unwrap();
    let clock = Clock::system();
    // Samples every five seconds, the newest of them a little ago.
    let now = clock.now().unix.plus_ms(-3 * SECOND_MS);
    for (name, from, to) in [("a", -3_600, 0), ("b", -3_600, -1_800), ("c", -600, 0)] {
        put_at(&*history, now, name, from, to, |index| index).await;
        while history.maintain(now).await.unwrap().more {}
    }
    let taken = MachineProcesses {
        machine: MachineId::parse("a").unwrap(),
        at: now.plus_ms(-2_000 * SECOND_MS),
        processes: ProcessSnapshot::default(),
    };
    assert_eq!(history.put_process_snapshots(&[taken]).await.unwrap(), 1);
    let stores = Stores {
        history: Some(history),
        ..Stores::default()
    };
    let (aggregator, task) =
        Aggregator::new(Config::default(), clock, stores, CancellationToken::new()).unwrap();
    tokio::spawn(task);
    let aggregator = Arc::new(aggregator);
    let mut console = join(&aggregator).await;
    let then = |seconds: i64, speed| wire::Subscribe {
        at_unix_ms: Some(now.0 + seconds * SECOND_MS),
        processes: wire::ProcessDetail::All.into(),
        ..subscribe(0, speed)
    };
    console.command(Ask::Subscribe(then(-1_950, 600))).await.unwrap();
    let first = update(&mut console).await;
    assert!(first.snapshot);
    assert_eq!(
        (console.replica.machines().len(), console.replica.totals().live),
        (2, 2)
    );
    assert_eq!(busy(&console.replica, "a"), Some(33.0), "330 ticks of a tenth");
    assert_eq!(console.replica.find("a").unwrap().recent.times().len(), 61);
    let mut last = first.at_unix_ms;
    loop {
        let next = update(&mut console).await;
        assert!(next.at_unix_ms > last);
        last = next.at_unix_ms;
        if next.caught_up {
            break;
        }
    }
    assert!(clock.now().unix.since_ms(UnixMillis(last)) < 5_000);
    let replica = &console.replica;
    assert_eq!(liveness(replica, "a"), Some(Liveness::Live));
    assert_eq!(liveness(replica, "b"), Some(Liveness::Lost));
    assert_eq!(liveness(replica, "c"), Some(Liveness::Live));
    assert_eq!(busy(replica, "a"), Some(72.0), "the newest value of all");
}
