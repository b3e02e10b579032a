//! Batches that are committed together.

use std::sync::Arc;

use sysmon_store::IngestBatch;

use crate::durable::queue::{Entry, Outlet, Ticket, values_of};

/// With fewer kept batches than this a commit is not worth its cost before its time.
const WORTH: usize = 32;
/// With so many live batches in a group it is of a large fleet.
const CROWD: usize = 64;
/// While backlog waits, live batches leave it this part of a group.
const BACKLOG_PART: usize = 8;

/// Batches in the order they came, live ones first, beside whom they concern.
#[derive(Debug)]
pub(super) struct Group {
    /// Shared with the commit, which runs as a task of its own.
    batches: Arc<Vec<IngestBatch>>,
    tickets: Vec<Ticket>,
    values: usize,
    backlog: usize,
    batches_max: usize,
    values_max: usize,
}

impl Group {
    pub(super) fn new(batches_max: usize, values_max: usize) -> Self {
        Self {
            batches: Arc::default(),
            tickets: Vec::new(),
            values: 0,
            backlog: 0,
            batches_max,
            values_max,
        }
    }

    /// One batch by itself.
    pub(super) fn of(batch: IngestBatch, ticket: Ticket) -> Self {
        Self {
            batches: Arc::new(vec![batch]),
            tickets: vec![ticket],
            ..Self::new(1, usize::MAX)
        }
    }

    pub(super) fn len(&self) -> usize {
        self.tickets.len()
    }

    pub(super) fn batches(&self) -> &Arc<Vec<IngestBatch>> {
        &self.batches
    }

    pub(super) fn get(&self, index: usize) -> (&IngestBatch, &Ticket) {
        (&self.batches[index], &self.tickets[index])
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.batches_max || self.values >= self.values_max
    }

    /// Whether it has enough of a backlog that more should not be waited for when none is under way.
    pub(super) fn is_worth_it(&self) -> bool {
        self.backlog >= WORTH
    }

    /// Whether so many report live that the next ones need not be waited for one by one.
    pub(super) fn is_crowded(&self) -> bool {
        self.len() - self.backlog >= CROWD
    }

    /// Waits for batches and takes what is there, as far as there is room; `false` when none will come any more. Safe to
    /// cancel.
    pub(super) async fn fill(&mut self, outlet: &mut Outlet) -> bool {
        let entry = tokio::select! {
            biased;
            entry = outlet.live.recv() => entry,
            entry = outlet.backlog.recv() => entry,
        };
        let Some(entry) = entry else {
            // Either queue ends only when both do, but what the other has is still to be had.
            return self.drain(outlet);
        };
        self.push(entry, outlet);
        self.drain(outlet);
        true
    }

    /// Takes what is there; returns whether there was anything.
    pub(super) fn drain(&mut self, outlet: &mut Outlet) -> bool {
        let before = self.len();
        let live_max = if outlet.backlog.is_empty() {
            self.batches_max
        } else {
            self.batches_max - self.batches_max / BACKLOG_PART
        };
        while !self.is_full() && self.len() - self.backlog < live_max {
            let Ok(entry) = outlet.live.try_recv() else { break };
            self.push(entry, outlet);
        }
        while !self.is_full() {
            let Ok(entry) = outlet.backlog.try_recv() else {
                break;
            };
            self.push(entry, outlet);
        }
        self.len() > before
    }

    fn push(&mut self, entry: Entry, outlet: &Outlet) {
        outlet.left(&entry.batch);
        self.values += values_of(&entry.batch);
        self.backlog += usize::from(entry.ticket.is_backlog);
        // Nobody else has it yet.
        Arc::make_mut(&mut self.batches).push(entry.batch);
        self.tickets.push(entry.ticket);
    }

    /// What is left from `at` on.
    pub(super) fn split_off(mut self, at: usize) -> Self {
        // A commit that hangs may still hold the batches; then they are copied.
        self.batches = Arc::new(Arc::make_mut(&mut self.batches).split_off(at));
        self.tickets = self.tickets.split_off(at);
        self
    }

    /// The first `len` batches alone.
    pub(super) fn truncate(mut self, len: usize) -> Self {
        Arc::make_mut(&mut self.batches).truncate(len);
        self.tickets.truncate(len);
        self
    }
}
