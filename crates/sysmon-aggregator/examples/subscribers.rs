//! Many consoles that look at the same, to measure what they cost an aggregator:
//! `cargo run --release -p sysmon-aggregator --example subscribers -- unix:$XDG_RUNTIME_DIR/sysmon/50051.sock 100 30 [different]`.
//!
//! Each has a connection of its own and subscribes to the six metrics that the table of a fleet shows; with `different` each
//! wants one metric besides that nobody else wants, so that no two of them are told the same.

#![expect(clippy::print_stdout, reason = "an example that prints what it counted")]

use std::time::Duration;

use sysmon_api::{Client, ClientConfig, hello, wire};
use sysmon_core::UnixMillis;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use wire::command::Body as Ask;
use wire::response::Body as Answer;

const METRICS: [&str; 6] = [
    "cpu.busy_percent",
    "memory.used_percent",
    "disk.total_read_bytes_per_second",
    "disk.total_write_bytes_per_second",
    "network.total_receive_bytes_per_second",
    "load.1m",
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, count, seconds, rest @ ..] = arguments.as_slice() else {
        panic!("give ENDPOINT COUNT SECONDS [different]");
    };
    let count: u32 = count.parse().expect("COUNT is a number");
    let seconds: u64 = seconds.parse().expect("SECONDS is a number");
    let is_different = rest.first().is_some_and(|word| word == "different");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let end = Instant::now() + Duration::from_secs(seconds);
        let consoles = (0..count).map(|number| {
            let endpoint = endpoint.clone();
            tokio::spawn(async move { watch(&endpoint, is_different.then_some(number), end).await })
        });
        let (mut updates, mut machines) = (0, 0);
        for console in consoles.collect::<Vec<_>>() {
            let (more_updates, more_machines) = console.await.expect("a console");
            updates += more_updates;
            machines += more_machines;
        }
        println!("{count} subscribers, {seconds} s: {updates} updates with {machines} machines");
    });
}

/// Follows the fleet until `end`; returns how many updates came and how many machines were in them.
async fn watch(endpoint: &str, own: Option<u32>, end: Instant) -> (usize, usize) {
    let endpoint = endpoint.parse().expect("an address");
    let client = Client::new(ClientConfig::new(endpoint)).expect("a client");
    let (commands, outgoing) = mpsc::channel(16);
    let metrics = METRICS.iter().map(|metric| (*metric).to_owned());
    let own = own.map(|number| format!("custom.of_{number}"));
    let subscribe = wire::Subscribe {
        subscription: 1,
        metrics: metrics.chain(own).collect(),
        ..wire::Subscribe::default()
    };
    for (request_id, body) in [
        (1, Ask::Hello(hello(UnixMillis(0)))),
        (2, Ask::Subscribe(subscribe)),
    ] {
        send(&commands, request_id, body).await;
    }
    let mut responses = client.manage(outgoing).await.expect("a stream");
    let (mut updates, mut machines) = (0, 0);
    while let Ok(response) = timeout_at(end, responses.next()).await {
        let Some(response) = response.expect("a response") else {
            break;
        };
        if let Some(Answer::Update(update)) = response.body {
            updates += 1;
            machines += update.machines.len();
            let received = wire::UpdateReceived {
                subscription: update.subscription,
                number: update.number,
            };
            send(&commands, 0, Ask::UpdateReceived(received)).await;
        }
    }
    (updates, machines)
}

async fn send(commands: &mpsc::Sender<wire::Command>, request_id: u64, body: Ask) {
    let command = wire::Command {
        request_id,
        body: Some(body),
    };
    commands.send(command).await.expect("the stream is open");
}
