//! A rule for a metric that none watches yet.

use sysmon_core::alert::{Check, Comparison, Function, Level, MetricCheck, Quantity, Rule, RuleId, Scope};
use sysmon_core::{Kind, MetricId, Unit, thresholds};

use crate::entry::{rounded, step_value};
use crate::words;

/// A rule to begin with: levels of the starter rules where there are any, else half above what is measured now.
/// `taken` are the ids that there are; `None` only when no id is free.
pub(crate) fn proposed(metric: MetricId, current: Option<f64>, taken: &[&RuleId]) -> Option<Rule> {
    let definition = metric.definition();
    let comparison = match metric {
        MetricId::NetworkLinkUp | MetricId::ContainerRunning | MetricId::ContainerHealthy => {
            Comparison::Below
        }
        MetricId::MemoryAvailable | MetricId::MemoryFree | MetricId::MountAvailable => Comparison::Below,
        MetricId::BatteryCharge => Comparison::Below,
        _ => Comparison::Above,
    };
    let (function, window_ms) = match (definition.kind, definition.unit) {
        (Kind::Total, _) => (Function::Increase, 3_600_000),
        (_, Unit::Flag) => (Function::Last, 0),
        (Kind::Rate, _) => (Function::Average, 600_000),
        (Kind::Gauge, _) => (Function::Last, 0),
    };
    let level = |trigger: f64| {
        let clear = match (definition.kind, definition.unit) {
            // The server keeps a distance of its own for percentages; counts and flags have nothing in between.
            (Kind::Total, _) | (_, Unit::Percent | Unit::Flag) => None,
            // Right at the trigger an alert would come and go with every sample.
            (_, unit) if comparison == Comparison::Above => Some(rounded(trigger * 0.9, unit)),
            (_, unit) => Some(rounded(trigger * 1.1, unit)),
        };
        trigger.is_finite().then_some(Level {
            trigger,
            clear,
            and: None,
        })
    };
    let current = current.filter(|value| value.is_finite() && *value > 0.0);
    let (warning, critical) = match (thresholds(metric), definition.kind, definition.unit) {
        (Some(levels), _, _) => (level(levels.warning), level(levels.critical)),
        (None, Kind::Total, _) => (level(1.0), None),
        (None, _, Unit::Flag) => {
            let wrong = if comparison == Comparison::Below { 0.0 } else { 1.0 };
            (level(wrong), None)
        }
        (None, _, Unit::Percent) if comparison == Comparison::Above => (level(80.0), level(90.0)),
        (None, _, unit) => {
            let factor = if comparison == Comparison::Above { 1.5 } else { 0.5 };
            let round = |value: f64| step_value(value, unit, true, false);
            (level(current.map_or(1.0, |value| round(value * factor))), None)
        }
    };
    Some(Rule {
        id: free_id(metric.name(), taken)?,
        title: words::metric_title(metric.name()),
        note: String::new(),
        enabled: true,
        hold_ms: 60_000,
        clear_hold_ms: 0,
        scope: Scope::default(),
        check: Check::Metric(MetricCheck {
            quantity: Quantity {
                metric: metric.name().to_owned(),
                per: None,
                function,
                window_ms,
            },
            comparison,
            info: None,
            warning,
            critical,
        }),
    })
}

/// An id made of a text that no rule has yet.
pub(crate) fn free_id(text: &str, taken: &[&RuleId]) -> Option<RuleId> {
    let plain: String = text
        .to_ascii_lowercase()
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .skip_while(|character| !character.is_ascii_lowercase())
        .take(56)
        .collect();
    let plain = plain.trim_end_matches('-');
    let plain = if plain.is_empty() { "rule" } else { plain };
    let named = |number: u32| {
        if number < 2 {
            plain.to_owned()
        } else {
            format!("{plain}-{number}")
        }
    };
    let is_free = |id: &RuleId| !taken.contains(&id);
    (1..=1_000_000)
        .filter_map(|number| RuleId::parse(&named(number)).ok())
        .find(is_free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::value_text;
    use sysmon_core::CATALOGUE;

    #[test]
    fn every_metric_gets_a_sound_rule_of_its_own() {
        let mut taken: Vec<RuleId> = Vec::new();
        for definition in CATALOGUE {
            let rule = proposed(definition.id, Some(3.7), &taken.iter().collect::<Vec<_>>()).unwrap();
            assert!(!taken.contains(&rule.id), "{}", rule.id);
            let Check::Metric(check) = &rule.check else {
                panic!()
            };
            assert!(check.warning.is_some(), "{}", rule.id);
            assert!(rule.problems().is_empty(), "{:?}", rule.problems());
            // Whatever can lie between right and wrong needs a distance, or it flaps.
            for level in [&check.warning, &check.critical].into_iter().flatten() {
                let clear = level.clear_or_default(check.comparison, check.quantity.is_percent());
                let has_between = definition.kind != Kind::Total && definition.unit != Unit::Flag;
                assert_eq!(clear != level.trigger, has_between, "{}: {clear}", rule.id);
                let shown = value_text(clear, definition.unit);
                assert!(shown.len() <= 7, "{}: {shown}", rule.id);
            }
            assert_eq!(
                check.quantity.window_ms == 0,
                check.quantity.function == Function::Last
            );
            taken.push(rule.id);
        }
        assert_eq!(taken[0].as_str(), "cpu-busy-percent");
        let again = proposed(MetricId::CpuBusy, None, &taken.iter().collect::<Vec<_>>()).unwrap();
        assert_eq!(again.id.as_str(), "cpu-busy-percent-2");
        assert_eq!(free_id("99 Ünfug!", &[]).unwrap().as_str(), "nfug");
        assert_eq!(free_id("", &[]).unwrap().as_str(), "rule");
    }
}
