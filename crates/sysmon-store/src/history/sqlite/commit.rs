//! Batches into the file, exactly once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};
use sysmon_core::{Epoch, GapReason, HostInfo, UnixMillis};

use super::catalogue::Fresh;
use super::{Inner, tick};
use crate::error::StoreError;
use crate::history::{Content, DeadTick, IngestBatch, Outcome};

/// Rows of one insert: few sizes, so that their statements stay prepared.
const INSERT_SIZES: [usize; 3] = [128, 16, 1];

/// A row of `recent`.
pub(super) struct RecentRow {
    pub(super) machine: i64,
    pub(super) at: i64,
    pub(super) clock_offset_ms: i64,
    pub(super) samples: Vec<u8>,
}

/// What a transaction of commits knows and will write.
struct Commit {
    cursors: HashMap<(i64, Epoch), Cursor>,
    rows: Vec<RecentRow>,
    /// Newest sample of the machines in `rows`.
    newest: HashMap<i64, i64>,
    fresh: Fresh,
}

#[derive(Clone, Copy, Default)]
struct Cursor {
    through: u64,
    moved: bool,
}

impl Inner {
    pub(super) async fn commit(&self, batches: &[IngestBatch]) -> Result<Vec<Outcome>, StoreError> {
        crate::history::check(batches)?;
        let failed = |error: sqlx::Error| self.failed(&error);
        // The lock is taken before the cursors are read: nobody else can store the same batches in between.
        let writer = &self.pools.writer;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let (outcomes, fresh) = self.commit_on(&mut transaction, batches).await.map_err(failed)?;
        transaction.commit().await.map_err(failed)?;
        self.catalogue.remember(fresh);
        Ok(outcomes)
    }

    async fn commit_on(
        &self,
        connection: &mut SqliteConnection,
        batches: &[IngestBatch],
    ) -> sqlx::Result<(Vec<Outcome>, Fresh)> {
        let mut fresh = Fresh::default();
        let mut keys = Vec::with_capacity(batches.len());
        for batch in batches {
            let machine = self
                .catalogue
                .machine(connection, &mut fresh, &batch.machine)
                .await?;
            keys.push((machine, batch.epoch));
        }
        let mut commit = Commit {
            cursors: read_cursors(connection, &keys).await?,
            rows: Vec::with_capacity(batches.len()),
            newest: HashMap::new(),
            fresh,
        };
        let mut outcomes = Vec::with_capacity(batches.len());
        for (batch, key) in batches.iter().zip(&keys) {
            let through = commit.cursors.entry(*key).or_default().through;
            if batch.last_sequence() <= through {
                outcomes.push(Outcome::Stored { through });
                continue;
            }
            if batch.sequence > through + 1 {
                outcomes.push(Outcome::Expected {
                    sequence: through + 1,
                });
                continue;
            }
            self.take(connection, &mut commit, batch, key.0, through).await?;
            let through = batch.last_sequence();
            commit.cursors.insert(*key, Cursor { through, moved: true });
            outcomes.push(Outcome::Stored { through });
        }
        insert_recent(connection, &commit.rows).await?;
        write_cursors(connection, &commit.cursors).await?;
        Ok((outcomes, commit.fresh))
    }

    /// Stores one batch that is next in its epoch.
    async fn take(
        &self,
        connection: &mut SqliteConnection,
        commit: &mut Commit,
        batch: &IngestBatch,
        machine: i64,
        through: u64,
    ) -> sqlx::Result<()> {
        if let Some(host) = &batch.host {
            write_host(connection, machine, host).await?;
        }
        match &batch.content {
            Content::Tick { at, series, values } => {
                let numbers = self
                    .catalogue
                    .numbers(connection, &mut commit.fresh, series)
                    .await?;
                if batch.spool_was_lost && batch.sequence == 1 {
                    note_lost_spool(connection, commit, batch.epoch, machine, *at).await?;
                }
                let newest = commit.newest.entry(machine).or_insert(at.0);
                *newest = (*newest).max(at.0);
                commit.rows.push(RecentRow {
                    machine,
                    at: at.0,
                    clock_offset_ms: batch.clock_offset_ms,
                    samples: tick::encode(&number(values, &numbers)),
                });
                Ok(())
            }
            Content::Lost {
                last_sequence,
                from,
                to,
                reason,
            } => {
                // What of the range was stored before is not lost.
                write_gap(
                    connection,
                    machine,
                    batch.epoch,
                    (*from, *to),
                    last_sequence - through,
                    *reason,
                )
                .await
            }
            Content::Dead {
                received,
                reason,
                tick,
            } => {
                let letter = (*received, reason.as_str(), tick.as_ref());
                write_dead_letter(connection, batch, letter).await
            }
        }
    }
}

/// Writes down that everything between the machine's newest sample and this one is lost, if there is one before it.
async fn note_lost_spool(
    connection: &mut SqliteConnection,
    commit: &Commit,
    epoch: Epoch,
    machine: i64,
    at: UnixMillis,
) -> sqlx::Result<()> {
    let stored = newest_sample(connection, machine).await?;
    let newest = stored.max(commit.newest.get(&machine).copied());
    let Some(newest) = newest.filter(|newest| *newest < at.0) else {
        return Ok(());
    };
    let range = (UnixMillis(newest), at);
    write_gap(connection, machine, epoch, range, 0, GapReason::SpoolLost).await
}

async fn write_dead_letter(
    connection: &mut SqliteConnection,
    batch: &IngestBatch,
    (received, reason, tick): (UnixMillis, &str, Option<&DeadTick>),
) -> sqlx::Result<()> {
    let tick = tick.map(serde_json::to_string).transpose();
    sqlx::query(
        "INSERT INTO dead_letter (machine, epoch, sequence, received_unix_ms, reason, tick) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(batch.machine.as_str())
    .bind(&batch.epoch.0[..])
    .bind(batch.sequence.cast_signed())
    .bind(received.0)
    .bind(reason)
    .bind(tick.map_err(|error| sqlx::Error::Encode(error.into()))?)
    .execute(connection)
    .await
    .map(drop)
}

/// Values under the store's numbers, ascending, each once.
fn number(values: &[(u32, i64)], numbers: &[(u32, u32)]) -> Vec<(u32, i64)> {
    let mut known = numbers.iter().peekable();
    let mut numbered = Vec::with_capacity(values.len());
    for (number, value) in values {
        while known.next_if(|(next, _)| next < number).is_some() {}
        if let Some((_, series)) = known.peek().filter(|(next, _)| next == number) {
            numbered.push((*series, *value));
        }
    }
    numbered.sort_by_key(|(series, _)| *series);
    numbered.dedup_by_key(|(series, _)| *series);
    numbered
}

async fn read_cursors(
    connection: &mut SqliteConnection,
    keys: &[(i64, Epoch)],
) -> sqlx::Result<HashMap<(i64, Epoch), Cursor>> {
    let mut wanted: Vec<_> = keys.to_vec();
    wanted.sort_unstable();
    wanted.dedup();
    let mut json = String::with_capacity(wanted.len() * 48);
    for (machine, epoch) in &wanted {
        let separator = if json.is_empty() { '[' } else { ',' };
        // Writing to a string cannot fail.
        let _ = write!(json, "{separator}[{machine},\"{epoch}\"]");
    }
    json.push_str(if json.is_empty() { "[]" } else { "]" });
    let rows: Vec<(i64, Vec<u8>, i64)> = sqlx::query_as(
        "SELECT cursor.machine, cursor.epoch, cursor.through FROM json_each(?1) AS wanted \
         CROSS JOIN cursor ON cursor.machine = wanted.value ->> 0 AND cursor.epoch = unhex(wanted.value ->> 1)",
    )
    .bind(json)
    .fetch_all(connection)
    .await?;
    let mut cursors = HashMap::with_capacity(wanted.len());
    for (machine, epoch, through) in rows {
        let epoch = Epoch::parse(&epoch).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let through = through.cast_unsigned();
        cursors.insert(
            (machine, epoch),
            Cursor {
                through,
                moved: false,
            },
        );
    }
    Ok(cursors)
}

async fn write_cursors(
    connection: &mut SqliteConnection,
    cursors: &HashMap<(i64, Epoch), Cursor>,
) -> sqlx::Result<()> {
    let mut json = String::with_capacity(cursors.len() * 56);
    for ((machine, epoch), cursor) in cursors.iter().filter(|(_, cursor)| cursor.moved) {
        let separator = if json.is_empty() { '[' } else { ',' };
        let _ = write!(json, "{separator}[{machine},\"{epoch}\",{}]", cursor.through);
    }
    if json.is_empty() {
        return Ok(());
    }
    json.push(']');
    sqlx::query(
        "INSERT INTO cursor (machine, epoch, through, touched_unix_ms) \
         SELECT value ->> 0, unhex(value ->> 1), value ->> 2, ?2 FROM json_each(?1) WHERE true \
         ON CONFLICT (machine, epoch) DO UPDATE \
         SET through = excluded.through, touched_unix_ms = excluded.touched_unix_ms",
    )
    .bind(json)
    .bind(now_ms())
    .execute(connection)
    .await
    .map(drop)
}

/// When a cursor was touched is told by the store's own clock: those of collectors may be anything.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Appends rows, many at a time.
pub(super) async fn insert_recent(connection: &mut SqliteConnection, rows: &[RecentRow]) -> sqlx::Result<()> {
    let mut rest = rows;
    for size in INSERT_SIZES {
        while rest.len() >= size {
            let (chunk, after) = rest.split_at(size);
            rest = after;
            let mut insert = QueryBuilder::<Sqlite>::new(
                "INSERT INTO recent (machine, at_unix_ms, clock_offset_ms, samples) ",
            );
            insert.push_values(chunk, |mut values, row| {
                values
                    .push_bind(row.machine)
                    .push_bind(row.at)
                    .push_bind(row.clock_offset_ms)
                    .push_bind(&row.samples[..]);
            });
            insert.build().persistent(true).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

async fn newest_sample(connection: &mut SqliteConnection, machine: i64) -> sqlx::Result<Option<i64>> {
    let (packed, recent): (Option<i64>, Option<i64>) = sqlx::query_as(
        "SELECT last_unix_ms, (SELECT max(at_unix_ms) FROM recent WHERE recent.machine = machine.id) \
         FROM machine WHERE id = ?1",
    )
    .bind(machine)
    .fetch_one(connection)
    .await?;
    Ok(packed.max(recent))
}

async fn write_gap(
    connection: &mut SqliteConnection,
    machine: i64,
    epoch: Epoch,
    (from, to): (UnixMillis, UnixMillis),
    samples: u64,
    reason: GapReason,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO gap (machine, epoch, from_unix_ms, to_unix_ms, samples, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(machine)
    .bind(&epoch.0[..])
    .bind(from.0)
    .bind(to.0)
    .bind(samples.cast_signed())
    .bind(reason.name())
    .execute(connection)
    .await
    .map(drop)
}

async fn write_host(connection: &mut SqliteConnection, machine: i64, host: &HostInfo) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE machine SET hostname = ?2, os = ?3, kernel = ?4, architecture = ?5, cpu_model = ?6, cpu_count = ?7, \
         memory_bytes = ?8, boot_unix_ms = ?9, collector_version = ?10, labels = ?11 WHERE id = ?1",
    )
    .bind(machine)
    .bind(&host.hostname)
    .bind(&host.os)
    .bind(&host.kernel)
    .bind(&host.architecture)
    .bind(&host.cpu_model)
    .bind(host.cpu_count)
    .bind(i64::try_from(host.memory_bytes).unwrap_or(i64::MAX))
    .bind(host.boot_unix_ms)
    .bind(&host.collector_version)
    .bind(serde_json::to_string(&host.labels).map_err(|error| sqlx::Error::Encode(error.into()))?)
    .execute(connection)
    .await
    .map(drop)
}
