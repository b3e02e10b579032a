//! Reading back what older epochs left.

use std::collections::BTreeMap;
use std::io;

use sysmon_api::{gap_reason_to_wire, wire};
use sysmon_core::{Epoch, GapReason, UnixMillis};

use super::record::{HEADER_BYTES, Header, Record};
use super::{Item, Segment, Spool};

/// What is read at a time: enough to keep a connection busy, little enough to be at hand.
const PIECE_BYTES: usize = 64 << 10;
const PIECE_COUNT: usize = 64;

/// What is to be read next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    /// Items before this number are done.
    number: u64,
    epoch: Option<Epoch>,
    /// Of the epoch.
    sequence: u64,
}

/// The segment that is being read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) number: u64,
    bytes: Vec<u8>,
    offset: usize,
    /// That of the record at `offset`.
    sequence: u64,
    /// What the records that were passed over announced; told with the first one that is not.
    passed: BTreeMap<u32, wire::SeriesDefinition>,
}

/// Why a segment gives no more batches.
enum Stuck {
    /// From the next one on it is damaged.
    Damaged,
    /// The disk does not give it at present.
    Later(io::Error),
}

impl Spool {
    /// Begins anew with the oldest that is not acknowledged, for a stream that knows nothing.
    pub(crate) fn restart(&mut self) {
        self.position = Position::default();
        self.loaded = None;
    }

    /// How many messages the backlog that was not yet read has.
    pub(crate) fn waiting(&self) -> u64 {
        let count = |item: &Item| {
            let start = self.start_of(item).max(item.first());
            match item {
                _ if start > item.last() => 0,
                Item::Lost(_) => 1,
                Item::Segment(segment) => {
                    let readable = (segment.readable + 1).saturating_sub(start);
                    readable + u64::from(segment.last > segment.readable)
                }
            }
        };
        self.backlog().map(count).sum()
    }

    /// The next messages of the backlog, in order; empty when there are none, or none can be read at present.
    pub(crate) fn next_backlog(&mut self) -> Vec<wire::Backlog> {
        let mut messages = Vec::new();
        let mut room = PIECE_BYTES;
        while messages.len() < PIECE_COUNT && room > 0 {
            let Some(index) = self
                .items
                .iter()
                .position(|item| item.number() >= self.position.number)
            else {
                break;
            };
            let (epoch, number) = (self.items[index].epoch(), self.items[index].number());
            if epoch == self.live {
                break;
            }
            let start = self.start_of(&self.items[index]);
            self.position = Position {
                number,
                epoch: Some(epoch),
                sequence: start,
            };
            let item = &self.items[index];
            if start > item.last() {
                self.position.number += 1;
                continue;
            }
            if start < item.first() {
                // What should be in between was forgotten, or its file is gone.
                let at = match item {
                    Item::Segment(segment) => segment.from,
                    Item::Lost(lost) => lost.from,
                };
                let missing = (start, item.first() - 1);
                self.position.sequence = item.first();
                messages.push(lost_message(epoch, missing, (at, at), GapReason::SpoolLost));
                continue;
            }
            match item {
                Item::Lost(lost) => {
                    let times = (lost.from, lost.to);
                    messages.push(lost_message(epoch, (start, lost.last), times, lost.reason));
                    self.position.sequence = lost.last.saturating_add(1);
                }
                Item::Segment(segment) if start > segment.readable => {
                    let (missing, times) = ((start, segment.last), (segment.readable_to, segment.to));
                    messages.push(lost_message(epoch, missing, times, GapReason::SpoolDamaged));
                    self.position.sequence = segment.last.saturating_add(1);
                    self.loaded = None;
                }
                Item::Segment(_) => {
                    let read = self.read_segment(index, &mut room, &mut messages);
                    if self.is_stuck(index, read) {
                        break;
                    }
                }
            }
        }
        messages
    }

    /// Goes back so that this sequence of an epoch comes next, and all that is behind it once more. What is no longer
    /// there will come as lost. Returns whether it went back: not when the reading has not yet come so far, or nothing
    /// of it is left.
    pub(crate) fn rewind(&mut self, epoch: Epoch, expected: u64) -> bool {
        if expected == 0 || epoch == self.live {
            return false;
        }
        if let Some(through) = self.acknowledged.get_mut(&epoch)
            && *through >= expected
        {
            // Whoever knows best says that it is not there.
            *through = expected - 1;
            self.cursor_changed = true;
        }
        let target = self
            .items
            .iter()
            .find(|item| item.epoch() == epoch && item.last() >= expected);
        let Some(number) = target.map(Item::number) else {
            tracing::debug!(expected, "nothing is left of what was asked for again");
            return false;
        };
        let is_ahead = number > self.position.number
            || (self.position.epoch == Some(epoch)
                && number == self.position.number
                && expected > self.position.sequence);
        if !is_ahead {
            self.position = Position {
                number,
                epoch: Some(epoch),
                sequence: expected,
            };
        }
        !is_ahead
    }

    /// Items of epochs that are over, from the position on.
    fn backlog(&self) -> impl Iterator<Item = &Item> {
        self.items
            .iter()
            .filter(|item| item.number() >= self.position.number && item.epoch() != self.live)
    }

    /// The sequence to go on with in an item: what was asked for again may lie before it.
    fn start_of(&self, item: &Item) -> u64 {
        let acknowledged = self.acknowledged.get(&item.epoch()).map(|through| through + 1);
        if self.position.epoch == Some(item.epoch()) {
            self.position.sequence.max(acknowledged.unwrap_or(0))
        } else {
            acknowledged.unwrap_or(item.first())
        }
    }

    /// Whether reading has to wait; what is damaged is lost from now on.
    fn is_stuck(&mut self, index: usize, read: Result<(), Stuck>) -> bool {
        match (read, self.items.get_mut(index)) {
            (Err(Stuck::Damaged), Some(Item::Segment(segment))) => {
                tracing::warn!(
                    number = segment.number,
                    "a segment of the spool is damaged; the rest of it is lost"
                );
                let readable = self.position.sequence - 1;
                self.lost_ticks += segment.readable.saturating_sub(readable);
                segment.readable = readable;
                self.loaded = None;
                false
            }
            (Err(Stuck::Later(error)), _) => {
                tracing::warn!(%error, "the spool cannot be read at present");
                true
            }
            _ => false,
        }
    }

    /// Reads batches of a segment from the position on.
    fn read_segment(
        &mut self,
        index: usize,
        room: &mut usize,
        messages: &mut Vec<wire::Backlog>,
    ) -> Result<(), Stuck> {
        let Some(Item::Segment(segment)) = self.items.get(index) else {
            return Ok(());
        };
        let usable =
            |loaded: &Loaded| loaded.number == segment.number && loaded.sequence <= self.position.sequence;
        let mut loaded = match self.loaded.take().filter(usable) {
            Some(loaded) => loaded,
            None => Loaded::new(segment, self.bytes_of(segment))?,
        };
        let (epoch, readable) = (segment.epoch, segment.readable);
        while messages.len() < PIECE_COUNT && *room > 0 && loaded.sequence <= readable {
            let (size, batch) = loaded.next().ok_or(Stuck::Damaged)?;
            if batch.sequence < self.position.sequence {
                loaded.pass(batch);
                continue;
            }
            *room = room.saturating_sub(size);
            self.position.sequence = batch.sequence + 1;
            let batch = loaded.complete(batch);
            messages.push(wire::Backlog {
                epoch: epoch.0.to_vec(),
                body: Some(wire::backlog::Body::Batch(batch)),
            });
        }
        self.loaded = (loaded.sequence <= readable).then_some(loaded);
        Ok(())
    }
}

impl Loaded {
    fn new(segment: &Segment, bytes: io::Result<Vec<u8>>) -> Result<Self, Stuck> {
        let bytes = bytes.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Stuck::Damaged,
            // EIO: the disk will not give it any more.
            _ if error.raw_os_error() == Some(5) => Stuck::Damaged,
            _ => Stuck::Later(error),
        })?;
        let expected = Header {
            epoch: segment.epoch,
            first: segment.first,
        };
        if Header::parse(&bytes) != Ok(expected) {
            return Err(Stuck::Damaged);
        }
        Ok(Self {
            number: segment.number,
            bytes,
            offset: HEADER_BYTES,
            sequence: segment.first,
            passed: BTreeMap::new(),
        })
    }

    /// The next batch and its size; `None` when it cannot be read.
    fn next(&mut self) -> Option<(usize, wire::Batch)> {
        let record = Record::parse(self.bytes.get(self.offset..)?, self.sequence..=self.sequence)?;
        let batch = record.batch()?;
        self.offset += record.size();
        self.sequence = self.sequence.checked_add(1)?;
        Some((record.size(), batch))
    }

    /// Takes note of the series of a batch that is not sent.
    fn pass(&mut self, batch: wire::Batch) {
        for number in &batch.retired {
            self.passed.remove(number);
        }
        for definition in batch.announced {
            self.passed.insert(definition.series, definition);
        }
    }

    /// Adds the series that were announced in batches that were passed over.
    fn complete(&mut self, mut batch: wire::Batch) -> wire::Batch {
        if !self.passed.is_empty() {
            let passed = std::mem::take(&mut self.passed).into_values();
            batch.announced = passed.chain(std::mem::take(&mut batch.announced)).collect();
        }
        batch
    }
}

fn lost_message(
    epoch: Epoch,
    (first, last): (u64, u64),
    (from, to): (UnixMillis, UnixMillis),
    reason: GapReason,
) -> wire::Backlog {
    wire::Backlog {
        epoch: epoch.0.to_vec(),
        body: Some(wire::backlog::Body::Lost(wire::LostRange {
            first_sequence: first,
            last_sequence: last,
            from_unix_ms: from.0,
            to_unix_ms: to.0,
            reason: gap_reason_to_wire(reason) as i32,
        })),
    }
}
