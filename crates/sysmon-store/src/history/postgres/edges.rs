//! What lies around the range of an answer: the neighbours of its moments, and the gaps that were recorded.

use std::collections::{BTreeMap, HashMap};

use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use sysmon_core::{Gap, GapReason};

use super::failure::Failure;
use super::query::Asked;
use super::timestamp::Timestamp;
use crate::history::answer::Edges;
use crate::history::plan::Plan;

/// How far around a range its neighbours are looked for first, in milliseconds: nearly always enough, and then only one
/// chunk is read.
const NEAR_MS: i64 = 3_600_000;

/// Which neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// The neighbours of the range, for every machine.
pub(super) async fn find_edges(
    connection: &mut PgConnection,
    plan: &Plan,
    asked: &BTreeMap<i32, Asked>,
    interval: u32,
) -> Result<HashMap<i32, Edges>, Failure> {
    let (from, to) = plan.reach();
    let mut edges: HashMap<i32, Edges> = asked
        .keys()
        .map(|key| {
            let edges = Edges {
                intervals: vec![interval],
                ..Edges::default()
            };
            (*key, edges)
        })
        .collect();
    for side in [Side::Before, Side::After] {
        let has_some = |(first, last): (i64, i64)| match side {
            Side::Before => first < from,
            Side::After => last >= to,
        };
        let mut missing: Vec<i32> = asked
            .iter()
            .filter(|(_, machine)| machine.span.is_some_and(has_some))
            .map(|(key, _)| *key)
            .collect();
        // Near by, anywhere among the samples, and at last among the roll-ups, where samples are forgotten.
        for (relation, time, near) in [
            ("machine_sample", "sampled_at", true),
            ("machine_sample", "sampled_at", false),
            ("machine_minute", "bucket", false),
            ("machine_hour", "bucket", false),
        ] {
            if missing.is_empty() {
                break;
            }
            let found = neighbours(connection, &missing, (relation, time), side, (from, to), near).await?;
            missing.retain(|key| !found.contains_key(key));
            for (key, time) in found {
                if let Some(edges) = edges.get_mut(&key) {
                    match side {
                        Side::Before => edges.before = Some(time),
                        Side::After => edges.after = Some(time),
                    }
                }
            }
        }
    }
    Ok(edges)
}

async fn neighbours(
    connection: &mut PgConnection,
    keys: &[i32],
    (relation, time): (&str, &str),
    side: Side,
    (from, to): (i64, i64),
    near: bool,
) -> Result<HashMap<i32, i64>, Failure> {
    let (condition, order) = match side {
        Side::Before => (format!("s.{time} < $2 AND s.{time} >= $3"), "DESC"),
        Side::After => (format!("s.{time} >= $2 AND s.{time} < $3"), "ASC"),
    };
    // The ends of what PostgreSQL has: -infinity and infinity are not times to compare with on every version.
    let (edge, limit) = match (side, near) {
        (Side::Before, true) => (from, from.saturating_sub(NEAR_MS)),
        (Side::Before, false) => (from, -62_135_596_800_000),
        (Side::After, true) => (to, to.saturating_add(NEAR_MS)),
        (Side::After, false) => (to, 8_640_000_000_000_000),
    };
    let statement = format!(
        "SELECT wanted.machine_key, found.at FROM unnest($1::integer[]) AS wanted(machine_key)
         CROSS JOIN LATERAL (
             SELECT s.{time} AS at FROM {relation} s
             WHERE s.machine_key = wanted.machine_key AND {condition}
             ORDER BY s.{time} {order} LIMIT 1
         ) AS found"
    );
    let rows = sqlx::query(AssertSqlSafe(statement))
        .bind(keys)
        .bind(Timestamp(edge))
        .bind(Timestamp(limit))
        .fetch_all(connection)
        .await?;
    let neighbour = |row: &sqlx::postgres::PgRow| Ok((row.try_get(0)?, row.try_get::<Timestamp, _>(1)?.0));
    Ok(rows.iter().map(neighbour).collect::<Result<_, sqlx::Error>>()?)
}

/// The recorded gaps of every machine between the neighbours of the range: those outside of it may explain a silence that
/// reaches into it.
pub(super) async fn find_gaps(
    connection: &mut PgConnection,
    plan: &Plan,
    edges: &HashMap<i32, Edges>,
) -> Result<HashMap<i32, Vec<Gap>>, Failure> {
    let keys: Vec<i32> = edges.keys().copied().collect();
    let from = edges.values().filter_map(|edges| edges.before).min();
    let to = edges.values().filter_map(|edges| edges.after).max();
    let rows = sqlx::query(
        "SELECT machine_key, from_at, to_at, samples, reason FROM gap
         WHERE machine_key = ANY($1) AND to_at >= $2 AND from_at < $3",
    )
    .bind(keys)
    .bind(Timestamp(from.map_or(plan.from, |from| from.min(plan.from))))
    .bind(Timestamp(to.map_or(plan.to, |to| to.max(plan.to))))
    .fetch_all(connection)
    .await?;
    let mut gaps: HashMap<i32, Vec<Gap>> = HashMap::new();
    for row in rows {
        let samples: i64 = row.try_get(3)?;
        gaps.entry(row.try_get(0)?).or_default().push(Gap {
            from: row.try_get::<Timestamp, _>(1)?.into(),
            to: row.try_get::<Timestamp, _>(2)?.into(),
            samples: samples.cast_unsigned(),
            reason: GapReason::from_name(row.try_get(4)?).unwrap_or(GapReason::Silent),
        });
    }
    Ok(gaps)
}
