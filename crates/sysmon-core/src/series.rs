//! One series' recent values in about a byte each.
//!
//! A column keeps, per tick of its machine, one variable-length code: 0 for no value, else one more than the
//! zigzag-encoded difference to the value before. Calm series cost one byte a tick, busy ones two or three.

/// Bytes that a column collects beside its other fields before they go to the heap: a dozen ticks. A push then touches
/// memory elsewhere only now and then, which is most of what it would cost in a large fleet.
const TAIL: usize = 19;
/// The heap part grows by this, so that little of it is spare.
const GROWTH: usize = 64;

/// The recent values of one series, addressed by the tick numbers of its machine.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// Codes, oldest first.
    bytes: Vec<u8>,
    /// Newer codes; whole ones only.
    tail: [u8; TAIL],
    tail_length: u8,
    first_tick: u64,
    /// One more than the tick of the newest value; 0 when there never was one.
    next_tick: u64,
    /// The value before the first code that is kept.
    base: i64,
    /// The newest value.
    last: i64,
}

/// More missing ticks than this in a row start the column anew: filling them in would cost more than they tell.
const LONGEST_HOLE: u64 = 4_096;

impl Column {
    /// Adds the value of tick `tick`; ticks that were left out since the last one count as "no value". A tick that is
    /// not newer than the last one is ignored.
    pub fn push(&mut self, tick: u64, scaled: i64) {
        if self.next_tick > tick {
            return;
        }
        if self.first_tick == self.next_tick || tick - self.next_tick > LONGEST_HOLE {
            *self = Self {
                first_tick: tick,
                next_tick: tick,
                ..Self::default()
            };
        }
        for _ in self.next_tick..tick {
            self.write(0);
        }
        self.write(code(self.last, scaled));
        self.last = scaled;
        self.next_tick = tick + 1;
    }

    /// Drops what is older than tick `first`. Costs a move of what is left, so it is done for many ticks at once.
    pub fn evict_before(&mut self, first: u64) {
        if self.first_tick >= first.min(self.next_tick) {
            return;
        }
        self.flush();
        let mut front = 0;
        while self.first_tick < first.min(self.next_tick) {
            let (read, length) = read_code(&self.bytes[front..]);
            if let Some(value) = decode(self.base, read) {
                self.base = value;
            }
            front += length;
            self.first_tick += 1;
        }
        self.bytes.drain(..front);
    }

    /// The oldest tick that is kept.
    #[must_use]
    pub fn first_tick(&self) -> u64 {
        self.first_tick
    }

    /// The newest value and the tick it belongs to.
    #[must_use]
    pub fn last(&self) -> Option<(u64, i64)> {
        self.next_tick.checked_sub(1).map(|tick| (tick, self.last))
    }

    /// Every kept tick from `from` on with its value, oldest first; `None` where there was none.
    pub fn iter_from(&self, from: u64) -> impl Iterator<Item = (u64, Option<i64>)> + '_ {
        let mut rest = &self.bytes[..];
        let mut value = self.base;
        (self.first_tick..self.next_tick)
            .map(move |tick| {
                if rest.is_empty() {
                    rest = &self.tail[..usize::from(self.tail_length)];
                }
                let (read, length) = read_code(rest);
                rest = &rest[length..];
                let decoded = decode(value, read);
                value = decoded.unwrap_or(value);
                (tick, decoded)
            })
            .skip_while(move |(tick, _)| *tick < from)
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn write(&mut self, mut code: u64) {
        // The length of a code in groups of seven bits.
        let length = (64 - (code | 1).leading_zeros()).div_ceil(7) as usize;
        if usize::from(self.tail_length) + length > TAIL {
            self.flush();
        }
        for _ in 1..length {
            self.put(u8::try_from(code & 0x7f).unwrap_or(0) | 0x80);
            code >>= 7;
        }
        self.put(u8::try_from(code).unwrap_or(0));
    }

    fn put(&mut self, byte: u8) {
        self.tail[usize::from(self.tail_length)] = byte;
        self.tail_length += 1;
    }

    fn flush(&mut self) {
        let tail = &self.tail[..usize::from(self.tail_length)];
        if self.bytes.capacity() - self.bytes.len() < tail.len() {
            self.bytes.reserve_exact(tail.len() + GROWTH);
        }
        self.bytes.extend_from_slice(tail);
        self.tail_length = 0;
    }
}

/// The code of a value after `before`: how it is kept here and sent in a snapshot's history.
#[must_use]
pub fn code(before: i64, value: i64) -> u64 {
    let difference = value.wrapping_sub(before);
    // Differences of values within ±2^53 stay far from the edge, so adding one cannot run over; a hostile peer's may.
    (((difference << 1) ^ (difference >> 63)).cast_unsigned()).saturating_add(1)
}

/// The value of a code after `before`; `None` for the code 0, which stands for no value.
#[must_use]
pub fn decode(before: i64, code: u64) -> Option<i64> {
    let zigzag = code.checked_sub(1)?;
    let difference = (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed());
    Some(before.wrapping_add(difference))
}

fn read_code(bytes: &[u8]) -> (u64, usize) {
    let mut code = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        code |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return (code, index + 1);
        }
    }
    (code, bytes.len().min(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_column_gives_back_exactly_what_was_put_in(
            ticks in prop::collection::vec((1u64..6, -(1i64 << 53)..(1i64 << 53)), 1..300), cut in 0u64..400,
        ) {
            let mut column = Column::default();
            let mut expected = Vec::new();
            let mut tick = 10;
            for (step, value) in ticks {
                for hole in tick + 1..tick + step {
                    if !expected.is_empty() { expected.push((hole, None)); }
                }
                tick += step;
                column.push(tick, value);
                expected.push((tick, Some(value)));
            }
            prop_assert_eq!(column.iter_from(0).collect::<Vec<_>>(), expected.clone());
            column.evict_before(cut);
            expected.retain(|(tick, _)| *tick >= cut);
            prop_assert_eq!(column.iter_from(0).collect::<Vec<_>>(), expected.clone());
            expected.retain(|(tick, _)| *tick >= cut + 7);
            prop_assert_eq!(column.iter_from(cut + 7).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn evicting_as_it_grows_keeps_the_window_and_the_memory_small(values in prop::collection::vec(0i64..1000, 400..600)) {
            let mut column = Column::default();
            for (tick, value) in values.iter().enumerate() {
                column.push(tick as u64, *value);
                column.evict_before((tick as u64).saturating_sub(299));
            }
            let kept: Vec<i64> = column.iter_from(0).filter_map(|(_, value)| value).collect();
            prop_assert_eq!(&kept[..], &values[values.len() - 300..]);
            prop_assert!(column.heap_bytes() <= 2_048, "{}", column.heap_bytes());
        }

        #[test]
        fn any_difference_survives_its_code(before in any::<i64>(), value in any::<i64>()) {
            prop_assume!(value.wrapping_sub(before) != i64::MIN);
            prop_assert_eq!(decode(before, code(before, value)), Some(value));
        }
    }

    #[test]
    fn a_tick_from_the_past_changes_nothing() {
        let mut column = Column::default();
        column.push(5, 1);
        column.push(4, 9);
        column.push(5, 9);
        assert_eq!(column.iter_from(0).collect::<Vec<_>>(), [(5, Some(1))]);
    }

    #[test]
    fn a_very_long_hole_does_not_fill_memory() {
        let mut column = Column::default();
        column.push(0, 1);
        column.push(u64::MAX / 2, 2);
        assert_eq!(column.iter_from(0).count(), 1);
    }
}
