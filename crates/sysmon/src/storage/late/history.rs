//! A history that may not be there yet.

use async_trait::async_trait;
use sysmon_core::{
    HistoryQuery, MachineHistory, MachineId, MachineMoment, MachineSamples, MomentQuery, UnixMillis,
};
use sysmon_store::{
    DeadLetter, DeadLetterFilter, History, IngestBatch, MachineProcesses, MachineRecord, Maintenance,
    Outcome, StoreError, StoreInfo,
};

use super::Late;

#[async_trait]
impl History for Late<dyn History> {
    async fn commit(&self, batches: &[IngestBatch]) -> Result<Vec<Outcome>, StoreError> {
        self.opened().await?.commit(batches).await
    }

    async fn query(&self, query: &HistoryQuery) -> Result<Vec<MachineHistory>, StoreError> {
        self.opened().await?.query(query).await
    }

    async fn samples(&self, query: &HistoryQuery) -> Result<Vec<MachineSamples>, StoreError> {
        self.opened().await?.samples(query).await
    }

    async fn state_at(&self, query: &MomentQuery) -> Result<Vec<MachineMoment>, StoreError> {
        self.opened().await?.state_at(query).await
    }

    async fn put_process_snapshots(&self, snapshots: &[MachineProcesses]) -> Result<u64, StoreError> {
        self.opened().await?.put_process_snapshots(snapshots).await
    }

    async fn process_snapshots_at(
        &self,
        machines: &[MachineId],
        at: UnixMillis,
    ) -> Result<Vec<MachineProcesses>, StoreError> {
        self.opened().await?.process_snapshots_at(machines, at).await
    }

    async fn machines(&self) -> Result<Vec<MachineRecord>, StoreError> {
        self.opened().await?.machines().await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.opened().await?.dead_letters(filter, limit).await
    }

    async fn retry_dead_letters(&self, ids: &[i64], now: UnixMillis, force: bool) -> Result<u64, StoreError> {
        self.opened().await?.retry_dead_letters(ids, now, force).await
    }

    async fn purge_dead_letters(&self, ids: &[i64]) -> Result<u64, StoreError> {
        self.opened().await?.purge_dead_letters(ids).await
    }

    async fn maintain(&self, now: UnixMillis) -> Result<Maintenance, StoreError> {
        self.opened().await?.maintain(now).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.opened().await?.probe().await
    }

    fn info(&self) -> StoreInfo {
        self.now()
            .map_or_else(|| self.not_yet(), |history| history.info())
    }
}
