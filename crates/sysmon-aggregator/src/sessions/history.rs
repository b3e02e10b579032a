//! Questions about the past.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sysmon_api::{ApiError, Code, history_to_wire, query_from_wire, wire};
use sysmon_core::{HistoryQuery, MachineHistory, MachineId};
use sysmon_store::{ErrorKind, History, MACHINES_PER_QUERY, StoreError};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use crate::aggregator::Aggregator;
use crate::task::reply;

/// The store is asked so many things at a time; others wait.
const AT_A_TIME: usize = 4;
/// So many unary questions may be under way, most of them waiting; further ones are refused.
const UNARY_MAX: usize = 64;
/// Questions of one client's stream.
const PER_CLIENT: usize = 2;
/// Parts of answers that wait for one client to take them; with more, the questions wait.
const PARTS_WAITING: usize = 2;
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
/// The status of an answer that was cancelled, in gRPC.
const CANCELLED: u32 = 1;

/// The way to ask history: bounded, so that however many ask the store has time to write.
pub(crate) struct Archive {
    history: Arc<dyn History>,
    at_a_time: Semaphore,
    unary: Semaphore,
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
    async fn ask<T>(
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
fn machines_at_a_time(query: &HistoryQuery) -> usize {
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

/// The questions of one client's stream, each answered by a task of its own. They end with it.
#[derive(Debug)]
pub(super) struct Questions {
    running: HashMap<u64, Running>,
    tasks: JoinSet<()>,
    sender: mpsc::Sender<Part>,
    parts: mpsc::Receiver<Part>,
    next_serial: u64,
}

#[derive(Debug)]
struct Running {
    /// Tells it from an earlier question of the same request id.
    serial: u64,
    task: AbortHandle,
}

/// Part of an answer, or the reason that there is none.
#[derive(Debug)]
struct Part {
    request_id: u64,
    serial: u64,
    chunk: Result<wire::HistoryChunk, ApiError>,
}

impl Questions {
    pub(super) fn new() -> Self {
        let (sender, parts) = mpsc::channel(PARTS_WAITING);
        Self {
            running: HashMap::new(),
            tasks: JoinSet::new(),
            sender,
            parts,
            next_serial: 0,
        }
    }

    /// Begins to answer a question.
    ///
    /// # Errors
    /// What is wrong with it, or that the client asks too much at a time.
    pub(super) fn begin(
        &mut self,
        aggregator: &Aggregator,
        request_id: u64,
        request: &wire::HistoryRequest,
    ) -> Result<(), ApiError> {
        let archive = aggregator.archive.as_ref().ok_or_else(nothing_kept)?;
        let query = query_from_wire(request)?;
        if self.running.contains_key(&request_id) {
            return Err(ApiError::invalid(
                "a question with this request id is still being answered; give it another",
            ));
        }
        aggregator.counters().queries.add(1);
        if self.running.len() >= PER_CLIENT {
            aggregator.counters().refused_queries.add(1);
            return Err(ApiError::new(
                Code::ResourceExhausted,
                format!("{PER_CLIENT} questions are being answered; wait for one, or cancel it"),
            ));
        }
        // Those that have ended need not be kept.
        while self.tasks.try_join_next().is_some() {}
        self.next_serial += 1;
        let answer = Answer {
            archive: Arc::clone(archive),
            request_id,
            serial: self.next_serial,
            parts: self.sender.clone(),
        };
        let task = self.tasks.spawn(answer.send(query, time_limit(aggregator)));
        let running = Running {
            serial: self.next_serial,
            task,
        };
        self.running.insert(request_id, running);
        Ok(())
    }

    /// Ends a question; returns what its asker is told, unless it has its answer.
    pub(super) fn cancel(&mut self, request_id: u64) -> Option<wire::Response> {
        let running = self.running.remove(&request_id)?;
        running.task.abort();
        Some(wire::Response {
            request_id,
            body: Some(wire::response::Body::Failure(wire::Failure {
                code: CANCELLED,
                message: "cancelled".into(),
            })),
        })
    }

    /// The next part of an answer to any of the questions. Safe to cancel.
    pub(super) async fn next(&mut self) -> wire::Response {
        loop {
            let Some(part) = self.parts.recv().await else {
                // There is a sender in here.
                return std::future::pending().await;
            };
            let running = self.running.get(&part.request_id);
            if running.is_none_or(|running| running.serial != part.serial) {
                continue;
            }
            if part.chunk.as_ref().map_or(true, |chunk| !chunk.more) {
                self.running.remove(&part.request_id);
            }
            return match part.chunk {
                Ok(chunk) => wire::Response {
                    request_id: part.request_id,
                    body: Some(wire::response::Body::History(chunk)),
                },
                Err(error) => reply(part.request_id, Err(error)),
            };
        }
    }
}

/// One question being answered.
struct Answer {
    archive: Arc<Archive>,
    request_id: u64,
    serial: u64,
    parts: mpsc::Sender<Part>,
}

impl Answer {
    async fn send(self, query: HistoryQuery, limit: Duration) {
        let last = self.send_all_but_last(query, limit).await;
        self.part(last).await;
    }

    async fn send_all_but_last(
        &self,
        query: HistoryQuery,
        limit: Duration,
    ) -> Result<wire::HistoryChunk, ApiError> {
        let mut chunk = wire::HistoryChunk::default();
        let mut size = 0;
        let mut asking = Asking::begin(&self.archive, query, limit).await?;
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
                    self.part(Ok(full)).await;
                }
                size += part_size;
                chunk.machines.push(part);
            }
        }
        Ok(chunk)
    }

    /// Waits until the client has taken what came before.
    async fn part(&self, chunk: Result<wire::HistoryChunk, ApiError>) {
        let part = Part {
            request_id: self.request_id,
            serial: self.serial,
            chunk,
        };
        // The client is gone: so is this task, in a moment.
        let _ = self.parts.send(part).await;
    }
}

fn time_limit(aggregator: &Aggregator) -> Duration {
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
