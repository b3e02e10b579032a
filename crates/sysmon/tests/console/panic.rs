//! A part of the client panics: the terminal is given back, and the report can be read.

use async_trait::async_trait;
use sysmon_api::{ApiError, Client};
use sysmon_tui::{Connect, Options};
use tokio_util::sync::CancellationToken;

use crate::terminal::{Terminal, command};

/// Set in the process that is to panic.
const MARK: &str = "SYSMON_TEST_PANICS";

/// A connection whose making panics, once the console is up.
struct Broken;

#[async_trait]
impl Connect for Broken {
    async fn connect(&mut self) -> Result<Client, ApiError> {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        panic!("the link is broken on purpose");
    }
}

/// Not a test of its own: the other one runs it in a pseudo-terminal.
#[test]
#[ignore = "a helper process of another test"]
fn a_console_that_panics() {
    if std::env::var_os(MARK).is_none() {
        return;
    }
    let options = Options {
        burst_interval_ms: 0,
        theme: "dark".into(),
        theme_dirs: Vec::new(),
        ascii: false,
        no_color: false,
        source_name: "this machine".into(),
        is_local: true,
        recorder: None,
        filter: None,
        notify: sysmon_tui::Notify::None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let error = runtime
        .block_on(sysmon_tui::run(
            options,
            Box::new(Broken),
            CancellationToken::new(),
        ))
        .unwrap_err();
    println!("THE END: {error}");
}

#[test]
fn a_panic_gives_the_terminal_back_and_its_report_can_be_read() {
    let home = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let mut command = command(program.to_str().unwrap(), home.path());
    command.args([
        "--ignored",
        "--exact",
        "--nocapture",
        "panic::a_console_that_panics",
    ]);
    command.env(MARK, "1");
    let mut terminal = Terminal::start(command, 100, 30);
    terminal.wait_for("the console", |_| terminal.is_alternate_screen());
    terminal.wait_for_text("THE END: a part of sysmon-tui broke off");
    let screen = terminal.screen();
    assert!(!terminal.is_alternate_screen(), "{screen}");
    assert!(screen.contains("the link is broken on purpose"), "{screen}");
    for given_back in ["\x1b[?1049l", "\x1b[?25h", "\x1b[?1000l"] {
        assert!(terminal.wrote(given_back), "{given_back:?} was not written");
    }
    // In cooked mode a carriage return comes with every line feed: lines start at the margin.
    assert!(screen.lines().any(|line| line.starts_with("THE END")), "{screen}");
    assert!(terminal.wait_for_exit().success());
}
