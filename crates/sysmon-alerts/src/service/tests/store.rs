//! A store that can be down, and that can end whoever calls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, Alert, AlertKey, Rule, RuleId, Silence, SilenceId};
use sysmon_store::{
    AuditEntry, Author, Delivery, DeliveryState, Lease, LoggedTransition, NewSilence, Notifier, NotifierWork,
    Put, RuleStore, Shard, ShardWork, StoreError, StoreInfo, StoredRule, TransitionQuery, Work,
    open_rule_store,
};
use tokio_util::sync::CancellationToken;

/// Calls of one test, counted; after a given one whoever made it is ended before it knows what came of it.
pub(super) struct Trap {
    calls: AtomicUsize,
    renewals: AtomicUsize,
    at: usize,
    pub(super) sprung: CancellationToken,
}

impl Trap {
    pub(super) fn new(at: usize) -> Arc<Self> {
        Arc::new(Self {
            calls: AtomicUsize::new(0),
            renewals: AtomicUsize::new(0),
            at,
            sprung: CancellationToken::new(),
        })
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Renewals of leases are all alike: only the first are worth an end.
    async fn pass_renewal(&self) {
        if self.renewals.fetch_add(1, Ordering::Relaxed) < 24 {
            self.pass().await;
        }
    }

    pub(super) async fn pass(&self) {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 == self.at {
            self.sprung.cancel();
            std::future::pending().await
        }
    }
}

/// The memory's store, watched.
pub(super) struct Watched {
    inner: Arc<dyn RuleStore>,
    pub(super) is_down: AtomicBool,
    /// Reading shards breaks: a defect, not a failure.
    pub(super) is_defective: AtomicBool,
    /// States of machines that are read are in no form that anybody knows.
    pub(super) scrambles_states: AtomicBool,
    pub(super) trap: std::sync::Mutex<Option<Arc<Trap>>>,
}

impl Watched {
    pub(super) async fn new() -> Self {
        Self {
            inner: open_rule_store("memory:").await.unwrap(),
            is_down: AtomicBool::new(false),
            is_defective: AtomicBool::new(false),
            scrambles_states: AtomicBool::new(false),
            trap: std::sync::Mutex::new(None),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(StoreError::unavailable("down"));
        }
        Ok(())
    }

    async fn pass(&self) {
        let trap = self.trap.lock().unwrap().clone();
        if let Some(trap) = trap {
            trap.pass().await;
        }
    }

    async fn pass_renewal(&self) {
        let trap = self.trap.lock().unwrap().clone();
        if let Some(trap) = trap {
            trap.pass_renewal().await;
        }
    }
}

#[async_trait]
impl RuleStore for Watched {
    async fn rules(&self) -> Result<Vec<StoredRule>, StoreError> {
        self.check()?;
        let result = self.inner.rules().await;
        self.pass().await;
        result
    }

    async fn put_rule(&self, rule: &Rule, expected: u64, author: &Author) -> Result<Put, StoreError> {
        self.check()?;
        let result = self.inner.put_rule(rule, expected, author).await;
        self.pass().await;
        result
    }

    async fn delete_rule(&self, id: &RuleId, expected: u64, author: &Author) -> Result<Put, StoreError> {
        self.check()?;
        let result = self.inner.delete_rule(id, expected, author).await;
        self.pass().await;
        result
    }

    async fn install_starter(&self, rules: &[Rule], author: &Author) -> Result<usize, StoreError> {
        self.check()?;
        let result = self.inner.install_starter(rules, author).await;
        self.pass().await;
        result
    }

    async fn silences(&self, now: UnixMillis) -> Result<Vec<Silence>, StoreError> {
        self.check()?;
        let result = self.inner.silences(now).await;
        self.pass().await;
        result
    }

    async fn add_silence(&self, silence: &NewSilence, author: &Author) -> Result<Silence, StoreError> {
        self.check()?;
        let result = self.inner.add_silence(silence, author).await;
        self.pass().await;
        result
    }

    async fn end_silence(&self, id: SilenceId, author: &Author) -> Result<bool, StoreError> {
        self.check()?;
        let result = self.inner.end_silence(id, author).await;
        self.pass().await;
        result
    }

    async fn acknowledge(
        &self,
        key: &AlertKey,
        acknowledgement: Option<&Acknowledgement>,
        author: &Author,
    ) -> Result<(), StoreError> {
        self.check()?;
        let result = self.inner.acknowledge(key, acknowledgement, author).await;
        self.pass().await;
        result
    }

    async fn acknowledgements(&self) -> Result<Vec<(AlertKey, Acknowledgement)>, StoreError> {
        self.check()?;
        let result = self.inner.acknowledgements().await;
        self.pass().await;
        result
    }

    async fn note(
        &self,
        author: &Author,
        action: &'static str,
        object: &str,
        after: &str,
    ) -> Result<(), StoreError> {
        self.check()?;
        let result = self.inner.note(author, action, object, after).await;
        self.pass().await;
        result
    }

    async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.check()?;
        let result = self.inner.audit(before, limit).await;
        self.pass().await;
        result
    }

    async fn lease(
        &self,
        holder: &str,
        wanted: &[Work],
        most: usize,
        lease_ms: u64,
    ) -> Result<Vec<Lease>, StoreError> {
        self.check()?;
        let result = self.inner.lease(holder, wanted, most, lease_ms).await;
        self.pass_renewal().await;
        result
    }

    async fn holders(&self) -> Result<Vec<(Work, String)>, StoreError> {
        self.check()?;
        let result = self.inner.holders().await;
        self.pass_renewal().await;
        result
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        self.check()?;
        let result = self.inner.release(leases).await;
        self.pass().await;
        result
    }

    async fn load_shard(&self, shard: u32) -> Result<Shard, StoreError> {
        self.check()?;
        assert!(
            !self.is_defective.load(Ordering::Relaxed),
            "a defect, for the test"
        );
        let mut result = self.inner.load_shard(shard).await;
        if let (true, Ok(shard)) = (self.scrambles_states.load(Ordering::Relaxed), &mut result) {
            for (_, state) in &mut shard.states {
                *state = bytes::Bytes::from_static(b"{\"version\":99}");
            }
        }
        self.pass().await;
        result
    }

    async fn save_shard(&self, lease: &Lease, work: &ShardWork) -> Result<bool, StoreError> {
        self.check()?;
        let result = self.inner.save_shard(lease, work).await;
        self.pass().await;
        result
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.check()?;
        let result = self.inner.alerts().await;
        self.pass().await;
        result
    }

    async fn transitions(&self, query: &TransitionQuery) -> Result<Vec<LoggedTransition>, StoreError> {
        self.check()?;
        let result = self.inner.transitions(query).await;
        self.pass().await;
        result
    }

    async fn load_notifier(&self) -> Result<Notifier, StoreError> {
        self.check()?;
        let result = self.inner.load_notifier().await;
        self.pass().await;
        result
    }

    async fn transitions_after(&self, after: i64, limit: u32) -> Result<Vec<LoggedTransition>, StoreError> {
        self.check()?;
        let result = self.inner.transitions_after(after, limit).await;
        self.pass().await;
        result
    }

    async fn save_notifier(&self, lease: &Lease, work: &NotifierWork) -> Result<bool, StoreError> {
        self.check()?;
        let result = self.inner.save_notifier(lease, work).await;
        self.pass().await;
        result
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.check()?;
        let result = self.inner.deliveries(state, limit).await;
        self.pass().await;
        result
    }

    async fn resend(&self, id: &str, author: &Author) -> Result<bool, StoreError> {
        self.check()?;
        let result = self.inner.resend(id, author).await;
        self.pass().await;
        result
    }

    async fn request_delivery(&self, delivery: &Delivery, author: &Author) -> Result<(), StoreError> {
        self.check()?;
        let result = self.inner.request_delivery(delivery, author).await;
        self.pass().await;
        result
    }

    async fn maintain_rules(&self, now: UnixMillis, log_ms: u64) -> Result<(), StoreError> {
        self.check()?;
        let result = self.inner.maintain_rules(now, log_ms).await;
        self.pass().await;
        result
    }

    fn info(&self) -> StoreInfo {
        self.inner.info()
    }
}
