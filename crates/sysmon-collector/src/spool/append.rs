//! Writing a sample behind the last one.

use std::io::Write as _;
use std::sync::Arc;

use sysmon_api::{series_to_wire, tick_to_wire, wire};
use sysmon_core::{GapReason, UnixMillis};

use super::notes::Lost;
use super::record::{Header, RECORD_BYTES_MAX, Record};
use super::{Active, Item, Segment, Spool, Storage};
use crate::sample::Sample;

impl Spool {
    /// Writes a sample behind the last one; `false` when the disk did not take it.
    pub(super) fn write(&mut self, sequence: u64, sample: &Sample) -> bool {
        let is_first = self.active.is_none();
        if is_first {
            self.begin_segment(sequence, sample.at);
        }
        let batch = self.batch(sample);
        self.buffer.clear();
        if is_first {
            let header = Header {
                epoch: self.live,
                first: sequence,
            };
            header.write(&mut self.buffer);
        }
        Record::write(&mut self.buffer, sequence, sample.at, &batch);
        if self.buffer.len() > RECORD_BYTES_MAX {
            self.pass_over(sequence, sample.at);
            return true;
        }
        let (Some(active), Some(Item::Segment(segment))) = (&mut self.active, self.items.back_mut()) else {
            return false;
        };
        let length = self.buffer.len() as u64;
        match (&mut segment.storage, &active.file) {
            (Storage::Memory(bytes), _) => {
                bytes.extend(&self.buffer);
                self.memory_bytes += length;
            }
            (Storage::Disk, file) => {
                let Some(file) = file else { return false };
                if let Err(error) = (&**file).write_all(&self.buffer) {
                    // Half a record must not stand in front of whole ones; where it stays, it is a torn end.
                    let _ = file.set_len(segment.bytes);
                    self.fail(error.to_string());
                    self.close_active();
                    return false;
                }
                active.is_synced = false;
                self.disk_bytes += length;
            }
        }
        segment.bytes += length;
        (segment.last, segment.readable) = (sequence, sequence);
        (segment.to, segment.readable_to) = (sample.at, sample.at);
        true
    }

    /// The sample as it is kept: with the series that the segment has not announced yet.
    fn batch(&mut self, sample: &Sample) -> wire::Batch {
        let Some(active) = &mut self.active else {
            return wire::Batch::default();
        };
        let mut announced = Vec::new();
        let mut values = sample.values.clone();
        values.retain(|(number, _)| {
            if active.told.contains(number) {
                return true;
            }
            let Some(known) = self.known.get(number) else {
                return false;
            };
            announced.push(series_to_wire(*number, &known.key, known.decimals));
            active.told.insert(*number)
        });
        let retired = if std::mem::take(&mut self.has_retired) {
            let is_over = |number: &u32| !self.known.contains_key(number);
            active.told.extract_if(.., is_over).collect()
        } else {
            Vec::new()
        };
        wire::Batch {
            announced,
            retired,
            tick: Some(tick_to_wire(sample.at, &values)),
            ..wire::Batch::default()
        }
    }

    /// Makes a new segment the one that is appended to: on disk if that is possible, else in memory.
    fn begin_segment(&mut self, first: u64, at: UnixMillis) {
        let number = self.next_number;
        self.next_number += 1;
        let mut file = None;
        if let (Some(folder), None) = (&self.folder, &self.trouble) {
            match folder.create(number) {
                Ok(created) => file = Some(Arc::new(created)),
                Err(error) => self.fail(error.to_string()),
            }
        }
        self.names_changed |= file.is_some();
        self.items.push_back(Item::Segment(Segment {
            number,
            epoch: self.live,
            first,
            readable: first - 1,
            last: first - 1,
            from: at,
            readable_to: at,
            to: at,
            bytes: 0,
            storage: if file.is_some() {
                Storage::Disk
            } else {
                Storage::Memory(Vec::new())
            },
        }));
        self.active = Some(Active {
            file,
            ..Active::default()
        });
    }

    /// A sample that is too large to be kept or sent is lost at once.
    fn pass_over(&mut self, sequence: u64, at: UnixMillis) {
        self.close_active();
        let number = self.next_number;
        self.next_number += 1;
        self.lost_ticks += 1;
        self.notes_changed = true;
        self.items.push_back(Item::Lost(Lost {
            number,
            epoch: self.live,
            first: sequence,
            last: sequence,
            from: at,
            to: at,
            reason: GapReason::SpoolFull,
        }));
    }
}
