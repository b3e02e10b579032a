//! What is made of the samples of a window, at a cost that does not depend on how long the window is.
//!
//! A window is cut into at most [`SLICES_MAX`] slices that are aligned with the epoch. When a slice begins, the oldest
//! goes: the window therefore covers between 29/30 of its length and all of it. A sample covers the time since the one
//! before it (nothing after a gap). A window is full when its samples cover at least half of it.

use serde::{Deserialize, Serialize};

use super::bits;
use super::rule::{Comparison, Function, Quantity};
use crate::catalogue::{MetricId, Unit};

/// The most slices of a window.
pub(super) const SLICES_MAX: u64 = 30;
/// Larger values are no measurements; below this nothing here can overflow.
const MAGNITUDE_MAX: f64 = 1e100;

/// Whether a value can be judged.
pub(super) fn is_usable(value: f64) -> bool {
    value.abs() <= MAGNITUDE_MAX
}

/// How a quantity is made; the same for all machines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) metric: String,
    pub(super) per: Option<String>,
    pub(super) function: Function,
    window_ms: u64,
    slice_ms: i64,
    slices: i64,
    /// Where [`Function::TimeToFull`] ends.
    end: f64,
}

impl Plan {
    pub(super) fn new(quantity: &Quantity) -> Self {
        let window_ms = quantity.window_ms.max(1);
        let slice_ms = window_ms.div_ceil(SLICES_MAX);
        let unit = MetricId::from_name(&quantity.metric).map(|id| id.definition().unit);
        let is_percent = unit == Some(Unit::Percent) || unit.is_none() && quantity.is_percent();
        Self {
            metric: quantity.metric.clone(),
            per: quantity.per.clone(),
            function: quantity.function,
            window_ms,
            slice_ms: i64::try_from(slice_ms).unwrap_or(i64::MAX),
            slices: i64::try_from(window_ms.div_ceil(slice_ms)).unwrap_or(1),
            end: if is_percent { 100.0 } else { 0.0 },
        }
    }

    /// Whether more samples could only make the value worse: then a window that is not full may trigger.
    pub(super) fn only_worsens(&self, comparison: Comparison) -> bool {
        matches!(
            (self.function, comparison),
            (Function::Increase | Function::Maximum, Comparison::Above)
                | (Function::Minimum, Comparison::Below)
        )
    }

    /// Tells plans apart whose accumulators do not fit each other (FNV-1a).
    pub(super) fn print(&self) -> u64 {
        let per = self.per.as_deref().unwrap_or_default();
        let text = format!(
            "{}/{per}/{}/{}",
            self.metric,
            self.function.word(),
            self.window_ms
        );
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// What a window gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reading {
    /// Positive infinity only for [`Function::TimeToFull`]; never NaN.
    pub(super) value: f64,
    /// Whether there are enough samples to say that all is well.
    pub(super) is_full: bool,
}

/// The samples of a window, added up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window {
    /// The one that samples go to, at hand because every sample needs it; without samples before the first.
    newest: Slice,
    /// The older ones that have samples, ascending.
    older: Vec<Slice>,
    /// The older ones together, so that a sample costs the same whatever the window holds.
    closed: Totals,
    /// The value before, for [`Function::Increase`].
    #[serde(with = "bits::option")]
    previous: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Slice {
    /// When it began, in milliseconds since the epoch: a multiple of the length of a slice.
    #[serde(rename = "s")]
    start_ms: i64,
    #[serde(rename = "t")]
    totals: Totals,
    /// Sum of the samples' times since the slice began, in milliseconds.
    #[serde(rename = "o")]
    offsets_ms: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Totals {
    /// Sum of the values or of their growth, or the extreme.
    #[serde(rename = "a", with = "bits")]
    amount: f64,
    #[serde(rename = "n")]
    count: u32,
    #[serde(rename = "c")]
    covered_ms: u64,
}

impl Totals {
    fn add(&mut self, function: Function, other: Self) {
        if other.count == 0 {
            return;
        }
        self.amount = match function {
            Function::Minimum if self.count > 0 => self.amount.min(other.amount),
            Function::Maximum if self.count > 0 => self.amount.max(other.amount),
            Function::Minimum | Function::Maximum => other.amount,
            _ => self.amount + other.amount,
        };
        self.count = self.count.saturating_add(other.count);
        self.covered_ms = self.covered_ms.saturating_add(other.covered_ms);
    }
}

impl Window {
    /// Takes a sample, which is later than the one before, and makes the value. `covered_ms` is the time since the
    /// sample before; 0 after a gap.
    pub(super) fn push(&mut self, plan: &Plan, at_ms: i64, value: f64, covered_ms: u64) -> Option<Reading> {
        let function = plan.function;
        let amount = if function == Function::Increase {
            match self.previous.replace(value) {
                Some(previous) if value >= previous => value - previous,
                Some(_) => value.max(0.0),
                None => 0.0,
            }
        } else {
            value
        };
        // Divided once per slice, not per sample.
        let offset_ms = at_ms.wrapping_sub(self.newest.start_ms).cast_unsigned();
        if self.newest.totals.count == 0 || offset_ms >= plan.slice_ms.cast_unsigned() {
            self.begin(plan, at_ms.saturating_sub(at_ms.rem_euclid(plan.slice_ms)));
        }
        let newest = &mut self.newest;
        let sample = Totals {
            amount,
            count: 1,
            covered_ms: covered_ms.min(plan.window_ms),
        };
        newest.totals.add(function, sample);
        newest.offsets_ms = newest
            .offsets_ms
            .saturating_add(at_ms.wrapping_sub(newest.start_ms).cast_unsigned());
        self.read(plan, at_ms)
    }

    fn begin(&mut self, plan: &Plan, start_ms: i64) {
        let begun = Slice {
            start_ms,
            ..Slice::default()
        };
        let closed = std::mem::replace(&mut self.newest, begun);
        if closed.totals.count > 0 {
            if self.older.len() == self.older.capacity() {
                // Not by doubling: most windows fill up, and then hold no more than they need.
                self.older.reserve_exact(8);
            }
            self.older.push(closed);
        }
        let oldest_ms = start_ms.saturating_sub(plan.slices * plan.slice_ms);
        self.older
            .retain(|slice| slice.start_ms > oldest_ms && slice.start_ms < start_ms);
        self.closed = Totals::default();
        for slice in &self.older {
            self.closed.add(plan.function, slice.totals);
        }
    }

    fn read(&self, plan: &Plan, at_ms: i64) -> Option<Reading> {
        let mut totals = self.closed;
        totals.add(plan.function, self.newest.totals);
        let is_full = totals.covered_ms.saturating_mul(2) >= plan.window_ms;
        let value = match plan.function {
            Function::Average => totals.amount / f64::from(totals.count),
            Function::Last | Function::Minimum | Function::Maximum | Function::Increase => totals.amount,
            Function::Rate => self.fit()?.slope,
            Function::TimeToFull => self.fit()?.seconds_to(plan, at_ms),
        };
        (!value.is_nan()).then_some(Reading { value, is_full })
    }

    /// The line of least squares through the mean points of the slices, each with the weight of its samples; none
    /// through fewer than two.
    fn fit(&self) -> Option<Line> {
        let origin_ms = self.newest.start_ms as f64;
        let points = || {
            let slices = self.older.iter().chain(std::iter::once(&self.newest));
            slices.map(move |slice| {
                let count = f64::from(slice.totals.count);
                let start_ms = slice.start_ms as f64 - origin_ms;
                let seconds = (start_ms + slice.offsets_ms as f64 / count) / 1_000.0;
                (count, seconds, slice.totals.amount / count)
            })
        };
        let (mut weight, mut seconds, mut amount) = (0.0, 0.0, 0.0);
        for (count, x, y) in points() {
            weight += count;
            seconds += count * x;
            amount += count * y;
        }
        let (seconds, amount) = (seconds / weight, amount / weight);
        let (mut spread, mut joint) = (0.0, 0.0);
        for (count, x, y) in points() {
            spread += count * (x - seconds) * (x - seconds);
            joint += count * (x - seconds) * (y - amount);
        }
        (spread > 0.0).then(|| Line {
            origin_ms,
            seconds,
            amount,
            slope: joint / spread,
        })
    }
}

/// A line through `amount` at `seconds` after `origin_ms`.
struct Line {
    origin_ms: f64,
    seconds: f64,
    amount: f64,
    slope: f64,
}

impl Line {
    fn seconds_to(&self, plan: &Plan, at_ms: i64) -> f64 {
        let now = (at_ms as f64 - self.origin_ms) / 1_000.0;
        let left = plan.end - (self.amount + self.slope * (now - self.seconds));
        // At the end of the scale there is nothing left, whatever the slope; full is 100 %, or nothing free.
        let is_there = if plan.end > 0.0 { left <= 0.0 } else { left >= 0.0 };
        if is_there {
            return 0.0;
        }
        let seconds = left / self.slope;
        if seconds.is_finite() && seconds >= 0.0 {
            seconds
        } else {
            f64::INFINITY
        }
    }
}

#[cfg(test)]
mod tests;
