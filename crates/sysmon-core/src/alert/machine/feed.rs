//! A series that some rule reads: its newest value and its pace.

use std::sync::Arc;

use super::{LATE_MS, MISSING_MS};
use crate::catalogue::MetricId;
use crate::sample::SeriesKey;
use crate::time::UnixMillis;

/// No feed, or no number.
pub(super) const NONE: u32 = u32::MAX;
/// What the pace of a series counts as that has not come three times: no probe is slower by default.
const UNKNOWN_PACE_MS: u32 = 60_000;

#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub(super) value: f64,
    pub(super) at: UnixMillis,
    /// Sample of the machine that brought the value; 0 for none.
    pub(super) tick: u64,
    /// The machine's presence then.
    pub(super) presence_ms: u64,
    /// Distances of its last four values, newest first; 0 when unknown.
    pub(super) distances_ms: [u32; 3],
    pub(super) has_value: bool,
    /// Its entity is gone.
    pub(super) is_gone: bool,
    /// The number it goes by; [`NONE`] until it is announced again.
    pub(super) number: u32,
    pub(super) key: Arc<SeriesKey>,
}

impl Feed {
    pub(super) fn new(key: Arc<SeriesKey>, presence_ms: u64) -> Self {
        Self {
            value: 0.0,
            at: UnixMillis(i64::MIN),
            tick: 0,
            presence_ms,
            distances_ms: [0; 3],
            has_value: false,
            is_gone: false,
            number: NONE,
            key,
        }
    }

    pub(super) fn take(&mut self, at: UnixMillis, value: f64, tick: u64, presence_ms: u64) {
        if self.has_value {
            let distance_ms = u32::try_from(at.since_ms(self.at)).unwrap_or(u32::MAX).max(1);
            let [newest, second, _] = self.distances_ms;
            self.distances_ms = [distance_ms, newest, second];
        }
        self.has_value = true;
        self.value = value;
        self.at = at;
        self.tick = tick;
        self.presence_ms = presence_ms;
    }

    /// The clock was set back: nothing from before can be compared.
    pub(super) fn begin_anew(&mut self, at: UnixMillis) {
        self.at = self.at.min(at);
        self.distances_ms = [0; 3];
    }

    /// The longest distance of two samples that is no gap, judged by the pace before the newest.
    pub(super) fn gap_ms(&self, interval_ms: u64) -> u64 {
        let [_, one, other] = self.distances_ms;
        three_times(one, other, interval_ms).max(LATE_MS)
    }

    /// Presence at which the series is missing, if nothing comes.
    pub(super) fn missing_at_ms(&self, interval_ms: u64) -> u64 {
        let [one, other, _] = self.distances_ms;
        let limit_ms = three_times(one, other, interval_ms).max(MISSING_MS);
        self.presence_ms.saturating_add(limit_ms)
    }

    /// Its value at `at`, unless that is too old to go with a sample of then.
    pub(super) fn value_at(&self, at: UnixMillis, interval_ms: u64) -> Option<f64> {
        let [one, other, _] = self.distances_ms;
        let limit_ms = three_times(one, other, interval_ms).max(LATE_MS);
        (self.has_value && at.since_ms(self.at) <= limit_ms).then_some(self.value)
    }

    /// Whether the series is there only as long as its value is 1.
    pub(super) fn is_presence(&self) -> bool {
        self.key.id() == Some(MetricId::SystemdUnitFailed)
    }
}

/// Three times the pace of a series, which is the shorter of two distances, so that one hole does not change it, and no
/// less than the machine's interval.
fn three_times(one_ms: u32, other_ms: u32, interval_ms: u64) -> u64 {
    let known = |distance_ms: u32| {
        if distance_ms == 0 {
            UNKNOWN_PACE_MS
        } else {
            distance_ms
        }
    };
    interval_ms
        .max(u64::from(known(one_ms).min(known(other_ms))))
        .saturating_mul(3)
}
