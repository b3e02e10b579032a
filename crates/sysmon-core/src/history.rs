//! What is asked of the past, and what comes back.
//!
//! An answer lists, per machine, the moments for which there is something, and per series a point for each of them. A
//! stretch without samples is a [`Gap`], never a line drawn across.

use std::sync::Arc;

use crate::catalogue::MetricId;
use crate::identity::MachineId;
use crate::sample::SeriesKey;
use crate::time::UnixMillis;

/// A question about the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Which machines. Empty asks for none: whoever asks lists them first.
    pub machines: Vec<MachineId>,
    /// Which metrics, by dotted name; empty for all.
    pub metrics: Vec<String>,
    /// Start, included.
    pub from: UnixMillis,
    /// End, not included.
    pub to: UnixMillis,
    /// At most this many moments per machine, 1 to [`HistoryQuery::POINTS_MAX`] for those who ask from afar, and to
    /// [`HistoryQuery::MOMENTS_MAX`] within the server.
    pub points: u32,
}

impl HistoryQuery {
    /// The most moments that can be asked for from afar.
    pub const POINTS_MAX: u32 = 10_000;
    /// The most moments that the server itself may ask its store for: a day of samples every five seconds.
    pub const MOMENTS_MAX: u32 = 20_000;
    /// The most machines of one question.
    pub const MACHINES_MAX: usize = 10_000;

    /// How long one of the asked-for moments may be, at least 1 ms: the range divided by the budget, rounded up.
    #[must_use]
    pub fn finest_step_ms(&self) -> u64 {
        self.to
            .since_ms(self.from)
            .div_ceil(u64::from(self.points.max(1)))
            .max(1)
    }
}

/// How finely the answer's source was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Every sample.
    Raw,
    /// One roll-up a minute.
    Minute,
    /// One roll-up an hour.
    Hour,
}

impl Tier {
    /// Length of one roll-up; `None` for samples as they came.
    #[must_use]
    pub fn width_ms(self) -> Option<u64> {
        match self {
            Self::Raw => None,
            Self::Minute => Some(60_000),
            Self::Hour => Some(3_600_000),
        }
    }
}

/// One series over one moment of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Smallest sample.
    pub minimum: f64,
    /// Largest sample.
    pub maximum: f64,
    /// Mean of the samples.
    pub mean: f64,
    /// How many samples, at least 1.
    pub count: u32,
}

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesPoints {
    /// What it measures.
    pub key: Arc<SeriesKey>,
    /// Digits after the point that its samples had.
    pub decimals: u8,
    /// One entry per moment of [`MachineHistory::times`]; `None` where the series has no sample.
    pub points: Vec<Option<Point>>,
}

/// The past of one machine.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineHistory {
    /// Which machine.
    pub machine: MachineId,
    /// Where the points come from.
    pub tier: Tier,
    /// Length of one moment; 0 when the moments are single samples.
    pub step_ms: u64,
    /// The moments that have at least one sample, ascending: start of each, or the sample's own time when `step_ms` is 0.
    pub times: Vec<UnixMillis>,
    /// Series that have at least one sample in the range, sorted by key.
    pub series: Vec<SeriesPoints>,
    /// Stretches without samples, ascending, overlapping the range. Before the first sample ever and after the newest
    /// one there is no gap.
    pub gaps: Vec<Gap>,
}

/// The past of one machine for whoever judges every moment of it: a number for each, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineSamples {
    /// Which machine.
    pub machine: MachineId,
    /// Length of one moment; 0 when the moments are single samples.
    pub step_ms: u64,
    /// As [`MachineHistory::times`].
    pub times: Vec<UnixMillis>,
    /// Series that have at least one sample in the range, sorted by key.
    pub series: Vec<SeriesSamples>,
}

/// One series of a machine's samples.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesSamples {
    /// What it measures.
    pub key: Arc<SeriesKey>,
    /// One value per moment of [`MachineSamples::times`]: the sample, or the mean of the moment. Not a number where the
    /// series has no sample.
    pub values: Vec<f64>,
}

impl From<&MachineHistory> for MachineSamples {
    fn from(history: &MachineHistory) -> Self {
        let mean = |point: &Option<Point>| point.map_or(f64::NAN, |point| point.mean);
        let samples = |series: &SeriesPoints| SeriesSamples {
            key: Arc::clone(&series.key),
            values: series.points.iter().map(mean).collect(),
        };
        Self {
            machine: history.machine.clone(),
            step_ms: history.step_ms,
            times: history.times.clone(),
            series: history.series.iter().map(samples).collect(),
        }
    }
}

/// A stretch of time without samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Time of the first sample that is missing, or of the last one that is there when that is not known.
    pub from: UnixMillis,
    /// Time of the last sample that is missing, or of the next one that is there.
    pub to: UnixMillis,
    /// How many samples were taken and lost; 0 when none was taken or the number is not known.
    pub samples: u64,
    /// Why.
    pub reason: GapReason,
}

/// Why there are no samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapReason {
    /// Nothing was reported: the machine or its collector was off.
    Silent,
    /// The collector's spool was full and dropped its oldest.
    SpoolFull,
    /// Samples in the collector's spool grew too old.
    SpoolExpired,
    /// The collector lost its spool.
    SpoolLost,
    /// Part of the collector's spool cannot be read.
    SpoolDamaged,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::Silent,
        Self::SpoolFull,
        Self::SpoolExpired,
        Self::SpoolLost,
        Self::SpoolDamaged,
    ];

    /// A word for it, as stored and shown: `silent`, `spool_full`, `spool_expired`, `spool_lost`, `spool_damaged`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::SpoolFull => "spool_full",
            Self::SpoolExpired => "spool_expired",
            Self::SpoolLost => "spool_lost",
            Self::SpoolDamaged => "spool_damaged",
        }
    }

    /// The reason of this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// The metric that tells how far apart a machine's samples are meant to be; kept like any other, so that holes can be
/// told from a slow pace.
pub const INTERVAL_METRIC: MetricId = MetricId::CollectorInterval;

/// Finds the stretches of an answer that have no samples: where a moment is followed by the next one later than three
/// intervals of the machine, and later than two steps of the answer. `interval_ms` gives, for the moment of an index,
/// the machine's interval where it is known; otherwise the median distance of the moments stands for it. `step_ms` is
/// 0 for single samples.
#[must_use]
pub fn silent_gaps(
    times: &[UnixMillis],
    step_ms: u64,
    interval_ms: impl Fn(usize) -> Option<u64>,
) -> Vec<Gap> {
    let mut distances: Vec<u64> = times.windows(2).map(|pair| pair[1].since_ms(pair[0])).collect();
    distances.sort_unstable();
    let usual_ms = distances.get(distances.len() / 2).copied().unwrap_or(0);
    times
        .windows(2)
        .enumerate()
        .filter(|(index, pair)| {
            let interval_ms = interval_ms(*index).unwrap_or(usual_ms);
            let longest = interval_ms.saturating_mul(3).max(step_ms.saturating_mul(2));
            pair[1].since_ms(pair[0]) > longest
        })
        .map(|(_, pair)| Gap {
            from: pair[0].plus_ms(i64::try_from(step_ms).unwrap_or(i64::MAX)),
            to: pair[1],
            samples: 0,
            reason: GapReason::Silent,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: &[i64]) -> Vec<UnixMillis> {
        seconds.iter().map(|second| UnixMillis(second * 1_000)).collect()
    }

    #[test]
    fn a_slow_pace_is_no_gap_and_a_hole_in_a_fast_one_is() {
        assert!(silent_gaps(&at(&[0, 60, 120]), 0, |_| Some(60_000)).is_empty());
        let gaps = silent_gaps(&at(&[0, 1, 2, 8, 9]), 0, |_| Some(1_000));
        assert_eq!(gaps.len(), 1);
        assert_eq!((gaps[0].from, gaps[0].to), (UnixMillis(2_000), UnixMillis(8_000)));
        // Nobody says what the pace is: most distances do.
        assert_eq!(silent_gaps(&at(&[0, 5, 10, 40, 45]), 0, |_| None).len(), 1);
    }

    #[test]
    fn a_hole_of_a_coarse_answer_begins_where_its_last_moment_ends() {
        let gaps = silent_gaps(&at(&[0, 60, 300]), 60_000, |_| Some(1_000));
        assert_eq!(
            (gaps[0].from, gaps[0].to),
            (UnixMillis(120_000), UnixMillis(300_000))
        );
    }

    #[test]
    fn the_step_is_never_finer_than_the_budget_and_never_zero() {
        let query = |to, points| HistoryQuery {
            machines: Vec::new(),
            metrics: Vec::new(),
            from: UnixMillis(0),
            to: UnixMillis(to),
            points,
        };
        assert_eq!(query(3_600_000, 300).finest_step_ms(), 12_000);
        assert_eq!(query(1_001, 1_000).finest_step_ms(), 2);
        assert_eq!(query(0, 300).finest_step_ms(), 1);
        assert_eq!(query(10, 0).finest_step_ms(), 10);
    }
}
