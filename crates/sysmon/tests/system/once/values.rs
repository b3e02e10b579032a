//! Numbers, within two per cent or one sample.

use std::process::Stdio;

use super::Snapshot;
use crate::support::{Home, finish};

/// On a busy machine a value may jump just between two readings; a wrong one is wrong every time.
const ATTEMPTS: usize = 5;

/// What another source says, read before and after the snapshot.
struct Window {
    name: &'static str,
    entity: Option<&'static str>,
    bounds: (f64, f64),
    /// What rounding in the other source costs.
    slack: f64,
}

impl Window {
    fn admits(&self, value: f64) -> bool {
        let (low, high) = (self.bounds.0.min(self.bounds.1), self.bounds.0.max(self.bounds.1));
        (low * 0.98 - self.slack..=high * 1.02 + self.slack).contains(&value)
    }
}

/// A reading of another source: metric, entity, value, and what its rounding costs.
type Reading = (&'static str, Option<&'static str>, f64, f64);

/// Compares snapshots with a source until they agree.
async fn agrees(source: impl AsyncFn(&Home) -> Vec<Reading>) {
    let home = Home::new();
    let mut wrong = Vec::new();
    for _ in 0..ATTEMPTS {
        let before = source(&home).await;
        let snapshot = Snapshot::take(&home).await;
        let after = source(&home).await;
        assert!(!before.is_empty() && before.len() == after.len());
        wrong = before
            .iter()
            .zip(&after)
            .map(|((name, entity, first, slack), (_, _, last, _))| Window {
                name,
                entity: *entity,
                bounds: (*first, *last),
                slack: *slack,
            })
            .filter_map(|window| match snapshot.value(window.name, window.entity) {
                Some(value) if window.admits(value) => None,
                value => Some(format!(
                    "{} {:?} is {value:?}, not within {:?}",
                    window.name, window.entity, window.bounds
                )),
            })
            .collect();
        if wrong.is_empty() {
            return;
        }
    }
    panic!("{}", wrong.join("\n"));
}

/// The words of a file of the kernel, line by line.
fn words(path: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| line.split_whitespace().map(Into::into).collect())
        .collect()
}

async fn tool(home: &Home, program: &str, arguments: &[&str]) -> Vec<Vec<String>> {
    let finished = finish(&mut home.command(program, arguments)).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lines = finished.stdout.lines();
    lines
        .map(|line| line.split_whitespace().map(Into::into).collect())
        .collect()
}

fn number(word: &str) -> f64 {
    word.trim_end_matches('%').parse().unwrap()
}

#[tokio::test]
async fn memory_is_what_proc_meminfo_says() {
    agrees(async |_| {
        let lines = words("/proc/meminfo");
        let bytes = |name: &str| {
            let line = lines
                .iter()
                .find(|line| line[0].trim_end_matches(':') == name)
                .unwrap();
            number(&line[1]) * 1024.0
        };
        let used = bytes("MemTotal") - bytes("MemAvailable");
        vec![
            ("memory.total_bytes", None, bytes("MemTotal"), 0.0),
            ("memory.available_bytes", None, bytes("MemAvailable"), 0.0),
            ("memory.free_bytes", None, bytes("MemFree"), 0.0),
            ("memory.buffers_bytes", None, bytes("Buffers"), 0.0),
            (
                "memory.cached_bytes",
                None,
                bytes("Cached") + bytes("SReclaimable"),
                0.0,
            ),
            ("memory.used_bytes", None, used, 0.0),
            (
                "memory.used_percent",
                None,
                100.0 * used / bytes("MemTotal"),
                0.05,
            ),
            ("swap.total_bytes", None, bytes("SwapTotal"), 0.0),
            (
                "swap.used_bytes",
                None,
                bytes("SwapTotal") - bytes("SwapFree"),
                0.0,
            ),
        ]
    })
    .await;
}

#[tokio::test]
async fn memory_is_what_free_says() {
    agrees(async |home| {
        let lines = tool(home, "free", &["-b", "-w"]).await;
        let row = |name: &str| lines.iter().find(|line| line[0] == name).unwrap();
        // total used free shared buffers cache available
        let (memory, swap) = (row("Mem:"), row("Swap:"));
        vec![
            ("memory.total_bytes", None, number(&memory[1]), 0.0),
            ("memory.free_bytes", None, number(&memory[3]), 0.0),
            ("memory.buffers_bytes", None, number(&memory[5]), 0.0),
            ("memory.cached_bytes", None, number(&memory[6]), 0.0),
            ("memory.available_bytes", None, number(&memory[7]), 0.0),
            ("swap.total_bytes", None, number(&swap[1]), 0.0),
            ("swap.used_bytes", None, number(&swap[2]), 0.0),
        ]
    })
    .await;
}

#[tokio::test]
async fn load_and_uptime_are_what_proc_says() {
    agrees(async |_| {
        let load = &words("/proc/loadavg")[0];
        let uptime = &words("/proc/uptime")[0];
        vec![
            ("load.1m", None, number(&load[0]), 0.01),
            ("load.5m", None, number(&load[1]), 0.01),
            ("load.15m", None, number(&load[2]), 0.01),
            ("host.uptime_seconds", None, number(&uptime[0]), 1.0),
        ]
    })
    .await;
}

#[tokio::test]
async fn the_root_file_system_is_what_df_says() {
    agrees(async |home| {
        let space = tool(home, "df", &["-B1", "--output=size,used,avail,pcent", "/"])
            .await
            .remove(1);
        let inodes = tool(home, "df", &["--output=itotal,ipcent", "/"]).await.remove(1);
        let mut readings = vec![
            ("mount.total_bytes", Some("/"), number(&space[0]), 0.0),
            ("mount.used_bytes", Some("/"), number(&space[1]), 0.0),
            ("mount.available_bytes", Some("/"), number(&space[2]), 0.0),
            // df rounds up to whole per cent.
            ("mount.used_percent", Some("/"), number(&space[3]), 1.0),
        ];
        if inodes[0] != "0" && inodes[0] != "-" {
            readings.push(("mount.inodes", Some("/"), number(&inodes[0]), 0.0));
            readings.push(("mount.inodes_used_percent", Some("/"), number(&inodes[1]), 1.0));
        }
        readings
    })
    .await;
}

#[tokio::test]
async fn processes_are_counted_as_ps_counts_them() {
    agrees(async |home| {
        let processes = tool(home, "ps", &["-e", "-o", "nlwp="]).await;
        let threads: f64 = processes.iter().map(|line| number(&line[0])).sum();
        vec![
            // ps sees itself, and other tests come and go.
            ("process.count", None, processes.len() as f64, 3.0),
            ("process.threads", None, threads, 12.0),
        ]
    })
    .await;
}

/// What ps says of a process: user, name, state, resident bytes.
async fn by_ps(home: &Home, id: u32) -> Vec<String> {
    let id = id.to_string();
    tool(home, "ps", &["-o", "user:64=,comm=,state=,rss=", "-p", &id])
        .await
        .remove(0)
}

#[tokio::test]
async fn a_process_is_listed_as_ps_lists_it_and_a_busy_one_shows_its_processor_time() {
    let home = Home::new();
    let start = |script| {
        let mut command = home.command("sh", &["-c", script]);
        // Nothing ever comes in, and the pipe closes with the test.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    // Large, because the figure that the kernel gives cheaply is off by up to some hundred KiB (proc_pid_stat(5)).
    let large_script = "x=$(head -c 40000000 /dev/zero | tr '\\0' x); read line; echo $x";
    let large = start(large_script);
    let large_id = large.id().unwrap();
    while number(&by_ps(&home, large_id).await[3]) < 39_000.0 || by_ps(&home, large_id).await[2] != "S" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let busy = start("while :; do :; done");
    let snapshot = Snapshot::take(&home).await;
    let find = |id: u32| {
        let found = snapshot.processes().iter().find(|process| process["pid"] == id);
        found.unwrap_or_else(|| panic!("{id} is not listed")).clone()
    };

    let listed = find(large_id);
    let by_ps = by_ps(&home, large_id).await;
    assert_eq!(listed["user"], by_ps[0].as_str());
    assert_eq!(listed["name"], by_ps[1].as_str());
    assert_eq!(listed["command"], format!("sh -c {large_script}"));
    assert_eq!(listed["state"], by_ps[2].as_str());
    let (memory, rss) = (
        listed["memory_bytes"].as_f64().unwrap(),
        number(&by_ps[3]) * 1024.0,
    );
    assert!((memory - rss).abs() <= rss * 0.02, "{memory} {rss}");

    let listed = find(busy.id().unwrap());
    let percent = listed["cpu_percent"].as_f64().unwrap();
    // It takes what the machine has left: on one with many runnable processes that is little, but never nothing.
    assert!((5.0..=105.0).contains(&percent), "{listed}");
    assert_eq!(listed["state"], "R");
}

#[tokio::test]
async fn the_processor_and_the_network_are_within_their_bounds() {
    let home = Home::new();
    let snapshot = Snapshot::take(&home).await;
    for metric in snapshot.metrics() {
        let (name, value) = (
            metric["name"].as_str().unwrap(),
            metric["value"].as_f64().unwrap(),
        );
        assert!(value >= 0.0 || metric["unit"] == "celsius", "{metric}");
        let is_share =
            metric["unit"] == "percent" && !name.starts_with("container.") && !name.starts_with("collector.");
        assert!(!is_share || value <= 100.0, "{metric}");
    }
    let parts = ["user", "system", "irq", "steal", "iowait"];
    let sum: f64 = parts
        .iter()
        .filter_map(|part| snapshot.value(&format!("cpu.{part}_percent"), None))
        .sum();
    assert!(sum <= 100.5, "{sum}");
    for line in words("/proc/net/dev").iter().skip(2) {
        let interface = line[0].split(':').next().unwrap();
        let received = snapshot.value("network.receive_bytes_per_second", Some(interface));
        assert!(received.is_some() || interface.starts_with("veth"), "{interface}");
    }
}
