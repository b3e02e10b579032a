//! What is in the database, read from its own tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use eyre::{Result, WrapErr, eyre};
use serde_json::Value;

use super::services::{Postgres, printed};

/// What history has of one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// How often each time is there.
    pub(super) samples: BTreeMap<i64, u64>,
    /// Rows that cannot be told by their time: those beyond the distinct ones.
    pub(super) surplus: u64,
    /// Losses that were reported: from, to and how many.
    pub(super) gaps: Vec<(i64, i64, u64)>,
    /// What is acknowledged of each epoch.
    pub(super) cursors: BTreeMap<String, u64>,
}

/// What history has.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) machines: BTreeMap<String, Kept>,
    pub(super) dead_letters: u64,
    /// From the taking of a sample to its commit: half of them within, and the longest, in milliseconds.
    pub(super) delay_ms: Option<(f64, f64)>,
}

/// Where history is.
#[derive(Debug)]
pub(super) enum Source {
    Postgres(Postgres),
    Sqlite { sysmon: PathBuf, file: PathBuf },
}

impl Source {
    /// How many samples are there from before a moment, and how many are reported lost.
    pub(super) fn count(&self, limit: i64) -> Result<u64> {
        let text = match self {
            Self::Postgres(postgres) => postgres.query(&format!(
                "SELECT (SELECT count(*) FROM machine_sample WHERE sampled_at <= {time}) \
                 + (SELECT coalesce(sum(samples), 0) FROM gap WHERE to_at <= {time})",
                time = timestamp(limit)
            ))?,
            Self::Sqlite { file, .. } => ask_sqlite(
                file,
                &format!(
                    "SELECT (SELECT count(*) FROM recent WHERE at_unix_ms <= {limit}) \
                     + (SELECT coalesce(sum(rows), 0) FROM block WHERE tier = 0 AND to_unix_ms <= {limit}) \
                     + (SELECT coalesce(sum(samples), 0) FROM gap WHERE to_unix_ms <= {limit})"
                ),
            )?,
        };
        text.trim().parse().wrap_err("the database gave no number")
    }

    /// Everything from before a moment.
    pub(super) fn read(&self, limit: i64) -> Result<Stored> {
        match self {
            Self::Postgres(postgres) => read_postgres(postgres, limit),
            Self::Sqlite { sysmon, file } => read_sqlite(sysmon, file, limit),
        }
    }
}

fn timestamp(unix_ms: i64) -> String {
    format!("to_timestamp({unix_ms} / 1000.0)")
}

/// The columns of rows that are separated by tabs; rows with another number of them are an error.
fn rows<const N: usize>(text: &str) -> Result<Vec<[String; N]>> {
    let row = |line: &str| {
        let fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        fields
            .try_into()
            .map_err(|_| eyre!("the database gave a row that was not asked for: {line}"))
    };
    text.lines().filter(|line| !line.is_empty()).map(row).collect()
}

fn read_postgres(postgres: &Postgres, limit: i64) -> Result<Stored> {
    let mut stored = Stored::default();
    let unix_ms = |column: &str| format!("(extract(epoch FROM {column}) * 1000)::bigint");
    let samples = postgres.query(&format!(
        "SELECT machine_id, {}, count(*) FROM machine_sample JOIN machine USING (machine_key) \
         WHERE sampled_at <= {} GROUP BY 1, 2",
        unix_ms("sampled_at"),
        timestamp(limit)
    ))?;
    for [machine, at, count] in rows(&samples)? {
        let kept = stored.machines.entry(machine).or_default();
        kept.samples.insert(at.parse()?, count.parse()?);
    }
    let gaps = postgres.query(&format!(
        "SELECT machine_id, {}, {}, samples FROM gap JOIN machine USING (machine_key)",
        unix_ms("from_at"),
        unix_ms("to_at")
    ))?;
    take_gaps(&mut stored, &gaps)?;
    let cursors = postgres
        .query("SELECT machine_id, encode(epoch, 'hex'), sequence FROM ingest_cursor JOIN machine USING (machine_key)")?;
    take_cursors(&mut stored, &cursors)?;
    stored.dead_letters = postgres.query("SELECT count(*) FROM dead_letter")?.parse()?;
    let delays = postgres.query(&format!(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY delay), max(delay) FROM \
         (SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin) - sampled_at) * 1000 AS delay \
          FROM machine_sample WHERE sampled_at <= {}) AS delays",
        timestamp(limit)
    ))?;
    if let [[half, longest]] = &rows::<2>(&delays)?[..] {
        stored.delay_ms = half.parse().ok().zip(longest.parse().ok());
    }
    Ok(stored)
}

/// Recent samples are rows with their times; those that are packed already are read by our own program, and counted by
/// the database.
fn read_sqlite(sysmon: &Path, file: &Path, limit: i64) -> Result<Stored> {
    let mut stored = Stored::default();
    let recent = ask_sqlite(
        file,
        &format!(
            "SELECT machine.name, at_unix_ms, count(*) FROM recent JOIN machine ON machine.id = recent.machine \
             WHERE at_unix_ms <= {limit} GROUP BY 1, 2"
        ),
    )?;
    for [machine, at, count] in rows(&recent)? {
        let kept = stored.machines.entry(machine).or_default();
        kept.samples.insert(at.parse()?, count.parse()?);
    }
    // The range as our program takes times, a little wider on both sides.
    let moment = |unix_ms: &str| format!("strftime('%Y-%m-%dT%H:%M:%fZ', ({unix_ms}) / 1000.0, 'unixepoch')");
    let packed = ask_sqlite(
        file,
        &format!(
            "SELECT machine.name, sum(rows), {}, {} FROM block \
             JOIN machine ON machine.id = block.machine WHERE tier = 0 GROUP BY 1",
            moment("min(from_unix_ms) - 5"),
            moment("max(to_unix_ms) + 5")
        ),
    )?;
    for [machine, count, from, to] in rows(&packed)? {
        let recent = stored.machines.entry(machine.clone()).or_default();
        let times = packed_times(sysmon, file, &machine, [&from, &to])?;
        let fresh: Vec<i64> = times
            .into_iter()
            .filter(|at| !recent.samples.contains_key(at))
            .collect();
        recent.surplus = count.parse::<u64>()?.saturating_sub(fresh.len() as u64);
        let within = fresh.into_iter().filter(|at| *at <= limit);
        recent.samples.extend(within.map(|at| (at, 1)));
    }
    let gaps = ask_sqlite(
        file,
        "SELECT machine.name, from_unix_ms, to_unix_ms, samples FROM gap JOIN machine ON machine.id = gap.machine",
    )?;
    take_gaps(&mut stored, &gaps)?;
    let cursors = ask_sqlite(
        file,
        "SELECT machine.name, lower(hex(epoch)), through FROM cursor JOIN machine ON machine.id = cursor.machine",
    )?;
    take_cursors(&mut stored, &cursors)?;
    stored.dead_letters = ask_sqlite(file, "SELECT count(*) FROM dead_letter")?
        .trim()
        .parse()?;
    Ok(stored)
}

/// The times of all samples of a machine in a stretch.
fn packed_times(sysmon: &Path, file: &Path, machine: &str, [from, to]: [&str; 2]) -> Result<Vec<i64>> {
    let database = format!("sqlite:{}", file.display());
    let answer = printed(Command::new(sysmon).args([
        "query",
        "--database",
        &database,
        "--machine",
        machine,
        "--metric",
        "collector.interval_ms",
        "--from",
        from,
        "--to",
        to,
        "--points",
        "10000",
        "--format",
        "json",
    ]))?;
    times_of(&answer)
}

/// The times in what `sysmon query --format json` prints.
fn times_of(answer: &str) -> Result<Vec<i64>> {
    let answer: Value = serde_json::from_str(answer).wrap_err("`sysmon query` printed no JSON")?;
    let times = answer["machines"][0]["times_unix_ms"].as_array();
    let times = times.ok_or_else(|| eyre!("`sysmon query` printed no times"))?;
    Ok(times.iter().filter_map(Value::as_i64).collect())
}

fn take_gaps(stored: &mut Stored, text: &str) -> Result<()> {
    for [machine, from, to, samples] in rows(text)? {
        let samples: u64 = samples.parse()?;
        // Silence is no loss.
        if samples > 0 {
            let kept = stored.machines.entry(machine).or_default();
            kept.gaps.push((from.parse()?, to.parse()?, samples));
        }
    }
    Ok(())
}

fn take_cursors(stored: &mut Stored, text: &str) -> Result<()> {
    for [machine, epoch, sequence] in rows(text)? {
        let kept = stored.machines.entry(machine).or_default();
        kept.cursors.insert(epoch, sequence.parse()?);
    }
    Ok(())
}

/// Rows of a query, columns separated by tabs, by Python's own SQLite: it is there where the tests run.
fn ask_sqlite(file: &Path, sql: &str) -> Result<String> {
    const SCRIPT: &str = "import sqlite3, sys\n\
        connection = sqlite3.connect(f'file:{sys.argv[1]}?mode=ro', uri=True, timeout=30)\n\
        for row in connection.execute(sys.argv[2]): print(*row, sep='\\t')";
    printed(Command::new("python3").args(["-c", SCRIPT]).arg(file).arg(sql))
}
