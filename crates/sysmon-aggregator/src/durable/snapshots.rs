//! The processes of machines on their way into history, every minute, and more often while somebody looks or something is
//! wrong.
//!
//! They are what a person wants to know of the past when there is something to know, and no more: nothing is acknowledged,
//! and what cannot be stored at once is dropped and counted. The owner offers what it has every ten seconds; while the offer
//! before is still being stored, it goes nowhere.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sysmon_core::{MachineId, ProcessSnapshot, UnixMillis};
use sysmon_store::{History, MachineProcesses, SNAPSHOTS_AT_A_TIME};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::queue::Gate;
use super::{Shared, apart};
use crate::alerts::Board;
use crate::fleet::Listed;

/// Time between two snapshots of a machine, in milliseconds: at rest, and while somebody looks or something is wrong.
const AT_REST_MS: u64 = 60_000;
const CLOSE_MS: u64 = 10_000;
/// So many lists are looked at before others get a turn.
const AT_ONCE: usize = 64;
/// Ticks do not come when snapshots are due: one may be taken so much earlier.
const SLACK_MS: u64 = 4_000;
/// How long the store may take for one piece.
const LIMIT: Duration = Duration::from_secs(10);

/// Takes snapshots.
pub(super) struct Snapshotter {
    history: Arc<dyn History>,
    shared: Arc<Shared>,
    gate: watch::Receiver<Gate>,
    offers: mpsc::Receiver<Vec<Listed>>,
    /// None where no alerts are kept.
    board: Option<watch::Receiver<Board>>,
    /// When the last one of each machine was taken.
    taken: HashMap<MachineId, UnixMillis>,
}

impl fmt::Debug for Snapshotter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Snapshotter")
    }
}

impl Snapshotter {
    pub(super) fn new(
        history: Arc<dyn History>,
        shared: Arc<Shared>,
        gate: watch::Receiver<Gate>,
        board: Option<watch::Receiver<Board>>,
    ) -> (Self, mpsc::Sender<Vec<Listed>>) {
        let (sender, offers) = mpsc::channel(1);
        let snapshotter = Self {
            history,
            shared,
            gate,
            offers,
            board,
            taken: HashMap::new(),
        };
        (snapshotter, sender)
    }

    /// Works until the writer is finished, or nobody offers anything any more.
    pub(super) async fn run(mut self) {
        let mut gate = self.gate.clone();
        tokio::select! {
            // Also when the writer is gone.
            _ = gate.wait_for(|gate| *gate == Gate::Finished) => {}
            () = self.work() => {}
        }
    }

    async fn work(&mut self) {
        while let Some(offer) = self.offers.recv().await {
            // The lists are the fleet's: they are let go before the store is waited for.
            let snapshots = self.due(offer).await;
            for some in snapshots.chunks(SNAPSHOTS_AT_A_TIME) {
                self.store(some.to_vec()).await;
            }
        }
    }

    /// The snapshots that are due. Of a large fleet all are at the same moment, so others get a turn in between.
    async fn due(&mut self, offer: Vec<Listed>) -> Vec<MachineProcesses> {
        let troubled = self.board.as_ref().map(|board| board.borrow().troubled());
        let troubled = troubled.unwrap_or_default();
        let machines: HashSet<MachineId> = offer.iter().map(|listed| listed.machine.clone()).collect();
        self.taken.retain(|machine, _| machines.contains(machine));
        drop(machines);
        let mut due = Vec::new();
        for (index, listed) in offer.into_iter().enumerate() {
            if index % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let is_close = listed.is_watched || troubled.contains(&listed.machine);
            let period_ms = if is_close { CLOSE_MS } else { AT_REST_MS };
            let is_due = self.taken.get(&listed.machine).is_none_or(|taken| {
                // A clock that was set back begins anew.
                listed.at < *taken || listed.at.since_ms(*taken) >= period_ms - SLACK_MS
            });
            if is_due {
                self.taken.insert(listed.machine.clone(), listed.at);
                due.push(MachineProcesses {
                    processes: ProcessSnapshot::of(&listed.processes),
                    machine: listed.machine,
                    at: listed.at,
                });
            }
        }
        due
    }

    async fn store(&self, snapshots: Vec<MachineProcesses>) {
        let counters = &self.shared.counters;
        let count = snapshots.len();
        if *self.gate.borrow() == Gate::Down {
            counters.dropped_snapshots.add(count);
            return;
        }
        let history = Arc::clone(&self.history);
        let stored = apart(async move { history.put_process_snapshots(&snapshots).await });
        let problem = match timeout(LIMIT, stored).await {
            Ok(Ok(stored)) => {
                counters.snapshots.add(usize::try_from(stored).unwrap_or(count));
                return;
            }
            Ok(Err(error)) => error.message,
            Err(_) => "the store did not answer within 10 s".into(),
        };
        counters.dropped_snapshots.add(count);
        tracing::debug!(problem, count, "snapshots of processes are not kept");
    }
}
