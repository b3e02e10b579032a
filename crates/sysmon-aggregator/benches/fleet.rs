//! What the state costs: a second of 1,000 machines with 100 series each, alone and with subscribers, and the memory
//! of five minutes of it. `cargo bench -p sysmon-aggregator`.

use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sysmon_aggregator::fleet::{Batch, ClientId, Fleet, Hello, Moment, StreamId};
use sysmon_aggregator::{Config, Counters};
use sysmon_api::{Principal, Role, wire};
use sysmon_core::{Epoch, HostInfo, MachineId, MetricId, SeriesKey, UnixMillis};

const MACHINES: u32 = 1_000;
const SERIES: u32 = 100;
const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// A cheap source of noise, the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.cast_unsigned()).cast_signed()
    }
}

/// A fleet of machines like ours: a third of the series hardly moves, a third wanders, a third is traffic, mostly none.
struct Bench {
    fleet: Fleet,
    streams: Vec<StreamId>,
    noise: Noise,
    second: u64,
    /// How many series a machine has.
    series: u32,
    levels: Vec<i64>,
}

impl Bench {
    fn new() -> Self {
        Self::of(MACHINES, SERIES)
    }

    fn of(machines: u32, series: u32) -> Self {
        let mut bench = Self {
            fleet: Fleet::new(Config::default(), Arc::new(Counters::default())),
            streams: Vec::new(),
            noise: Noise(0x9e37_79b9_7f4a_7c15),
            second: 0,
            series,
            levels: vec![500; (machines * series) as usize],
        };
        let now = bench.now();
        for number in 0..machines {
            let stream = bench
                .fleet
                .open_stream(hello(number), now)
                .expect("below the limit")
                .stream;
            let announced = (0..series).map(|series| (series, key(series), 1)).collect();
            let batch = Batch {
                announced,
                ..Batch::default()
            };
            bench.fleet.batch(stream, batch, now);
            bench.streams.push(stream);
        }
        bench
    }

    fn now(&self) -> Moment {
        Moment {
            monotonic_ms: self.second * 1_000,
            unix: START.plus_ms((self.second * 1_000).cast_signed()),
        }
    }

    /// The next second's batches of all machines.
    fn next(&mut self) -> (Moment, Vec<(StreamId, Batch)>) {
        self.second += 1;
        let now = self.now();
        let mut batches = Vec::with_capacity(self.streams.len());
        for (machine, stream) in self.streams.iter().enumerate() {
            let count = self.series as usize;
            let levels = &mut self.levels[machine * count..][..count];
            let mut values = Vec::with_capacity(levels.len());
            for (series, level) in (0..self.series).zip(levels) {
                let value = match series % 3 {
                    0 => *level + i64::from(self.noise.next(50) == 0),
                    1 => *level + self.noise.next(41) - 20,
                    _ if self.noise.next(10) < 7 => 0,
                    _ => self.noise.next(2_000_000),
                };
                *level = value;
                values.push((series, value));
            }
            let batch = Batch {
                sequence: self.second,
                tick: Some((now.unix, values)),
                ..Batch::default()
            };
            batches.push((*stream, batch));
        }
        (now, batches)
    }

    fn ingest(&mut self, now: Moment, batches: Vec<(StreamId, Batch)>) {
        for (stream, batch) in batches {
            self.fleet.batch(stream, batch, now);
        }
        self.fleet.sweep(now);
    }

    fn subscribe(&mut self, subscribe: &wire::Subscribe) -> ClientId {
        let client = self.fleet.open_client().expect("below the limit");
        self.fleet
            .subscribe(client, subscribe)
            .expect("a valid subscription");
        while self.deliver() > 0 {}
        client
    }

    /// Sends all subscribers what they may get, and acknowledges it; returns the number of machine updates.
    fn deliver(&mut self) -> usize {
        let now = self.now();
        let mut received = Vec::new();
        let mut count = 0;
        self.fleet.flush(now, |client, update| {
            let update = update.decode().expect("what the fleet has encoded");
            count += update.machines.len();
            received.push((client, update.subscription, update.number));
            black_box(update);
            true
        });
        for (client, subscription, number) in received {
            let received = wire::UpdateReceived { subscription, number };
            self.fleet.received(client, received);
        }
        count
    }

    /// The same where every machine's tick is an update of its own, as when they arrive one by one.
    fn ingest_one_by_one(&mut self, now: Moment, batches: Vec<(StreamId, Batch)>) {
        for (stream, batch) in batches {
            self.fleet.batch(stream, batch, now);
            self.deliver();
        }
    }
}

fn hello(number: u32) -> Hello {
    Hello {
        machine: MachineId::parse(&format!("machine-{number:05}")).expect("a valid id"),
        instance: [1; 16],
        epoch: Epoch([1; 16]),
        host: HostInfo {
            hostname: format!("machine-{number:05}.example"),
            ..HostInfo::default()
        },
        interval_ms: 1_000,
        answers_questions: false,
    }
}

fn key(series: u32) -> SeriesKey {
    match series {
        0 => SeriesKey::plain(MetricId::MemoryUsedPercent),
        1 => SeriesKey::plain(MetricId::CpuBusy),
        2 => SeriesKey::plain(MetricId::NetworkReceiveTotal),
        3..40 => SeriesKey::of(MetricId::CpuCoreBusy, &series.to_string()),
        40..70 => SeriesKey::of(MetricId::DiskWrite, &format!("sd{series}")),
        _ => SeriesKey::of(MetricId::NetworkReceive, &format!("eth{series}")),
    }
}

fn everything() -> wire::Subscribe {
    wire::Subscribe {
        subscription: 1,
        ..wire::Subscribe::default()
    }
}

/// What a table of machines needs.
fn table() -> wire::Subscribe {
    let ids = [
        MetricId::MemoryUsedPercent,
        MetricId::CpuBusy,
        MetricId::NetworkReceiveTotal,
    ];
    wire::Subscribe {
        subscription: 2,
        metrics: ids.iter().map(|id| id.name().to_string()).collect(),
        ..wire::Subscribe::default()
    }
}

fn rates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("second_of_1000_machines_x_100_series");
    group.throughput(Throughput::Elements(u64::from(MACHINES * SERIES)));
    group.sample_size(20);
    let mut bench = Bench::new();
    // Rings as full as they get, so that every value pushes one out.
    for _ in 0..310 {
        let (now, batches) = bench.next();
        bench.ingest(now, batches);
    }
    let cell = std::cell::RefCell::new(bench);
    let mut measure = |name: &str, work: fn(&mut Bench, Moment, Vec<(StreamId, Batch)>)| {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || cell.borrow_mut().next(),
                |(now, batches)| work(&mut cell.borrow_mut(), now, batches),
                BatchSize::PerIteration,
            );
        });
    };
    let deliver = |bench: &mut Bench, now, batches| {
        bench.ingest(now, batches);
        bench.deliver();
    };
    measure("no_subscriber", Bench::ingest);
    let client = cell.borrow_mut().subscribe(&table());
    measure("one_table", deliver);
    cell.borrow_mut().fleet.close_client(client);
    cell.borrow_mut().subscribe(&everything());
    measure("one_of_everything", deliver);
    measure("one_of_everything_one_by_one", Bench::ingest_one_by_one);
    for _ in 0..9 {
        cell.borrow_mut().subscribe(&everything());
    }
    measure("ten_of_everything", deliver);
    group.finish();
}

/// What is delivered in a second after which all of 10,000 machines have changed: everything that a table needs, or what
/// fifty rows of it need.
fn windows(criterion: &mut Criterion) {
    const LARGE: u32 = 10_000;
    const ROWS: u32 = 50;
    let window = |order: &str, filter: &str, first| wire::Subscribe {
        filter: filter.into(),
        window: Some(wire::Window {
            order: order.into(),
            reversed: false,
            first,
            rows: ROWS,
        }),
        ..table()
    };
    let filter = "cpu >= 0 and (host ~ example or label.role = db) and alert = none";
    let filtered = wire::Subscribe {
        filter: filter.into(),
        ..table()
    };
    let mut group = criterion.benchmark_group("delivery_of_a_second_of_10000_machines");
    group.sample_size(20);
    let cell = std::cell::RefCell::new(Bench::of(LARGE, 12));
    for (name, subscribe) in [
        ("all_rows", Some(table())),
        ("all_rows_filtered", Some(filtered)),
        ("window_of_the_worst", Some(window("worst", "", 0))),
        ("window_by_a_metric", Some(window("cpu.busy_percent", "", 5_000))),
        (
            "window_by_a_metric_of_entities",
            Some(window("cpu.core_busy_percent", "", 0)),
        ),
        ("window_filtered", Some(window("worst", filter, 0))),
        ("nobody", None),
    ] {
        let client = subscribe.map(|subscribe| cell.borrow_mut().subscribe(&subscribe));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || {
                    let bench = &mut cell.borrow_mut();
                    let (now, batches) = bench.next();
                    bench.ingest(now, batches);
                },
                |()| cell.borrow_mut().deliver(),
                BatchSize::PerIteration,
            );
        });
        if let Some(client) = client {
            cell.borrow_mut().fleet.close_client(client);
        }
    }
    let mut first = 0;
    let bench = &mut cell.borrow_mut();
    let client = bench.subscribe(&window("worst", "", first));
    group.bench_function("scrolling_by_ten_rows", |bencher| {
        bencher.iter(|| {
            first = (first + 10) % LARGE;
            let moved = bench.fleet.subscribe(client, &window("worst", "", first));
            moved.expect("a valid subscription");
            bench.deliver()
        });
    });
    group.finish();
}

fn checks(criterion: &mut Criterion) {
    let principal = Principal {
        name: "bench".into(),
        role: Role::Admin,
        machine: None,
    };
    black_box(&principal);
    let values: Vec<_> = (0..SERIES)
        .map(|series| (series, i64::from(series) * 37))
        .collect();
    let batch = wire::Batch {
        sequence: 1,
        tick: Some(sysmon_api::tick_to_wire(START, &values)),
        ..wire::Batch::default()
    };
    criterion.bench_function("check_a_batch_of_100_values", |bencher| {
        bencher.iter_batched(
            || batch.clone(),
            |batch| black_box(Batch::check(batch)),
            BatchSize::SmallInput,
        );
    });
    let mut bench = Bench::new();
    for _ in 0..310 {
        let (now, batches) = bench.next();
        bench.ingest(now, batches);
    }
    let mut past = everything();
    past.history_ms = 300_000;
    past.history_metrics = vec![MetricId::CpuBusy.name().into()];
    criterion.bench_function(
        "snapshot_of_1000_machines_with_the_past_of_one_metric",
        |bencher| {
            bencher.iter(|| {
                let client = bench.subscribe(&past);
                bench.fleet.close_client(client);
            });
        },
    );
}

/// How long the owner of the fleet is kept from everything else: by one look of a filter at 10,000 machines, and by what it
/// makes at once of a snapshot of 1,000.
#[expect(clippy::print_stdout, reason = "a benchmark prints its result")]
fn pauses(_: &mut Criterion) {
    let mut bench = Bench::of(10_000, SERIES);
    for _ in 0..5 {
        let (now, batches) = bench.next();
        bench.ingest(now, batches);
    }
    for filter in [
        "cpu > 50 and memory > 60",
        "cpu.core_busy_percent > 90",
        "host ~ example",
    ] {
        let filtered = wire::Subscribe {
            filter: filter.into(),
            window: Some(wire::Window {
                order: "name".into(),
                reversed: false,
                first: 0,
                rows: 50,
            }),
            ..table()
        };
        let mut times = Vec::new();
        for _ in 0..9 {
            let client = bench.fleet.open_client().expect("below the limit");
            let begin = Instant::now();
            let subscribed = bench.fleet.subscribe(client, &filtered);
            times.push(begin.elapsed());
            subscribed.expect("a valid subscription");
            bench.fleet.close_client(client);
        }
        times.sort_unstable();
        println!(
            "pauses: {filter:?} of 10,000 machines × {SERIES} series: {:?}",
            times[4]
        );
    }
    let mut bench = Bench::new();
    for _ in 0..310 {
        let (now, batches) = bench.next();
        bench.ingest(now, batches);
    }
    for (what, past) in [
        ("nothing of the past", None),
        ("the past of three metrics", Some(table().metrics)),
        ("the past of everything", Some(Vec::new())),
    ] {
        let wanted = wire::Subscribe {
            history_ms: if past.is_some() { 300_000 } else { 0 },
            history_metrics: past.unwrap_or_default(),
            ..everything()
        };
        let client = bench.fleet.open_client().expect("below the limit");
        let begin = Instant::now();
        bench
            .fleet
            .subscribe(client, &wanted)
            .expect("a valid subscription");
        let mut longest = begin.elapsed();
        loop {
            let begin_one = Instant::now();
            let count = bench.deliver();
            longest = longest.max(begin_one.elapsed());
            if count == 0 {
                break;
            }
        }
        println!(
            "pauses: snapshot of 1,000 machines with {what}: longest {longest:?} of {:?}",
            begin.elapsed()
        );
        bench.fleet.close_client(client);
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark prints its result")]
fn memory(_: &mut Criterion) {
    let before = resident_bytes();
    let mut bench = Bench::new();
    for _ in 0..310 {
        let (now, batches) = bench.next();
        bench.ingest(now, batches);
    }
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        let series = u64::from(MACHINES * SERIES);
        println!(
            "memory: {} bytes per series with five minutes at 1 s",
            after.saturating_sub(before) / series
        );
    }
    black_box(&bench);
}

/// Resident memory of this process (proc(5), statm), where there is a /proc.
fn resident_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4_096)
}

criterion_group! {
    name = fleet;
    config = Criterion::default().measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));
    targets = memory, pauses, rates, windows, checks
}
criterion_main!(fleet);
