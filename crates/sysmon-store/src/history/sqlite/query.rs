//! Answers out of recent rows and blocks.

use std::collections::BTreeMap;
use std::iter::Enumerate;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::IntoIter;

use sqlx::sqlite::SqliteConnection;
use sysmon_core::{
    Gap, GapReason, HistoryQuery, MachineHistory, MachineId, MachineSamples, Tier, UnixMillis,
};
use tokio::task::JoinSet;

use super::block::decode_head;
use super::catalogue::Selection;
use super::material::{Block, Material, decode};
use super::{Inner, error};
use crate::error::StoreError;
use crate::history::answer::{Edges, nothing};
use crate::history::bytes::Corrupt;
use crate::history::plan::Plan;

/// Machines whose past is read at the same time: one is decoded while the next is read.
const AT_ONCE: usize = 3;

/// What becomes of what was read of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A chart's points, with its gaps.
    Points,
    /// Numbers only; points where there is no short way to them.
    Samples,
}

/// The past of a machine in either form.
enum Past {
    Points(MachineHistory),
    Samples(MachineSamples),
}

/// See [`crate::History::query`].
pub(super) async fn answer(
    inner: &Arc<Inner>,
    query: &HistoryQuery,
) -> Result<Vec<MachineHistory>, StoreError> {
    let points = |past| match past {
        Past::Points(history) => Some(history),
        Past::Samples(_) => None,
    };
    let answers = answer_as(inner, query, Form::Points).await?;
    Ok(answers.into_iter().filter_map(points).collect())
}

/// See [`crate::History::samples`].
pub(super) async fn samples(
    inner: &Arc<Inner>,
    query: &HistoryQuery,
) -> Result<Vec<MachineSamples>, StoreError> {
    let samples = |past| match past {
        Past::Points(history) => MachineSamples::from(&history),
        Past::Samples(samples) => samples,
    };
    let answers = answer_as(inner, query, Form::Samples).await?;
    Ok(answers.into_iter().map(samples).collect())
}

async fn answer_as(inner: &Arc<Inner>, query: &HistoryQuery, form: Form) -> Result<Vec<Past>, StoreError> {
    let failed = |error: sqlx::Error| inner.failed(&error);
    let (machines, selection) = {
        let mut connection = inner.pools.readers.acquire().await.map_err(failed)?;
        inner.catalogue.refresh(&mut connection).await.map_err(failed)?;
        let machines = known(&mut connection, &query.machines).await.map_err(failed)?;
        (machines, Arc::new(inner.catalogue.selection(&query.metrics)))
    };
    let query = Arc::new(HistoryQuery {
        machines: Vec::new(),
        ..query.clone()
    });
    let workers = machines.len().min(AT_ONCE);
    let waiting = Arc::new(Mutex::new(machines.into_iter().enumerate()));
    let mut answers = BTreeMap::new();
    // Dropping the set ends what is under way: a question that nobody waits for costs nothing more.
    let mut working = JoinSet::new();
    for _ in 0..workers {
        let (inner, query, selection) = (inner.clone(), query.clone(), selection.clone());
        working.spawn(answer_machines(
            inner,
            Arc::clone(&waiting),
            query,
            selection,
            (form, workers == 1),
        ));
    }
    while let Some(done) = working.join_next().await {
        answers.extend(done.map_err(|_| interrupted())??);
    }
    Ok(answers.into_values().collect())
}

fn interrupted() -> StoreError {
    StoreError::unavailable("answering was interrupted; ask again")
}

/// The machines that are left, with their places in the answer.
type Waiting = Mutex<Enumerate<IntoIter<Known>>>;

/// Answers for one machine after the other, all as of one moment: a transaction for each would take as long as the
/// reading.
async fn answer_machines(
    inner: Arc<Inner>,
    waiting: Arc<Waiting>,
    query: Arc<HistoryQuery>,
    selection: Arc<Selection>,
    (form, is_alone): (Form, bool),
) -> Result<Vec<(usize, Past)>, StoreError> {
    let failed = |error: sqlx::Error| inner.failed(&error);
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut answers = Vec::new();
    let mut transaction = inner.pools.readers.begin().await.map_err(failed)?;
    while let Some((index, machine)) = next() {
        let material = read(&inner, &mut transaction, &machine, &query, &selection, form).await?;
        let Some(material) = material else {
            answers.push((index, Past::Points(nothing(machine.machine))));
            continue;
        };
        let answer = match form {
            Form::Points => decode_all(material, machine.machine, &selection, is_alone).await?,
            Form::Samples => decode_samples(material, machine.machine, &selection).await?,
        };
        let answer = answer.map_err(|corrupt| error::damaged(&inner.path, corrupt))?;
        answers.push((index, answer));
    }
    // Nothing was written; giving the connection back ends the transaction as well, only later.
    transaction.commit().await.map_err(failed)?;
    Ok(answers)
}

/// Decodes what was read, on threads that nobody waits for: millions of numbers may have to be. For a machine that is
/// asked for alone on two of them, if that is worth it; of several there is one for each anyway.
async fn decode_all(
    mut material: Material,
    machine: MachineId,
    selection: &Arc<Selection>,
    is_alone: bool,
) -> Result<Result<Past, Corrupt>, StoreError> {
    let plan = material.plan;
    let share = if is_alone { material.share() } else { None };
    let other = share.map(|blocks| {
        let selection = Arc::clone(selection);
        let mut answer = material.begin();
        tokio::task::spawn_blocking(move || {
            decode(&blocks, plan, &mut answer, &selection)?;
            Ok(answer)
        })
    });
    let for_this = Arc::clone(selection);
    let decoded = tokio::task::spawn_blocking(move || {
        let mut answer = material.begin();
        material.decode(&mut answer, &for_this)?;
        Ok((material, answer))
    });
    let other = match other {
        Some(other) => Some(other.await.map_err(|_| interrupted())?),
        None => None,
    };
    let decoded = decoded.await.map_err(|_| interrupted())?;
    let finish = || {
        let (material, mut answer) = decoded?;
        if let Some(other) = other {
            answer.absorb(other?);
        }
        Ok(Past::Points(material.finish(answer, machine, selection)))
    };
    Ok(finish())
}

/// As [`decode_all`] for the numbers only.
async fn decode_samples(
    material: Material,
    machine: MachineId,
    selection: &Arc<Selection>,
) -> Result<Result<Past, Corrupt>, StoreError> {
    let selection = Arc::clone(selection);
    let decoded = tokio::task::spawn_blocking(move || {
        if let Some(samples) = material.samples(&machine, &selection)? {
            return Ok(Past::Samples(samples));
        }
        let mut answer = material.begin();
        material.decode(&mut answer, &selection)?;
        Ok(Past::Points(material.finish(answer, machine, &selection)))
    });
    decoded.await.map_err(|_| interrupted())
}

/// A machine that is known.
struct Known {
    id: i64,
    machine: MachineId,
    interval_ms: Option<i64>,
}

async fn known(connection: &mut SqliteConnection, machines: &[MachineId]) -> sqlx::Result<Vec<Known>> {
    let names: Vec<&str> = machines.iter().map(MachineId::as_str).collect();
    let rows: Vec<(i64, i64, Option<i64>)> = sqlx::query_as(
        "SELECT asked.key, machine.id, machine.interval_ms FROM json_each(?1) AS asked \
         CROSS JOIN machine ON machine.name = asked.value ORDER BY asked.key",
    )
    .bind(serde_json::to_string(&names).map_err(|error| sqlx::Error::Encode(error.into()))?)
    .fetch_all(connection)
    .await?;
    let known = rows.into_iter().filter_map(|(index, id, interval_ms)| {
        let machine = machines.get(usize::try_from(index).ok()?)?.clone();
        Some(Known {
            id,
            machine,
            interval_ms,
        })
    });
    Ok(known.collect())
}

/// Reads what an answer is made of, in a transaction: maintenance moves samples from one place to another meanwhile.
async fn read(
    inner: &Inner,
    connection: &mut SqliteConnection,
    machine: &Known,
    query: &HistoryQuery,
    selection: &Selection,
    form: Form,
) -> Result<Option<Material>, StoreError> {
    let failed = |error: sqlx::Error| inner.failed(&error);
    let damaged = |corrupt: Corrupt| error::damaged(&inner.path, corrupt);
    let Some(plan) = choose(connection, machine.id, query).await.map_err(failed)? else {
        return Ok(None);
    };
    let (from, to) = plan.reach();
    let mut blocks = Vec::new();
    for (id, head) in read_heads(connection, machine.id, &plan).await.map_err(failed)? {
        let head = decode_head(&head).map_err(damaged)?;
        blocks.push(Block {
            id,
            head: Arc::new(head),
            segments: Vec::new(),
        });
    }
    read_segments(connection, &mut blocks, selection)
        .await
        .map_err(failed)?;
    let recent: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT at_unix_ms, samples FROM recent WHERE machine = ?1 AND at_unix_ms >= ?2 AND at_unix_ms < ?3 \
         ORDER BY at_unix_ms",
    )
    .bind(machine.id)
    .bind(from)
    .bind(to)
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    if form == Form::Samples && plan.tier == Tier::Raw {
        return Ok(Some(Material {
            plan,
            blocks,
            recent,
            edges: Edges::default(),
            gaps: Vec::new(),
        }));
    }
    let mut edges = read_edges(connection, machine, &plan).await.map_err(failed)?;
    let times = || blocks.iter().flat_map(|block| &block.head.times).copied();
    edges.before = edges.before.max(times().filter(|time| *time < from).max());
    edges.after = edges
        .after
        .into_iter()
        .chain(times().filter(|time| *time >= to).min())
        .min();
    edges.intervals.clone_from(&selection.intervals);
    // A stored gap just outside explains silence that reaches into the range.
    let around = (edges.before.unwrap_or(plan.from), edges.after.unwrap_or(plan.to));
    let gaps = read_gaps(connection, machine.id, around).await.map_err(failed)?;
    Ok(Some(Material {
        plan,
        blocks,
        recent,
        edges,
        gaps,
    }))
}

/// The plan: that of the question, unless the range begins before what the tier still has and a coarser one reaches
/// further back.
async fn choose(
    connection: &mut SqliteConnection,
    machine: i64,
    query: &HistoryQuery,
) -> sqlx::Result<Option<Plan>> {
    let Some(mut plan) = Plan::of(query) else {
        return Ok(None);
    };
    let starts: (Option<i64>, Option<i64>, Option<i64>, Option<i64>) = sqlx::query_as(
        "SELECT (SELECT min(from_unix_ms) FROM block WHERE machine = ?1 AND tier = 0), \
         (SELECT min(from_unix_ms) FROM block WHERE machine = ?1 AND tier = 1), \
         (SELECT min(from_unix_ms) FROM block WHERE machine = ?1 AND tier = 2), \
         (SELECT min(at_unix_ms) FROM recent WHERE machine = ?1)",
    )
    .bind(machine)
    .fetch_one(connection)
    .await?;
    let (raw, minute, hour, recent) = starts;
    let raw = raw.into_iter().chain(recent).min();
    let mut start = match plan.tier {
        Tier::Raw => raw,
        Tier::Minute => minute,
        Tier::Hour => hour,
    };
    for (tier, coarser) in [(Tier::Minute, minute), (Tier::Hour, hour)] {
        let (Some(coarser), Some(width_ms)) = (coarser, tier.width_ms()) else {
            continue;
        };
        // A roll-up begins before its first sample, so only a whole one counts as reaching further.
        let whole = coarser.saturating_add(i64::try_from(width_ms).unwrap_or(i64::MAX));
        let reaches = start.is_none_or(|start| whole <= start && plan.from < start);
        if plan.tier < tier && reaches && plan.to > coarser {
            start = Some(coarser);
            match Plan::at(query, tier) {
                Some(coarse) => plan = coarse,
                None => return Ok(None),
            }
        }
    }
    Ok(Some(plan))
}

fn tier_number(tier: Tier) -> i64 {
    match tier {
        Tier::Raw => 0,
        Tier::Minute => 1,
        Tier::Hour => 2,
    }
}

/// Blocks of the plan's tier, and samples that are not rolled up yet.
async fn read_heads(
    connection: &mut SqliteConnection,
    machine: i64,
    plan: &Plan,
) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    let (from, to) = plan.reach();
    sqlx::query_as(
        "SELECT id, head FROM block \
         WHERE machine = ?1 AND tier = ?2 AND from_unix_ms < ?4 AND to_unix_ms >= ?3 \
         UNION ALL SELECT id, head FROM block \
         WHERE ?2 <> 0 AND machine = ?1 AND tier = 0 AND level = 1 AND from_unix_ms < ?4 AND to_unix_ms >= ?3",
    )
    .bind(machine)
    .bind(tier_number(plan.tier))
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await
}

/// The segments that have a wanted series.
async fn read_segments(
    connection: &mut SqliteConnection,
    blocks: &mut [Block],
    selection: &Selection,
) -> sqlx::Result<()> {
    let mut wanted: Vec<(i64, usize)> = Vec::new();
    for block in blocks.iter() {
        for (number, series) in block.head.segments.iter().enumerate() {
            if series.iter().any(|series| selection.needs(*series)) {
                wanted.push((block.id, number));
            }
        }
    }
    let rows: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT segment.block, segment.number, segment.columns FROM json_each(?1) AS wanted \
         CROSS JOIN segment ON segment.block = wanted.value ->> 0 AND segment.number = wanted.value ->> 1",
    )
    .bind(serde_json::to_string(&wanted).map_err(|error| sqlx::Error::Encode(error.into()))?)
    .fetch_all(connection)
    .await?;
    // The rows come in the order in which they are asked for, so the search begins where the last one ended.
    let mut at = 0;
    for (id, number, columns) in rows {
        while blocks.get(at).is_some_and(|block| block.id != id) {
            at += 1;
        }
        if let (Some(block), Ok(number)) = (blocks.get_mut(at), usize::try_from(number)) {
            block.segments.push((number, columns));
        }
    }
    Ok(())
}

/// The nearest samples outside the range, of blocks and rows that lie wholly outside.
async fn read_edges(connection: &mut SqliteConnection, machine: &Known, plan: &Plan) -> sqlx::Result<Edges> {
    let (from, to) = plan.reach();
    let (before, before_recent, after, after_recent): (Option<i64>, Option<i64>, Option<i64>, Option<i64>) =
        sqlx::query_as(
            "SELECT (SELECT max(to_unix_ms) FROM block \
                     WHERE machine = ?1 AND (tier = ?2 OR tier = 0 AND level = 1) AND to_unix_ms < ?3), \
             (SELECT max(at_unix_ms) FROM recent WHERE machine = ?1 AND at_unix_ms < ?3), \
             (SELECT min(from_unix_ms) FROM block \
              WHERE machine = ?1 AND (tier = ?2 OR tier = 0 AND level = 1) AND from_unix_ms >= ?4), \
             (SELECT min(at_unix_ms) FROM recent WHERE machine = ?1 AND at_unix_ms >= ?4)",
        )
        .bind(machine.id)
        .bind(tier_number(plan.tier))
        .bind(from)
        .bind(to)
        .fetch_one(connection)
        .await?;
    Ok(Edges {
        before: before.max(before_recent),
        after: after.into_iter().chain(after_recent).min(),
        intervals: Vec::new(),
        usual_ms: machine
            .interval_ms
            .and_then(|interval| u64::try_from(interval).ok()),
    })
}

async fn read_gaps(
    connection: &mut SqliteConnection,
    machine: i64,
    (from, to): (i64, i64),
) -> sqlx::Result<Vec<Gap>> {
    let rows: Vec<(i64, i64, i64, String)> = sqlx::query_as(
        "SELECT from_unix_ms, to_unix_ms, samples, reason FROM gap \
         WHERE machine = ?1 AND from_unix_ms < ?3 AND to_unix_ms >= ?2 ORDER BY from_unix_ms",
    )
    .bind(machine)
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await?;
    let gap = |(from, to, samples, reason): (i64, i64, i64, String)| Gap {
        from: UnixMillis(from),
        to: UnixMillis(to),
        samples: u64::try_from(samples).unwrap_or(0),
        // A reason of a newer version is still a gap.
        reason: GapReason::from_name(&reason).unwrap_or(GapReason::Silent),
    };
    Ok(rows.into_iter().map(gap).collect())
}
