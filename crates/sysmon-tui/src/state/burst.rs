//! What the machine on screen is asked for beyond its own pace.

use std::sync::Arc;

use sysmon_api::Machine;
use sysmon_core::UnixMillis;

/// The burst of the machine on screen.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    /// Time between ticks to ask for, in milliseconds; 0 for the machine's own pace.
    pub(crate) interval_ms: u32,
    /// Whether the aggregator knows bursts.
    pub(crate) is_offered: bool,
    /// Whose burst was asked for, and when last.
    pub(crate) lease: Option<(Arc<str>, UnixMillis)>,
}

/// The time between the latest ticks of a machine when it is clearly shorter than its own interval: it is in a burst.
/// Measured, not promised: a collector may have a slower one than was asked for.
#[must_use]
pub(crate) fn burst_ms(machine: &Machine) -> Option<u64> {
    let times = machine.recent.times();
    let latest: Vec<UnixMillis> = times.iter().rev().take(3).copied().collect();
    let steps = latest.windows(2).map(|pair| pair[0].since_ms(pair[1]));
    let shortest = steps.min()?;
    // To the nearest 10 ms: a reading takes a moment.
    let rounded = (shortest + 5) / 10 * 10;
    (rounded > 0 && rounded * 4 < u64::from(machine.interval_ms) * 3).then_some(rounded)
}
