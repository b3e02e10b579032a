//! Samples out of the recent past.

use std::collections::BTreeMap;

use sysmon_core::{Recent, UnixMillis};

/// The samples after a moment, oldest first, each with values by series number, ascending.
pub(super) fn rows(recent: &Recent, after: UnixMillis) -> Vec<(UnixMillis, Vec<(u32, f64)>)> {
    let times = recent.times();
    let skipped = times.partition_point(|at| *at <= after);
    let mut rows: BTreeMap<UnixMillis, Vec<(u32, f64)>> =
        times.iter().skip(skipped).map(|at| (*at, Vec::new())).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let from = recent.first_tick() + skipped as u64;
    for (number, series) in recent.series() {
        for (at, value) in recent.points(series, from) {
            if let (Some(row), Some(value)) = (rows.get_mut(&at), value) {
                row.push((number, value));
            }
        }
    }
    rows.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sysmon_core::{MetricId, SeriesKey};

    use super::*;

    #[test]
    fn only_what_is_new_comes_back_sample_by_sample() {
        let mut recent = Recent::new(300_000);
        recent.announce(1, Arc::new(SeriesKey::plain(MetricId::CpuBusy)), 1);
        recent.announce(2, Arc::new(SeriesKey::of(MetricId::MountUsedPercent, "/")), 1);
        for tick in 0..4 {
            let slow = (tick % 2 == 1).then_some((2, 900));
            recent.push(UnixMillis(tick * 1_000), [(1, tick * 10)].into_iter().chain(slow));
        }
        assert_eq!(
            rows(&recent, UnixMillis(1_000)),
            [
                (UnixMillis(2_000), vec![(1, 2.0)]),
                (UnixMillis(3_000), vec![(1, 3.0), (2, 90.0)])
            ]
        );
        assert!(rows(&recent, UnixMillis(3_000)).is_empty());
    }
}
