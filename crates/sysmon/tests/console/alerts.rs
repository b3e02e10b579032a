//! An alert from the first key to the last: a threshold set in the terminal, load, the notification, the way back, and what
//! is known of it after a restart.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::terminal::{PATIENCE, Terminal, command, pause};

const TUI: &str = env!("CARGO_BIN_EXE_sysmon-tui");
const TAB: &str = "\t";
const BACK_TAB: &str = "\x1b[Z";

/// A web server that takes notifications; each is its delivery id and its body.
struct Hook {
    url: String,
    received: Arc<Mutex<Vec<(String, serde_json::Value)>>>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut id, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.trim_end().split_once(':') else {
                        if line.trim_end().is_empty() {
                            break;
                        }
                        continue;
                    };
                    match name.to_ascii_lowercase().as_str() {
                        "x-sysmon-delivery" => id = value.trim().to_owned(),
                        "content-length" => length = value.trim().parse().unwrap(),
                        _ => {}
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                copy.lock()
                    .unwrap()
                    .push((id, serde_json::from_slice(&body).unwrap()));
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                reader.get_mut().write_all(answer).unwrap();
            }
        });
        Self { url, received }
    }

    /// What came about the processor's rule.
    fn about_cpu(&self, kind: &str) -> Vec<(String, serde_json::Value)> {
        let received = self.received.lock().unwrap();
        let is_meant = |(_, body): &&(String, serde_json::Value)| {
            body["rule"]["id"] == "cpu-busy" && body["kind"] == kind
        };
        received.iter().filter(is_meant).cloned().collect()
    }

    fn wait_for(&self, kind: &str) -> serde_json::Value {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            if let Some((_, body)) = self.about_cpu(kind).first() {
                return body.clone();
            }
            assert!(
                Instant::now() < deadline,
                "no {kind}: {:?}",
                self.received.lock().unwrap()
            );
            for _ in 0..5 {
                pause();
            }
        }
    }
}

/// All processors busy; ends when the test ends, however it ends.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Self {
        let processors = std::thread::available_parallelism().unwrap().get();
        let busy = || {
            let mut busy = Command::new("sh");
            busy.args(["-c", "while :; do :; done # the-load"])
                .stdin(Stdio::null());
            busy.spawn().unwrap()
        };
        Self((0..2 * processors).map(|_| busy()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

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

/// In the editor of the processor's rule: critical at 90 %, of the newest value, for 5 s, and no warning.
fn set_threshold(terminal: &mut Terminal) {
    // Rules come a moment after the machine.
    press(terminal, &["3"]);
    terminal.wait_for_text("Processors busy");
    press(terminal, &["1"]);
    terminal.wait_for_text("MACHINE");
    press(terminal, &["\r"]);
    terminal.wait_for_text("COMMAND");
    press(terminal, &["e"]);
    terminal.wait_for_text("threshold of");
    press(terminal, &["c"]);
    terminal.wait_for_text("rule cpu-busy v1");
    press(
        terminal,
        &[" ", BACK_TAB, BACK_TAB, "9", "0", TAB, TAB, TAB, TAB, "\x1b[A"],
    );
    terminal.wait_for_text("newest value");
    press(terminal, &[TAB, TAB, "5", "s"]);
    terminal.wait_for_text("5s");
    press(terminal, &["\r"]);
    terminal.wait_for_text("cpu-busy saved, version 2");
}

#[test]
fn a_threshold_set_here_fires_notifies_recovers_and_is_remembered() {
    let (home, hook) = (tempfile::tempdir().unwrap(), Hook::start());
    let mut terminal = console(&home, &hook);
    terminal.wait_for("this machine, with rules", |screen| {
        screen.contains("COMMAND") && screen.contains("live")
    });
    set_threshold(&mut terminal);
    press(&mut terminal, &["2"]);
    let load = Load::start();
    terminal.wait_for("pending or already firing", |screen| {
        screen.contains("Processors busy") && (screen.contains("pend") || screen.contains("FIRING 1"))
    });
    terminal.wait_for("firing", |screen| {
        screen
            .lines()
            .any(|line| line.contains("Processors busy") && line.contains("firi"))
    });
    let fired = hook.wait_for("firing");
    let alert = &fired["alerts"][0];
    assert_eq!(
        (&fired["severity"], &alert["threshold"]),
        (&"critical".into(), &90.0.into())
    );
    let processes = alert["processes"].as_array().unwrap();
    assert!(
        processes.iter().any(|process| process["name"] == "sh"),
        "the load is named: {processes:?}"
    );
    drop(load);
    terminal.wait_for("calm", |screen| {
        !screen
            .lines()
            .any(|line| line.contains("Processors busy") && line.contains("firi"))
    });
    assert_eq!(hook.about_cpu("firing").len(), 1, "told once");
    press(&mut terminal, &["q"]);
    assert!(terminal.wait_for_exit().success());

    let mut terminal = console(&home, &hook);
    terminal.wait_for("this machine again", |screen| screen.contains("live"));
    press(&mut terminal, &["2"]);
    terminal.wait_for_text("RULE");
    press(&mut terminal, &["H"]);
    terminal.wait_for("what has happened", |screen| {
        screen.lines().any(|line| line.contains("Processors busy"))
    });
}
