//! The recent past as columns: what a snapshot brings, and what a subscriber that is far behind catches up with.

use sysmon_api::wire;
use sysmon_core::{Recent, Series, UnixMillis, series};

use crate::config::Config;

/// The most values sent of one machine's past; a machine with so many series that this is less than what was asked for
/// brings a shorter past.
pub(super) const VALUES_MAX: usize = 1_000_000;
/// About this many values are sent in one piece, a byte or two each.
const SLICE_VALUES: usize = 100_000;

/// Builds columns over chosen ticks of one machine.
#[derive(Debug)]
pub(super) struct Columns {
    /// Ticks before `from` that are there for the sake of a single value, ascending; `None` for one that is no longer
    /// kept.
    older: Vec<Option<u64>>,
    /// First of a run of ticks.
    from: u64,
    /// One past the last of that run.
    to: u64,
    /// Ticks per slice.
    slice_length: usize,
    slices: Vec<wire::History>,
}

impl Columns {
    /// Columns over the ticks `from..to` and the `older` ones, for `series_count` series.
    pub(super) fn new(
        recent: &Recent,
        mut older: Vec<Option<u64>>,
        from: u64,
        to: u64,
        series_count: usize,
    ) -> Self {
        older.sort_unstable();
        older.dedup();
        let newest = recent.times().back().copied().unwrap_or_default();
        let time_of = |tick: Option<u64>| {
            tick.and_then(|tick| recent.time_of(tick))
                .unwrap_or_else(|| Config::before_the_window(newest))
        };
        let times: Vec<UnixMillis> = older
            .iter()
            .copied()
            .chain((from..to).map(Some))
            .map(time_of)
            .collect();
        let slice_length = (SLICE_VALUES / series_count.max(1)).max(1);
        let slices = times.chunks(slice_length).map(|times| wire::History {
            at_unix_ms_steps: steps(times),
            series: Vec::with_capacity(series_count),
        });
        Self {
            slices: slices.collect(),
            older,
            from,
            to,
            slice_length,
        }
    }

    /// Where a tick stands; `None` when it is not one of those chosen.
    fn position(&self, tick: Option<u64>) -> Option<usize> {
        if let Some(tick) = tick
            && (self.from..self.to).contains(&tick)
        {
            let offset = usize::try_from(tick - self.from).ok()?;
            return Some(self.older.len() + offset);
        }
        self.older.binary_search(&tick).ok()
    }

    /// Adds all values that a series has at the chosen run of ticks, after `single`: a value at an older tick.
    pub(super) fn add(&mut self, number: u32, column: &Series, single: Option<(Option<u64>, i64)>) {
        let mut writer = Writer::default();
        if let Some((tick, value)) = single {
            self.write(&mut writer, number, tick, value);
        }
        for (tick, value) in column.column.iter_from(self.from) {
            if tick >= self.to {
                break;
            }
            if let Some(value) = value {
                self.write(&mut writer, number, Some(tick), value);
            }
        }
    }

    /// Adds a series of which only one value is wanted.
    pub(super) fn add_single(&mut self, number: u32, tick: Option<u64>, value: i64) {
        self.write(&mut Writer::default(), number, tick, value);
    }

    fn write(&mut self, writer: &mut Writer, number: u32, tick: Option<u64>, value: i64) {
        let Some(position) = self.position(tick) else {
            return;
        };
        let (slice, offset) = (position / self.slice_length, position % self.slice_length);
        if writer.slice != Some(slice) {
            // Every slice is read by itself, so its first value stands for itself.
            *writer = Writer {
                slice: Some(slice),
                before: 0,
            };
            let series = &mut self.slices[slice].series;
            series.push(wire::SeriesHistory {
                series: number,
                codes: Vec::new(),
            });
        }
        if let Some(series) = self.slices[slice].series.last_mut() {
            series.codes.resize(offset, 0);
            series.codes.push(series::code(writer.before, value));
        }
        writer.before = value;
    }

    /// The slices that say anything, oldest first.
    pub(super) fn finish(self) -> impl Iterator<Item = wire::History> {
        self.slices.into_iter().filter(|slice| !slice.series.is_empty())
    }
}

/// Where the writing of one series stands.
#[derive(Debug, Default)]
struct Writer {
    slice: Option<usize>,
    before: i64,
}

/// Differences between times, the first to 0.
fn steps(times: &[UnixMillis]) -> Vec<i64> {
    let mut before = 0i64;
    times
        .iter()
        .map(|at| {
            let step = at.0.wrapping_sub(before);
            before = at.0;
            step
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use sysmon_core::{MetricId, SeriesKey};

    fn recent(ticks: i64, series: u32) -> Recent {
        let mut recent = Recent::new(300_000);
        for number in 0..series {
            let key = SeriesKey::of(MetricId::CpuCoreBusy, &number.to_string());
            recent.announce(number, Arc::new(key), 0);
        }
        for tick in 0..ticks {
            let values = (0..series).map(|number| (number, tick * 10 + i64::from(number)));
            recent.push(UnixMillis(1_000 + tick * 100), values);
        }
        recent
    }

    fn decode(slices: impl Iterator<Item = wire::History>) -> Vec<(i64, u32, i64)> {
        let mut values = Vec::new();
        for slice in slices {
            let mut at = 0;
            let times: Vec<i64> = slice
                .at_unix_ms_steps
                .iter()
                .map(|step| {
                    at += step;
                    at
                })
                .collect();
            for series in slice.series {
                let mut before = 0;
                for (at, code) in times.iter().zip(&series.codes) {
                    if let Some(value) = series::decode(before, *code) {
                        before = value;
                        values.push((*at, series.series, value));
                    }
                }
            }
        }
        values.sort_unstable();
        values
    }

    #[test]
    fn columns_bring_every_value_of_the_run_whatever_the_slicing() {
        for (ticks, series) in [(10, 3), (2_900, 100), (7, 4_000)] {
            let recent = recent(ticks, series);
            let mut columns = Columns::new(&recent, Vec::new(), 2, recent.next_tick(), recent.series().len());
            for (number, series) in recent.series() {
                columns.add(number, series, None);
            }
            let values = decode(columns.finish());
            assert_eq!(values.len(), (ticks as usize - 2) * series as usize);
            assert_eq!(values[0], (1_200, 0, 20));
            assert!(
                values
                    .iter()
                    .all(|(at, series, value)| (at - 1_000) / 10 + i64::from(*series) == *value)
            );
        }
    }

    #[test]
    fn a_value_that_is_older_than_the_run_comes_with_its_own_time_if_that_is_known() {
        let recent = recent(20, 3);
        let older = vec![Some(4), None, Some(4)];
        let mut columns = Columns::new(&recent, older, 18, 20, 3);
        let series: Vec<_> = recent.series().collect();
        columns.add(0, series[0].1, None);
        columns.add_single(1, Some(4), 41);
        columns.add_single(2, None, 7);
        let newest = 1_000 + 19 * 100;
        assert_eq!(
            decode(columns.finish()),
            [
                (newest - 300_001, 2, 7),
                (1_400, 1, 41),
                (newest - 100, 0, 180),
                (newest, 0, 190),
            ]
        );
    }
}
