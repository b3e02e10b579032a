//! What is written down beside the segments: what is lost, and how far was acknowledged.
//!
//! ```text
//! lost:   "SYSMLST1" | (number u64 | epoch 16 | first u64 | last u64 | from i64 | to i64 | reason u8) … | crc32 u32
//! cursor: "SYSMCUR1" | (epoch 16 | through u64) … | crc32 u32
//! ```

use std::collections::BTreeMap;

use sysmon_core::{Epoch, GapReason, UnixMillis};

use super::record::{NUMBER_MAX, field};

const LOST_MAGIC: &[u8; 8] = b"SYSMLST1";
const CURSOR_MAGIC: &[u8; 8] = b"SYSMCUR1";
const LOST_BYTES: usize = 8 + 16 + 4 * 8 + 1;
const CURSOR_BYTES: usize = 16 + 8;

/// Sequences that were produced and are no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// That of the newest segment that they were in: their place in the order.
    pub(super) number: u64,
    pub(super) epoch: Epoch,
    pub(super) first: u64,
    pub(super) last: u64,
    /// Time of the first.
    pub(super) from: UnixMillis,
    /// Time of the last.
    pub(super) to: UnixMillis,
    pub(super) reason: GapReason,
}

impl Lost {
    /// Makes one of two when `later` goes on where this one ends.
    pub(super) fn merge(&mut self, later: &Self) -> bool {
        let follows = self.epoch == later.epoch
            && self.reason == later.reason
            && self.last.checked_add(1) == Some(later.first);
        if follows {
            (self.last, self.to, self.number) = (later.last, later.to, later.number);
        }
        follows
    }
}

pub(super) fn write_lost<'a>(lost: impl Iterator<Item = &'a Lost>) -> Vec<u8> {
    let mut bytes = LOST_MAGIC.to_vec();
    for lost in lost {
        bytes.extend(lost.number.to_le_bytes());
        bytes.extend(lost.epoch.0);
        bytes.extend(lost.first.to_le_bytes());
        bytes.extend(lost.last.to_le_bytes());
        bytes.extend(lost.from.0.to_le_bytes());
        bytes.extend(lost.to.0.to_le_bytes());
        bytes.push(reason_code(lost.reason));
    }
    sealed(bytes)
}

/// `None` when the bytes are not what was once written.
pub(super) fn read_lost(bytes: &[u8]) -> Option<Vec<Lost>> {
    let entry = |entry: &[u8]| {
        let number = |offset| field(entry, offset).map(u64::from_le_bytes);
        let time = |offset| field(entry, offset).map(i64::from_le_bytes).map(UnixMillis);
        Some(Lost {
            number: number(0)?,
            epoch: Epoch(field(entry, 8)?),
            first: number(24)?,
            last: number(32)?,
            from: time(40)?,
            to: time(48)?,
            reason: reason_of(*entry.get(56)?)?,
        })
        .filter(|lost| lost.number.max(lost.last) <= NUMBER_MAX && lost.first > 0 && lost.first <= lost.last)
    };
    entries(bytes, LOST_MAGIC, LOST_BYTES)?.map(entry).collect()
}

pub(super) fn write_cursor(acknowledged: &BTreeMap<Epoch, u64>) -> Vec<u8> {
    let mut bytes = CURSOR_MAGIC.to_vec();
    for (epoch, through) in acknowledged {
        bytes.extend(epoch.0);
        bytes.extend(through.to_le_bytes());
    }
    sealed(bytes)
}

/// `None` when the bytes are not what was once written.
pub(super) fn read_cursor(bytes: &[u8]) -> Option<BTreeMap<Epoch, u64>> {
    let entry = |entry: &[u8]| {
        Some((
            Epoch(field(entry, 0)?),
            field(entry, 16).map(u64::from_le_bytes)?.min(NUMBER_MAX),
        ))
    };
    entries(bytes, CURSOR_MAGIC, CURSOR_BYTES)?.map(entry).collect()
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = crc32fast::hash(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn entries<'a>(bytes: &'a [u8], magic: &[u8], size: usize) -> Option<impl Iterator<Item = &'a [u8]>> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    let is_sound = crc32fast::hash(body) == u32::from_le_bytes(field(sum, 0)?);
    let entries = body.strip_prefix(magic)?;
    (is_sound && entries.len().is_multiple_of(size)).then(|| entries.chunks_exact(size))
}

fn reason_code(reason: GapReason) -> u8 {
    match reason {
        GapReason::Silent => 0,
        GapReason::SpoolFull => 1,
        GapReason::SpoolExpired => 2,
        GapReason::SpoolLost => 3,
        GapReason::SpoolDamaged => 4,
    }
}

fn reason_of(code: u8) -> Option<GapReason> {
    GapReason::ALL
        .into_iter()
        .find(|reason| reason_code(*reason) == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lost(number: u64, first: u64, last: u64) -> Lost {
        Lost {
            number,
            epoch: Epoch([1; 16]),
            first,
            last,
            from: UnixMillis(i64::try_from(first).unwrap()),
            to: UnixMillis(i64::try_from(last).unwrap()),
            reason: GapReason::SpoolFull,
        }
    }

    #[test]
    fn notes_are_read_back_and_a_flipped_bit_is_noticed() {
        let notes = [lost(1, 1, 9), lost(7, 20, 20)];
        let bytes = write_lost(notes.iter());
        assert_eq!(read_lost(&bytes).unwrap(), notes);
        let cursor = BTreeMap::from([(Epoch([1; 16]), 5), (Epoch([2; 16]), 7)]);
        assert_eq!(read_cursor(&write_cursor(&cursor)).unwrap(), cursor);
        for index in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[index] ^= 4;
            assert_eq!(read_lost(&bytes), None);
        }
        assert_eq!(read_lost(&write_cursor(&cursor)), None);
    }

    #[test]
    fn ranges_that_follow_each_other_become_one() {
        let mut one = lost(1, 1, 9);
        assert!(!one.merge(&lost(2, 11, 12)), "one is missing between them");
        assert!(one.merge(&lost(2, 10, 12)));
        assert_eq!(one, lost(2, 1, 12));
    }

    proptest! {
        #[test]
        fn no_bytes_whatever_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (read_lost(&bytes), read_cursor(&bytes));
            for magic in [LOST_MAGIC, CURSOR_MAGIC] {
                let bytes = sealed([magic, &bytes[..]].concat());
                let _ = (read_lost(&bytes), read_cursor(&bytes));
            }
        }
    }
}
