//! Values and levels of a rule in words.

use sysmon_core::alert::{Check, Comparison, Function, Quantity, Rule};
use sysmon_core::{MetricId, Unit, format_duration, format_rate};

/// What the values of a rule are.
pub(super) struct Measure {
    pub(super) metric: String,
    pub(super) unit: &'static str,
    shown: Shown,
    comparison: Comparison,
}

enum Shown {
    In(Unit),
    /// Per second of that.
    Rate(Unit),
    Plain,
}

impl Measure {
    /// None for a rule without values.
    pub(super) fn of(rule: &Rule) -> Option<Self> {
        let Check::Metric(check) = &rule.check else {
            return None;
        };
        let (shown, unit) = shown(&check.quantity);
        Some(Self {
            metric: check.quantity.metric.clone(),
            unit,
            shown,
            comparison: check.comparison,
        })
    }

    pub(super) fn value(&self, value: f64) -> String {
        match self.shown {
            // A level in seconds may be a day and a half, which no short form shows.
            Shown::In(Unit::Seconds) if value >= 0.0 => format_duration(value as u64),
            Shown::In(unit) => format_rate(value, unit),
            Shown::Rate(Unit::Bytes) => format_rate(value, Unit::BytesPerSecond),
            Shown::Rate(unit) => format!("{}/s", format_rate(value, unit)),
            Shown::Plain => format_rate(value, Unit::Count),
        }
    }

    pub(super) fn threshold(&self, value: f64) -> String {
        let side = match self.comparison {
            Comparison::Above => "at or above",
            Comparison::Below => "at or below",
        };
        format!("{side} {}", self.value(value))
    }
}

fn shown(quantity: &Quantity) -> (Shown, &'static str) {
    let unit = MetricId::from_name(&quantity.metric).map_or(Unit::Count, |id| id.definition().unit);
    match quantity.function {
        Function::TimeToFull => (Shown::In(Unit::Seconds), Unit::Seconds.word()),
        _ if quantity.per.is_some() => (Shown::Plain, "ratio"),
        Function::Rate if unit == Unit::Bytes => (Shown::Rate(unit), Unit::BytesPerSecond.word()),
        Function::Rate if unit == Unit::Count => (Shown::In(Unit::PerSecond), Unit::PerSecond.word()),
        // There is no word for the change of such a unit per second.
        Function::Rate => (Shown::Rate(unit), ""),
        _ => (Shown::In(unit), unit.word()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(metric: &str, function: Function, per: Option<&str>) -> Measure {
        let text = format!(
            "id = \"r\"\ntitle = \"R\"\n[check]\nkind = \"metric\"\ncomparison = \"below\"\nquantity = {{ metric = \"{metric}\", function = \"{}\", window = \"1m\" {} }}\n",
            function.word(),
            per.map(|per| format!(", per = \"{per}\"")).unwrap_or_default(),
        );
        Measure::of(&toml::from_str(&text).unwrap()).unwrap()
    }

    #[test]
    fn values_have_the_unit_that_the_function_makes_of_them() {
        for (metric, function, per, value, text, unit) in [
            (
                "cpu.busy_percent",
                Function::Average,
                None,
                97.2,
                "97%",
                "percent",
            ),
            (
                "mount.available_bytes",
                Function::TimeToFull,
                None,
                90_000.0,
                "1d 1h",
                "seconds",
            ),
            (
                "mount.available_bytes",
                Function::Rate,
                None,
                -2e6,
                "-2.00 MB/s",
                "bytes_per_second",
            ),
            (
                "load.15m",
                Function::Last,
                Some("cpu.count"),
                2.5,
                "2.50",
                "ratio",
            ),
            ("cpu.busy_percent", Function::Rate, None, 3.0, "3.0%/s", ""),
            ("no.such_metric", Function::Last, None, 12.0, "12", "count"),
        ] {
            let measure = measure(metric, function, per);
            assert_eq!(
                (measure.value(value).as_str(), measure.unit),
                (text, unit),
                "{metric}"
            );
        }
        let measure = measure("cpu.busy_percent", Function::Last, None);
        assert_eq!(measure.threshold(5.0), "at or below 5.0%");
    }
}
