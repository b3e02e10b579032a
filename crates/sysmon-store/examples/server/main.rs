//! What a recorded machine costs in PostgreSQL and in TimescaleDB: starts a server of its own, stores a fleet of such
//! machines in it, and prints processor time of commits, times of queries, and bytes per value.
//!
//! `cargo run -p sysmon-store --release --example server -- FILE.csv postgres|timescaledb|timescaledb-times [MACHINES]`; the file
//! is as for the example `recording`. PostgreSQL is to be installed; TimescaleDB is the one of the tests (`cargo xtask
//! prepare`), in WebAssembly and with one session: its sizes are those of a real one, its times are not.

#[path = "../recording/machine.rs"]
mod machine;
#[path = "../../tests/support/postgres_server.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod postgres_server;
#[path = "../../tests/support/timescale_server.rs"]
mod timescale_server;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use sysmon_core::{Epoch, HistoryQuery, MachineId, UnixMillis};
use sysmon_store::{Content, History, HistoryOptions, IngestBatch, SeriesTable, open_history};

use machine::{read, ticks};
use postgres_server::PostgresServer;
use timescale_server::TimescaleServer;

type Failure = Box<dyn std::error::Error>;

const HOUR_MS: i64 = 3_600_000;
/// A midnight.
const START: UnixMillis = UnixMillis(1_700_006_400_000);

/// What the series are, and their values tick by tick.
type Recording = (Arc<SeriesTable>, Arc<[Vec<(u32, i64)>]>);

/// Machines that all report the recording, each from another moment of it.
struct Fleet {
    machines: Vec<MachineId>,
    table: Arc<SeriesTable>,
    ticks: Arc<[Vec<(u32, i64)>]>,
    now: UnixMillis,
    sequence: u64,
}

impl Fleet {
    fn new(machines: usize, recording: &Recording) -> Result<Self, Failure> {
        let name = |number| MachineId::parse(&format!("recorded-{number}"));
        Ok(Self {
            machines: (0..machines).map(name).collect::<Result<_, _>>()?,
            table: recording.0.clone(),
            ticks: recording.1.clone(),
            now: START,
            sequence: 0,
        })
    }

    /// The next tick of every machine.
    fn tick(&mut self, pace_ms: i64) -> Vec<IngestBatch> {
        self.sequence += 1;
        self.now = self.now.plus_ms(pace_ms);
        let place = usize::try_from(self.sequence).unwrap_or(0);
        let batch = |(number, machine): (usize, &MachineId)| IngestBatch {
            machine: machine.clone(),
            epoch: Epoch([7; 16]),
            sequence: self.sequence,
            content: Content::Tick {
                at: self.now,
                series: self.table.clone(),
                values: self.ticks[(place + number * 37) % self.ticks.len()].clone(),
            },
            clock_offset_ms: 3,
            host: None,
            spool_was_lost: false,
        };
        self.machines.iter().enumerate().map(batch).collect()
    }

    /// Stores so many ticks, about 2,000 batches at a time, and maintains as it would happen.
    async fn fill(&mut self, history: &dyn History, count: usize, pace_ms: i64) -> Result<(), Failure> {
        let at_once = (2_000 / self.machines.len()).max(1);
        let mut left = count;
        while left > 0 {
            let part = left.min(at_once);
            left -= part;
            let batches: Vec<IngestBatch> = (0..part).flat_map(|_| self.tick(pace_ms)).collect();
            history.commit(&batches).await?;
            while history.maintain(self.now).await?.more {}
        }
        Ok(())
    }
}

/// The id of a server's first process, out of the file that it keeps it in.
fn first_process(server: &PostgresServer) -> Result<u32, Failure> {
    let file = server.data().join("postmaster.pid");
    let text = std::fs::read_to_string(file)?;
    Ok(text
        .lines()
        .next()
        .ok_or("the server has ended")?
        .trim()
        .parse()?)
}

/// Processor time of a server of which this is the first process, in milliseconds. A server that is our own child has
/// none of its own: then it is what our children took.
fn server_ms(first: u32) -> f64 {
    let own = std::process::id();
    let others = if first == own { cpu_ms(own, false) } else { 0.0 };
    cpu_ms(first, true) - others
}

/// Processor time of a process and, with its family, of those below it, in milliseconds.
fn cpu_ms(root: u32, with_family: bool) -> f64 {
    let stat = |id: u32| -> Option<(u32, f64)> {
        let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit(')').next()?.split_whitespace().collect();
        let ticks = |index: usize| {
            fields
                .get(index)
                .and_then(|field| field.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        // Its own, and of children that have ended.
        let spent = ticks(11) + ticks(12) + ticks(13) + ticks(14);
        Some((fields.get(1)?.parse().ok()?, spent * 10.0))
    };
    let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| stat(id).map(|(parent, spent)| (id, parent, spent)))
        .filter(|(id, parent, _)| *id == root || with_family && *parent == root)
        .map(|(_, _, spent)| spent)
        .sum()
}

async fn commits(server: u32, url: &str, fleet: &mut Fleet) -> Result<(), Failure> {
    const ROUNDS: u32 = 30;
    let history = open_history(url, HistoryOptions::default()).await?;
    for _ in 0..3 {
        history.commit(&fleet.tick(1_000)).await?;
    }
    let batches: Vec<Vec<IngestBatch>> = (0..ROUNDS).map(|_| fleet.tick(1_000)).collect();
    let own = std::process::id();
    let (client, engine, begun) = (cpu_ms(own, false), server_ms(server), Instant::now());
    for batches in &batches {
        history.commit(batches).await?;
    }
    let per = f64::from(ROUNDS);
    let engine_spent = server_ms(server) - engine;
    let client_spent = cpu_ms(own, false) - client;
    writeln!(
        std::io::stdout(),
        "a second of {} machines with {} series: client {:.1} ms of CPU, server {:.1} ms, {:.1} ms in all",
        fleet.machines.len(),
        fleet.table.entries().len(),
        client_spent / per,
        engine_spent / per,
        begun.elapsed().as_secs_f64() * 1_000.0 / per
    )?;
    Ok(())
}

fn question(fleet: &Fleet, hours: i64, metrics: &[&str]) -> HistoryQuery {
    HistoryQuery {
        machines: fleet.machines.iter().take(100).cloned().collect(),
        metrics: metrics.iter().map(ToString::to_string).collect(),
        from: fleet.now.plus_ms(1 - hours * HOUR_MS),
        to: fleet.now.plus_ms(1),
        points: 300,
    }
}

/// Asks until it is warm, and then prints the median of several times.
async fn ask(server: u32, history: &dyn History, name: &str, query: &HistoryQuery) -> Result<(), Failure> {
    const ROUNDS: usize = 25;
    history.query(query).await?;
    history.query(query).await?;
    let own = std::process::id();
    let (before, client) = (server_ms(server), cpu_ms(own, false));
    let (mut times, mut points) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let answers = history.query(query).await?;
        times.push(begun.elapsed().as_secs_f64() * 1_000.0);
        points = answers
            .iter()
            .map(|answer| answer.times.len() * answer.series.len())
            .sum();
    }
    times.sort_by(f64::total_cmp);
    writeln!(
        std::io::stdout(),
        "{:8.1} ms ({:.1} to {:.1}), server {:.1} ms of CPU, client {:.1} ms, {points} points: {name}",
        times[ROUNDS / 2],
        times[0],
        times[ROUNDS - 1],
        (server_ms(server) - before) / ROUNDS as f64,
        (cpu_ms(own, false) - client) / ROUNDS as f64
    )?;
    Ok(())
}

async fn questions(server: u32, url: &str, [one, fleet, month]: [&mut Fleet; 3]) -> Result<(), Failure> {
    let history = open_history(url, HistoryOptions::default()).await?;
    let begun = Instant::now();
    month.fill(&*history, 30 * 1_440, 60_000).await?;
    // Roll-ups are as many at any pace, so the day goes by at a minute's.
    fleet.now = month.now;
    fleet.fill(&*history, 1_440, 60_000).await?;
    one.now = fleet.now;
    one.fill(&*history, 3_600, 1_000).await?;
    writeln!(
        std::io::stdout(),
        "stored in {:.0} s",
        begun.elapsed().as_secs_f64()
    )?;
    let cpu = &["cpu.busy_percent"];
    // The charts of a machine: two that are always there, and the one that is chosen (`sysmon-tui`, `update/past.rs`).
    let charts = &[
        "cpu.busy_percent",
        "memory.used_percent",
        "network.total_receive_bytes_per_second",
    ];
    let finer = HistoryQuery {
        points: 361,
        ..question(fleet, 24, cpu)
    };
    for (name, query) in [
        (
            "an hour of one machine at a second, all series",
            question(one, 1, &[]),
        ),
        (
            "the same hour, as the console asks for its charts",
            question(one, 1, charts),
        ),
        (
            "a day of up to 100 machines, one series",
            question(fleet, 24, cpu),
        ),
        ("the same in moments of four minutes, so from minutes", finer),
        (
            "a day of up to 100 machines, all series",
            question(fleet, 24, &[]),
        ),
        ("30 days of one machine, all series", question(month, 720, &[])),
        (
            "30 days of one machine, as the console asks for its charts",
            question(month, 720, charts),
        ),
        ("30 days of one machine, one series", question(month, 720, cpu)),
    ] {
        ask(server, &*history, name, &query).await?;
    }
    if let Ok(wait) = std::env::var("SYSMON_EXAMPLE_WAIT") {
        writeln!(std::io::stdout(), "{url} stays for {wait} s")?;
        tokio::time::sleep(std::time::Duration::from_secs(wait.parse()?)).await;
    }
    Ok(())
}

/// Bytes of whole compressed tables with their indexes, by kind.
async fn sizes(url: &str, fleet: &mut Fleet) -> Result<(), Failure> {
    let history = open_history(url, HistoryOptions::default()).await?;
    let begun = Instant::now();
    let count = fleet.ticks.len();
    fleet.fill(&*history, count, 1_000).await?;
    let values: usize = (1..=count)
        .flat_map(|place| (0..fleet.machines.len()).map(move |number| place + number * 37))
        .map(|place| fleet.ticks[place % count].len())
        .sum();
    for hours in [1, 6, 19, 30, 31, 32] {
        while history.maintain(fleet.now.plus_ms(hours * HOUR_MS)).await?.more {}
    }
    writeln!(
        std::io::stdout(),
        "{values} values, stored and compressed in {:.0} s",
        begun.elapsed().as_secs_f64()
    )?;
    let pool = sqlx::PgPool::connect(url).await?;
    let rows: Vec<(String, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT h.hypertable_name::text, coalesce(s.before_compression_total_bytes, 0)::bigint,
                coalesce(s.after_compression_total_bytes, 0)::bigint, coalesce(s.after_compression_table_bytes, 0)::bigint,
                coalesce(s.number_compressed_chunks, 0)::bigint
         FROM timescaledb_information.hypertables h,
              LATERAL hypertable_compression_stats(format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass) s
         ORDER BY 1",
    )
    .fetch_all(&pool)
    .await?;
    let (mut whole, mut out) = (0, std::io::stdout());
    for (name, before, after, heap, chunks) in rows {
        if name.ends_with("_sample") {
            whole += after;
        }
        writeln!(
            out,
            "{name}: {before} bytes before, {after} after in {chunks} chunks ({heap} without index and TOAST)"
        )?;
    }
    writeln!(
        out,
        "{:.3} bytes per value in whole compressed tables of samples",
        whole as f64 / values as f64
    )?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the file of a recording")?;
    let engine = arguments.next().ok_or("say postgres or timescaledb")?;
    let count: usize = arguments.next().map_or(Ok(30), |count| count.parse())?;
    let (table, ticks) = ticks(&read(&path)?, 0);
    let recording: Recording = (table, Arc::from(ticks));
    let named = |name: &str| -> Result<Fleet, Failure> {
        let machines = vec![MachineId::parse(name)?];
        Ok(Fleet {
            machines,
            ..Fleet::new(0, &recording)?
        })
    };
    let (mut one, mut month) = (named("one")?, named("month")?);
    if engine == "timescaledb-times" {
        let server = TimescaleServer::start().await.ok_or("there is no TimescaleDB")?;
        let mut fleet = Fleet::new(count, &recording)?;
        let fleets = [&mut one, &mut fleet, &mut month];
        return questions(std::process::id(), &server.url(), fleets).await;
    }
    if engine == "timescaledb" {
        let server = TimescaleServer::start().await.ok_or("there is no TimescaleDB")?;
        return sizes(&server.url(), &mut Fleet::new(count, &recording)?).await;
    }
    let server = PostgresServer::start().await;
    let id = first_process(&server)?;
    commits(id, &server.url(), &mut Fleet::new(1_000, &recording)?).await?;
    drop(server);
    let server = PostgresServer::start().await;
    let id = first_process(&server)?;
    let mut fleet = Fleet::new(100, &recording)?;
    questions(id, &server.url(), [&mut one, &mut fleet, &mut month]).await
}
