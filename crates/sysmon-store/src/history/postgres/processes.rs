//! Snapshots of processes in the database.

use std::collections::HashMap;

use sqlx::{Connection as _, PgConnection, Row as _};
use sysmon_core::{MachineId, UnixMillis};

use super::failure::Failure;
use super::timestamp::Timestamp;
use crate::history::processes::{
    self, FORGET_AT_ONCE, IDENTITY_AFTER_MS, Limits, MARK_AFTER_MS, ROW_BYTES, Reading, Writing,
};
use crate::history::{MachineProcesses, Maintenance};

/// See [`crate::History::put_process_snapshots`].
pub(super) async fn put(
    connection: &mut PgConnection,
    snapshots: &[MachineProcesses],
) -> Result<u64, Failure> {
    let mut transaction = connection.begin().await?;
    let ids: Vec<&str> = snapshots
        .iter()
        .map(|snapshot| snapshot.machine.as_str())
        .collect();
    let rows = sqlx::query("SELECT machine_id, machine_key FROM machine WHERE machine_id = ANY($1)")
        .bind(ids)
        .fetch_all(&mut *transaction)
        .await?;
    let mut machines: HashMap<String, i32> = HashMap::with_capacity(rows.len());
    for row in rows {
        machines.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let mut writing = Writing::of(snapshots, |machine| machines.get(machine.as_str()).copied());
    let mut usage: HashMap<i64, usize> = HashMap::new();
    number(&mut transaction, &mut writing, &mut usage).await?;
    let stored = insert(&mut transaction, &writing, &mut usage).await?;
    let (mut hours, mut bytes) = (Vec::new(), Vec::new());
    // In order, so that two writers never wait for each other in a circle.
    let mut usage: Vec<(i64, usize)> = usage.into_iter().collect();
    usage.sort_unstable();
    for (hour, written) in usage {
        hours.push(Timestamp(hour));
        bytes.push(i64::try_from(written).unwrap_or(i64::MAX));
    }
    sqlx::query(
        "INSERT INTO process_usage (hour, bytes) SELECT * FROM unnest($1::timestamptz[], $2::bigint[])
         ON CONFLICT (hour) DO UPDATE SET bytes = process_usage.bytes + excluded.bytes",
    )
    .bind(hours)
    .bind(bytes)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(stored)
}

async fn insert(
    connection: &mut PgConnection,
    writing: &Writing<'_, i32>,
    usage: &mut HashMap<i64, usize>,
) -> Result<u64, Failure> {
    let mut rows: Vec<(i32, i64, Vec<u8>)> = writing
        .snapshots
        .iter()
        .map(|(machine, snapshot)| {
            let packed = writing.pack(*machine, &snapshot.processes);
            (*machine, snapshot.at.0, packed)
        })
        .collect();
    // The first of a moment stays, as with one after the other; in order, as above.
    rows.sort_by_key(|(machine, at, _)| (*machine, *at));
    rows.dedup_by_key(|(machine, at, _)| (*machine, *at));
    let inserted = sqlx::query(
        "INSERT INTO process_snapshot (machine_key, taken_at, processes)
         SELECT * FROM unnest($1::integer[], $2::timestamptz[], $3::bytea[])
         ON CONFLICT DO NOTHING RETURNING taken_at, length(processes)",
    )
    .bind(rows.iter().map(|(machine, ..)| *machine).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, at, _)| Timestamp(*at)).collect::<Vec<_>>())
    .bind(
        rows.iter()
            .map(|(.., packed)| packed.as_slice())
            .collect::<Vec<_>>(),
    )
    .fetch_all(connection)
    .await?;
    for row in &inserted {
        let (at, length): (Timestamp, i32) = (row.try_get(0)?, row.try_get(1)?);
        let hour = processes::hour_of(UnixMillis::from(at).0);
        *usage.entry(hour).or_default() += usize::try_from(length).unwrap_or(0) + ROW_BYTES;
    }
    Ok(inserted.len() as u64)
}

/// Finds the numbers of identities; those that are new get one. Another writer may have been faster.
async fn number(
    connection: &mut PgConnection,
    writing: &mut Writing<'_, i32>,
    usage: &mut HashMap<i64, usize>,
) -> Result<(), Failure> {
    let mut used = find(connection, writing).await?;
    used.sort_unstable();
    if !used.is_empty() {
        sqlx::query(
            "UPDATE process_identity SET used_at = greatest(used_at, new.used_at)
             FROM unnest($1::bigint[], $2::timestamptz[]) AS new(identity_key, used_at)
             WHERE process_identity.identity_key = new.identity_key",
        )
        .bind(used.iter().map(|(number, _)| *number).collect::<Vec<_>>())
        .bind(used.iter().map(|(_, at)| Timestamp(*at)).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    }
    let (mut machines, mut digests, mut times, mut packed) = (vec![], vec![], vec![], vec![]);
    for ((machine, digest), (bytes, at)) in &writing.identities {
        if !writing.numbers.contains_key(&(*machine, *digest)) {
            machines.push(*machine);
            digests.push(*digest);
            times.push(Timestamp(*at));
            packed.push(bytes.as_slice());
            *usage.entry(processes::hour_of(*at)).or_default() += bytes.len() + ROW_BYTES;
        }
    }
    if machines.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO process_identity (machine_key, digest, used_at, identity)
         SELECT * FROM unnest($1::integer[], $2::bigint[], $3::timestamptz[], $4::bytea[])
         ON CONFLICT (machine_key, digest) DO UPDATE SET used_at = greatest(process_identity.used_at, excluded.used_at)",
    )
    .bind(machines)
    .bind(digests)
    .bind(times)
    .bind(packed)
    .execute(&mut *connection)
    .await?;
    find(connection, writing).await.map(drop)
}

/// Looks the numbers up; returns those whose use is to be marked, and when that was.
async fn find(
    connection: &mut PgConnection,
    writing: &mut Writing<'_, i32>,
) -> Result<Vec<(i64, i64)>, Failure> {
    let (machines, digests): (Vec<i32>, Vec<i64>) = writing.identities.keys().copied().unzip();
    let rows = sqlx::query(
        "SELECT machine_key, digest, identity_key, used_at FROM process_identity
         JOIN unnest($1::integer[], $2::bigint[]) AS wanted(machine_key, digest) USING (machine_key, digest)",
    )
    .bind(machines)
    .bind(digests)
    .fetch_all(connection)
    .await?;
    let mut used = Vec::new();
    for row in rows {
        let (key, number): ((i32, i64), i64) = ((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        let used_at: Timestamp = row.try_get(3)?;
        writing.numbers.insert(key, number);
        if let Some((_, at)) = writing.identities.get(&key)
            && at.saturating_sub(UnixMillis::from(used_at).0) >= MARK_AFTER_MS
        {
            used.push((number, *at));
        }
    }
    Ok(used)
}

/// See [`crate::History::process_snapshots_at`].
pub(super) async fn at(
    connection: &mut PgConnection,
    machines: &[MachineId],
    at: UnixMillis,
) -> Result<Vec<MachineProcesses>, Failure> {
    let ids: Vec<&str> = machines.iter().map(MachineId::as_str).collect();
    let rows = sqlx::query(
        "SELECT asked.place, newest.taken_at, newest.processes
         FROM unnest($1::text[]) WITH ORDINALITY AS asked(machine_id, place)
         JOIN machine USING (machine_id)
         CROSS JOIN LATERAL (
             SELECT taken_at, processes FROM process_snapshot
             WHERE process_snapshot.machine_key = machine.machine_key AND taken_at BETWEEN $2 AND $3
             ORDER BY taken_at DESC LIMIT 1) AS newest",
    )
    .bind(ids)
    .bind(Timestamp::from(processes::earliest(at)))
    .bind(Timestamp::from(at))
    .fetch_all(&mut *connection)
    .await?;
    let mut reading = Reading::default();
    for row in rows {
        let place: i64 = row.try_get(0)?;
        let taken_at: Timestamp = row.try_get(1)?;
        // They are counted from 1.
        let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
        reading
            .snapshots
            .push((place, UnixMillis::from(taken_at).0, row.try_get(2)?));
    }
    let rows =
        sqlx::query("SELECT identity_key, identity FROM process_identity WHERE identity_key = ANY($1)")
            .bind(reading.numbers())
            .fetch_all(connection)
            .await?;
    let mut identities = Vec::with_capacity(rows.len());
    for row in rows {
        identities.push((row.try_get(0)?, row.try_get(1)?));
    }
    Ok(reading.finish(machines, &identities))
}

/// Forgets what is too old or too much, a bounded piece of it.
pub(super) async fn forget(
    connection: &mut PgConnection,
    limits: Limits,
    done: &mut Maintenance,
) -> Result<(), Failure> {
    let rows = sqlx::query("SELECT hour, bytes FROM process_usage")
        .fetch_all(&mut *connection)
        .await?;
    let mut usage = Vec::with_capacity(rows.len());
    for row in rows {
        let hour: Timestamp = row.try_get(0)?;
        usage.push((UnixMillis::from(hour).0, row.try_get(1)?));
    }
    let horizon = limits.horizon(usage);
    for (statement, before) in [
        (
            "DELETE FROM process_snapshot WHERE (machine_key, taken_at) IN
                 (SELECT machine_key, taken_at FROM process_snapshot WHERE taken_at < $1 LIMIT $2)",
            horizon,
        ),
        (
            "DELETE FROM process_identity WHERE identity_key IN
                 (SELECT identity_key FROM process_identity WHERE used_at < $1 LIMIT $2)",
            horizon.saturating_sub(IDENTITY_AFTER_MS),
        ),
    ] {
        let removed = sqlx::query(statement)
            .bind(Timestamp(before))
            .bind(FORGET_AT_ONCE)
            .execute(&mut *connection)
            .await?
            .rows_affected();
        done.forgotten += removed;
        done.more |= removed >= FORGET_AT_ONCE.cast_unsigned();
    }
    // An hour is over when its last snapshot may be gone.
    sqlx::query("DELETE FROM process_usage WHERE hour <= $1 - INTERVAL '1 hour'")
        .bind(Timestamp(horizon))
        .execute(connection)
        .await?;
    Ok(())
}
