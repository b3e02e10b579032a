//! Dead letters in the file.

use sysmon_core::{Epoch, MachineId, UnixMillis};

use super::Inner;
use super::catalogue::Fresh;
use super::commit::{RecentRow, insert_recent};
use super::tick;
use crate::error::StoreError;
use crate::history::letters::{letter_values, may_retry};
use crate::history::{DeadLetter, DeadLetterFilter, DeadTick};

type LetterRow = (i64, String, Vec<u8>, i64, i64, String, Option<String>);

impl Inner {
    pub(super) async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let rows: Vec<LetterRow> = sqlx::query_as(
            "SELECT id, machine, epoch, sequence, received_unix_ms, reason, tick FROM dead_letter \
             WHERE (?1 IS NULL OR machine = ?1) AND (?2 IS NULL OR received_unix_ms < ?2) \
             ORDER BY id LIMIT ?3",
        )
        .bind(filter.machine.as_ref().map(MachineId::as_str))
        .bind(filter.received_before.map(|before| before.0))
        .bind(limit)
        .fetch_all(&self.pools.readers)
        .await
        .map_err(|error| self.failed(&error))?;
        let letter = |(id, machine, epoch, sequence, received, reason, tick): LetterRow| {
            Some(DeadLetter {
                id,
                machine: MachineId::parse(&machine).ok()?,
                epoch: Epoch::parse(&epoch).ok()?,
                sequence: sequence.cast_unsigned(),
                received: UnixMillis(received),
                reason,
                tick: tick.and_then(|tick| serde_json::from_str(&tick).ok()),
            })
        };
        Ok(rows.into_iter().filter_map(letter).collect())
    }

    pub(super) async fn retry_dead_letters(
        &self,
        ids: &[i64],
        now: UnixMillis,
        force: bool,
    ) -> Result<u64, StoreError> {
        let mut stored = 0;
        for id in ids {
            stored += u64::from(
                self.retry(*id, now, force)
                    .await
                    .map_err(|error| self.failed(&error))?,
            );
        }
        Ok(stored)
    }

    /// Stores one letter's samples instead of the letter, if they may be.
    async fn retry(&self, id: i64, now: UnixMillis, force: bool) -> sqlx::Result<bool> {
        let mut transaction = self.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        let row: Option<(String, Option<String>)> =
            sqlx::query_as("DELETE FROM dead_letter WHERE id = ?1 RETURNING machine, tick")
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
        let letter = row.and_then(|(machine, tick)| {
            let tick: DeadTick = serde_json::from_str(&tick?).ok()?;
            Some((MachineId::parse(&machine).ok()?, tick))
        });
        let Some((machine, tick)) = letter.filter(|(_, tick)| may_retry(tick, now, force)) else {
            transaction.rollback().await?;
            return Ok(false);
        };
        let mut fresh = Fresh::default();
        let machine = self
            .catalogue
            .machine(&mut transaction, &mut fresh, &machine)
            .await?;
        let mut values = Vec::new();
        for (key, decimals, value) in letter_values(&tick) {
            let series = self
                .catalogue
                .series(&mut transaction, &mut fresh, &key, decimals)
                .await?;
            values.push((series, value));
        }
        values.sort_by_key(|(series, _)| *series);
        values.dedup_by_key(|(series, _)| *series);
        let row = RecentRow {
            machine,
            at: tick.at_unix_ms,
            clock_offset_ms: 0,
            samples: tick::encode(&values),
        };
        insert_recent(&mut transaction, &[row]).await?;
        transaction.commit().await?;
        self.catalogue.remember(fresh);
        Ok(true)
    }

    pub(super) async fn purge_dead_letters(&self, ids: &[i64]) -> Result<u64, StoreError> {
        let ids = serde_json::to_string(ids).unwrap_or_else(|_| "[]".into());
        sqlx::query("DELETE FROM dead_letter WHERE id IN (SELECT value FROM json_each(?1))")
            .bind(ids)
            .execute(&self.pools.writer)
            .await
            .map(|done| done.rows_affected())
            .map_err(|error| self.failed(&error))
    }
}
