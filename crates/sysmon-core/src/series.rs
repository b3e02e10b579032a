//! One series' recent values in about a byte each.
//!
//! A column keeps, per tick of its machine, one variable-length code: 0 for no value, else one more than the
//! zigzag-encoded difference to the value before. Calm series cost one byte a tick, busy ones two or three.

/// The recent values of one series, addressed by the tick numbers of its machine.
#[derive(Clone, Debug, Default)]
pub struct Column {
    bytes: Vec<u8>,
    /// Bytes at the front that were evicted and not yet given back.
    front: usize,
    first_tick: u64,
    next_tick: u64,
    /// The value before the first code that is kept.
    base: i64,
    /// The newest value.
    last: i64,
    last_value_tick: Option<u64>,
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
        if self.bytes.is_empty() || tick - self.next_tick > LONGEST_HOLE {
            *self = Self {
                first_tick: tick,
                next_tick: tick,
                ..Self::default()
            };
        }
        for _ in self.next_tick..tick {
            self.bytes.push(0);
        }
        write_code(&mut self.bytes, code(self.last, scaled));
        self.last = scaled;
        self.last_value_tick = Some(tick);
        self.next_tick = tick + 1;
    }

    /// Drops what is older than tick `first`.
    pub fn evict_before(&mut self, first: u64) {
        while self.first_tick < first.min(self.next_tick) {
            let (read, length) = read_code(&self.bytes[self.front..]);
            if let Some(value) = decode(self.base, read) {
                self.base = value;
            }
            self.front += length;
            self.first_tick += 1;
        }
        // Given back in steps, so that an eviction costs no move of the whole column.
        if self.front >= 128 || self.front == self.bytes.len() {
            self.bytes.drain(..self.front);
            self.front = 0;
        }
    }

    /// The newest value and the tick it belongs to.
    #[must_use]
    pub fn last(&self) -> Option<(u64, i64)> {
        self.last_value_tick.map(|tick| (tick, self.last))
    }

    /// Every kept tick from `from` on with its value, oldest first; `None` where there was none.
    pub fn iter_from(&self, from: u64) -> impl Iterator<Item = (u64, Option<i64>)> + '_ {
        let mut rest = &self.bytes[self.front..];
        let mut value = self.base;
        (self.first_tick..self.next_tick)
            .map(move |tick| {
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

fn write_code(bytes: &mut Vec<u8>, mut code: u64) {
    while code >= 0x80 {
        bytes.push(u8::try_from(code & 0x7f).unwrap_or(0) | 0x80);
        code >>= 7;
    }
    bytes.push(u8::try_from(code).unwrap_or(0));
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
