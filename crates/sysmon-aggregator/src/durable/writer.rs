//! The one task that writes history.

mod commit;
mod group;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::{Backoff, wire};
use sysmon_core::GapReason;
use sysmon_store::{Content, ErrorKind, History, IngestBatch, Outcome, StoreError};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::queue::{Gate, Outlet};
use super::{Component, Shared, apart};
use group::Group;

/// What of a group that failed is kept, to try with whether the store is well.
const TRIAL: usize = 16;
/// After a first failure the same is tried once more: a connection may have broken.
const SECOND_TRY: Duration = Duration::from_millis(250);
/// How long to let a store alone that was down, at first and at most.
const ALONE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// The same when somebody has to change something.
const ALONE_MISCONFIGURED: Duration = Duration::from_secs(30);
/// How long looking whether the store is well may take.
const PROBE_LIMIT: Duration = Duration::from_secs(10);
/// What is queued at the end is stored within this time, or not by us.
const LAST_LIMIT: Duration = Duration::from_secs(1);
/// Batches of a large fleet gather for so long before they are taken out of their queue.
const NAP: Duration = Duration::from_millis(10);
/// A commit that takes longer than this is slow, and the store is until so many were not.
const SLOW: Duration = Duration::from_secs(1);
const SLOW_FOR_COMMITS: u32 = 3;

/// How much goes into a commit, and how long it may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    group: Duration,
    commit: Duration,
    batches: usize,
    values: usize,
}

impl Limits {
    pub(super) fn new(group: Duration, commit: Duration) -> Self {
        Self {
            group,
            commit,
            batches: 2_048,
            values: 262_144,
        }
    }
}

/// Collects batches, commits them, and tells their streams. One commit is under way at a time.
pub(super) struct Writer {
    history: Arc<dyn History>,
    shared: Arc<Shared>,
    outlet: Outlet,
    component: Component,
    limits: Limits,
    shutdown: CancellationToken,
    /// So many quick commits are still to come before the store is not slow any more.
    slow: u32,
    /// The last commit was given up.
    is_hung: bool,
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Writer").finish_non_exhaustive()
    }
}

/// Why a range of a group is not stored, and where it begins.
struct Stopped {
    at: usize,
    error: StoreError,
}

impl Writer {
    pub(super) fn new(
        history: Arc<dyn History>,
        shared: Arc<Shared>,
        outlet: Outlet,
        component: Component,
        limits: Limits,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            history,
            shared,
            outlet,
            component,
            limits,
            shutdown,
            slow: 0,
            is_hung: false,
        }
    }

    /// Writes until it is told to stop, or until nobody is left who could send anything.
    pub(super) async fn run(mut self) {
        while let Some(group) = self.gather().await {
            self.store(group).await;
            if self.shutdown.is_cancelled() {
                break;
            }
        }
        self.finish().await;
    }

    /// The next group: what comes within the time of a group after the first batch, or fills one.
    async fn gather(&mut self) -> Option<Group> {
        let mut group = Group::new(self.limits.batches, self.limits.values);
        let mut gate = self.outlet.gate.subscribe();
        let deadline = loop {
            self.reopen();
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return None,
                more = group.fill(&mut self.outlet) => {
                    if !more {
                        return None;
                    }
                    break Instant::now() + self.limits.group;
                }
                // A session found the queue full; by now it may be empty, and then nobody else reopens the gate.
                _ = gate.changed() => {}
            }
        };
        while !(group.is_full() || group.is_worth_it() && self.shared.credits.are_used_up()) {
            let is_crowded = group.is_crowded();
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                more = group.fill(&mut self.outlet), if !is_crowded => if !more { break },
                () = sleep_until(deadline) => break,
                // From a large fleet more comes all the time: not to wake up for each batch costs nobody anything.
                () = sleep(NAP), if is_crowded => {
                    group.drain(&mut self.outlet);
                }
            }
        }
        self.reopen();
        Some(group)
    }

    /// Lets collectors send again what found the queue full, when it has room again.
    fn reopen(&self) {
        if !self.outlet.is_over_half() {
            self.outlet.gate.send_if_modified(|gate| {
                let is_full = *gate == Gate::Full;
                if is_full {
                    *gate = Gate::Open;
                }
                is_full
            });
        }
    }

    /// Stores a group, and when the store fails, waits until it is well.
    async fn store(&mut self, group: Group) {
        let all = 0..group.len();
        let mut result = self.work_off(&group, all).await;
        if let Err(stopped) = &result
            && stopped.error.kind == ErrorKind::Unavailable
            && !self.is_hung
            && !self.shutdown.is_cancelled()
        {
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = sleep(SECOND_TRY) => {}
            }
            result = self.work_off(&group, stopped.at..group.len()).await;
        }
        if let Err(stopped) = result {
            self.until_well(group.split_off(stopped.at), stopped.error).await;
        }
    }

    /// Stores a range of a group. What the store refuses for good is found by halving and buried; the rest is stored.
    async fn work_off(&mut self, group: &Group, range: Range<usize>) -> Result<(), Stopped> {
        let mut ranges = vec![range];
        while let Some(range) = ranges.pop() {
            let error = match self.commit(group, range.clone()).await {
                Ok(outcomes) => {
                    self.settle(group, range, &outcomes);
                    continue;
                }
                Err(error) => error,
            };
            match error.kind {
                ErrorKind::Rejected if range.len() > 1 => {
                    let middle = range.start + range.len() / 2;
                    ranges.push(middle..range.end);
                    ranges.push(range.start..middle);
                }
                ErrorKind::Rejected => self.bury(group, range.start, &error.message).await?,
                ErrorKind::Unavailable | ErrorKind::Misconfigured => {
                    return Err(Stopped {
                        at: range.start,
                        error,
                    });
                }
            }
        }
        Ok(())
    }

    /// Finds a way to get a batch out of the way that the store refuses: without the host, as a dead letter, as a bare
    /// one, as lost. Its stream ends when there is none.
    async fn bury(&mut self, group: &Group, index: usize, reason: &str) -> Result<(), Stopped> {
        let (batch, ticket) = group.get(index);
        tracing::warn!(machine = %batch.machine, epoch = %batch.epoch, sequence = batch.sequence, reason,
            "the store refuses a batch");
        for burial in burials(batch, reason, self.shared.now()) {
            let is_dead = matches!(burial.content, Content::Dead { .. });
            let group = Group::of(burial, ticket.clone());
            match self.commit(&group, 0..1).await {
                Ok(outcomes) => {
                    self.shared.counters.history_buried.add(usize::from(is_dead));
                    self.settle(&group, 0..1, &outcomes);
                    return Ok(());
                }
                Err(error) if error.kind == ErrorKind::Rejected => {}
                Err(error) => return Err(Stopped { at: index, error }),
            }
        }
        ticket.board.refuse(&format!(
            "the history refuses batch {} and even its dead letter ({reason}); look at the aggregator's log",
            batch.sequence
        ));
        self.let_go(group, index..index + 1);
        Ok(())
    }

    /// Tells streams what became of their batches.
    fn settle(&mut self, group: &Group, range: Range<usize>, outcomes: &[Outcome]) {
        let mut joining = Vec::new();
        for (index, outcome) in range.zip(outcomes) {
            let (batch, ticket) = group.get(index);
            match outcome {
                Outcome::Stored { through } => {
                    self.shared.counters.history_stored.add(1);
                    if ticket.board.stored(batch.epoch, *through) {
                        joining.push(Arc::clone(&ticket.board));
                    }
                }
                Outcome::Expected { sequence } => ticket.set_back(batch, *sequence),
            }
            if ticket.is_backlog {
                self.shared.credits.settled(&ticket.board);
            }
        }
        self.shared.pace.join(joining);
        self.shared.credits.distribute();
    }

    /// Gives up a range of a group: its collectors keep it and are asked for it later.
    fn let_go(&self, group: &Group, range: Range<usize>) {
        for index in range {
            let (batch, ticket) = group.get(index);
            ticket.set_back(batch, batch.sequence);
            if ticket.is_backlog {
                self.shared.credits.settled(&ticket.board);
            }
        }
        self.shared.credits.distribute();
    }

    /// The store takes nothing: lets go of all but a few batches, leaves it alone for longer and longer, and returns when
    /// those few could be stored or everything ends.
    async fn until_well(&mut self, failed: Group, mut error: StoreError) {
        self.outlet.gate.send_replace(Gate::Down);
        self.shared.credits.pause();
        let kept = failed.len().min(TRIAL);
        self.let_go(&failed, kept..failed.len());
        let mut trial = failed.truncate(kept);
        let mut backoff = Backoff::new(ALONE.0, ALONE.1);
        loop {
            self.component.set(wire::StorageHealth::Down, told(&error));
            let alone = match error.kind {
                ErrorKind::Misconfigured => ALONE_MISCONFIGURED,
                ErrorKind::Unavailable | ErrorKind::Rejected => backoff.next(),
            };
            if !self.leave_alone(alone).await {
                self.let_go(&trial, 0..trial.len());
                return;
            }
            let history = Arc::clone(&self.history);
            let probe = timeout(PROBE_LIMIT, apart(async move { history.probe().await })).await;
            if let Err(failure) = probe.unwrap_or_else(|_| Err(StoreError::unavailable("it does not answer")))
            {
                error = failure;
                continue;
            }
            match self.work_off(&trial, 0..trial.len()).await {
                Ok(()) => break,
                Err(stopped) => {
                    trial = trial.split_off(stopped.at);
                    error = stopped.error;
                }
            }
        }
        self.outlet.gate.send_replace(Gate::Open);
        self.shared.credits.resume();
        self.slow = 0;
        self.component.set(wire::StorageHealth::Ok, "");
    }

    /// Lets time pass, and go of what was on its way into the queues; `false` when everything ends meanwhile.
    async fn leave_alone(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            let mut group = Group::new(self.limits.batches, usize::MAX);
            let is_over = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return false,
                more = group.fill(&mut self.outlet) => !more,
                () = sleep_until(end) => return true,
            };
            self.let_go(&group, 0..group.len());
            if is_over {
                return false;
            }
        }
    }

    /// The end: takes nothing more, and stores what is queued if that is quickly done.
    async fn finish(mut self) {
        self.outlet.live.close();
        self.outlet.backlog.close();
        let is_down = *self.outlet.gate.borrow() == Gate::Down;
        let last = async {
            loop {
                let mut group = Group::new(self.limits.batches, self.limits.values);
                let more = group.fill(&mut self.outlet).await;
                if group.len() == 0 && !more {
                    return;
                }
                if !is_down && let Err(stopped) = self.work_off(&group, 0..group.len()).await {
                    tracing::warn!(problem = %stopped.error, "the last batches are not stored; collectors keep them");
                    return;
                }
            }
        };
        if timeout(LAST_LIMIT, last).await.is_err() {
            tracing::warn!("the last batches were not stored in time; collectors keep them");
        }
        self.shared.pace.release_all();
        self.outlet.gate.send_replace(Gate::Finished);
    }
}

/// Ways to record a batch that the store refuses, best first. Each moves the cursor as the batch itself would.
fn burials(batch: &IngestBatch, reason: &str, now: sysmon_core::UnixMillis) -> Vec<IngestBatch> {
    let with = |content| IngestBatch {
        content,
        host: None,
        ..batch.clone()
    };
    let tick = match &batch.content {
        Content::Tick { at, series, values } => Some(sysmon_store::dead_tick(*at, series, values)),
        Content::Dead { tick, .. } => tick.clone(),
        Content::Lost { .. } => None,
    };
    let dead = |reason: &str, tick| Content::Dead {
        received: now,
        reason: reason.to_owned(),
        tick,
    };
    let mut burials = Vec::new();
    if batch.host.is_some() {
        burials.push(with(batch.content.clone()));
    }
    // A dead letter is about one sequence, so it cannot stand for a range.
    if !matches!(batch.content, Content::Lost { .. }) {
        burials.push(with(dead(reason, tick)));
        burials.push(with(dead("the store refuses it", None)));
    }
    burials.push(with(Content::Lost {
        last_sequence: batch.last_sequence(),
        from: now,
        to: now,
        reason: GapReason::SpoolDamaged,
    }));
    burials
}

/// What people are told of a store that is down.
fn told(error: &StoreError) -> String {
    let clean = sysmon_core::sanitize(&error.message);
    let what = sysmon_core::clip(&clean, 300);
    match error.kind {
        ErrorKind::Misconfigured => format!("{what}; change that, it is tried again every 30 s"),
        ErrorKind::Unavailable | ErrorKind::Rejected => {
            format!("{what}; collectors keep what they measure, it is tried again by itself")
        }
    }
}
