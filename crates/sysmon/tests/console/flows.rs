//! What a person does with a fleet, in a shell as it is and in one inside of tmux: other bytes reach the console there.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::roles::{Role, free_port};
use crate::terminal::{Terminal, command, environment, pause};

const TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");

/// A tmux of its own; ended with the test.
struct Tmux<'a>(&'a Path);

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let mut end = Command::new("tmux");
        end.args(["-L", "flows", "kill-server"])
            .env_clear()
            .envs(environment(self.0))
            .env("TMUX_TMPDIR", self.0)
            .stderr(Stdio::null());
        // It has ended already when its shell has.
        let _ = end.status();
    }
}

/// A shell at its prompt.
fn shell(home: &Path, is_in_tmux: bool) -> Terminal {
    std::fs::write(home.join("rc"), "PS1='ready> '\nexport TERM\n").unwrap();
    let rc = home.join("rc");
    let rc = rc.to_str().unwrap();
    let program = if is_in_tmux { "tmux" } else { "bash" };
    let mut shell = command(program, home);
    if is_in_tmux {
        let inner = format!("bash --rcfile {rc} -i");
        shell.args(["-u", "-L", "flows", "-f", "/dev/null", "new-session", &inner]);
        shell.env("TMUX_TMPDIR", home);
    } else {
        shell.args(["--rcfile", rc, "-i"]);
    }
    let terminal = Terminal::start(shell, 120, 40);
    terminal.wait_for_text("ready>");
    terminal
}

/// The rows of the fleet that begin with a mark.
fn is_row(screen: &str, machine: &str) -> bool {
    screen.lines().any(|line| line.contains(machine))
}

/// From the shell into the fleet of three machines.
fn start(terminal: &mut Terminal, port: u16) {
    terminal.press(&format!("{TUI} --connect http://127.0.0.1:{port}\r"));
    terminal.wait_for("the fleet", |screen| {
        ["alpha", "beta", "gamma", "3 machines", "live"]
            .iter()
            .all(|text| screen.contains(text))
    });
}

/// Esc by itself: what follows at once would be taken for Alt.
fn escape(terminal: &mut Terminal, until: &str, wanted: impl Fn(&str) -> bool) {
    terminal.press("\x1b");
    terminal.wait_for(until, wanted);
}

fn filter_and_columns(terminal: &mut Terminal) {
    terminal.press("/beta or role = db\r");
    terminal.wait_for("two of three", |screen| {
        screen.contains("2 of 3") && is_row(screen, "beta") && !is_row(screen, "alpha")
    });
    escape(terminal, "all of them", |screen| is_row(screen, "alpha"));
    terminal.press("C");
    terminal.wait_for("the columns", |screen| screen.contains("Columns"));
    escape(terminal, "no columns", |screen| !screen.contains("Columns"));
}

fn group_and_heat_map(terminal: &mut Terminal) {
    terminal.press("b");
    terminal.wait_for("groups", |screen| screen.contains("role=web"));
    terminal.press("b");
    terminal.wait_for("no groups", |screen| !screen.contains("role=web"));
    terminal.press("v");
    terminal.wait_for("the heat map", |screen| {
        screen.contains("role=") && !screen.contains("NET")
    });
    terminal.press("v");
    terminal.wait_for("the table", |screen| {
        screen.contains("NET") && is_row(screen, "gamma")
    });
}

fn marks_and_one_silence(terminal: &mut Terminal) {
    terminal.press("*");
    terminal.wait_for("three marks", |screen| screen.contains("3 marked"));
    terminal.press("S");
    terminal.wait_for("the form", |screen| screen.contains("Silence"));
    terminal.press("\r");
    terminal.wait_for("the silence is taken", |screen| screen.contains("silenced for"));
    terminal.press("2L");
    terminal.wait_for("one silence for all three in the list", |screen| {
        screen.contains("everything on 3 machines") && screen.contains("d ends one")
    });
    escape(terminal, "no list", |screen| !screen.contains("d ends one"));
    terminal.press("1");
    terminal.wait_for("the fleet", |screen| {
        screen.contains("NET") && is_row(screen, "gamma")
    });
}

fn there_and_back(terminal: &mut Terminal) {
    // There must be a past: what was a moment ago is in history a little later.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(6) {
        pause();
    }
    terminal.press("gt4s ago\r");
    terminal.wait_for("the past", |screen| {
        screen.contains("PAST") && !screen.contains("loading") && is_row(screen, "alpha")
    });
    terminal.press(",");
    terminal.wait_for("still the past", |screen| screen.contains("PAST"));
    escape(terminal, "now", |screen| {
        !screen.contains("PAST") && screen.contains("live")
    });
}

/// Out of the console, and the shell goes on as if nothing had been.
fn leave(terminal: &mut Terminal) {
    terminal.press("q");
    terminal.wait_for("the prompt", |screen| {
        screen.contains("ready>") && !screen.contains("MACHINE")
    });
    terminal.press("echo back-$((40+2))\r");
    terminal.wait_for_text("back-42");
    terminal.press("exit\r");
    terminal.wait_for_exit();
}

#[test]
fn a_fleet_is_filtered_grouped_marked_silenced_and_seen_in_the_past_in_every_shell() {
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    let _roles = (
        Role::aggregator(home.path(), port),
        Role::labelled(home.path(), port, "alpha", "role=web"),
        Role::labelled(home.path(), port, "beta", "role=web"),
        Role::labelled(home.path(), port, "gamma", "role=db"),
    );
    for is_in_tmux in [false, true] {
        let _tmux = Tmux(home.path());
        let mut terminal = shell(home.path(), is_in_tmux);
        start(&mut terminal, port);
        filter_and_columns(&mut terminal);
        group_and_heat_map(&mut terminal);
        marks_and_one_silence(&mut terminal);
        there_and_back(&mut terminal);
        leave(&mut terminal);
    }
}
