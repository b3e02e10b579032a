//! `sysmon-tui --connect`: a fleet, and an aggregator that goes away and comes back.

use std::time::Duration;

use crate::roles::{Role, free_port};
use crate::terminal::{Terminal, command};

pub(crate) const TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");

#[test]
fn a_console_survives_its_aggregator_and_finds_it_again_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let aggregator = Role::start(home.path(), &["aggregator", "--listen", &listen]);
    let collector = |id| {
        Role::start(
            home.path(),
            &[
                "collector",
                "--aggregator",
                &url,
                "--machine-id",
                id,
                "--interval",
                "1s",
            ],
        )
    };
    let (_alpha, _beta) = (collector("alpha"), collector("beta"));
    let gamma = collector("gamma");
    let mut connect = command(TUI, home.path());
    connect.args(["--connect", &url]);
    let mut terminal = Terminal::start(connect, 120, 40);
    let all = |screen: &str| {
        ["alpha", "beta", "gamma", "3 machines", "live"]
            .iter()
            .all(|text| screen.contains(text))
    };
    terminal.wait_for("three machines", all);

    // A collector that is killed turns stale, then nothing else changes.
    drop(gamma);
    terminal.wait_for("a stale machine", |screen| screen.contains("late"));
    let _gamma = collector("gamma");
    terminal.wait_for("the machine is back", |screen| {
        all(screen) && !screen.contains("late")
    });

    drop(aggregator);
    terminal.wait_for("the loss is said, the data stays", |screen| {
        screen.contains("reconnecting") && screen.contains("alpha")
    });
    let _aggregator = Role::start(home.path(), &["aggregator", "--listen", &listen]);
    let took = terminal.wait_for("everything again", all);
    assert!(took < Duration::from_secs(5), "it took {took:?}");

    terminal.press("/beta\r");
    terminal.wait_for("only beta", |screen| {
        screen.contains("Esc all")
            && ["● beta", "○ beta", "▲ beta", "■ beta"]
                .iter()
                .any(|row| screen.contains(row))
            && !screen.contains("alpha")
    });
    terminal.press("\r");
    terminal.wait_for("the machine view", |screen| {
        screen.contains("COMMAND") && screen.contains("▸ beta")
    });
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());
}

#[test]
fn an_aggregator_that_is_not_there_is_named_with_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let mut connect = command(TUI, home.path());
    connect.args(["--connect", &format!("http://127.0.0.1:{}", free_port())]);
    let mut terminal = Terminal::start(connect, 120, 30);
    terminal.wait_for("the reason", |screen| {
        screen.contains("reconnecting") && screen.contains("sysmon aggregator")
    });
    let quiet = terminal.bytes_written();
    terminal.press("?");
    terminal.wait_for_text("open the selected machine");
    assert!(terminal.bytes_written() > quiet);
    terminal.press("\x03");
    assert!(terminal.wait_for_exit().success(), "Ctrl-C quits");
}

#[test]
fn what_was_shown_last_is_there_at_once_although_the_aggregator_does_not_answer() {
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let aggregator = Role::start(home.path(), &["aggregator", "--listen", &listen]);
    let collect = [
        "collector",
        "--aggregator",
        &url,
        "--machine-id",
        "alpha",
        "--interval",
        "1s",
    ];
    let _alpha = Role::start(home.path(), &collect);
    let start = || {
        let mut connect = command(TUI, home.path());
        connect.args(["--connect", &url]);
        Terminal::start(connect, 120, 40)
    };
    let is_live = |screen: &str| screen.contains("alpha") && screen.contains(" live ");
    let mut terminal = start();
    terminal.wait_for("the machine", is_live);
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());

    drop(aggregator);
    // Takes connections and says nothing, as one behind a firewall does.
    let silent = std::net::TcpListener::bind(&listen).unwrap();
    let mut terminal = start();
    let mut first = None;
    terminal.wait_for("a frame", |screen| {
        let is_drawn = screen.contains("sysmon ▸");
        if is_drawn && first.is_none() {
            first = Some(screen.to_owned());
        }
        is_drawn
    });
    let first = first.unwrap();
    assert!(
        first.contains("alpha") && first.contains("connecting, this is"),
        "{first}"
    );
    drop(silent);
    let _aggregator = Role::start(home.path(), &["aggregator", "--listen", &listen]);
    terminal.wait_for("the present, without a key", is_live);
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());
}
