//! Snapshots of processes in the file.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use sysmon_core::{MachineId, UnixMillis};

use super::Inner;
use crate::error::StoreError;
use crate::history::processes::{
    self, FORGET_AT_ONCE, IDENTITY_AFTER_MS, Limits, MARK_AFTER_MS, ROW_BYTES, Reading, Writing,
};
use crate::history::{MachineProcesses, Maintenance};

/// See [`crate::History::put_process_snapshots`].
pub(super) async fn put(inner: &Arc<Inner>, snapshots: &[MachineProcesses]) -> Result<u64, StoreError> {
    processes::check(snapshots)?;
    if snapshots.is_empty() {
        return Ok(0);
    }
    let failed = |error: sqlx::Error| inner.failed(&error);
    let writer = &inner.pools.writer;
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let stored = write(&mut transaction, snapshots).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(stored)
}

async fn write(connection: &mut SqliteConnection, snapshots: &[MachineProcesses]) -> sqlx::Result<u64> {
    let names: Vec<&str> = snapshots
        .iter()
        .map(|snapshot| snapshot.machine.as_str())
        .collect();
    let machines: Vec<(String, i64)> = sqlx::query_as(
        "SELECT machine.name, machine.id FROM json_each(?1) AS asked \
         CROSS JOIN machine ON machine.name = asked.value",
    )
    .bind(json(&names)?)
    .fetch_all(&mut *connection)
    .await?;
    let machines: HashMap<String, i64> = machines.into_iter().collect();
    let mut writing = Writing::of(snapshots, |machine| machines.get(machine.as_str()).copied());
    let mut usage: HashMap<i64, usize> = HashMap::new();
    number(connection, &mut writing, &mut usage).await?;
    let mut stored = 0;
    for (machine, snapshot) in &writing.snapshots {
        let bytes = writing.pack(*machine, &snapshot.processes);
        let length = bytes.len() + ROW_BYTES;
        let inserted = sqlx::query(
            "INSERT INTO process_snapshot (machine, at_unix_ms, processes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )
        .bind(machine)
        .bind(snapshot.at.0)
        .bind(bytes)
        .execute(&mut *connection)
        .await?
        .rows_affected();
        if inserted > 0 {
            stored += 1;
            *usage.entry(processes::hour_of(snapshot.at.0)).or_default() += length;
        }
    }
    for (hour, bytes) in usage {
        sqlx::query(
            "INSERT INTO process_usage (hour_unix_ms, bytes) VALUES (?1, ?2) \
             ON CONFLICT (hour_unix_ms) DO UPDATE SET bytes = bytes + excluded.bytes",
        )
        .bind(hour)
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
    }
    Ok(stored)
}

/// Finds the numbers of identities; those that are new get one.
async fn number(
    connection: &mut SqliteConnection,
    writing: &mut Writing<'_, i64>,
    usage: &mut HashMap<i64, usize>,
) -> sqlx::Result<()> {
    let wanted: Vec<(i64, i64)> = writing.identities.keys().copied().collect();
    let known: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT identity.machine, identity.digest, identity.id, identity.used_unix_ms FROM json_each(?1) AS wanted \
         CROSS JOIN process_identity AS identity \
         ON identity.machine = wanted.value ->> 0 AND identity.digest = wanted.value ->> 1",
    )
    .bind(json(&wanted)?)
    .fetch_all(&mut *connection)
    .await?;
    let mut used = Vec::new();
    for (machine, digest, number, used_unix_ms) in known {
        writing.numbers.insert((machine, digest), number);
        if let Some((_, at)) = writing.identities.get(&(machine, digest))
            && at.saturating_sub(used_unix_ms) >= MARK_AFTER_MS
        {
            used.push((number, *at));
        }
    }
    for (number, at) in used {
        sqlx::query("UPDATE process_identity SET used_unix_ms = ?2 WHERE id = ?1")
            .bind(number)
            .bind(at)
            .execute(&mut *connection)
            .await?;
    }
    for ((machine, digest), (packed, at)) in &writing.identities {
        if writing.numbers.contains_key(&(*machine, *digest)) {
            continue;
        }
        let number = sqlx::query(
            "INSERT INTO process_identity (machine, digest, used_unix_ms, identity) VALUES (?1, ?2, ?3, ?4)",
        )
        .bind(machine)
        .bind(digest)
        .bind(at)
        .bind(packed.as_slice())
        .execute(&mut *connection)
        .await?
        .last_insert_rowid();
        writing.numbers.insert((*machine, *digest), number);
        *usage.entry(processes::hour_of(*at)).or_default() += packed.len() + ROW_BYTES;
    }
    Ok(())
}

/// See [`crate::History::process_snapshots_at`].
pub(super) async fn at(
    inner: &Arc<Inner>,
    machines: &[MachineId],
    at: UnixMillis,
) -> Result<Vec<MachineProcesses>, StoreError> {
    processes::check_machines(machines)?;
    let failed = |error: sqlx::Error| inner.failed(&error);
    // In one transaction: identities are forgotten meanwhile.
    let mut transaction = inner.pools.readers.begin().await.map_err(failed)?;
    let (reading, identities) = read(&mut transaction, machines, at).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(reading.finish(machines, &identities))
}

async fn read(
    connection: &mut SqliteConnection,
    machines: &[MachineId],
    at: UnixMillis,
) -> sqlx::Result<(Reading, Vec<(i64, Vec<u8>)>)> {
    let names: Vec<&str> = machines.iter().map(MachineId::as_str).collect();
    let rows: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT asked.key, snapshot.at_unix_ms, snapshot.processes FROM json_each(?1) AS asked \
         CROSS JOIN machine ON machine.name = asked.value \
         CROSS JOIN process_snapshot AS snapshot ON snapshot.machine = machine.id AND snapshot.at_unix_ms = \
         (SELECT max(at_unix_ms) FROM process_snapshot \
          WHERE machine = machine.id AND at_unix_ms BETWEEN ?2 AND ?3)",
    )
    .bind(json(&names)?)
    .bind(processes::earliest(at).0)
    .bind(at.0)
    .fetch_all(&mut *connection)
    .await?;
    let snapshots = rows
        .into_iter()
        .filter_map(|(place, at, bytes)| Some((usize::try_from(place).ok()?, at, bytes)));
    let reading = Reading {
        snapshots: snapshots.collect(),
    };
    let identities = sqlx::query_as(
        // json_each has a column of that name too.
        "SELECT identity.id, identity.identity FROM json_each(?1) AS wanted \
         CROSS JOIN process_identity AS identity ON identity.id = wanted.value",
    )
    .bind(json(&reading.numbers())?)
    .fetch_all(connection)
    .await?;
    Ok((reading, identities))
}

/// Forgets what is too old or too much, a bounded piece of it.
pub(super) async fn forget(inner: &Inner, limits: Limits, done: &mut Maintenance) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| inner.failed(&error);
    let writer = &inner.pools.writer;
    let usage = sqlx::query_as("SELECT hour_unix_ms, bytes FROM process_usage")
        .fetch_all(&inner.pools.readers)
        .await
        .map_err(failed)?;
    let horizon = limits.horizon(usage);
    let statements = [
        (
            "DELETE FROM process_snapshot WHERE (machine, at_unix_ms) IN \
             (SELECT machine, at_unix_ms FROM process_snapshot WHERE at_unix_ms < ?1 LIMIT ?2)",
            horizon,
        ),
        (
            "DELETE FROM process_identity WHERE id IN \
             (SELECT id FROM process_identity WHERE used_unix_ms < ?1 LIMIT ?2)",
            horizon.saturating_sub(IDENTITY_AFTER_MS),
        ),
    ];
    for (statement, before) in statements {
        let removed = sqlx::query(statement)
            .bind(before)
            .bind(FORGET_AT_ONCE)
            .execute(writer)
            .await
            .map_err(failed)?
            .rows_affected();
        done.forgotten += removed;
        done.more |= removed >= FORGET_AT_ONCE.cast_unsigned();
    }
    // An hour is over when its last snapshot may be gone.
    sqlx::query("DELETE FROM process_usage WHERE hour_unix_ms <= ?1 - 3600000")
        .bind(horizon)
        .execute(writer)
        .await
        .map(drop)
        .map_err(failed)
}

fn json(value: &impl serde::Serialize) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}
