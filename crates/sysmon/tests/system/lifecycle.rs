//! Servers end cleanly, soon, and leave nothing behind.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::Home;

/// The deadline for draining, and some room for a loaded machine.
const ENDS_WITHIN: Duration = Duration::from_secs(6);

#[tokio::test]
async fn every_server_ends_with_success_on_both_signals_and_its_socket_is_gone() {
    for signal in [Signal::TERM, Signal::INT] {
        for command in ["aggregator", "up"] {
            let home = Home::new();
            let mut server = home.start(&[command, "--listen", "127.0.0.1:0"]);
            let port = server.port().await;
            assert!(
                home.socket(port).exists(),
                "{command} has it before it says that it listens"
            );
            let started = Instant::now();
            server.signal(signal);
            let (code, log) = server.ended().await;
            assert_eq!(code, Some(0), "{command}: {log}");
            assert!(
                started.elapsed() < ENDS_WITHIN,
                "{command} took {:?}",
                started.elapsed()
            );
            assert!(!home.socket(port).exists(), "{command} left its socket");
        }
    }
}

#[tokio::test]
async fn a_collector_ends_with_success_whether_it_is_connected_or_not() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    // Nobody listens on port 1.
    for port in [port, 1] {
        let url = format!("http://127.0.0.1:{port}");
        let mut collector = home.start(&["collector", "--aggregator", &url, "--interval", "200ms"]);
        collector
            .wait_for_log("it has begun", |line| !line.is_null())
            .await;
        let started = Instant::now();
        collector.signal(Signal::TERM);
        let (code, log) = collector.ended().await;
        assert_eq!(code, Some(0), "{log}");
        assert!(started.elapsed() < ENDS_WITHIN, "it took {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_aggregator_ends_although_clients_hold_on_to_it() {
    let home = Home::new();
    let (mut aggregator, port) = home.start_aggregator(&[]).await;
    let url = format!("http://127.0.0.1:{port}");
    let mut collector = home.start(&["collector", "--aggregator", &url, "--interval", "200ms"]);
    collector
        .wait_for_log("it has begun", |line| !line.is_null())
        .await;
    // A client that opened a connection and never reads or writes.
    let _silent = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let started = Instant::now();
    aggregator.signal(Signal::TERM);
    aggregator
        .wait_for_log("it stops", |line| line["signal"] == "terminate")
        .await;
    let (code, log) = aggregator.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(
        started.elapsed() < ENDS_WITHIN,
        "it took {:?}: {log}",
        started.elapsed()
    );
}
