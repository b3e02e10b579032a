//! `sysmon-tui` without arguments: this machine, live.

use std::process::{Child, Command, Stdio};

use crate::terminal::{Terminal, command, environment};

const TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");

fn console(home: &tempfile::TempDir) -> Terminal {
    Terminal::start(command(TUI, home.path()), 100, 30)
}

fn wait_for_machine(terminal: &Terminal) {
    terminal.wait_for("this machine with its processes", |screen| {
        screen.contains("CPU")
            && screen.contains("MEMORY")
            && screen.contains("COMMAND")
            && screen.contains("sysmon-tui")
    });
}

/// Ends the load when the test ends, however it ends.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn this_machine_appears_and_keys_lead_through_the_views() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = console(&home);
    wait_for_machine(&terminal);
    terminal.wait_for_text("live");
    terminal.press("?");
    terminal.wait_for_text("Shift-Tab");
    terminal.press("\x1b");
    terminal.wait_for("the help is closed", |screen| !screen.contains("Shift-Tab"));
    terminal.press("/sysmon-tui\r");
    terminal.wait_for("only matching processes", |screen| screen.contains("Esc clears"));
    terminal.press("\x1b");
    terminal.wait_for("all processes", |screen| !screen.contains("Esc clears"));
    terminal.press("\x1b");
    terminal.wait_for("the fleet", |screen| {
        screen.contains("MACHINE") && screen.contains("1 machine")
    });
    terminal.press("\r");
    wait_for_machine(&terminal);
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());
    assert!(
        !terminal.is_alternate_screen() && terminal.wrote("\x1b[?25h"),
        "the terminal is given back"
    );
}

#[test]
fn a_busy_process_shows_on_top() {
    let home = tempfile::tempdir().unwrap();
    let terminal = console(&home);
    wait_for_machine(&terminal);
    let mut busy = Command::new("sh");
    busy.args(["-c", "while :; do :; done # the-busy-one"])
        .stdin(Stdio::null());
    let _load = Load(busy.spawn().unwrap());
    terminal.wait_for("the busy process among the first three", |screen| {
        let processes = screen
            .lines()
            .skip_while(|line| !line.contains("COMMAND"))
            .skip(1)
            .take(3);
        processes.into_iter().any(|line| line.contains("the-busy-one"))
    });
}

#[test]
fn a_resize_is_followed_down_to_one_cell_and_back() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = console(&home);
    wait_for_machine(&terminal);
    terminal.resize(40, 10);
    terminal.wait_for("the small layout", |screen| {
        screen.contains("CPU") && !screen.contains("THR")
    });
    terminal.resize(1, 1);
    terminal.resize(120, 40);
    terminal.wait_for("the large layout", |screen| {
        screen.contains("THR") && screen.contains("READ")
    });
}

#[test]
fn sigterm_gives_the_terminal_back() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = console(&home);
    wait_for_machine(&terminal);
    let pid = terminal.process_id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert!(terminal.wait_for_exit().success());
    assert!(!terminal.is_alternate_screen() && terminal.wrote("\x1b[?25h"));
}

#[test]
fn control_z_goes_to_the_shell_and_fg_comes_back() {
    let home = tempfile::tempdir().unwrap();
    let mut shell = command("bash", home.path());
    shell.args(["--norc", "--noprofile", "-i"]);
    shell.env("PS1", "prompt> ");
    let mut terminal = Terminal::start(shell, 100, 30);
    terminal.wait_for_text("prompt>");
    terminal.press(&format!("{TUI}\n"));
    wait_for_machine(&terminal);
    terminal.press("\x1a");
    terminal.wait_for("the shell", |screen| screen.contains("Stopped"));
    assert!(!terminal.is_alternate_screen());
    terminal.press("fg\n");
    wait_for_machine(&terminal);
    assert!(terminal.is_alternate_screen());
    terminal.press("q");
    terminal.wait_for("the shell again", |screen| screen.trim_end().ends_with("prompt>"));
}

#[test]
fn no_color_writes_no_colour() {
    let home = tempfile::tempdir().unwrap();
    let mut plain = command(TUI, home.path());
    plain.env("NO_COLOR", "1");
    let terminal = Terminal::start(plain, 100, 30);
    wait_for_machine(&terminal);
    assert!(
        !terminal.wrote("\x1b[38;") && !terminal.wrote("\x1b[48;"),
        "no colour is set"
    );
}

#[test]
fn once_prints_and_needs_no_terminal() {
    let home = tempfile::tempdir().unwrap();
    let mut once = Command::new(TUI);
    once.args(["--once", "--format", "json"])
        .env_clear()
        .envs(environment(home.path()))
        .stdin(Stdio::null());
    let output = once.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let fleet: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(fleet["machines"][0]["state"], "live");
}
