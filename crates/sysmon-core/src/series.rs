//! One series' recent values in a byte each or less.
//!
//! A column keeps variable-length codes, oldest first: a step to another value, or a run of ticks that brought the same
//! value again or none. A series that stands still costs next to nothing, calm ones a byte a tick, busy ones two or three.

/// Bytes that a column collects beside its other fields before they go to the heap. A push then touches memory elsewhere
/// only now and then, which is most of what it would cost in a large fleet.
const TAIL: usize = 19;
/// The heap part grows by a quarter, within these bounds, so that little of it is spare.
const GROWTH: std::ops::RangeInclusive<usize> = 16..=64;

/// No value for a run of ticks, whose length follows.
const HOLE: u64 = 0;
/// The same value once more.
const SAME: u64 = 1;
/// The same value for a run of ticks, whose length, less two, follows.
const SAME_RUN: u64 = 2;
/// The zigzag-encoded difference to the value before, which is not zero, plus this: a step to another value.
const STEP: u64 = 2;

/// The recent values of one series, addressed by the tick numbers of its machine.
#[derive(Clone, Debug, Default)]
pub struct Column {
    /// Codes, oldest first.
    bytes: Vec<u8>,
    /// Newer codes; whole ones only.
    tail: [u8; TAIL],
    tail_length: u8,
    /// How many ticks are kept.
    ticks: u32,
    /// How often the newest value has come since the last code: that run is not over, and not written yet.
    same: u32,
    /// How many ticks of the first code, which then stands for a run, are gone.
    evicted: u32,
    /// One more than the tick of the newest value; 0 when there never was one.
    next_tick: u64,
    /// The value before the first code that is kept.
    base: i64,
    /// The newest value.
    last: i64,
}

/// More missing ticks than this in a row start the column anew.
const LONGEST_HOLE: u64 = 4_096;

impl Column {
    /// Adds the value of tick `tick`; ticks that were left out since the last one count as "no value". A tick that is
    /// not newer than the last one is ignored.
    pub fn push(&mut self, tick: u64, scaled: i64) {
        if self.next_tick > tick {
            return;
        }
        if self.ticks == 0 || tick - self.next_tick > LONGEST_HOLE {
            *self = Self {
                next_tick: tick,
                ..Self::default()
            };
        }
        let hole = tick - self.next_tick;
        if hole > 0 {
            self.settle();
            self.write(HOLE);
            self.write(hole);
        }
        if scaled == self.last {
            self.same = self.same.saturating_add(1);
        } else {
            self.settle();
            self.write(zigzag(self.last, scaled).saturating_add(STEP));
            self.last = scaled;
        }
        let more = u32::try_from(hole + 1).unwrap_or(u32::MAX);
        self.ticks = self.ticks.saturating_add(more);
        self.next_tick = tick + 1;
    }

    /// Drops what is older than tick `first`. Costs a move of what is left, so it is done for many ticks at once.
    pub fn evict_before(&mut self, first: u64) {
        let surplus = first.min(self.next_tick).saturating_sub(self.first_tick());
        let Ok(mut surplus @ 1..) = u32::try_from(surplus) else {
            return;
        };
        self.ticks -= surplus.min(self.ticks);
        self.flush();
        let mut codes = Codes {
            rest: &self.bytes,
            then: &[],
        };
        let mut front = 0;
        while surplus > 0 {
            let Some((length, value)) = codes.next_run(self.base) else {
                // What is left is the run that is not written yet.
                self.same = self.same.saturating_sub(surplus);
                break;
            };
            let left = length.saturating_sub(self.evicted);
            if left > surplus {
                self.evicted += surplus;
                break;
            }
            surplus -= left;
            self.evicted = 0;
            self.base = value.unwrap_or(self.base);
            front = self.bytes.len() - codes.rest.len();
        }
        self.bytes.drain(..front);
        if self.bytes.capacity() - self.bytes.len() > 2 * GROWTH.end() {
            self.bytes.shrink_to(self.bytes.len() + GROWTH.end());
        }
    }

    /// The oldest tick that is kept.
    #[must_use]
    pub fn first_tick(&self) -> u64 {
        self.next_tick - u64::from(self.ticks)
    }

    /// The newest value and the tick it belongs to.
    #[must_use]
    pub fn last(&self) -> Option<(u64, i64)> {
        self.next_tick.checked_sub(1).map(|tick| (tick, self.last))
    }

    /// Every kept tick from `from` on with its value, oldest first; `None` where there was none.
    pub fn iter_from(&self, from: u64) -> impl Iterator<Item = (u64, Option<i64>)> + '_ {
        let mut codes = Codes {
            rest: &self.bytes,
            then: &self.tail[..usize::from(self.tail_length)],
        };
        let mut unwritten = Some(self.same).filter(|same| *same > 0);
        let mut evicted = self.evicted;
        let mut value = self.base;
        let mut tick = self.first_tick();
        let mut run = 0..0;
        let mut present = None;
        std::iter::from_fn(move || {
            while run.is_empty() {
                let (length, now) = codes
                    .next_run(value)
                    .or_else(|| unwritten.take().map(|same| (same, Some(value))))?;
                value = now.unwrap_or(value);
                present = now;
                let end = tick + u64::from(length.saturating_sub(std::mem::take(&mut evicted)));
                // Whole runs before `from` are passed over at once.
                run = tick.max(from)..end;
                tick = end;
            }
            run.next().map(|tick| (tick, present))
        })
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Writes the run that was not over.
    fn settle(&mut self) {
        match std::mem::take(&mut self.same) {
            0 => {}
            1 => self.write(SAME),
            length => {
                self.write(SAME_RUN);
                self.write(u64::from(length) - 2);
            }
        }
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
            let growth = (self.bytes.len() / 4).clamp(*GROWTH.start(), *GROWTH.end());
            self.bytes.reserve_exact(tail.len() + growth);
        }
        self.bytes.extend_from_slice(tail);
        self.tail_length = 0;
    }
}

/// Reads codes out of two pieces of memory, one after the other.
struct Codes<'a> {
    rest: &'a [u8],
    then: &'a [u8],
}

impl Codes<'_> {
    fn next(&mut self) -> Option<u64> {
        if self.rest.is_empty() {
            self.rest = std::mem::take(&mut self.then);
        }
        if self.rest.is_empty() {
            return None;
        }
        let (code, length) = read_code(self.rest);
        self.rest = &self.rest[length..];
        Some(code)
    }

    /// For how many ticks the next code stands, and the value of each; `before` is the value before them.
    fn next_run(&mut self, before: i64) -> Option<(u32, Option<i64>)> {
        let length = |code: u64| u32::try_from(code).unwrap_or(u32::MAX);
        Some(match self.next()? {
            HOLE => (length(self.next()?), None),
            SAME => (1, Some(before)),
            SAME_RUN => (length(self.next()?).saturating_add(2), Some(before)),
            code => (1, Some(after(before, code - STEP))),
        })
    }
}

/// The code of a value after `before`: how it is sent in a snapshot's history.
#[must_use]
pub fn code(before: i64, value: i64) -> u64 {
    // Differences of values within ±2^53 stay far from the edge, so adding one cannot run over; a hostile peer's may.
    zigzag(before, value).saturating_add(1)
}

/// The value of a code after `before`; `None` for the code 0, which stands for no value.
#[must_use]
pub fn decode(before: i64, code: u64) -> Option<i64> {
    Some(after(before, code.checked_sub(1)?))
}

/// The difference to the value before, small ones of either sign as small numbers.
fn zigzag(before: i64, value: i64) -> u64 {
    let difference = value.wrapping_sub(before);
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

/// The value that lies a zigzag-encoded difference after `before`.
fn after(before: i64, zigzag: u64) -> i64 {
    let difference = (zigzag >> 1).cast_signed() ^ -((zigzag & 1).cast_signed());
    before.wrapping_add(difference)
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
        fn calm_values_with_holes_survive_any_cutting(
            ticks in prop::collection::vec((1u64..4, 0i64..2), 1..300), cuts in prop::collection::vec(0u64..40, 0..20),
        ) {
            let mut column = Column::default();
            let mut expected: Vec<(u64, Option<i64>)> = Vec::new();
            let mut cuts = cuts.into_iter().cycle();
            let mut tick = 7;
            for (step, value) in ticks {
                if !expected.is_empty() {
                    expected.extend((tick + 1..tick + step).map(|hole| (hole, None)));
                }
                tick += step;
                column.push(tick, value);
                expected.push((tick, Some(value)));
                let cut = tick.saturating_sub(cuts.next().unwrap_or(400));
                column.evict_before(cut);
                expected.retain(|(tick, _)| *tick >= cut);
                prop_assert_eq!(column.iter_from(0).collect::<Vec<_>>(), expected.clone());
                prop_assert_eq!(column.last(), Some((tick, value)));
            }
            let from = tick.saturating_sub(5);
            expected.retain(|(tick, _)| *tick >= from);
            prop_assert_eq!(column.iter_from(from).collect::<Vec<_>>(), expected);
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
    fn what_stands_still_takes_no_memory() {
        let mut column = Column::default();
        for tick in 0..3_000 {
            column.push(tick, 1 << 40);
        }
        assert_eq!(column.heap_bytes(), 0);
        assert_eq!(column.iter_from(0).count(), 3_000);
        assert_eq!(std::mem::size_of::<Column>(), 80);
    }

    #[test]
    fn a_very_long_hole_does_not_fill_memory() {
        let mut column = Column::default();
        column.push(0, 1);
        column.push(u64::MAX / 2, 2);
        assert_eq!(column.iter_from(0).count(), 1);
    }
}
