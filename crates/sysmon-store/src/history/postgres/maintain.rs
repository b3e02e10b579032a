//! Upkeep: what rolls up, compresses and forgets where nobody else does.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use sysmon_core::UnixMillis;

use super::failure::Failure;
use super::late::TIMESCALE_DELAY_MS;
use super::migrate::Flavour;
use super::schema::schema;
use super::settings::{self, FIVES_FILLED, Setting};
use super::timestamp::Timestamp;
use super::{processes, rollup, settings::Settings};
use crate::history::plan::FIVE_MINUTES_MS;
use crate::history::processes::Limits;
use crate::history::{Maintenance, Retention};

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How long one call goes on filling in roll-ups of five minutes.
const FILLING_LONGEST: Duration = Duration::from_secs(20);

/// One at a time; `sysmon` and 2.
const LOCK: i64 = 0x7379_736d_6f6e_0002;
/// The most rows that one statement deletes.
const DELETED_AT_ONCE: i64 = 20_000;
/// The most chunks that one call compresses.
const COMPRESSED_AT_ONCE: i64 = 4;
/// How long after its end a chunk of samples is compressed.
const COMPRESS_AFTER_MS: i64 = 12 * HOUR_MS;
/// How far back TimescaleDB looks for samples that came late: well over the age that a collector's spool keeps.
pub(super) const LATE_MS: i64 = 3 * DAY_MS;

/// The names of all tables of samples without their ending.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    schema().tables.iter().map(|table| table.kind).chain(["custom"])
}

/// Every roll-up of a tier, in every part.
pub(super) fn roll_ups(tier: &'static str) -> impl Iterator<Item = String> {
    let tables = schema().tables.iter();
    let parts = move |table: &'static super::schema::Table| {
        table
            .parts()
            .into_iter()
            .map(move |part| table.roll_up(tier, part))
    };
    tables.flat_map(parts).chain([format!("custom_{tier}")])
}

pub(super) fn floor(unix_ms: i64, width_ms: i64) -> i64 {
    unix_ms.div_euclid(width_ms).saturating_mul(width_ms)
}

/// See [`crate::History::maintain`].
pub(super) async fn maintain(
    connection: &mut PgConnection,
    flavour: Flavour,
    retention: &Retention,
    now: UnixMillis,
) -> Result<Maintenance, Failure> {
    let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut *connection)
        .await?;
    if !is_ours {
        return Ok(Maintenance::default());
    }
    let mut done = Maintenance::default();
    match flavour {
        Flavour::Plain => {
            rollup::roll_up(connection, now, &mut done).await?;
            forget(connection, retention, now, &mut done).await?;
        }
        Flavour::Timescale => timescale(connection, retention, now, &mut done).await?,
    }
    forget_old(connection, retention, now, &mut done).await?;
    // After an error the lock goes with the connection.
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(LOCK)
        .execute(connection)
        .await?;
    Ok(done)
}

/// The end of what is too old: everything before it may go.
fn horizon(now: UnixMillis, kept_ms: u64) -> i64 {
    let kept_ms = i64::try_from(kept_ms).unwrap_or(i64::MAX);
    floor(now.0.saturating_sub(kept_ms), HOUR_MS)
}

/// Removes rows that are too old and rolled up, a bounded number of them.
async fn forget(
    connection: &mut PgConnection,
    retention: &Retention,
    now: UnixMillis,
    done: &mut Maintenance,
) -> Result<(), Failure> {
    let settings = Settings::read(connection).await?;
    // What was never rolled up stays until it is.
    let rolled_up = |setting| floor(settings.get(setting).unwrap_or(i64::MIN), HOUR_MS);
    let raw = horizon(now, retention.raw_ms).min(rolled_up(Setting::MinuteDone));
    let minute = horizon(now, retention.minute_ms).min(rolled_up(Setting::HourDone));
    let hour = horizon(now, retention.hour_ms);
    if raw > 0 {
        settings::advance(connection, Setting::RawKept, raw).await?;
    }
    if minute > 0 {
        settings::advance(connection, Setting::MinuteKept, minute).await?;
    }
    let mut old: Vec<(String, &str, i64)> = Vec::new();
    old.extend(kinds().map(|kind| (format!("{kind}_sample"), "sampled_at", raw)));
    old.extend(roll_ups("minute").map(|table| (table, "bucket", minute)));
    old.extend(roll_ups("five_minutes").map(|table| (table, "bucket", minute)));
    old.extend(roll_ups("hour").map(|table| (table, "bucket", hour)));
    for (table, time, before) in old.into_iter().filter(|(_, _, before)| *before > 0) {
        let statement = format!(
            "DELETE FROM {table} WHERE ctid = ANY(ARRAY(
                 SELECT ctid FROM {table} WHERE {time} < $1 LIMIT {DELETED_AT_ONCE}))"
        );
        let removed = sqlx::query(AssertSqlSafe(statement))
            .bind(Timestamp(before))
            .execute(&mut *connection)
            .await?
            .rows_affected();
        done.forgotten += removed;
        done.more |= removed >= DELETED_AT_ONCE.cast_unsigned();
    }
    Ok(())
}

/// Removes cursors and dead letters that nobody will come back to, and gaps in what is forgotten.
async fn forget_old(
    connection: &mut PgConnection,
    retention: &Retention,
    now: UnixMillis,
    done: &mut Maintenance,
) -> Result<(), Failure> {
    let before = |kept_ms: u64| {
        let kept_ms = i64::try_from(kept_ms).unwrap_or(i64::MAX);
        Timestamp(now.0.saturating_sub(kept_ms).max(0))
    };
    for (statement, kept_ms) in [
        (
            "DELETE FROM ingest_cursor WHERE updated_at < $1",
            retention.cursor_ms,
        ),
        (
            "DELETE FROM dead_letter WHERE received_at < $1",
            retention.cursor_ms,
        ),
        ("DELETE FROM gap WHERE to_at < $1", retention.hour_ms),
    ] {
        let removed = sqlx::query(statement)
            .bind(before(kept_ms))
            .execute(&mut *connection)
            .await?;
        done.forgotten += removed.rows_affected();
    }
    let snapshots = Limits {
        before: before(retention.snapshot_ms).0,
        bytes: retention.snapshot_bytes,
        now: now.0,
    };
    processes::forget(connection, snapshots, done).await
}

/// TimescaleDB does all by itself, in the background, by the policies. Where its background workers do not run, the same is
/// done here.
async fn timescale(
    connection: &mut PgConnection,
    retention: &Retention,
    now: UnixMillis,
    done: &mut Maintenance,
) -> Result<(), Failure> {
    let (raw, minute) = (horizon(now, retention.raw_ms), horizon(now, retention.minute_ms));
    for (setting, kept) in [(Setting::RawKept, raw), (Setting::MinuteKept, minute)] {
        if kept > 0 {
            settings::advance(connection, setting, kept).await?;
        }
    }
    refresh_late(connection, now, done).await?;
    fill_five_minutes(connection, minute, now, done).await?;
    let is_running: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM timescaledb_information.job_stats
             WHERE hypertable_name IS NOT NULL AND last_run_started_at > now() - INTERVAL '1 hour')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if is_running {
        return Ok(());
    }
    refresh(connection, retention, now).await?;
    let hour = horizon(now, retention.hour_ms);
    let mut old: Vec<(String, i64)> = kinds().map(|kind| (format!("{kind}_sample"), raw)).collect();
    old.extend(roll_ups("minute").map(|table| (table, minute)));
    old.extend(roll_ups("five_minutes").map(|table| (table, minute)));
    old.extend(roll_ups("hour").map(|table| (table, hour)));
    for (table, before) in old.into_iter().filter(|(_, before)| *before > 0) {
        let chunks: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM drop_chunks($1::regclass, older_than => $2::timestamptz)",
        )
        .bind(table)
        .bind(Timestamp(before))
        .fetch_one(&mut *connection)
        .await?;
        done.forgotten += chunks.cast_unsigned();
    }
    compress(connection, now, done).await
}

/// Rolls up what is not yet; from the beginning at first, later as far back as late samples come.
async fn refresh(
    connection: &mut PgConnection,
    retention: &Retention,
    now: UnixMillis,
) -> Result<(), Failure> {
    let was_done = settings::get(connection, Setting::MinuteDone).await?;
    let newest: Option<Timestamp> = sqlx::query_scalar("SELECT max(last_sample) FROM machine")
        .fetch_one(&mut *connection)
        .await?;
    let Some(newest) = newest else {
        return Ok(());
    };
    let end = floor(now.0.saturating_sub(MINUTE_MS), MINUTE_MS).min(floor(newest.0, MINUTE_MS) + MINUTE_MS);
    let raw = horizon(now, retention.raw_ms);
    let from = was_done.map(|done| floor(done.min(now.0).saturating_sub(LATE_MS).max(raw), HOUR_MS));
    for (tier, end) in tiers_until(end) {
        if from.is_some_and(|from| from >= end) {
            continue;
        }
        refresh_tier(connection, tier, from, end).await?;
    }
    settings::advance(connection, Setting::MinuteDone, end).await
}

/// Rolls up again what got late samples. What comes while that is done is marked anew, and stays so.
async fn refresh_late(
    connection: &mut PgConnection,
    now: UnixMillis,
    done: &mut Maintenance,
) -> Result<(), Failure> {
    let due = floor(now.0.saturating_sub(MINUTE_MS), MINUTE_MS);
    let hours: Vec<Timestamp> = sqlx::query_scalar(
        "UPDATE rollup_late SET taken = true WHERE hour + INTERVAL '1 minute' <= $1 RETURNING hour",
    )
    .bind(Timestamp(due))
    .fetch_all(&mut *connection)
    .await?;
    let oldest = hours.iter().map(|hour| hour.0).min();
    let newest = hours.iter().map(|hour| hour.0).max();
    let (Some(oldest), Some(newest)) = (oldest, newest) else {
        return Ok(());
    };
    let end = newest.saturating_add(HOUR_MS).min(due);
    for (tier, end) in tiers_until(end) {
        if oldest < end {
            refresh_tier(connection, tier, Some(oldest), end).await?;
        }
    }
    let settled = sqlx::query("DELETE FROM rollup_late WHERE taken")
        .execute(connection)
        .await?;
    done.rolled_up += settled.rows_affected();
    Ok(())
}

/// The tiers, each with the end of what can be rolled up of it until `end`.
fn tiers_until(end: i64) -> [(&'static str, i64); 3] {
    [
        ("minute", end),
        ("five_minutes", floor(end, FIVE_MINUTES_MS)),
        ("hour", floor(end, HOUR_MS)),
    ]
}

/// Makes the roll-ups of five minutes of what is older than they are, a day at a time. Until that is done, what they have
/// so far is all that is read of them: the policies only look back some days, and leave out what is before.
async fn fill_five_minutes(
    connection: &mut PgConnection,
    kept: i64,
    now: UnixMillis,
    done: &mut Maintenance,
) -> Result<(), Failure> {
    let started = Instant::now();
    let filled = settings::get(connection, Setting::FiveMinutesDone).await?;
    if filled == Some(FIVES_FILLED) {
        return Ok(());
    }
    let first: Option<Timestamp> = sqlx::query_scalar("SELECT min(first_sample) FROM machine")
        .fetch_one(&mut *connection)
        .await?;
    let end = floor(now.0.saturating_sub(TIMESCALE_DELAY_MS), FIVE_MINUTES_MS);
    let first = first.map_or(end, |first| floor(first.0.max(kept), FIVE_MINUTES_MS));
    let mut from = filled.unwrap_or(first);
    while from < end {
        if started.elapsed() > FILLING_LONGEST {
            done.more = true;
            return Ok(());
        }
        let to = from.saturating_add(DAY_MS).min(end);
        refresh_tier(connection, "five_minutes", Some(from), to).await?;
        settings::advance(connection, Setting::FiveMinutesDone, to).await?;
        from = to;
    }
    settings::advance(connection, Setting::FiveMinutesDone, FIVES_FILLED).await
}

async fn refresh_tier(
    connection: &mut PgConnection,
    tier: &'static str,
    from: Option<i64>,
    end: i64,
) -> Result<(), Failure> {
    for table in roll_ups(tier) {
        sqlx::query("CALL refresh_continuous_aggregate($1::regclass, $2::timestamptz, $3::timestamptz)")
            .bind(table)
            .bind(from.map(Timestamp))
            .bind(Timestamp(end))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn compress(
    connection: &mut PgConnection,
    now: UnixMillis,
    done: &mut Maintenance,
) -> Result<(), Failure> {
    let chunks = sqlx::query(
        "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks
         WHERE hypertable_name LIKE '%\\_sample' AND NOT is_compressed AND range_end < $1
         ORDER BY range_end LIMIT $2",
    )
    .bind(Timestamp(now.0.saturating_sub(COMPRESS_AFTER_MS).max(0)))
    .bind(COMPRESSED_AT_ONCE)
    .fetch_all(&mut *connection)
    .await?;
    for chunk in &chunks {
        let name: &str = chunk.try_get(0)?;
        sqlx::query("SELECT compress_chunk($1::regclass, if_not_compressed => true)")
            .bind(name)
            .execute(&mut *connection)
            .await?;
        done.compacted += 1;
    }
    done.more |= chunks.len() as i64 >= COMPRESSED_AT_ONCE;
    Ok(())
}
