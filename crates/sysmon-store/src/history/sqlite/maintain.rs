//! Packing, rolling up and forgetting, in bounded pieces that are each a transaction of their own.
//!
//! Blocks are read and encoded outside of the transaction that exchanges them. It is given up when the sources are no
//! longer what was read, which happens when another program maintains the same file: whoever is first wins.

mod forget;
mod pack;

use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use sysmon_core::{Tier, UnixMillis};

use super::block::{Block, Stored, decode_head, decode_segment, encode};
use super::catalogue::CLOCK_OFFSET;
use super::lane::Effort;
use super::merge::{merge, roll_up};
use super::{Inner, error};
use crate::error::StoreError;
use crate::history::Maintenance;
use crate::history::bytes::Corrupt;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How long after an hour its stragglers are waited for. Later ones get blocks of their own.
const SETTLED_MS: i64 = 2 * MINUTE_MS;
/// How long a block is left alone before it is joined to an older one: a backlog that drains brings many.
const JOIN_AFTER_MS: i64 = 10 * MINUTE_MS;
/// Values that one call encodes at most, about: half a second of work.
const VALUES_AT_ONCE: i64 = 8_000_000;
/// Values of a block at most: it takes eight bytes each in memory while it is made.
const BLOCK_VALUES_MAX: i64 = 4_000_000;

/// How blocks of a tier grow: how long the longest are, and at how many of an hour they are joined before that time is over.
const LENGTHS: [(Tier, i64, i64); 3] = [
    (Tier::Raw, 6 * HOUR_MS, 1_000),
    (Tier::Minute, DAY_MS, 6),
    (Tier::Hour, 30 * DAY_MS, 24),
];

/// What is left of what one call may do.
struct Budget {
    values: i64,
    done: Maintenance,
}

impl Budget {
    fn spend(&mut self, values: i64) {
        self.values -= values;
        self.done.more |= self.values <= 0;
    }

    fn is_spent(&self) -> bool {
        self.values <= 0
    }
}

pub(super) async fn maintain(inner: &Arc<Inner>, now: UnixMillis) -> Result<Maintenance, StoreError> {
    let mut budget = Budget {
        values: VALUES_AT_ONCE,
        done: Maintenance::default(),
    };
    let piece = Piece { inner, now: now.0 };
    piece.pack(&mut budget).await?;
    piece.compact(&mut budget).await?;
    piece.lengthen(&mut budget).await?;
    piece.forget(&mut budget.done).await?;
    Ok(budget.done)
}

struct Piece<'a> {
    inner: &'a Arc<Inner>,
    now: i64,
}

/// A block that is to be written.
struct New {
    tier: Tier,
    level: i64,
    from: i64,
    to: i64,
    rows: i64,
    samples: i64,
    stored: Stored,
}

impl New {
    fn of(block: &Block, tier: Tier, level: i64, effort: Effort) -> Option<Self> {
        Some(Self {
            tier,
            level,
            from: *block.times.first()?,
            to: *block.times.last()?,
            rows: count(block.times.len()),
            samples: samples(block),
            stored: encode(block, effort),
        })
    }
}

/// Values in a block, without the clock offset.
fn samples(block: &Block) -> i64 {
    let columns = block
        .columns
        .iter()
        .filter(|(series, _)| **series != CLOCK_OFFSET);
    columns
        .map(|(_, column)| count(column.lanes.first().map_or(0, Vec::len)))
        .sum()
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn tier_number(tier: Tier) -> i64 {
    match tier {
        Tier::Raw => 0,
        Tier::Minute => 1,
        Tier::Hour => 2,
    }
}

/// The start of the period of this length that a time is in.
fn floor(time: i64, length: i64) -> i64 {
    time.div_euclid(length) * length
}

impl Piece<'_> {
    fn failed(&self, error: &sqlx::Error) -> StoreError {
        self.inner.failed(error)
    }

    fn damaged(&self, corrupt: Corrupt) -> StoreError {
        error::damaged(&self.inner.path, corrupt)
    }

    /// Hours that ended before this are over.
    fn settled(&self) -> i64 {
        floor(self.now - SETTLED_MS, HOUR_MS)
    }

    async fn insert(&self, connection: &mut SqliteConnection, machine: i64, block: &New) -> sqlx::Result<()> {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO block (machine, tier, level, from_unix_ms, to_unix_ms, rows, samples, written_unix_ms, head) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) RETURNING id",
        )
        .bind(machine)
        .bind(tier_number(block.tier))
        .bind(block.level)
        .bind(block.from)
        .bind(block.to)
        .bind(block.rows)
        .bind(block.samples)
        .bind(self.now)
        .bind(&block.stored.head[..])
        .fetch_one(&mut *connection)
        .await?;
        for (number, columns) in (0i64..).zip(&block.stored.segments) {
            sqlx::query("INSERT INTO segment (block, number, columns) VALUES (?1, ?2, ?3)")
                .bind(id)
                .bind(number)
                .bind(&columns[..])
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    /// Makes blocks of an hour, with their roll-ups, out of packed ones whose hour is over.
    async fn compact(&self, budget: &mut Budget) -> Result<(), StoreError> {
        let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT id, machine, from_unix_ms, samples FROM block WHERE tier = 0 AND level = 1 AND to_unix_ms < ?1 \
             ORDER BY machine, from_unix_ms LIMIT 20000",
        )
        .bind(self.settled())
        .fetch_all(&self.inner.pools.readers)
        .await
        .map_err(|error| self.failed(&error))?;
        let hours = rows.chunk_by(|(_, one, from, _), (_, other, next, _)| {
            one == other && from.div_euclid(HOUR_MS) == next.div_euclid(HOUR_MS)
        });
        for hour in hours {
            let mut rest = hour;
            while !rest.is_empty() {
                if budget.is_spent() {
                    return Ok(());
                }
                let (sources, values) = within_limit(rest.iter().map(|(id, _, _, samples)| (*id, *samples)));
                let machine = rest[0].1;
                rest = &rest[sources.len()..];
                let make = |samples: &Block| {
                    let minutes = roll_up(samples, MINUTE_MS);
                    let hours = roll_up(samples, HOUR_MS);
                    let tiers = [
                        (samples, Tier::Raw),
                        (&minutes, Tier::Minute),
                        (&hours, Tier::Hour),
                    ];
                    tiers
                        .into_iter()
                        .filter_map(|(block, tier)| New::of(block, tier, 2, Effort::Small))
                        .collect()
                };
                let written = self.rewrite(machine, sources, make).await?;
                budget.spend(values);
                budget.done.compacted += written
                    .iter()
                    .filter(|(tier, _)| *tier == Tier::Raw)
                    .map(|(_, n)| n)
                    .sum::<u64>();
                budget.done.rolled_up += written
                    .iter()
                    .filter(|(tier, _)| *tier != Tier::Raw)
                    .map(|(_, n)| n)
                    .sum::<u64>();
            }
        }
        Ok(())
    }

    /// Joins blocks to longer ones.
    async fn lengthen(&self, budget: &mut Budget) -> Result<(), StoreError> {
        for (tier, length, enough) in LENGTHS {
            let groups: Vec<(i64, i64)> = sqlx::query_as(
                "SELECT machine, from_unix_ms - ((from_unix_ms % ?2) + ?2) % ?2 AS period FROM block \
                 WHERE tier = ?1 AND level = 2 GROUP BY machine, period \
                 HAVING count(*) >= ?3 OR (period + ?2 <= ?4 AND max(written_unix_ms) <= ?5)",
            )
            .bind(tier_number(tier))
            .bind(length)
            .bind(enough)
            .bind(self.settled())
            .bind(self.now - JOIN_AFTER_MS)
            .fetch_all(&self.inner.pools.readers)
            .await
            .map_err(|error| self.failed(&error))?;
            for (machine, period) in groups {
                if budget.is_spent() {
                    return Ok(());
                }
                let values = self.lengthen_period(machine, tier, period, length).await?;
                budget.spend(values);
            }
        }
        Ok(())
    }

    async fn lengthen_period(
        &self,
        machine: i64,
        tier: Tier,
        period: i64,
        length: i64,
    ) -> Result<i64, StoreError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT id, samples FROM block WHERE machine = ?1 AND tier = ?2 AND level >= 2 \
             AND from_unix_ms >= ?3 AND from_unix_ms < ?3 + ?4 ORDER BY from_unix_ms",
        )
        .bind(machine)
        .bind(tier_number(tier))
        .bind(period)
        .bind(length)
        .fetch_all(&self.inner.pools.readers)
        .await
        .map_err(|error| self.failed(&error))?;
        let mut rest = &rows[..];
        let mut total = 0;
        while !rest.is_empty() {
            let (sources, values) = within_limit(rest.iter().copied());
            rest = &rest[sources.len()..];
            // Lanes of roll-ups are values too.
            total += if tier == Tier::Raw { values } else { values * 4 };
            if sources.len() == 1 {
                self.promote(sources[0])
                    .await
                    .map_err(|error| self.failed(&error))?;
            } else {
                let make = move |block: &Block| New::of(block, tier, 3, Effort::Small).into_iter().collect();
                self.rewrite(machine, sources, make).await?;
            }
        }
        Ok(total)
    }

    /// A block that has nothing to be joined with is as long as it gets.
    async fn promote(&self, id: i64) -> sqlx::Result<()> {
        sqlx::query("UPDATE block SET level = 3 WHERE id = ?1 AND level = 2")
            .bind(id)
            .execute(&self.inner.pools.writer)
            .await
            .map(drop)
    }

    /// Joins blocks and writes what is made of the result in their place. Returns how many values of which tiers were
    /// written, nothing when the sources had changed meanwhile.
    async fn rewrite(
        &self,
        machine: i64,
        sources: Vec<i64>,
        make: impl FnOnce(&Block) -> Vec<New> + Send + 'static,
    ) -> Result<Vec<(Tier, u64)>, StoreError> {
        let encoded = self.load(&sources).await.map_err(|error| self.failed(&error))?;
        let made = tokio::task::spawn_blocking(move || {
            let blocks = encoded.iter().map(|(head, segments)| decode(head, segments));
            let blocks: Vec<Block> = blocks.collect::<Result<_, Corrupt>>()?;
            Ok(make(&merge(&blocks)))
        });
        let made = made
            .await
            .map_err(|_| interrupted())?
            .map_err(|corrupt| self.damaged(corrupt))?;
        let exchanged = self
            .exchange(machine, &sources, &made)
            .await
            .map_err(|error| self.failed(&error))?;
        let written = made
            .iter()
            .map(|block| (block.tier, u64::try_from(block.samples).unwrap_or(0)));
        Ok(if exchanged { written.collect() } else { Vec::new() })
    }

    async fn load(&self, ids: &[i64]) -> sqlx::Result<Vec<(Vec<u8>, Vec<Vec<u8>>)>> {
        // In one transaction, for the same reason as a query.
        let mut transaction = self.inner.pools.readers.begin().await?;
        let mut blocks = Vec::with_capacity(ids.len());
        for id in ids {
            let head: Option<Vec<u8>> = sqlx::query_scalar("SELECT head FROM block WHERE id = ?1")
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
            let segments: Vec<Vec<u8>> =
                sqlx::query_scalar("SELECT columns FROM segment WHERE block = ?1 ORDER BY number")
                    .bind(id)
                    .fetch_all(&mut *transaction)
                    .await?;
            // One that is gone is noticed when the blocks are exchanged.
            blocks.extend(head.map(|head| (head, segments)));
        }
        transaction.commit().await?;
        Ok(blocks)
    }

    async fn exchange(&self, machine: i64, sources: &[i64], made: &[New]) -> sqlx::Result<bool> {
        let mut transaction = self.inner.pools.writer.begin_with("BEGIN IMMEDIATE").await?;
        if delete_blocks(&mut transaction, &json(sources)).await? != sources.len() as u64 {
            transaction.rollback().await?;
            return Ok(false);
        }
        for block in made {
            self.insert(&mut transaction, machine, block).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}

/// The first of these blocks that together are not too large, one at least; and their values.
fn within_limit(blocks: impl Iterator<Item = (i64, i64)>) -> (Vec<i64>, i64) {
    let (mut ids, mut total) = (Vec::new(), 0i64);
    for (id, values) in blocks {
        if !ids.is_empty() && total.saturating_add(values) > BLOCK_VALUES_MAX {
            break;
        }
        ids.push(id);
        total = total.saturating_add(values);
    }
    (ids, total)
}

fn decode(head: &[u8], segments: &[Vec<u8>]) -> Result<Block, Corrupt> {
    let head = decode_head(head)?;
    let mut block = Block::default();
    for (number, segment) in segments.iter().enumerate() {
        block
            .columns
            .extend(decode_segment(&head, number, segment, |_| true)?);
    }
    block.times = head.times;
    Ok(block)
}

async fn delete_blocks(connection: &mut SqliteConnection, ids: &str) -> sqlx::Result<u64> {
    sqlx::query("DELETE FROM segment WHERE block IN (SELECT value FROM json_each(?1))")
        .bind(ids)
        .execute(&mut *connection)
        .await?;
    let gone = sqlx::query("DELETE FROM block WHERE id IN (SELECT value FROM json_each(?1))")
        .bind(ids)
        .execute(&mut *connection)
        .await?;
    Ok(gone.rows_affected())
}

fn json(ids: &[i64]) -> String {
    serde_json::to_string(ids).unwrap_or_else(|_| "[]".into())
}

fn interrupted() -> StoreError {
    StoreError::unavailable("maintenance was interrupted; it goes on next time")
}
