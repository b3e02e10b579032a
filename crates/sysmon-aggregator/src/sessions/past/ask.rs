//! What a client wants to see of the past, checked.

use std::collections::HashSet;
use std::sync::Arc;

use sysmon_api::{ApiError, wire};
use sysmon_core::{Filter, MachineId, Metric, MetricId, UnixMillis};

use crate::fleet::Fleet;

/// The fastest that the past is played.
const SPEED_MAX: u32 = 600;
/// A clock that is ahead of ours by this much asks for now.
const AHEAD_MS: u64 = 2_000;
/// What machines are judged by when no alerts say how they fared. The first three by their last minute.
const VITALS: [MetricId; 6] = [
    MetricId::CpuBusy,
    MetricId::CpuIoWait,
    MetricId::CpuSteal,
    MetricId::MemoryUsedPercent,
    MetricId::SwapUsedPercent,
    MetricId::MountWorstPercent,
];
const MEANS: usize = 3;
/// About how many series a machine has of all metrics, and of one.
const SERIES_OF_ALL: u32 = 100;
const SERIES_OF_ONE: u32 = 4;

/// A subscription to the past.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The subscription as a fleet takes it: nothing in it is about the past.
    pub(super) subscribe: wire::Subscribe,
    pub(super) at: UnixMillis,
    /// How many times faster than it was; 0 stands still.
    pub(super) speed: u32,
    /// Shortest time between two updates, in milliseconds.
    pub(super) period_ms: u64,
    /// What is read of a moment; empty for all.
    pub(super) metrics: Vec<String>,
    /// What is read of the time before it; empty for all.
    pub(super) past_metrics: Vec<String>,
    /// Which machines; empty for all.
    ids: Arc<HashSet<String>>,
}

impl Asked {
    /// Checks what a client wants.
    ///
    /// # Errors
    /// [`sysmon_api::Code::InvalidArgument`] for what is out of bounds.
    pub(super) fn check(mut subscribe: wire::Subscribe, now: UnixMillis) -> Result<Self, ApiError> {
        Fleet::check_wish(&subscribe)?;
        let at = UnixMillis(subscribe.at_unix_ms.take().unwrap_or(now.0));
        let speed = std::mem::take(&mut subscribe.speed);
        if speed > SPEED_MAX {
            return Err(ApiError::invalid(format!(
                "the past cannot be played {speed} times as fast; at most {SPEED_MAX} times"
            )));
        }
        if at.since_ms(now) > AHEAD_MS {
            return Err(ApiError::invalid(format!(
                "{} is in the future; it is {} here",
                at.utc(),
                now.utc()
            )));
        }
        let period_ms = std::mem::take(&mut subscribe.period_ms).into();
        let vitals = VITALS.map(|id| Metric::Known(id).name().to_owned());
        let metrics = and(&subscribe.metrics, &vitals, chosen_by(&subscribe));
        let wanted = match (subscribe.history_ms, subscribe.history_metrics.as_slice()) {
            (0, _) => vitals[..MEANS].to_vec(),
            (_, []) => and(&subscribe.metrics, &vitals[..MEANS], None),
            (_, some) => and(some, &vitals[..MEANS], None),
        };
        Ok(Self {
            at: at.min(now),
            speed,
            period_ms,
            metrics,
            past_metrics: wanted,
            ids: Arc::new(subscribe.machine_ids.iter().cloned().collect()),
            subscribe,
        })
    }

    /// Whether a machine is one of those that are asked for.
    pub(super) fn covers(&self, machine: &MachineId) -> bool {
        self.ids.is_empty() || self.ids.contains(machine.as_str())
    }

    /// About how many series one machine is shown with.
    pub(super) fn series_of_machine(&self) -> u32 {
        let metrics = u32::try_from(self.metrics.len()).unwrap_or(u32::MAX);
        if metrics == 0 {
            SERIES_OF_ALL
        } else {
            metrics.saturating_mul(SERIES_OF_ONE)
        }
    }

    /// How much is read of the time before the moment, in milliseconds.
    pub(super) fn past_ms(&self) -> i64 {
        const LAST_MINUTE_MS: i64 = 60_000;
        i64::from(self.subscribe.history_ms).max(LAST_MINUTE_MS)
    }

    /// Whether anything is wanted of processes.
    pub(super) fn wants_processes(&self) -> bool {
        !matches!(
            self.subscribe.processes(),
            wire::ProcessDetail::None | wire::ProcessDetail::Unspecified
        )
    }
}

/// The metrics by which machines are chosen: that which rows are ordered by, if it is one, and those of the filter.
fn chosen_by(subscribe: &wire::Subscribe) -> Vec<String> {
    let order = subscribe.window.as_ref().map(|window| &window.order);
    let order = order.and_then(|order| MetricId::from_name(order));
    // One that cannot be read is refused elsewhere.
    let filter = Filter::parse(&subscribe.filter).unwrap_or_default();
    let all = order.into_iter().chain(filter.metrics());
    all.map(|metric| metric.name().to_owned()).collect()
}

/// Names with others; none still stands for all.
fn and(names: &[String], others: &[String], more: impl IntoIterator<Item = String>) -> Vec<String> {
    if names.is_empty() {
        return Vec::new();
    }
    let mut all = names.to_vec();
    all.extend(others.iter().cloned().chain(more));
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn subscribe(at: i64, speed: u32) -> wire::Subscribe {
        wire::Subscribe {
            at_unix_ms: Some(at),
            speed,
            ..Default::default()
        }
    }

    #[test]
    fn what_cannot_be_shown_is_refused_with_what_can() {
        for (at, speed, told) in [
            (NOW.0 + 3_000, 0, "2023-11-14 22:13:23 UTC is in the future"),
            (i64::MAX, 0, "in the future"),
            (NOW.0, 601, "at most 600 times"),
            (NOW.0, u32::MAX, "at most 600 times"),
        ] {
            let error = Asked::check(subscribe(at, speed), NOW).unwrap_err();
            assert_eq!(error.code, sysmon_api::Code::InvalidArgument);
            assert!(error.message.contains(told), "{error}");
        }
        // Clocks differ a little.
        assert_eq!(Asked::check(subscribe(NOW.0 + 1_000, 0), NOW).unwrap().at, NOW);
        assert_eq!(
            Asked::check(subscribe(i64::MIN, 600), NOW).unwrap().at.0,
            i64::MIN
        );
    }

    #[test]
    fn what_machines_are_judged_by_is_read_as_well_but_not_instead_of_all() {
        let all = Asked::check(subscribe(0, 0), NOW).unwrap();
        assert!(all.metrics.is_empty());
        assert_eq!(all.past_metrics.len(), MEANS, "nothing of the past is wanted");
        let mut some = wire::Subscribe {
            metrics: vec!["load.1".into()],
            filter: "iowait > 5".into(),
            history_ms: 300_000,
            ..subscribe(0, 0)
        };
        let window = some.window.get_or_insert_default();
        (window.order, window.rows) = ("memory.used_bytes".into(), 10);
        let some = Asked::check(some, NOW).unwrap();
        assert!(some.metrics.iter().any(|name| name == "load.1"));
        assert!(some.metrics.iter().any(|name| name == "memory.used_percent"));
        assert!(some.metrics.iter().any(|name| name == "memory.used_bytes"));
        assert!(some.metrics.iter().any(|name| name == "cpu.iowait_percent"));
        assert_eq!(some.past_metrics.len(), 1 + MEANS);
        assert_eq!((some.subscribe.at_unix_ms, some.past_ms()), (None, 300_000));
    }
}
