//! What earlier processes left in the folder.

use std::collections::BTreeMap;

use sysmon_core::Epoch;

use super::folder::{Folder, Notes};
use super::notes::{Lost, read_cursor, read_lost};
use super::record::{HEADER_BYTES, Header, HeaderError, scan};
use super::{Item, Position, Segment, Spool, SpoolError, Storage};

impl Spool {
    /// Opens the folder and takes what is there as backlog, older than all that is in memory.
    pub(super) fn open_folder(&mut self) -> Result<(), SpoolError> {
        let Some((settings, machine)) = &self.settings else {
            return Ok(());
        };
        let folder = Folder::open(&settings.directory, machine)?;
        let unusable = |source| SpoolError::Unusable {
            folder: folder.path().to_owned(),
            source,
        };
        let numbers = folder.numbers().map_err(unusable)?;
        let cursor = folder.read_notes(Notes::Cursor).map_err(unusable)?;
        let notes = folder.read_notes(Notes::Lost).map_err(unusable)?;
        self.found_nothing = numbers.is_empty() && cursor.is_none() && notes.is_none();
        self.has_cursor = cursor.is_some();
        // One that cannot be read only means that more is sent again.
        let cursor = cursor.and_then(|bytes| read_cursor(&bytes)).unwrap_or_default();
        let notes = notes.map_or_else(Vec::new, |bytes| {
            read_lost(&bytes).unwrap_or_else(|| {
                tracing::warn!(folder = ?folder.path(), "the note of what the spool lost cannot be read; there may be holes without a reason");
                Vec::new()
            })
        });
        let last_number = numbers
            .iter()
            .copied()
            .chain(notes.iter().map(|note| note.number))
            .max();
        let found = load(&folder, &numbers, notes);
        self.adopt(found, cursor, last_number.unwrap_or(0));
        self.folder = Some(folder);
        self.remove_acknowledged();
        self.keep_within_bounds();
        let waiting = self.waiting();
        if waiting > 0 {
            tracing::info!(waiting, "what was kept earlier will be sent");
        }
        Ok(())
    }

    /// Puts what was found before what there is, and gives the latter higher numbers.
    fn adopt(&mut self, found: Vec<Item>, cursor: BTreeMap<Epoch, u64>, last_number: u64) {
        for item in &mut self.items {
            match item {
                Item::Segment(segment) => segment.number = segment.number.saturating_add(last_number),
                Item::Lost(lost) => lost.number = lost.number.saturating_add(last_number),
            }
        }
        self.next_number = self.next_number.saturating_add(last_number);
        for item in &found {
            let through = self.acknowledged.entry(item.epoch()).or_insert_with(|| {
                let known = cursor.get(&item.epoch()).copied().unwrap_or(0);
                // What is before the first of them was acknowledged: otherwise there would be a note.
                known.max(item.first().saturating_sub(1))
            });
            if let Item::Segment(segment) = item {
                self.disk_bytes += segment.bytes;
                self.lost_ticks += segment.last - segment.readable.max(*through).min(segment.last);
            }
        }
        for item in found.into_iter().rev() {
            self.items.push_front(item);
        }
        self.position = Position::default();
        self.loaded = None;
    }
}

/// Segments and notes in their order.
fn load(folder: &Folder, numbers: &[u64], notes: Vec<Lost>) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for number in numbers {
        let Some(segment) = load_segment(folder, *number) else {
            continue;
        };
        // The process died after it had noted that a segment was to go, and before it was gone.
        let is_noted = notes
            .iter()
            .any(|note| note.epoch == segment.epoch && (note.first..=note.last).contains(&segment.last));
        if is_noted || segment.last < segment.first {
            remove(folder, *number);
        } else {
            items.push(Item::Segment(segment));
        }
    }
    items.extend(notes.into_iter().map(Item::Lost));
    items.sort_by_key(Item::number);
    items
}

fn load_segment(folder: &Folder, number: u64) -> Option<Segment> {
    let bytes = match folder.read(number) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(folder = ?folder.path(), number, %error, "a segment of the spool cannot be read; it is left where it is");
            return None;
        }
    };
    let header = match Header::parse(&bytes) {
        Ok(header) => header,
        Err(HeaderError::Newer(version)) => {
            tracing::error!(
                folder = ?folder.path(), number, version,
                "a segment of the spool was written by a newer collector; it is left where it is, upgrade to have it sent"
            );
            return None;
        }
        Err(HeaderError::Short) => {
            // The process died when it made it.
            remove(folder, number);
            return None;
        }
        Err(HeaderError::Damaged) => {
            tracing::warn!(folder = ?folder.path(), number, "a segment of the spool is damaged from its start; it is removed");
            remove(folder, number);
            return None;
        }
    };
    let found = scan(&bytes, header.first);
    let (readable, readable_to) = match found.last {
        Some((last, at)) => (last, Some(at)),
        None => (header.first - 1, None),
    };
    if found.beyond.is_some() {
        tracing::warn!(
            folder = ?folder.path(), number, after = readable,
            "a segment of the spool is damaged; the rest of it is lost"
        );
    }
    let (last, to) = match found.beyond {
        Some((last, at)) => (last, Some(at)),
        None => (readable, readable_to),
    };
    // Without any record there is no time, and nothing that needs one.
    let to = to.unwrap_or_default();
    Some(Segment {
        number,
        epoch: header.epoch,
        first: header.first,
        readable,
        last,
        from: found.from.unwrap_or(to),
        readable_to: readable_to.unwrap_or(to),
        to,
        bytes: bytes.len().max(HEADER_BYTES) as u64,
        storage: Storage::Disk,
    })
}

/// Removes a segment of no use; one that stays is found again with the next start.
fn remove(folder: &Folder, number: u64) {
    if let Err(error) = folder.remove(number) {
        tracing::debug!(number, %error, "a segment of the spool could not be removed");
    }
}
