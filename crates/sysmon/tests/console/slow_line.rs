//! The console for somebody who is far away: 80×24 at the end of a line of 64 kbit/s and 150 ms.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::remote::TUI;
use crate::roles::{Role, free_port};
use crate::terminal::{Line, Terminal, command, environment, pause};

const MACHINES: usize = 1_000;
const LINE: Line = Line {
    bytes_per_second: 8_000,
    delay: Duration::from_millis(150),
    // A shell's connection takes far more than the line carries at once: a console that writes too much is not held up, but
    // seen late.
    buffered_bytes_max: 64 * 1024,
};

/// The fleet as it is told to another program.
fn fleet(home: &Path, url: &str) -> Vec<Value> {
    let output = Command::new(TUI)
        .args(["--connect", url, "--once", "--format", "json"])
        .env_clear()
        .envs(environment(home))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    report["machines"].as_array().cloned().unwrap_or_default()
}

/// Rows of the process table: share of a processor, and the command.
fn processes(screen: &str) -> Vec<(f64, String)> {
    let rows = screen
        .lines()
        .skip_while(|line| !line.contains("COMMAND"))
        .skip(1);
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let cpu = words.nth(2)?.parse().ok()?;
        Some((cpu, words.nth(3)?.to_owned()))
    };
    rows.filter_map(row).collect()
}

/// The machine in the first row.
fn first(screen: &str) -> Option<String> {
    let row = screen.lines().nth(2)?;
    let mut words = row.split_whitespace();
    words.find(|word| ["●", "▲", "■"].contains(word))?;
    words.next().map(str::to_owned)
}

/// The machines that fare no better than any other.
fn worst_of(machines: &[Value]) -> Vec<String> {
    let badness = |machine: &&Value| match machine["health"].as_str() {
        Some("critical") => 2,
        Some("warning") => 1,
        _ => 0,
    };
    let most = machines.iter().map(|machine| badness(&machine)).max();
    let worst = machines.iter().filter(|machine| Some(badness(machine)) == most);
    worst
        .filter_map(|machine| machine["machine_id"].as_str().map(str::to_owned))
        .collect()
}

/// The machine that the screen is about.
fn opened(screen: &str) -> String {
    let title = screen.lines().next().unwrap_or_default();
    let id = title
        .rsplit("▸ ")
        .next()
        .and_then(|rest| rest.split_whitespace().next());
    id.unwrap_or_default().to_owned()
}

#[test]
fn the_busiest_process_of_the_worst_of_a_thousand_machines_is_one_key_away() {
    let home = tempfile::tempdir().unwrap();
    let port = free_port();
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
    let _aggregator = Role::start(
        home.path(),
        &["aggregator", "--listen", &listen, "--database", "memory:"],
    );
    let machines = MACHINES.to_string();
    let _fleet = Role::start(
        home.path(),
        &[
            "simulate",
            "--light",
            "--machines",
            &machines,
            "--interval",
            "5s",
            "--aggregator",
            &url,
        ],
    );
    while fleet(home.path(), &url).len() < MACHINES {
        pause();
    }

    let mut connect = command(TUI, home.path());
    connect.args(["--connect", &url]);
    let mut terminal = Terminal::start_over(connect, 80, 24, Some(LINE));
    terminal.wait_for("rows", |screen| {
        screen.contains("1/1,000") && first(screen).is_some()
    });
    terminal.wait_until("the line has carried them", |terminal| {
        terminal.bytes_under_way() == 0
    });
    // Machines fare better and worse all the time, so both are looked at until they tell of the same moment.
    let mut worst = worst_of(&fleet(home.path(), &url));
    terminal.wait_for("one of the worst on top", |screen| {
        worst = worst_of(&fleet(home.path(), &url));
        first(screen).is_some_and(|id| worst.contains(&id))
    });
    terminal.press("\r");
    terminal.wait_for("the processes of a machine", |screen| {
        !processes(screen).is_empty()
    });
    let id = opened(&terminal.screen());
    // Another may have become the first one while the key was under way.
    worst.extend(worst_of(&fleet(home.path(), &url)));
    assert!(worst.contains(&id), "{id} is none of {worst:?}");
    let most = |rows: &[(f64, String)]| rows.iter().map(|(cpu, _)| *cpu).fold(0.0, f64::max);
    terminal.wait_for("the busiest one first", |screen| {
        let rows = processes(screen);
        rows.len() >= 8 && rows[0].0 == most(&rows)
    });
    // What is told to others of this machine has no busier one: it is not only the busiest of those on screen.
    let told = fleet(home.path(), &url);
    let machine = told.iter().find(|machine| machine["machine_id"] == id.as_str());
    let names: Vec<&str> = machine.unwrap()["processes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|process| process["name"].as_str())
        .collect();
    let rows = processes(&terminal.screen());
    assert!(
        names.iter().any(|name| rows[0].1.contains(name)),
        "{rows:?} is not among {names:?}"
    );
    // It stays a view of now: the console writes no more than the line carries.
    terminal.wait_until("the line is free again and again", |terminal| {
        terminal.bytes_under_way() == 0
    });
    terminal.press("q");
    assert!(terminal.wait_for_exit().success());
}
