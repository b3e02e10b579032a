//! A history that fails on demand, around a real one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sysmon_aggregator::Stores;
use sysmon_core::{HistoryQuery, MachineHistory, MachineId, UnixMillis};
use sysmon_store::{
    DeadLetter, DeadLetterFilter, History, HistoryOptions, IngestBatch, MachineProcesses, MachineRecord,
    Maintenance, Outcome, StoreError, StoreInfo, open_history,
};
use tokio::sync::watch;

use crate::support::START;

type Predicate = Arc<dyn Fn(&IngestBatch) -> bool + Send + Sync>;

/// How the store behaves.
#[derive(Clone)]
pub(crate) enum Mode {
    Well,
    Fails(StoreError),
    Hangs,
    Slow(Duration),
    Panics,
}

pub(crate) struct Faulty {
    inner: Arc<dyn History>,
    mode: watch::Sender<Mode>,
    poison: Mutex<Option<Predicate>>,
    /// Batches of the commits that succeeded, in order.
    pub(crate) committed: Mutex<Vec<Vec<IngestBatch>>>,
    /// Machines of every question.
    pub(crate) asked: Mutex<Vec<Vec<MachineId>>>,
    pub(crate) attempts: AtomicUsize,
    pub(crate) probes: AtomicUsize,
    pub(crate) maintained: AtomicUsize,
    /// Pieces of maintenance that are due at once.
    pub(crate) due: AtomicUsize,
    asking: AtomicUsize,
    pub(crate) asking_max: AtomicUsize,
}

impl Faulty {
    pub(crate) async fn new() -> Arc<Self> {
        let inner = open_history("memory:", HistoryOptions::default()).await.unwrap();
        Arc::new(Self {
            inner,
            mode: watch::Sender::new(Mode::Well),
            poison: Mutex::default(),
            committed: Mutex::default(),
            asked: Mutex::default(),
            attempts: AtomicUsize::new(0),
            probes: AtomicUsize::new(0),
            maintained: AtomicUsize::new(0),
            due: AtomicUsize::new(0),
            asking: AtomicUsize::new(0),
            asking_max: AtomicUsize::new(0),
        })
    }

    pub(crate) fn stores(self: &Arc<Self>) -> Stores {
        Stores {
            history: Some(Arc::clone(self) as Arc<dyn History>),
            ..Stores::default()
        }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(crate) fn fail(&self) {
        self.set(Mode::Fails(StoreError::unavailable("connection refused")));
    }

    /// Refuses commits with a batch of which this is true.
    pub(crate) fn refuse(&self, poison: impl Fn(&IngestBatch) -> bool + Send + Sync + 'static) {
        *self.poison.lock().unwrap() = Some(Arc::new(poison));
    }

    /// How many samples of a series are stored in a range, and how many different moments they have.
    pub(crate) async fn stored(&self, machine: &str) -> (u32, usize) {
        stored(&*self.inner, machine, START).await
    }

    /// Behaves as it is set to, before it does what it is asked.
    async fn behave(&self) -> Result<(), StoreError> {
        let mut mode = self.mode.subscribe();
        loop {
            let now = mode.borrow_and_update().clone();
            match now {
                Mode::Well => return Ok(()),
                Mode::Fails(error) => return Err(error),
                Mode::Panics => panic!("a mistake in the back end"),
                Mode::Slow(time) => {
                    tokio::time::sleep(time).await;
                    return Ok(());
                }
                Mode::Hangs => mode.changed().await.unwrap(),
            }
        }
    }
}

/// How many samples of the processor's series are stored, and how many different moments they have.
pub(crate) async fn stored(history: &dyn History, machine: &str, from: UnixMillis) -> (u32, usize) {
    let query = |points| HistoryQuery {
        machines: vec![MachineId::parse(machine).unwrap()],
        metrics: vec!["cpu.busy_percent".into()],
        from: from.plus_ms(-1_800_000),
        to: from.plus_ms(1_800_000),
        points,
    };
    let raw = history.query(&query(10_000)).await.unwrap();
    let Some(raw) = raw.first() else { return (0, 0) };
    let counts = raw
        .series
        .iter()
        .flat_map(|series| series.points.iter().flatten());
    (counts.map(|point| point.count).sum(), raw.times.len())
}

#[async_trait]
impl History for Faulty {
    async fn commit(&self, batches: &[IngestBatch]) -> Result<Vec<Outcome>, StoreError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        self.behave().await?;
        let poison = self.poison.lock().unwrap().clone();
        if poison.is_some_and(|poison| batches.iter().any(|batch| poison(batch))) {
            return Err(StoreError::rejected("value out of range"));
        }
        let outcomes = self.inner.commit(batches).await?;
        self.committed.lock().unwrap().push(batches.to_vec());
        Ok(outcomes)
    }

    async fn query(&self, query: &HistoryQuery) -> Result<Vec<MachineHistory>, StoreError> {
        self.asked.lock().unwrap().push(query.machines.clone());
        let asking = self.asking.fetch_add(1, Ordering::Relaxed) + 1;
        self.asking_max.fetch_max(asking, Ordering::Relaxed);
        let result = self.behave().await;
        self.asking.fetch_sub(1, Ordering::Relaxed);
        result?;
        self.inner.query(query).await
    }

    async fn put_process_snapshots(&self, snapshots: &[MachineProcesses]) -> Result<u64, StoreError> {
        self.behave().await?;
        self.inner.put_process_snapshots(snapshots).await
    }

    async fn process_snapshots_at(
        &self,
        machines: &[MachineId],
        at: UnixMillis,
    ) -> Result<Vec<MachineProcesses>, StoreError> {
        self.behave().await?;
        self.inner.process_snapshots_at(machines, at).await
    }

    async fn machines(&self) -> Result<Vec<MachineRecord>, StoreError> {
        self.behave().await?;
        self.inner.machines().await
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
        self.maintained.fetch_add(1, Ordering::Relaxed);
        self.behave().await?;
        let due = self.due.load(Ordering::Relaxed);
        self.due.store(due.saturating_sub(1), Ordering::Relaxed);
        let done = self.inner.maintain(now).await?;
        Ok(Maintenance {
            more: due > 0,
            ..done
        })
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.probes.fetch_add(1, Ordering::Relaxed);
        self.behave().await
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: "Faulty 1".into(),
            notices: vec!["it fails on demand".into()],
        }
    }
}
