//! What a tick costs: everything but processes, and one scan of all processes of this machine.
//!
//! Processor time of a collector per hour at 1 s is 3,600 times the first figure, plus 3,600 times the second while
//! somebody watches the processes or 360 times while nobody does.

use criterion::{Criterion, criterion_group, criterion_main};
#[cfg(target_os = "linux")]
use sysmon_collector::{Clock, Config, Plan, ProcessDetail, Sampler};

#[cfg(target_os = "linux")]
fn sampler(criterion: &mut Criterion) {
    let id = sysmon_core::MachineId::parse("bench").expect("it is made of letters");
    let config = Config::new(id);
    let clock = Clock::default();
    for (name, processes) in [
        ("tick without processes", ProcessDetail::None),
        ("tick with all processes", ProcessDetail::All),
    ] {
        let plan = Plan {
            interval_ms: 1_000,
            burst_interval_ms: 0,
            processes,
        };
        let mut sampler = Sampler::new(&config);
        sampler.prime(clock.now(), plan);
        criterion.bench_function(name, |bencher| bencher.iter(|| sampler.sample(clock.now(), plan)));
    }
}

#[cfg(not(target_os = "linux"))]
fn sampler(_: &mut Criterion) {}

criterion_group!(benches, sampler);
criterion_main!(benches);
