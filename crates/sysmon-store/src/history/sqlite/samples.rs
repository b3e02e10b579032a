//! Samples as plain numbers, straight out of the columns: a rule that is played on a day of a fleet judges millions.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use sysmon_core::{MachineId, MachineSamples, SeriesKey, SeriesSamples, Tier, UnixMillis, from_scaled};

use super::block::{Part, Room, visit_segment};
use super::catalogue::Selection;
use super::material::{Material, within};
use super::tick;
use crate::history::bytes::Corrupt;

/// Columns that are being filled.
struct Columns<'a> {
    selection: &'a Selection,
    moments: usize,
    series: BTreeMap<&'a Arc<SeriesKey>, Vec<f64>>,
}

impl<'a> Columns<'a> {
    /// The values of a series, and its decimals; none for one that was not asked for.
    fn values(&mut self, series: u32) -> Option<(&mut [f64], u8)> {
        let (key, decimals) = self.selection.series.get(&series)?;
        let moments = self.moments;
        let values = self.series.entry(key).or_insert_with(|| vec![f64::NAN; moments]);
        Some((values, *decimals))
    }

    /// Takes over a part of a column whose first row is the moment `offset` and has the number `first` in its block.
    fn take(&mut self, series: u32, part: Part, offset: usize, first: usize) {
        let Some((values, decimals)) = self.values(series) else {
            return;
        };
        let Some((samples, values)) = part.lanes.first().zip(values.get_mut(offset..)) else {
            return;
        };
        match part.rows {
            None => {
                for (value, sample) in values.iter_mut().zip(samples) {
                    *value = from_scaled(*sample, decimals);
                }
            }
            Some(rows) => {
                for (row, sample) in rows.iter().zip(samples) {
                    if let Some(value) = values.get_mut((*row as usize).wrapping_sub(first)) {
                        *value = from_scaled(*sample, decimals);
                    }
                }
            }
        }
    }
}

impl Material {
    /// All samples in the range. `None` where a moment may be of more than one of them: for roll-ups, for more samples than
    /// were asked for, and where blocks overlap because some came late.
    ///
    /// # Errors
    /// [`Corrupt`] when something that is needed is damaged.
    pub(super) fn samples(
        &self,
        machine: &MachineId,
        selection: &Selection,
    ) -> Result<Option<MachineSamples>, Corrupt> {
        let Some((times, rows)) = self.in_order() else {
            return Ok(None);
        };
        let mut columns = Columns {
            selection,
            moments: times.len(),
            series: BTreeMap::new(),
        };
        let mut room = Room::default();
        for (index, offset, rows) in rows {
            let block = &self.blocks[index];
            for (number, bytes) in &block.segments {
                visit_segment(
                    (&block.head, *number, bytes),
                    |series| selection.needs(series),
                    &rows,
                    &mut room,
                    |series, part| columns.take(series, part, offset, rows.start),
                )?;
            }
        }
        for (at, samples) in &self.recent {
            let Ok(moment) = times.binary_search(&UnixMillis(*at)) else {
                continue;
            };
            tick::decode(samples, |series, sample| {
                if let Some((values, decimals)) = columns.values(series) {
                    values[moment] = from_scaled(sample, decimals);
                }
            })?;
        }
        let is_there = |(_, values): &(&Arc<SeriesKey>, Vec<f64>)| values.iter().any(|value| !value.is_nan());
        let series = columns.series.into_iter().filter(is_there);
        Ok(Some(MachineSamples {
            machine: machine.clone(),
            step_ms: 0,
            series: series
                .map(|(key, values)| SeriesSamples {
                    key: Arc::clone(key),
                    values,
                })
                .collect(),
            times,
        }))
    }

    /// The times of all samples in the range, and which rows of which block begin at which of them; none unless every
    /// moment is one sample's.
    #[expect(clippy::type_complexity, reason = "used in one place")]
    fn in_order(&self) -> Option<(Vec<UnixMillis>, Vec<(usize, usize, Range<usize>)>)> {
        if self.plan.tier != Tier::Raw {
            return None;
        }
        let mut blocks: Vec<(usize, Range<usize>)> = self
            .blocks
            .iter()
            .map(|block| within(&block.head.times, self.plan))
            .enumerate()
            .filter(|(_, rows)| !rows.is_empty())
            .collect();
        blocks.sort_by_key(|(index, rows)| self.blocks[*index].head.times[rows.start]);
        let mut times =
            Vec::with_capacity(blocks.iter().map(|(_, rows)| rows.len()).sum::<usize>() + self.recent.len());
        let mut placed = Vec::with_capacity(blocks.len());
        for (index, rows) in blocks {
            placed.push((index, times.len(), rows.clone()));
            times.extend(
                self.blocks[index].head.times[rows]
                    .iter()
                    .copied()
                    .map(UnixMillis),
            );
        }
        // Samples in recent rows are mostly newer than all blocks.
        times.extend(self.recent.iter().map(|(at, _)| UnixMillis(*at)));
        let is_ascending = times.windows(2).all(|pair| pair[0] < pair[1]);
        (is_ascending && times.len() <= self.plan.points).then_some((times, placed))
    }
}
