//! Commands, looks and manners of the console in a real terminal.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::roles::{Role, configure, free_port};
use crate::terminal::{Terminal, command, environment, pause};

const TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");

fn console(home: &Path, arguments: &[&str]) -> Terminal {
    let mut console = command(TUI, home);
    console.args(arguments);
    console.env("COLORTERM", "truecolor");
    Terminal::start(console, 100, 30)
}

fn wait_for_machine(terminal: &Terminal) {
    terminal.wait_for("this machine with its processes", |screen| {
        screen.contains("COMMAND") && screen.contains("live") && screen.contains("sysmon-tui")
    });
}

#[test]
fn a_theme_is_previewed_taken_back_kept_and_remembered() {
    // Text of nord and of gruvbox, as 24-bit colours.
    let (nord, gruvbox) = ("38;2;216;222;233", "38;2;235;219;178");
    let home = tempfile::tempdir().unwrap();
    let mut terminal = console(home.path(), &[]);
    wait_for_machine(&terminal);
    terminal.press(":theme gruv");
    terminal.wait_until("a preview", |terminal| terminal.wrote(gruvbox));
    terminal.press("\x1b");
    terminal.wait_for("no line of commands", |screen| !screen.contains("Tab completes"));
    terminal.press(":theme nord\r");
    terminal.wait_until("the theme", |terminal| terminal.wrote(nord));
    assert!(
        terminal.wrote("\x1b[?2026h") && terminal.wrote("\x1b[?2026l"),
        "updates are synchronized"
    );
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());
    let mut again = console(home.path(), &[]);
    wait_for_machine(&again);
    assert!(again.wrote(nord) && !again.wrote(gruvbox), "it is still nord");
    again.press("q");
    assert!(again.wait_for_exit().success());
    let mut plain = console(home.path(), &["--no-state"]);
    wait_for_machine(&plain);
    assert!(!plain.wrote(nord), "nothing is remembered for this one");
    plain.press("q");
    assert!(plain.wait_for_exit().success());
}

#[test]
fn a_row_is_copied_and_the_view_written_into_a_file_once() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = console(home.path(), &["--no-state"]);
    wait_for_machine(&terminal);
    terminal.press("jyn");
    terminal.wait_until("a copy", |terminal| terminal.wrote("\x1b]52;c;"));
    terminal.press(":export csv here.csv\r");
    terminal.wait_for("the place", |screen| screen.contains("wrote "));
    let text = std::fs::read_to_string(home.path().join("here.csv")).unwrap();
    assert!(
        text.starts_with("pid,user,cpu_percent,") && text.lines().count() > 1,
        "{text}"
    );
    terminal.press(":export json here.csv\r");
    terminal.wait_for("a refusal", |screen| screen.contains("exists already"));
    assert_eq!(
        std::fs::read_to_string(home.path().join("here.csv")).unwrap(),
        text
    );
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());
}

#[test]
fn a_named_connection_is_watched_and_left_for_another() {
    let home = tempfile::tempdir().unwrap();
    let (first, second) = (free_port(), free_port());
    let _roles = (
        Role::aggregator(home.path(), first),
        Role::aggregator(home.path(), second),
    );
    configure(
        home.path(),
        "sysmon.toml",
        &format!(
            "[connections.prod]\nurl = \"http://127.0.0.1:{first}\"\n[connections.lab]\nurl = \"http://127.0.0.1:{second}\"\n"
        ),
    );
    let mut terminal = console(home.path(), &["@prod", "--readonly"]);
    terminal.wait_for("prod", |screen| {
        screen.contains("▸ prod") && screen.contains("live")
    });
    assert!(terminal.screen().contains("read-only"));
    terminal.press(":connect @la\t\r");
    terminal.wait_for("lab", |screen| {
        screen.contains("▸ lab") && screen.contains("live")
    });
    terminal.press(":connect @nowhere\r");
    terminal.wait_for_text("there is no connection @nowhere");
    // q right behind Esc would come as one Alt-q.
    terminal.press("\x1b");
    terminal.wait_for("no line of commands", |screen| !screen.contains("Tab completes"));
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());
}

#[test]
fn everything_wrong_with_keys_and_connections_is_told_before_the_screen_is_touched() {
    let home = tempfile::tempdir().unwrap();
    configure(
        home.path(),
        "keys.toml",
        "[fleet]\n\"[\" = \"open\"\n\"z\" = \"opne\"\n",
    );
    configure(
        home.path(),
        "sysmon.toml",
        "[connections.prod]\ntoken = \"x\"\n[connections.lab]\nurl = \"ftp://x\"\n",
    );
    let mut console = Command::new(TUI);
    console
        .env_clear()
        .envs(environment(home.path()))
        .stdin(Stdio::null());
    let output = console.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{told}");
    for part in [
        "keys.toml:2",
        "keys.toml:3",
        "did you mean \"open\"",
        "connections.prod.url: it is missing",
        "give token_file",
        "sysmon.toml:4",
    ] {
        assert!(told.contains(part), "{part} is not in:\n{told}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn the_printed_keys_are_a_file_of_keys() {
    let home = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut console = Command::new(TUI);
        console
            .args(arguments)
            .env_clear()
            .envs(environment(home.path()))
            .stdin(Stdio::null());
        console.output().unwrap()
    };
    let printed = run(&["--print-keymap"]);
    assert!(printed.status.success());
    let file = home.path().join("mine.toml");
    std::fs::write(&file, &printed.stdout).unwrap();
    let once = run(&["--keymap", file.to_str().unwrap(), "--once", "--format", "json"]);
    assert!(once.status.success(), "{}", String::from_utf8_lossy(&once.stderr));
}

#[test]
fn a_terminal_that_takes_nothing_gets_fewer_frames_and_the_console_says_so() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = console(home.path(), &["--no-state"]);
    wait_for_machine(&terminal);
    let stuck = terminal.stop_reading();
    // Whole screens fill whatever lies between the console and its terminal.
    for _ in 0..60 {
        terminal.press("\x0c");
        pause();
        pause();
    }
    drop(stuck);
    terminal.wait_for("what is the matter", |screen| screen.contains("slow link"));
    terminal.press("?");
    terminal.wait_for_text("another panel all it");
    terminal.press("\x03");
    assert!(terminal.wait_for_exit().success());
}

#[test]
fn a_console_whose_terminal_is_gone_leaves_no_process_behind() {
    let home = tempfile::tempdir().unwrap();
    for is_stuck in [false, true] {
        let mut terminal = console(home.path(), &["--no-state"]);
        wait_for_machine(&terminal);
        let stuck = is_stuck.then(|| {
            let stuck = terminal.stop_reading();
            for _ in 0..60 {
                terminal.press("\x0c");
                pause();
            }
            stuck
        });
        // As the kernel does it when the other side of a terminal is closed.
        let pid = terminal.process_id().to_string();
        let told = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        assert!(told.success());
        // It ends while the terminal is stuck still.
        terminal.wait_for_exit();
        drop(stuck);
    }
}
