//! Dead letters: kept, listed, stored after all, thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sqlx::{Connection as _, PgConnection, Row as _};
use sysmon_core::{Epoch, MachineId, UnixMillis};

use super::failure::Failure;
use super::migrate::Flavour;
use super::names::{Names, clean};
use super::rows::Sheet;
use super::timestamp::Timestamp;
use super::{commit, late};
use crate::error::StoreError;
use crate::history::letters::{letter_values, may_retry};
use crate::history::{
    Content, DeadLetter, DeadLetterFilter, DeadTick, IngestBatch, SeriesEntry, SeriesTable,
};

/// Letters on their way into their table.
#[derive(Debug, Default)]
pub(super) struct Letters {
    machine_keys: Vec<i32>,
    epochs: Vec<Vec<u8>>,
    sequences: Vec<i64>,
    received: Vec<Timestamp>,
    reasons: Vec<String>,
    ticks: Vec<Option<String>>,
}

impl Letters {
    pub(super) fn push(
        &mut self,
        (machine_key, epoch): (i32, Epoch),
        sequence: u64,
        received: UnixMillis,
        reason: &str,
        tick: Option<&DeadTick>,
    ) {
        self.machine_keys.push(machine_key);
        self.epochs.push(epoch.0.to_vec());
        self.sequences.push(sequence.cast_signed());
        self.received.push(received.into());
        self.reasons.push(clean(reason));
        // JSON writes a NUL as an escape, so that nothing has to be cleaned.
        self.ticks
            .push(tick.and_then(|tick| serde_json::to_string(tick).ok()));
    }

    pub(super) async fn insert(self, connection: &mut PgConnection) -> Result<(), Failure> {
        if self.machine_keys.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO dead_letter (machine_key, epoch, sequence, received_at, reason, tick)
             SELECT * FROM unnest($1::integer[], $2::bytea[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[])",
        )
        .bind(self.machine_keys)
        .bind(self.epochs)
        .bind(self.sequences)
        .bind(self.received)
        .bind(self.reasons)
        .bind(self.ticks)
        .execute(connection)
        .await?;
        Ok(())
    }
}

const COLUMNS: &str = "SELECT dead_letter_id, machine_id, epoch, sequence, received_at, reason, tick
     FROM dead_letter JOIN machine USING (machine_key)";

/// See [`crate::History::dead_letters`].
pub(super) async fn list(
    connection: &mut PgConnection,
    filter: &DeadLetterFilter,
    limit: u32,
) -> Result<Vec<DeadLetter>, Failure> {
    let query = format!(
        "{COLUMNS} WHERE ($1::text IS NULL OR machine_id = $1) AND ($2::timestamptz IS NULL OR received_at < $2)
         ORDER BY dead_letter_id LIMIT $3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(filter.machine.as_ref().map(MachineId::as_str))
        .bind(filter.received_before.map(Timestamp::from))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(letter).collect()
}

fn letter(row: &sqlx::postgres::PgRow) -> Result<DeadLetter, Failure> {
    let damaged = |what: &str| {
        StoreError::misconfigured(format!(
            "a dead letter has an impossible {what}; remove it from the table dead_letter"
        ))
    };
    let received: Timestamp = row.try_get(4)?;
    let sequence: i64 = row.try_get(3)?;
    let tick: Option<&str> = row.try_get(6)?;
    Ok(DeadLetter {
        id: row.try_get(0)?,
        machine: MachineId::parse(row.try_get(1)?).map_err(|_| damaged("machine"))?,
        epoch: Epoch::parse(row.try_get(2)?).map_err(|_| damaged("epoch"))?,
        sequence: sequence.cast_unsigned(),
        received: received.into(),
        reason: row.try_get(5)?,
        tick: tick.and_then(|tick| serde_json::from_str(tick).ok()),
    })
}

/// Stores one letter's samples and removes it, in one transaction; says whether it did.
pub(super) async fn retry(
    connection: &mut PgConnection,
    names: &Names,
    flavour: Flavour,
    id: i64,
    now: UnixMillis,
    force: bool,
) -> Result<bool, Failure> {
    let query = format!("{COLUMNS} WHERE dead_letter_id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(letter) = row.as_ref().map(letter).transpose()? else {
        return Ok(false);
    };
    let Some(tick) = letter.tick.filter(|tick| may_retry(tick, now, force)) else {
        return Ok(false);
    };
    let batch = batch(letter.machine, letter.epoch, letter.sequence, &tick);
    let batches = std::slice::from_ref(&batch);
    let resolved = names.resolve(connection, batches).await?;
    let mut transaction = connection.begin().await?;
    let mut machines = commit::lock_machines(&mut transaction, BTreeSet::from([&batch.machine])).await?;
    let removed = sqlx::query("DELETE FROM dead_letter WHERE dead_letter_id = $1")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    // Somebody else may have been faster.
    let (1, Some(machine)) = (removed.rows_affected(), machines.get_mut(&batch.machine)) else {
        transaction.rollback().await?;
        return Ok(false);
    };
    let Content::Tick { at, series, values } = &batch.content else {
        return Ok(false);
    };
    machine.saw(*at);
    let mut sheet = Sheet::new();
    if let Some(layout) = resolved.layout(series) {
        let overflow = |number| resolved.overflow(series, number);
        sheet.add(machine.key, *at, 0, layout, values, overflow);
    }
    late::note(&mut transaction, flavour, &[(machine.key, *at)]).await?;
    sheet.insert(&mut transaction).await?;
    commit::grow(&mut transaction, machines.values()).await?;
    transaction.commit().await?;
    Ok(true)
}

fn batch(machine: MachineId, epoch: Epoch, sequence: u64, tick: &DeadTick) -> IngestBatch {
    let mut entries = BTreeMap::new();
    let mut values = Vec::new();
    for (number, (key, decimals, value)) in (0u32..).zip(letter_values(tick)) {
        entries.insert(number, SeriesEntry { key, decimals });
        values.push((number, value));
    }
    IngestBatch {
        machine,
        epoch,
        sequence,
        content: Content::Tick {
            at: UnixMillis(tick.at_unix_ms),
            series: Arc::new(SeriesTable::new(entries)),
            values,
        },
        clock_offset_ms: 0,
        host: None,
        spool_was_lost: false,
    }
}

/// See [`crate::History::purge_dead_letters`].
pub(super) async fn purge(connection: &mut PgConnection, ids: &[i64]) -> Result<u64, Failure> {
    let removed = sqlx::query("DELETE FROM dead_letter WHERE dead_letter_id = ANY($1)")
        .bind(ids)
        .execute(connection)
        .await?;
    Ok(removed.rows_affected())
}
