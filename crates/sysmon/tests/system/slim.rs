//! `sysmon collector` becomes the program that is nothing but the collector.

use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::support::{Home, Role};

fn is_connected(line: &Value) -> bool {
    line["message"] == "connected to the aggregator"
}

/// The program that runs in the process.
fn program_of(role: &Role) -> String {
    let path = std::fs::read_link(format!("/proc/{}/exe", role.id())).unwrap();
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_collector_is_the_slim_program_where_that_is_beside_it_and_reports_with_the_same_options() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let url = format!("http://127.0.0.1:{port}");
    let mut collector = home.start(&["collector", "--aggregator", &url, "--machine-id", "slim-1"]);
    collector.wait_for_log("it reports", is_connected).await;
    assert_eq!(program_of(&collector), "sysmon-collector");
    collector.signal(rustix::process::Signal::TERM);
    assert_eq!(collector.ended().await.0, Some(0));
}

#[tokio::test]
async fn without_the_slim_program_the_full_one_does_it_itself() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let url = format!("http://127.0.0.1:{port}");
    // Not a link to it: a process knows its program by what the link leads to.
    let alone = home.path().join("sysmon");
    if std::fs::hard_link(env!("CARGO_BIN_EXE_sysmon"), &alone).is_err() {
        std::fs::copy(env!("CARGO_BIN_EXE_sysmon"), &alone).unwrap();
    }
    symlink("nowhere", home.path().join("sysmon-collector")).unwrap();
    let arguments = ["collector", "--aggregator", &url, "--machine-id", "slim-2"];
    let mut collector = Role::spawn(&mut home.command(&alone, &arguments));
    collector.wait_for_log("it reports", is_connected).await;
    assert_eq!(program_of(&collector), "sysmon");
}
