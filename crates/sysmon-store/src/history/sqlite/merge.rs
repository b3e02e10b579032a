//! Blocks out of ticks, out of several blocks, and roll-ups out of samples.

use std::collections::BTreeMap;

use super::block::{Block, Column, ROLL_UP_LANES, SAMPLE_LANES};
use super::tick;
use crate::history::answer::Sum;
use crate::history::bytes::Corrupt;

/// Puts ticks, in order of time, into columns.
///
/// # Errors
/// [`Corrupt`] for a tick that cannot be read.
pub(crate) fn from_ticks<'a>(ticks: impl Iterator<Item = (i64, &'a [u8])>) -> Result<Block, Corrupt> {
    let mut block = Block::default();
    for (row, (time, values)) in (0u32..).zip(ticks) {
        block.times.push(time);
        tick::decode(values, |series, value| {
            let column = block.columns.entry(series).or_default();
            let rows = column.rows.get_or_insert_default();
            // A tick has a series once; a damaged one must not break the order.
            if rows.last() != Some(&row) {
                rows.push(row);
                column.lanes.resize_with(SAMPLE_LANES, Vec::new);
                column.lanes[0].push(value);
            }
        })?;
    }
    let count = block.times.len();
    block
        .columns
        .values_mut()
        .for_each(|column| settle(column, count));
    Ok(block)
}

/// A column that has every row needs no list of them.
fn settle(column: &mut Column, count: usize) {
    if column.rows.as_ref().is_some_and(|rows| rows.len() == count) {
        column.rows = None;
    }
}

/// Joins blocks, whatever their order and however they overlap. Samples of the same time stay apart; roll-ups of the same
/// time become one.
pub(crate) fn merge(blocks: &[Block]) -> Block {
    let is_roll_up = |block: &Block| {
        block
            .columns
            .values()
            .any(|column| column.lanes.len() == ROLL_UP_LANES)
    };
    let joins = blocks.iter().any(is_roll_up);
    let mut order: Vec<(i64, usize, usize)> = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        order.extend(
            block
                .times
                .iter()
                .enumerate()
                .map(|(row, time)| (*time, number, row)),
        );
    }
    order.sort_unstable();
    let mut merged = Block::default();
    let mut places: Vec<Vec<u32>> = blocks.iter().map(|block| vec![0; block.times.len()]).collect();
    for (time, number, row) in order {
        if !joins || merged.times.last() != Some(&time) {
            merged.times.push(time);
        }
        places[number][row] = u32::try_from(merged.times.len() - 1).unwrap_or(u32::MAX);
    }
    let mut sources: BTreeMap<u32, Vec<(&Column, &[u32])>> = BTreeMap::new();
    for (block, places) in blocks.iter().zip(&places) {
        for (series, column) in &block.columns {
            sources.entry(*series).or_default().push((column, places));
        }
    }
    for (series, sources) in sources {
        let mut column = if joins {
            join_roll_ups(&sources)
        } else {
            join_samples(&sources)
        };
        settle(&mut column, merged.times.len());
        merged.columns.insert(series, column);
    }
    merged
}

fn join_samples(sources: &[(&Column, &[u32])]) -> Column {
    let mut samples: Vec<(u32, i64)> = Vec::new();
    for (column, places) in sources {
        let values = column.lanes.first().map_or(&[][..], |lane| lane);
        match &column.rows {
            None => samples.extend(places.iter().copied().zip(values.iter().copied())),
            Some(rows) => samples.extend(
                rows.iter()
                    .map(|row| places[*row as usize])
                    .zip(values.iter().copied()),
            ),
        }
    }
    if !samples.is_sorted_by_key(|(row, _)| *row) {
        samples.sort_unstable_by_key(|(row, _)| *row);
    }
    let (rows, values) = samples.into_iter().unzip();
    Column {
        rows: Some(rows),
        lanes: vec![values],
    }
}

fn join_roll_ups(sources: &[(&Column, &[u32])]) -> Column {
    let mut sums: BTreeMap<u32, Sum> = BTreeMap::new();
    for (column, places) in sources {
        let count = column.lanes.first().map_or(0, Vec::len);
        for index in 0..count {
            let row = column.rows.as_ref().map_or(index, |rows| rows[index] as usize);
            sums.entry(places[row]).or_default().merge(&column.sum(index));
        }
    }
    collect(sums.into_iter())
}

fn collect(sums: impl Iterator<Item = (u32, Sum)>) -> Column {
    let mut column = Column {
        rows: Some(Vec::new()),
        lanes: vec![Vec::new(); ROLL_UP_LANES],
    };
    for (row, sum) in sums {
        column.rows.get_or_insert_default().push(row);
        column.push_sum(&sum);
    }
    column
}

/// Rolls samples up: one row for every `width_ms` that has some.
pub(crate) fn roll_up(samples: &Block, width_ms: i64) -> Block {
    let mut rolled = Block::default();
    let mut places = Vec::with_capacity(samples.times.len());
    for time in &samples.times {
        let start = time.div_euclid(width_ms) * width_ms;
        if rolled.times.last() != Some(&start) {
            rolled.times.push(start);
        }
        places.push(u32::try_from(rolled.times.len() - 1).unwrap_or(u32::MAX));
    }
    for (series, column) in &samples.columns {
        let values = column.lanes.first().map_or(&[][..], |lane| lane);
        let mut sums: Vec<(u32, Sum)> = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let row = column.rows.as_ref().map_or(index, |rows| rows[index] as usize);
            match sums.last_mut() {
                Some((place, sum)) if *place == places[row] => sum.add(*value),
                _ => {
                    let mut sum = Sum::default();
                    sum.add(*value);
                    sums.push((places[row], sum));
                }
            }
        }
        let mut column = collect(sums.into_iter());
        settle(&mut column, rolled.times.len());
        rolled.columns.insert(*series, column);
    }
    rolled
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(samples: &[(i64, u32, i64)]) -> Block {
        let mut ticks: BTreeMap<i64, BTreeMap<u32, i64>> = BTreeMap::new();
        for (time, series, value) in samples {
            ticks.entry(*time).or_default().insert(*series, *value);
        }
        let ticks: Vec<(i64, Vec<u8>)> = ticks
            .into_iter()
            .map(|(time, values)| (time, tick::encode(&values.into_iter().collect::<Vec<_>>())))
            .collect();
        from_ticks(ticks.iter().map(|(time, bytes)| (*time, &bytes[..]))).unwrap()
    }

    fn samples() -> impl Strategy<Value = Vec<(i64, u32, i64)>> {
        prop::collection::vec((0i64..5_000, 1u32..5, -1_000i64..1_000), 0..60)
    }

    proptest! {
        #[test]
        fn rolling_up_pieces_is_the_same_as_rolling_up_the_whole(one in samples(), other in samples()) {
            let other: Vec<_> = other.into_iter().map(|(time, series, value)| (time + 2_500, series, value)).collect();
            let (one, other) = (block(&one), block(&other));
            let whole = roll_up(&merge(&[one.clone(), other.clone()]), 1_000);
            let pieces = merge(&[roll_up(&one, 1_000), roll_up(&other, 1_000)]);
            prop_assert_eq!(&whole.times, &pieces.times);
            for (series, column) in &whole.columns {
                let piece = &pieces.columns[series];
                prop_assert_eq!(&column.rows, &piece.rows);
                for index in 0..column.lanes[0].len() {
                    let (sum, piece) = (column.sum(index), piece.sum(index));
                    prop_assert_eq!((sum.minimum, sum.maximum, sum.count), (piece.minimum, piece.maximum, piece.count));
                    // A hundredth per sample at most is rounded away.
                    prop_assert!((sum.hundredfold - piece.hundredfold).abs() <= i128::from(sum.count) * 2);
                }
            }
        }

        #[test]
        fn no_sample_is_lost_or_moved_by_merging(one in samples(), other in samples()) {
            let list = |block: &Block| {
                let mut list = Vec::new();
                for (series, column) in &block.columns {
                    for (index, value) in column.lanes[0].iter().enumerate() {
                        let row = column.rows.as_ref().map_or(index, |rows| rows[index] as usize);
                        list.push((block.times[row], *series, *value));
                    }
                }
                list.sort_unstable();
                list
            };
            let (one, other) = (block(&one), block(&other));
            let mut expected = list(&one);
            expected.extend(list(&other));
            expected.sort_unstable();
            prop_assert_eq!(list(&merge(&[one, other])), expected);
        }
    }
}
