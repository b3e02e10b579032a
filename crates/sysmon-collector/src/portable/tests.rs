//! Run on whatever system the tests run on, Linux included.

use super::*;
use crate::slow::SlowProbe as _;
use std::time::Duration;
use sysmon_core::{UnixMillis, from_scaled};

const PLAN: Plan = Plan {
    interval_ms: 1_000,
    burst_interval_ms: 0,
    processes: ProcessDetail::All,
};

fn sampler() -> Sampler {
    Sampler::new(&Config::new(MachineId::parse("test").unwrap()))
}

/// Values by series after real time has passed.
fn two_ticks(sampler: &mut Sampler) -> (BTreeMap<String, f64>, Sample) {
    let clock = crate::clock::Clock::default();
    sampler.prime(clock.now(), PLAN);
    let mut sum = 0u64;
    while clock.now().monotonic_ns < Duration::from_millis(400).as_nanos() as u64 {
        sum = std::hint::black_box(sum.wrapping_add(1));
    }
    let sample = sampler.sample(clock.now(), PLAN);
    let names: BTreeMap<u32, (String, u8)> = sample
        .announced
        .iter()
        .map(|series| (series.number, (series.key.to_string(), series.decimals)))
        .collect();
    let value =
        |(number, scaled): &(u32, i64)| (names[number].0.clone(), from_scaled(*scaled, names[number].1));
    (sample.values.iter().map(value).collect(), sample)
}

#[test]
fn what_sysinfo_gives_comes_out_under_the_names_of_the_catalogue() {
    let (values, sample) = two_ticks(&mut sampler());
    for name in [
        "cpu.busy_percent",
        "cpu.core_busy_percent{core=\"0\"}",
        "memory.total_bytes",
        "memory.used_bytes",
        "memory.used_percent",
        "swap.total_bytes",
        "host.uptime_seconds",
        "process.count",
        "collector.memory_bytes",
        "collector.interval_ms",
        "network.total_receive_bytes_per_second",
    ] {
        assert!(values.contains_key(name), "{name} is missing: {values:?}");
    }
    assert!(values["cpu.busy_percent"] > 0.0 && values["cpu.busy_percent"] <= 100.0);
    assert!(
        !values.contains_key("pressure.cpu_some_percent"),
        "what it does not give is absent"
    );
    let table = sample.processes.unwrap();
    let own = table
        .iter()
        .find(|process| process.key.pid == std::process::id())
        .unwrap();
    assert!(own.cpu_percent.unwrap() > 20.0, "{own:?}");
    assert!(own.memory_bytes > 1_000_000 && !own.command.is_empty());
}

#[test]
fn after_a_gap_there_are_no_rates() {
    let mut sampler = sampler();
    two_ticks(&mut sampler);
    let later = Moment {
        unix: UnixMillis(0),
        monotonic_ns: 1_000_000_000_000,
    };
    let sample = sampler.sample(later, PLAN);
    let busy = sampler.sample(
        later,
        Plan {
            interval_ms: 1_000,
            burst_interval_ms: 0,
            processes: ProcessDetail::None,
        },
    );
    assert!(sample.values.len() < busy.values.len() + 20);
    let own = sample.processes.unwrap();
    assert!(
        own.iter().all(|process| process.cpu_percent.is_none()),
        "an average over the gap would be a lie"
    );
}

#[test]
fn a_host_has_a_name_and_a_size() {
    let sampler = sampler();
    let host = sampler.host();
    assert!(
        host.memory_bytes > 0 && host.cpu_count > 0 && host.boot_unix_ms > 0,
        "{host:?}"
    );
    assert!(!host.os.is_empty() && !host.architecture.is_empty());
}

#[test]
fn file_systems_and_sensors_are_found_or_absent_without_an_error() {
    for reading in MountProbe.run().unwrap() {
        assert!(reading.value.unwrap() >= 0.0, "{reading:?}");
    }
    SensorProbe.run().unwrap();
}

#[test]
fn what_slow_probes_report_comes_with_the_next_tick() {
    let mut sampler = sampler();
    let readings = Some(vec![crate::slow::Reading::of(
        MetricId::MountUsedPercent,
        "/",
        50.0,
    )]);
    sampler.board().post(crate::slow::Report {
        probe: "mounts",
        readings,
        took_ms: 1.0,
        failures: 0,
    });
    let (values, _) = two_ticks(&mut sampler);
    assert_eq!(values["mount.used_percent{mount=\"/\"}"], 50.0);
}
