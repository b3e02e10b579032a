//! Forgetting: what is acknowledged, and what there is no room or time for.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;

use sysmon_core::{GapReason, UnixMillis};

use super::folder::{Folder, Notes};
use super::notes::{Lost, write_cursor, write_lost};
use super::record::{HEADER_BYTES, Record};
use super::{Active, Item, MEMORY_BYTES_MAX, Segment, Spool, Storage};

/// The most segments and notes together: an aggregator that breaks every stream makes many small ones.
pub(super) const ITEMS_MAX: usize = 10_000;
/// The cursor is written down with every so manieth upkeep at most: a minute by default.
const CURSOR_EVERY: u32 = 12;

impl Spool {
    /// What is to be done now and then, every [`crate::SpoolConfig::sync_interval`]: goes back to the disk when it can
    /// be written again, lets go what is too old, and writes down what is worth it.
    pub(crate) fn upkeep(&mut self) {
        self.upkeeps = self.upkeeps.wrapping_add(1);
        if self.trouble.is_some() {
            self.recover();
        }
        self.expire();
        if let Some(folder) = &self.folder {
            self.leftover.retain(|number| folder.remove(*number).is_err());
        }
        if self.notes_changed && self.write_notes() {
            self.notes_changed = false;
        }
        if self.cursor_changed && self.upkeeps.is_multiple_of(CURSOR_EVERY) {
            self.write_cursor();
        }
    }

    /// Says that what [`Spool::take_unsynced`] returned could not be forced to disk.
    pub(crate) fn sync_failed(&mut self, reason: String) {
        self.fail(reason);
        self.close_active();
    }

    /// Lets go of the folder: what is not acknowledged waits there for the next process. Waits for the disk.
    pub(crate) fn close(mut self) {
        self.close_active();
        if self.trouble.is_some() {
            self.recover();
        }
        if self.cursor_changed {
            self.write_cursor();
        }
        if self.notes_changed {
            self.write_notes();
        }
        for file in self.take_unsynced() {
            if let Err(error) = file.sync_data() {
                tracing::warn!(%error, "the end of the spool could not be forced to disk");
            }
        }
    }

    pub(super) fn age_max_ms(&self) -> u64 {
        let age_max = self.settings.as_ref().map(|(settings, _)| settings.age_max);
        age_max.map_or(u64::MAX, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
    }

    /// Removes what is acknowledged, and segments without a batch that nothing is appended to.
    pub(super) fn remove_acknowledged(&mut self) {
        let active = self.active_number();
        let mut removed = Vec::new();
        let Self {
            items, acknowledged, ..
        } = self;
        items.retain(|item| {
            let through = acknowledged.get(&item.epoch()).copied().unwrap_or(0);
            let is_over = item.last() <= through || item.last() < item.first();
            if !is_over || Some(item.number()) == active {
                return true;
            }
            match item {
                Item::Segment(segment) => removed.push((segment.number, segment.bytes, is_disk(segment))),
                Item::Lost(_) => self.notes_changed = true,
            }
            false
        });
        for (number, bytes, is_disk) in removed {
            self.release(number, bytes, is_disk);
        }
        self.prune();
    }

    /// Keeps within the bounds by letting the oldest go.
    pub(super) fn keep_within_bounds(&mut self) {
        let bytes_max = self
            .settings
            .as_ref()
            .map_or(u64::MAX, |(settings, _)| settings.bytes_max);
        while self.disk_bytes > bytes_max && self.drop_oldest(is_disk, GapReason::SpoolFull) {}
        while self.memory_bytes > MEMORY_BYTES_MAX
            && self.drop_oldest(|segment| !is_disk(segment), GapReason::SpoolFull)
        {}
        while self.items.len() > ITEMS_MAX {
            if !self.drop_oldest(|_| true, GapReason::SpoolFull) {
                self.items.pop_front();
                self.notes_changed = true;
            }
        }
    }

    fn expire(&mut self) {
        let (newest, age_max_ms) = (self.newest, self.age_max_ms());
        while self.drop_oldest(
            |segment| newest.since_ms(segment.to) > age_max_ms,
            GapReason::SpoolExpired,
        ) {}
    }

    /// Lets the oldest segment of a kind go, unless it is being appended to or the note of it cannot be written.
    pub(super) fn drop_oldest(&mut self, kind: impl Fn(&Segment) -> bool, reason: GapReason) -> bool {
        let active = self.active_number();
        let found = self
            .items
            .iter()
            .enumerate()
            .find_map(|(index, item)| match item {
                Item::Segment(segment) if kind(segment) && Some(segment.number) != active => Some((
                    index,
                    segment.number,
                    segment.bytes,
                    is_disk(segment),
                    self.lost_of(segment, reason),
                )),
                _ => None,
            });
        let Some((index, number, bytes, is_disk, lost)) = found else {
            return false;
        };
        let before = index
            .checked_sub(1)
            .and_then(|before| match self.items.get(before) {
                Some(Item::Lost(note)) => Some((before, *note)),
                _ => None,
            });
        let merged = before.and_then(|(before, note)| {
            let mut merged = note;
            merged.merge(&lost).then_some((before, merged))
        });
        let notes = self.items.iter().filter_map(|item| match item {
            Item::Lost(note) => Some(note),
            Item::Segment(_) => None,
        });
        if let (true, Some(folder)) = (is_disk, &self.folder) {
            // It is written down before it is gone, so that nothing vanishes unseen if this process dies in between.
            let swallowed = merged.map(|(_, merged)| merged.first);
            let kept = notes.filter(|note| Some(note.first) != swallowed || note.epoch != lost.epoch);
            let new = merged.map_or(lost, |(_, merged)| merged);
            let bytes = write_lost(kept.chain([&new]));
            if let Err(error) = folder.replace_notes(Notes::Lost, &bytes) {
                self.fail(error.to_string());
                return false;
            }
        } else {
            self.notes_changed = true;
        }
        match merged {
            Some((before, merged)) => {
                self.items[before] = Item::Lost(merged);
                self.items.remove(index);
            }
            None => self.items[index] = Item::Lost(lost),
        }
        self.lost_ticks += lost.last + 1 - lost.first;
        self.release(number, bytes, is_disk);
        true
    }

    /// What is lost when a segment goes.
    pub(super) fn lost_of(&self, segment: &Segment, reason: GapReason) -> Lost {
        let first = segment.first.max(self.acknowledged_of(segment.epoch) + 1);
        let from = if first == segment.first {
            segment.from
        } else {
            self.time_of(segment, first).unwrap_or(segment.to)
        };
        Lost {
            number: segment.number,
            epoch: segment.epoch,
            first,
            last: segment.last,
            from,
            to: segment.to,
            reason,
        }
    }

    fn time_of(&self, segment: &Segment, sequence: u64) -> Option<UnixMillis> {
        let bytes = self.bytes_of(segment).ok()?;
        let mut rest = bytes.get(HEADER_BYTES..)?;
        for expected in segment.first..=sequence {
            let record = Record::parse(rest, expected..=expected)?;
            if expected == sequence {
                return Some(record.at);
            }
            rest = rest.get(record.size()..)?;
        }
        None
    }

    /// All of a segment, from disk or memory.
    pub(super) fn bytes_of(&self, segment: &Segment) -> std::io::Result<Vec<u8>> {
        match (&segment.storage, &self.folder) {
            (Storage::Memory(bytes), _) => Ok(bytes.clone()),
            (Storage::Disk, Some(folder)) => folder.read(segment.number),
            (Storage::Disk, None) => Err(std::io::ErrorKind::NotFound.into()),
        }
    }

    /// Gives back what a segment took, which is no item any more.
    fn release(&mut self, number: u64, bytes: u64, is_disk: bool) {
        if self.loaded.as_ref().is_some_and(|loaded| loaded.number == number) {
            self.loaded = None;
        }
        if !is_disk {
            self.memory_bytes = self.memory_bytes.saturating_sub(bytes);
            return;
        }
        self.disk_bytes = self.disk_bytes.saturating_sub(bytes);
        if !self.has_cursor {
            // The folder must not look as if it had never been used.
            self.write_cursor();
        }
        if let Some(folder) = &self.folder
            && folder.remove(number).is_err()
        {
            self.leftover.push(number);
        }
    }

    /// Forgets the cursors of epochs of which there is nothing any more.
    pub(super) fn prune(&mut self) {
        let Self {
            items,
            acknowledged,
            live,
            ..
        } = self;
        if acknowledged.len() > 1 || !acknowledged.contains_key(live) {
            acknowledged.retain(|epoch, _| epoch == live || items.iter().any(|item| item.epoch() == *epoch));
        }
    }

    /// Tries the disk again, and takes what is in memory there.
    fn recover(&mut self) {
        if self.folder.is_none()
            && let Err(error) = self.open_folder()
        {
            self.trouble = Some(error.to_string());
            return;
        }
        let active = self.active_number();
        for index in 0..self.items.len() {
            let Item::Segment(segment) = &self.items[index] else {
                continue;
            };
            if is_disk(segment) {
                continue;
            }
            match self.write_out(segment) {
                Ok(file) => self.unsynced.push(file),
                Err(error) => {
                    // Half of it is of no use, and takes room.
                    let _ = self.folder.as_ref().map(|folder| folder.remove(segment.number));
                    self.trouble = Some(error.to_string());
                    return;
                }
            }
            if let Item::Segment(segment) = &mut self.items[index] {
                segment.storage = Storage::Disk;
                self.memory_bytes = self.memory_bytes.saturating_sub(segment.bytes);
                self.disk_bytes += segment.bytes;
                if Some(segment.number) == active {
                    self.active = None;
                }
            }
        }
        self.trouble = None;
        self.names_changed = true;
        tracing::info!("the spool can be written again");
        self.keep_within_bounds();
    }

    fn write_out(&self, segment: &Segment) -> std::io::Result<Arc<File>> {
        let (Storage::Memory(bytes), Some(folder)) = (&segment.storage, &self.folder) else {
            return Err(std::io::ErrorKind::NotFound.into());
        };
        let mut file = folder.create(segment.number)?;
        file.write_all(bytes)?;
        Ok(Arc::new(file))
    }

    fn write_notes(&mut self) -> bool {
        let Some(folder) = &self.folder else { return true };
        let notes = self.items.iter().filter_map(|item| match item {
            Item::Lost(note) => Some(note),
            Item::Segment(_) => None,
        });
        folder.replace_notes(Notes::Lost, &write_lost(notes)).is_ok()
    }

    pub(super) fn write_cursor(&mut self) {
        let Some(folder) = &self.folder else { return };
        match folder.overwrite_notes(Notes::Cursor, &write_cursor(&self.acknowledged)) {
            Ok(()) => (self.cursor_changed, self.has_cursor) = (false, true),
            // Without it more is sent again after a start than need be.
            Err(error) => tracing::debug!(%error, "the cursor of the spool could not be written"),
        }
    }

    /// What has been written and matters, to be forced to disk. That may take long, and may be done beside everything
    /// else.
    pub(crate) fn take_unsynced(&mut self) -> Vec<Arc<File>> {
        let is_acknowledged = self.is_active_acknowledged();
        if let Some(Active {
            file: Some(file),
            is_synced: is_synced @ false,
            ..
        }) = &mut self.active
            && !is_acknowledged
        {
            *is_synced = true;
            self.unsynced.push(Arc::clone(file));
        }
        if self
            .items
            .iter()
            .all(|item| item.last() <= self.acknowledged_of(item.epoch()))
        {
            // Everything is in history: nothing would be missed.
            self.unsynced.clear();
        }
        let mut unsynced = std::mem::take(&mut self.unsynced);
        if !unsynced.is_empty() && std::mem::take(&mut self.names_changed) {
            unsynced.extend(self.folder.as_ref().and_then(Folder::handle));
        }
        unsynced
    }
}

fn is_disk(segment: &Segment) -> bool {
    matches!(segment.storage, Storage::Disk)
}
