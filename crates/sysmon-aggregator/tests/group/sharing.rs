//! What a group of aggregators promises while nothing is wrong with what it shares.

use std::time::Duration;

use sysmon_api::{Code, Replica, wire};
use sysmon_core::{Liveness, MetricId, UnixMillis};
use wire::ProcessDetail;
use wire::push_request::Body as Report;

use crate::group::{Group, Meeting, Viewer, soon};
use crate::support::{Collector, agent, busy, collector_hello};

/// Runs cases on memory, where time flies, and on a real Redis.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(
                #[tokio::test(start_paused = true)]
                async fn $case() {
                    super::$case(super::Group::new(super::Meeting::in_memory())).await;
                }
            )+
        }

        mod redis {
            $(
                #[tokio::test]
                async fn $case() {
                    let server = crate::redis_server::RedisServer::start().await;
                    super::$case(super::Group::new(super::Meeting::Redis(server.url()))).await;
                }
            )+
        }
    };
}

on_both!(
    every_aggregator_shows_every_machine_with_the_same_numbers,
    a_newcomer_shows_the_past_that_it_was_not_there_for,
    a_collector_that_moves_keeps_its_past_and_leaves_no_stream_behind,
    a_second_instance_is_refused_wherever_it_comes,
    of_two_claims_at_once_one_stays,
    looking_closely_reaches_the_collector_wherever_it_is_connected,
    an_interval_reaches_the_collector_and_the_latest_one_counts,
    a_machine_of_an_aggregator_that_died_goes_stale_and_comes_back_elsewhere,
);

/// One series of a machine: its name, and its points.
pub(crate) type Past = (String, Vec<(UnixMillis, Option<f64>)>);

/// Everything that is shown of a machine's recent past.
pub(crate) fn past(replica: &Replica, machine: &str) -> Vec<Past> {
    let recent = &replica.find(machine).unwrap().recent;
    let mut series: Vec<Past> = recent
        .series()
        .map(|(_, series)| (format!("{:?}", series.key), recent.points(series, 0).collect()))
        .collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    series
}

pub(crate) fn is_busy(machine: &str, tenths: i64) -> impl Fn(&Replica) -> bool {
    move |replica| busy(replica, machine) == Some(tenths as f64 / 10.0)
}

fn process(pid: u32, name: &str) -> wire::Process {
    wire::Process {
        pid,
        start_ms: 1,
        user: "root".into(),
        name: name.into(),
        command: name.into(),
        memory_bytes: 4_096,
        threads: 1,
        ..Default::default()
    }
}

async fn report_processes(collector: &Collector, sequence: u64, update: wire::ProcessUpdate) {
    let batch = wire::Batch {
        sequence,
        processes: Some(update),
        ..Default::default()
    };
    let request = wire::PushRequest {
        body: Some(Report::Batch(batch)),
    };
    collector.requests.send(request).await.unwrap();
}

fn names(replica: &Replica, machine: &str) -> Vec<String> {
    let machine = replica.find(machine).unwrap();
    machine
        .processes
        .iter()
        .map(|process| process.name.to_string())
        .collect()
}

async fn every_aggregator_shows_every_machine_with_the_same_numbers(group: Group) {
    let (a, b) = (group.member().await, group.member().await);
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    let (mut two, _) = Collector::join(&b.aggregator, "two", 2).await;
    let mut views = [
        Viewer::of(&a, ProcessDetail::Top).await,
        Viewer::of(&b, ProcessDetail::Top).await,
    ];
    for number in 0..50 {
        one.tick(group.now(), number).await;
        two.tick(group.now(), 500 + number).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    report_processes(
        &one,
        51,
        wire::ProcessUpdate {
            replace: true,
            process_count: 2,
            changed: vec![process(1, "init"), process(7, "postgres")],
            ..Default::default()
        },
    )
    .await;
    let only_memory = wire::Process {
        pid: 7,
        start_ms: 1,
        memory_bytes: 8_192,
        ..Default::default()
    };
    report_processes(
        &one,
        52,
        wire::ProcessUpdate {
            process_count: 2,
            changed: vec![only_memory],
            ..Default::default()
        },
    )
    .await;
    one.tick(group.now(), 99).await;
    for view in &mut views {
        view.until(is_busy("one", 99)).await;
        view.until(is_busy("two", 549)).await;
        view.until(|replica| {
            replica.find("one").is_some_and(|machine| {
                machine
                    .processes
                    .iter()
                    .any(|process| process.memory_bytes == 8_192)
            })
        })
        .await;
        assert_eq!(view.replica.totals().live, 2);
        assert_eq!(names(&view.replica, "one"), ["init", "postgres"]);
        let header = &view.replica.find("one").unwrap().host;
        assert_eq!(header.hostname, "one.example");
    }
    let [first, second] = &views;
    for machine in ["one", "two"] {
        assert_eq!(past(&first.replica, machine), past(&second.replica, machine));
        assert!(past(&first.replica, machine)[0].1.len() >= 50);
    }
    for member in [&a, &b] {
        let figures = member.aggregator.figures();
        assert_eq!((figures.unshared_events, figures.forgotten_pasts), (0, 0));
        assert!(figures.remote_ticks >= 50);
    }
}

async fn a_newcomer_shows_the_past_that_it_was_not_there_for(group: Group) {
    let a = group.member().await;
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    let mut before = Viewer::of(&a, ProcessDetail::Top).await;
    for number in 0..100 {
        one.tick(group.now().plus_ms(number * 20), number).await;
    }
    report_processes(
        &one,
        101,
        wire::ProcessUpdate {
            replace: true,
            process_count: 1,
            changed: vec![process(1, "init")],
            ..Default::default()
        },
    )
    .await;
    before.until(is_busy("one", 99)).await;
    // What was said last is in hot state when something later has been heard.
    let witness = group.member().await;
    Viewer::of(&witness, ProcessDetail::Top)
        .await
        .until(is_busy("one", 99))
        .await;

    let c = group.member().await;
    let mut after = Viewer::of(&c, ProcessDetail::Top).await;
    after.until(is_busy("one", 99)).await;
    assert_eq!(past(&after.replica, "one"), past(&before.replica, "one"));
    after.until(|replica| names(replica, "one") == ["init"]).await;
    one.tick(group.now().plus_ms(2_000), 500).await;
    after.until(is_busy("one", 500)).await;
    before.until(is_busy("one", 500)).await;
    assert_eq!(past(&after.replica, "one"), past(&before.replica, "one"));
}

async fn a_collector_that_moves_keeps_its_past_and_leaves_no_stream_behind(group: Group) {
    let (a, b) = (group.member().await, group.member().await);
    let mut views = [
        Viewer::of(&a, ProcessDetail::Top).await,
        Viewer::of(&b, ProcessDetail::Top).await,
    ];
    let (mut first, _) = Collector::join(&a.aggregator, "one", 1).await;
    first.tick(group.now(), 1).await;
    first.tick(group.now().plus_ms(100), 2).await;
    for view in &mut views {
        view.until(is_busy("one", 2)).await;
    }
    // The same process comes elsewhere; the stream that it had is half-open.
    let (mut second, _) = Collector::join(&b.aggregator, "one", 1).await;
    let error = soon(&mut first.call).await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::Aborted, "{error}");
    second.tick(group.now().plus_ms(200), 3).await;
    second.tick(group.now().plus_ms(300), 4).await;
    for view in &mut views {
        view.until(is_busy("one", 4)).await;
        assert_eq!(view.replica.find("one").unwrap().recent.times().len(), 4);
        assert_eq!(view.replica.machines().count(), 1);
    }
    // And back again.
    let (mut third, _) = Collector::join(&a.aggregator, "one", 1).await;
    assert_eq!(
        soon(&mut second.call).await.unwrap().unwrap_err().code,
        Code::Aborted
    );
    third.tick(group.now().plus_ms(400), 5).await;
    for view in &mut views {
        view.until(is_busy("one", 5)).await;
        assert_eq!(view.replica.find("one").unwrap().recent.times().len(), 5);
    }
}

async fn a_second_instance_is_refused_wherever_it_comes(group: Group) {
    let (a, b) = (group.member().await, group.member().await);
    let mut view = Viewer::of(&b, ProcessDetail::Top).await;
    let (mut first, _) = Collector::join(&a.aggregator, "one", 1).await;
    first.tick(group.now(), 1).await;
    view.until(is_busy("one", 1)).await;
    let mut stranger = Collector::open(&b.aggregator, agent("one"));
    stranger.requests.send(collector_hello("one", 2)).await.unwrap();
    let error = soon(&mut stranger.call).await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::AlreadyExists, "{error}");
    assert!(error.message.contains("two machines claim one"), "{error}");
    first.tick(group.now().plus_ms(100), 2).await;
    view.until(is_busy("one", 2)).await;
    assert!(!first.call.is_finished());
}

async fn of_two_claims_at_once_one_stays(group: Group) {
    let (a, b) = (group.member().await, group.member().await);
    let mut claims = Vec::new();
    for (member, instance) in [(&a, 1), (&b, 2)] {
        let claim = Collector::open(&member.aggregator, agent("one"));
        claim
            .requests
            .send(collector_hello("one", instance))
            .await
            .unwrap();
        claims.push(claim);
    }
    let ended = soon(async {
        loop {
            for (index, claim) in claims.iter().enumerate() {
                if claim.call.is_finished() {
                    return index;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let loser = claims.remove(ended);
    let error = loser.call.await.unwrap().unwrap_err();
    assert!(
        [Code::Aborted, Code::AlreadyExists].contains(&error.code),
        "{error}"
    );
    let mut winner = claims.remove(0);
    winner.tick(group.now(), 7).await;
    for member in [&a, &b] {
        Viewer::of(member, ProcessDetail::Top)
            .await
            .until(is_busy("one", 7))
            .await;
    }
    assert!(!winner.call.is_finished());
}

/// The next directive that asks for these processes.
async fn until_asked(collector: &mut Collector, processes: ProcessDetail) {
    soon(async { while collector.directive().await.processes() != processes {} }).await;
}

async fn looking_closely_reaches_the_collector_wherever_it_is_connected(group: Group) {
    let (a, b) = (group.member().await, group.member().await);
    let (mut one, directive) = Collector::join(&a.aggregator, "one", 1).await;
    assert_eq!(directive.processes(), ProcessDetail::Top);
    one.tick(group.now(), 1).await;
    let mut view = Viewer::of(&b, ProcessDetail::All).await;
    view.until(is_busy("one", 1)).await;
    until_asked(&mut one, ProcessDetail::All).await;
    drop(view);
    until_asked(&mut one, ProcessDetail::Top).await;
    // Somebody looks before the machine is there, and the machine moves to where nobody looks and back.
    let _view = Viewer::of(&b, ProcessDetail::All).await;
    until_asked(&mut one, ProcessDetail::All).await;
    let (_moved, directive) = Collector::join(&b.aggregator, "one", 1).await;
    assert_eq!(directive.processes(), ProcessDetail::All);
    let (mut back, directive) = Collector::join(&a.aggregator, "one", 1).await;
    // With its very first directive when the wish from before still counts, else soon.
    if directive.processes() != ProcessDetail::All {
        until_asked(&mut back, ProcessDetail::All).await;
    }
}

async fn an_interval_reaches_the_collector_and_the_latest_one_counts(group: Group) {
    let (a, b) = (group.member().await, group.member().await);
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    one.tick(group.now(), 1).await;
    let mut here = Viewer::of(&a, ProcessDetail::Top).await;
    let mut there = Viewer::of(&b, ProcessDetail::Top).await;
    there.until(is_busy("one", 1)).await;
    let set = |interval_ms| {
        wire::command::Body::SetInterval(wire::SetInterval {
            machine_id: "one".into(),
            interval_ms,
        })
    };
    there.ask(set(250)).await;
    assert_eq!(soon(one.directive()).await.interval_ms, 250);
    tokio::time::sleep(Duration::from_millis(5)).await;
    here.ask(set(500)).await;
    assert_eq!(soon(one.directive()).await.interval_ms, 500);
    tokio::time::sleep(Duration::from_millis(5)).await;
    there.ask(set(0)).await;
    assert_eq!(soon(one.directive()).await.interval_ms, 0);
}

async fn a_machine_of_an_aggregator_that_died_goes_stale_and_comes_back_elsewhere(group: Group) {
    let (a, b) = (group.member().await, group.member().await);
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    one.tick(group.now(), 1).await;
    let mut view = Viewer::of(&b, ProcessDetail::Top).await;
    view.until(is_busy("one", 1)).await;
    let alive = wire::PushRequest {
        body: Some(Report::Heartbeat(wire::Heartbeat { now_unix_ms: 0 })),
    };
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        one.requests.send(alive.clone()).await.unwrap();
    }
    let liveness = |replica: &Replica| replica.find("one").unwrap().liveness;
    assert_eq!(
        liveness(&view.replica),
        Liveness::Live,
        "heartbeats count everywhere"
    );
    a.kill().await;
    view.until(|replica| liveness(replica) == Liveness::Stale).await;
    let (mut back, _) = Collector::join(&b.aggregator, "one", 1).await;
    back.tick(group.now(), 2).await;
    view.until(is_busy("one", 2)).await;
    view.until(|replica| liveness(replica) == Liveness::Live).await;
    assert_eq!(view.replica.find("one").unwrap().recent.times().len(), 2);
    assert!(
        view.replica
            .find("one")
            .unwrap()
            .recent
            .value(MetricId::CpuBusy)
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_an_aggregator_that_died_is_lost_after_a_minute() {
    let group = Group::new(Meeting::in_memory());
    let (a, b) = (group.member().await, group.member().await);
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    one.tick(group.now(), 1).await;
    let mut view = Viewer::of(&b, ProcessDetail::Top).await;
    view.until(is_busy("one", 1)).await;
    a.kill().await;
    tokio::time::sleep(Duration::from_secs(40)).await;
    view.until(|replica| replica.find("one").unwrap().liveness == Liveness::Lost)
        .await;
    // And for one who comes only now: the time that passed counts.
    let c = group.member().await;
    let mut late = Viewer::of(&c, ProcessDetail::Top).await;
    late.until(|replica| {
        replica
            .find("one")
            .is_some_and(|one| one.liveness == Liveness::Lost)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_an_aggregator_wanted_that_died_is_let_go_after_fifteen_seconds() {
    let group = Group::new(Meeting::in_memory());
    let (a, b) = (group.member().await, group.member().await);
    let (mut one, _) = Collector::join(&a.aggregator, "one", 1).await;
    one.tick(group.now(), 1).await;
    let mut view = Viewer::of(&b, ProcessDetail::All).await;
    view.until(is_busy("one", 1)).await;
    until_asked(&mut one, ProcessDetail::All).await;
    // Renewed for as long as somebody looks.
    let quiet = tokio::time::timeout(Duration::from_secs(60), one.directive()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let died = tokio::time::Instant::now();
    b.kill().await;
    until_asked(&mut one, ProcessDetail::Top).await;
    let after = died.elapsed();
    assert!(
        (Duration::from_secs(9)..Duration::from_secs(17)).contains(&after),
        "{after:?}"
    );
}
