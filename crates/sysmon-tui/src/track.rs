//! One series over time, wherever it comes from: the past as history keeps it up to a seam, and from there on what came
//! live. Charts and sparklines draw nothing else.

use sysmon_core::{Gap, GapReason, MachineHistory, Point, Recent, Series, SeriesPoints, UnixMillis};

use crate::axis::Slice;

/// A stretch of a series: one sample (both ends are its time) or a roll-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) from: UnixMillis,
    pub(crate) to: UnixMillis,
    pub(crate) slice: Slice,
}

/// What an answer of history says of one series, up to the moment where live data takes over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PastPart<'a> {
    pub(crate) history: &'a MachineHistory,
    pub(crate) series: &'a SeriesPoints,
    /// The first moment that history is not asked about.
    pub(crate) seam: UnixMillis,
    /// Usual distance of its samples, when they are single ones.
    pub(crate) spacing_ms: u64,
}

/// A series over time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Track<'a> {
    pub(crate) past: Option<PastPart<'a>>,
    pub(crate) live: Option<(&'a Recent, &'a Series)>,
}

impl<'a> Track<'a> {
    /// What came live, and nothing else.
    pub(crate) fn live(recent: &'a Recent, series: &'a Series) -> Self {
        Self {
            past: None,
            live: Some((recent, series)),
        }
    }

    /// All stretches, oldest first, each beginning after the one before: the past before the seam, live ticks from it on.
    pub(crate) fn spans(&self) -> impl Iterator<Item = Span> + 'a {
        let seam = self.past.map(|past| past.seam);
        let mut before = None;
        let past = self.past.into_iter().flat_map(|past| {
            let step_ms = i64::try_from(past.history.step_ms).unwrap_or(i64::MAX);
            let moments = past.history.times.iter().zip(&past.series.points);
            moments
                .filter(move |(at, _)| **at < past.seam)
                .filter_map(move |(at, point)| span(*at, at.plus_ms(step_ms).min(past.seam), (*point)?))
        });
        let live = self.live.into_iter().flat_map(move |(recent, series)| {
            recent
                .points(series, 0)
                .filter(move |(at, _)| seam.is_none_or(|seam| *at >= seam))
                .filter_map(|(at, value)| span(at, at, sample(value?)))
        });
        past.chain(live).filter(move |span| {
            // Whatever the other side sends: time goes on, and nothing is told twice.
            let follows = before.is_none_or(|before| span.from > before);
            if follows {
                before = Some(span.from);
            }
            follows
        })
    }

    /// How long a single sample of the past stands for the time before it.
    pub(crate) fn hold_ms(&self) -> Option<u64> {
        self.past.map(|past| past.spacing_ms.saturating_mul(3) / 2)
    }
}

/// A single sample.
fn sample(value: f64) -> Point {
    Point {
        minimum: value,
        maximum: value,
        mean: value,
        count: 1,
    }
}

fn span(from: UnixMillis, to: UnixMillis, point: Point) -> Option<Span> {
    let is_sound = [point.minimum, point.mean, point.maximum]
        .into_iter()
        .all(f64::is_finite);
    is_sound.then_some(Span {
        from,
        to: to.max(from),
        slice: Slice {
            minimum: point.minimum.min(point.mean),
            maximum: point.maximum.max(point.mean),
            mean: point.mean,
            count: point.count.max(1).into(),
        },
    })
}

/// The usual distance of an answer's single samples; 0 for roll-ups and for fewer than three.
pub(crate) fn spacing_ms(history: &MachineHistory) -> u64 {
    if history.step_ms > 0 {
        return 0;
    }
    let mut distances: Vec<u64> = history
        .times
        .windows(2)
        .map(|pair| pair[1].since_ms(pair[0]))
        .collect();
    distances.sort_unstable();
    distances.get(distances.len() / 2).copied().unwrap_or(0)
}

/// Live ticks may change their pace while they are kept; a hole of up to three of the slowest usual ones is no gap.
const SLOWEST_USUAL_PACE_MS: u64 = 5_000;

/// The gaps of a machine: those that history knows before the seam, those in the live data behind it, and the one
/// between when both sides are known (`joins`: history is up to date, so that what it lacks is not merely late).
pub(crate) fn gaps(
    past: Option<(&MachineHistory, UnixMillis)>,
    recent: &Recent,
    interval_ms: u64,
    joins: bool,
) -> Vec<Gap> {
    let longest_ms = interval_ms.max(SLOWEST_USUAL_PACE_MS).saturating_mul(3);
    let mut gaps = Vec::new();
    let mut before: Option<UnixMillis> = None;
    let mut seam = UnixMillis(i64::MIN);
    if let Some((history, at)) = past {
        seam = at;
        gaps.extend(
            history
                .gaps
                .iter()
                .filter(|gap| gap.from < seam && gap.to > gap.from)
                .cloned(),
        );
        let empty: Vec<Gap> = empty_moments(history)
            .filter(|gap| gap.from < seam && !gaps.iter().any(|known: &Gap| overlap(known, gap)))
            .collect();
        gaps.extend(empty);
        gaps.sort_by_key(|gap| gap.from);
        let last = history.times.iter().rev().find(|at| **at < seam);
        let step_ms = i64::try_from(history.step_ms).unwrap_or(i64::MAX);
        before = last.filter(|_| joins).map(|last| last.plus_ms(step_ms).min(seam));
    }
    // A roll-up that crosses a gap's edge hides how long its last sample was before: twice its length is no news.
    let across_ms = longest_ms.max(past.map_or(0, |(history, _)| history.step_ms.saturating_mul(2)));
    for at in recent.times().iter().copied().filter(|at| *at >= seam) {
        let allowed_ms = if before.is_some_and(|before| before < seam) {
            across_ms
        } else {
            longest_ms
        };
        if let Some(from) = before.filter(|from| at.since_ms(*from) > allowed_ms) {
            let gap = silence(from, at);
            if !gaps.iter().any(|known| overlap(known, &gap)) {
                gaps.push(gap);
            }
        }
        before = Some(at);
    }
    gaps
}

fn silence(from: UnixMillis, to: UnixMillis) -> Gap {
    Gap {
        from,
        to,
        samples: 0,
        reason: GapReason::Silent,
    }
}

fn overlap(a: &Gap, b: &Gap) -> bool {
    a.from < b.to && a.to > b.from
}

/// Samples that a roll-up must have for the machine to count as faster than roll-ups are long.
const SAMPLES_OF_A_FAST_PACE: u32 = 3;

/// Roll-ups that are missing between two that had several samples each: too short for a store to call them a gap, but
/// the chart is empty there, and whoever sees that wants to know why.
fn empty_moments(history: &MachineHistory) -> impl Iterator<Item = Gap> + '_ {
    let is_fast = |index: usize| {
        history.series.iter().any(|series| {
            let has_several = |index: usize| {
                let point = series.points.get(index).copied().flatten();
                point.is_some_and(|point| point.count >= SAMPLES_OF_A_FAST_PACE)
            };
            has_several(index) && has_several(index + 1)
        })
    };
    let step_ms = history.step_ms;
    let pairs = history.times.windows(2).enumerate();
    pairs
        .filter(move |(index, pair)| {
            step_ms > 0 && pair[1].since_ms(pair[0]) / 2 >= step_ms && is_fast(*index)
        })
        .map(move |(_, pair)| {
            let ends = pair[0].plus_ms(i64::try_from(step_ms).unwrap_or(i64::MAX));
            silence(ends, pair[1])
        })
}

#[cfg(test)]
mod tests;
