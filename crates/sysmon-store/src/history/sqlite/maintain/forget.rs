//! What is older than is wanted.

use sysmon_core::Tier;

use super::super::processes;
use super::{Piece, delete_blocks, json, tier_number};
use crate::error::StoreError;
use crate::history::processes::Limits;
use crate::history::{Maintenance, Retention};

/// Rows that one call forgets at most, per table.
const FORGET_AT_ONCE: i64 = 500;

impl Piece<'_> {
    /// Forgets what is older than is wanted. Samples that are not rolled up yet are kept until they are.
    pub(super) async fn forget(&self, done: &mut Maintenance) -> Result<(), StoreError> {
        let Retention {
            raw_ms,
            minute_ms,
            hour_ms,
            cursor_ms,
            snapshot_ms,
            snapshot_bytes,
        } = self.inner.retention;
        let before = |kept: u64| self.now.saturating_sub(i64::try_from(kept).unwrap_or(i64::MAX));
        for (tier, kept_ms) in [
            (Tier::Raw, raw_ms),
            (Tier::Minute, minute_ms),
            (Tier::Hour, hour_ms),
        ] {
            let forgotten = self.forget_tier(tier, before(kept_ms)).await;
            done.forgotten += forgotten.map_err(|error| self.failed(&error))?;
        }
        let statements = [
            (
                "DELETE FROM gap WHERE id IN (SELECT id FROM gap WHERE to_unix_ms < ?1 LIMIT ?2)",
                hour_ms,
            ),
            (
                "DELETE FROM dead_letter WHERE id IN \
                 (SELECT id FROM dead_letter WHERE received_unix_ms < ?1 ORDER BY received_unix_ms LIMIT ?2)",
                cursor_ms,
            ),
            (
                "DELETE FROM cursor WHERE (machine, epoch) IN \
                 (SELECT machine, epoch FROM cursor WHERE touched_unix_ms < ?1 LIMIT ?2)",
                cursor_ms,
            ),
        ];
        for (statement, kept_ms) in statements {
            sqlx::query(statement)
                .bind(before(kept_ms))
                .bind(FORGET_AT_ONCE)
                .execute(&self.inner.pools.writer)
                .await
                .map_err(|error| self.failed(&error))?;
        }
        let snapshots = Limits {
            before: before(snapshot_ms),
            bytes: snapshot_bytes,
            now: self.now,
        };
        processes::forget(self.inner, snapshots, done).await?;
        self.shrink().await.map_err(|error| self.failed(&error))
    }

    async fn forget_tier(&self, tier: Tier, before: i64) -> sqlx::Result<u64> {
        let width = i64::try_from(tier.width_ms().unwrap_or(0)).unwrap_or(0);
        let old: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT id, samples FROM block WHERE tier = ?1 AND level IN (2, 3) AND to_unix_ms < ?2 LIMIT ?3",
        )
        .bind(tier_number(tier))
        .bind(before.saturating_sub(width))
        .bind(FORGET_AT_ONCE)
        .fetch_all(&self.inner.pools.readers)
        .await?;
        if old.is_empty() {
            return Ok(0);
        }
        let ids: Vec<i64> = old.iter().map(|(id, _)| *id).collect();
        let mut transaction = self.inner.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        delete_blocks(&mut transaction, &json(&ids)).await?;
        transaction.commit().await?;
        Ok(u64::try_from(old.iter().map(|(_, samples)| samples).sum::<i64>()).unwrap_or(0))
    }

    /// Gives space back to the disk when more than a quarter of the file is free.
    async fn shrink(&self) -> sqlx::Result<()> {
        let writer = &self.inner.pools.writer;
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(writer).await?;
        let free: i64 = sqlx::query_scalar("PRAGMA freelist_count")
            .fetch_one(writer)
            .await?;
        if free > 1_024 && free > pages / 4 {
            sqlx::query("PRAGMA incremental_vacuum(512)")
                .fetch_all(writer)
                .await?;
        }
        Ok(())
    }
}
