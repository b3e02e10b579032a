//! Stores what shards have worked out, and tells it.

use std::sync::Arc;

use sysmon_core::alert::{Alert, Transition};
use sysmon_store::{ErrorKind, Lease, RuleStore, StoreError};

use crate::hub::Hub;
use crate::shard::Waiting;

/// A piece of work and whose it is.
pub(crate) struct Job {
    pub(crate) shard: u32,
    pub(crate) lease: Lease,
    pub(crate) work: Waiting,
}

/// What became of it.
#[derive(Debug)]
pub(crate) enum Saved {
    /// It is stored, or never will be.
    Done,
    /// The shard is another's by now.
    Refused,
    /// The store is down: put it back.
    Later(Box<Waiting>),
}

/// Stores one shard's work, then tells it. When the store is down it is told all the same, once.
pub(crate) async fn save(store: &dyn RuleStore, hub: &Hub, job: Job) -> (u32, Saved) {
    let Job {
        shard,
        lease,
        mut work,
    } = job;
    if work.dropped > 0 {
        tracing::error!(
            shard,
            dropped = work.dropped,
            "steps of alerts are missing in the log: there was no room for them while the store was down"
        );
        work.dropped = 0;
    }
    let saved = match store.save_shard(&lease, &work.to_work()).await {
        Ok(true) => Saved::Done,
        Ok(false) => return (shard, Saved::Refused),
        Err(error) if error.kind == ErrorKind::Rejected => {
            return (shard, one_by_one(store, hub, &lease, work, &error).await);
        }
        Err(error) => {
            tracing::debug!(shard, %error, "alerts are not stored yet");
            tell(hub, &mut work).await;
            return (shard, Saved::Later(Box::new(work)));
        }
    };
    tell(hub, &mut work).await;
    (shard, saved)
}

/// One machine's work cannot be stored: the others' can.
async fn one_by_one(
    store: &dyn RuleStore,
    hub: &Hub,
    lease: &Lease,
    work: Waiting,
    error: &StoreError,
) -> Saved {
    tracing::debug!(%error, "alerts of a shard are stored machine by machine");
    let mut later = Waiting::default();
    for (machine, mut part) in work.by_machine() {
        match store.save_shard(lease, &part.to_work()).await {
            Ok(true) => tell(hub, &mut part).await,
            Ok(false) => return Saved::Refused,
            Err(error) if error.kind == ErrorKind::Rejected => {
                tracing::error!(%machine, %error, "what became of its alerts cannot be stored; report this");
                // People are told as long as anybody can tell them.
                tell(hub, &mut part).await;
            }
            Err(_) => {
                tell(hub, &mut part).await;
                later.put_back(part);
            }
        }
    }
    if later.is_empty() {
        Saved::Done
    } else {
        Saved::Later(Box::new(later))
    }
}

async fn tell(hub: &Hub, work: &mut Waiting) {
    let alerts: Vec<Alert> = work.alerts.values().cloned().collect();
    let steps: Vec<Transition> = work
        .transitions
        .iter()
        .filter(|step| !step.is_told)
        .map(|step| step.transition.clone())
        .collect();
    hub.alerts(&alerts, &steps).await;
    for step in &mut work.transitions {
        step.is_told = true;
    }
}

/// Stores several shards' work, one after the other.
pub(crate) async fn save_all(store: Arc<dyn RuleStore>, hub: Arc<Hub>, jobs: Vec<Job>) -> Vec<(u32, Saved)> {
    let mut saved = Vec::with_capacity(jobs.len());
    for job in jobs {
        saved.push(save(&*store, &hub, job).await);
    }
    saved
}
