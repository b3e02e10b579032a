//! Collectors, clients and the aggregator over real connections within one process.

use std::sync::Arc;
use std::time::Duration;

use sysmon_aggregator::{Aggregator, Config, Stores};
use sysmon_api::{Access, ApiError, Client, ClientConfig, Endpoint, Inbound, Replica, Server, wire};
use sysmon_core::UnixMillis;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::{busy, collector_hello, everything, tick};

fn now() -> UnixMillis {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    UnixMillis(since.as_millis() as i64)
}

struct Reporter {
    requests: mpsc::Sender<wire::PushRequest>,
    _responses: Inbound<wire::PushResponse>,
}

async fn report(client: &Client, machine: &str, instance: u8) -> Result<Reporter, ApiError> {
    let (requests, outgoing) = mpsc::channel(8);
    requests.send(collector_hello(machine, instance)).await.unwrap();
    let mut responses = client.push(outgoing).await?;
    assert!(responses.next().await?.is_some());
    Ok(Reporter {
        requests,
        _responses: responses,
    })
}

struct Viewer {
    commands: mpsc::Sender<wire::Command>,
    responses: Inbound<wire::Response>,
    replica: Replica,
}

impl Viewer {
    async fn open(client: &Client) -> Self {
        let (commands, outgoing) = mpsc::channel(8);
        for body in [
            wire::command::Body::Hello(sysmon_api::hello(now())),
            everything(&[]),
        ] {
            let command = wire::Command {
                request_id: 1,
                body: Some(body),
            };
            commands.send(command).await.unwrap();
        }
        let responses = client.manage(outgoing).await.unwrap();
        Self {
            commands,
            responses,
            replica: Replica::default(),
        }
    }

    async fn until(&mut self, done: impl Fn(&Replica) -> bool) {
        while !done(&self.replica) {
            let next = tokio::time::timeout(Duration::from_secs(10), self.responses.next());
            let response = next
                .await
                .expect("an update within ten seconds")
                .unwrap()
                .unwrap();
            let Some(wire::response::Body::Update(update)) = response.body else {
                continue;
            };
            self.replica.apply(&update).unwrap();
            let received = wire::UpdateReceived {
                subscription: 1,
                number: update.number,
            };
            let command = wire::Command {
                request_id: 0,
                body: Some(wire::command::Body::UpdateReceived(received)),
            };
            self.commands.send(command).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_collectors_and_two_clients_agree_over_grpc() {
    let shutdown = CancellationToken::new();
    let aggregator = Aggregator::spawn(Config::default(), Stores::default(), shutdown.clone()).unwrap();
    let mut server = Server::new(
        Arc::clone(&aggregator) as Arc<dyn sysmon_api::Backend>,
        Arc::new(Access::local_only()),
    );
    let endpoint = Endpoint::in_process(server.in_process());
    let serving = tokio::spawn(server.serve(shutdown.clone()));
    let client = Client::new(ClientConfig::new(endpoint)).unwrap();

    let mut reporters = Vec::new();
    for number in 0..3 {
        reporters.push(report(&client, &format!("m{number}"), 1).await.unwrap());
    }
    let mut first = Viewer::open(&client).await;
    let mut second = Viewer::open(&client).await;
    let begin = now();
    for sequence in 1..=50u32 {
        for (number, reporter) in reporters.iter().enumerate() {
            let value = i64::from(sequence) + number as i64;
            let at = begin.plus_ms(i64::from(sequence) * 10);
            reporter
                .requests
                .send(tick(at, sequence.into(), value))
                .await
                .unwrap();
        }
    }
    let done = |replica: &Replica| {
        (0..3).all(|number| busy(replica, &format!("m{number}")) == Some(f64::from(50 + number) / 10.0))
    };
    first.until(done).await;
    second.until(done).await;
    for viewer in [&first, &second] {
        for (_, machine) in viewer.replica.machines() {
            assert_eq!(machine.recent.times().len(), 50);
        }
        assert_eq!(viewer.replica.totals().live, 3);
    }
    // A collector that goes is noticed by its connection, so its successor need not wait until it counts as silent.
    drop(reporters.remove(0));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(2);
    while let Err(error) = report(&client, "m0", 2).await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let state = wire::StateRequest {
        machine_id: "m1".into(),
    };
    assert_eq!(client.current_state(state).await.unwrap().metrics.len(), 2);
    shutdown.cancel();
    serving.await.unwrap().unwrap();
    assert_eq!(aggregator.figures().overflows, 0);
}
