//! What was read for an answer, and the answer made of it.

use std::ops::Range;
use std::sync::Arc;

use sysmon_core::{Gap, MachineHistory, MachineId, Tier};

use super::block::{Head, Part, ROLL_UP_LANES, Room, visit_segment};
use super::catalogue::Selection;
use super::tick;
use crate::history::answer::{Answer, Edges, OUTSIDE, Stretch, Sum};
use crate::history::bytes::Corrupt;
use crate::history::plan::Plan;

/// From so many bytes of columns on, two threads decode the columns of one machine: a few hundred kilobytes take longer
/// than handing half of them over.
const SHARED_BYTES: usize = 200_000;

/// A block as it was read.
pub(super) struct Block {
    pub(super) id: i64,
    pub(super) head: Arc<Head>,
    pub(super) segments: Vec<(usize, Vec<u8>)>,
}

/// All that an answer for one machine is made of, as of one moment.
pub(super) struct Material {
    pub(super) plan: Plan,
    pub(super) blocks: Vec<Block>,
    pub(super) recent: Vec<(i64, Vec<u8>)>,
    pub(super) edges: Edges,
    pub(super) gaps: Vec<Gap>,
}

impl Material {
    /// An answer without anything in it yet.
    pub(super) fn begin(&self) -> Answer {
        let mut times: Vec<i64> = self.recent.iter().map(|(at, _)| *at).collect();
        if self.plan.tier == Tier::Raw {
            times.extend(self.blocks.iter().flat_map(|block| &block.head.times));
        }
        Answer::of(self.plan, &times)
    }

    /// Takes about half of the columns out, for another thread to decode; nothing when there are few.
    pub(super) fn share(&mut self) -> Option<Vec<Block>> {
        let length = |block: &Block| {
            block
                .segments
                .iter()
                .map(|(_, columns)| columns.len())
                .sum::<usize>()
        };
        let whole: usize = self.blocks.iter().map(length).sum();
        if whole < SHARED_BYTES {
            return None;
        }
        let mut left = whole / 2;
        let share = self.blocks.iter_mut().map(|block| {
            let mut segments = Vec::new();
            while let Some((_, columns)) = block.segments.last().filter(|(_, columns)| columns.len() <= left)
            {
                left -= columns.len();
                segments.extend(block.segments.pop());
            }
            Block {
                id: block.id,
                head: Arc::clone(&block.head),
                segments,
            }
        });
        Some(share.collect())
    }

    /// Decodes the rows and columns that were asked for, and nothing else, into what was begun.
    ///
    /// # Errors
    /// [`Corrupt`] when something that is needed is damaged.
    pub(super) fn decode(&self, answer: &mut Answer, selection: &Selection) -> Result<(), Corrupt> {
        decode(&self.blocks, self.plan, answer, selection)?;
        take_recent(answer, &self.recent, selection)
    }

    /// The answer, when everything has been decoded.
    pub(super) fn finish(self, answer: Answer, machine: MachineId, selection: &Selection) -> MachineHistory {
        let describe = |series: u32| selection.series.get(&series).cloned();
        answer.finish(machine, &self.edges, self.gaps, describe)
    }
}

/// Decodes the wanted columns of blocks.
///
/// # Errors
/// [`Corrupt`] when something that is needed is damaged.
pub(super) fn decode(
    blocks: &[Block],
    plan: Plan,
    answer: &mut Answer,
    selection: &Selection,
) -> Result<(), Corrupt> {
    let mut room = Room::default();
    for block in blocks {
        let rows = within(&block.head.times, plan);
        let stretches = answer.stretches(&block.head.times[rows.clone()]);
        if stretches.is_empty() {
            continue;
        }
        for (number, columns) in &block.segments {
            visit_segment(
                (&block.head, *number, columns),
                |series| selection.needs(series),
                &rows,
                &mut room,
                |series, part| take(answer, series, part, &stretches, rows.start),
            )?;
        }
    }
    Ok(())
}

/// The rows of a block that are in the range of a plan.
pub(super) fn within(times: &[i64], plan: Plan) -> Range<usize> {
    let (from, to) = plan.reach();
    let start = times.partition_point(|time| *time < from);
    start..times.partition_point(|time| *time < to).max(start)
}

/// Takes over a part of a column whose first row has the number `first`.
fn take(answer: &mut Answer, series: u32, part: Part, stretches: &[Stretch], first: usize) {
    // Where rows are missing a stretch has fewer values than rows.
    let values = |rows: Range<usize>| match part.rows {
        None => rows,
        Some(kept) => {
            let before = |end: usize| kept.partition_point(|row| (*row as usize) < first + end);
            before(rows.start)..before(rows.end)
        }
    };
    match part.lanes {
        [samples] => answer.merge_rows(series, stretches, |rows| {
            Sum::of(samples.get(values(rows)).unwrap_or(&[]))
        }),
        [means, below, above, counts] => answer.merge_rows(series, stretches, |rows| {
            let rows = values(rows);
            let lanes = [means, below, above, counts].map(|lane| lane.get(rows.clone()).unwrap_or(&[]));
            join(lanes)
        }),
        _ => {}
    }
}

/// Roll-ups as one, as [`Sum::merge`] makes of each, but without a whole [`Sum`] for every row.
fn join([means, below, above, counts]: [&[i64]; ROLL_UP_LANES]) -> Sum {
    let (mut minimum, mut maximum, mut hundredfold, mut all) = (i64::MAX, i64::MIN, 0i128, 0u32);
    for (((mean, below), above), count) in means.iter().zip(below).zip(above).zip(counts) {
        let row = super::block::roll_up([*mean, *below, *above, *count]);
        if row.count > 0 {
            minimum = minimum.min(row.minimum);
            maximum = maximum.max(row.maximum);
            hundredfold += row.hundredfold;
            all = all.saturating_add(row.count);
        }
    }
    if all == 0 {
        return Sum::default();
    }
    Sum {
        minimum,
        maximum,
        hundredfold,
        count: all,
    }
}

/// Takes over samples that are not in blocks yet.
fn take_recent(answer: &mut Answer, recent: &[(i64, Vec<u8>)], selection: &Selection) -> Result<(), Corrupt> {
    let times: Vec<i64> = recent.iter().map(|(at, _)| *at).collect();
    let places = answer.place(&times);
    let mut columns: Vec<(u32, Vec<(u32, i64)>)> = Vec::new();
    for (place, (_, samples)) in places.iter().zip(recent) {
        if *place == OUTSIDE {
            continue;
        }
        // Most ticks have the series of the one before, in the same order.
        let mut next = 0;
        tick::decode(samples, |series, value| {
            if !selection.needs(series) {
                return;
            }
            if columns.get(next).is_none_or(|(known, _)| *known != series) {
                next = columns
                    .binary_search_by_key(&series, |(known, _)| *known)
                    .unwrap_or_else(|free| {
                        columns.insert(free, (series, Vec::with_capacity(recent.len())));
                        free
                    });
            }
            columns[next].1.push((*place, value));
            next += 1;
        })?;
    }
    for (series, samples) in columns {
        answer.add(series, samples.into_iter());
    }
    Ok(())
}
