//! Which rule watches what: the server decides, this is for showing and finding.

use sysmon_api::Machine;
use sysmon_core::alert::{Check, Comparison, Function, Level, MetricCheck, Rule, Scope};
use sysmon_core::{MetricId, Thresholds};

use super::board::{Board, StoredRule};

/// Whether a text matches a pattern in which `*` stands for any run of characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Whether a scope covers a machine with these labels.
pub(crate) fn covers_machine(scope: &Scope, id: &str, labels: &[(String, String)]) -> bool {
    let is_listed = scope.machines.iter().any(|machine| machine.as_str() == id);
    let has = |wanted: &String| {
        let pair = wanted.split_once('=');
        pair.is_some_and(|(name, value)| labels.iter().any(|(n, v)| n == name && v == value))
    };
    let has_labels = !scope.labels.is_empty() && scope.labels.iter().all(has);
    (scope.machines.is_empty() && scope.labels.is_empty()) || is_listed || has_labels
}

/// Whether a scope covers an entity.
pub(crate) fn covers_entity(scope: &Scope, entity: &str) -> bool {
    let matches = |patterns: &[String]| patterns.iter().any(|pattern| glob(pattern, entity));
    (scope.entities.is_empty() || matches(&scope.entities)) && !matches(&scope.except_entities)
}

/// The check of a rule about a number.
pub(crate) fn metric_check(rule: &Rule) -> Option<&MetricCheck> {
    match &rule.check {
        Check::Metric(check) => Some(check),
        Check::MachineDown { .. } => None,
    }
}

impl Board {
    /// The rule that watches a metric of a machine's entity, the most specific one first, enabled ones before others.
    pub(crate) fn rule_for(
        &self,
        metric: MetricId,
        entity: &str,
        machine: &str,
        labels: &[(String, String)],
    ) -> Option<&StoredRule> {
        let watches = |stored: &&StoredRule| {
            let rule = &stored.rule;
            metric_check(rule).is_some_and(|check| check.quantity.metric == metric.name())
                && covers_machine(&rule.scope, machine, labels)
                && covers_entity(&rule.scope, entity)
        };
        let weight = |stored: &&StoredRule| {
            let scope = &stored.rule.scope;
            let plain = metric_check(&stored.rule)
                .is_some_and(|check| check.quantity.per.is_none() && is_level(check.quantity.function));
            let narrow = if !scope.machines.is_empty() {
                2
            } else {
                u8::from(!scope.labels.is_empty())
            };
            (stored.rule.enabled, plain, narrow)
        };
        // Of equals the first by id.
        self.rules()
            .filter(watches)
            .fold(None, |best, stored| match best {
                Some(best) if weight(&best) >= weight(&stored) => Some(best),
                _ => Some(stored),
            })
    }

    /// The levels that rules put on a metric of a machine's entity, when they can be drawn on a chart of it.
    pub(crate) fn levels_for(&self, machine: &Machine, metric: MetricId, entity: &str) -> Option<Thresholds> {
        let stored = self.rule_for(metric, entity, &machine.id, &machine.host.labels)?;
        let check = metric_check(&stored.rule).filter(|check| {
            stored.rule.enabled
                && check.comparison == Comparison::Above
                && check.quantity.per.is_none()
                && is_level(check.quantity.function)
        })?;
        let trigger = |level: &Option<Level>| level.as_ref().map_or(f64::INFINITY, |level| level.trigger);
        Some(Thresholds {
            warning: trigger(&check.warning),
            critical: trigger(&check.critical),
        })
    }
}

/// Whether what a function makes of samples can be compared with the samples themselves.
pub(crate) fn is_level(function: Function) -> bool {
    matches!(
        function,
        Function::Last | Function::Average | Function::Minimum | Function::Maximum
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text, expected) in [
            ("/", "/", true),
            ("/", "/home", false),
            ("/snap/*", "/snap/core/1", true),
            ("/snap/*", "/snapshots", false),
            ("*", "", true),
            ("eth*", "eth0", true),
            ("*d*1", "nvme0n1p1", false),
            ("*n*1", "nvme0n1p1", true),
            ("a*a", "a", false),
            ("", "", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_scope_without_lists_covers_all_and_lists_add_up() {
        let labels = [("role".to_owned(), "db".to_owned())];
        let scope = |machines: &[&str], wanted: &[&str]| Scope {
            machines: machines
                .iter()
                .map(|id| sysmon_core::MachineId::parse(id).unwrap())
                .collect(),
            labels: wanted.iter().map(|label| (*label).to_owned()).collect(),
            ..Scope::default()
        };
        assert!(covers_machine(&scope(&[], &[]), "a", &labels));
        assert!(covers_machine(&scope(&["a"], &["role=web"]), "a", &labels));
        assert!(covers_machine(&scope(&["b"], &["role=db"]), "a", &labels));
        assert!(!covers_machine(
            &scope(&["b"], &["role=db", "site=x"]),
            "a",
            &labels
        ));
    }
}
