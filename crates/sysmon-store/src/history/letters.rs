//! What all back ends do alike with dead letters.

use std::sync::Arc;

use sysmon_core::{Label, Metric, SeriesKey, Unit, UnixMillis, to_scaled};

use super::plan::TIME_LIMIT_MS;
use super::{DeadTick, FUTURE_LIMIT_MS};

/// Whether a letter's samples may be stored now.
pub(crate) fn may_retry(tick: &DeadTick, now: UnixMillis, force: bool) -> bool {
    let at = UnixMillis(tick.at_unix_ms);
    at.0.abs() <= TIME_LIMIT_MS && (force || at.since_ms(now) <= FUTURE_LIMIT_MS)
}

/// A letter's samples as they are stored; values that are no numbers are left out.
pub(crate) fn letter_values(tick: &DeadTick) -> Vec<(Arc<SeriesKey>, u8, i64)> {
    let values = tick.values.iter().filter_map(|value| {
        let labels = value.labels.iter().map(|(name, value)| Label {
            name: name.as_str().into(),
            value: value.as_str().into(),
        });
        let key = SeriesKey {
            metric: Metric::named(&value.metric, Unit::from_word(&value.unit)),
            labels: labels.collect(),
        };
        let decimals = value.decimals.min(sysmon_core::MAX_DECIMALS);
        Some((Arc::new(key), decimals, to_scaled(value.value, decimals)?))
    });
    values.collect()
}
