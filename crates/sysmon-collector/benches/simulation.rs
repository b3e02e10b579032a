//! What one tick of a virtual machine costs before it is sent: ten thousand of them are to fit beside an aggregator.

use criterion::{Criterion, criterion_group, criterion_main};
use sysmon_collector::simulation::{Fleet, Machine, Scenario};
use sysmon_collector::{Plan, ProcessDetail};
use sysmon_core::UnixMillis;

const START: UnixMillis = UnixMillis(1_795_000_000_000);

fn machines() -> Vec<Machine> {
    let fleet = Fleet::new(1, "sim", Scenario::default(), START);
    let machine = |index| fleet.machine(index, START).expect("the prefix is an id");
    (0..1_000).map(machine).collect()
}

fn tick(criterion: &mut Criterion) {
    for (name, processes) in [
        ("a tick without processes", ProcessDetail::None),
        ("a tick, processes every ten", ProcessDetail::Top),
        ("a tick with all processes", ProcessDetail::All),
    ] {
        let plan = Plan {
            interval_ms: 1_000,
            burst_interval_ms: 0,
            processes,
        };
        let mut machines = machines();
        let (mut index, mut at) = (0, START);
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                if index == machines.len() {
                    (index, at) = (0, at.plus_ms(1_000));
                }
                index += 1;
                machines[index - 1].sample(at, plan)
            });
        });
    }
}

criterion_group!(benches, tick);
criterion_main!(benches);
