//! Exit codes are a contract for scripts: 0, 1, 2 of `--once`, and 64 of usage and configuration.

use std::net::TcpListener;

use crate::support::{Home, finish};

#[tokio::test]
async fn wrong_usage_is_64_and_help_and_version_are_success() {
    let home = Home::new();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["up", "--no-such-flag"],
        &["health"],
        &["tokens", "create", "--role", "king", "--name", "x"],
        &["tokens", "create", "--role", "agent", "--name", "x"],
        &["health", "nowhere"],
    ] {
        let finished = finish(&mut home.sysmon(arguments)).await;
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(64), ""),
            "{arguments:?}: {finished:?}"
        );
        assert!(!finished.stderr.is_empty());
    }
    for arguments in [&["--help"][..], &["--version"], &["up", "--help"]] {
        let finished = finish(&mut home.sysmon(arguments)).await;
        assert_eq!(
            (finished.code, finished.stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
    let finished = finish(&mut home.sysmon_tui(&["--format", "json"])).await;
    assert_eq!(finished.code, Some(64), "a format without --once: {finished:?}");
}

#[tokio::test]
async fn a_wrong_filter_is_64_with_a_mark_under_the_wrong_word() {
    let home = Home::new();
    for arguments in [
        &["--once", "--filter", "web and cpuu > 50"][..],
        &["--filter", "web and cpuu > 50"],
    ] {
        let finished = finish(&mut home.sysmon_tui(arguments)).await;
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(64), ""),
            "{finished:?}"
        );
        let marked = "\n  web and cpuu > 50\n          ^^^^\n";
        assert!(finished.stderr.contains(marked), "{}", finished.stderr);
        assert!(
            finished.stderr.contains("did you mean `cpu`?"),
            "{}",
            finished.stderr
        );
    }
    let nobody = finish(&mut home.sysmon_tui(&["--once", "--filter", "cores > 100k"])).await;
    assert_eq!(
        (nobody.code, nobody.stdout.as_str()),
        (Some(0), "no machine matches the filter\n"),
        "{nobody:?}"
    );
    let this = finish(&mut home.sysmon_tui(&["--once", "--filter", "cpu >= 0 and cores > 0"])).await;
    assert_eq!(this.code, Some(0), "{this:?}");
    assert!(this.stdout.starts_with("1 machine"), "{}", this.stdout);
}

#[tokio::test]
async fn health_tells_a_server_that_serves_from_one_that_is_not_there() {
    let home = Home::new();
    let (aggregator, port) = home.start_aggregator(&[]).await;
    let url = format!("http://127.0.0.1:{port}");
    let good = finish(&mut home.sysmon(&["health", &url])).await;
    assert_eq!(good.code, Some(0), "{good:?}");
    aggregator.kill().await;
    let bad = finish(&mut home.sysmon(&["health", &url, "--timeout", "500ms"])).await;
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stderr.contains(&url), "{bad:?}");
}

#[tokio::test]
async fn health_does_not_wait_longer_than_asked_for_a_server_that_is_silent() {
    let home = Home::new();
    // Takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let started = std::time::Instant::now();
    let bad = finish(&mut home.sysmon(&["health", &url, "--timeout", "300ms"])).await;
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(started.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn once_without_an_aggregator_is_2_and_prints_nothing_but_the_reason() {
    let home = Home::new();
    // Nobody listens on the port of a listener that is gone.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for format in ["text", "json"] {
        let url = format!("http://{address}");
        let finished = finish(&mut home.sysmon_tui(&["--once", "--format", format, "--connect", &url])).await;
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (Some(2), ""),
            "{finished:?}"
        );
        assert!(finished.stderr.contains(&address.to_string()), "{finished:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_a_failure_that_names_it() {
    let home = Home::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = finish(&mut home.sysmon(&["aggregator", "--listen", &address])).await;
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.stderr.contains(&address), "{finished:?}");
}
