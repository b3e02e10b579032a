//! What was measured and is not yet in history: kept in order until it is acknowledged.
//!
//! Samples go into segments, on disk where there is a folder and in memory where there is none or it cannot be written.
//! A segment belongs to one epoch and can be read by itself. One epoch is live: it is appended to and delivered by
//! whoever appends. All older ones are backlog and are read back from here, oldest first.
//!
//! What is bounded and what happens then: segments on disk by [`SpoolConfig::bytes_max`] and
//! [`SpoolConfig::age_max`], segments in memory by 8 MiB, all of them by number. Beyond, the oldest go, and a note says
//! exactly which sequences and times are lost; on disk the note is durable before the segment is gone. Backlog is read
//! one segment (1 MiB) at a time and never kept.
//!
//! Nothing in here waits for anything but the disk. [`Keeper`] does that on threads that may block. A virtual machine
//! of a simulation takes a [`Spool::in_memory`], which costs a few hundred bytes as long as all is acknowledged.

mod append;
mod backlog;
mod bounds;
mod folder;
mod keeper;
mod load;
mod notes;
mod record;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use sysmon_core::{Epoch, MachineId, SeriesKey, UnixMillis};
use thiserror::Error;

use self::backlog::{Loaded, Position};
use self::folder::Folder;
use self::notes::Lost;
use crate::config::SpoolConfig;
use crate::sample::Sample;

pub(crate) use self::keeper::{Broken, Keeper};

/// When a segment is full. One is read in one piece.
const SEGMENT_BYTES: u64 = 1 << 20;
const MEMORY_SEGMENT_BYTES: u64 = 512 << 10;
const MEMORY_BYTES_MAX: u64 = 8 << 20;
/// A segment with this much in it is given up as soon as all of it is acknowledged: less is not worth a new file.
const RESET_BYTES: u64 = 256 << 10;
const MEMORY_RESET_BYTES: u64 = 32 << 10;
/// A segment spans at most this share of the greatest age, so that not much more than what is too old goes with it.
const AGE_PARTS: u64 = 24;

/// Why there is no spool in a folder.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// Another collector runs with it.
    #[error(
        "another collector keeps its samples in {0:?}; end it, or give this one its own machine id or folder"
    )]
    Locked(PathBuf),
    /// It cannot be made, read or written.
    #[error("cannot keep samples in {folder:?}: {source}; check its owner and the disk")]
    Unusable {
        /// The machine's own folder.
        folder: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The samples of one machine that are not yet acknowledged.
#[derive(Debug)]
pub(crate) struct Spool {
    settings: Option<(SpoolConfig, MachineId)>,
    folder: Option<Folder>,
    /// Why nothing is written to the folder at present.
    trouble: Option<String>,
    /// Oldest first, by number.
    items: VecDeque<Item>,
    /// The epochs of the items: what is in history, or counted as lost there.
    acknowledged: BTreeMap<Epoch, u64>,
    live: Epoch,
    next_sequence: u64,
    next_number: u64,
    /// The last item is being appended to.
    active: Option<Active>,
    /// All series of the machine by number.
    known: BTreeMap<u32, Known>,
    has_retired: bool,
    position: Position,
    loaded: Option<Loaded>,
    disk_bytes: u64,
    memory_bytes: u64,
    /// Time of the newest sample: what is old is old compared to it.
    newest: UnixMillis,
    lost_ticks: u64,
    found_nothing: bool,
    unsynced: Vec<Arc<File>>,
    /// Files were made since the folder itself was forced to disk.
    names_changed: bool,
    /// Segments that are over and could not be removed.
    leftover: Vec<u64>,
    notes_changed: bool,
    cursor_changed: bool,
    has_cursor: bool,
    upkeeps: u32,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Known {
    key: Arc<SeriesKey>,
    decimals: u8,
}

#[derive(Debug)]
enum Item {
    Segment(Segment),
    Lost(Lost),
}

impl Item {
    fn number(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.number,
            Self::Lost(lost) => lost.number,
        }
    }

    fn epoch(&self) -> Epoch {
        match self {
            Self::Segment(segment) => segment.epoch,
            Self::Lost(lost) => lost.epoch,
        }
    }

    fn first(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.first,
            Self::Lost(lost) => lost.first,
        }
    }

    fn last(&self) -> u64 {
        match self {
            Self::Segment(segment) => segment.last,
            Self::Lost(lost) => lost.last,
        }
    }
}

/// Batches of one epoch in a row.
#[derive(Debug)]
struct Segment {
    number: u64,
    epoch: Epoch,
    first: u64,
    /// The last one that can be read; one less than `first` when none can.
    readable: u64,
    /// The last one that belongs here; what comes after `readable` is damaged.
    last: u64,
    /// Time of the first.
    from: UnixMillis,
    /// Time of the last one that can be read.
    readable_to: UnixMillis,
    /// Time of the last.
    to: UnixMillis,
    bytes: u64,
    storage: Storage,
}

#[derive(Debug)]
enum Storage {
    Disk,
    Memory(Vec<u8>),
}

/// What is being appended to.
#[derive(Debug, Default)]
struct Active {
    /// `None` in memory.
    file: Option<Arc<File>>,
    /// Series that the segment has announced.
    told: BTreeSet<u32>,
    is_synced: bool,
}

impl Spool {
    /// Opens the spool of a machine, with everything that is left of earlier processes as backlog. May take seconds:
    /// all of it is read once. A folder that cannot be used for another reason than that it is in use is tried again
    /// with every [`Spool::upkeep`].
    ///
    /// # Errors
    /// [`SpoolError::Locked`] when another collector has it.
    pub(crate) fn open(settings: Option<&SpoolConfig>, machine: &MachineId) -> Result<Self, SpoolError> {
        let mut spool = Self::in_memory();
        if let Some(settings) = settings {
            spool.settings = Some((settings.clone(), machine.clone()));
            match spool.open_folder() {
                Err(error @ SpoolError::Locked(_)) => return Err(error),
                Err(error) => spool.fail(error.to_string()),
                Ok(()) => {}
            }
        }
        Ok(spool)
    }

    /// A spool that only lives as long as the process.
    pub(crate) fn in_memory() -> Self {
        Self {
            settings: None,
            folder: None,
            trouble: None,
            items: VecDeque::new(),
            acknowledged: BTreeMap::new(),
            live: Epoch(rand::random()),
            next_sequence: 1,
            next_number: 1,
            active: None,
            known: BTreeMap::new(),
            has_retired: false,
            position: Position::default(),
            loaded: None,
            disk_bytes: 0,
            memory_bytes: 0,
            newest: UnixMillis(0),
            lost_ticks: 0,
            found_nothing: false,
            unsynced: Vec::new(),
            names_changed: false,
            leftover: Vec::new(),
            notes_changed: false,
            cursor_changed: false,
            has_cursor: false,
            upkeeps: 0,
            buffer: Vec::new(),
        }
    }

    /// Whether no operation ever waits for a disk.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.settings.is_none()
    }

    /// Whether there is a folder, it was empty when this was opened, and no aggregator that keeps history was told so
    /// yet: nothing older will ever come.
    pub(crate) fn is_new(&self) -> bool {
        self.found_nothing
    }

    /// An aggregator knows now. Said once: with a later stream it would make a gap of what is still to come as backlog.
    pub(crate) fn is_known_new(&mut self) {
        self.found_nothing = false;
    }

    /// The epoch that is appended to.
    pub(crate) fn live(&self) -> Epoch {
        self.live
    }

    /// Takes note of the series of a sample that is not appended.
    pub(crate) fn learn(&mut self, sample: &Sample) {
        for number in &sample.retired {
            self.known.remove(number);
            self.has_retired = true;
        }
        for series in &sample.announced {
            let known = Known {
                key: Arc::clone(&series.key),
                decimals: series.decimals,
            };
            self.known.insert(series.number, known);
        }
    }

    /// Appends a sample to the live epoch and returns its sequence: from now on it survives the death of the process.
    pub(crate) fn append(&mut self, sample: &Sample) -> u64 {
        self.learn(sample);
        self.newest = sample.at;
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if self.is_active_full(sample.at) {
            self.close_active();
        }
        if !self.write(sequence, sample) {
            // The disk failed; memory does not.
            self.write(sequence, sample);
        }
        self.keep_within_bounds();
        sequence
    }

    /// What is appended from now on belongs to this epoch, counted from 1; what was live is backlog.
    pub(crate) fn begin_epoch(&mut self, epoch: Epoch) {
        self.close_active();
        self.live = epoch;
        self.next_sequence = 1;
        self.remove_acknowledged();
    }

    /// Whether [`Spool::acknowledge`] would touch the disk.
    pub(crate) fn would_remove(&self, epoch: Epoch, through: u64) -> bool {
        let active = self.active_number();
        self.items.iter().any(|item| {
            let is_over = Some(item.number()) != active || self.is_active_worth_resetting();
            item.epoch() == epoch && item.last() <= through && is_over
        })
    }

    /// Everything of the epoch up to this sequence is in history, or counted as lost there.
    pub(crate) fn acknowledge(&mut self, epoch: Epoch, through: u64) {
        let newest = self.items.iter().rev().find(|item| item.epoch() == epoch);
        // More than there is cannot be in history.
        let Some(through) = newest.map(|item| item.last().min(through)) else {
            return;
        };
        let known = self.acknowledged.entry(epoch).or_default();
        if *known >= through {
            return;
        }
        *known = through;
        self.cursor_changed = true;
        self.found_nothing = false;
        if self.is_active_worth_resetting() && self.is_active_acknowledged() {
            self.close_active();
        }
        self.remove_acknowledged();
    }

    /// Ticks that were lost for good since this was last asked.
    pub(crate) fn take_lost_ticks(&mut self) -> u64 {
        std::mem::take(&mut self.lost_ticks)
    }

    /// Forgets what is only in memory: for an aggregator that keeps no history either.
    pub(crate) fn forget_memory(&mut self) {
        if let Some(Item::Segment(segment)) = self.items.back()
            && matches!(segment.storage, Storage::Memory(_))
        {
            self.active = None;
        }
        let mut lost = 0;
        self.items.retain(|item| match item {
            Item::Segment(segment) if matches!(segment.storage, Storage::Memory(_)) => {
                lost += segment.last + 1 - segment.first;
                false
            }
            Item::Segment(_) => true,
            Item::Lost(_) => self.folder.is_some(),
        });
        self.memory_bytes = 0;
        self.lost_ticks += lost;
        self.prune();
    }

    fn active_number(&self) -> Option<u64> {
        self.active.as_ref().and(self.items.back()).map(Item::number)
    }

    fn active_segment(&self) -> Option<&Segment> {
        match self.active.as_ref().and(self.items.back()) {
            Some(Item::Segment(segment)) => Some(segment),
            _ => None,
        }
    }

    fn is_active_full(&self, at: UnixMillis) -> bool {
        self.active_segment().is_some_and(|segment| {
            let (bytes_max, _) = self.segment_limits(segment);
            let span_max_ms = self.age_max_ms() / AGE_PARTS;
            segment.bytes >= bytes_max || at.since_ms(segment.from) > span_max_ms
        })
    }

    fn is_active_worth_resetting(&self) -> bool {
        self.active_segment()
            .is_some_and(|segment| segment.bytes >= self.segment_limits(segment).1)
    }

    fn is_active_acknowledged(&self) -> bool {
        self.active_segment()
            .is_some_and(|segment| segment.last <= self.acknowledged_of(segment.epoch))
    }

    fn acknowledged_of(&self, epoch: Epoch) -> u64 {
        self.acknowledged.get(&epoch).copied().unwrap_or(0)
    }

    /// When a segment is full, and when it is worth giving up early.
    fn segment_limits(&self, segment: &Segment) -> (u64, u64) {
        match segment.storage {
            Storage::Memory(_) => (MEMORY_SEGMENT_BYTES, MEMORY_RESET_BYTES),
            Storage::Disk => {
                let bytes_max = self
                    .settings
                    .as_ref()
                    .map_or(u64::MAX, |(settings, _)| settings.bytes_max);
                let full = SEGMENT_BYTES.min(bytes_max / 16);
                (full, RESET_BYTES.min(full / 4))
            }
        }
    }

    /// Nothing is appended to the last segment any more.
    fn close_active(&mut self) {
        let is_acknowledged = self.is_active_acknowledged();
        let Some(active) = self.active.take() else { return };
        if !active.is_synced && !is_acknowledged {
            self.unsynced.extend(active.file);
        }
        // One that nothing was written to, and one that is over at once, are not worth keeping.
        self.remove_acknowledged();
    }

    /// From now on nothing is written to the folder, until an upkeep finds that it can be.
    fn fail(&mut self, reason: String) {
        if self.trouble.is_none() {
            tracing::warn!(
                %reason,
                "the spool cannot be written; what is measured is kept in memory until it can"
            );
        }
        self.trouble = Some(reason);
    }
}

#[cfg(test)]
mod tests;
