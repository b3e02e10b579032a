//! What people decided: rules, silences, acknowledgements, as the store has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, AlertKey, Rule, RuleId, RuleSet, Silence};
use sysmon_store::{RuleStore, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::hub::Hub;

/// How often everything is loaded anew where others say what they change, and where they do not.
const RELOAD: Duration = Duration::from_secs(30);
const RELOAD_WITHOUT_BUS: Duration = Duration::from_secs(5);
/// How soon it is tried again when the store is down.
const RETRY: Duration = Duration::from_secs(1);

/// Rules, silences and acknowledgements.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// Grows when the rules change.
    pub(crate) edition: u64,
    pub(crate) rules: BTreeMap<RuleId, Rule>,
    /// The same, ready to judge.
    pub(crate) set: Arc<RuleSet>,
    /// Rules about memory: their culprits are those that have most of it.
    pub(crate) by_memory: Arc<BTreeSet<RuleId>>,
    pub(crate) silences: Vec<Silence>,
    pub(crate) acknowledgements: BTreeMap<AlertKey, Acknowledgement>,
}

impl Book {
    async fn load(store: &dyn RuleStore, now: UnixMillis, before: &Self) -> Result<Self, StoreError> {
        let rules: BTreeMap<RuleId, Rule> = store
            .rules()
            .await?
            .into_iter()
            .map(|stored| (stored.rule.id.clone(), stored.rule))
            .collect();
        let is_same = rules == before.rules && before.edition > 0;
        let set = if is_same {
            Arc::clone(&before.set)
        } else {
            let set = RuleSet::new(rules.values().cloned());
            if !set.refused().is_empty() {
                tracing::warn!(rules = ?set.refused(), "rules that cannot be evaluated are left out");
            }
            Arc::new(set)
        };
        let by_memory = rules.values().filter(|rule| is_about_memory(rule));
        Ok(Self {
            edition: before.edition + u64::from(!is_same),
            by_memory: Arc::new(by_memory.map(|rule| rule.id.clone()).collect()),
            rules,
            set,
            silences: store.silences(now).await?,
            acknowledgements: store.acknowledgements().await?.into_iter().collect(),
        })
    }

    /// Metrics that the rules need. One that every machine has is always among them: its samples prove that a machine is
    /// alive, and no metric at all would mean all.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let mut metrics: Vec<String> = self
            .set
            .rules()
            .flat_map(crate::judge::metrics_of)
            .chain(["cpu.busy_percent".to_owned()])
            .collect();
        metrics.sort();
        metrics.dedup();
        metrics
    }

    fn is_like(&self, other: &Self) -> bool {
        self.edition == other.edition
            && self.silences == other.silences
            && self.acknowledgements == other.acknowledgements
    }
}

fn is_about_memory(rule: &Rule) -> bool {
    let is = |metric: &String| {
        ["memory.", "swap."]
            .iter()
            .any(|family| metric.starts_with(family))
    };
    crate::judge::metrics_of(rule).first().is_some_and(is)
}

/// Keeps the book true.
pub(crate) async fn keep(
    store: Arc<dyn RuleStore>,
    hub: Arc<Hub>,
    clock: Clock,
    book: watch::Sender<Arc<Book>>,
    shutdown: CancellationToken,
) {
    let usual = if hub.has_bus() { RELOAD } else { RELOAD_WITHOUT_BUS };
    let work = async {
        let mut was_down = false;
        loop {
            let before = Arc::clone(&book.borrow());
            let pause = match Book::load(&*store, clock.now(), &before).await {
                Ok(loaded) => {
                    if !loaded.is_like(&before) {
                        book.send_replace(Arc::new(loaded));
                    }
                    was_down = false;
                    usual
                }
                Err(error) => {
                    if !std::mem::replace(&mut was_down, true) {
                        tracing::warn!(%error, "rules and silences cannot be loaded; those known before stay in force");
                    }
                    RETRY
                }
            };
            // Whatever asks meanwhile is kept, once.
            let _ = tokio::time::timeout(pause, hub.reload.notified()).await;
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = work => {}
    }
}
