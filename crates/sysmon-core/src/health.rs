//! How a machine fares, from its own numbers: the order and the colour of the fleet table.
//!
//! The levels are those of the starter rules; a glance needs no hold time, so short-lived metrics are judged by a mean
//! that whoever calls provides.

use crate::catalogue::MetricId;

/// The worst that is known of a machine; ordered from good to bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// Nothing is over a level.
    Healthy,
    /// Nothing current is known.
    #[default]
    Unknown,
    /// Something is over its warning level.
    Warning,
    /// Something is over its critical level.
    Critical,
}

impl Health {
    /// The word used in JSON, text output and on the screen.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Levels above which a value is worth a look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// At or above: warning.
    pub warning: f64,
    /// At or above: critical.
    pub critical: f64,
}

impl Thresholds {
    /// Judges one value.
    #[must_use]
    pub fn judge(self, value: f64) -> Health {
        if value >= self.critical {
            Health::Critical
        } else if value >= self.warning {
            Health::Warning
        } else if value.is_nan() {
            Health::Unknown
        } else {
            Health::Healthy
        }
    }
}

/// The levels of a metric that has any: those of the starter rules. Infinite where there is none of that severity.
#[must_use]
pub fn thresholds(metric: MetricId) -> Option<Thresholds> {
    let (warning, critical) = match metric {
        MetricId::CpuBusy => (85.0, 95.0),
        MetricId::CpuIoWait => (40.0, f64::INFINITY),
        MetricId::CpuSteal => (10.0, f64::INFINITY),
        MetricId::MemoryUsedPercent => (90.0, 98.0),
        MetricId::SwapUsedPercent => (90.0, 98.0),
        MetricId::MountUsedPercent | MetricId::MountWorstPercent | MetricId::MountInodesUsedPercent => {
            (90.0, 98.0)
        }
        _ => return None,
    };
    Some(Thresholds { warning, critical })
}

/// The worst over the given values; metrics without levels do not count. [`Health::Unknown`] when none counted.
#[must_use]
pub fn assess(values: impl IntoIterator<Item = (MetricId, f64)>) -> Health {
    values
        .into_iter()
        .filter_map(|(metric, value)| Some(thresholds(metric)?.judge(value)))
        .max()
        .unwrap_or(Health::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_are_those_of_the_starter_rules() {
        use crate::alert::{Check, Function, Level, starter_pack};
        let trigger = |level: &Option<Level>| level.as_ref().map_or(f64::INFINITY, |level| level.trigger);
        let mut seen = 0;
        for rule in starter_pack() {
            let Check::Metric(check) = &rule.check else {
                continue;
            };
            let quantity = &check.quantity;
            let is_plain = matches!(quantity.function, Function::Last | Function::Average);
            let metric = MetricId::from_name(&quantity.metric).unwrap();
            let Some(levels) = thresholds(metric).filter(|_| is_plain && quantity.per.is_none()) else {
                continue;
            };
            seen += 1;
            assert_eq!(
                (levels.warning, levels.critical),
                (trigger(&check.warning), trigger(&check.critical)),
                "{}",
                rule.id
            );
        }
        assert_eq!(
            seen, 7,
            "every metric with levels but the worst mount, which stands for all of them"
        );
    }

    #[test]
    fn the_worst_metric_decides() {
        use MetricId::{CpuBusy, Load1, MemoryUsedPercent};
        assert_eq!(
            assess([(CpuBusy, 20.0), (MemoryUsedPercent, 40.0)]),
            Health::Healthy
        );
        assert_eq!(
            assess([(CpuBusy, 86.0), (MemoryUsedPercent, 99.0)]),
            Health::Critical
        );
        assert_eq!(assess([(CpuBusy, 85.0)]), Health::Warning);
        assert_eq!(assess([(Load1, 900.0)]), Health::Unknown);
        assert_eq!(assess([]), Health::Unknown);
    }
}
