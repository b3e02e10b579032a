//! The way from sessions to the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sysmon_store::{Content, IngestBatch};
use tokio::sync::{mpsc, watch};

use super::board::{Board, SetBack};
use super::credits::Credits;

/// Values that wait in both queues together, about 64 MB. With more, batches are refused as if their queue was full: a
/// bound for those few who send batches of tens of thousands of values.
const VALUES_MAX: usize = 4_000_000;

/// What sessions have to know of the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It takes batches.
    Open,
    /// It takes batches, but has not caught up since its queue was full: nobody is asked to send again.
    Full,
    /// The store takes nothing, so neither does the writer.
    Down,
    /// It has stored the last of what it will.
    Finished,
}

/// A batch, and whom it concerns.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) batch: IngestBatch,
    pub(super) ticket: Ticket,
}

/// Whom a batch concerns.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) board: Arc<Board>,
    /// How often its stream had been told to go back when it was sent.
    pub(super) round: u32,
    pub(super) is_backlog: bool,
}

/// The ends of both queues that sessions have.
#[derive(Debug)]
pub(super) struct Intake {
    live: mpsc::Sender<Entry>,
    backlog: mpsc::Sender<Entry>,
    values: Arc<AtomicUsize>,
    gate: watch::Sender<Gate>,
}

/// The ends that the writer has.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) live: mpsc::Receiver<Entry>,
    pub(super) backlog: mpsc::Receiver<Entry>,
    pub(super) gate: watch::Sender<Gate>,
    values: Arc<AtomicUsize>,
}

/// Two queues: one of `capacity` live batches, refused when it is full, and one of backlog that has room for all that is
/// granted.
pub(super) fn queues(capacity: usize) -> (Intake, Outlet) {
    let (live, live_end) = mpsc::channel(capacity);
    let (backlog, backlog_end) = mpsc::channel(Credits::OUTSTANDING_MAX);
    let values = Arc::new(AtomicUsize::new(0));
    let gate = watch::Sender::new(Gate::Open);
    let outlet = Outlet {
        live: live_end,
        backlog: backlog_end,
        gate: gate.clone(),
        values: Arc::clone(&values),
    };
    let intake = Intake {
        live,
        backlog,
        values,
        gate,
    };
    (intake, outlet)
}

impl Intake {
    /// Hands a batch to the writer without waiting; `false` when it is not taken.
    pub(super) fn offer(&self, entry: Entry) -> bool {
        if matches!(*self.gate.borrow(), Gate::Down | Gate::Finished) {
            return false;
        }
        let values = values_of(&entry.batch);
        let queue = if entry.ticket.is_backlog {
            &self.backlog
        } else {
            &self.live
        };
        // Before it is there to be taken out, so that the count never falls below zero.
        let before = self.values.fetch_add(values, Ordering::Relaxed);
        let is_taken = before <= VALUES_MAX && queue.try_send(entry).is_ok();
        if !is_taken {
            self.values.fetch_sub(values, Ordering::Relaxed);
            self.gate.send_if_modified(|gate| {
                let is_news = *gate == Gate::Open;
                if is_news {
                    *gate = Gate::Full;
                }
                is_news
            });
        }
        is_taken
    }

    pub(super) fn gate(&self) -> watch::Receiver<Gate> {
        self.gate.subscribe()
    }
}

impl Outlet {
    /// Takes note that a batch has left its queue.
    pub(super) fn left(&self, batch: &IngestBatch) {
        self.values.fetch_sub(values_of(batch), Ordering::Relaxed);
    }

    pub(super) fn is_over_half(&self) -> bool {
        self.live.len() * 2 > self.live.max_capacity()
    }
}

impl Ticket {
    /// Tells the session that its batch was not taken.
    pub(super) fn set_back(&self, batch: &IngestBatch, expected: u64) {
        self.board.set_back(SetBack {
            epoch: batch.epoch,
            expected,
            round: self.round,
            is_backlog: self.is_backlog,
        });
    }
}

/// How much memory a batch takes, in values.
pub(super) fn values_of(batch: &IngestBatch) -> usize {
    match &batch.content {
        Content::Tick { values, .. } => values.len(),
        Content::Lost { .. } => 0,
        // In plain words each takes many times the memory.
        Content::Dead { tick, .. } => tick.as_ref().map_or(0, |tick| 20 * tick.values.len()),
    }
}
