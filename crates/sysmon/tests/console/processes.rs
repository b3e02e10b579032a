//! Panels and processes of a machine in a real terminal.

use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};

use crate::terminal::{Terminal, command};

const TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");
/// A name that nothing else on the machine has.
const NAME: &str = "sleeps-for-a-test";

/// A shell with a child of this name; both end with the test.
struct Family(Child);

impl Family {
    fn start(home: &std::path::Path) -> Self {
        let program = home.join(NAME);
        symlink("/bin/sleep", &program).unwrap();
        let mut parent = Command::new(program);
        parent.arg("600").stdin(Stdio::null());
        Self(parent.spawn().unwrap())
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_is_found_followed_looked_into_and_ended() {
    let home = tempfile::tempdir().unwrap();
    let mut family = Family::start(home.path());
    let mut console = command(TUI, home.path());
    console.arg("--no-state");
    console.env("SYSMON_COLLECTOR_ALLOW_SIGNALS", "true");
    let mut terminal = Terminal::start(console, 100, 30);
    terminal.wait_for("this machine with its processes", |screen| {
        screen.contains("COMMAND") && screen.contains("live")
    });
    // A panel over the whole screen, and back.
    terminal.press("\tf");
    terminal.wait_for("the processors alone", |screen| {
        screen.contains("waiting for I/O") && !screen.contains("COMMAND")
    });
    terminal.press("f");
    terminal.wait_for_text("COMMAND");
    terminal.press("z");
    terminal.wait_for("a tree", |screen| screen.contains("└─"));
    terminal.press(&format!("/{NAME}\r"));
    // Not "busiest 21 of 84", as long as the whole list is under way.
    terminal.wait_for("the only one", |screen| screen.contains(" 1 of "));
    terminal.press("jF");
    let pid = family.0.id();
    terminal.wait_for_text(&format!("following {pid}"));
    terminal.press("\r");
    terminal.wait_for("its details", |screen| {
        screen.contains("open files") && screen.contains("cgroup") && screen.contains("started")
    });
    terminal.press("X");
    terminal.wait_for_text("end, with time to clean up");
    terminal.press("\r");
    terminal.wait_for("who it is about", |screen| {
        screen.contains("Send TERM to sleeps-for-a-te") && screen.contains(&pid.to_string())
    });
    assert!(family.0.try_wait().unwrap().is_none(), "nothing was sent yet");
    terminal.press("y");
    terminal.wait_until("the end", |_| family_ended(pid));
    terminal.wait_for("word of it", |screen| {
        screen.contains("TERM was sent") || screen.contains("has ended")
    });
    let status = family.0.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    terminal.press("\x03");
    assert!(terminal.wait_for_exit().success());
}

/// Whether the process is over: its parent, the test, has yet to take note.
fn family_ended(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}
