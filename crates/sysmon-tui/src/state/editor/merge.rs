//! Two edits of one rule, side by side and put together.

use sysmon_core::alert::{Check, Level, MetricCheck, Rule, Severity};

use super::Field;
use super::fields::{SEVERITIES, entities_text, field_text, scope_text};
use crate::entry::{unit_of, value_shown};
use crate::state::alerts::scope::metric_check;

/// A field that two edits have left different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) name: &'static str,
    pub(crate) mine: String,
    pub(crate) theirs: String,
    /// Whether it was changed here, or only by the other.
    pub(crate) is_mine: bool,
}

/// What is different between two edits that began from `base`.
pub(crate) fn differences(base: &Rule, mine: &Rule, theirs: &Rule) -> Vec<Difference> {
    let (base, mine, theirs) = (parts(base), parts(mine), parts(theirs));
    let all = base.into_iter().zip(mine).zip(theirs);
    all.filter(|((_, mine), theirs)| mine.1 != theirs.1)
        .map(|((base, mine), theirs)| Difference {
            name: mine.0,
            is_mine: mine.1 != base.1,
            mine: mine.1,
            theirs: theirs.1,
        })
        .collect()
}

/// All parts of a rule in words, always the same number of them.
fn parts(rule: &Rule) -> Vec<(&'static str, String)> {
    let mut parts = vec![
        ("title", rule.title.clone()),
        ("enabled", field_text(rule, Field::Enabled)),
        ("metric", metric_text(rule)),
        ("of", function_text(rule)),
        ("compared", field_text(rule, Field::Comparison)),
        ("severity", field_text(rule, Field::Severity)),
    ];
    let names = ["critical", "warning", "info"];
    parts.extend(
        names
            .into_iter()
            .zip(SEVERITIES)
            .map(|(name, severity)| (name, level_text(rule, severity))),
    );
    parts.extend([
        ("for", field_text(rule, Field::Hold)),
        ("clear for", field_text(rule, Field::ClearHold)),
        ("machines", scope_text(&rule.scope)),
        ("entities", entities_text(&rule.scope)),
        ("note", rule.note.clone()),
    ]);
    parts
}

fn metric_text(rule: &Rule) -> String {
    match metric_check(rule).map(|check| &check.quantity) {
        None => "machine down".into(),
        Some(quantity) => match &quantity.per {
            Some(per) => format!("{} per {per}", quantity.metric),
            None => quantity.metric.clone(),
        },
    }
}

fn function_text(rule: &Rule) -> String {
    format!(
        "{} {}",
        field_text(rule, Field::Function),
        field_text(rule, Field::Window)
    )
}

/// A level of a check.
pub(crate) fn level_of(check: &MetricCheck, severity: Severity) -> Option<&Level> {
    match severity {
        Severity::Info => check.info.as_ref(),
        Severity::Warning => check.warning.as_ref(),
        Severity::Critical => check.critical.as_ref(),
    }
}

fn level_text(rule: &Rule, severity: Severity) -> String {
    let Some((check, level)) = metric_check(rule).and_then(|check| Some((check, level_of(check, severity)?)))
    else {
        return "off".into();
    };
    let unit = unit_of(&check.quantity);
    let mut text = value_shown(level.trigger, unit);
    if let Some(clear) = level.clear {
        text.push_str(&format!(", clear {}", value_shown(clear, unit)));
    }
    if let Some(guard) = &level.and {
        let value = value_shown(guard.value, unit_of(&guard.quantity));
        text.push_str(&format!(", and {} {value}", guard.quantity.metric));
    }
    text
}

/// Theirs, with everything that was changed here.
pub(crate) fn merged(base: &Rule, mine: &Rule, theirs: &Rule) -> Rule {
    Rule {
        id: theirs.id.clone(),
        title: choose(&base.title, &mine.title, &theirs.title),
        note: choose(&base.note, &mine.note, &theirs.note),
        enabled: choose(&base.enabled, &mine.enabled, &theirs.enabled),
        hold_ms: choose(&base.hold_ms, &mine.hold_ms, &theirs.hold_ms),
        clear_hold_ms: choose(&base.clear_hold_ms, &mine.clear_hold_ms, &theirs.clear_hold_ms),
        scope: choose(&base.scope, &mine.scope, &theirs.scope),
        check: match (&base.check, &mine.check, &theirs.check) {
            (Check::Metric(base), Check::Metric(mine), Check::Metric(theirs)) => {
                Check::Metric(merged_check(base, mine, theirs))
            }
            (base, mine, theirs) => choose(base, mine, theirs),
        },
    }
}

fn merged_check(base: &MetricCheck, mine: &MetricCheck, theirs: &MetricCheck) -> MetricCheck {
    MetricCheck {
        quantity: choose(&base.quantity, &mine.quantity, &theirs.quantity),
        comparison: choose(&base.comparison, &mine.comparison, &theirs.comparison),
        info: choose(&base.info, &mine.info, &theirs.info),
        warning: choose(&base.warning, &mine.warning, &theirs.warning),
        critical: choose(&base.critical, &mine.critical, &theirs.critical),
    }
}

fn choose<T: PartialEq + Clone>(base: &T, mine: &T, theirs: &T) -> T {
    if mine == base {
        theirs.clone()
    } else {
        mine.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::editor::proposal::proposed;
    use sysmon_core::MetricId;

    #[test]
    fn a_merge_keeps_what_was_changed_on_either_side() {
        let base = proposed(MetricId::CpuBusy, None, &[]).unwrap();
        let mut mine = base.clone();
        mine.hold_ms = 1;
        mine.note = "mine".into();
        let mut theirs = base.clone();
        theirs.title = "Theirs".into();
        theirs.note = "theirs".into();
        if let Check::Metric(check) = &mut theirs.check {
            check.critical = None;
        }
        let both = merged(&base, &mine, &theirs);
        assert_eq!((both.hold_ms, both.note.as_str()), (1, "mine"));
        assert_eq!(both.title, "Theirs");
        assert!(metric_check(&both).unwrap().critical.is_none());
        let names: Vec<_> = differences(&base, &mine, &theirs)
            .into_iter()
            .map(|difference| (difference.name, difference.is_mine))
            .collect();
        assert_eq!(
            names,
            [
                ("title", false),
                ("critical", false),
                ("for", true),
                ("note", true)
            ]
        );
    }

    #[test]
    fn equal_edits_have_no_difference() {
        let base = proposed(MetricId::CpuBusy, None, &[]).unwrap();
        let mut edit = base.clone();
        edit.hold_ms = 5;
        assert_eq!(differences(&base, &edit, &edit), []);
        assert_eq!(merged(&base, &edit, &edit), edit);
    }
}
