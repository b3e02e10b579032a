//! Questions about the past.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sysmon_api::{ApiError, Code, history_to_wire, query_from_wire, wire};
use sysmon_core::{HistoryQuery, MachineHistory, MachineId};
use sysmon_store::{ErrorKind, History, MACHINES_PER_QUERY, StoreError};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wire::response::Body;

use super::answers::{Answers, Kind, Parts};
use crate::aggregator::Aggregator;

/// The store is asked so many things at a time; others wait.
const AT_A_TIME: usize = 4;
/// So many unary questions may be under way, most of them waiting; further ones are refused.
const UNARY_MAX: usize = 64;
/// How long the store may take for one thing, waiting included.
const LIMIT: Duration = Duration::from_secs(30);
/// The same while it takes no batches: most likely it does not answer either.
const LIMIT_DOWN: Duration = Duration::from_secs(5);
/// The size of a part of an answer.
const PART_BYTES: usize = 64 * 1024;
/// The most of a whole answer; 4 MiB with what surrounds it.
const WHOLE_BYTES: usize = 4 * 1024 * 1024 - 16 * 1024;
/// Points that one answer of the store may have, about 40 MB.
const POINTS_AT_A_TIME: usize = 1_000_000;
/// Series that a machine has of all metrics, and of one, when nobody knows better.
const SERIES_OF_ALL: usize = 100;
const SERIES_OF_ONE: usize = 4;

/// The way to ask history: bounded, so that however many ask the store has time to write.
pub(crate) struct Archive {
    pub(super) history: Arc<dyn History>,
    at_a_time: Semaphore,
    unary: Semaphore,
    /// Series that may be shown of the past, by all clients together.
    pub(super) shown: Arc<Semaphore>,
}

impl fmt::Debug for Archive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Archive")
    }
}

impl Archive {
    pub(crate) fn new(history: Arc<dyn History>) -> Self {
        Self {
            history,
            at_a_time: Semaphore::new(AT_A_TIME),
            unary: Semaphore::new(UNARY_MAX),
            shown: Arc::new(Semaphore::new(super::past::SERIES_SHOWN)),
        }
    }

    /// The machines of a question; all that are known when it names none.
    async fn machines(&self, query: &mut HistoryQuery, limit: Duration) -> Result<Vec<MachineId>, ApiError> {
        if !query.machines.is_empty() {
            return Ok(std::mem::take(&mut query.machines));
        }
        let records = self.ask(self.history.machines(), limit).await?;
        Ok(records.into_iter().map(|record| record.machine).collect())
    }

    /// Has the store do something, when its turn has come.
    pub(super) async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
        limit: Duration,
    ) -> Result<T, ApiError> {
        let asked = async {
            let permit = self.at_a_time.acquire().await;
            let answer = question.await;
            drop(permit);
            answer
        };
        match timeout(limit, asked).await {
            Ok(answer) => answer.map_err(|error| failure(&error)),
            Err(_) => Err(ApiError::new(
                Code::DeadlineExceeded,
                format!(
                    "the history did not answer within {} s; ask for a shorter range, fewer machines or fewer points",
                    limit.as_secs()
                ),
            )),
        }
    }
}

/// A question that is answered a few machines at a time.
struct Asking<'a> {
    archive: &'a Archive,
    query: HistoryQuery,
    limit: Duration,
    /// Who is still to come, last first.
    machines: Vec<MachineId>,
}

impl<'a> Asking<'a> {
    async fn begin(archive: &'a Archive, mut query: HistoryQuery, limit: Duration) -> Result<Self, ApiError> {
        let mut machines = archive.machines(&mut query, limit).await?;
        machines.reverse();
        Ok(Self {
            archive,
            query,
            limit,
            machines,
        })
    }

    /// The past of the next few machines; `None` when that was all.
    async fn next(&mut self) -> Result<Option<Vec<MachineHistory>>, ApiError> {
        if self.machines.is_empty() {
            return Ok(None);
        }
        let left = self
            .machines
            .len()
            .saturating_sub(machines_at_a_time(&self.query));
        self.query.machines = self.machines.drain(left..).rev().collect();
        let archive = self.archive;
        let answer = archive.ask(archive.history.query(&self.query), self.limit);
        answer.await.map(Some)
    }
}

/// So few machines that one answer of the store stays bounded.
pub(super) fn machines_at_a_time(query: &HistoryQuery) -> usize {
    let series = if query.metrics.is_empty() {
        SERIES_OF_ALL
    } else {
        SERIES_OF_ONE * query.metrics.len()
    };
    (POINTS_AT_A_TIME / (query.points.max(1) as usize * series)).clamp(1, MACHINES_PER_QUERY)
}

/// The past of machines, all at once.
///
/// # Errors
/// What is wrong with the question, that there is no history, or that it does not answer.
pub(crate) async fn history(
    aggregator: &Aggregator,
    request: &wire::HistoryRequest,
) -> Result<wire::HistoryReply, ApiError> {
    let archive = aggregator.archive.as_ref().ok_or_else(nothing_kept)?;
    let query = query_from_wire(request)?;
    aggregator.counters().queries.add(1);
    let Ok(_permit) = archive.unary.try_acquire() else {
        aggregator.counters().refused_queries.add(1);
        return Err(ApiError::new(
            Code::ResourceExhausted,
            "too many questions about the past are waiting; ask again later",
        ));
    };
    // All of it within the time, since nobody takes anything meanwhile.
    let answered = timeout(LIMIT, whole(archive, query, time_limit(aggregator)));
    answered.await.map_err(|_| {
        ApiError::new(
            Code::DeadlineExceeded,
            "the answer took longer than 30 s; ask for fewer machines, metrics or points",
        )
    })?
}

async fn whole(
    archive: &Archive,
    query: HistoryQuery,
    limit: Duration,
) -> Result<wire::HistoryReply, ApiError> {
    let mut reply = wire::HistoryReply::default();
    let mut size = 0;
    let mut asking = Asking::begin(archive, query, limit).await?;
    while let Some(answer) = asking.next().await? {
        for part in answer
            .iter()
            .flat_map(|history| history_to_wire(history, usize::MAX))
        {
            size += part.encoded_len() + 8;
            if size > WHOLE_BYTES {
                return Err(ApiError::new(
                    Code::ResourceExhausted,
                    "the answer has more than 4 MiB; ask for fewer machines, metrics or points",
                ));
            }
            reply.machines.push(part);
        }
    }
    Ok(reply)
}

/// Begins to answer a question of a client's stream.
///
/// # Errors
/// What is wrong with it, or that the client asks too much at a time.
pub(super) fn begin(
    aggregator: &Aggregator,
    answers: &mut Answers,
    request_id: u64,
    request: &wire::HistoryRequest,
) -> Result<(), ApiError> {
    let archive = Arc::clone(aggregator.archive.as_ref().ok_or_else(nothing_kept)?);
    let query = query_from_wire(request)?;
    aggregator.counters().queries.add(1);
    let limit = time_limit(aggregator);
    let begun = answers.begin(request_id, Kind::Question, |parts| {
        send(archive, query, limit, parts)
    });
    begun.inspect_err(|error| {
        if error.code == Code::ResourceExhausted {
            aggregator.counters().refused_queries.add(1);
        }
    })
}

async fn send(archive: Arc<Archive>, query: HistoryQuery, limit: Duration, parts: Parts) {
    let last = send_all_but_last(&archive, query, limit, &parts).await;
    parts.last(last.map(Body::History)).await;
}

async fn send_all_but_last(
    archive: &Archive,
    query: HistoryQuery,
    limit: Duration,
    parts: &Parts,
) -> Result<wire::HistoryChunk, ApiError> {
    let mut chunk = wire::HistoryChunk::default();
    let mut size = 0;
    let mut asking = Asking::begin(archive, query, limit).await?;
    while let Some(answer) = asking.next().await? {
        for part in answer
            .iter()
            .flat_map(|history| history_to_wire(history, PART_BYTES))
        {
            let part_size = part.encoded_len();
            if size > 0 && size + part_size > PART_BYTES {
                let mut full = std::mem::take(&mut chunk);
                full.more = true;
                size = 0;
                parts.next(Body::History(full)).await;
            }
            size += part_size;
            chunk.machines.push(part);
        }
    }
    Ok(chunk)
}

pub(super) fn time_limit(aggregator: &Aggregator) -> Duration {
    let is_down = aggregator
        .durable
        .as_ref()
        .is_some_and(|durable| durable.is_down());
    if is_down { LIMIT_DOWN } else { LIMIT }
}

pub(super) fn nothing_kept() -> ApiError {
    ApiError::new(
        Code::FailedPrecondition,
        "no history is kept here; start the aggregator with --database",
    )
}

/// What whoever asked is told of a store's failure.
fn failure(error: &StoreError) -> ApiError {
    let clean = sysmon_core::sanitize(&error.message);
    let message = sysmon_core::clip(&clean, 300);
    match error.kind {
        ErrorKind::Unavailable => ApiError::unavailable(format!(
            "the history cannot be read now ({message}); ask again when the storage is well, the live view goes on"
        )),
        ErrorKind::Rejected => ApiError::invalid(message),
        ErrorKind::Misconfigured => ApiError::new(Code::FailedPrecondition, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::UnixMillis;

    #[test]
    fn the_more_points_the_fewer_machines_at_a_time() {
        let query = |metrics: usize, points| HistoryQuery {
            machines: Vec::new(),
            metrics: vec!["cpu.busy_percent".into(); metrics],
            from: UnixMillis(0),
            to: UnixMillis(1),
            points,
        };
        assert_eq!(machines_at_a_time(&query(1, 300)), MACHINES_PER_QUERY);
        assert_eq!(machines_at_a_time(&query(0, 300)), 33);
        assert_eq!(machines_at_a_time(&query(0, 10_000)), 1);
        assert_eq!(machines_at_a_time(&query(1_000, 10_000)), 1);
    }
}
