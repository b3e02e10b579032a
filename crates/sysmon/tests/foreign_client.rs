//! The public interface as a client in another language sees it, generated from the `.proto` files.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "system/support.rs"]
#[expect(dead_code, reason = "shared with the system tests, which use all of it")]
mod support;

use std::path::Path;
use std::process::Command;

use support::{Home, finish};

/// An interpreter with grpcio and grpcio-tools; `cargo xtask ci` provides one.
const PYTHON: &str = "SYSMON_TEST_PYTHON";

#[tokio::test]
async fn a_client_generated_in_python_reads_state_and_stream_and_gets_the_right_errors() {
    let Some(python) = std::env::var_os(PYTHON).filter(|python| !python.is_empty()) else {
        println!(
            "skipped: the foreign client test because {PYTHON} is not set; `cargo xtask prepare` says to what"
        );
        return;
    };
    let home = Home::new();
    let created =
        finish(&mut home.sysmon(&["tokens", "create", "--role", "viewer", "--name", "python"])).await;
    assert_eq!(created.code, Some(0), "{created:?}");
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let url = format!("http://127.0.0.1:{port}");
    let measured = [
        "--machine-id",
        "foreign-1",
        "--label",
        "role=foreign",
        "--interval",
        "200ms",
    ];
    let _collector = home.start(&[&["collector", "--aggregator", &url], &measured[..]].concat());

    let scratch = home.path().join("generated");
    std::fs::create_dir(&scratch).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut script = Command::new(python);
    script
        .arg(folder.join("tests/foreign_client.py"))
        .arg(folder.join("../../proto"))
        .arg(&scratch)
        .args([&format!("127.0.0.1:{port}"), created.stdout.trim(), "foreign-1"])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let finished = finish(&mut script.into()).await;
    assert_eq!(finished.code, Some(0), "{}{}", finished.stdout, finished.stderr);
}
