//! Machines that do not exist, over real streams to a real aggregator.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::support::{Home, PATIENCE, finish};

const RECORDED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../sysmon-collector/tests/fixtures/recorded_machine.csv.gz"
);

/// The fleet as scripts see it, as soon as it is as wanted.
async fn fleet_when(home: &Home, port: u16, is_wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let url = format!("http://127.0.0.1:{port}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let arguments = ["--once", "--format", "json", "--connect", &url];
        let finished = finish(&mut home.sysmon_tui(&arguments)).await;
        let mut printed: Value = serde_json::from_str(&finished.stdout).unwrap_or_default();
        let machines = printed["machines"].as_array_mut().map(std::mem::take);
        let machines = machines.unwrap_or_default();
        if is_wanted(&machines) {
            return machines;
        }
        assert!(
            Instant::now() < deadline,
            "{} machines: {}",
            machines.len(),
            finished.stderr
        );
        sleep(Duration::from_millis(200)).await;
    }
}

fn live(machines: &[Value]) -> usize {
    let live = machines.iter().filter(|machine| machine["state"] == "live");
    live.count()
}

fn value(machine: &Value, name: &str) -> Option<f64> {
    let metrics = machine["metrics"].as_array()?;
    metrics.iter().find(|metric| metric["name"] == name)?["value"].as_f64()
}

#[tokio::test]
async fn two_hundred_machines_report_and_end_at_once_when_told_to() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let url = format!("http://127.0.0.1:{port}");
    let simulation = home.start(&["simulate", "--machines", "200", "--aggregator", &url]);
    let is_complete = |machine: &Value| value(machine, "process.count").is_some();
    let machines = fleet_when(&home, port, |machines| {
        live(machines) == 200 && machines.iter().all(is_complete)
    })
    .await;
    let id = machines[7]["machine_id"].as_str().unwrap();
    let filter = format!("cpu >= 0 and id = {id} or nowhere");
    let arguments = [
        "--once",
        "--format",
        "json",
        "--connect",
        &url,
        "--filter",
        &filter,
    ];
    let filtered = finish(&mut home.sysmon_tui(&arguments)).await;
    let printed: Value = serde_json::from_str(&filtered.stdout).unwrap();
    let ids: Vec<_> = printed["machines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|machine| &machine["machine_id"])
        .collect();
    assert_eq!(ids, [id]);
    let ids: BTreeSet<&str> = machines
        .iter()
        .filter_map(|machine| machine["machine_id"].as_str())
        .collect();
    assert_eq!(
        (ids.first(), ids.last()),
        (Some(&"sim-00000"), Some(&"sim-00199"))
    );
    for machine in &machines {
        let series = machine["metrics"].as_array().unwrap().len();
        assert!((70..=150).contains(&series), "{series} series of {machine}");
        assert!(!machine["processes"].as_array().unwrap().is_empty());
    }
    let hosts: BTreeSet<&str> = machines
        .iter()
        .filter_map(|machine| machine["hostname"].as_str()?.split('-').next())
        .collect();
    assert!(hosts.contains("web") && hosts.contains("db"), "{hosts:?}");
    simulation.signal(Signal::TERM);
    let (code, log) = simulation.ended().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn light_machines_report_like_others_and_how_long_their_samples_take_is_told() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&["--database", "memory:"]).await;
    let url = format!("http://127.0.0.1:{port}");
    let arguments = [
        "simulate",
        "--machines",
        "60",
        "--light",
        "--latency",
        "--aggregator",
        &url,
    ];
    let mut simulation = home.start(&arguments);
    let is_complete = |machine: &Value| value(machine, "process.count").is_some();
    fleet_when(&home, port, |machines| {
        live(machines) == 60 && machines.iter().all(is_complete)
    })
    .await;
    let is_told = |line: &Value| line["message"] == "from sample to subscriber" && line["machines"] == 60;
    let told = simulation.wait_for_log("latency is told", is_told).await;
    assert!(
        told["samples"].as_u64().is_some_and(|samples| samples > 100),
        "{told}"
    );
    assert!(
        told["p50_ms"].as_f64().is_some_and(|p50_ms| p50_ms < 5_000.0),
        "{told}"
    );
    // What was sent live is in history, although nothing is kept here.
    let arguments = [
        "query",
        "--machine",
        "sim-00007",
        "--metric",
        "cpu.busy_percent",
        "--aggregator",
        &url,
    ];
    let finished = finish(&mut home.sysmon(&arguments)).await;
    assert!(
        finished.stdout.contains("sim-00007"),
        "{} {}",
        finished.stdout,
        finished.stderr
    );
    simulation.signal(Signal::TERM);
    assert_eq!(simulation.ended().await.0, Some(0));
}

#[tokio::test]
async fn a_machine_that_a_scenario_switches_off_comes_back_booted() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let url = format!("http://127.0.0.1:{port}");
    let scenario = home.path().join("scenario.toml");
    let text = "[[event]]\ncondition = \"off\"\nat = \"2s\"\nfor = \"3s\"\nmachines = [\"sim-00001\"]\n";
    std::fs::write(&scenario, text).unwrap();
    let _simulation = home.start(&[
        "simulate",
        "--machines",
        "3",
        "--interval",
        "200ms",
        "--scenario",
        scenario.to_str().unwrap(),
        "--aggregator",
        &url,
    ]);
    fleet_when(&home, port, |machines| live(machines) == 3).await;
    let uptime = |machines: &[Value]| {
        let machine = machines
            .iter()
            .find(|machine| machine["machine_id"] == "sim-00001")?;
        value(machine, "host.uptime_seconds")
    };
    // Before it was off it had been up for longer than any test takes.
    let machines = fleet_when(&home, port, |machines| {
        live(machines) == 3 && uptime(machines).is_some_and(|uptime| uptime < 60.0)
    })
    .await;
    assert_eq!(machines.len(), 3);
}

#[tokio::test]
async fn a_recorded_machine_is_played() {
    let home = Home::new();
    let (_aggregator, port) = home.start_aggregator(&[]).await;
    let url = format!("http://127.0.0.1:{port}");
    let _simulation = home.start(&[
        "simulate",
        "--machines",
        "2",
        "--prefix",
        "tape",
        "--interval",
        "100ms",
        "--replay",
        RECORDED,
        "--aggregator",
        &url,
    ]);
    let machines = fleet_when(&home, port, |machines| live(machines) == 2).await;
    for machine in &machines {
        assert_eq!(value(machine, "memory.total_bytes"), Some(24_684_100.0 * 1_024.0));
        assert!(machine["machine_id"].as_str().unwrap().starts_with("tape-"));
    }
}

#[tokio::test]
async fn files_that_are_none_are_refused_before_anything_begins() {
    let home = Home::new();
    let file = home.path().join("file");
    std::fs::write(&file, "[[event]]\ncondition = \"fire\"\n").unwrap();
    let file = file.to_str().unwrap();
    for (option, part) in [
        ("--scenario", "give one of iowait"),
        ("--replay", "no column unix_ms"),
    ] {
        let arguments = [
            "simulate",
            "--machines",
            "1",
            "--aggregator",
            "http://127.0.0.1:9",
            option,
            file,
        ];
        let finished = finish(&mut home.sysmon(&arguments)).await;
        assert_eq!(finished.code, Some(64), "{finished:?}");
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
}
