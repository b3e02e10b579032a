//! Machines, series and rules for tests.

use std::sync::Arc;

use sysmon_core::alert::{MachineAlerts, Rule, RuleSet, Transition};
use sysmon_core::{Label, MachineId, Metric, SeriesKey, Unit, UnixMillis};

pub(crate) const INTERVAL_MS: u64 = 5_000;

pub(crate) fn seconds(seconds: i64) -> UnixMillis {
    UnixMillis(seconds * 1_000)
}

/// The key of a series written as `metric` or `metric{entity}`.
pub(crate) fn key(text: &str) -> Arc<SeriesKey> {
    let (name, entity) = match text.split_once('{') {
        Some((name, rest)) => (name, rest.strip_suffix('}')),
        None => (text, None),
    };
    let metric = Metric::named(name, Unit::Count);
    let label = metric
        .definition()
        .and_then(|definition| definition.label)
        .unwrap_or("entity");
    let labels = entity.map(|entity| Label {
        name: label.into(),
        value: entity.into(),
    });
    Arc::new(SeriesKey {
        metric,
        labels: labels.into_iter().collect(),
    })
}

pub(crate) fn machine(rules: Vec<Rule>, labels: &[(String, String)], interval_ms: u64) -> MachineAlerts {
    let mut machine = MachineAlerts::new(MachineId::parse("web-1").unwrap());
    let rules = Arc::new(RuleSet::new(rules));
    assert_eq!(rules.refused(), []);
    let mut out = Vec::new();
    machine.set_host(labels, interval_ms, UnixMillis(0), &mut out);
    machine.set_rules(&rules, UnixMillis(0), &mut out);
    assert_eq!(out, []);
    machine
}

/// A transition in one line: seconds, rule with entity, phases, severity, cause.
pub(crate) fn line(transition: &Transition) -> String {
    let entity = &transition.key.entity;
    let entity = if entity.is_empty() {
        String::new()
    } else {
        format!("[{entity}]")
    };
    format!(
        "{} {}{entity} {}>{} {} {}",
        transition.at.0 as f64 / 1_000.0,
        transition.key.rule,
        transition.from.word(),
        transition.to.word(),
        transition.severity.word(),
        transition.cause.word(),
    )
}
