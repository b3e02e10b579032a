//! Several aggregators in one console.

use std::process::{Command, Stdio};

use crate::roles::{Role, configure, free_port};
use crate::terminal::{Terminal, command, environment};

const TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");

/// The first line of the screen.
fn line(screen: &str) -> &str {
    screen.lines().next().unwrap_or_default()
}

#[test]
fn two_aggregators_are_watched_in_tabs_and_one_that_goes_is_seen_from_the_other() {
    let home = tempfile::tempdir().unwrap();
    let (first, second, third) = (free_port(), free_port(), free_port());
    let prod = Role::aggregator(home.path(), first);
    let _others = (
        Role::aggregator(home.path(), second),
        Role::aggregator(home.path(), third),
        Role::collector(home.path(), first, "alpha"),
        Role::collector(home.path(), second, "beta"),
        Role::collector(home.path(), third, "gamma"),
    );
    configure(
        home.path(),
        "sysmon.toml",
        &format!(
            "[connections.prod]\nurl = \"http://127.0.0.1:{first}\"\n[connections.lab]\nurl = \"http://127.0.0.1:{second}\"\n"
        ),
    );
    let mut console = command(TUI, home.path());
    console.args(["@prod", "@lab"]);
    let mut terminal = Terminal::start(console, 110, 30);
    terminal.wait_for("both tabs, prod on screen", |screen| {
        line(screen).contains("1 prod") && line(screen).contains("2 lab") && screen.contains("alpha")
    });
    terminal.press("\x1b2");
    terminal.wait_for("lab", |screen| {
        screen.contains("▸ lab") && screen.contains("beta") && screen.contains("live")
    });
    assert!(!terminal.screen().contains("alpha"), "{}", terminal.screen());
    // Into a machine: its tab is where it was left when one comes back.
    terminal.press("\r");
    terminal.wait_for("the machine", |screen| screen.contains("COMMAND"));
    terminal.press(&format!(":tab http://127.0.0.1:{third}\r"));
    terminal.wait_for("a third tab", |screen| {
        line(screen).contains("3 127.0.0.1") && screen.contains("gamma") && screen.contains("live")
    });
    terminal.press("gN");
    terminal.wait_for("the machine of lab again, live", |screen| {
        screen.contains("▸ lab ▸ beta") && screen.contains("COMMAND") && screen.contains("live")
    });
    drop(prod);
    terminal.wait_for("the loss in the line", |screen| {
        line(screen).contains("1 prod ✕lost")
    });
    assert!(terminal.screen().contains("▸ lab"), "{}", terminal.screen());
    terminal.press("gn:tab-close\r");
    terminal.wait_for("two tabs", |screen| {
        !line(screen).contains("127.0.0.1") && line(screen).contains("2 lab")
    });
    terminal.press(":tab-close\r");
    terminal.wait_for("no line", |screen| {
        line(screen).contains("▸ prod") && screen.contains("reconnecting")
    });
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());
}

#[test]
fn what_cannot_be_shown_in_tabs_is_refused_before_anything_begins() {
    let home = tempfile::tempdir().unwrap();
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let refused = |arguments: &[&str]| {
        let mut console = Command::new(TUI);
        console
            .args(arguments)
            .env_clear()
            .envs(environment(home.path()))
            .stdin(Stdio::null());
        let output = console.output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let (one, two) = (url(1), url(2));
    let once = refused(&["--once", "--connect", &one, "--connect", &two]);
    assert!(once.contains("run it once for each of the 2"), "{once}");
    let twice = refused(&["--connect", &one, "--connect", &one]);
    assert!(twice.contains("is there twice"), "{twice}");
    let unknown = refused(&["--connect", &one, "--connect", "nonsense"]);
    assert!(unknown.contains("nonsense: "), "{unknown}");
    let urls: Vec<String> = (1..=10).map(url).collect();
    let many: Vec<&str> = urls.iter().flat_map(|url| ["--connect", url]).collect();
    assert!(refused(&many).contains("name at most 9"));
}
