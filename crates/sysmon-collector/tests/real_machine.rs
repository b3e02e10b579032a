//! The sampler against the machine that the tests run on.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sysmon_collector::{Clock, Config, Plan, ProcessDetail, Sample, Sampler};
use sysmon_core::{MachineId, from_scaled};

struct Machine {
    clock: Clock,
    sampler: Sampler,
    plan: Plan,
    names: BTreeMap<u32, (String, u8)>,
}

impl Machine {
    fn new(processes: ProcessDetail) -> Self {
        let config = Config {
            process_interval_ms: 100,
            ..Config::new(MachineId::parse("test").unwrap())
        };
        let (clock, mut sampler) = (Clock::default(), Sampler::new(&config));
        let plan = Plan {
            interval_ms: 1_000,
            burst_interval_ms: 0,
            processes,
        };
        sampler.prime(clock.now(), plan);
        Self {
            clock,
            sampler,
            plan,
            names: BTreeMap::new(),
        }
    }

    async fn tick_after(&mut self, pause: Duration) -> (BTreeMap<String, f64>, Sample) {
        tokio::time::sleep(pause).await;
        let sample = self.sampler.sample(self.clock.now(), self.plan);
        for series in &sample.announced {
            self.names
                .insert(series.number, (series.key.to_string(), series.decimals));
        }
        let named = |(number, scaled): &(u32, i64)| {
            let (name, decimals) = &self.names[number];
            (name.clone(), from_scaled(*scaled, *decimals))
        };
        (sample.values.iter().map(named).collect(), sample)
    }
}

/// Ends a child whatever becomes of the test.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn proc_number(file: &str, key: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{file}")).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line[key.len()..]
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_busy_process_shows_in_the_processor_time_and_in_the_process_list() {
    let mut busy = Command::new("sh");
    busy.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
    let busy = Ending(busy.spawn().unwrap());
    let mut machine = Machine::new(ProcessDetail::Top);
    let cores = std::thread::available_parallelism().unwrap().get() as f64;
    // When the whole machine is busy it may take a while until the child gets its share.
    for attempt in 0.. {
        let (values, sample) = machine.tick_after(Duration::from_secs(2)).await;
        let processes = sample.processes.unwrap();
        let child = processes.iter().find(|process| process.key.pid == busy.0.id());
        let child = child.expect("it is among the busiest").clone();
        let share = f64::from(child.cpu_percent.unwrap_or(0.0));
        let all = values["cpu.busy_percent"] * cores;
        assert!(
            all >= share - 15.0,
            "all cores together: {all}, the child alone: {share}"
        );
        assert_eq!(&*child.command, "sh -c while :; do :; done");
        assert!(share <= 110.0, "{share}");
        if share > 50.0 {
            assert!(values["cpu.user_percent"] > 0.0 && values["process.running"] >= 1.0);
            return;
        }
        assert!(attempt < 15, "the child never got more than {share} %");
    }
}

#[tokio::test]
async fn values_are_those_of_proc() {
    let mut machine = Machine::new(ProcessDetail::All);
    let (values, sample) = machine.tick_after(Duration::from_millis(300)).await;
    assert_eq!(
        values["memory.total_bytes"],
        proc_number("meminfo", "MemTotal:") * 1_024.0
    );
    assert_eq!(
        values["swap.total_bytes"],
        proc_number("meminfo", "SwapTotal:") * 1_024.0
    );
    let uptime = proc_number("uptime", "");
    assert!((values["host.uptime_seconds"] - uptime).abs() <= 2.0);
    let cores = std::fs::read_to_string("/proc/stat").unwrap();
    let cores = cores
        .lines()
        .filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "))
        .count();
    let reported = values
        .keys()
        .filter(|name| name.starts_with("cpu.core_busy_percent"))
        .count();
    assert_eq!(
        (reported, machine.sampler.host().cpu_count as usize),
        (cores, cores)
    );
    let used = proc_number("meminfo", "MemTotal:") - proc_number("meminfo", "MemAvailable:");
    let deviation =
        (values["memory.used_bytes"] / 1_024.0 - used).abs() / proc_number("meminfo", "MemTotal:");
    assert!(deviation < 0.02, "{deviation}");
    let processes = sample.processes.unwrap();
    assert_eq!(values["process.count"], processes.iter().len() as f64);
    let own = processes
        .iter()
        .find(|process| process.key.pid == std::process::id())
        .unwrap();
    let resident = proc_number("self/status", "VmRSS:") * 1_024.0;
    assert!(
        (own.memory_bytes as f64 / resident - 1.0).abs() < 0.2,
        "{} and {resident}",
        own.memory_bytes
    );
    assert!(processes.iter().any(|process| process.key.pid == 1));
}

#[tokio::test]
async fn without_a_wish_for_processes_none_are_scanned() {
    let mut machine = Machine::new(ProcessDetail::None);
    let (values, sample) = machine.tick_after(Duration::from_millis(100)).await;
    assert_eq!(sample.processes, None);
    assert!(!values.contains_key("process.count"));
    machine.plan.processes = ProcessDetail::All;
    let (_, sample) = machine.tick_after(Duration::from_millis(100)).await;
    assert!(sample.processes.unwrap().is_complete());
}

#[tokio::test]
async fn the_top_list_comes_at_its_own_pace() {
    let config = Config {
        process_interval_ms: 10_000,
        ..Config::new(MachineId::parse("test").unwrap())
    };
    let mut sampler = Sampler::new(&config);
    let plan = Plan {
        interval_ms: 1_000,
        burst_interval_ms: 0,
        processes: ProcessDetail::Top,
    };
    let mut moment = Clock::default().now();
    sampler.prime(moment, plan);
    let mut scans = Vec::new();
    for tick in 0..25u64 {
        // Ticks come a little early or late.
        moment.monotonic_ns += 1_000_000_000 + tick % 3 * 1_000_000 - 1_000_000;
        if sampler.sample(moment, plan).processes.is_some() {
            scans.push(tick);
        }
    }
    assert_eq!(scans, [0, 10, 20]);
}
