//! Samples for as long as they are wanted.

pub(crate) mod answer;
mod bytes;
pub(crate) mod letters;
pub(crate) mod memory;
pub(crate) mod moment;
pub(crate) mod plan;
pub(crate) mod postgres;
mod processes;
pub(crate) mod sqlite;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sysmon_core::{
    Epoch, GapReason, HistoryQuery, HostInfo, MachineHistory, MachineId, MachineMoment, MachineSamples,
    MomentQuery, ProcessSnapshot, SeriesKey, UnixMillis, from_scaled,
};

use crate::error::StoreError;

/// Keeps what collectors measured, exactly once, and answers questions about it.
///
/// All methods may be called concurrently. A call that is dropped while it waits has done all or nothing.
#[async_trait]
pub trait History: Send + Sync + 'static {
    /// Stores batches in one transaction, durably: when this returns they survive the death of every process.
    ///
    /// Per (machine, epoch) there is a cursor: the highest sequence that is stored, 0 before the first. Batches at or
    /// below it are dropped, the one after it is stored and moves it, those beyond are refused. Batches of one cursor are
    /// taken in the order given. Cursors are locked in key order, so that several aggregators never wait in a circle.
    /// Returns one outcome per batch, in order.
    ///
    /// # Errors
    /// Nothing was stored. `Rejected` when one of the batches can never be stored; the caller finds out which.
    async fn commit(&self, batches: &[IngestBatch]) -> Result<Vec<Outcome>, StoreError>;

    /// Answers a question: for each machine asked for that is known, in the order asked, its past. The store chooses the
    /// tier: the coarsest that still has the asked-for number of points, and raw samples where coarser ones do not reach.
    /// Callers ask for at most [`MACHINES_PER_QUERY`] machines at a time, so that an answer is bounded.
    async fn query(&self, query: &HistoryQuery) -> Result<Vec<MachineHistory>, StoreError>;

    /// The same as numbers only, for those who judge every sample: without extremes, gaps and what else only a chart needs,
    /// in a fraction of the memory and time where a store knows how.
    async fn samples(&self, query: &HistoryQuery) -> Result<Vec<MachineSamples>, StoreError> {
        let answers = self.query(query).await?;
        Ok(answers.iter().map(MachineSamples::from).collect())
    }

    /// How machines were at a moment: for each of those asked for that is known, in the order asked, the newest value of each
    /// series at or before it, out of the finest tier that still has it. A value that is older than
    /// [`MachineMoment::reach_ms`] is left out. At most [`HistoryQuery::MACHINES_MAX`] machines; the store is asked about a few
    /// of them at a time.
    async fn state_at(&self, query: &MomentQuery) -> Result<Vec<MachineMoment>, StoreError> {
        moment::state_at(self, query).await
    }

    /// Keeps the processes of machines at their moments, for [`Retention::snapshot_ms`] and within
    /// [`Retention::snapshot_bytes`]. Returns how many were stored: those of a machine that never reported are not, and of a
    /// moment that is there already the first one stays. At most [`SNAPSHOTS_AT_A_TIME`].
    async fn put_process_snapshots(&self, snapshots: &[MachineProcesses]) -> Result<u64, StoreError>;

    /// The processes of machines at a moment: of each of those asked for that has any, in the order asked, the newest at or
    /// before it that is not older than [`SNAPSHOT_REACH_MS`]. At most [`MACHINES_PER_QUERY`] machines.
    async fn process_snapshots_at(
        &self,
        machines: &[MachineId],
        at: UnixMillis,
    ) -> Result<Vec<MachineProcesses>, StoreError>;

    /// Every machine that ever reported, sorted by id.
    async fn machines(&self) -> Result<Vec<MachineRecord>, StoreError>;

    /// Batches that could not be stored, oldest first, at most `limit`.
    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError>;

    /// Stores the samples of these dead letters and removes them, each in a transaction of its own. A letter whose samples
    /// still lie more than an hour after `now` is left unless `force`. Returns how many were stored.
    async fn retry_dead_letters(&self, ids: &[i64], now: UnixMillis, force: bool) -> Result<u64, StoreError>;

    /// Removes dead letters; returns how many there were.
    async fn purge_dead_letters(&self, ids: &[i64]) -> Result<u64, StoreError>;

    /// Does what is due of rolling up, compacting and forgetting, a bounded piece of it; called about once a minute by one
    /// aggregator or several.
    async fn maintain(&self, now: UnixMillis) -> Result<Maintenance, StoreError>;

    /// Cheaply finds out whether a commit could work now: reachable and writable.
    async fn probe(&self) -> Result<(), StoreError>;

    /// What this store is.
    fn info(&self) -> StoreInfo;
}

/// The most machines of one [`History::query`].
pub const MACHINES_PER_QUERY: usize = 128;
/// Samples further than this ahead of the receiver's clock are dead letters, in milliseconds.
pub const FUTURE_LIMIT_MS: u64 = 3_600_000;

/// The most snapshots of one [`History::put_process_snapshots`].
pub const SNAPSHOTS_AT_A_TIME: usize = 256;
/// How old the processes of a moment may be, in milliseconds: three times the longest time between two snapshots.
pub const SNAPSHOT_REACH_MS: u64 = 180_000;

/// The processes of one machine at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineProcesses {
    /// Whose.
    pub machine: MachineId,
    /// When, on the same clock as the machine's samples.
    pub at: UnixMillis,
    /// The busiest and the largest of them.
    pub processes: ProcessSnapshot,
}

/// One batch of one collector on its way into history.
#[derive(Clone, Debug)]
pub struct IngestBatch {
    /// Whose it is.
    pub machine: MachineId,
    /// One life of the collector's numbering.
    pub epoch: Epoch,
    /// Its number in the epoch, from 1; the first one of a [`Content::Lost`].
    pub sequence: u64,
    /// What it has.
    pub content: Content,
    /// The aggregator's clock less the collector's, as measured when the stream began, in milliseconds.
    pub clock_offset_ms: i64,
    /// The machine's description, when it is to be written down: with the first batch of a stream and after a change.
    pub host: Option<Arc<HostInfo>>,
    /// The collector lost what it had kept: with the first sample of an epoch, a [`GapReason::SpoolLost`] gap is written
    /// from the machine's newest stored sample to this one, if there is one before it.
    pub spool_was_lost: bool,
}

impl IngestBatch {
    /// The sequence that the cursor has once this is stored.
    #[must_use]
    pub fn last_sequence(&self) -> u64 {
        match &self.content {
            Content::Lost { last_sequence, .. } => *last_sequence,
            Content::Tick { .. } | Content::Dead { .. } => self.sequence,
        }
    }
}

/// What a batch has.
#[derive(Clone, Debug)]
pub enum Content {
    /// The samples of one moment.
    Tick {
        /// When they were taken, on the collector's clock.
        at: UnixMillis,
        /// What the numbers in `values` stand for.
        series: Arc<SeriesTable>,
        /// Scaled values by number, ascending; numbers that the table lacks are ignored.
        values: Vec<(u32, i64)>,
    },
    /// Samples that were taken and cannot be delivered any more.
    Lost {
        /// The last sequence that is missing.
        last_sequence: u64,
        /// Time of the first missing sample.
        from: UnixMillis,
        /// Time of the last missing sample.
        to: UnixMillis,
        /// Why.
        reason: GapReason,
    },
    /// Something that cannot be stored as it is: it goes to the dead letters.
    Dead {
        /// When it came, on the aggregator's clock.
        received: UnixMillis,
        /// Why, for people.
        reason: String,
        /// The samples as far as they could be read.
        tick: Option<DeadTick>,
    },
}

/// Finds what no back end can ever store.
///
/// # Errors
/// `Rejected`, with whose batch it is and why.
pub(crate) fn check(batches: &[IngestBatch]) -> Result<(), StoreError> {
    for batch in batches {
        let is_time = |at: UnixMillis| (-plan::TIME_LIMIT_MS..=plan::TIME_LIMIT_MS).contains(&at.0);
        let problem = match &batch.content {
            _ if batch.sequence == 0 || batch.last_sequence() > i64::MAX.cast_unsigned() => "sequence",
            Content::Tick { at, .. } if !is_time(*at) => "time",
            Content::Lost { from, to, .. } if !is_time(*from) || !is_time(*to) || from > to => "time",
            Content::Lost { last_sequence, .. } if *last_sequence < batch.sequence => "last sequence",
            _ => continue,
        };
        return Err(StoreError::rejected(format!(
            "batch {} of {} has an impossible {problem}; restart its collector, and report this if it comes back",
            batch.sequence, batch.machine
        )));
    }
    Ok(())
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored now, or was before: everything up to this sequence is.
    Stored {
        /// The cursor.
        through: u64,
    },
    /// It is ahead of the cursor and was not stored: this sequence is to come first.
    Expected {
        /// The cursor plus one.
        sequence: u64,
    },
}

/// What a collector's series numbers stand for; never changed once it is shared, so that back ends may remember what they
/// worked out for it under its id.
#[derive(Clone, Debug, Default)]
pub struct SeriesTable {
    id: u64,
    entries: BTreeMap<u32, SeriesEntry>,
}

/// One series of a [`SeriesTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesEntry {
    /// What it measures.
    pub key: Arc<SeriesKey>,
    /// Digits after the point of its scaled values.
    pub decimals: u8,
}

impl SeriesTable {
    /// A table with an id that no other table of this process has.
    #[must_use]
    pub fn new(entries: BTreeMap<u32, SeriesEntry>) -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            entries,
        }
    }

    /// Unique in this process; two tables with the same id have the same entries.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The series of a number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&SeriesEntry> {
        self.entries.get(&number)
    }

    /// All series by number.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<u32, SeriesEntry> {
        &self.entries
    }
}

/// A machine that reported once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineRecord {
    /// Its id.
    pub machine: MachineId,
    /// What it last said of itself.
    pub host: HostInfo,
    /// Time of its first stored sample, on its own clock.
    pub first_sample: Option<UnixMillis>,
    /// Time of its newest stored sample, on its own clock.
    pub last_sample: Option<UnixMillis>,
}

/// Something that could not be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Names it.
    pub id: i64,
    /// Who sent it.
    pub machine: MachineId,
    /// In which epoch.
    pub epoch: Epoch,
    /// Under which sequence.
    pub sequence: u64,
    /// When it came, on the aggregator's clock.
    pub received: UnixMillis,
    /// Why it could not be stored.
    pub reason: String,
    /// The samples as far as they could be read.
    pub tick: Option<DeadTick>,
}

/// Samples of one moment in plain words: as JSON in the store, for people and for trying again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadTick {
    /// When they were taken, on the collector's clock.
    pub at_unix_ms: i64,
    /// One entry per sample.
    pub values: Vec<DeadValue>,
}

/// One sample of a [`DeadTick`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadValue {
    /// Dotted metric name.
    pub metric: String,
    /// Unit word.
    pub unit: String,
    /// Label names and values.
    pub labels: BTreeMap<String, String>,
    /// Digits after the point.
    pub decimals: u8,
    /// The value.
    pub value: f64,
}

/// A tick in plain words.
#[must_use]
pub fn dead_tick(at: UnixMillis, series: &SeriesTable, values: &[(u32, i64)]) -> DeadTick {
    let value = |(number, scaled): &(u32, i64)| {
        let entry = series.get(*number)?;
        let labels = entry.key.labels.iter();
        Some(DeadValue {
            metric: entry.key.metric.name().to_owned(),
            unit: entry.key.metric.unit().word().to_owned(),
            labels: labels
                .map(|label| (label.name.to_string(), label.value.to_string()))
                .collect(),
            decimals: entry.decimals,
            value: from_scaled(*scaled, entry.decimals),
        })
    };
    DeadTick {
        at_unix_ms: at.0,
        values: values.iter().filter_map(value).collect(),
    }
}

/// Which dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Only of this machine.
    pub machine: Option<MachineId>,
    /// Only those that came before, on the aggregator's clock.
    pub received_before: Option<UnixMillis>,
}

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Samples, in milliseconds; 7 days by default.
    pub raw_ms: u64,
    /// Roll-ups of a minute; 30 days.
    pub minute_ms: u64,
    /// Roll-ups of an hour; two years.
    pub hour_ms: u64,
    /// Cursors and dead letters of epochs that nothing came for; 48 hours: twice what a collector's spool keeps.
    pub cursor_ms: u64,
    /// Snapshots of processes; 48 hours.
    pub snapshot_ms: u64,
    /// About how many bytes snapshots may take, of all machines and with what belongs to them; the oldest hours go first, and
    /// the present one stays. 512 MiB.
    pub snapshot_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY_MS: u64 = 86_400_000;
        Self {
            raw_ms: 7 * DAY_MS,
            minute_ms: 30 * DAY_MS,
            hour_ms: 730 * DAY_MS,
            cursor_ms: 2 * DAY_MS,
            snapshot_ms: 2 * DAY_MS,
            snapshot_bytes: 512 << 20,
        }
    }
}

/// What a piece of maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Samples that were compacted.
    pub compacted: u64,
    /// Roll-ups that were written.
    pub rolled_up: u64,
    /// Samples or roll-ups (or rows that hold several) that were forgotten because of their age.
    pub forgotten: u64,
    /// More is due at once.
    pub more: bool,
}

/// What a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreInfo {
    /// Name and version, such as `TimescaleDB 2.23.1` or `SQLite 3.50.2`.
    pub engine: String,
    /// What to know about it even when it is well, in sentences.
    pub notices: Vec<String>,
}
