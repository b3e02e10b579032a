//! A rule store that may not be there yet.

use async_trait::async_trait;
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, Alert, AlertKey, Rule, RuleId, Silence, SilenceId};
use sysmon_store::{
    AuditEntry, Author, Delivery, DeliveryState, Lease, LoggedTransition, NewSilence, Notifier, NotifierWork,
    Put, RuleStore, Shard, ShardWork, StoreError, StoreInfo, StoredRule, TransitionQuery, Work,
};

use super::Late;

#[async_trait]
impl RuleStore for Late<dyn RuleStore> {
    async fn rules(&self) -> Result<Vec<StoredRule>, StoreError> {
        self.opened().await?.rules().await
    }

    async fn put_rule(&self, rule: &Rule, expected: u64, author: &Author) -> Result<Put, StoreError> {
        self.opened().await?.put_rule(rule, expected, author).await
    }

    async fn delete_rule(&self, id: &RuleId, expected: u64, author: &Author) -> Result<Put, StoreError> {
        self.opened().await?.delete_rule(id, expected, author).await
    }

    async fn install_starter(&self, rules: &[Rule], author: &Author) -> Result<usize, StoreError> {
        self.opened().await?.install_starter(rules, author).await
    }

    async fn silences(&self, now: UnixMillis) -> Result<Vec<Silence>, StoreError> {
        self.opened().await?.silences(now).await
    }

    async fn add_silence(&self, silence: &NewSilence, author: &Author) -> Result<Silence, StoreError> {
        self.opened().await?.add_silence(silence, author).await
    }

    async fn end_silence(&self, id: SilenceId, author: &Author) -> Result<bool, StoreError> {
        self.opened().await?.end_silence(id, author).await
    }

    async fn acknowledge(
        &self,
        key: &AlertKey,
        acknowledgement: Option<&Acknowledgement>,
        author: &Author,
    ) -> Result<(), StoreError> {
        self.opened()
            .await?
            .acknowledge(key, acknowledgement, author)
            .await
    }

    async fn acknowledgements(&self) -> Result<Vec<(AlertKey, Acknowledgement)>, StoreError> {
        self.opened().await?.acknowledgements().await
    }

    async fn note(
        &self,
        author: &Author,
        action: &'static str,
        object: &str,
        after: &str,
    ) -> Result<(), StoreError> {
        self.opened().await?.note(author, action, object, after).await
    }

    async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.opened().await?.audit(before, limit).await
    }

    async fn lease(
        &self,
        holder: &str,
        wanted: &[Work],
        most: usize,
        lease_ms: u64,
    ) -> Result<Vec<Lease>, StoreError> {
        self.opened().await?.lease(holder, wanted, most, lease_ms).await
    }

    async fn holders(&self) -> Result<Vec<(Work, String)>, StoreError> {
        self.opened().await?.holders().await
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        self.opened().await?.release(leases).await
    }

    async fn load_shard(&self, shard: u32) -> Result<Shard, StoreError> {
        self.opened().await?.load_shard(shard).await
    }

    async fn save_shard(&self, lease: &Lease, work: &ShardWork) -> Result<bool, StoreError> {
        self.opened().await?.save_shard(lease, work).await
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.opened().await?.alerts().await
    }

    async fn transitions(&self, query: &TransitionQuery) -> Result<Vec<LoggedTransition>, StoreError> {
        self.opened().await?.transitions(query).await
    }

    async fn load_notifier(&self) -> Result<Notifier, StoreError> {
        self.opened().await?.load_notifier().await
    }

    async fn transitions_after(&self, after: i64, limit: u32) -> Result<Vec<LoggedTransition>, StoreError> {
        self.opened().await?.transitions_after(after, limit).await
    }

    async fn save_notifier(&self, lease: &Lease, work: &NotifierWork) -> Result<bool, StoreError> {
        self.opened().await?.save_notifier(lease, work).await
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.opened().await?.deliveries(state, limit).await
    }

    async fn resend(&self, id: &str, author: &Author) -> Result<bool, StoreError> {
        self.opened().await?.resend(id, author).await
    }

    async fn request_delivery(&self, delivery: &Delivery, author: &Author) -> Result<(), StoreError> {
        self.opened().await?.request_delivery(delivery, author).await
    }

    async fn maintain_rules(&self, now: UnixMillis, log_ms: u64) -> Result<(), StoreError> {
        self.opened().await?.maintain_rules(now, log_ms).await
    }

    fn info(&self) -> StoreInfo {
        self.now().map_or_else(|| self.not_yet(), |store| store.info())
    }
}
