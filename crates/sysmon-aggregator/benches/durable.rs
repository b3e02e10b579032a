//! What history costs per batch of 100 values, from the stream on: without one, with one that does nothing, and with the
//! one in memory. `cargo bench -p sysmon-aggregator --bench durable`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{Criterion, criterion_group, criterion_main};
use sysmon_aggregator::{Aggregator, Clock, Config, Stores};
use sysmon_api::{Backend, Inbound, Outbound, Principal, Role, series_to_wire, tick_to_wire, wire};
use sysmon_core::{HistoryQuery, MachineHistory, MachineId, MetricId, SeriesKey, UnixMillis};
use sysmon_store::{
    DeadLetter, DeadLetterFilter, History, HistoryOptions, IngestBatch, MachineProcesses, MachineRecord,
    Maintenance, Outcome, StoreError, StoreInfo, open_history,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const STREAMS: u64 = 100;
const SERIES: u32 = 100;
const START: UnixMillis = UnixMillis(1_700_000_000_000);

/// Takes everything and keeps nothing.
struct Nothing;

#[async_trait]
impl History for Nothing {
    async fn commit(&self, batches: &[IngestBatch]) -> Result<Vec<Outcome>, StoreError> {
        let stored = |batch: &IngestBatch| Outcome::Stored {
            through: batch.last_sequence(),
        };
        Ok(batches.iter().map(stored).collect())
    }

    async fn query(&self, _: &HistoryQuery) -> Result<Vec<MachineHistory>, StoreError> {
        Ok(Vec::new())
    }

    async fn put_process_snapshots(&self, snapshots: &[MachineProcesses]) -> Result<u64, StoreError> {
        Ok(snapshots.len() as u64)
    }

    async fn process_snapshots_at(
        &self,
        machines: &[MachineId],
        at: UnixMillis,
    ) -> Result<Vec<MachineProcesses>, StoreError> {
        let _ = (machines, at);
        Ok(Vec::new())
    }

    async fn machines(&self) -> Result<Vec<MachineRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn dead_letters(&self, _: &DeadLetterFilter, _: u32) -> Result<Vec<DeadLetter>, StoreError> {
        Ok(Vec::new())
    }

    async fn retry_dead_letters(&self, _: &[i64], _: UnixMillis, _: bool) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn purge_dead_letters(&self, _: &[i64]) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn maintain(&self, _: UnixMillis) -> Result<Maintenance, StoreError> {
        Ok(Maintenance::default())
    }

    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: "nothing".into(),
            notices: Vec::new(),
        }
    }
}

struct Bench {
    runtime: Runtime,
    aggregator: Arc<Aggregator>,
    streams: Vec<mpsc::Sender<wire::PushRequest>>,
    sequence: u64,
    has_history: bool,
}

impl Bench {
    fn new(history: Option<Arc<dyn History>>) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        let has_history = history.is_some();
        let stores = Stores {
            history,
            ..Stores::default()
        };
        let config = Config {
            commit_group_ms: 1,
            ..Config::default()
        };
        let inside = runtime.enter();
        let clock = Clock::starting_at(START);
        let started = Aggregator::new(config, clock, stores, CancellationToken::new());
        let (aggregator, work) = started.expect("the configuration is valid");
        runtime.spawn(work);
        let aggregator = Arc::new(aggregator);
        let streams = (0..STREAMS)
            .map(|number| open(&runtime, &aggregator, number))
            .collect();
        drop(inside);
        let mut bench = Self {
            runtime,
            aggregator,
            streams,
            sequence: 0,
            has_history,
        };
        bench.rounds(1);
        bench
    }

    /// So many ticks of every stream, until they are in the live view and stored.
    fn rounds(&mut self, rounds: u64) -> Duration {
        let begin = Instant::now();
        let (streams, sequence) = (&self.streams, &mut self.sequence);
        let is_done = |sequence: u64| {
            let (all, figures) = (sequence * STREAMS, self.aggregator.figures());
            figures.ticks == all && (!self.has_history || figures.history_stored == all)
        };
        self.runtime.block_on(async {
            for _ in 0..rounds {
                *sequence += 1;
                let batch = batch(*sequence);
                for stream in streams {
                    let body = Some(wire::push_request::Body::Batch(batch.clone()));
                    let sent = stream.send(wire::PushRequest { body }).await;
                    assert!(sent.is_ok(), "the stream is open");
                }
                // Not so many that the queue overflows.
                while sequence.is_multiple_of(32) && !is_done(*sequence) {
                    tokio::task::yield_now().await;
                }
            }
            while !is_done(*sequence) {
                tokio::task::yield_now().await;
            }
        });
        begin.elapsed()
    }
}

fn open(runtime: &Runtime, aggregator: &Arc<Aggregator>, number: u64) -> mpsc::Sender<wire::PushRequest> {
    let (requests, inbound) = mpsc::channel(64);
    let (outbound, mut responses) = Outbound::channel(64);
    let aggregator = Arc::clone(aggregator);
    let principal = Principal {
        name: "bench".into(),
        role: Role::Admin,
        machine: None,
    };
    runtime.spawn(async move {
        aggregator
            .push(principal, Inbound::from_receiver(inbound), outbound)
            .await
    });
    runtime.spawn(async move { while responses.recv().await.is_some() {} });
    let hello = wire::CollectorHello {
        peer: Some(sysmon_api::hello(START)),
        machine_id: format!("machine-{number}"),
        instance: vec![1; 16],
        epoch: vec![1; 16],
        interval_ms: 1_000,
        ..Default::default()
    };
    let body = Some(wire::push_request::Body::Hello(hello));
    assert!(
        requests.try_send(wire::PushRequest { body }).is_ok(),
        "the queue is empty"
    );
    requests
}

fn batch(sequence: u64) -> wire::Batch {
    let key = |number: u32| SeriesKey::of(MetricId::CpuCoreBusy, &number.to_string());
    let announced = (0..SERIES).map(|number| series_to_wire(number, &key(number), 1));
    let level = sequence.cast_signed();
    let values: Vec<_> = (0..SERIES)
        .map(|number| (number, level * 37 % 1_000 + i64::from(number)))
        .collect();
    wire::Batch {
        sequence,
        announced: if sequence == 1 {
            announced.collect()
        } else {
            Vec::new()
        },
        tick: Some(tick_to_wire(START.plus_ms(level * 100), &values)),
        ..Default::default()
    }
}

fn costs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch_of_100_values");
    group.sample_size(20);
    let runtime = Builder::new_current_thread().build().expect("a runtime starts");
    let memory = runtime.block_on(open_history("memory:", HistoryOptions::default()));
    let stores: [(_, Option<Arc<dyn History>>); 3] = [
        ("without_history", None),
        ("with_one_that_does_nothing", Some(Arc::new(Nothing))),
        ("with_memory", Some(memory.expect("memory is always there"))),
    ];
    for (name, history) in stores {
        let mut bench = Bench::new(history);
        // Per batch: a round is one of every stream.
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let rounds = count.div_ceil(STREAMS).max(10);
                bench
                    .rounds(rounds)
                    .mul_f64(count as f64 / (rounds * STREAMS) as f64)
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = durable;
    config = Criterion::default().measurement_time(Duration::from_secs(4)).warm_up_time(Duration::from_secs(1));
    targets = costs
}
criterion_main!(durable);
