//! Which part of the work is ours: shards of machines, evenly shared among the services that are there, and the notifier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sysmon_store::{Lease, RuleStore, SHARDS, StoreError, Work};
use tokio::sync::{mpsc, oneshot, watch};

/// The most services that share. Each holds one of these seats beside its work, so that one that has no work yet is
/// counted too, and others make room. They are shards without machines.
const SEATS: u32 = 64;
/// How long a shard that is given away may take to be stored.
const GIVE_LIMIT: Duration = Duration::from_secs(2);
/// How long the store may take to answer before it counts as down.
const STORE_LIMIT: Duration = Duration::from_secs(5);

/// What is ours at present.
pub(crate) type Held = Arc<BTreeMap<Work, Lease>>;

/// Shards to be stored and let go of; the answer is that this is done.
#[derive(Debug)]
pub(crate) struct Give {
    pub(crate) shards: BTreeSet<u32>,
    pub(crate) done: oneshot::Sender<()>,
}

pub(crate) struct Leases {
    pub(crate) store: Arc<dyn RuleStore>,
    pub(crate) holder: String,
    pub(crate) lease_ms: u64,
    pub(crate) held: watch::Sender<Held>,
    pub(crate) gives: mpsc::Sender<Give>,
}

impl Leases {
    /// Renews and shares for ever.
    pub(crate) async fn run(&self) {
        let pause = Duration::from_millis((self.lease_ms / 3).max(1));
        let mut was_down = false;
        loop {
            let started = tokio::time::Instant::now();
            let round = tokio::time::timeout(STORE_LIMIT, self.round()).await;
            let problem = match round {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("it does not answer".to_owned()),
            };
            if let Some(problem) = &problem
                && !was_down
            {
                tracing::warn!(
                    problem,
                    "the store of rules is down; what is ours goes on from memory"
                );
            }
            was_down = problem.is_some();
            tokio::time::sleep_until(started + pause).await;
        }
    }

    async fn round(&self) -> Result<(), StoreError> {
        let holders = self.store.holders().await?;
        let plan = plan(&self.holder, &holders);
        if !plan.give.is_empty() {
            self.give(&plan.give).await?;
        }
        let most = plan.mine - plan.give.len() + plan.want.len();
        let leases = self
            .store
            .lease(&self.holder, &plan.want, most, self.lease_ms)
            .await?;
        let now: BTreeMap<Work, Lease> = leases.into_iter().map(|lease| (lease.work, lease)).collect();
        self.held.send_if_modified(|held| {
            let changed = **held != now;
            if changed {
                tracing::debug!(count = now.len(), "the share of the work has changed");
                *held = Arc::new(now);
            }
            changed
        });
        Ok(())
    }

    /// Stores shards and gives them back, so that others can go on where we were.
    async fn give(&self, shards: &[u32]) -> Result<(), StoreError> {
        let (done, is_done) = oneshot::channel();
        let give = Give {
            shards: shards.iter().copied().collect(),
            done,
        };
        if self.gives.send(give).await.is_ok() {
            // What is not stored in time is worked out again by the next holder.
            let _ = tokio::time::timeout(GIVE_LIMIT, is_done).await;
        }
        let held = Arc::clone(&self.held.borrow());
        let leases: Vec<Lease> = shards
            .iter()
            .filter_map(|shard| held.get(&Work::Shard(*shard)).cloned())
            .collect();
        self.store.release(&leases).await
    }

    /// Gives everything back.
    pub(crate) async fn release(&self) {
        let held = self.held.send_replace(Held::default());
        let leases: Vec<Lease> = held.values().cloned().collect();
        let released = tokio::time::timeout(STORE_LIMIT, self.store.release(&leases)).await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::debug!("leases were not given back; they lapse by themselves");
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// How much is ours now, seat included.
    mine: usize,
    want: Vec<Work>,
    give: Vec<u32>,
}

/// What to take and what to give away, so that each service has its share.
fn plan(holder: &str, holders: &[(Work, String)]) -> Plan {
    let taken: BTreeMap<Work, &str> = holders
        .iter()
        .map(|(work, name)| (*work, name.as_str()))
        .collect();
    let is_mine = |work: &Work| taken.get(work) == Some(&holder);
    let seats = (0..SEATS).map(|seat| Work::Shard(SHARDS + seat));
    let members: BTreeSet<&str> = seats
        .clone()
        .filter_map(|seat| taken.get(&seat).copied())
        .chain([holder])
        .collect();
    let share = (SHARDS as usize).div_ceil(members.len());
    let own: Vec<u32> = (0..SHARDS)
        .filter(|shard| is_mine(&Work::Shard(*shard)))
        .collect();
    let mut want = Vec::new();
    if !seats.clone().any(|seat| is_mine(&seat)) {
        want.extend(seats.clone().find(|seat| !taken.contains_key(seat)));
    }
    if !taken.contains_key(&Work::Notifier) {
        want.push(Work::Notifier);
    }
    let free = (0..SHARDS)
        .map(Work::Shard)
        .filter(|shard| !taken.contains_key(shard));
    want.extend(free.take(share.saturating_sub(own.len())));
    Plan {
        mine: taken.keys().filter(|work| is_mine(work)).count(),
        want,
        give: own.into_iter().skip(share).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything_of(name: &str) -> Vec<(Work, String)> {
        let shards = (0..SHARDS).map(Work::Shard);
        let all = shards.chain([Work::Shard(SHARDS), Work::Notifier]);
        all.map(|work| (work, name.to_owned())).collect()
    }

    #[test]
    fn the_first_takes_all_and_makes_room_for_the_second() {
        let first = plan("a", &[]);
        assert_eq!((first.mine, first.want.len(), first.give.len()), (0, 18, 0));
        let mut holders = everything_of("a");
        let second = plan("b", &holders);
        assert_eq!(second.want, [Work::Shard(SHARDS + 1)], "a seat, to be seen");
        holders.push((Work::Shard(SHARDS + 1), "b".into()));
        let first = plan("a", &holders);
        assert_eq!((first.mine, first.give), (18, (8..16).collect()));
        holders.retain(|(work, _)| !matches!(work, Work::Shard(8..16)));
        let second = plan("b", &holders);
        assert_eq!((second.mine, second.want.len()), (1, 8));
        assert!(plan("a", &holders).give.is_empty() && plan("a", &holders).want.is_empty());
    }

    #[test]
    fn what_a_dead_service_had_is_taken_by_the_others() {
        let mut holders = everything_of("a");
        holders.retain(|(work, _)| matches!(work, Work::Shard(0..8) | Work::Shard(16)));
        let plan = plan("a", &holders);
        assert_eq!(plan.want.len(), 9);
        assert_eq!(plan.want[0], Work::Notifier);
    }
}
