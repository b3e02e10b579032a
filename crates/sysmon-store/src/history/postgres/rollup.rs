//! Roll-ups without TimescaleDB: minutes from samples, five minutes and hours from minutes, a bounded piece at a time.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use sysmon_core::UnixMillis;

use super::failure::Failure;
use super::late;
use super::maintain::{HOUR_MS, MINUTE_MS, floor, kinds};
use super::schema::{Storage, Table, schema};
use super::settings::{self, Setting};
use super::timestamp::Timestamp;
use crate::history::Maintenance;
use crate::history::plan::FIVE_MINUTES_MS;

/// How long one call goes on taking further pieces.
const LONGEST: Duration = Duration::from_secs(2);
/// A minute is rolled up this long after its end: what comes later is late.
const DELAY_MS: i64 = MINUTE_MS;
/// How much of the past is rolled up at a time.
const MINUTES_AT_ONCE_MS: i64 = 5 * MINUTE_MS;
/// How many hours of machines with late samples are rolled up again at a time.
const LATE_AT_ONCE: i64 = 100;

/// Which rows a piece is made of.
enum Piece {
    /// All machines, from the start, included, to the end, not included: `$1` and `$2`.
    Range,
    /// One hour each of the machines `$1`: hours `$2`.
    Late,
}

/// Rolls up what is due, as much as there is time for.
pub(super) async fn roll_up(
    connection: &mut PgConnection,
    now: UnixMillis,
    done: &mut Maintenance,
) -> Result<(), Failure> {
    let started = Instant::now();
    let due = floor(now.0.saturating_sub(DELAY_MS), MINUTE_MS);
    loop {
        let late = roll_up_late(connection, done).await?;
        let minutes = roll_up_minutes(connection, due, done).await?;
        let fives = roll_up_coarser(connection, &FIVE_MINUTES, done).await?;
        let hours = roll_up_coarser(connection, &HOURS, done).await?;
        if !(late || minutes || fives || hours) {
            return Ok(());
        }
        if started.elapsed() > LONGEST {
            done.more = true;
            return Ok(());
        }
    }
}

/// Rolls up the next minutes of all machines; says whether there may be more.
async fn roll_up_minutes(
    connection: &mut PgConnection,
    due: i64,
    done: &mut Maintenance,
) -> Result<bool, Failure> {
    let finished = settings::get(connection, Setting::MinuteDone).await?;
    let claimed = settings::get(connection, Setting::MinuteClaimed).await?;
    let (from, to) = match (finished, claimed) {
        // A process died after it had claimed these.
        (Some(from), Some(to)) if to > from => (from, to),
        _ => {
            // Nothing is lost by skipping what has no samples: those that come are late.
            let next: Option<Timestamp> =
                sqlx::query_scalar("SELECT min(sampled_at) FROM machine_sample WHERE sampled_at >= $1")
                    .bind(Timestamp(finished.unwrap_or(0).max(0)))
                    .fetch_one(&mut *connection)
                    .await?;
            let Some(next) = next else { return Ok(false) };
            let from = finished.unwrap_or(i64::MIN).max(floor(next.0, HOUR_MS));
            let to = (from + MINUTES_AT_ONCE_MS).min(due);
            if to <= from {
                return Ok(false);
            }
            let mut transaction = connection.begin().await?;
            late::exclude(&mut transaction).await?;
            // Before the first claim nothing is noted as late, so that the start is where this says.
            settings::advance(&mut transaction, Setting::MinuteDone, from).await?;
            settings::advance(&mut transaction, Setting::MinuteClaimed, to).await?;
            transaction.commit().await?;
            (from, to)
        }
    };
    let mut transaction = connection.begin().await?;
    for statement in statements("minute", &Piece::Range) {
        let made = sqlx::query(AssertSqlSafe(statement))
            .bind(Timestamp(from))
            .bind(Timestamp(to))
            .execute(&mut *transaction)
            .await?;
        done.rolled_up += made.rows_affected();
    }
    settings::advance(&mut transaction, Setting::MinuteDone, to).await?;
    transaction.commit().await?;
    Ok(to < due)
}

/// A tier that is made of minutes.
struct Coarser {
    tier: &'static str,
    width_ms: i64,
    at_once_ms: i64,
    done: Setting,
}

const FIVE_MINUTES: Coarser = Coarser {
    tier: "five_minutes",
    width_ms: FIVE_MINUTES_MS,
    at_once_ms: HOUR_MS,
    done: Setting::FiveMinutesDone,
};

const HOURS: Coarser = Coarser {
    tier: "hour",
    width_ms: HOUR_MS,
    at_once_ms: 6 * HOUR_MS,
    done: Setting::HourDone,
};

/// Rolls up the next whole roll-ups of a tier that is made of minutes; says whether there may be more.
async fn roll_up_coarser(
    connection: &mut PgConnection,
    coarser: &Coarser,
    done: &mut Maintenance,
) -> Result<bool, Failure> {
    let Some(minutes) = settings::get(connection, Setting::MinuteDone).await? else {
        return Ok(false);
    };
    let finished = settings::get(connection, coarser.done).await?;
    let due = floor(minutes, coarser.width_ms);
    if finished.is_some_and(|finished| finished >= due) {
        return Ok(false);
    }
    let next: Option<Timestamp> =
        sqlx::query_scalar("SELECT min(bucket) FROM machine_minute WHERE bucket >= $1")
            .bind(Timestamp(finished.unwrap_or(0).max(0)))
            .fetch_one(&mut *connection)
            .await?;
    let Some(next) = next else { return Ok(false) };
    let from = finished.unwrap_or(i64::MIN).max(floor(next.0, coarser.width_ms));
    let to = (from + coarser.at_once_ms).min(due);
    if to <= from {
        return Ok(false);
    }
    let mut transaction = connection.begin().await?;
    for statement in statements(coarser.tier, &Piece::Range) {
        let made = sqlx::query(AssertSqlSafe(statement))
            .bind(Timestamp(from))
            .bind(Timestamp(to))
            .execute(&mut *transaction)
            .await?;
        done.rolled_up += made.rows_affected();
    }
    settings::advance(&mut transaction, coarser.done, to).await?;
    transaction.commit().await?;
    Ok(to < due)
}

/// Rolls up again what got late samples; says whether there may be more. Of hours whose samples are partly forgotten only
/// what is still whole is made anew: samples are forgotten by whole hours.
///
/// The hours are marked first, in a transaction of its own: commits note theirs here, and would wait for a lock that lasts as
/// long as the rolling up. What gets late samples meanwhile is marked anew by them, and stays.
async fn roll_up_late(connection: &mut PgConnection, done: &mut Maintenance) -> Result<bool, Failure> {
    let rows = sqlx::query(
        "UPDATE rollup_late SET taken = true WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM rollup_late ORDER BY hour, machine_key LIMIT $1))
         RETURNING machine_key, hour",
    )
    .bind(LATE_AT_ONCE)
    .fetch_all(&mut *connection)
    .await?;
    if rows.is_empty() {
        return Ok(false);
    }
    let kept = settings::get(connection, Setting::RawKept).await?;
    let (mut machine_keys, mut hours) = (Vec::new(), Vec::new());
    let (mut taken_keys, mut taken_hours) = (Vec::new(), Vec::new());
    for row in &rows {
        let (machine_key, hour) = (row.try_get::<i32, _>(0)?, row.try_get::<Timestamp, _>(1)?);
        if kept.is_none_or(|kept| hour.0 >= kept) {
            machine_keys.push(machine_key);
            hours.push(hour);
        }
        taken_keys.push(machine_key);
        taken_hours.push(hour);
    }
    let mut transaction = connection.begin().await?;
    for tier in ["minute", "five_minutes", "hour"] {
        for statement in statements(tier, &Piece::Late) {
            let made = sqlx::query(AssertSqlSafe(statement))
                .bind(&machine_keys)
                .bind(&hours)
                .execute(&mut *transaction)
                .await?;
            done.rolled_up += made.rows_affected();
        }
    }
    // Only these: a run that was broken off may have left others marked.
    sqlx::query(
        "DELETE FROM rollup_late WHERE taken
         AND (machine_key, hour) IN (SELECT * FROM unnest($1::integer[], $2::timestamptz[]))",
    )
    .bind(&taken_keys)
    .bind(&taken_hours)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(rows.len() as i64 >= LATE_AT_ONCE)
}

/// The statements that make a piece of the roll-ups of a tier, for every table.
fn statements(tier: &'static str, piece: &Piece) -> Vec<String> {
    kinds().flat_map(|kind| of_kind(kind, tier, piece)).collect()
}

fn of_kind(kind: &'static str, tier: &'static str, piece: &Piece) -> Vec<String> {
    let table = schema().tables.iter().find(|table| table.kind == kind);
    let Some(table) = table else {
        let value = vec![("value", Storage::Double)];
        return vec![statement(
            kind,
            tier,
            "series_key",
            (tier, "minute"),
            &value,
            piece,
        )];
    };
    let second = if table.has_entities() { "entity_key" } else { "" };
    let part = |part: u8| {
        let columns = table.columns.iter().filter(|column| column.part == part);
        let columns: Vec<(&str, Storage)> = columns
            .map(|column| (column.name.as_str(), column.storage))
            .collect();
        let ending = |tier: &str| Table::roll_up(table, tier, part)[kind.len() + 1..].to_owned();
        statement(
            kind,
            tier,
            second,
            (&ending(tier), &ending("minute")),
            &columns,
            piece,
        )
    };
    table.parts().into_iter().map(part).collect()
}

fn statement(
    kind: &str,
    tier: &str,
    second: &str,
    (ending, minute): (&str, &str),
    columns: &[(&str, Storage)],
    piece: &Piece,
) -> String {
    let keys = if second.is_empty() {
        "machine_key".to_owned()
    } else {
        format!("machine_key, {second}")
    };
    let (source, time, width) = match tier {
        "minute" => (format!("{kind}_sample"), "sampled_at", "1 minute"),
        "five_minutes" => (format!("{kind}_{minute}"), "bucket", "5 minutes"),
        _ => (format!("{kind}_{minute}"), "bucket", "1 hour"),
    };
    let (mut names, mut values, mut updates) = (String::new(), String::new(), String::new());
    for (name, _) in columns {
        let _ = write!(names, ", {name}_min, {name}_max, {name}_avg, {name}_count");
        let _ = match tier {
            "minute" => write!(
                values,
                ", min({name}), max({name}), avg({name}::double precision), count({name})"
            ),
            _ => write!(
                values,
                ", min({name}_min), max({name}_max), \
                 sum({name}_avg * {name}_count) / nullif(sum({name}_count), 0)::double precision, sum({name}_count)::bigint"
            ),
        };
        for part in ["min", "max", "avg", "count"] {
            let comma = if updates.is_empty() { "" } else { ", " };
            let _ = write!(updates, "{comma}{name}_{part} = excluded.{name}_{part}");
        }
    }
    let (from, condition) = match piece {
        Piece::Range => (source, format!("{time} >= $1 AND {time} < $2")),
        Piece::Late => (
            format!(
                "unnest($1::integer[], $2::timestamptz[]) AS late(machine_key, hour) JOIN {source} USING (machine_key)"
            ),
            format!("{time} >= late.hour AND {time} < late.hour + INTERVAL '1 hour'"),
        ),
    };
    format!(
        "INSERT INTO {kind}_{ending} ({keys}, bucket{names})
         SELECT {keys}, date_bin('{width}', {time}, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS moment{values}
         FROM {from} WHERE {condition} GROUP BY {keys}, moment
         ON CONFLICT ({keys}, bucket) DO UPDATE SET {updates}"
    )
}
