//! Puts samples and roll-ups into the moments of an answer.

mod sum;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use sysmon_core::{
    Gap, MachineHistory, MachineId, Point, SeriesKey, SeriesPoints, Tier, UnixMillis, silent_gaps,
};

use super::plan::Plan;
pub(crate) use sum::Sum;

/// The index of what lies outside the answer.
pub(crate) const OUTSIDE: u32 = u32::MAX;
/// How long a machine may be silent before that is a gap when nothing says how often it reports.
const UNKNOWN_INTERVAL_MS: u64 = 20_000;

/// An answer for one machine that is being put together; series go by the number that their store gave them.
pub(crate) struct Answer {
    plan: Plan,
    /// The sorted distinct times of samples when each is a moment of its own.
    single: Option<Vec<i64>>,
    seen: Vec<bool>,
    series: HashMap<u32, Vec<Sum>>,
}

/// Rows, one after the other, that are of the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Stretch {
    place: u32,
    rows: Range<usize>,
}

/// The answer for a machine of which nothing was asked.
pub(crate) fn nothing(machine: MachineId) -> MachineHistory {
    MachineHistory {
        machine,
        tier: Tier::Raw,
        step_ms: 0,
        times: Vec::new(),
        series: Vec::new(),
        gaps: Vec::new(),
    }
}

impl Answer {
    /// An answer for samples at these times: with a moment for each as long as there are few enough of them.
    pub(crate) fn of(plan: Plan, times: &[i64]) -> Self {
        if plan.tier != Tier::Raw {
            return Self::even(plan);
        }
        let answer = Self::single(plan, times.to_vec());
        if answer.seen.len() > plan.points {
            Self::even(plan)
        } else {
            answer
        }
    }

    /// An answer with the moments of a plan.
    pub(crate) fn even(plan: Plan) -> Self {
        Self {
            seen: vec![false; plan.moments],
            plan,
            single: None,
            series: HashMap::new(),
        }
    }

    /// An answer with one moment per sample.
    pub(crate) fn single(plan: Plan, mut times: Vec<i64>) -> Self {
        times.retain(|time| (plan.from..plan.to).contains(time));
        times.sort_unstable();
        times.dedup();
        Self {
            seen: vec![false; times.len()],
            plan,
            single: Some(times),
            series: HashMap::new(),
        }
    }

    /// The moment of each of these times, [`OUTSIDE`] for those out of range; notes that the machine was there.
    pub(crate) fn place(&mut self, times: &[i64]) -> Vec<u32> {
        let (from, to) = self.plan.reach();
        // Times mostly follow each other as the moments do, so the search begins at the next one.
        let mut next = 0;
        let mut place = |time: &i64| {
            if *time < from || *time >= to {
                return OUTSIDE;
            }
            let index = match &self.single {
                Some(times) if times.get(next) == Some(time) => Some(next),
                Some(times) => times.binary_search(time).ok(),
                None => {
                    let time = self.plan.time_of(*time).max(self.plan.first);
                    usize::try_from((time - self.plan.first) / self.plan.step_ms).ok()
                }
            };
            next = index.map_or(next, |index| index + 1);
            match index {
                Some(index) if index < self.seen.len() => u32::try_from(index).unwrap_or(OUTSIDE),
                _ => OUTSIDE,
            }
        };
        let places: Vec<u32> = times.iter().map(&mut place).collect();
        for place in &places {
            if let Some(seen) = self.seen.get_mut(*place as usize) {
                *seen = true;
            }
        }
        places
    }

    /// The moments of a series, to take something over.
    pub(crate) fn sums(&mut self, series: u32) -> &mut [Sum] {
        let moments = self.seen.len();
        self.series
            .entry(series)
            .or_insert_with(|| vec![Sum::default(); moments])
    }

    /// As [`Self::place`] for times in order: which rows are of the same moment, without those out of range.
    pub(crate) fn stretches(&mut self, times: &[i64]) -> Vec<Stretch> {
        let places = self.place(times);
        let mut stretches = Vec::new();
        let mut start = 0;
        for same in places.chunk_by(|one, other| one == other) {
            let rows = start..start + same.len();
            start = rows.end;
            if same[0] != OUTSIDE {
                let place = same[0];
                stretches.push(Stretch { place, rows });
            }
        }
        stretches
    }

    /// Takes over what is known of each stretch.
    pub(crate) fn merge_rows(
        &mut self,
        series: u32,
        stretches: &[Stretch],
        sum: impl Fn(Range<usize>) -> Sum,
    ) {
        if stretches.is_empty() {
            return;
        }
        let sums = self.sums(series);
        for stretch in stretches {
            if let Some(known) = sums.get_mut(stretch.place as usize) {
                known.merge(&sum(stretch.rows.clone()));
            }
        }
    }

    /// Takes samples over: for each its moment and its value.
    pub(crate) fn add(&mut self, series: u32, samples: impl Iterator<Item = (u32, i64)>) {
        let mut samples = samples.filter(|(place, _)| *place != OUTSIDE).peekable();
        if samples.peek().is_none() {
            return;
        }
        let sums = self.sums(series);
        while let Some((place, value)) = samples.next() {
            // Samples of one moment mostly follow each other: they are summed up before the moment is touched.
            let (mut minimum, mut maximum, mut sum, mut count) = (value, value, i128::from(value), 1);
            while let Some((_, value)) = samples.next_if(|(next, _)| *next == place) {
                minimum = minimum.min(value);
                maximum = maximum.max(value);
                sum += i128::from(value);
                count += 1;
            }
            if let Some(known) = sums.get_mut(place as usize) {
                known.merge(&Sum {
                    minimum,
                    maximum,
                    hundredfold: sum * 100,
                    count,
                });
            }
        }
    }

    /// Takes roll-ups over: for each its moment and what it says.
    pub(crate) fn merge(&mut self, series: u32, roll_ups: impl Iterator<Item = (u32, Sum)>) {
        let mut roll_ups = roll_ups.filter(|(place, _)| *place != OUTSIDE).peekable();
        if roll_ups.peek().is_none() {
            return;
        }
        let sums = self.sums(series);
        for (place, sum) in roll_ups {
            if let Some(known) = sums.get_mut(place as usize) {
                known.merge(&sum);
            }
        }
    }

    /// Takes over what another answer with the same moments knows.
    pub(crate) fn absorb(&mut self, other: Self) {
        for (seen, others) in self.seen.iter_mut().zip(&other.seen) {
            *seen |= others;
        }
        for (series, sums) in other.series {
            match self.series.entry(series) {
                Entry::Vacant(entry) => {
                    entry.insert(sums);
                }
                Entry::Occupied(mut entry) => {
                    for (sum, other) in entry.get_mut().iter_mut().zip(&sums) {
                        sum.merge(other);
                    }
                }
            }
        }
    }

    /// The answer. `describe` gives key and decimals of a series, or `None` for one that was not asked for.
    pub(crate) fn finish(
        self,
        machine: MachineId,
        edges: &Edges,
        stored_gaps: Vec<Gap>,
        describe: impl Fn(u32) -> Option<(Arc<SeriesKey>, u8)>,
    ) -> MachineHistory {
        let step_ms = if self.single.is_some() {
            0
        } else {
            self.plan.step_ms
        };
        let kept: Vec<usize> = (0..self.seen.len()).filter(|index| self.seen[*index]).collect();
        let start = |index: usize| match &self.single {
            Some(times) => times[index],
            None => self.plan.first + self.plan.step_ms * i64::try_from(index).unwrap_or(0),
        };
        let times: Vec<UnixMillis> = kept.iter().map(|index| UnixMillis(start(*index))).collect();
        let mut by_key: BTreeMap<Arc<SeriesKey>, SeriesPoints> = BTreeMap::new();
        for (series, sums) in &self.series {
            let Some((key, decimals)) = describe(*series) else {
                continue;
            };
            let points: Vec<Option<Point>> = kept.iter().map(|index| sums[*index].point(decimals)).collect();
            by_key
                .entry(key.clone())
                .and_modify(|known| join(known, &points, decimals))
                .or_insert(SeriesPoints {
                    key,
                    decimals,
                    points,
                });
        }
        let said: Vec<&Vec<Sum>> = edges
            .intervals
            .iter()
            .filter_map(|series| self.series.get(series))
            .collect();
        let intervals = |index: usize| {
            let index = *kept.get(index)?;
            said.iter().find_map(|sums| {
                let sum = sums.get(index)?;
                (sum.count > 0).then(|| u64::try_from(sum.maximum).unwrap_or(0))
            })
        };
        let step = u64::try_from(step_ms).unwrap_or(0);
        MachineHistory {
            machine,
            tier: self.plan.tier,
            step_ms: step,
            gaps: edges.gaps(&self.plan, &times, step, intervals, stored_gaps),
            times,
            series: by_key.into_values().collect(),
        }
    }
}

/// A series may have been kept with different decimals at different times: its points are one series all the same.
fn join(known: &mut SeriesPoints, points: &[Option<Point>], decimals: u8) {
    known.decimals = known.decimals.max(decimals);
    for (known, point) in known.points.iter_mut().zip(points) {
        match (known.as_mut(), point) {
            (Some(known), Some(point)) => {
                let count = known.count.saturating_add(point.count);
                known.mean += (point.mean - known.mean) * f64::from(point.count) / f64::from(count);
                known.minimum = known.minimum.min(point.minimum);
                known.maximum = known.maximum.max(point.maximum);
                known.count = count;
            }
            (None, point) => *known = *point,
            (Some(_), None) => {}
        }
    }
}

/// What lies around the range of an answer, to know whether silence at its edges is a gap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edges {
    /// Time of the last sample before the range.
    pub(crate) before: Option<i64>,
    /// Time of the first sample after it.
    pub(crate) after: Option<i64>,
    /// Numbers of the series that say the machine's interval.
    pub(crate) intervals: Vec<u32>,
    /// The machine's interval when nothing in the range says it.
    pub(crate) usual_ms: Option<u64>,
}

impl Edges {
    /// The gaps of an answer: those that were stored, and silence where none was.
    fn gaps(
        &self,
        plan: &Plan,
        times: &[UnixMillis],
        step_ms: u64,
        interval_ms: impl Fn(usize) -> Option<u64>,
        mut stored: Vec<Gap>,
    ) -> Vec<Gap> {
        let align = |time: i64| match step_ms {
            0 => time,
            _ => plan.first + (time - plan.first).div_euclid(plan.step_ms) * plan.step_ms,
        };
        // A moment at the edge may hold both the last sample outside and the first one inside.
        let before = self
            .before
            .map(align)
            .filter(|before| times.first().is_none_or(|first| first.0 > *before));
        let after = self
            .after
            .map(align)
            .filter(|after| times.last().is_none_or(|last| last.0 < *after));
        let mut around = Vec::with_capacity(times.len() + 2);
        around.extend(before.map(UnixMillis));
        let shift = around.len();
        around.extend_from_slice(times);
        around.extend(after.map(UnixMillis));

        // What the machine says of its interval holds until it says something else.
        let mut intervals = Vec::with_capacity(around.len());
        let mut current = self.usual_ms.or_else(|| (0..times.len()).find_map(&interval_ms));
        for index in 0..around.len() {
            if index >= shift {
                current = interval_ms(index - shift).or(current);
            }
            intervals.push(current);
        }
        if around.len() < 4 {
            // Too few to know what is usual.
            intervals
                .iter_mut()
                .for_each(|interval| *interval = interval.or(Some(UNKNOWN_INTERVAL_MS)));
        }
        let silent = silent_gaps(&around, step_ms, |index| intervals[index]);
        stored.sort_unstable_by_key(|gap| (gap.from, gap.to));
        let mut gaps = Vec::new();
        for gap in silent {
            let length = i64::try_from(step_ms).unwrap_or(0);
            let index = around
                .partition_point(|time| time.plus_ms(length) <= gap.from)
                .saturating_sub(1);
            let longest = intervals[index]
                .unwrap_or(0)
                .saturating_mul(3)
                .max(step_ms.saturating_mul(2));
            cut_out(&gap, &stored, longest, &mut gaps);
        }
        gaps.append(&mut stored);
        gaps.retain(|gap| gap.from.0 < plan.to && gap.to.0 >= plan.from);
        gaps.sort_unstable_by_key(|gap| (gap.from, gap.to));
        gaps
    }
}

/// Appends what of a silent stretch is not explained by a stored gap, as far as it is longer than `longest`, or all of it
/// when no stored gap touches it.
fn cut_out(silent: &Gap, stored: &[Gap], longest: u64, gaps: &mut Vec<Gap>) {
    let mut from = silent.from;
    let mut touched = false;
    for gap in stored
        .iter()
        .filter(|gap| gap.from < silent.to && gap.to > silent.from)
    {
        touched = true;
        if gap.from.since_ms(from) > longest {
            gaps.push(Gap {
                from,
                to: gap.from,
                ..silent.clone()
            });
        }
        from = from.max(gap.to);
    }
    if !touched || silent.to.since_ms(from) > longest {
        gaps.push(Gap {
            from,
            ..silent.clone()
        });
    }
}
