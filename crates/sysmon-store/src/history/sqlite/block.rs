//! A stretch of one machine's samples or roll-ups, in columns.
//!
//! A stored block is a head and segments. The head has the times, shared by all series, and says which segment has which
//! series; a segment has about [`SEGMENT_BYTES`] of columns, so that reading one series of many reads little. Columns that
//! follow from another one (total traffic of a machine with one interface; used memory, which is all less the available)
//! are written as such: machines are full of them.

mod rows;

use std::collections::BTreeMap;
use std::ops::Range;

use super::lane::{self, Effort};
use crate::history::answer::Sum;
use crate::history::bytes::{Corrupt, Reader, put, put_part, put_signed, seal, unseal};
use rows::{decode_rows, encode_rows};

/// Where a segment ends and the next one begins.
const SEGMENT_BYTES: usize = 12_000;
/// The most rows of a block; a day of ten samples a second has fewer.
pub(crate) const ROWS_MAX: usize = 1 << 20;
/// The most series of a block.
const SERIES_MAX: usize = 1 << 20;
/// The format; others are not read.
const FORMAT: u8 = 1;
/// The kind of a column that follows from another one.
const FOLLOWS: u8 = 64;
/// Lanes of a column of samples.
pub(crate) const SAMPLE_LANES: usize = 1;
/// Lanes of a column of roll-ups: a hundred times the mean; how far its whole part is above the minimum and below the
/// maximum; the number of samples.
pub(crate) const ROLL_UP_LANES: usize = 4;

/// A block that is not encoded. Rows are in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// Of each row: when the sample was taken, or when the roll-up begins.
    pub(crate) times: Vec<i64>,
    /// By number of the series.
    pub(crate) columns: BTreeMap<u32, Column>,
}

/// The values of one series in a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Column {
    /// The rows that have a value, ascending; `None` for all.
    pub(crate) rows: Option<Vec<u32>>,
    /// Values of these rows: one lane of samples, or the lanes of roll-ups.
    pub(crate) lanes: Vec<Vec<i64>>,
}

impl Column {
    /// The roll-up at an index of the lanes.
    pub(crate) fn sum(&self, index: usize) -> Sum {
        let value = |lane: usize| {
            self.lanes
                .get(lane)
                .and_then(|lane| lane.get(index))
                .copied()
                .unwrap_or(0)
        };
        roll_up([value(0), value(1), value(2), value(3)])
    }

    /// Appends a roll-up.
    pub(crate) fn push_sum(&mut self, sum: &Sum) {
        self.lanes.resize_with(ROLL_UP_LANES, Vec::new);
        let count = i128::from(sum.count.max(1));
        let mean = (sum.hundredfold + count / 2).div_euclid(count);
        let mean = i64::try_from(mean).unwrap_or(if mean < 0 { i64::MIN } else { i64::MAX });
        let whole = mean.div_euclid(100);
        self.lanes[0].push(mean);
        self.lanes[1].push(whole.wrapping_sub(sum.minimum));
        self.lanes[2].push(sum.maximum.wrapping_sub(whole));
        self.lanes[3].push(i64::from(sum.count));
    }
}

/// The roll-up that has these values in its lanes.
#[inline]
pub(crate) fn roll_up([mean, below, above, count]: [i64; ROLL_UP_LANES]) -> Sum {
    let whole = mean.div_euclid(100);
    let count = u32::try_from(count).unwrap_or(0);
    Sum {
        minimum: whole.wrapping_sub(below),
        maximum: whole.wrapping_add(above),
        hundredfold: i128::from(mean) * i128::from(count),
        count,
    }
}

/// A block as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) head: Vec<u8>,
    pub(crate) segments: Vec<Vec<u8>>,
}

impl Stored {
    #[cfg(test)]
    fn length(&self) -> usize {
        self.head.len() + self.segments.iter().map(Vec::len).sum::<usize>()
    }
}

/// What the head of a stored block says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    lanes: usize,
    pub(crate) times: Vec<i64>,
    /// The series of every segment, in the order in which they are written.
    pub(crate) segments: Vec<Vec<u32>>,
}

/// One column that is being written.
struct Written<'a> {
    column: &'a Column,
    segment: usize,
    /// Its place in the segment.
    place: usize,
    /// Lanes on which others may follow.
    is_base: Vec<bool>,
}

/// Encodes a block.
pub(crate) fn encode(block: &Block, effort: Effort) -> Stored {
    let mut segments: Vec<(Vec<u32>, Vec<u8>)> = Vec::new();
    let mut written: Vec<Written> = Vec::new();
    for (series, column) in &block.columns {
        let count = column.lanes.first().map_or(0, Vec::len);
        let mut home = None;
        let mut is_base = Vec::with_capacity(column.lanes.len());
        let mut lanes = Vec::new();
        for values in &column.lanes {
            let base = follow(values, column, &written, home, effort);
            let bytes = base
                .as_ref()
                .map_or_else(|| lane::encode(values, effort), |follows| follows.bytes.clone());
            is_base.push(base.is_none() && values.windows(2).any(|pair| pair[0] != pair[1]));
            if let Some(follows) = base {
                home = Some(follows.segment);
            } else if home.is_none() {
                home = Some(open_segment(&mut segments));
            }
            put_part(&mut lanes, &bytes);
        }
        let segment = home.unwrap_or_else(|| open_segment(&mut segments));
        let twin = written.iter().find(|other| {
            other.segment == segment && column.rows.is_some() && other.column.rows == column.rows
        });
        let (list, bytes) = &mut segments[segment];
        put_part(
            bytes,
            &encode_rows(column, block.times.len(), twin.map(|twin| twin.place)),
        );
        put(bytes, count as u64);
        bytes.append(&mut lanes);
        written.push(Written {
            column,
            segment,
            place: list.len(),
            is_base,
        });
        list.push(*series);
    }
    let lane_count = block
        .columns
        .values()
        .next()
        .map_or(SAMPLE_LANES, |column| column.lanes.len());
    let head = encode_head(
        &block.times,
        lane_count,
        segments.iter().map(|(list, _)| &list[..]),
        effort,
    );
    let seal = |(_, mut bytes): (Vec<u32>, Vec<u8>)| {
        seal(&mut bytes);
        bytes
    };
    Stored {
        head,
        segments: segments.into_iter().map(seal).collect(),
    }
}

fn open_segment(segments: &mut Vec<(Vec<u32>, Vec<u8>)>) -> usize {
    if segments
        .last()
        .is_none_or(|(_, bytes)| bytes.len() >= SEGMENT_BYTES)
    {
        segments.push(Default::default());
    }
    segments.len() - 1
}

fn encode_head<'a>(
    times: &[i64],
    lanes: usize,
    segments: impl ExactSizeIterator<Item = &'a [u32]>,
    effort: Effort,
) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    put(&mut bytes, lanes as u64);
    put(&mut bytes, times.len() as u64);
    put_part(&mut bytes, &lane::encode(times, effort));
    put(&mut bytes, segments.len() as u64);
    let mut before = 0;
    for list in segments {
        put(&mut bytes, list.len() as u64);
        for series in list {
            put_signed(&mut bytes, i64::from(*series) - before);
            before = i64::from(*series);
        }
    }
    seal(&mut bytes);
    bytes
}

/// A lane that follows from another one: `sign × other + offset`.
struct Follows {
    segment: usize,
    bytes: Vec<u8>,
}

/// Finds a lane that gives these values when it, or its negative, is moved by a constant.
fn follow(
    values: &[i64],
    column: &Column,
    written: &[Written],
    home: Option<usize>,
    effort: Effort,
) -> Option<Follows> {
    let (first, last) = (*values.first()?, *values.last()?);
    // What hardly changes is short already.
    if effort == Effort::Fast
        || values.len() < 8
        || (first == last && values.iter().all(|value| *value == first))
    {
        return None;
    }
    for other in written
        .iter()
        .filter(|other| home.is_none_or(|home| home == other.segment))
    {
        if other.column.rows != column.rows {
            continue;
        }
        for (index, base) in other.column.lanes.iter().enumerate() {
            if !other.is_base[index] || base.len() != values.len() {
                continue;
            }
            for negative in [false, true] {
                let moved = |base: i64| if negative { base.wrapping_neg() } else { base };
                let offset = first.wrapping_sub(moved(base[0]));
                if values
                    .iter()
                    .zip(base)
                    .all(|(value, base)| value.wrapping_sub(moved(*base)) == offset)
                {
                    let mut bytes = vec![FOLLOWS | u8::from(negative)];
                    put(&mut bytes, other.place as u64);
                    put(&mut bytes, index as u64);
                    put_signed(&mut bytes, offset);
                    return Some(Follows {
                        segment: other.segment,
                        bytes,
                    });
                }
            }
        }
    }
    None
}

/// Reads a head.
///
/// # Errors
/// [`Corrupt`] when it is not what was written.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<Head, Corrupt> {
    let mut reader = Reader(unseal(bytes)?);
    if reader.byte()? != FORMAT {
        return Err(Corrupt("the format"));
    }
    let lanes = reader.count(ROLL_UP_LANES)?;
    let rows = reader.count(ROWS_MAX)?;
    let times = lane::decode(reader.part()?, rows)?;
    // Every series takes a byte of the head at least, and so does every segment.
    let segment_count = reader.count(reader.0.len())?;
    let mut segments = Vec::with_capacity(segment_count);
    let mut series = 0i64;
    for _ in 0..segment_count {
        let count = reader.count(reader.0.len().min(SERIES_MAX))?;
        let mut list = Vec::with_capacity(count);
        for _ in 0..count {
            series = series.wrapping_add(reader.signed()?);
            list.push(u32::try_from(series).map_err(|_| Corrupt("a series"))?);
        }
        segments.push(list);
    }
    Ok(Head {
        lanes,
        times,
        segments,
    })
}

/// A column of a segment, not decoded.
struct Raw<'a> {
    rows: &'a [u8],
    count: usize,
    lanes: [&'a [u8]; ROLL_UP_LANES],
}

/// Room that decoding uses again for every column.
#[derive(Debug, Default)]
pub(crate) struct Room {
    rows: Vec<u32>,
    lanes: [Vec<i64>; ROLL_UP_LANES],
}

/// What a column has of a range of rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    /// The rows that have a value, counted from the first of the block; `None` for all of the range.
    pub(crate) rows: Option<&'a [u32]>,
    /// Values of these rows.
    pub(crate) lanes: &'a [Vec<i64>],
}

/// Reads the wanted columns of a segment.
///
/// # Errors
/// [`Corrupt`] when it is not what was written, or belongs to another head.
pub(crate) fn decode_segment(
    head: &Head,
    number: usize,
    bytes: &[u8],
    wanted: impl Fn(u32) -> bool,
) -> Result<Vec<(u32, Column)>, Corrupt> {
    let mut columns = Vec::new();
    let all = 0..head.times.len();
    visit_segment(
        (head, number, bytes),
        wanted,
        &all,
        &mut Room::default(),
        |series, part| {
            let rows = part.rows.map(<[u32]>::to_vec);
            let lanes = part.lanes.to_vec();
            columns.push((series, Column { rows, lanes }));
        },
    )?;
    Ok(columns)
}

/// Reads a range of rows of the wanted columns of a segment, given with its head and number, and shows each to `visit`.
///
/// # Errors
/// As [`decode_segment`].
pub(crate) fn visit_segment(
    (head, number, bytes): (&Head, usize, &[u8]),
    wanted: impl Fn(u32) -> bool,
    range: &Range<usize>,
    room: &mut Room,
    mut visit: impl FnMut(u32, Part),
) -> Result<(), Corrupt> {
    let list = head.segments.get(number).ok_or(Corrupt("a segment"))?;
    let mut reader = Reader(unseal(bytes)?);
    let mut parts = Vec::with_capacity(list.len());
    for _ in list {
        let rows = reader.part()?;
        let count = reader.count(head.times.len())?;
        let mut lanes = [&[][..]; ROLL_UP_LANES];
        for lane in lanes.iter_mut().take(head.lanes) {
            *lane = reader.part()?;
        }
        parts.push(Raw { rows, count, lanes });
    }
    for (series, raw) in list.iter().zip(&parts) {
        if !wanted(*series) {
            continue;
        }
        let has_rows = decode_rows(
            raw.rows,
            &|place| Some(parts.get(place)?.rows),
            head.times.len(),
            &mut room.rows,
        )?;
        let (count, kept) = if has_rows {
            let before = |end: usize| room.rows.partition_point(|row| (*row as usize) < end);
            (room.rows.len(), before(range.start)..before(range.end))
        } else {
            (head.times.len(), range.clone())
        };
        if count != raw.count {
            return Err(Corrupt("the rows of a column"));
        }
        for (bytes, values) in raw.lanes.iter().zip(&mut room.lanes).take(head.lanes) {
            decode_lane(bytes, raw.count, &kept, &parts, values)?;
        }
        let part = Part {
            rows: has_rows.then(|| &room.rows[kept]),
            lanes: &room.lanes[..head.lanes],
        };
        visit(*series, part);
    }
    Ok(())
}

fn decode_lane(
    bytes: &[u8],
    count: usize,
    range: &Range<usize>,
    parts: &[Raw],
    values: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    let kind = bytes.first().copied().unwrap_or(0);
    if kind & !1 != FOLLOWS {
        return lane::decode_range(bytes, count, range.clone(), values);
    }
    let mut reader = Reader(&bytes[1..]);
    let (place, index) = (reader.count(SERIES_MAX)?, reader.count(ROLL_UP_LANES)?);
    let offset = reader.signed()?;
    let base = parts.get(place).filter(|base| base.count == count);
    let base = base
        .and_then(|base| base.lanes.get(index))
        .ok_or(Corrupt("a column that follows"))?;
    // A base that follows itself is refused there: its kind is none that a lane has.
    lane::decode_range(base, count, range.clone(), values)?;
    for value in values {
        let moved = if kind == FOLLOWS {
            *value
        } else {
            value.wrapping_neg()
        };
        *value = moved.wrapping_add(offset);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn columns(rows: usize, lanes: usize) -> impl Strategy<Value = Column> {
        let values = prop_oneof![
            prop::collection::vec(any::<i64>(), rows),
            prop::collection::vec(0i64..3, rows),
            Just((0..rows as i64).collect::<Vec<_>>()),
            Just((0..rows as i64).map(|row| 9 - row).collect::<Vec<_>>()),
        ];
        (
            prop::collection::vec(values, lanes),
            prop_oneof![
                Just(None),
                prop::collection::vec(any::<bool>(), rows).prop_map(Some)
            ],
        )
            .prop_map(|(mut lanes, kept)| {
                let Some(kept) = kept.filter(|kept| kept.contains(&true) && kept.contains(&false)) else {
                    return Column { rows: None, lanes };
                };
                let rows: Vec<u32> = (0..)
                    .zip(&kept)
                    .filter(|(_, kept)| **kept)
                    .map(|(row, _)| row)
                    .collect();
                for lane in &mut lanes {
                    *lane = rows.iter().map(|row| lane[*row as usize]).collect();
                }
                Column {
                    rows: Some(rows),
                    lanes,
                }
            })
    }

    fn blocks() -> impl Strategy<Value = Block> {
        (1usize..60, prop_oneof![Just(SAMPLE_LANES), Just(ROLL_UP_LANES)]).prop_flat_map(|(rows, lanes)| {
            (
                prop::collection::vec(0i64..1 << 50, rows),
                prop::collection::btree_map(0u32..1_000, columns(rows, lanes), 0..12),
            )
                .prop_map(|(mut times, columns)| {
                    times.sort_unstable();
                    Block { times, columns }
                })
        })
    }

    fn decode(stored: &Stored) -> Result<Block, Corrupt> {
        let head = decode_head(&stored.head)?;
        let mut columns = BTreeMap::new();
        for (number, segment) in stored.segments.iter().enumerate() {
            columns.extend(decode_segment(&head, number, segment, |_| true)?);
        }
        Ok(Block {
            times: head.times,
            columns,
        })
    }

    proptest! {
        #[test]
        fn every_block_comes_back_as_it_was(block in blocks()) {
            for effort in [Effort::Fast, Effort::Small] {
                prop_assert_eq!(&decode(&encode(&block, effort)).unwrap(), &block);
            }
        }

        #[test]
        fn a_range_of_rows_is_what_the_whole_has_there(
            block in blocks(), from in 0usize..70, length in 0usize..70,
        ) {
            let stored = encode(&block, Effort::Small);
            let head = decode_head(&stored.head).unwrap();
            let from = from.min(block.times.len());
            let range = from..(from + length).min(block.times.len());
            let (mut room, mut seen) = (Room::default(), 0);
            for (number, segment) in stored.segments.iter().enumerate() {
                visit_segment((&head, number, segment), |_| true, &range, &mut room, |series, part| {
                    let column = &block.columns[&series];
                    let all: Vec<u32> = (0u32..).take(block.times.len()).collect();
                    let rows = column.rows.as_ref().unwrap_or(&all);
                    let kept: Vec<usize> = (0..rows.len()).filter(|index| range.contains(&(rows[*index] as usize))).collect();
                    let expected: Vec<u32> = kept.iter().map(|index| rows[*index]).collect();
                    assert_eq!(part.rows, column.rows.as_ref().map(|_| &expected[..]));
                    for (lane, values) in column.lanes.iter().zip(part.lanes) {
                        assert_eq!(values, &kept.iter().map(|index| lane[*index]).collect::<Vec<_>>());
                    }
                    assert_eq!(part.lanes.len(), column.lanes.len());
                    seen += 1;
                }).unwrap();
            }
            prop_assert_eq!(seen, block.columns.len());
        }

        #[test]
        fn a_flipped_bit_is_found(block in blocks(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let mut stored = encode(&block, Effort::Small);
            let part = at.index(stored.segments.len() + 1);
            let bytes = if part == 0 { &mut stored.head } else { &mut stored.segments[part - 1] };
            let index = at.index(bytes.len());
            bytes[index] ^= 1 << bit;
            prop_assert!(decode(&stored).is_err());
        }

        #[test]
        fn damage_with_a_matching_checksum_never_panics(
            block in blocks(), at in any::<prop::sample::Index>(), value in any::<u8>(),
        ) {
            let mut stored = encode(&block, Effort::Small);
            let part = at.index(stored.segments.len() + 1);
            let bytes = if part == 0 { &mut stored.head } else { &mut stored.segments[part - 1] };
            bytes.truncate(bytes.len() - 4);
            let index = at.index(bytes.len().max(1));
            if let Some(byte) = bytes.get_mut(index) { *byte = value; }
            seal(bytes);
            let _ = decode(&stored);
        }
    }

    #[test]
    fn what_follows_from_another_series_costs_next_to_nothing() {
        let noise: Vec<i64> = (0..3_600i64)
            .map(|row| (row * 7_919 + row * row * 31) % 100_003)
            .collect();
        let column = |lane: Vec<i64>| Column {
            rows: None,
            lanes: vec![lane],
        };
        let alone = Block {
            times: (0..3_600).collect(),
            columns: BTreeMap::from([(1, column(noise.clone()))]),
        };
        let mut family = alone.clone();
        family.columns.insert(7, column(noise.clone()));
        family
            .columns
            .insert(9, column(noise.iter().map(|value| 25_000_000 - value).collect()));
        let (alone, family) = (encode(&alone, Effort::Small), encode(&family, Effort::Small));
        assert!(
            family.length() - alone.length() < 32,
            "{} {}",
            family.length(),
            alone.length()
        );
    }

    #[test]
    fn roll_ups_of_the_largest_numbers_keep_their_extremes() {
        for (minimum, maximum) in [
            (i64::MIN, i64::MAX),
            (-1, 1 << 60),
            (i64::MAX - 1, i64::MAX),
            (-7, -7),
        ] {
            let sum = Sum {
                minimum,
                maximum,
                hundredfold: (i128::from(minimum) + i128::from(maximum)) * 100,
                count: 2,
            };
            let mut column = Column::default();
            column.push_sum(&sum);
            let back = column.sum(0);
            assert_eq!((back.minimum, back.maximum, back.count), (minimum, maximum, 2));
        }
    }
}
