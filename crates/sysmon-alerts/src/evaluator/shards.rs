//! Shards that come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sysmon_core::MachineId;
use sysmon_core::alert::Alert;
use sysmon_store::{Lease, StoreError, Work, shard_of};

use super::Evaluator;
use crate::judge::{Judge, Outcome};
use crate::leases::Give;
use crate::saver::{self, Job};
use crate::shard::{Shard, Waiting};

/// How soon a shard is loaded again that could not be.
const RELOAD: Duration = Duration::from_secs(1);

impl Evaluator {
    /// Lets go of what is not ours any more, and loads what is new. Not before there are rules: without them every alert
    /// would seem to be of a rule that is gone.
    pub(super) fn take_leases(&mut self) {
        let held = Arc::clone(&self.held);
        let fence = |number: u32| held.get(&Work::Shard(number)).map(|lease| lease.fence);
        self.shards
            .retain(|number, shard| fence(*number) == Some(shard.lease.fence));
        self.awaited
            .retain(|number, awaited| fence(*number) == Some(*awaited));
        if self.book.edition == 0 {
            return;
        }
        for number in 0..sysmon_store::SHARDS {
            if let Some(fence) = fence(number)
                && !self.shards.contains_key(&number)
                && !self.awaited.contains_key(&number)
            {
                self.load(number, fence, Duration::ZERO);
            }
        }
    }

    fn load(&mut self, number: u32, fence: i64, pause: Duration) {
        self.awaited.insert(number, fence);
        let store = Arc::clone(&self.store);
        self.loading.spawn(async move {
            tokio::time::sleep(pause).await;
            (number, fence, store.load_shard(number).await)
        });
    }

    /// A shard is loaded: its machines go on where they were, and judge what came since.
    pub(super) async fn install(
        &mut self,
        number: u32,
        fence: i64,
        loaded: Result<sysmon_store::Shard, StoreError>,
    ) {
        // What was loaded under another lease may be old.
        if self.awaited.get(&number) != Some(&fence) {
            return;
        }
        self.awaited.remove(&number);
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::warn!(shard = number, %error, "alerts of a shard cannot be loaded yet");
                return self.load(number, fence, RELOAD);
            }
        };
        let shard = Shard {
            lease: Lease {
                work: Work::Shard(number),
                fence,
            },
            machines: BTreeMap::new(),
            work: Waiting::default(),
        };
        self.shards.insert(number, shard);
        self.restore(number, loaded).await;
        let known: Vec<MachineId> = self
            .numbers
            .keys()
            .filter(|id| shard_of(id) == number)
            .cloned()
            .collect();
        for id in known {
            self.introduce(number, &id);
            tokio::task::consume_budget().await;
        }
    }

    async fn restore(&mut self, number: u32, loaded: sysmon_store::Shard) {
        let now = self.some_moment();
        let mut alerts: BTreeMap<MachineId, Vec<Alert>> = BTreeMap::new();
        for alert in loaded.alerts {
            alerts.entry(alert.key.machine.clone()).or_default().push(alert);
        }
        for (id, state) in loaded.states {
            let shown = alerts.get(&id).cloned().unwrap_or_default();
            let mut outcome = Outcome::default();
            match Judge::restore(&state, shown, &self.book, now, &mut outcome) {
                Ok(judge) => {
                    alerts.remove(&id);
                    self.put(number, id, judge, outcome);
                }
                Err(problem) => {
                    tracing::error!(machine = %id, problem, "the state of its alerts cannot be used: what fires goes on firing, windows and holds begin anew");
                    alerts.entry(id).or_default();
                }
            }
            tokio::task::consume_budget().await;
        }
        // Without a state that can be used, what people see is what there is.
        for (id, shown) in alerts {
            let mut outcome = Outcome::default();
            let judge = Judge::take_over(id.clone(), shown, &self.book, now, &mut outcome);
            self.put(number, id, judge, outcome);
            tokio::task::consume_budget().await;
        }
    }

    /// A machine of a shard that was just loaded.
    fn put(&mut self, number: u32, id: MachineId, mut judge: Judge, outcome: Outcome) {
        if self.spoken.is_some() && !self.numbers.contains_key(&id) {
            judge.resume(self.some_moment());
        }
        if let Some(shard) = self.shards.get_mut(&number) {
            shard.machines.insert(id, judge);
        }
        self.note(number, outcome);
    }

    fn introduce(&mut self, number: u32, id: &MachineId) {
        let machine = self
            .numbers
            .get(id)
            .and_then(|place| self.replica.machine(*place));
        let (Some(machine), Some(shard)) = (machine, self.shards.get_mut(&number)) else {
            return;
        };
        let mut outcome = Outcome::default();
        let judge = shard
            .machines
            .entry(id.clone())
            .or_insert_with(|| Judge::new(id.clone(), &self.book, machine.last_seen));
        judge.introduce(machine, &mut outcome);
        self.note(number, outcome);
    }

    /// Stores shards with their states and lets go of them.
    pub(super) async fn give(&mut self, give: Give) {
        self.finish_saving().await;
        self.keep_states(|number| give.shards.contains(&number));
        let jobs = self.jobs(|number| give.shards.contains(&number));
        self.shards.retain(|number, _| !give.shards.contains(number));
        saver::save_all(Arc::clone(&self.store), Arc::clone(&self.hub), jobs).await;
        // Whoever asked may have lost patience.
        let _ = give.done.send(());
    }

    /// Stores all there is, at the end.
    pub(super) async fn save_everything(&mut self) {
        self.finish_saving().await;
        self.keep_states(|_| true);
        let jobs = self.jobs(|_| true);
        saver::save_all(Arc::clone(&self.store), Arc::clone(&self.hub), jobs).await;
    }

    async fn finish_saving(&mut self) {
        while let Some(saved) = self.saving.join_next().await {
            self.take_saved(saved.unwrap_or_default());
        }
    }

    /// The states of machines that have changed, too.
    fn keep_states(&mut self, wanted: impl Fn(u32) -> bool) {
        for (_, shard) in self.shards.iter_mut().filter(|(number, _)| wanted(**number)) {
            for (id, judge) in &mut shard.machines {
                if judge.is_dirty() {
                    shard.work.states.insert(id.clone(), judge.save());
                }
            }
        }
    }

    /// All work that waits, with the states of the machines that took steps.
    pub(super) fn jobs(&mut self, wanted: impl Fn(u32) -> bool) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (number, shard) in self.shards.iter_mut().filter(|(number, _)| wanted(**number)) {
            if shard.work.is_empty() {
                continue;
            }
            let mut work = std::mem::take(&mut shard.work);
            for step in &work.transitions {
                let id = &step.transition.key.machine;
                if let Some(judge) = shard.machines.get_mut(id).filter(|judge| judge.is_dirty()) {
                    work.states.insert(id.clone(), judge.save());
                }
            }
            jobs.push(Job {
                shard: *number,
                lease: Lease::clone(&shard.lease),
                work,
            });
        }
        jobs
    }
}
