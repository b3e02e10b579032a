//! An answer for people: one line per series.

use std::fmt::Write;

use sysmon_core::{Gap, MachineHistory, Point, SeriesPoints, Tier, format_duration, format_rate, sanitize};

use super::{aligned, local};

/// One machine: what it is based on, its series, its gaps.
pub(super) fn machine(machine: &MachineHistory) -> String {
    let mut text = format!("{}  {}\n", machine.machine, basis(machine));
    let rows: Vec<_> = machine.series.iter().filter_map(row).collect();
    if !rows.is_empty() {
        let headings = ["metric", "of", "min", "mean", "max", "last", "samples"];
        for line in aligned(&headings, &rows).lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    for gap in &machine.gaps {
        let _ = writeln!(text, "  {}", describe(gap));
    }
    text
}

fn basis(machine: &MachineHistory) -> String {
    let (Some(first), Some(last)) = (machine.times.first(), machine.times.last()) else {
        return "no samples".into();
    };
    let moments = machine.times.len();
    let what = match (machine.step_ms, machine.tier) {
        (0, _) => format!("{moments} samples"),
        (step_ms, tier) => {
            let of = match tier {
                Tier::Raw => "samples",
                Tier::Minute => "minutes",
                Tier::Hour => "hours",
            };
            format!("{moments} moments of {} made of {of}", span(step_ms))
        }
    };
    format!("{what}, {} to {}", local(*first), local(*last))
}

/// `None` for a series without a sample, which no answer has.
fn row(series: &SeriesPoints) -> Option<Vec<String>> {
    let known = || series.points.iter().flatten();
    let last = known().next_back()?;
    let minimum = known().map(|point| point.minimum).fold(f64::INFINITY, f64::min);
    let maximum = known()
        .map(|point| point.maximum)
        .fold(f64::NEG_INFINITY, f64::max);
    let count: u64 = known().map(|point| u64::from(point.count)).sum();
    let weigh = |point: &Point| point.mean * f64::from(point.count);
    let mean = known().map(weigh).sum::<f64>() / count as f64;
    let unit = series.key.metric.unit();
    let labels = series.key.labels.iter();
    let labels: Vec<_> = labels.map(|label| sanitize(&label.value).into_owned()).collect();
    let value = |value| format_rate(value, unit);
    Some(vec![
        sanitize(series.key.metric.name()).into_owned(),
        labels.join(" "),
        value(minimum),
        value(mean),
        value(maximum),
        value(last.mean),
        count.to_string(),
    ])
}

fn describe(gap: &Gap) -> String {
    let lost = match gap.samples {
        0 => String::new(),
        samples => format!(", {samples} samples lost"),
    };
    let reason = match gap.reason {
        sysmon_core::GapReason::Silent => "nothing was reported",
        sysmon_core::GapReason::SpoolFull => "the collector's spool was full",
        sysmon_core::GapReason::SpoolExpired => "the samples grew too old in the collector's spool",
        sysmon_core::GapReason::SpoolLost => "the collector lost its spool",
        sysmon_core::GapReason::SpoolDamaged => "the collector's spool was damaged",
    };
    format!(
        "gap {} to {} ({}{lost}): {reason}",
        local(gap.from),
        local(gap.to),
        span(gap.to.since_ms(gap.from))
    )
}

fn span(milliseconds: u64) -> String {
    if milliseconds < 1_000 {
        format!("{milliseconds}ms")
    } else {
        format_duration(milliseconds / 1_000)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::Arc;
    use sysmon_core::{GapReason, MachineId, MetricId, SeriesKey, UnixMillis};

    pub(in super::super) fn example() -> MachineHistory {
        let point = |minimum, mean, maximum, count| {
            Some(Point {
                minimum,
                maximum,
                mean,
                count,
            })
        };
        MachineHistory {
            machine: MachineId::parse("web-1").unwrap(),
            tier: Tier::Minute,
            step_ms: 60_000,
            times: vec![UnixMillis(60_000), UnixMillis(240_000)],
            series: vec![
                SeriesPoints {
                    key: Arc::new(SeriesKey::plain(MetricId::CpuBusy)),
                    decimals: 1,
                    points: vec![point(1.0, 10.0, 40.5, 10), point(2.0, 40.0, 50.0, 30)],
                },
                SeriesPoints {
                    key: Arc::new(SeriesKey::of(MetricId::MountUsedPercent, "/da,ta")),
                    decimals: 1,
                    points: vec![None, point(70.0, 70.0, 70.0, 1)],
                },
            ],
            gaps: vec![Gap {
                from: UnixMillis(120_000),
                to: UnixMillis(240_000),
                samples: 24,
                reason: GapReason::SpoolFull,
            }],
        }
    }

    #[test]
    fn a_series_is_summed_up_with_its_extremes_and_a_mean_of_all_samples() {
        let text = machine(&example());
        let row = text.lines().find(|line| line.contains("cpu.busy")).unwrap();
        let words: Vec<_> = row.split_whitespace().collect();
        // (10 × 10 + 30 × 40) ÷ 40 samples.
        assert_eq!(
            words,
            ["cpu.busy_percent", "1.0%", "32%", "50%", "40%", "40"],
            "{text}"
        );
        assert!(text.contains("2 moments of 1m made of minutes"), "{text}");
    }

    #[test]
    fn a_gap_is_told_with_what_was_lost_and_why() {
        let text = machine(&example());
        let line = text.lines().find(|line| line.contains("gap")).unwrap();
        assert!(
            line.contains("(2m, 24 samples lost): the collector's spool was full"),
            "{line}"
        );
    }
}
