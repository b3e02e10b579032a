//! The whole collector over a real connection: this machine as an aggregator sees it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sysmon_api::wire::push_request::Body as Request;
use sysmon_api::wire::push_response::Body as Response;
use sysmon_api::{
    Access, ApiError, Backend, Client, ClientConfig, Code, Endpoint, Inbound, Outbound, Principal, Server,
    hello, processes_from_wire, series_from_wire, tick_values, wire,
};
use sysmon_collector::{Config, run};
use sysmon_core::{MachineId, ProcessTable, UnixMillis, from_scaled};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Hands requests to the test, and its directives to the collector.
struct Aggregator {
    requests: mpsc::Sender<Request>,
    directives: Mutex<mpsc::Receiver<wire::Directive>>,
}

fn not_here<T>() -> Result<T, ApiError> {
    Err(ApiError::new(
        Code::Unimplemented,
        "only collectors are served here",
    ))
}

#[async_trait]
impl Backend for Aggregator {
    async fn push(
        &self,
        _: Principal,
        mut requests: Inbound<wire::PushRequest>,
        responses: Outbound<wire::PushResponse>,
    ) -> Result<(), ApiError> {
        let body = Some(Response::Hello(hello(UnixMillis(0))));
        let _ = responses.send(wire::PushResponse { body }).await;
        let mut directives = self.directives.lock().await;
        loop {
            tokio::select! {
                request = requests.next() => match request? {
                    Some(request) => {
                        if let Some(body) = request.body {
                            let _ = self.requests.send(body).await;
                        }
                    }
                    None => return Ok(()),
                },
                Some(directive) = directives.recv() => {
                    let body = Some(Response::Directive(directive));
                    let _ = responses.send(wire::PushResponse { body }).await;
                }
            }
        }
    }

    async fn manage(
        &self,
        _: Principal,
        _: Inbound<wire::Command>,
        _: Outbound<sysmon_api::Outgoing>,
    ) -> Result<(), ApiError> {
        not_here()
    }

    async fn stream_metrics(
        &self,
        _: Principal,
        _: wire::MetricsRequest,
        _: Outbound<wire::Metric>,
    ) -> Result<(), ApiError> {
        not_here()
    }

    async fn current_state(
        &self,
        _: Principal,
        _: wire::StateRequest,
    ) -> Result<wire::MachineState, ApiError> {
        not_here()
    }

    async fn history(&self, _: Principal, _: wire::HistoryRequest) -> Result<wire::HistoryReply, ApiError> {
        not_here()
    }
}

/// What is known of the machine from its batches.
#[derive(Default)]
struct Known {
    series: BTreeMap<u32, (String, u8)>,
    values: BTreeMap<String, f64>,
    processes: ProcessTable,
}

impl Known {
    fn take(&mut self, batch: &wire::Batch) {
        for definition in &batch.announced {
            let (number, key, decimals) = series_from_wire(definition).unwrap();
            self.series.insert(number, (key.to_string(), decimals));
        }
        for (number, value) in tick_values(batch.tick.as_ref().unwrap()).unwrap() {
            let (name, decimals) = &self.series[&number];
            self.values.insert(name.clone(), from_scaled(value, *decimals));
        }
        if let Some(update) = &batch.processes {
            self.processes
                .apply(&processes_from_wire(update, &self.processes));
        }
    }
}

async fn next(requests: &mut mpsc::Receiver<Request>) -> Request {
    timeout(Duration::from_secs(20), requests.recv())
        .await
        .expect("the collector reports")
        .unwrap()
}

async fn next_batch(requests: &mut mpsc::Receiver<Request>) -> wire::Batch {
    loop {
        if let Request::Batch(batch) = next(requests).await {
            return batch;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_machine_reports_itself_follows_a_directive_and_ends_when_told() {
    let (sender, mut requests) = mpsc::channel(16);
    let (direct, directives) = mpsc::channel(1);
    let backend = Aggregator {
        requests: sender,
        directives: Mutex::new(directives),
    };
    let mut server = Server::new(Arc::new(backend), Arc::new(Access::local_only()));
    let endpoint = Endpoint::in_process(server.in_process());
    let stop_server = CancellationToken::new();
    let serving = tokio::spawn(server.serve(stop_server.clone()));

    let client = Client::new(ClientConfig::new(endpoint)).unwrap();
    let mut config = Config::new(MachineId::parse("this-machine").unwrap());
    config.container_sockets = Vec::new();
    let stop = CancellationToken::new();
    let collector = tokio::spawn(run(config, client, stop.clone()));

    let Request::Hello(hello) = next(&mut requests).await else {
        panic!("a stream begins with a hello")
    };
    assert_eq!(
        (hello.machine_id.as_str(), hello.interval_ms),
        ("this-machine", 5_000)
    );
    assert!(hello.host.as_ref().unwrap().memory_bytes > 0);

    // The first tick has rates and processes already.
    let mut known = Known::default();
    known.take(&next_batch(&mut requests).await);
    for name in [
        "cpu.busy_percent",
        "memory.used_bytes",
        "load.1m",
        "cpu.context_switches_per_second",
        "collector.interval_ms",
    ] {
        assert!(known.values.contains_key(name), "{name}: {:?}", known.values);
    }
    assert!(known.processes.totals().processes > 1);
    assert!(!known.processes.is_complete());

    direct
        .send(wire::Directive {
            burst_interval_ms: 0,
            interval_ms: 100,
            processes: wire::ProcessDetail::All.into(),
        })
        .await
        .unwrap();
    let faster = loop {
        let batch = next_batch(&mut requests).await;
        known.take(&batch);
        if batch.interval_ms != 0 {
            break batch;
        }
    };
    assert_eq!(faster.interval_ms, 100);
    assert_eq!(
        known.values["collector.interval_ms"], 100.0,
        "history knows the pace too"
    );
    let mut last = faster.sequence;
    while !known.processes.is_complete() || !known.values.contains_key("mount.used_percent{mount=\"/\"}") {
        let batch = next_batch(&mut requests).await;
        assert_eq!(batch.sequence, last + 1);
        last = batch.sequence;
        known.take(&batch);
    }
    let own = known
        .processes
        .iter()
        .find(|process| process.key.pid == std::process::id());
    assert!(own.unwrap().memory_bytes > 0);

    stop.cancel();
    let ended = timeout(Duration::from_secs(5), collector)
        .await
        .expect("it ends in time")
        .unwrap();
    assert!(ended.is_ok(), "{ended:?}");
    stop_server.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_invalid_configuration_is_refused_before_anything_starts() {
    let client = Client::new(ClientConfig::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
    let config = Config {
        interval_ms: 1,
        ..Config::new(MachineId::parse("x").unwrap())
    };
    let error = run(config, client, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("interval is 1 ms"), "{error}");
}
