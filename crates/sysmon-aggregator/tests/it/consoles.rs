//! Interactive clients' streams.

use std::sync::Arc;
use std::time::Duration;

use sysmon_aggregator::Config;
use sysmon_api::{Code, Role, wire};
use sysmon_core::{Epoch, Liveness, MachineId};
use sysmon_store::{Content, History, IngestBatch, SeriesTable};
use wire::command::Body as Ask;
use wire::response::Body as Answer;

use crate::faulty::{Faulty, Mode};
use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_tick_reaches_the_subscriber_at_once() {
    let (aggregator, _shutdown) = start(Config::default());
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    console.command(everything(&[])).await.unwrap();
    for second in 1..20 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let begin = tokio::time::Instant::now();
        collector.tick(START.plus_ms(second * 1_000), second).await;
        console
            .until(|replica| busy(replica, "a") == Some(second as f64 / 10.0))
            .await;
        assert_eq!(begin.elapsed(), Duration::ZERO, "no timer is waited for");
    }
    assert_eq!(console.replica.find("a").unwrap().host.hostname, "a.example");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_the_machines_that_do_not_come_back_are_shown_as_lost() {
    let history = Faulty::new().await;
    let batch = |machine: &str, ago_ms: i64| IngestBatch {
        machine: MachineId::parse(machine).unwrap(),
        epoch: Epoch([1; 16]),
        sequence: 1,
        content: Content::Tick {
            at: START.plus_ms(-ago_ms),
            series: Arc::new(SeriesTable::new([].into())),
            values: Vec::new(),
        },
        clock_offset_ms: 0,
        host: None,
        spool_was_lost: false,
    };
    const DAY_MS: i64 = 86_400_000;
    history
        .commit(&[
            batch("back", 60_000),
            batch("gone", 2 * DAY_MS),
            batch("scrapped", 8 * DAY_MS),
        ])
        .await
        .unwrap();
    // The database takes a while to come up, too.
    history.fail();
    let (aggregator, _shutdown) = start_with(Config::default(), history.stores());
    let (mut collector, _) = Collector::join(&aggregator, "back", 1).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    console.storage().await;
    console.command(everything(&[])).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    history.set(Mode::Well);
    collector.tick(START.plus_ms(9_000), 5).await;
    console.until(|replica| replica.find("gone").is_some()).await;
    let gone = console.replica.find("gone").unwrap();
    assert_eq!(gone.liveness, Liveness::Lost);
    assert_eq!(gone.last_seen, START.plus_ms(-2 * DAY_MS));
    assert_eq!(console.replica.find("back").unwrap().liveness, Liveness::Live);
    assert!(console.replica.find("scrapped").is_none());
}

#[tokio::test(start_paused = true)]
async fn commands_are_answered_by_their_id_and_a_wrong_one_does_not_end_the_stream() {
    let (aggregator, _shutdown) = start(Config::default());
    let (_collector, _) = Collector::join(&aggregator, "a", 1).await;
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    let set = |interval_ms| {
        Ask::SetInterval(wire::SetInterval {
            machine_id: "a".into(),
            interval_ms,
        })
    };
    let unsubscribe = Ask::Unsubscribe(wire::Unsubscribe { subscription: 7 });
    let too_much = Ask::Subscribe(wire::Subscribe {
        history_ms: u32::MAX,
        ..Default::default()
    });
    for (ask, code) in [
        (set(500), Code::PermissionDenied),
        (unsubscribe, Code::NotFound),
        (too_much, Code::InvalidArgument),
        (Ask::Hello(sysmon_api::hello(START)), Code::InvalidArgument),
    ] {
        assert_eq!(console.command(ask).await.unwrap_err().code, code as u32);
    }
    for body in [None, Some(set(500))] {
        console
            .commands
            .send(wire::Command { request_id: 0, body })
            .await
            .unwrap();
        assert!(matches!(console.response().await.body, Some(Answer::Failure(_))));
    }
    console.command(everything(&[])).await.unwrap();
    console.until(|replica| replica.find("a").is_some()).await;
    let mut operator = Console::join(&aggregator, Role::Operator).await;
    operator.command(set(500)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stranger_to_the_protocol_is_told_which_side_to_upgrade() {
    let (aggregator, _shutdown) = start(Config::default());
    let mut old = Console::open(&aggregator, Role::Viewer);
    let mut hello = sysmon_api::hello(START);
    hello.protocol_version = 0;
    old.ask(Ask::Hello(hello)).await;
    let error = old.call.await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::FailedPrecondition);
    let mut hasty = Console::open(&aggregator, Role::Viewer);
    hasty.ask(everything(&[])).await;
    assert_eq!(hasty.call.await.unwrap().unwrap_err().code, Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn looking_closely_asks_the_collector_for_all_processes_until_the_client_is_gone_in_whatever_way() {
    let (aggregator, _shutdown) = start(Config::default());
    let (mut collector, first) = Collector::join(&aggregator, "a", 1).await;
    assert_eq!(first.processes(), wire::ProcessDetail::Top);
    for ends_politely in [true, false] {
        let mut console = Console::join(&aggregator, Role::Viewer).await;
        console.command(everything(&["a"])).await.unwrap();
        assert_eq!(collector.directive().await.processes(), wire::ProcessDetail::All);
        if ends_politely {
            drop(console.commands);
            console.call.await.unwrap().unwrap();
        } else {
            console.call.abort();
        }
        assert_eq!(collector.directive().await.processes(), wire::ProcessDetail::Top);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_hinders_nobody_and_is_still_there_when_it_reads_again() {
    let (aggregator, _shutdown) = start(Config::default());
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    let mut slow = Console::join(&aggregator, Role::Viewer).await;
    // As many commands as are taken: replies and updates pile up, then its commands wait.
    let mut asked = 0;
    for subscription in (0..8).cycle() {
        let ask = Ask::Subscribe(wire::Subscribe {
            subscription,
            ..Default::default()
        });
        let command = wire::Command {
            request_id: 1_000,
            body: Some(ask),
        };
        if tokio::time::timeout(Duration::from_secs(5), slow.commands.send(command))
            .await
            .is_err()
        {
            break;
        }
        asked += 1;
        assert!(asked < 1_000, "commands must wait at some point");
    }
    let mut quick = Console::join(&aggregator, Role::Viewer).await;
    quick.command(everything(&[])).await.unwrap();
    for second in 1..400 {
        collector.tick(START.plus_ms(second * 1_000), second).await;
        quick
            .until(|replica| busy(replica, "a") == Some(second as f64 / 10.0))
            .await;
    }
    let mut accepted = 0;
    while accepted < asked {
        match slow.response().await.body.unwrap() {
            Answer::Accepted(_) => accepted += 1,
            Answer::Update(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(aggregator.figures().overflows, 0);
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_ticks_becomes_few_updates() {
    let (aggregator, _shutdown) = start(Config::default());
    let mut collectors = Vec::new();
    for number in 0..200 {
        collectors.push(Collector::join(&aggregator, &format!("m{number}"), 1).await.0);
    }
    let mut console = Console::join(&aggregator, Role::Viewer).await;
    console.command(everything(&[])).await.unwrap();
    console.until(sysmon_api::Replica::is_complete).await;
    let before = aggregator.figures().updates;
    for collector in &mut collectors {
        collector.tick(START, 500).await;
    }
    let all = |replica: &sysmon_api::Replica| {
        replica
            .machines()
            .all(|(_, machine)| machine.recent.value(sysmon_core::MetricId::CpuBusy).is_some())
    };
    console.until(all).await;
    let updates = aggregator.figures().updates - before;
    assert!(updates <= 5, "{updates} updates for 200 ticks");
}

#[tokio::test(start_paused = true)]
async fn more_clients_than_the_limit_are_refused_until_one_leaves() {
    let (aggregator, _shutdown) = start(Config {
        clients_max: 1,
        ..Config::default()
    });
    let first = Console::join(&aggregator, Role::Viewer).await;
    let mut second = Console::open(&aggregator, Role::Viewer);
    second.ask(Ask::Hello(sysmon_api::hello(START))).await;
    assert_eq!(
        second.call.await.unwrap().unwrap_err().code,
        Code::ResourceExhausted
    );
    first.call.abort();
    let _ = first.call.await;
    Console::join(&aggregator, Role::Viewer).await;
}
