//! What it costs to look at the past of a hundred machines on SQLite:
//! `cargo run --release -p sysmon-aggregator --example past`.
//!
//! Two hours of 100 series every five seconds are written to a file in a temporary folder and maintained as a running
//! aggregator would. Then a console opens moments of them, and plays them.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement, not a part of the product"
)]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message as _;
use sysmon_aggregator::{Aggregator, Config, Stores};
use sysmon_api::{Backend, Inbound, Outbound, Principal, Role, wire};
use sysmon_core::{
    CATALOGUE, Epoch, HostInfo, Label, MachineId, Metric, MetricId, MomentQuery, SeriesKey, UnixMillis,
};
use sysmon_store::{Content, History, HistoryOptions, IngestBatch, SeriesEntry, SeriesTable, open_history};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use wire::command::Body as Ask;
use wire::response::Body as Answer;

const MACHINES: usize = 100;
const TICKS: i64 = 1_440;
const INTERVAL_MS: i64 = 5_000;
const MINUTE_MS: i64 = 60_000;
/// What a table of the fleet shows.
const COLUMNS: [&str; 8] = [
    "cpu.busy_percent",
    "memory.used_percent",
    "swap.used_percent",
    "load.1m",
    "mount.worst_used_percent",
    "network.total_receive_bytes_per_second",
    "network.total_transmit_bytes_per_second",
    "disk.total_write_bytes_per_second",
];

fn series() -> Arc<SeriesTable> {
    let plain = CATALOGUE
        .iter()
        .filter(|metric| metric.label.is_none())
        .map(|metric| (SeriesKey::plain(metric.id), metric.decimals));
    let more = (0..100).map(|number| {
        let key = SeriesKey {
            metric: Metric::Known(MetricId::CpuCoreBusy),
            labels: vec![Label {
                name: "core".into(),
                value: number.to_string().into(),
            }],
        };
        (key, 1)
    });
    let entry = |(key, decimals)| SeriesEntry {
        key: Arc::new(key),
        decimals,
    };
    Arc::new(SeriesTable::new(
        (0u32..).zip(plain.chain(more).take(100).map(entry)).collect(),
    ))
}

fn value(machine: usize, series: u32, tick: i64) -> i64 {
    let seed = machine as i64 * 7_919 + i64::from(series) * 104_729 + tick;
    // Most series move a little, every fourth one does not.
    if series.is_multiple_of(4) {
        400
    } else {
        300 + (seed * seed * 31 + seed).rem_euclid(97)
    }
}

async fn fill(history: &dyn History, begin: UnixMillis) {
    let series = series();
    let interval = series
        .entries()
        .iter()
        .find(|(_, entry)| entry.key.id() == Some(MetricId::CollectorInterval))
        .map(|(number, _)| *number);
    for tick in 0..TICKS {
        let at = begin.plus_ms(tick * INTERVAL_MS);
        let batches: Vec<_> = (0..MACHINES)
            .map(|machine| IngestBatch {
                machine: MachineId::parse(&format!("m{machine:03}")).unwrap(),
                epoch: Epoch([1; 16]),
                sequence: tick.cast_unsigned() + 1,
                content: Content::Tick {
                    at,
                    values: (0..100)
                        .map(|number| match Some(number) == interval {
                            true => (number, INTERVAL_MS),
                            false => (number, value(machine, number, tick)),
                        })
                        .collect(),
                    series: Arc::clone(&series),
                },
                clock_offset_ms: 0,
                host: (tick == 0).then(Arc::<HostInfo>::default),
                spool_was_lost: false,
            })
            .collect();
        history.commit(&batches).await.unwrap();
        // Once a minute, as it is done in a running aggregator.
        if tick % 12 == 0 {
            while history.maintain(at).await.unwrap().more {}
        }
    }
}

struct Console {
    commands: mpsc::Sender<wire::Command>,
    responses: mpsc::Receiver<Result<sysmon_api::Outgoing, sysmon_api::ApiError>>,
    request_id: u64,
}

impl Console {
    async fn join(aggregator: &Arc<Aggregator>) -> Self {
        let (commands, inbound) = mpsc::channel(4);
        let (outbound, responses) = Outbound::channel(4);
        let aggregator = Arc::clone(aggregator);
        let principal = Principal {
            name: "example".into(),
            role: Role::Viewer,
            machine: None,
        };
        tokio::spawn(async move {
            aggregator
                .manage(principal, Inbound::from_receiver(inbound), outbound)
                .await
        });
        let mut console = Self {
            commands,
            responses,
            request_id: 0,
        };
        console.ask(Ask::Hello(sysmon_api::hello(UnixMillis(0)))).await;
        console
    }

    async fn ask(&mut self, body: Ask) {
        self.request_id += 1;
        let command = wire::Command {
            request_id: self.request_id,
            body: Some(body),
        };
        self.commands.send(command).await.unwrap();
    }

    async fn update(&mut self) -> wire::Update {
        loop {
            let response = self.responses.recv().await.unwrap().unwrap();
            match response.into_response().unwrap().body.unwrap() {
                Answer::Update(update) => {
                    let received = wire::UpdateReceived {
                        subscription: update.subscription,
                        number: update.number,
                    };
                    self.ask(Ask::UpdateReceived(received)).await;
                    return update;
                }
                Answer::Failure(failure) => panic!("{failure:?}"),
                _ => {}
            }
        }
    }

    /// Opens a moment; returns how many bytes the snapshot has.
    async fn open(&mut self, at: UnixMillis, speed: u32, history_ms: u32) -> usize {
        let subscribe = wire::Subscribe {
            subscription: 1,
            metrics: COLUMNS.map(str::to_owned).to_vec(),
            history_metrics: vec![COLUMNS[0].into()],
            history_ms,
            at_unix_ms: Some(at.0),
            speed,
            ..Default::default()
        };
        self.ask(Ask::Subscribe(subscribe)).await;
        loop {
            let update = self.update().await;
            if update.snapshot {
                assert_eq!(update.machines.len(), MACHINES);
                return update.encoded_len();
            }
        }
    }
}

/// Shortest, middle and longest of some times.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let ms = |index: usize| times[index].as_secs_f64() * 1_000.0;
    format!(
        "{:.1} / {:.1} / {:.1} ms",
        ms(0),
        ms(times.len() / 2),
        ms(times.len() - 1)
    )
}

#[tokio::main]
async fn main() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("history.db").display());
    let history = open_history(&url, HistoryOptions::default()).await.unwrap();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = UnixMillis(i64::try_from(since.as_millis()).unwrap());
    let begin = now.plus_ms(-TICKS * INTERVAL_MS);
    let filling = Instant::now();
    fill(&*history, begin).await;
    println!("filled in {:.1} s", filling.elapsed().as_secs_f64());

    println!("smallest / middle / largest of 10:");
    ask(&*history, now).await;
    let stores = Stores {
        history: Some(history),
        ..Stores::default()
    };
    let aggregator = Aggregator::spawn(Config::default(), stores, CancellationToken::new()).unwrap();
    look(&aggregator, now).await;
}

const MOMENTS: [(&str, i64); 3] = [
    ("3 minutes ago", 3),
    ("20 minutes ago", 20),
    ("100 minutes ago", 100),
];

/// Asks the store alone.
async fn ask(history: &dyn History, now: UnixMillis) {
    for (words, minutes) in MOMENTS {
        let mut times = Vec::new();
        for index in 0..10 {
            let query = MomentQuery {
                machines: (0..MACHINES)
                    .map(|machine| MachineId::parse(&format!("m{machine:03}")).unwrap())
                    .collect(),
                metrics: COLUMNS.map(str::to_owned).to_vec(),
                at: now.plus_ms(-minutes * MINUTE_MS + index * 1_000),
            };
            let begin = Instant::now();
            let found = history.state_at(&query).await.unwrap();
            times.push(begin.elapsed());
            assert!(found.iter().all(|moment| moment.series.len() >= 8));
        }
        println!("state of {MACHINES} machines {words}: {}", spread(times));
    }
}

/// Looks as a console does.
async fn look(aggregator: &Arc<Aggregator>, now: UnixMillis) {
    let mut console = Console::join(aggregator).await;
    for (words, minutes) in MOMENTS {
        for history_ms in [0, 300_000] {
            let (mut times, mut bytes) = (Vec::new(), 0);
            for index in 0..10 {
                let at = now.plus_ms(-minutes * MINUTE_MS + index * 1_000);
                let begin = Instant::now();
                bytes = console.open(at, 0, history_ms).await;
                times.push(begin.elapsed());
            }
            println!(
                "a console opens {words} with {} s of one sparkline ({bytes} bytes): {}",
                history_ms / 1_000,
                spread(times)
            );
        }
    }
    for speed in [10, 60, 600] {
        console.open(now.plus_ms(-100 * MINUTE_MS), speed, 0).await;
        let (mut times, mut bytes) = (Vec::new(), 0);
        let mut before = Instant::now();
        for _ in 0..24 {
            bytes += console.update().await.encoded_len();
            times.push(before.elapsed());
            before = Instant::now();
        }
        println!(
            "played at {speed}×, time between two of 24 updates of {} bytes: {}",
            bytes / 24,
            spread(times)
        );
    }
}
