//! What judging costs: a second of a fleet under twenty rules, and a day of a hundred machines played against a rule.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sysmon_core::alert::{Check, MachineAlerts, Rule, RuleId, RuleSet, Transition, dry_run, starter_pack};
use sysmon_core::{
    CATALOGUE, MachineHistory, MachineId, MachineSamples, MetricId, Point, SeriesKey, SeriesPoints, Tier,
    Unit, UnixMillis,
};

/// Processor time of this process where the kernel tells it, so that a busy machine does not make us slow: the field
/// that `/proc/self/schedstat` begins with, in nanoseconds, brought up to date every few milliseconds.
struct ProcessorTime;

impl Measurement for ProcessorTime {
    type Intermediate = u64;
    type Value = u64;

    fn start(&self) -> u64 {
        let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
        let first = text
            .split_whitespace()
            .next()
            .and_then(|field| field.parse().ok());
        first.expect("the bench needs Linux with scheduler statistics")
    }

    fn end(&self, started: u64) -> u64 {
        self.start().saturating_sub(started)
    }

    fn add(&self, one: &u64, other: &u64) -> u64 {
        one + other
    }

    fn zero(&self) -> u64 {
        0
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "nanoseconds of a bench are exact in a double"
    )]
    fn to_f64(&self, nanoseconds: &u64) -> f64 {
        *nanoseconds as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

const MACHINES: usize = 10_000;
const RULES: usize = 20;
const DAY_POINTS: i64 = 17_280;

/// Every metric that a machine has once, and two of every mount, disk and interface: what a small server reports.
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

fn starter(id: &str) -> Rule {
    let rules = starter_pack().into_iter();
    rules
        .filter(|rule| rule.id.as_str() == id)
        .last()
        .expect("a starter rule")
}

/// The starter pack, and further rules on other metrics until there are twenty.
fn rules() -> Arc<RuleSet> {
    let mut rules = starter_pack();
    for metric in [MetricId::PressureIoFull, MetricId::FilesOpenPercent] {
        let mut rule = starter("cpu-busy");
        rule.id = RuleId::parse(&metric.name().replace(['.', '_'], "-")).expect("a rule id");
        if let Check::Metric(check) = &mut rule.check {
            check.quantity.metric = metric.name().into();
        }
        rules.push(rule);
    }
    assert_eq!(rules.len(), RULES, "the bench says twenty rules");
    Arc::new(RuleSet::new(rules))
}

struct Fleet {
    machines: Vec<MachineAlerts>,
    keys: Vec<Arc<SeriesKey>>,
    values: Vec<(u32, f64)>,
    now: UnixMillis,
    out: Vec<Transition>,
}

impl Fleet {
    /// Machines that have reported for more than an hour, so that every window is full.
    fn new(machines: usize) -> Self {
        let (keys, rules) = (keys(), rules());
        let mut out = Vec::new();
        let machines = (0..machines).map(|index| {
            let id = MachineId::parse(&format!("machine-{index}")).expect("an id");
            let mut machine = MachineAlerts::new(id);
            machine.set_rules(&rules, UnixMillis(0), &mut out);
            machine.set_host(&[], 20_000, UnixMillis(0), &mut out);
            for (number, key) in (1..).zip(&keys) {
                machine.announce(number, key);
            }
            machine
        });
        let mut fleet = Self {
            machines: machines.collect(),
            values: (1..).zip(keys.iter().map(|_| 0.0)).collect(),
            keys,
            now: UnixMillis(0),
            out,
        };
        (0..200).for_each(|_| fleet.step(20_000));
        for machine in &mut fleet.machines {
            machine.set_host(&[], 1_000, fleet.now, &mut fleet.out);
        }
        (0..10).for_each(|_| fleet.step(1_000));
        assert!(fleet.out.is_empty(), "nothing is wrong: {:?}", fleet.out.first());
        fleet
    }

    /// One sample of every machine; nothing is wrong, as on most machines most of the time.
    fn step(&mut self, step_ms: i64) {
        self.now = self.now.plus_ms(step_ms);
        let noise = (self.now.0 / 1_000 % 5) as f64;
        for (key, (_, value)) in self.keys.iter().zip(&mut self.values) {
            *value = match key.metric.unit() {
                Unit::Bytes | Unit::Seconds => 1e12 + noise,
                Unit::PerSecond if key.metric.name().contains("errors") => 0.0,
                _ if key.id() == Some(MetricId::OomKills) => 0.0,
                _ if key.id() == Some(MetricId::CpuCount) => 8.0,
                _ => 1.0 + noise,
            };
        }
        for machine in &mut self.machines {
            machine.observe(self.now, self.now, black_box(&self.values), &mut self.out);
        }
    }
}

fn fleet(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("alerts");
    for machines in [1, MACHINES] {
        // Made only when it is asked for.
        let mut fleet = None;
        let series = keys().len();
        group.throughput(Throughput::Elements((machines * RULES) as u64));
        group.bench_function(
            format!("{machines} machines, {series} series, {RULES} rules, one sample each"),
            |bencher| {
                let fleet = fleet.get_or_insert_with(|| Fleet::new(machines));
                bencher.iter(|| fleet.step(1_000));
            },
        );
    }
    group.finish();
}

/// A day of one series at 5 s that is over the level for an hour.
fn day(machine: usize, metric: MetricId) -> MachineHistory {
    let point = |index: i64| {
        let value = if (3_000..3_720).contains(&index) {
            97.0
        } else {
            (index % 50) as f64
        };
        Some(Point {
            minimum: value,
            maximum: value,
            mean: value,
            count: 1,
        })
    };
    MachineHistory {
        machine: MachineId::parse(&format!("machine-{machine}")).expect("an id"),
        tier: Tier::Raw,
        step_ms: 0,
        times: (0..DAY_POINTS).map(|index| UnixMillis(index * 5_000)).collect(),
        series: vec![SeriesPoints {
            key: Arc::new(SeriesKey::plain(metric)),
            decimals: 1,
            points: (0..DAY_POINTS).map(point).collect(),
        }],
        gaps: Vec::new(),
    }
}

fn past(criterion: &mut Criterion<ProcessorTime>) {
    let mut group = criterion.benchmark_group("dry run");
    for (id, metric) in [
        ("memory-used", MetricId::MemoryUsedPercent),
        ("cpu-busy", MetricId::CpuBusy),
    ] {
        let rule = starter(id);
        let samples = |machine| MachineSamples::from(&day(machine, metric));
        let histories: Vec<MachineSamples> = (0..100).map(samples).collect();
        for history in &histories {
            assert_eq!(
                dry_run(&rule, &[], 5_000, history).episodes.len(),
                1,
                "an hour is over the level"
            );
        }
        group.throughput(Throughput::Elements(100 * DAY_POINTS.unsigned_abs()));
        group.bench_function(format!("{id}: 100 machines, a day at 5 s"), |bencher| {
            bencher.iter(|| {
                let runs = histories
                    .iter()
                    .map(|history| dry_run(&rule, &[], 5_000, history));
                runs.map(|run| run.episodes.len()).sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(ProcessorTime)
        .measurement_time(Duration::from_secs(15))
        .sample_size(20);
    targets = fleet, past
}
criterion_main!(benches);
