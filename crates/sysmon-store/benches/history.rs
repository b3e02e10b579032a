//! What committing, asking and maintaining cost in SQLite, on a disk as fast as the temporary folder's.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on is to stop")]
#![expect(
    clippy::print_stdout,
    reason = "processor time is no measurement that the harness knows"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sysmon_core::{Epoch, HistoryQuery, Label, MachineId, Metric, SeriesKey, Unit, UnixMillis};
use sysmon_store::{
    Content, History, HistoryOptions, IngestBatch, Outcome, SeriesEntry, SeriesTable, open_history,
};
use tokio::runtime::Runtime;

const SERIES: u32 = 100;
const START: UnixMillis = UnixMillis(1_700_000_000_000 / 86_400_000 * 86_400_000);

/// A hundred series as machines have them: a third constant, a third small rates, a third bytes.
fn table() -> Arc<SeriesTable> {
    let entry = |number: u32| {
        let label = Label {
            name: "number".into(),
            value: number.to_string().into(),
        };
        let name = if number == 0 { "bench.first" } else { "bench.other" };
        let metric = Metric::Custom {
            name: name.into(),
            unit: Unit::Count,
        };
        let key = Arc::new(SeriesKey {
            metric,
            labels: vec![label],
        });
        (number, SeriesEntry { key, decimals: 1 })
    };
    Arc::new(SeriesTable::new(
        (0..SERIES).map(entry).collect::<BTreeMap<_, _>>(),
    ))
}

fn value(machine: u64, second: u64, series: u32) -> i64 {
    let mut noise = (machine << 40) ^ (second << 10) ^ u64::from(series);
    noise = (noise ^ (noise >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    noise = (noise ^ (noise >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    match series % 3 {
        0 => 1_000,
        1 => i64::from((noise >> 58) as u32),
        _ => 8_000_000_000 + 4_096 * i64::from((noise >> 52) as u32),
    }
}

struct Fleet {
    machines: Vec<MachineId>,
    table: Arc<SeriesTable>,
    pace_ms: i64,
    now: UnixMillis,
    sequence: u64,
}

impl Fleet {
    fn new(machines: usize, pace_ms: i64) -> Self {
        let name = |number| MachineId::parse(&format!("machine-{number}")).unwrap();
        Self {
            machines: (0..machines).map(name).collect(),
            table: table(),
            pace_ms,
            now: START,
            sequence: 0,
        }
    }

    /// The next tick of every machine.
    fn tick(&mut self) -> Vec<IngestBatch> {
        self.sequence += 1;
        self.now = self.now.plus_ms(self.pace_ms);
        let batch = |(number, machine): (u64, &MachineId)| IngestBatch {
            machine: machine.clone(),
            epoch: Epoch([3; 16]),
            sequence: self.sequence,
            content: Content::Tick {
                at: self.now,
                series: self.table.clone(),
                values: (0..SERIES)
                    .map(|series| (series, value(number, self.sequence, series)))
                    .collect(),
            },
            clock_offset_ms: 5,
            host: None,
            spool_was_lost: false,
        };
        (0..).zip(&self.machines).map(batch).collect()
    }
}

fn sqlite(runtime: &Runtime, folder: &tempfile::TempDir) -> Arc<dyn History> {
    let url = format!("sqlite:{}", folder.path().join("history.db").display());
    runtime
        .block_on(open_history(&url, HistoryOptions::default()))
        .unwrap()
}

/// Stores so many ticks, maintaining as it would happen.
async fn fill(history: &dyn History, fleet: &mut Fleet, ticks: u32) {
    for _ in 0..ticks / 120 {
        let batches: Vec<IngestBatch> = (0..120).flat_map(|_| fleet.tick()).collect();
        let outcomes = history.commit(&batches).await.unwrap();
        assert!(matches!(outcomes[0], Outcome::Stored { .. }));
        while history.maintain(fleet.now).await.unwrap().more {}
    }
}

/// User and system time of this process, in milliseconds.
fn cpu_ms() -> f64 {
    let usage = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = usage
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) * 10.0
}

fn commit(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let history = sqlite(&runtime, &folder);
    let mut fleet = Fleet::new(1_000, 1_000);
    let mut group = criterion.benchmark_group("sqlite");
    group.sample_size(20);
    let (before, mut commits) = (cpu_ms(), 0u32);
    group.bench_function(
        "commit of a second of 1,000 machines with 100 series",
        |bencher| {
            bencher.iter_batched(
                || fleet.tick(),
                |batches| {
                    commits += 1;
                    runtime.block_on(history.commit(&batches)).unwrap()
                },
                BatchSize::PerIteration,
            );
        },
    );
    let spent = (cpu_ms() - before) / f64::from(commits.max(1));
    println!("processor time with making up the values: {spent:.1} ms per commit");
    group.finish();
}

fn ask(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let history = sqlite(&runtime, &folder);
    // A machine with eight hours at a second, in another file a hundred machines with a day at a minute's pace, whose
    // roll-ups are as many as at any pace, and at a second since: what is not rolled up yet has to be rolled up by the
    // question.
    let mut one = Fleet::new(1, 1_000);
    runtime.block_on(fill(&*history, &mut one, 8 * 3_600));
    let fleet_folder = tempfile::tempdir().unwrap();
    let fleet_history = sqlite(&runtime, &fleet_folder);
    let mut fleet = Fleet::new(100, 60_000);
    runtime.block_on(fill(&*fleet_history, &mut fleet, 1_440));
    fleet.pace_ms = 1_000;
    runtime.block_on(fill(&*fleet_history, &mut fleet, 1_800));
    let month_folder = tempfile::tempdir().unwrap();
    let month_history = sqlite(&runtime, &month_folder);
    let mut month = Fleet::new(1, 60_000);
    runtime.block_on(fill(&*month_history, &mut month, 30 * 1_440));
    let first: &[&str] = &["bench.first"];
    let questions = [
        (
            "the last hour of one machine at a second",
            &history,
            &one,
            0,
            1,
            &[][..],
        ),
        (
            "an hour of one machine five hours ago",
            &history,
            &one,
            -5,
            1,
            &[],
        ),
        (
            "a day of 100 machines, one series",
            &fleet_history,
            &fleet,
            0,
            24,
            first,
        ),
        (
            "a day of 100 machines, 100 series",
            &fleet_history,
            &fleet,
            0,
            24,
            &[],
        ),
        ("30 days of one machine", &month_history, &month, 0, 720, &[]),
        ("7 days of one machine", &month_history, &month, 0, 168, &[]),
    ];
    let mut group = criterion.benchmark_group("sqlite");
    group.sample_size(10);
    for (name, history, fleet, end_hours, hours, metrics) in questions {
        let to = fleet.now.plus_ms(1 + end_hours * 3_600_000);
        let query = HistoryQuery {
            machines: fleet.machines.clone(),
            metrics: metrics.iter().map(ToString::to_string).collect(),
            from: to.plus_ms(-hours * 3_600_000),
            to,
            points: 300,
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(runtime.block_on(history.query(&query)).unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, commit, ask);
criterion_main!(benches);
