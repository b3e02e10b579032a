//! An answer for programs. Its shape is a contract: fields are added, never changed.

use std::collections::BTreeMap;

use serde::Serialize;
use sysmon_core::{HistoryQuery, MachineHistory, Point, SeriesPoints, Tier};

use crate::exit::Failure;

#[derive(Serialize)]
struct Machine<'a> {
    machine_id: &'a str,
    /// What the answer is made of: `samples`, `minutes` or `hours`.
    source: &'static str,
    /// 0 when the moments are single samples.
    step_ms: u64,
    times_unix_ms: Vec<i64>,
    series: Vec<Series<'a>>,
    gaps: Vec<Gap>,
}

/// One entry per moment in each list; `null` where there is no sample.
#[derive(Serialize)]
struct Series<'a> {
    name: &'a str,
    labels: BTreeMap<&'a str, &'a str>,
    unit: &'static str,
    min: Vec<Option<f64>>,
    mean: Vec<Option<f64>>,
    max: Vec<Option<f64>>,
    samples: Vec<u32>,
}

#[derive(Serialize)]
struct Gap {
    from_unix_ms: i64,
    to_unix_ms: i64,
    /// 0 when none was taken or the number is not known.
    samples: u64,
    reason: &'static str,
}

/// What comes after the last machine.
pub(super) const END: &str = "]}\n";

/// What comes before the first machine.
pub(super) fn begin(query: &HistoryQuery) -> String {
    format!(
        "{{\"from_unix_ms\":{},\"to_unix_ms\":{},\"machines\":[",
        query.from.0, query.to.0
    )
}

pub(super) fn machine(machine: &MachineHistory) -> Result<String, Failure> {
    let gap = |gap: &sysmon_core::Gap| Gap {
        from_unix_ms: gap.from.0,
        to_unix_ms: gap.to.0,
        samples: gap.samples,
        reason: gap.reason.name(),
    };
    let row = Machine {
        machine_id: machine.machine.as_str(),
        source: match machine.tier {
            Tier::Raw => "samples",
            Tier::Minute => "minutes",
            Tier::Hour => "hours",
        },
        step_ms: machine.step_ms,
        times_unix_ms: machine.times.iter().map(|at| at.0).collect(),
        series: machine.series.iter().map(series).collect(),
        gaps: machine.gaps.iter().map(gap).collect(),
    };
    serde_json::to_string(&row).map_err(Failure::runtime)
}

fn series(series: &SeriesPoints) -> Series<'_> {
    let all = |value: fn(&Point) -> f64| {
        let points = series.points.iter();
        points.map(|point| point.as_ref().map(value)).collect()
    };
    let labels = series.key.labels.iter();
    Series {
        name: series.key.metric.name(),
        labels: labels.map(|label| (&*label.name, &*label.value)).collect(),
        unit: series.key.metric.unit().word(),
        min: all(|point| point.minimum),
        mean: all(|point| point.mean),
        max: all(|point| point.maximum),
        samples: series
            .points
            .iter()
            .map(|point| point.as_ref().map_or(0, |point| point.count))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_the_one_that_scripts_know() {
        let text = machine(&super::super::table::tests::example()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "machine_id": "web-1", "source": "minutes", "step_ms": 60_000, "times_unix_ms": [60_000, 240_000],
                "series": [
                    {"name": "cpu.busy_percent", "labels": {}, "unit": "percent", "min": [1.0, 2.0], "mean": [10.0, 40.0],
                     "max": [40.5, 50.0], "samples": [10, 30]},
                    {"name": "mount.used_percent", "labels": {"mount": "/da,ta"}, "unit": "percent", "min": [null, 70.0],
                     "mean": [null, 70.0], "max": [null, 70.0], "samples": [0, 1]},
                ],
                "gaps": [{"from_unix_ms": 120_000, "to_unix_ms": 240_000, "samples": 24, "reason": "spool_full"}],
            })
        );
    }
}
