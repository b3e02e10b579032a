//! Recent rows into blocks of a few minutes.

use sysmon_core::Tier;

use super::{Budget, HOUR_MS, MINUTE_MS, New, Piece, count, interrupted, json};
use crate::error::StoreError;
use crate::history::bytes::Corrupt;
use crate::history::sqlite::catalogue::CLOCK_OFFSET;
use crate::history::sqlite::lane::Effort;
use crate::history::sqlite::merge::from_ticks;

/// A machine's ticks are packed as soon as there are so many.
const PACK_TICKS: i64 = 120;
/// Or when the oldest is so old.
const PACK_AFTER_MS: i64 = 15 * MINUTE_MS;
/// Ticks of one machine that are packed at once.
const PACK_AT_ONCE: i64 = 4_096;

impl Piece<'_> {
    /// Packs recent rows into blocks of level 1.
    pub(super) async fn pack(&self, budget: &mut Budget) -> Result<(), StoreError> {
        let due: Vec<i64> = sqlx::query_scalar(
            "SELECT machine FROM recent GROUP BY machine \
             HAVING count(*) >= ?1 OR min(at_unix_ms) < ?2",
        )
        .bind(PACK_TICKS)
        .bind(self.settled().max(self.now - PACK_AFTER_MS))
        .fetch_all(&self.inner.pools.readers)
        .await
        .map_err(|error| self.failed(&error))?;
        for machine in due {
            loop {
                if budget.is_spent() {
                    return Ok(());
                }
                let (ticks, values) = self.pack_machine(machine).await?;
                budget.spend(values);
                if ticks < PACK_AT_ONCE {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Packs the oldest ticks of a machine; returns how many ticks and values there were.
    async fn pack_machine(&self, machine: i64) -> Result<(i64, i64), StoreError> {
        let rows: Vec<(i64, i64, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT id, at_unix_ms, clock_offset_ms, samples FROM recent WHERE machine = ?1 \
             ORDER BY at_unix_ms, id LIMIT ?2",
        )
        .bind(machine)
        .bind(PACK_AT_ONCE)
        .fetch_all(&self.inner.pools.readers)
        .await
        .map_err(|error| self.failed(&error))?;
        let ids: Vec<i64> = rows.iter().map(|(id, ..)| *id).collect();
        let intervals = self.interval_series().await?;
        let packed = tokio::task::spawn_blocking(move || pack_rows(&rows, &intervals)).await;
        let packed = packed
            .map_err(|_| interrupted())?
            .map_err(|corrupt| self.damaged(corrupt))?;
        let values = packed.blocks.iter().map(|block| block.samples).sum();
        let ticks = count(ids.len());
        self.exchange_recent(machine, &ids, &packed)
            .await
            .map_err(|error| self.failed(&error))?;
        Ok((ticks, values))
    }

    async fn interval_series(&self) -> Result<Vec<u32>, StoreError> {
        let metric = sysmon_core::INTERVAL_METRIC.name();
        sqlx::query_scalar("SELECT id FROM series WHERE metric = ?1")
            .bind(metric)
            .fetch_all(&self.inner.pools.readers)
            .await
            .map_err(|error| self.failed(&error))
    }

    async fn exchange_recent(&self, machine: i64, ids: &[i64], packed: &Packed) -> sqlx::Result<()> {
        let mut transaction = self.inner.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        let gone = sqlx::query("DELETE FROM recent WHERE id IN (SELECT value FROM json_each(?1))")
            .bind(json(ids))
            .execute(&mut *transaction)
            .await?;
        if gone.rows_affected() != ids.len() as u64 {
            return transaction.rollback().await;
        }
        for block in &packed.blocks {
            self.insert(&mut transaction, machine, block).await?;
        }
        sqlx::query(
            "UPDATE machine SET first_unix_ms = min(coalesce(first_unix_ms, ?2), ?2), \
             last_unix_ms = max(coalesce(last_unix_ms, ?3), ?3), interval_ms = coalesce(?4, interval_ms) WHERE id = ?1",
        )
        .bind(machine)
        .bind(packed.blocks.iter().map(|block| block.from).min())
        .bind(packed.blocks.iter().map(|block| block.to).max())
        .bind(packed.interval_ms)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }
}

/// Ticks that were packed.
struct Packed {
    blocks: Vec<New>,
    /// What the newest of them says of the interval.
    interval_ms: Option<i64>,
}

/// Packs ticks, in order of time, into one block per hour.
fn pack_rows(rows: &[(i64, i64, i64, Vec<u8>)], intervals: &[u32]) -> Result<Packed, Corrupt> {
    let mut packed = Packed {
        blocks: Vec::new(),
        interval_ms: None,
    };
    let same_hour = |one: i64, other: i64| one.div_euclid(HOUR_MS) == other.div_euclid(HOUR_MS);
    for hour in rows.chunk_by(|(_, one, ..), (_, other, ..)| same_hour(*one, *other)) {
        let mut block = from_ticks(hour.iter().map(|(_, at, _, samples)| (*at, &samples[..])))?;
        let interval = intervals
            .iter()
            .find_map(|series| block.columns.get(series)?.lanes.first()?.last());
        packed.interval_ms = interval.copied().or(packed.interval_ms);
        let offsets = block.columns.entry(CLOCK_OFFSET).or_default();
        offsets.rows = None;
        offsets.lanes = vec![hour.iter().map(|(_, _, offset, _)| *offset).collect()];
        packed.blocks.extend(New::of(&block, Tier::Raw, 1, Effort::Fast));
    }
    Ok(packed)
}
