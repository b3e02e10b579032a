//! How machines were at a moment of the past.

use std::sync::Arc;

use crate::history::{INTERVAL_METRIC, MachineHistory, Tier};
use crate::identity::MachineId;
use crate::sample::SeriesKey;
use crate::time::UnixMillis;

/// A question about one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MomentQuery {
    /// Which machines, at most [`crate::HistoryQuery::MACHINES_MAX`].
    pub machines: Vec<MachineId>,
    /// Which metrics, by dotted name; empty for all.
    pub metrics: Vec<String>,
    /// The moment.
    pub at: UnixMillis,
}

/// One machine at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineMoment {
    /// Which machine.
    pub machine: MachineId,
    /// Where its values come from.
    pub tier: Tier,
    /// Time of its newest sample at or before the moment; none when it had none for so long that the store does not look.
    /// Out of a roll-up that the moment lies in: the moment itself.
    pub heard: Option<UnixMillis>,
    /// Time between its samples as it last said, in milliseconds; none when it did not say.
    pub interval_ms: Option<u64>,
    /// The newest value of each series that had one recently enough, sorted by key.
    pub series: Vec<SeriesMoment>,
}

/// One series at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesMoment {
    /// What it measures.
    pub key: Arc<SeriesKey>,
    /// Digits after the point that its samples had.
    pub decimals: u8,
    /// When it was measured, at or before the moment.
    pub at: UnixMillis,
    /// The value; out of a roll-up its mean.
    pub value: f64,
}

impl MachineMoment {
    /// A value older than this, and than three intervals, is not how the machine was: two rounds of the slowest probe,
    /// in milliseconds.
    pub const REACH_MS: u64 = 130_000;
    /// The longest reach of all: three of the longest intervals that a collector may have.
    pub const REACH_MS_MAX: u64 = 3 * 3_600_000;

    /// A machine of which nothing is known at the moment.
    #[must_use]
    pub fn silent(machine: MachineId) -> Self {
        Self {
            machine,
            tier: Tier::Raw,
            heard: None,
            interval_ms: None,
            series: Vec::new(),
        }
    }

    /// How old a value may be at the moment, in milliseconds.
    #[must_use]
    pub fn reach_ms(&self) -> u64 {
        let three = self.interval_ms.unwrap_or(0).saturating_mul(3);
        three.clamp(Self::REACH_MS, Self::REACH_MS_MAX)
    }

    /// How a machine was at `at`, by what was stored up to then. Points of an answer that begin after it are ignored.
    #[must_use]
    pub fn of(history: &MachineHistory, at: UnixMillis) -> Self {
        let newest = |points: &[Option<crate::history::Point>]| {
            let past = history
                .times
                .partition_point(|time| *time <= at)
                .min(points.len());
            let found = (0..past).rev().find_map(|index| Some((index, points[index]?)));
            found.map(|(index, point)| (end_of(history, index, at), point.mean))
        };
        let mut moment = Self {
            tier: history.tier,
            heard: None,
            ..Self::silent(history.machine.clone())
        };
        for series in &history.series {
            let Some((time, value)) = newest(&series.points) else {
                continue;
            };
            moment.heard = moment.heard.max(Some(time));
            if series.key.id() == Some(INTERVAL_METRIC) && value >= 1.0 {
                // Saturates; an interval is an hour at most.
                moment.interval_ms = Some(value as u64);
            }
            moment.series.push(SeriesMoment {
                key: Arc::clone(&series.key),
                decimals: series.decimals,
                at: time,
                value,
            });
        }
        let reach_ms = moment.reach_ms();
        moment.series.retain(|series| at.since_ms(series.at) <= reach_ms);
        moment
    }
}

/// When what an answer says of one of its moments was complete, as far as `at` knows.
fn end_of(history: &MachineHistory, index: usize, at: UnixMillis) -> UnixMillis {
    let width_ms = i64::try_from(history.step_ms).unwrap_or(i64::MAX);
    history.times[index].plus_ms(width_ms).min(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::MetricId;
    use crate::history::{Point, SeriesPoints};

    fn history(step_ms: u64, times: &[i64], columns: &[(MetricId, &[Option<f64>])]) -> MachineHistory {
        let point = |value: &Option<f64>| {
            value.map(|mean| Point {
                minimum: mean,
                maximum: mean,
                mean,
                count: 1,
            })
        };
        MachineHistory {
            machine: MachineId::parse("web-1").unwrap(),
            tier: Tier::Raw,
            step_ms,
            times: times.iter().map(|time| UnixMillis(time * 1_000)).collect(),
            series: columns
                .iter()
                .map(|(metric, values)| SeriesPoints {
                    key: Arc::new(SeriesKey::plain(*metric)),
                    decimals: 1,
                    points: values.iter().map(point).collect(),
                })
                .collect(),
            gaps: Vec::new(),
        }
    }

    #[test]
    fn the_newest_value_at_or_before_the_moment_counts_and_none_after_it() {
        let history = history(
            0,
            &[10, 20, 30],
            &[
                (MetricId::CpuBusy, &[Some(1.0), Some(2.0), Some(3.0)]),
                (MetricId::MemoryUsed, &[Some(7.0), None, Some(9.0)]),
            ],
        );
        let moment = MachineMoment::of(&history, UnixMillis(29_999));
        let values: Vec<_> = moment
            .series
            .iter()
            .map(|series| (series.at.0, series.value))
            .collect();
        assert_eq!(values, [(20_000, 2.0), (10_000, 7.0)]);
        assert_eq!(moment.heard, Some(UnixMillis(20_000)));
        assert_eq!(
            MachineMoment::of(&history, UnixMillis(30_000)).series[0].value,
            3.0
        );
        let before = MachineMoment::of(&history, UnixMillis(9_999));
        assert_eq!((before.heard, before.series.len()), (None, 0));
    }

    #[test]
    fn what_is_older_than_the_reach_is_not_how_it_was_unless_the_machine_is_that_slow() {
        let values: &[_] = &[Some(1.0)];
        let quick = history(0, &[0], &[(MetricId::CpuBusy, values)]);
        let at = UnixMillis(200_000);
        assert!(MachineMoment::of(&quick, at).series.is_empty());
        assert_eq!(MachineMoment::of(&quick, at).heard, Some(UnixMillis(0)));
        let slow = history(
            0,
            &[0],
            &[(MetricId::CpuBusy, values), (INTERVAL_METRIC, &[Some(90_000.0)])],
        );
        let moment = MachineMoment::of(&slow, at);
        assert_eq!((moment.series.len(), moment.interval_ms), (2, Some(90_000)));
    }

    #[test]
    fn a_roll_up_is_heard_to_its_end_but_not_beyond_the_moment() {
        let history = history(60_000, &[60], &[(MetricId::CpuBusy, &[Some(4.0)])]);
        let heard = |seconds: i64| MachineMoment::of(&history, UnixMillis(seconds * 1_000)).heard;
        assert_eq!(heard(90), Some(UnixMillis(90_000)));
        assert_eq!(heard(150), Some(UnixMillis(120_000)));
    }
}
