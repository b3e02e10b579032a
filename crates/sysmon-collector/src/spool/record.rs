//! How segments look inside.
//!
//! ```text
//! segment: magic 8 | version u32 | version inverted u32 | epoch 16 | first sequence u64 | crc32 of all before u32 | records
//! record:  length u32 | crc32 of the length and what follows u32 | sequence u64 | time i64 | Batch
//! ```
//! All numbers little-endian; `length` counts what follows the two u32. Sequences are dense. The batch is the message of
//! that name without its sequence, processes, host and interval; its series are announced anew in every segment.

use sysmon_api::wire;
use sysmon_core::{Epoch, UnixMillis};

const MAGIC: [u8; 8] = *b"SYSMSPL\n";
const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 8 + 4 + 4 + 16 + 8 + 4;
/// Numbers that were not counted up to are not ours; below, one more never overflows.
pub(super) const NUMBER_MAX: u64 = u64::MAX / 2;
/// Length and checksum.
const PREFIX_BYTES: usize = 8;
/// Sequence and time.
const FIXED_BYTES: usize = 16;
/// The most bytes of one record; more does not fit into one message either.
pub(super) const RECORD_BYTES_MAX: usize = 4 << 20;
/// How much checksumming may go into finding records behind a damage.
const SEARCH_BYTES_MAX: usize = 64 << 20;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) epoch: Epoch,
    pub(super) first: u64,
}

/// Why a file is no segment that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// It ends before its header does: the process died when it was made.
    Short,
    /// Its header contradicts itself.
    Damaged,
    /// A newer collector wrote it.
    Newer(u32),
}

impl Header {
    pub(super) fn write(self, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.extend(MAGIC);
        buffer.extend(VERSION.to_le_bytes());
        buffer.extend((!VERSION).to_le_bytes());
        buffer.extend(self.epoch.0);
        buffer.extend(self.first.to_le_bytes());
        let sum = crc32fast::hash(&buffer[start..]);
        buffer.extend(sum.to_le_bytes());
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let version = field(bytes, 8).map(u32::from_le_bytes);
        let inverted = field(bytes, 12).map(u32::from_le_bytes);
        match (version, inverted) {
            (Some(version), Some(inverted))
                if bytes.starts_with(&MAGIC) && version == !inverted && version > VERSION =>
            {
                return Err(HeaderError::Newer(version));
            }
            _ => {}
        }
        let header = bytes.get(..HEADER_BYTES).ok_or(HeaderError::Short)?;
        let fields = (
            field(header, 16),
            field(header, 32).map(u64::from_le_bytes),
            field(header, 40),
        );
        let (Some(epoch), Some(first), Some(sum)) = fields else {
            return Err(HeaderError::Short);
        };
        let is_sound = header.starts_with(&MAGIC)
            && version == Some(VERSION)
            && crc32fast::hash(&header[..HEADER_BYTES - 4]) == u32::from_le_bytes(sum)
            && (1..=NUMBER_MAX).contains(&first);
        if is_sound {
            Ok(Self {
                epoch: Epoch(epoch),
                first,
            })
        } else {
            Err(HeaderError::Damaged)
        }
    }
}

/// One record as it lies in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) sequence: u64,
    pub(super) at: UnixMillis,
    batch: &'a [u8],
}

impl<'a> Record<'a> {
    /// Adds a record to a buffer. Whoever calls keeps to [`RECORD_BYTES_MAX`].
    pub(super) fn write(buffer: &mut Vec<u8>, sequence: u64, at: UnixMillis, batch: &wire::Batch) {
        let start = buffer.len();
        buffer.extend([0; PREFIX_BYTES]);
        buffer.extend(sequence.to_le_bytes());
        buffer.extend(at.0.to_le_bytes());
        if prost::Message::encode(batch, buffer).is_err() {
            unreachable!("a vector has room")
        }
        let length = u32::try_from(buffer.len() - start - PREFIX_BYTES).unwrap_or(u32::MAX);
        buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
        let sum = checksum(length, &buffer[start + PREFIX_BYTES..]);
        buffer[start + 4..start + PREFIX_BYTES].copy_from_slice(&sum.to_le_bytes());
    }

    /// The record at the start of `bytes`, if there is a sound one of this sequence (of any within the limits, for a
    /// range of them).
    pub(super) fn parse(bytes: &'a [u8], sequences: std::ops::RangeInclusive<u64>) -> Option<Self> {
        let (length, sequence) = Self::peek(bytes)?;
        if !sequences.contains(&sequence) {
            return None;
        }
        let sum = u32::from_le_bytes(field(bytes, 4)?);
        let body = bytes.get(PREFIX_BYTES..PREFIX_BYTES + length)?;
        if checksum(u32::try_from(length).ok()?, body) != sum {
            return None;
        }
        Some(Self {
            sequence,
            at: UnixMillis(i64::from_le_bytes(field(body, 8)?)),
            batch: &body[FIXED_BYTES..],
        })
    }

    /// Length and sequence as they are written; whether they are true is another matter.
    fn peek(bytes: &[u8]) -> Option<(usize, u64)> {
        let length = u32::from_le_bytes(field(bytes, 0)?) as usize;
        let sequence = u64::from_le_bytes(field(bytes, PREFIX_BYTES)?);
        ((FIXED_BYTES..=RECORD_BYTES_MAX).contains(&length)).then_some((length, sequence))
    }

    /// Bytes that it takes in the segment.
    pub(super) fn size(&self) -> usize {
        PREFIX_BYTES + FIXED_BYTES + self.batch.len()
    }

    /// The batch, with its sequence; `None` when it is none.
    pub(super) fn batch(&self) -> Option<wire::Batch> {
        let mut batch: wire::Batch = prost::Message::decode(self.batch).ok()?;
        batch.sequence = self.sequence;
        Some(batch)
    }
}

/// What is found in a segment that was closed in an unknown way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Where the last sound record of an unbroken row ends, from the start of the segment.
    pub(super) end: usize,
    /// Time of the first record.
    pub(super) from: Option<UnixMillis>,
    /// The last record of the unbroken row.
    pub(super) last: Option<(u64, UnixMillis)>,
    /// The last record that is sound but lies behind a damage.
    pub(super) beyond: Option<(u64, UnixMillis)>,
}

/// Looks through a segment. A torn end, as a dying process or a power failure leaves it, is simply not counted.
pub(super) fn scan(bytes: &[u8], first: u64) -> Scan {
    let mut found = Scan {
        end: HEADER_BYTES,
        ..Scan::default()
    };
    let mut expected = first;
    while let Some(record) = bytes
        .get(found.end..)
        .and_then(|rest| Record::parse(rest, expected..=expected))
    {
        found.end += record.size();
        found.from.get_or_insert(record.at);
        found.last = Some((record.sequence, record.at));
        let Some(next) = expected.checked_add(1) else {
            break;
        };
        expected = next;
    }
    found.beyond = search(bytes, found.end, expected);
    found
}

/// The last sound record after `start` of this sequence or a later one that may be there.
fn search(bytes: &[u8], start: usize, mut expected: u64) -> Option<(u64, UnixMillis)> {
    let mut offset = start;
    let mut budget = SEARCH_BYTES_MAX;
    let mut last = None;
    while let Some(rest) = bytes
        .get(offset..)
        .filter(|rest| rest.len() >= PREFIX_BYTES + FIXED_BYTES)
    {
        let room = (rest.len() / (PREFIX_BYTES + FIXED_BYTES)) as u64;
        // Those that were overwritten by the damage had room too.
        let latest = expected.saturating_add(room + ((offset - start) / (PREFIX_BYTES + FIXED_BYTES)) as u64);
        offset += 1;
        let Some((length, sequence)) = Record::peek(rest) else {
            continue;
        };
        if !(expected..=latest).contains(&sequence) || length > rest.len() {
            continue;
        }
        budget = budget.checked_sub(length)?;
        if let Some(record) = Record::parse(rest, expected..=latest) {
            last = Some((record.sequence, record.at));
            expected = record.sequence.saturating_add(1);
            offset += record.size() - 1;
        }
    }
    last
}

fn checksum(length: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// The bytes of a field that begins at `offset`.
pub(super) fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn batch(value: i64) -> wire::Batch {
        wire::Batch {
            tick: Some(wire::Tick {
                at_unix_ms: value,
                series_steps: vec![1],
                values: vec![value],
            }),
            ..wire::Batch::default()
        }
    }

    fn segment(first: u64, count: u64) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let epoch = Epoch([3; 16]);
        Header { epoch, first }.write(&mut bytes);
        let mut ends = Vec::new();
        for sequence in first..first + count {
            let at = i64::try_from(sequence).unwrap();
            Record::write(&mut bytes, sequence, UnixMillis(at), &batch(at));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let (bytes, ends) = segment(7, 3);
        assert_eq!(Header::parse(&bytes).unwrap().first, 7);
        let found = scan(&bytes, 7);
        assert_eq!(
            (found.end, found.last, found.beyond),
            (ends[2], Some((9, UnixMillis(9))), None)
        );
        let record = Record::parse(&bytes[HEADER_BYTES..], 7..=7).unwrap();
        assert_eq!(
            record.batch().unwrap(),
            wire::Batch {
                sequence: 7,
                ..batch(7)
            }
        );
    }

    #[test]
    fn a_newer_format_is_told_from_a_damaged_one() {
        let (mut bytes, _) = segment(1, 0);
        bytes[8..12].copy_from_slice(&2u32.to_le_bytes());
        assert_eq!(Header::parse(&bytes), Err(HeaderError::Damaged));
        bytes[12..16].copy_from_slice(&(!2u32).to_le_bytes());
        assert_eq!(Header::parse(&bytes), Err(HeaderError::Newer(2)));
        assert_eq!(Header::parse(&bytes[..10]), Err(HeaderError::Short));
    }

    #[test]
    fn how_many_lie_behind_a_damaged_record_is_found_out() {
        let (mut bytes, ends) = segment(1, 10);
        for byte in &mut bytes[ends[3]..ends[3] + 4] {
            *byte ^= 0xff;
        }
        let found = scan(&bytes, 1);
        assert_eq!(
            (found.last, found.beyond),
            (Some((4, UnixMillis(4))), Some((10, UnixMillis(10))))
        );
    }

    proptest! {
        #[test]
        fn everything_before_a_damage_is_found_and_nothing_that_was_not_written(
            count in 1u64..30,
            cut in any::<prop::sample::Index>(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..4),
        ) {
            let (whole, ends) = segment(5, count);
            let mut bytes = whole[..cut.index(whole.len()) + 1].to_vec();
            for (index, bit) in flips {
                let index = index.index(bytes.len());
                bytes[index] ^= 1 << bit;
            }
            let same = bytes.iter().zip(&whole).take_while(|(one, other)| one == other).count();
            if same < HEADER_BYTES {
                prop_assert!(bytes == whole || Header::parse(&bytes).is_err());
                return Ok(());
            }
            let found = scan(&bytes, 5);
            let sound = ends.iter().filter(|end| **end <= same).count() as u64;
            prop_assert_eq!(found.last.map_or(0, |(last, _)| last - 4), sound);
            if let Some((beyond, at)) = found.beyond {
                prop_assert!(beyond > 4 + sound && beyond < 5 + count);
                prop_assert_eq!(at.0, i64::try_from(beyond).unwrap());
            }
        }

        #[test]
        fn no_bytes_whatever_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), first in any::<u64>()) {
            let _ = Header::parse(&bytes);
            let (mut behind, _) = segment(1, 1);
            behind.extend(&bytes);
            scan(&behind, 1);
            scan(&bytes, first);
            let _ = Record::parse(&bytes, 0..=u64::MAX).map(|record| record.batch());
        }
    }
}
