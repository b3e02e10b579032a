//! History in an SQLite file: for one machine on a laptop up to a fleet of a thousand on one server.
//!
//! One connection writes and a few read (write-ahead log). A commit is durable when it returns (`synchronous=FULL`).
//! What the tables are for is said in `migrations/sqlite/`.

mod block;
mod catalogue;
mod commit;
pub(crate) mod error;
#[cfg(test)]
mod faults;
mod lane;
mod letters;
mod maintain;
mod material;
mod merge;
mod processes;
mod query;
mod samples;
pub(crate) mod schema;
mod tick;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sysmon_core::{HistoryQuery, HostInfo, MachineHistory, MachineId, MachineSamples, UnixMillis};

use self::catalogue::Catalogue;
use self::schema::Pools;
use super::{
    DeadLetter, DeadLetterFilter, History, IngestBatch, MachineProcesses, MachineRecord, Maintenance,
    Outcome, Retention, StoreInfo,
};
use crate::error::StoreError;
use crate::open::HistoryOptions;

/// History in an SQLite file.
#[derive(Clone, Debug)]
pub(crate) struct SqliteHistory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    pools: Pools,
    catalogue: Catalogue,
    retention: Retention,
    engine: String,
}

impl Inner {
    fn failed(&self, error: &sqlx::Error) -> StoreError {
        error::store_error(&self.path, error)
    }
}

impl SqliteHistory {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`crate::open_history`].
    pub(crate) async fn open(path: &Path, options: HistoryOptions) -> Result<Self, StoreError> {
        let pools = schema::open(path, options.connections).await?;
        let version: String = sqlx::query_scalar("SELECT sqlite_version()")
            .fetch_one(&pools.writer)
            .await
            .map_err(|error| error::store_error(path, &error))?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_path_buf(),
                pools,
                catalogue: Catalogue::default(),
                retention: options.retention,
                engine: format!("SQLite {version}"),
            }),
        })
    }
}

#[async_trait]
impl History for SqliteHistory {
    async fn commit(&self, batches: &[IngestBatch]) -> Result<Vec<Outcome>, StoreError> {
        self.inner.commit(batches).await
    }

    async fn query(&self, query: &HistoryQuery) -> Result<Vec<MachineHistory>, StoreError> {
        query::answer(&self.inner, query).await
    }

    async fn samples(&self, query: &HistoryQuery) -> Result<Vec<MachineSamples>, StoreError> {
        query::samples(&self.inner, query).await
    }

    async fn put_process_snapshots(&self, snapshots: &[MachineProcesses]) -> Result<u64, StoreError> {
        processes::put(&self.inner, snapshots).await
    }

    async fn process_snapshots_at(
        &self,
        machines: &[MachineId],
        at: UnixMillis,
    ) -> Result<Vec<MachineProcesses>, StoreError> {
        processes::at(&self.inner, machines, at).await
    }

    async fn machines(&self) -> Result<Vec<MachineRecord>, StoreError> {
        let rows: Vec<MachineRow> = sqlx::query_as(
            "SELECT machine.*, \
             (SELECT min(at_unix_ms) FROM recent WHERE recent.machine = machine.id) AS first_recent, \
             (SELECT max(at_unix_ms) FROM recent WHERE recent.machine = machine.id) AS last_recent \
             FROM machine ORDER BY name",
        )
        .fetch_all(&self.inner.pools.readers)
        .await
        .map_err(|error| self.inner.failed(&error))?;
        Ok(rows.into_iter().filter_map(MachineRow::record).collect())
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        self.inner.dead_letters(filter, limit).await
    }

    async fn retry_dead_letters(&self, ids: &[i64], now: UnixMillis, force: bool) -> Result<u64, StoreError> {
        self.inner.retry_dead_letters(ids, now, force).await
    }

    async fn purge_dead_letters(&self, ids: &[i64]) -> Result<u64, StoreError> {
        self.inner.purge_dead_letters(ids).await
    }

    async fn maintain(&self, now: UnixMillis) -> Result<Maintenance, StoreError> {
        maintain::maintain(&self.inner, now).await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        // Writes and makes durable as little as can be: a full or read-only disk shows.
        sqlx::query("UPDATE sqlite_sequence SET seq = seq WHERE name = 'recent'")
            .execute(&self.inner.pools.writer)
            .await
            .map(drop)
            .map_err(|error| self.inner.failed(&error))
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: self.inner.engine.clone(),
            notices: Vec::new(),
        }
    }
}

#[derive(sqlx::FromRow)]
struct MachineRow {
    name: String,
    hostname: String,
    os: String,
    kernel: String,
    architecture: String,
    cpu_model: String,
    cpu_count: u32,
    memory_bytes: i64,
    boot_unix_ms: i64,
    collector_version: String,
    labels: String,
    first_unix_ms: Option<i64>,
    last_unix_ms: Option<i64>,
    first_recent: Option<i64>,
    last_recent: Option<i64>,
}

impl MachineRow {
    /// `None` for a name that cannot be: somebody wrote into the file by hand.
    fn record(self) -> Option<MachineRecord> {
        let times = |one: Option<i64>, other: Option<i64>| one.into_iter().chain(other).map(UnixMillis);
        Some(MachineRecord {
            machine: MachineId::parse(&self.name).ok()?,
            first_sample: times(self.first_unix_ms, self.first_recent).min(),
            last_sample: times(self.last_unix_ms, self.last_recent).max(),
            host: HostInfo {
                hostname: self.hostname,
                os: self.os,
                kernel: self.kernel,
                architecture: self.architecture,
                cpu_model: self.cpu_model,
                cpu_count: self.cpu_count,
                memory_bytes: u64::try_from(self.memory_bytes).unwrap_or(0),
                boot_unix_ms: self.boot_unix_ms,
                collector_version: self.collector_version,
                labels: serde_json::from_str(&self.labels).unwrap_or_default(),
            },
        })
    }
}
