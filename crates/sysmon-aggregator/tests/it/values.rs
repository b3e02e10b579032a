//! The simple interface: current state, and streams of values.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sysmon_aggregator::{Aggregator, Config};
use sysmon_api::{ApiError, Backend, Code, Outbound, Role, wire};
use tokio::sync::mpsc;

use crate::support::*;

async fn state(aggregator: &Aggregator, machine: &str) -> Result<wire::MachineState, ApiError> {
    let request = wire::StateRequest {
        machine_id: machine.into(),
    };
    aggregator.current_state(who(Role::Viewer), request).await
}

/// A stream of values whose reader has room for `capacity`.
fn values(
    aggregator: &Arc<Aggregator>,
    machines: &[&str],
    types: &[&str],
    capacity: usize,
) -> mpsc::Receiver<Result<wire::Metric, ApiError>> {
    let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    let request = wire::MetricsRequest {
        machine_ids: texts(machines),
        types: texts(types),
    };
    let (outbound, receiver) = Outbound::channel(capacity);
    let aggregator = Arc::clone(aggregator);
    tokio::spawn(async move {
        let _ = aggregator
            .stream_metrics(who(Role::Viewer), request, outbound)
            .await;
    });
    receiver
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_machine_is_its_newest_values_with_their_times() {
    let (aggregator, _shutdown) = start(Config::default());
    assert_eq!(state(&aggregator, "a").await.unwrap_err().code, Code::NotFound);
    assert_eq!(
        state(&aggregator, "\u{1b}[2J").await.unwrap_err().code,
        Code::NotFound
    );
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    collector.tick(START, 10).await;
    collector.tick(START.plus_ms(1_000), 20).await;
    // The queue to the owner keeps the order.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let state = state(&aggregator, "a").await.unwrap();
    assert_eq!(state.liveness(), wire::Liveness::Live);
    assert_eq!(state.host.unwrap().hostname, "a.example");
    let mut metrics: Vec<_> = state
        .metrics
        .into_iter()
        .map(|metric| {
            (
                metric.r#type,
                metric.timestamp_unix_ms - START.0,
                metric.value,
                metric.unit,
                metric.labels,
            )
        })
        .collect();
    metrics.sort_by(|left, right| left.0.cmp(&right.0));
    let mount: HashMap<_, _> = [("mount".to_string(), "/".to_string())].into();
    assert_eq!(
        metrics,
        [
            (
                "cpu.busy_percent".into(),
                1_000,
                2.0,
                "percent".into(),
                HashMap::new()
            ),
            ("mount.used_percent".into(), 0, 50.5, "percent".into(), mount),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_what_is_and_goes_on_with_what_comes() {
    let (aggregator, _shutdown) = start(Config::default());
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    let (mut other, _) = Collector::join(&aggregator, "b", 1).await;
    other.tick(START, 990).await;
    for second in 0..3 {
        collector.tick(START.plus_ms(second * 1_000), second).await;
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut stream = values(&aggregator, &["a", "later"], &["cpu.busy_percent"], 8);
    let mut next = async || {
        let metric = stream.recv().await.unwrap().unwrap();
        (
            metric.machine_id,
            (metric.timestamp_unix_ms - START.0) / 1_000,
            metric.value,
        )
    };
    assert_eq!(next().await, ("a".into(), 2, 0.2), "the newest only");
    for second in 3..30 {
        collector.tick(START.plus_ms(second * 1_000), second).await;
        assert_eq!(
            next().await,
            ("a".into(), second, second as f64 / 10.0),
            "each once"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (mut later, _) = Collector::join(&aggregator, "later", 1).await;
    later.tick(START, 7).await;
    assert_eq!(next().await, ("later".into(), 0, 0.7));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_skips_what_has_left_the_window_and_never_sees_a_value_twice() {
    let (aggregator, _shutdown) = start(Config {
        window_ms: 20_000,
        ..Config::default()
    });
    let (mut collector, _) = Collector::join(&aggregator, "a", 1).await;
    let mut stream = values(&aggregator, &[], &[], 1);
    for second in 0..600 {
        collector.tick(START.plus_ms(second * 1_000), second).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut times: HashMap<String, Vec<i64>> = HashMap::new();
    while let Ok(Some(metric)) = tokio::time::timeout(Duration::from_secs(9), stream.recv()).await {
        let metric = metric.unwrap();
        times
            .entry(metric.r#type)
            .or_default()
            .push((metric.timestamp_unix_ms - START.0) / 1_000);
    }
    let busy = &times["cpu.busy_percent"];
    assert!(busy.is_sorted_by(|earlier, later| earlier < later), "{busy:?}");
    assert_eq!(busy.last(), Some(&599));
    assert!(busy.len() < 100, "{} values were kept for it", busy.len());
    assert_eq!(times["mount.used_percent"], [0]);
    drop(stream);
    tokio::time::sleep(Duration::from_secs(2)).await;
    collector.tick(START.plus_ms(600_000), 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_makes_no_sense_is_refused() {
    let (aggregator, _shutdown) = start(Config::default());
    let request = wire::MetricsRequest {
        types: vec!["x".into(); 5_000],
        ..Default::default()
    };
    let (outbound, _receiver) = Outbound::channel(1);
    let error = aggregator
        .stream_metrics(who(Role::Viewer), request, outbound)
        .await
        .unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
}
