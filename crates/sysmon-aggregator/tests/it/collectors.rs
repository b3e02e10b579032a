//! Collectors' streams.

use std::time::Duration;

use sysmon_aggregator::Config;
use sysmon_api::{Code, Role, wire};
use wire::push_request::Body as Report;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn an_agent_reports_for_its_own_machine_only() {
    let (aggregator, _shutdown) = start(Config::default());
    for (principal, allowed) in [
        (agent("b"), false),
        (who(Role::Operator), false),
        (who(Role::Admin), true),
    ] {
        let mut collector = Collector::open(&aggregator, principal);
        collector.requests.send(collector_hello("a", 1)).await.unwrap();
        if allowed {
            collector.told().await;
        } else {
            let error = collector.call.await.unwrap().unwrap_err();
            assert_eq!(error.code, Code::PermissionDenied);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_does_not_introduce_itself_is_sent_away() {
    let (aggregator, _shutdown) = start(Config::default());
    let silent = Collector::open(&aggregator, agent("a"));
    assert_eq!(
        silent.call.await.unwrap().unwrap_err().code,
        Code::DeadlineExceeded
    );
    let hasty = Collector::open(&aggregator, agent("a"));
    hasty.requests.send(tick(START, 1, 5)).await.unwrap();
    assert_eq!(hasty.call.await.unwrap().unwrap_err().code, Code::InvalidArgument);
    let gone = Collector::open(&aggregator, agent("a"));
    drop(gone.requests);
    assert_eq!(gone.call.await.unwrap(), Ok(()));
    let (twice, _) = Collector::join(&aggregator, "a", 1).await;
    twice.requests.send(collector_hello("a", 1)).await.unwrap();
    assert_eq!(twice.call.await.unwrap().unwrap_err().code, Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_batch_ends_the_stream_with_a_reason() {
    let (aggregator, _shutdown) = start(Config::default());
    let (collector, _) = Collector::join(&aggregator, "a", 1).await;
    let batch = wire::Batch {
        tick: Some(wire::Tick {
            at_unix_ms: 0,
            series_steps: vec![1, 2, 3],
            values: vec![1],
        }),
        ..Default::default()
    };
    collector
        .requests
        .send(wire::PushRequest {
            body: Some(Report::Batch(batch)),
        })
        .await
        .unwrap();
    let error = collector.call.await.unwrap().unwrap_err();
    assert!(error.message.contains("3 series but 1 values"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_ends_the_half_open_stream_and_a_stranger_is_refused_until_the_first_is_gone() {
    let (aggregator, _shutdown) = start(Config::default());
    let (old, _) = Collector::join(&aggregator, "a", 1).await;
    let (current, _) = Collector::join(&aggregator, "a", 1).await;
    assert_eq!(old.call.await.unwrap().unwrap_err().code, Code::Aborted);
    let stranger = Collector::open(&aggregator, agent("a"));
    stranger.requests.send(collector_hello("a", 2)).await.unwrap();
    let error = stranger.call.await.unwrap().unwrap_err();
    assert_eq!(error.code, Code::AlreadyExists);
    assert!(error.message.contains("two machines claim a"), "{error}");
    assert_eq!(aggregator.figures().refused_streams, 1);
    // However the first one ends, its successor need not wait.
    current.call.abort();
    let _ = current.call.await;
    let (_successor, _) = Collector::join(&aggregator, "a", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_reads_nothing_can_still_report() {
    let (aggregator, _shutdown) = start(Config::default());
    let mut collector = Collector::open(&aggregator, agent("a"));
    collector.requests.send(collector_hello("a", 1)).await.unwrap();
    let mut watcher = Console::join(&aggregator, Role::Operator).await;
    watcher.command(everything(&["a"])).await.unwrap();
    for round in 1..200 {
        // Each of these is a new directive, and nobody reads them.
        let set = wire::SetInterval {
            machine_id: "a".into(),
            interval_ms: 1_000 + round,
        };
        watcher
            .command(wire::command::Body::SetInterval(set))
            .await
            .unwrap();
        collector
            .tick(START.plus_ms(i64::from(round) * 1_000), round.into())
            .await;
        watcher
            .until(|replica| busy(replica, "a") == Some(f64::from(round) / 10.0))
            .await;
    }
    // What waits is the latest.
    let mut last = wire::Directive::default();
    while let Ok(Ok(told)) = collector.responses.try_recv() {
        if let Some(wire::push_response::Body::Directive(directive)) = told.body {
            last = directive;
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(last.interval_ms, 1_199);
}

#[tokio::test(start_paused = true)]
async fn a_silent_machine_goes_stale_and_lost_for_its_watchers_without_anybody_speaking() {
    let (aggregator, _shutdown) = start(Config::default());
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    collector.tick(START, 5).await;
    let mut watcher = Console::join(&aggregator, Role::Viewer).await;
    watcher.command(everything(&[])).await.unwrap();
    let begin = tokio::time::Instant::now();
    for (liveness, seconds) in [
        (sysmon_core::Liveness::Stale, 3),
        (sysmon_core::Liveness::Lost, 60),
    ] {
        watcher
            .until(|replica| {
                replica
                    .find("a")
                    .is_some_and(|machine| machine.liveness == liveness)
            })
            .await;
        let late = begin.elapsed() - Duration::from_secs(seconds);
        assert!(late < Duration::from_millis(300), "{late:?} after {seconds} s");
    }
    let heartbeat = Report::Heartbeat(wire::Heartbeat { now_unix_ms: 0 });
    collector
        .requests
        .send(wire::PushRequest {
            body: Some(heartbeat),
        })
        .await
        .unwrap();
    watcher.until(|replica| replica.totals().live == 1).await;
}

#[tokio::test(start_paused = true)]
async fn all_streams_end_when_the_aggregator_stops() {
    let (aggregator, shutdown) = start(Config::default());
    let (collector, _) = Collector::join(&aggregator, "a", 1).await;
    let console = Console::join(&aggregator, Role::Viewer).await;
    // This one reads nothing and has much to read.
    let mut slow = Console::join(&aggregator, Role::Viewer).await;
    let patience = Duration::from_secs(1);
    while tokio::time::timeout(patience, slow.ask(everything(&[])))
        .await
        .is_ok()
    {}
    shutdown.cancel();
    for call in [collector.call, console.call, slow.call] {
        assert_eq!(call.await.unwrap().unwrap_err().code, Code::Unavailable);
    }
    let late = Collector::open(&aggregator, agent("b"));
    late.requests.send(collector_hello("b", 1)).await.unwrap();
    assert_eq!(late.call.await.unwrap().unwrap_err().code, Code::Unavailable);
}
