//! What judging costs: a second of a fleet under twenty rules, and a day of a hundred machines played against a rule.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sysmon_core::alert::{MachineAlerts, Rule, RuleId, RuleSet, Transition, starter_pack};
use sysmon_core::{CATALOGUE, MachineId, MetricId, SeriesKey, UnixMillis};

const MACHINES: usize = 10_000;
const RULES: usize = 20;

/// Every metric that a machine has once, and two of every entity: what a small server reports.
fn keys() -> Vec<Arc<SeriesKey>> {
    let mut keys = Vec::new();
    for definition in CATALOGUE {
        match definition.label {
            None => keys.push(Arc::new(SeriesKey::plain(definition.id))),
            Some("mount" | "disk" | "interface") => {
                keys.extend(["a", "b"].map(|entity| Arc::new(SeriesKey::of(definition.id, entity))));
            }
            Some(_) => {}
        }
    }
    keys
}

/// The starter pack, and further rules on other metrics until there are twenty.
fn rules() -> Arc<RuleSet> {
    let mut rules = starter_pack();
    let cpu: Rule = rules.iter().find(|rule| rule.id.as_str() == "cpu-busy").expect("a starter rule").clone();
    for metric in [MetricId::PressureIoFull, MetricId::FilesOpenPercent] {
        let mut rule = cpu.clone();
        rule.id = RuleId::parse(&metric.name().replace(['.', '_'], "-")).expect("a rule id");
        if let sysmon_core::alert::Check::Metric(check) = &mut rule.check {
            check.quantity.metric = metric.name().into();
        }
        rules.push(rule);
    }
    assert_eq!(rules.len(), RULES, "the bench says twenty rules");
    Arc::new(RuleSet::new(rules))
}

struct Fleet {
    machines: Vec<MachineAlerts>,
    values: Vec<(u32, f64)>,
    second: i64,
    out: Vec<Transition>,
}

impl Fleet {
    fn new(machines: usize) -> Self {
        let (keys, rules) = (keys(), rules());
        let mut out = Vec::new();
        let machines = (0..machines).map(|index| {
            let id = MachineId::parse(&format!("machine-{index}")).expect("an id");
            let mut machine = MachineAlerts::new(id);
            machine.set_rules(&rules, UnixMillis(0), &mut out);
            machine.set_host(&[], 1_000, UnixMillis(0), &mut out);
            for (number, key) in (1..).zip(&keys) {
                machine.announce(number, key);
            }
            machine
        });
        Self {
            machines: machines.collect(),
            values: (1..).zip(keys.iter().map(|_| 0.0)).collect(),
            second: 0,
            out,
        }
    }

    /// One sample of every machine; nothing is wrong, as on most machines most of the time.
    fn second(&mut self) {
        self.second += 1;
        let at = UnixMillis(self.second * 1_000);
        for (index, (_, value)) in self.values.iter_mut().enumerate() {
            // Uptime and free space are high, everything else is low; load has something to be divided by.
            *value = 1e12 + self.second as f64 * (index % 3) as f64;
        }
        for (index, definition) in keys().iter().zip(&mut self.values).map(|(key, value)| (value, key.id())) {
            let unit = definition.map(|id| id.definition().unit);
            if !matches!(definition, Some(MetricId::Uptime | MetricId::MountAvailable)) {
                index.1 = if unit.is_some() { 3.0 + (self.second % 5) as f64 } else { 0.0 };
            }
        }
        for machine in &mut self.machines {
            machine.observe(at, at, black_box(&self.values), &mut self.out);
        }
    }
}

fn fleet(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("alerts");
    for machines in [1, MACHINES] {
        let mut fleet = Fleet::new(machines);
        // Windows are full and evicting before anything is timed.
        let warm_up = if machines == 1 { 4_000 } else { 60 };
        (0..warm_up).for_each(|_| fleet.second());
        println!("{} series, {} transitions", fleet.values.len(), fleet.out.len());
        group.throughput(Throughput::Elements((machines * RULES) as u64));
        group.bench_function(format!("{machines} machines x {RULES} rules, a second"), |bencher| {
            bencher.iter(|| fleet.second());
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(10)).sample_size(20);
    targets = fleet
}
criterion_main!(benches);
