//! Time travel in the embedded console: what was busy a while ago is found again, and the past plays on to now.

use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::terminal::{Terminal, command, pause};

const TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");
/// A name that nothing else on the machine has.
const BUSY: &str = "busy-in-the-past";

/// Ends the load when the test ends, however it ends.
struct Load(Child);

impl Load {
    /// Keeps one core busy, under a name of its own.
    fn start(home: &std::path::Path) -> Self {
        let program = home.join(BUSY);
        symlink("/bin/sh", &program).unwrap();
        let mut busy = Command::new(program);
        busy.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
        Self(busy.spawn().unwrap())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait(duration: Duration) {
    let started = Instant::now();
    while started.elapsed() < duration {
        pause();
    }
}

/// The first rows of the table of processes.
fn busiest(screen: &str) -> String {
    let rows = screen.lines().skip_while(|line| !line.contains("COMMAND"));
    rows.skip(1).take(4).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_was_busy_is_found_in_the_past_which_plays_on_to_now() {
    let home = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::start(command(TUI, home.path()), 120, 40);
    terminal.wait_for("this machine with its processes", |screen| {
        screen.contains("COMMAND") && screen.contains("sysmon-tui")
    });
    let load = Load::start(home.path());
    terminal.wait_for("the busy process on top", |screen| busiest(screen).contains(BUSY));
    // Somebody watches: processes are kept every ten seconds, and reach history a little later.
    wait(Duration::from_secs(25));
    drop(load);
    let ended = Instant::now();
    terminal.wait_for("the busy process gone", |screen| !screen.contains(BUSY));
    wait(Duration::from_secs(8));

    let ago = ended.elapsed().as_secs() + 3;
    terminal.press(&format!("gt{ago}s ago\r"));
    terminal.wait_for("the moment at which it was busy", |screen| {
        screen.contains("PAST") && !screen.contains("loading") && busiest(screen).contains(BUSY)
    });
    // A step, and the way back to exactly this.
    terminal.press(",");
    terminal.wait_for("a moment before", |screen| {
        screen.contains("PAST") && !screen.contains("loading")
    });
    terminal.press("\x1b");
    terminal.wait_for("now", |screen| {
        !screen.contains("PAST") && screen.contains("live")
    });
    assert!(!terminal.screen().contains(BUSY), "{}", terminal.screen());

    let ago = ended.elapsed().as_secs() + 3;
    terminal.press(&format!("gt{ago}s ago\r"));
    terminal.wait_for("the past again", |screen| busiest(screen).contains(BUSY));
    terminal.press("PPp");
    terminal.wait_for("the past played at sixty times", |screen| {
        screen.contains("60×") || screen.contains("this is now")
    });
    terminal.wait_for("the present, in the same view", |screen| {
        !screen.contains("PAST")
            && screen.contains("live")
            && screen.contains("COMMAND")
            && !screen.contains(BUSY)
    });
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());
}
