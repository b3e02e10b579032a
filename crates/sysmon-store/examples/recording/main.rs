//! What a recorded machine costs in SQLite: stores a recording as if a fleet of such machines had sent it, maintains, and
//! prints bytes per sample and the time of queries.
//!
//! `cargo run -p sysmon-store --release --example recording -- FILE.csv [MACHINES] [HOURS]`; with hours the
//! recording is repeated. The file has one row a second with
//! `unix_ms`, cumulative counters of `/proc` and gauges, under the names that `machine::Row` asks for.

mod machine;

use std::io::Write as _;
use std::time::Instant;

use sysmon_core::{Epoch, HistoryQuery, MachineId, UnixMillis};
use sysmon_store::{Content, HistoryOptions, IngestBatch, open_history};

use machine::{read, ticks};

type Failure = Box<dyn std::error::Error>;

/// A question with its name.
fn questions(machines: &[MachineId], now: UnixMillis) -> Vec<(&'static str, HistoryQuery)> {
    let query = |machines: &[MachineId], hours: i64, metrics: &[&str]| HistoryQuery {
        machines: machines.iter().take(100).cloned().collect(),
        metrics: metrics.iter().map(ToString::to_string).collect(),
        from: now.plus_ms(-hours * 3_600_000),
        to: now,
        points: 300,
    };
    vec![
        (
            "an hour of one machine, all series",
            query(&machines[..1], 1, &[]),
        ),
        ("a day of one machine, all series", query(&machines[..1], 24, &[])),
        (
            "30 days of one machine, all series",
            query(&machines[..1], 720, &[]),
        ),
        (
            "a day of up to 100 machines, one series",
            query(machines, 24, &["cpu.busy_percent"]),
        ),
        (
            "a day of up to 100 machines, all series",
            query(machines, 24, &[]),
        ),
    ]
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the file of a recording")?;
    let count: usize = arguments.next().map_or(Ok(1), |count| count.parse())?;
    let hours: usize = arguments.next().map_or(Ok(0), |hours| hours.parse())?;
    let mut out = std::io::stdout().lock();
    let rows = read(&path)?;
    let (table, ticks) = ticks(&rows, hours * 3_600);
    let samples: usize = ticks.iter().map(Vec::len).sum::<usize>() * count;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("history.db");
    let history = open_history(&format!("sqlite:{}", file.display()), HistoryOptions::default()).await?;
    let machines: Vec<MachineId> = (0..count)
        .map(|number| MachineId::parse(&format!("recorded-{number}")))
        .collect::<Result<_, _>>()?;
    let start = UnixMillis(rows[0].at() - rows[0].at() % 21_600_000);
    let begun = Instant::now();
    for (second, values) in (0i64..).zip(&ticks) {
        let batch = |machine: &MachineId| IngestBatch {
            machine: machine.clone(),
            epoch: Epoch([7; 16]),
            sequence: second.unsigned_abs() + 1,
            content: Content::Tick {
                at: start.plus_ms(
                    second * 1_000 + rows[usize::try_from(second).unwrap_or(0) % rows.len()].at() % 1_000,
                ),
                series: table.clone(),
                values: values.clone(),
            },
            clock_offset_ms: 3,
            host: None,
            spool_was_lost: false,
        };
        history
            .commit(&machines.iter().map(batch).collect::<Vec<_>>())
            .await?;
        if second % 60 == 59 {
            while history.maintain(start.plus_ms(second * 1_000)).await?.more {}
        }
    }
    writeln!(
        out,
        "{} series, {} ticks, {count} machines, {samples} samples",
        table.entries().len(),
        ticks.len()
    )?;
    writeln!(
        out,
        "stored and maintained in {:.1} s",
        begun.elapsed().as_secs_f64()
    )?;
    let end = start.plus_ms(i64::try_from(ticks.len())? * 1_000);
    for (name, query) in questions(&machines, end) {
        let mut best = f64::INFINITY;
        let mut points = 0;
        for _ in 0..5 {
            let begun = Instant::now();
            let answers = history.query(&query).await?;
            best = best.min(begun.elapsed().as_secs_f64() * 1_000.0);
            points = answers
                .iter()
                .map(|answer| answer.times.len() * answer.series.len())
                .sum();
        }
        writeln!(out, "{best:8.1} ms, {points:8} points: {name}")?;
    }
    // Until everything is in its last form.
    for hours in [0, 3, 6, 9, 30, 33, 24 * 31] {
        while history.maintain(end.plus_ms(hours * 3_600_000)).await?.more {}
        if hours == 9 {
            sizes(&mut out, &file, samples).await?;
        }
    }
    Ok(())
}

async fn sizes(out: &mut impl std::io::Write, file: &std::path::Path, samples: usize) -> Result<(), Failure> {
    let url = format!("sqlite:{}", file.display());
    let pool = sqlx::SqlitePool::connect(&url).await?;
    let tiers: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT tier, sum(blocks), sum(kept), sum(bytes) FROM sizes GROUP BY tier ORDER BY tier",
    )
    .fetch_all(&pool)
    .await?;
    for (tier, blocks, kept, bytes) in tiers {
        let per = bytes as f64 / samples as f64;
        writeln!(
            out,
            "{tier}: {blocks} blocks, {kept} values, {bytes} bytes, {per:.4} bytes per sample"
        )?;
    }
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&pool)
        .await?;
    sqlx::raw_sql("VACUUM").execute(&pool).await?;
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&pool)
        .await?;
    let length = std::fs::metadata(file)?.len();
    let per = length as f64 / samples as f64;
    writeln!(
        out,
        "the whole file, all tiers, after VACUUM: {length} bytes, {per:.4} bytes per sample"
    )?;
    Ok(())
}
