//! An alert from the first key to the last: a threshold set in the terminal, load, the notification, the way back, and what
//! is known of it after a restart.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::hook::Hook;
use crate::load::{Load, Others, when_others_are_quiet};
use crate::terminal::{PATIENCE, Terminal, command, pause};

const TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");
const TAB: &str = "\t";
const BACK_TAB: &str = "\x1b[Z";
const RULE: &str = "Processors busy";
/// The end is told half a minute after it.
const TOLD: Duration = Duration::from_secs(60);

fn console(home: &tempfile::TempDir, hook: &Hook) -> Terminal {
    let mut tui = command(TUI, home.path());
    tui.env("SYSMON_ALERTS_WEBHOOK", &hook.url);
    Terminal::start(tui, 110, 34)
}

/// Presses keys one by one, so that each finds the screen that the one before made.
fn press(terminal: &mut Terminal, keys: &[&str]) {
    for key in keys {
        terminal.press(key);
        for _ in 0..5 {
            pause();
        }
    }
}

/// In the editor of the processor's rule: critical at 80 %, of the newest value, for 5 s, and no warning.
fn set_threshold(terminal: &mut Terminal) {
    // Rules come a moment after the machine.
    press(terminal, &["3"]);
    terminal.wait_for_text(RULE);
    press(terminal, &["1"]);
    terminal.wait_for_text("MACHINE");
    press(terminal, &["\r"]);
    terminal.wait_for_text("COMMAND");
    press(terminal, &["e"]);
    terminal.wait_for_text("c cpu m memory w swap");
    press(terminal, &["c"]);
    terminal.wait_for_text("rule cpu-busy v1");
    press(
        terminal,
        &[" ", BACK_TAB, BACK_TAB, "8", "0", TAB, TAB, TAB, TAB, "\x1b[A"],
    );
    terminal.wait_for_text("newest value");
    press(terminal, &[TAB, TAB, "5", "s"]);
    terminal.wait_for_text("5s");
    press(terminal, &["\r"]);
    terminal.wait_for_text("cpu-busy saved, version 2");
}

fn is_dots(cell: char) -> bool {
    ('\u{2800}'..='\u{28ff}').contains(&cell)
}

/// Whether the sparklines of the only machine are more than one cell long: a mark takes the place of the newest one.
fn has_past(screen: &str) -> bool {
    screen.lines().filter(|line| line.contains('%')).any(|line| {
        let cells: Vec<char> = line.chars().collect();
        cells.windows(2).any(|pair| is_dots(pair[0]) && is_dots(pair[1]))
    })
}

/// Whether a mark stands in the sparkline of the only machine in the table: beside a dotted cell of it.
fn is_marked(screen: &str, mark: char) -> bool {
    screen.lines().filter(|line| line.contains('%')).any(|line| {
        let cells: Vec<char> = line.chars().collect();
        let beside =
            |pair: &[char]| pair[1] == mark && is_dots(pair[0]) || pair[0] == mark && is_dots(pair[1]);
        cells.windows(2).any(beside)
    })
}

/// Whether the view of alerts lists the rule in this state; in words, as the history below it has them too, but without
/// the time that comes after those.
fn is_listed(screen: &str, state: &str) -> bool {
    screen
        .lines()
        .any(|line| line.contains(RULE) && line.trim_end().ends_with(state))
}

fn wait_for_hook(hook: &Hook, kind: &str, patience: Duration) -> Value {
    let deadline = Instant::now() + patience;
    loop {
        if let Some((_, body)) = hook.about("cpu-busy", kind).first() {
            return body.clone();
        }
        assert!(Instant::now() < deadline, "no {kind}: {:?}", hook.summaries());
        pause();
    }
}

/// With the load: pending, then firing, on the sparkline, in the table and in the view of alerts.
fn goes_up(terminal: &mut Terminal) {
    terminal.wait_for("pending, on the sparkline in the table", |screen| {
        // The machine may have other alerts besides.
        let badge = screen.lines().next().unwrap_or_default();
        is_marked(screen, '◌') && badge.contains("alerts ") && badge.contains("◌1")
    });
    press(terminal, &["2"]);
    terminal.wait_for("pending, in the view of alerts", |screen| {
        screen.contains("pending 1") && is_listed(screen, "pending")
    });
    terminal.wait_for("firing, in the view of alerts", |screen| {
        is_listed(screen, "firing")
    });
    press(terminal, &["1"]);
    terminal.wait_for("firing, on the sparkline and in the table", |screen| {
        let in_table = |line: &str| line.contains('%') && line.contains("Processors busy critical");
        is_marked(screen, '■') && screen.lines().any(in_table)
    });
    press(terminal, &["2"]);
}

/// What the receiver of the firing got.
fn names_the_load(fired: &Value) {
    let alert = &fired["alerts"][0];
    assert_eq!(
        (&fired["severity"], &alert["threshold"]),
        (&"critical".into(), &80.0.into())
    );
    let processes = alert["processes"].as_array().unwrap();
    let is_load = |process: &Value| process["name"].as_str().is_some_and(Load::is_named);
    assert!(
        processes.iter().any(is_load),
        "the load is among the three busiest: {processes:?}"
    );
}

/// After a restart the log has every step, once.
fn is_remembered(home: &tempfile::TempDir, hook: &Hook) {
    let mut terminal = console(home, hook);
    terminal.wait_for("this machine again", |screen| screen.contains("live"));
    press(&mut terminal, &["2"]);
    terminal.wait_for_text("RULE");
    press(&mut terminal, &["H"]);
    let steps = |screen: &str, word: &str| {
        let is_step = |line: &&str| line.contains(RULE) && line.contains(&format!("  {word} "));
        screen.lines().filter(is_step).count()
    };
    terminal.wait_for("what has happened", |screen| {
        ["pending", "firing", "resolved"]
            .iter()
            .all(|word| steps(screen, word) == 1)
    });
    press(&mut terminal, &["q"]);
    assert!(terminal.wait_for_exit().success());
}

fn attempt(others: &Others) {
    let (home, hook) = (tempfile::tempdir().unwrap(), Hook::start());
    let mut terminal = console(&home, &hook);
    terminal.wait_for("this machine, with rules", |screen| {
        screen.contains("COMMAND") && screen.contains("live")
    });
    others.are_to_be_quiet();
    set_threshold(&mut terminal);
    press(&mut terminal, &["1"]);
    terminal.wait_for_text("MACHINE");
    terminal.wait_for("a past that a mark can stand beside", has_past);
    others.may_work();
    let load = Load::start();
    goes_up(&mut terminal);
    names_the_load(&wait_for_hook(&hook, "firing", PATIENCE));
    drop(load);
    others.are_to_be_quiet();
    // What is over is no longer listed; that it was resolved is asked of the log below.
    terminal.wait_for("recovered", |screen| {
        screen.contains("FIRING 0") && !screen.lines().any(|line| line.contains(RULE))
    });
    let recovered = wait_for_hook(&hook, "recovered", TOLD);
    assert_eq!(recovered["alerts"][0]["change"], "recovered");
    press(&mut terminal, &["q"]);
    assert!(terminal.wait_for_exit().success());
    is_remembered(&home, &hook);
    for kind in ["firing", "recovered"] {
        let told = hook.about("cpu-busy", kind);
        assert_eq!(told.len(), 1, "{kind} is told once: {:?}", hook.summaries());
    }
}

#[test]
fn a_threshold_set_here_fires_notifies_recovers_and_is_remembered() {
    when_others_are_quiet(attempt);
}
