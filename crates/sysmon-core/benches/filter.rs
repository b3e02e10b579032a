//! What filtering a fleet costs: 10,000 machines, as an aggregator keeps them, against filters of four terms.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sysmon_core::filter::{AlertFacts, Subject, any_value};
use sysmon_core::{Filter, Health, HostInfo, Liveness, MetricId, Recent, SeriesKey, UnixMillis};

const MACHINES: u32 = 10_000;

struct Machine {
    id: String,
    host: HostInfo,
    recent: Recent,
}

impl Subject for Machine {
    fn id(&self) -> &str {
        &self.id
    }

    fn host(&self) -> &HostInfo {
        &self.host
    }

    fn liveness(&self) -> Liveness {
        Liveness::Live
    }

    fn health(&self) -> Health {
        Health::Healthy
    }

    fn age_ms(&self) -> u64 {
        500
    }

    fn interval_ms(&self) -> u32 {
        1_000
    }

    fn any_value(&self, metric: MetricId, entity: Option<&str>, test: &mut dyn FnMut(f64) -> bool) -> bool {
        any_value(&self.recent, metric, entity, test)
    }

    fn any_alert(&self, _: &mut dyn FnMut(AlertFacts<'_>) -> bool) -> bool {
        false
    }
}

/// A hundred series, of which most are of entities.
fn machine(number: u32) -> Machine {
    let mut recent = Recent::new(300_000);
    let plain = [
        MetricId::CpuBusy,
        MetricId::MemoryUsedPercent,
        MetricId::Load1,
        MetricId::MountWorstPercent,
        MetricId::NetworkReceiveTotal,
    ];
    let mut keys: Vec<SeriesKey> = plain.into_iter().map(SeriesKey::plain).collect();
    keys.extend((0..90).map(|core| SeriesKey::of(MetricId::CpuCoreBusy, &core.to_string())));
    keys.extend(
        ["/", "/home", "/var", "/srv", "/tmp"].map(|mount| SeriesKey::of(MetricId::MountUsedPercent, mount)),
    );
    let mut values = Vec::new();
    for (series, key) in (0u32..).zip(keys) {
        recent.announce(series, Arc::new(key), 1);
        values.push((series, i64::from((number * 7 + series * 13) % 1_000)));
    }
    recent.push(UnixMillis(1_000), values);
    Machine {
        id: format!("machine-{number:05}"),
        host: HostInfo {
            hostname: format!("machine-{number:05}.example.org"),
            labels: vec![
                (
                    "role".into(),
                    if number.is_multiple_of(3) { "db" } else { "web" }.into(),
                ),
                ("site".into(), format!("site-{}", number % 20)),
            ],
            ..HostInfo::default()
        },
        recent,
    }
}

fn filters(criterion: &mut Criterion) {
    let fleet: Vec<Machine> = (0..MACHINES).map(machine).collect();
    let mut group = criterion.benchmark_group("10000_machines");
    group.throughput(Throughput::Elements(MACHINES.into()));
    group.sample_size(30);
    for (name, text) in [
        (
            "texts",
            "host ~ zzz or label.role = xx or site ~ nowhere or id = y",
        ),
        ("words", "machine example role site"),
        ("values", "cpu >= 0 and mem >= 0 and load1 >= 0 and disk >= 0"),
        (
            "entities",
            "disk{/tmp} > 100 or mount.used_percent > 100 or cpu{89} > 100 or cpu.core_busy_percent > 100",
        ),
        (
            "mixed",
            "cpu > 50 and (host ~ web or label.role = db) and alert = none",
        ),
    ] {
        let filter = Filter::parse(text).expect("a valid filter");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                fleet
                    .iter()
                    .filter(|machine| filter.matches(black_box(*machine)))
                    .count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, filters);
criterion_main!(benches);
