//! The time that charts show: ranges to choose from, and axes whose slices are aligned to the clock, so that a chart
//! moves only when a slice is full and a slow link is not flooded.

use sysmon_api::Machine;
use sysmon_core::UnixMillis;

use crate::track::Track;

/// Slices of time are multiples of this, so that a tick a second falls evenly into them.
const STEP_MS: u64 = 500;

/// How much of the past charts show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Range {
    FiveMinutes,
    Hour,
    SixHours,
    Day,
    Week,
    Month,
}

impl Range {
    /// All of them, the shortest first.
    pub(crate) const ALL: [Self; 6] = [
        Self::FiveMinutes,
        Self::Hour,
        Self::SixHours,
        Self::Day,
        Self::Week,
        Self::Month,
    ];

    /// Its length.
    pub(crate) fn window_ms(self) -> u64 {
        const MINUTE_MS: u64 = 60_000;
        const HOUR_MS: u64 = 60 * MINUTE_MS;
        match self {
            Self::FiveMinutes => 5 * MINUTE_MS,
            Self::Hour => HOUR_MS,
            Self::SixHours => 6 * HOUR_MS,
            Self::Day => 24 * HOUR_MS,
            Self::Week => 7 * 24 * HOUR_MS,
            Self::Month => 30 * 24 * HOUR_MS,
        }
    }

    /// What it is called on the screen.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5 min",
            Self::Hour => "1 h",
            Self::SixHours => "6 h",
            Self::Day => "24 h",
            Self::Week => "7 d",
            Self::Month => "30 d",
        }
    }

    /// The next longer one, if there is one.
    pub(crate) fn longer(self) -> Option<Self> {
        Self::ALL.into_iter().find(|range| *range > self)
    }

    /// The next shorter one, if there is one.
    pub(crate) fn shorter(self) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|range| *range < self)
    }
}

/// What one slice of time saw of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slice {
    pub(crate) minimum: f64,
    pub(crate) maximum: f64,
    pub(crate) mean: f64,
    /// Samples behind it.
    pub(crate) count: u64,
}

/// Slices of time that end with the newest tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    pub(crate) from: UnixMillis,
    pub(crate) to: UnixMillis,
    pub(crate) step_ms: u64,
    pub(crate) points: usize,
    /// A value stands for this long before it was taken.
    hold_ms: u64,
}

impl Axis {
    /// An axis of `points` slices that covers `window_ms`, or a little less: all of it is filled once that much is known.
    /// It ends at the machine's newest tick, moved on by however long the machine has been silent (`silence_ms`): the
    /// machine's own clock may be wrong, and then still the picture is right.
    pub(crate) fn live(machine: &Machine, silence_ms: u64, points: usize, window_ms: u64) -> Self {
        let end = newest(machine, silence_ms).unwrap_or_default();
        let step_ms = (window_ms / (points as u64).max(1) / STEP_MS * STEP_MS).max(STEP_MS);
        Self::ending(end, step_ms, points, machine)
    }

    /// An axis of `points` slices that covers all of `range`; `now` is its end for a machine without any tick.
    pub(crate) fn of_range(
        machine: &Machine,
        silence_ms: u64,
        now: UnixMillis,
        points: usize,
        range: Range,
    ) -> Self {
        if range == Range::FiveMinutes {
            return Self::live(machine, silence_ms, points, range.window_ms());
        }
        let end = newest(machine, silence_ms).unwrap_or(now);
        Self::ending(
            end,
            even_step_ms(range.window_ms(), points as u64),
            points,
            machine,
        )
    }

    /// An axis of `points` slices that covers all of `range` and ends at a moment of one's own choice.
    pub(crate) fn ending_at(end: UnixMillis, machine: &Machine, points: usize, range: Range) -> Self {
        Self::ending(
            end,
            even_step_ms(range.window_ms(), points as u64),
            points,
            machine,
        )
    }

    /// The same slices, so much later.
    pub(crate) fn moved(self, milliseconds: i64) -> Self {
        Self {
            from: self.from.plus_ms(milliseconds),
            to: self.to.plus_ms(milliseconds),
            ..self
        }
    }

    /// The slice that a moment is in.
    pub(crate) fn slice_of(&self, at: UnixMillis) -> Option<usize> {
        let is_on = at >= self.from && at < self.to;
        let index = usize::try_from(at.since_ms(self.from) / self.step_ms.max(1)).ok()?;
        (is_on && index < self.points).then_some(index)
    }

    /// The end of a slice: what it shows has happened by then.
    pub(crate) fn end_of(&self, slice: usize) -> UnixMillis {
        let steps = i64::try_from(slice).unwrap_or(i64::MAX).saturating_add(1);
        let step_ms = i64::try_from(self.step_ms).unwrap_or(i64::MAX);
        self.from.plus_ms(steps.saturating_mul(step_ms))
    }

    /// The same for a machine of which nothing is known but its past.
    pub(crate) fn until(end: UnixMillis, points: usize, range: Range) -> Self {
        Self::to(end, even_step_ms(range.window_ms(), points as u64), points, 0)
    }

    fn ending(end: UnixMillis, step_ms: u64, points: usize, machine: &Machine) -> Self {
        Self::to(end, step_ms, points, interval_ms(machine) * 3 / 2)
    }

    fn to(end: UnixMillis, step_ms: u64, points: usize, hold_ms: u64) -> Self {
        let step = i64::try_from(step_ms).unwrap_or(1_000);
        let to = UnixMillis(end.0.div_euclid(step).saturating_add(1).saturating_mul(step));
        let length = step.saturating_mul(i64::try_from(points).unwrap_or(0));
        Self {
            from: to.plus_ms(length.saturating_neg()),
            to,
            step_ms,
            points,
            hold_ms,
        }
    }

    /// The newest `points` slices of it: charts of unequal width show the same time in the same cell from the right.
    pub(crate) fn last(self, points: usize) -> Self {
        let points = points.min(self.points);
        let length = i64::try_from(self.step_ms.saturating_mul(points as u64)).unwrap_or(i64::MAX);
        Self {
            from: self.to.plus_ms(length.saturating_neg()),
            points,
            ..self
        }
    }

    /// What each slice saw; `None` where there was nothing.
    pub(crate) fn slices(&self, track: &Track<'_>) -> Vec<Option<Slice>> {
        let mut slices: Vec<Option<Slice>> = vec![None; self.points];
        for span in track.spans() {
            if span.to < self.from || span.from >= self.to {
                continue;
            }
            for index in self.covered(span.from, span.to) {
                if let Some(slice) = slices.get_mut(index) {
                    *slice = Some(slice.map_or(span.slice, |seen| seen.and(span.slice)));
                }
            }
        }
        self.fill(&mut slices, track.hold_ms().unwrap_or(0).max(self.hold_ms));
        slices
    }

    /// The slices that a stretch of time belongs to: those whose middle it covers; a short one to the slice of its own
    /// middle.
    fn covered(&self, from: UnixMillis, to: UnixMillis) -> std::ops::Range<usize> {
        let offset = |at: UnixMillis| i128::from(at.0) - i128::from(self.from.0);
        let step = i128::from(self.step_ms.max(1));
        let (start, end) = (offset(from), offset(to));
        let index = |index: i128| {
            usize::try_from(index.clamp(0, i128::try_from(self.points).unwrap_or(0))).unwrap_or(0)
        };
        if end - start > step {
            // The first slice whose middle is not before a moment.
            let at_or_after = |at: i128| -((step - 2 * at).div_euclid(2 * step));
            return index(at_or_after(start))..index(at_or_after(end));
        }
        let middle = i128::midpoint(start, end).div_euclid(step);
        if middle < 0 {
            return 0..0;
        }
        index(middle)..index(middle + 1)
    }

    /// A sample tells of the interval before it: slices shorter than that are filled from the next one.
    fn fill(&self, slices: &mut [Option<Slice>], hold_ms: u64) {
        let reach = usize::try_from(hold_ms / self.step_ms.max(1)).unwrap_or(0);
        let mut next: Option<(usize, Slice)> = None;
        for index in (0..slices.len()).rev() {
            match (slices[index], next) {
                (Some(slice), _) => next = Some((index, slice)),
                (None, Some((at, slice))) if at - index <= reach => slices[index] = Some(slice),
                _ => {}
            }
        }
    }

    /// The slices that a stretch touches at all, for marks under the axis; at least one when any of it is on the axis.
    pub(crate) fn touched(&self, from: UnixMillis, to: UnixMillis) -> std::ops::Range<usize> {
        if to < self.from || from >= self.to {
            return 0..0;
        }
        let index = |at: UnixMillis| {
            usize::try_from(at.since_ms(self.from) / self.step_ms.max(1)).unwrap_or(usize::MAX)
        };
        let first = index(from).min(self.points);
        let last = index(to.plus_ms(-1).max(from)).saturating_add(1).min(self.points);
        first..last
    }
}

impl Slice {
    /// Both together.
    fn and(self, other: Self) -> Self {
        let count = self.count.saturating_add(other.count).max(1);
        Self {
            minimum: self.minimum.min(other.minimum),
            maximum: self.maximum.max(other.maximum),
            mean: self.mean + (other.mean - self.mean) * (other.count as f64 / count as f64),
            count,
        }
    }
}

/// Time between a machine's base ticks.
pub(crate) fn interval_ms(machine: &Machine) -> u64 {
    u64::from(machine.interval_ms.max(100))
}

/// Where the time of a machine ends: at its newest tick, moved on by its silence when it has missed more than two.
fn newest(machine: &Machine, silence_ms: u64) -> Option<UnixMillis> {
    let newest = machine.recent.times().back().copied()?;
    let is_silent = silence_ms > interval_ms(machine) * 5 / 2;
    Some(newest.plus_ms(if is_silent {
        i64::try_from(silence_ms).unwrap_or(0)
    } else {
        0
    }))
}

/// The shortest step that covers the window with so many slices and is a round number: at most an eighth longer than it
/// would have to be.
fn even_step_ms(window_ms: u64, points: u64) -> u64 {
    const GRAINS_MS: [u64; 10] = [
        3_600_000, 1_800_000, 600_000, 300_000, 60_000, 30_000, 10_000, 5_000, 1_000, STEP_MS,
    ];
    let exact_ms = window_ms.div_ceil(points.max(1)).max(STEP_MS);
    let grain_ms = GRAINS_MS
        .into_iter()
        .find(|grain_ms| grain_ms * 8 <= exact_ms)
        .unwrap_or(STEP_MS);
    exact_ms.div_ceil(grain_ms) * grain_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(step_ms: u64, points: usize) -> Axis {
        Axis {
            from: UnixMillis(0),
            to: UnixMillis(i64::try_from(step_ms).unwrap() * i64::try_from(points).unwrap()),
            step_ms,
            points,
            hold_ms: 0,
        }
    }

    #[test]
    fn a_range_is_covered_by_even_steps_of_at_most_an_eighth_more() {
        for range in &Range::ALL[1..] {
            for points in [20, 70, 150, 190, 380, 790] {
                let shown = even_step_ms(range.window_ms(), points) * points;
                assert!(shown >= range.window_ms(), "{range:?} {points}");
                assert!(
                    shown <= range.window_ms() * 9 / 8 + 1_000 * points,
                    "{range:?} {points}"
                );
            }
        }
        assert_eq!(even_step_ms(3_600_000, 150), 24_000);
        assert_eq!(even_step_ms(30 * 86_400_000, 150), 18_000_000);
    }

    #[test]
    fn ranges_step_through_all_and_stop_at_the_ends() {
        let up = std::iter::successors(Some(Range::FiveMinutes), |range| range.longer());
        assert!(up.eq(Range::ALL));
        let down = std::iter::successors(Some(Range::Month), |range| range.shorter());
        assert!(down.eq(Range::ALL.into_iter().rev()));
    }

    #[test]
    fn moments_of_another_grid_leave_no_slice_empty_and_none_doubled() {
        let axis = axis(600, 20);
        for width in [100, 250, 594, 599, 600, 601, 700, 1_300] {
            let mut seen = vec![0; 20];
            let mut at = 0;
            while at < 12_000 {
                for index in axis.covered(UnixMillis(at), UnixMillis(at + width)) {
                    seen[index] += 1;
                }
                at += width;
            }
            assert!(seen.iter().all(|count| *count >= 1), "{width}: {seen:?}");
            if width >= 600 {
                assert!(seen.iter().all(|count| *count == 1), "{width}: {seen:?}");
            }
        }
    }

    #[test]
    fn a_mark_is_at_least_one_dot_wide_and_stays_on_the_axis() {
        let axis = axis(1_000, 10);
        assert_eq!(axis.touched(UnixMillis(2_100), UnixMillis(2_101)), 2..3);
        assert_eq!(axis.touched(UnixMillis(-5_000), UnixMillis(2_500)), 0..3);
        assert_eq!(axis.touched(UnixMillis(9_500), UnixMillis(99_000)), 9..10);
        assert!(axis.touched(UnixMillis(10_000), UnixMillis(99_000)).is_empty());
    }
}
