//! Everything between the streams and the stores.
//!
//! A session turns what a collector sends into batches and offers them to the one [`writer`], which commits many at once
//! and puts on each session's [`board`] what became of them. Nobody waits: a batch that is not taken breaks its epoch, and
//! when the store is well again the collector sends it as backlog, within what [`credits`] grant. Only the store's
//! cursors decide what is new, so whatever is sent twice, on whichever way, is stored once.
//!
//! Every queue, and what happens when it is full:
//! - live batches to the writer, [`Config::commit_queue`]: what comes then is not taken, see above;
//! - backlog to the writer, as many as are granted at most: it is never full;
//! - either, when very large batches wait: as with a full queue;
//! - snapshots of processes to what stores them, one offer of all machines: what comes then is dropped and counted;
//! - the writer to a session, the latest word per epoch: it replaces the one before;
//! - sessions that are to say what is stored, in [`pace`]: each at most once.

mod board;
mod check;
mod credits;
mod dictionary;
mod maintenance;
mod pace;
mod queue;
mod snapshots;
mod status;
mod stream;
mod writer;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sysmon_api::wire;
use sysmon_core::UnixMillis;
use sysmon_store::{History, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::alerts::Board;
use crate::clock::Clock;
use crate::config::Config;
use crate::counters::Counters;
use crate::fleet::Listed;
use crate::fleet::keys::Keys;
use credits::Credits;
use pace::Pace;
use queue::{Gate, Intake};
use writer::{Limits, Writer};

pub(crate) use status::{Component, StatusBoard};
pub(crate) use stream::Stream;

/// The way into history, for sessions.
#[derive(Debug)]
pub(crate) struct Durable {
    shared: Arc<Shared>,
    intake: Intake,
    /// Takes the processes of all machines now and then.
    pub(crate) snapshots: mpsc::Sender<Vec<Listed>>,
}

/// What sessions and the writer have in common.
#[derive(Debug)]
struct Shared {
    credits: Credits,
    pace: Pace,
    /// The keys of all streams' dictionaries.
    keys: Mutex<Keys>,
    clock: Clock,
    counters: Arc<Counters>,
    /// Numbers streams.
    serial: AtomicU64,
    /// How many streams there are.
    streams: AtomicUsize,
}

/// What has to run for a [`Durable`] to work.
#[derive(Debug)]
pub(crate) struct Work {
    writer: Writer,
    maintenance: maintenance::Maintainer,
    snapshots: snapshots::Snapshotter,
    shared: Arc<Shared>,
    gate: watch::Receiver<Gate>,
}

impl Durable {
    /// Whatever comes through it is stored in `history` for as long as the returned work runs.
    pub(crate) fn new(
        config: &Config,
        clock: Clock,
        history: Arc<dyn History>,
        status: &StatusBoard,
        counters: &Arc<Counters>,
        board: Option<watch::Receiver<Board>>,
        shutdown: CancellationToken,
    ) -> (Self, Work) {
        let component = status.component(wire::StorageRole::History, history.info());
        let (intake, outlet) = queue::queues(config.commit_queue);
        let shared = Arc::new(Shared {
            credits: Credits::new(),
            pace: Pace::default(),
            keys: Mutex::default(),
            clock,
            counters: Arc::clone(counters),
            serial: AtomicU64::new(0),
            streams: AtomicUsize::new(0),
        });
        let limits = Limits::new(
            Duration::from_millis(config.commit_group_ms),
            Duration::from_millis(config.commit_limit_ms),
        );
        let maintenance =
            maintenance::Maintainer::new(Arc::clone(&history), Arc::clone(&shared), intake.gate());
        let (snapshotter, snapshots) =
            snapshots::Snapshotter::new(Arc::clone(&history), Arc::clone(&shared), intake.gate(), board);
        let writer = Writer::new(history, Arc::clone(&shared), outlet, component, limits, shutdown);
        let work = Work {
            writer,
            maintenance,
            snapshots: snapshotter,
            shared: Arc::clone(&shared),
            gate: intake.gate(),
        };
        let durable = Self {
            shared,
            intake,
            snapshots,
        };
        (durable, work)
    }

    /// Whether the store takes nothing at present.
    pub(crate) fn is_down(&self) -> bool {
        *self.intake.gate().borrow() == Gate::Down
    }
}

impl Work {
    /// Starts what there is to do, as tasks that end with the returned set.
    pub(crate) fn spawn(self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        tasks.spawn(self.writer.run());
        tasks.spawn(self.maintenance.run());
        tasks.spawn(self.snapshots.run());
        let (shared, mut gate) = (self.shared, self.gate);
        tasks.spawn(async move {
            tokio::select! {
                // Also when the writer is gone.
                _ = gate.wait_for(|gate| *gate == Gate::Finished) => {}
                () = shared.pace.run() => {}
            }
        });
        tasks
    }
}

impl Shared {
    fn now(&self) -> UnixMillis {
        self.clock.now().unix
    }

    /// Counts a stream that begins; returns its number.
    fn enter(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    fn leave(&self) {
        self.streams.fetch_sub(1, Ordering::Relaxed);
    }

    /// The place of a stream among all, when everyone does something in turn.
    fn place(&self, serial: u64) -> u32 {
        let streams = self.streams.load(Ordering::Relaxed).max(1);
        u32::try_from(serial % streams as u64).unwrap_or(0)
    }
}

/// Has the store do something as a task of its own, which ends with this future: a mistake in a back end is only a
/// failure of what it was asked.
///
/// # Errors
/// What the store says.
async fn apart<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let mut task = JoinSet::new();
    task.spawn(work);
    match task.join_next().await {
        Some(Ok(result)) => result,
        _ => Err(StoreError::unavailable(
            "the store's back end failed; the log has more, please report it",
        )),
    }
}
