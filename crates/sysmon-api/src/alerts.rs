//! Rules and alerts, between wire and domain.

use sysmon_core::alert::{
    Acknowledgement, Alert, AlertKey, Cause, Check, Comparison, Culprit, Function, Guard, Level, Matcher,
    MetricCheck, Phase, Quantity, Rule, RuleId, Scope, Severity, Silence, SilenceId, Transition,
};
use sysmon_core::{MachineId, UnixMillis};

use crate::convert::{TEXT_LIMIT, text};
use crate::error::ApiError;
use crate::wire;

/// The most entries of a list within a rule, a silence or an alert.
const LIST_MAX: usize = 1_000;
/// The longest comment, in bytes; what is longer is cut.
const NOTE_LIMIT: usize = 4_096;

/// A rule as it travels.
#[must_use]
pub fn rule_to_wire(rule: &Rule) -> wire::Rule {
    wire::Rule {
        rule_id: rule.id.to_string(),
        title: rule.title.clone(),
        note: rule.note.clone(),
        enabled: rule.enabled,
        hold_ms: rule.hold_ms,
        clear_hold_ms: rule.clear_hold_ms,
        scope: Some(wire::RuleScope {
            machine_ids: rule.scope.machines.iter().map(ToString::to_string).collect(),
            labels: rule.scope.labels.clone(),
            entities: rule.scope.entities.clone(),
            except_entities: rule.scope.except_entities.clone(),
        }),
        check: Some(match &rule.check {
            Check::MachineDown { severity } => wire::rule::Check::MachineDown(wire::MachineDownCheck {
                severity: severity_to_wire(*severity).into(),
            }),
            Check::Metric(check) => wire::rule::Check::Metric(wire::MetricCheck {
                quantity: Some(quantity_to_wire(&check.quantity)),
                comparison: comparison_to_wire(check.comparison).into(),
                info: check.info.as_ref().map(level_to_wire),
                warning: check.warning.as_ref().map(level_to_wire),
                critical: check.critical.as_ref().map(level_to_wire),
            }),
        }),
    }
}

/// Takes a rule over with its texts as they are. Whether it makes sense, and whether its texts are harmless, is judged by
/// `Rule::problems`.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] for what no rule can be: an id that is none, no check, a word that is not known here.
pub fn rule_from_wire(rule: &wire::Rule) -> Result<Rule, ApiError> {
    let scope = rule.scope.clone().unwrap_or_default();
    for list in [
        &scope.machine_ids,
        &scope.labels,
        &scope.entities,
        &scope.except_entities,
    ] {
        bounded(list)?;
    }
    let check = match &rule.check {
        Some(wire::rule::Check::MachineDown(check)) => Check::MachineDown {
            severity: severity_from_wire(check.severity()).ok_or_else(|| {
                ApiError::invalid("the rule has no severity; say info, warning or critical")
            })?,
        },
        Some(wire::rule::Check::Metric(check)) => Check::Metric(metric_check_from_wire(check)?),
        None => {
            return Err(ApiError::invalid(
                "the rule checks nothing this server knows; give it a metric, or upgrade the server",
            ));
        }
    };
    Ok(Rule {
        id: rule_id_from_wire(&rule.rule_id)?,
        title: rule.title.clone(),
        note: rule.note.clone(),
        enabled: rule.enabled,
        hold_ms: rule.hold_ms,
        clear_hold_ms: rule.clear_hold_ms,
        scope: Scope {
            machines: machines_from_wire(&scope.machine_ids)?,
            labels: scope.labels,
            entities: scope.entities,
            except_entities: scope.except_entities,
        },
        check,
    })
}

/// Checks the name of a rule.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] when it cannot be one.
pub fn rule_id_from_wire(id: &str) -> Result<RuleId, ApiError> {
    RuleId::parse(id).map_err(|error| ApiError::invalid(error.to_string()))
}

fn machines_from_wire(ids: &[String]) -> Result<Vec<MachineId>, ApiError> {
    ids.iter()
        .map(|id| MachineId::parse(id).map_err(|error| ApiError::invalid(error.to_string())))
        .collect()
}

fn texts(list: &[String]) -> Vec<String> {
    list.iter().map(|entry| text(entry, TEXT_LIMIT)).collect()
}

/// A text of several lines, cut to size and free of all other control characters.
fn lines(value: &str) -> String {
    let lines = value[..value.floor_char_boundary(NOTE_LIMIT)].lines();
    let clean: Vec<_> = lines.map(sysmon_core::sanitize).collect();
    clean.join("\n")
}

fn bounded(list: &[String]) -> Result<(), ApiError> {
    if list.len() > LIST_MAX {
        return Err(ApiError::invalid(format!(
            "a list has {} entries; {LIST_MAX} are the most",
            list.len()
        )));
    }
    Ok(())
}

fn metric_check_from_wire(check: &wire::MetricCheck) -> Result<MetricCheck, ApiError> {
    let level = |level: &Option<wire::Level>| level.as_ref().map(level_from_wire).transpose();
    Ok(MetricCheck {
        quantity: quantity_from_wire(check.quantity.as_ref())?,
        comparison: comparison_from_wire(check.comparison())?,
        info: level(&check.info)?,
        warning: level(&check.warning)?,
        critical: level(&check.critical)?,
    })
}

fn level_to_wire(level: &Level) -> wire::Level {
    wire::Level {
        trigger: level.trigger,
        clear: level.clear,
        and: level.and.as_ref().map(|guard| wire::Guard {
            quantity: Some(quantity_to_wire(&guard.quantity)),
            comparison: comparison_to_wire(guard.comparison).into(),
            value: guard.value,
        }),
    }
}

fn level_from_wire(level: &wire::Level) -> Result<Level, ApiError> {
    let guard = |guard: &wire::Guard| -> Result<Guard, ApiError> {
        Ok(Guard {
            quantity: quantity_from_wire(guard.quantity.as_ref())?,
            comparison: comparison_from_wire(guard.comparison())?,
            value: guard.value,
        })
    };
    Ok(Level {
        trigger: level.trigger,
        clear: level.clear,
        and: level.and.as_ref().map(guard).transpose()?,
    })
}

fn quantity_to_wire(quantity: &Quantity) -> wire::Quantity {
    wire::Quantity {
        metric: quantity.metric.clone(),
        per: quantity.per.clone().unwrap_or_default(),
        function: function_to_wire(quantity.function).into(),
        window_ms: quantity.window_ms,
    }
}

fn quantity_from_wire(quantity: Option<&wire::Quantity>) -> Result<Quantity, ApiError> {
    let quantity =
        quantity.ok_or_else(|| ApiError::invalid("the rule names no metric; say which one it watches"))?;
    Ok(Quantity {
        metric: quantity.metric.clone(),
        per: Some(quantity.per.clone()).filter(|per| !per.is_empty()),
        function: function_from_wire(quantity.function())?,
        window_ms: quantity.window_ms,
    })
}

fn comparison_to_wire(comparison: Comparison) -> wire::Comparison {
    match comparison {
        Comparison::Above => wire::Comparison::Above,
        Comparison::Below => wire::Comparison::Below,
    }
}

fn comparison_from_wire(comparison: wire::Comparison) -> Result<Comparison, ApiError> {
    match comparison {
        wire::Comparison::Above => Ok(Comparison::Above),
        wire::Comparison::Below => Ok(Comparison::Below),
        wire::Comparison::Unspecified => Err(ApiError::invalid(
            "the rule has no comparison; say above or below",
        )),
    }
}

fn function_to_wire(function: Function) -> wire::Function {
    match function {
        Function::Last => wire::Function::Last,
        Function::Average => wire::Function::Average,
        Function::Minimum => wire::Function::Minimum,
        Function::Maximum => wire::Function::Maximum,
        Function::Rate => wire::Function::Rate,
        Function::Increase => wire::Function::Increase,
        Function::TimeToFull => wire::Function::TimeToFull,
    }
}

fn function_from_wire(function: wire::Function) -> Result<Function, ApiError> {
    match function {
        wire::Function::Last => Ok(Function::Last),
        wire::Function::Average => Ok(Function::Average),
        wire::Function::Minimum => Ok(Function::Minimum),
        wire::Function::Maximum => Ok(Function::Maximum),
        wire::Function::Rate => Ok(Function::Rate),
        wire::Function::Increase => Ok(Function::Increase),
        wire::Function::TimeToFull => Ok(Function::TimeToFull),
        wire::Function::Unspecified => Err(ApiError::invalid(
            "the rule has a function that this server does not know; use one of last, average, minimum, maximum, rate, increase, time_to_full",
        )),
    }
}

/// A severity as it travels.
#[must_use]
pub fn severity_to_wire(severity: Severity) -> wire::Severity {
    match severity {
        Severity::Info => wire::Severity::Info,
        Severity::Warning => wire::Severity::Warning,
        Severity::Critical => wire::Severity::Critical,
    }
}

/// The severity of a message; `None` for one that is not known here.
#[must_use]
pub fn severity_from_wire(severity: wire::Severity) -> Option<Severity> {
    match severity {
        wire::Severity::Info => Some(Severity::Info),
        wire::Severity::Warning => Some(Severity::Warning),
        wire::Severity::Critical => Some(Severity::Critical),
        wire::Severity::Unspecified => None,
    }
}

fn phase_to_wire(phase: Phase) -> wire::AlertPhase {
    match phase {
        Phase::Inactive => wire::AlertPhase::Inactive,
        Phase::Pending => wire::AlertPhase::Pending,
        Phase::Firing => wire::AlertPhase::Firing,
        Phase::Recovering => wire::AlertPhase::Recovering,
        Phase::Resolved => wire::AlertPhase::Resolved,
        Phase::NoData => wire::AlertPhase::NoData,
    }
}

fn phase_from_wire(phase: wire::AlertPhase) -> Result<Phase, ApiError> {
    match phase {
        wire::AlertPhase::Inactive => Ok(Phase::Inactive),
        wire::AlertPhase::Pending => Ok(Phase::Pending),
        wire::AlertPhase::Firing => Ok(Phase::Firing),
        wire::AlertPhase::Recovering => Ok(Phase::Recovering),
        wire::AlertPhase::Resolved => Ok(Phase::Resolved),
        wire::AlertPhase::NoData => Ok(Phase::NoData),
        wire::AlertPhase::Unspecified => Err(newer("phase")),
    }
}

fn newer(what: &str) -> ApiError {
    ApiError::invalid(format!(
        "an alert has a {what} that is not known here; upgrade this side"
    ))
}

/// An alert's name as it travels.
#[must_use]
pub fn alert_key_to_wire(key: &AlertKey) -> wire::AlertKey {
    wire::AlertKey {
        rule_id: key.rule.to_string(),
        machine_id: key.machine.to_string(),
        entity: key.entity.to_string(),
    }
}

/// Checks an alert's name.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] when it cannot be one.
pub fn alert_key_from_wire(key: Option<&wire::AlertKey>) -> Result<AlertKey, ApiError> {
    let key = key.ok_or_else(|| ApiError::invalid("no alert is named; say which one"))?;
    Ok(AlertKey {
        rule: rule_id_from_wire(&key.rule_id)?,
        machine: MachineId::parse(&key.machine_id).map_err(|error| ApiError::invalid(error.to_string()))?,
        // As the labels of samples are cleaned, so that it stays the same name.
        entity: text(&key.entity, TEXT_LIMIT).into(),
    })
}

/// An alert as it travels.
#[must_use]
pub fn alert_to_wire(alert: &Alert) -> wire::Alert {
    wire::Alert {
        key: Some(alert_key_to_wire(&alert.key)),
        phase: phase_to_wire(alert.phase).into(),
        severity: severity_to_wire(alert.severity).into(),
        since_unix_ms: alert.since.0,
        fired_unix_ms: alert.fired.map(|fired| fired.0),
        value: alert.value,
        threshold: alert.threshold,
        peak: alert.peak,
        flapping: alert.flapping,
        inhibited: alert.inhibited,
        silence_id: alert.silenced.map_or(0, |silence| silence.0),
        acknowledgement: alert.acknowledged.as_ref().map(acknowledgement_to_wire),
        culprits: alert.culprits.iter().map(culprit_to_wire).collect(),
    }
}

/// Takes an alert over.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] for what cannot be one.
pub fn alert_from_wire(alert: &wire::Alert) -> Result<Alert, ApiError> {
    Ok(Alert {
        key: alert_key_from_wire(alert.key.as_ref())?,
        phase: phase_from_wire(alert.phase())?,
        severity: severity_from_wire(alert.severity()).ok_or_else(|| newer("severity"))?,
        since: UnixMillis(alert.since_unix_ms),
        fired: alert.fired_unix_ms.map(UnixMillis),
        value: finite(alert.value),
        threshold: finite(alert.threshold),
        peak: finite(alert.peak),
        flapping: alert.flapping,
        inhibited: alert.inhibited,
        silenced: (alert.silence_id != 0).then_some(SilenceId(alert.silence_id)),
        acknowledged: alert
            .acknowledgement
            .as_ref()
            .map(acknowledgement_from_wire)
            .transpose()?,
        culprits: culprits_from_wire(&alert.culprits),
    })
}

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

fn acknowledgement_to_wire(acknowledgement: &Acknowledgement) -> wire::Acknowledgement {
    wire::Acknowledgement {
        by: acknowledgement.by.clone(),
        comment: acknowledgement.comment.clone(),
        at_unix_ms: acknowledgement.at.0,
        until_unix_ms: acknowledgement.until.map(|until| until.0),
        severity: severity_to_wire(acknowledgement.severity).into(),
    }
}

fn acknowledgement_from_wire(acknowledgement: &wire::Acknowledgement) -> Result<Acknowledgement, ApiError> {
    Ok(Acknowledgement {
        by: text(&acknowledgement.by, TEXT_LIMIT),
        comment: lines(&acknowledgement.comment),
        at: UnixMillis(acknowledgement.at_unix_ms),
        until: acknowledgement.until_unix_ms.map(UnixMillis),
        severity: severity_from_wire(acknowledgement.severity()).ok_or_else(|| newer("severity"))?,
    })
}

fn culprit_to_wire(culprit: &Culprit) -> wire::Culprit {
    wire::Culprit {
        pid: culprit.pid,
        name: culprit.name.clone(),
        user: culprit.user.clone(),
        cpu_percent: culprit.cpu_percent,
        memory_bytes: culprit.memory_bytes,
    }
}

fn culprits_from_wire(culprits: &[wire::Culprit]) -> Vec<Culprit> {
    let culprit = |culprit: &wire::Culprit| Culprit {
        pid: culprit.pid,
        name: text(&culprit.name, TEXT_LIMIT),
        user: text(&culprit.user, TEXT_LIMIT),
        cpu_percent: culprit.cpu_percent,
        memory_bytes: culprit.memory_bytes,
    };
    culprits.iter().take(3).map(culprit).collect()
}

/// A step as it travels; `id` is its number in the log, 0 when it has none yet.
#[must_use]
pub fn transition_to_wire(id: i64, transition: &Transition) -> wire::AlertTransition {
    wire::AlertTransition {
        transition_id: id,
        key: Some(alert_key_to_wire(&transition.key)),
        at_unix_ms: transition.at.0,
        from: phase_to_wire(transition.from).into(),
        to: phase_to_wire(transition.to).into(),
        severity_before: severity_to_wire(transition.severity_before).into(),
        severity: severity_to_wire(transition.severity).into(),
        cause: transition.cause.word().into(),
        value: transition.value,
        threshold: transition.threshold,
        fired_unix_ms: transition.fired.map(|fired| fired.0),
        culprits: transition.culprits.iter().map(culprit_to_wire).collect(),
    }
}

/// Takes a step over.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] for what cannot be one.
pub fn transition_from_wire(transition: &wire::AlertTransition) -> Result<Transition, ApiError> {
    let severity = |severity| severity_from_wire(severity).ok_or_else(|| newer("severity"));
    let cause = Cause::WORDS.iter().find(|(_, word)| *word == transition.cause);
    Ok(Transition {
        key: alert_key_from_wire(transition.key.as_ref())?,
        at: UnixMillis(transition.at_unix_ms),
        from: phase_from_wire(transition.from())?,
        to: phase_from_wire(transition.to())?,
        severity_before: severity(transition.severity_before())?,
        severity: severity(transition.severity())?,
        cause: cause.map(|(cause, _)| *cause).ok_or_else(|| newer("cause"))?,
        value: finite(transition.value),
        threshold: finite(transition.threshold),
        fired: transition.fired_unix_ms.map(UnixMillis),
        culprits: culprits_from_wire(&transition.culprits),
    })
}

/// A silence as it travels.
#[must_use]
pub fn silence_to_wire(silence: &Silence) -> wire::Silence {
    let matcher = &silence.matcher;
    wire::Silence {
        silence_id: silence.id.0,
        rule_ids: matcher.rules.iter().map(ToString::to_string).collect(),
        machine_ids: matcher.machines.iter().map(ToString::to_string).collect(),
        labels: matcher.labels.clone(),
        entities: matcher.entities.clone(),
        from_unix_ms: silence.from.0,
        until_unix_ms: silence.until.0,
        by: silence.by.clone(),
        comment: silence.comment.clone(),
    }
}

/// Takes a silence over.
///
/// # Errors
/// [`crate::Code::InvalidArgument`] for what cannot be one: a rule or machine that cannot be, too long a list, an end
/// that is not after its start.
pub fn silence_from_wire(silence: &wire::Silence) -> Result<Silence, ApiError> {
    for list in [
        &silence.rule_ids,
        &silence.machine_ids,
        &silence.labels,
        &silence.entities,
    ] {
        bounded(list)?;
    }
    if silence.until_unix_ms <= silence.from_unix_ms {
        return Err(ApiError::invalid(
            "the silence ends before it begins; let it end later",
        ));
    }
    Ok(Silence {
        id: SilenceId(silence.silence_id),
        matcher: Matcher {
            rules: silence
                .rule_ids
                .iter()
                .map(|id| rule_id_from_wire(id))
                .collect::<Result<_, _>>()?,
            machines: machines_from_wire(&silence.machine_ids)?,
            labels: texts(&silence.labels),
            entities: texts(&silence.entities),
        },
        from: UnixMillis(silence.from_unix_ms),
        until: UnixMillis(silence.until_unix_ms),
        by: text(&silence.by, TEXT_LIMIT),
        comment: lines(&silence.comment),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> Rule {
        let quantity = |metric: &str, per: Option<&str>, function, window_ms| Quantity {
            metric: metric.into(),
            per: per.map(Into::into),
            function,
            window_ms,
        };
        Rule {
            id: RuleId::parse("load").unwrap(),
            title: "Load".into(),
            note: "Look at what runs.".into(),
            enabled: true,
            hold_ms: 60_000,
            clear_hold_ms: 5_000,
            scope: Scope {
                machines: vec![MachineId::parse("a").unwrap()],
                labels: vec!["role=db".into()],
                entities: vec!["/".into()],
                except_entities: vec!["/snap/*".into()],
            },
            check: Check::Metric(MetricCheck {
                quantity: quantity("load.15m", Some("cpu.count"), Function::Average, 600_000),
                comparison: Comparison::Above,
                info: None,
                warning: Some(Level {
                    trigger: 2.0,
                    clear: Some(1.75),
                    and: None,
                }),
                critical: Some(Level {
                    trigger: 4.0,
                    clear: None,
                    and: Some(Guard {
                        quantity: quantity("cpu.busy_percent", None, Function::Last, 0),
                        comparison: Comparison::Below,
                        value: 5e9,
                    }),
                }),
            }),
        }
    }

    #[test]
    fn what_is_sent_arrives() {
        let rule = rule();
        assert_eq!(rule_from_wire(&rule_to_wire(&rule)).unwrap(), rule);
        let down = Rule {
            check: Check::MachineDown {
                severity: Severity::Critical,
            },
            ..rule
        };
        assert_eq!(rule_from_wire(&rule_to_wire(&down)).unwrap(), down);
        let key = AlertKey {
            rule: down.id,
            machine: MachineId::parse("a").unwrap(),
            entity: "/home".into(),
        };
        let culprit = Culprit {
            pid: 7,
            name: "stress".into(),
            user: "root".into(),
            cpu_percent: 199.5,
            memory_bytes: 1 << 20,
        };
        let alert = Alert {
            key: key.clone(),
            phase: Phase::NoData,
            severity: Severity::Warning,
            since: UnixMillis(5),
            fired: Some(UnixMillis(4)),
            value: Some(0.1),
            threshold: None,
            peak: Some(1e300),
            flapping: true,
            inhibited: true,
            silenced: Some(SilenceId(3)),
            acknowledged: Some(Acknowledgement {
                by: "ann".into(),
                comment: "known".into(),
                at: UnixMillis(6),
                until: None,
                severity: Severity::Warning,
            }),
            culprits: vec![culprit.clone()],
        };
        assert_eq!(alert_from_wire(&alert_to_wire(&alert)).unwrap(), alert);
        for (cause, _) in Cause::WORDS {
            let transition = Transition {
                key: key.clone(),
                at: UnixMillis(9),
                from: Phase::Pending,
                to: Phase::Firing,
                severity_before: Severity::Info,
                severity: Severity::Critical,
                cause,
                value: Some(97.5),
                threshold: Some(95.0),
                fired: Some(UnixMillis(9)),
                culprits: vec![culprit.clone()],
            };
            assert_eq!(
                transition_from_wire(&transition_to_wire(1, &transition)).unwrap(),
                transition
            );
        }
    }

    #[test]
    fn texts_arrive_without_escape_sequences_and_a_comment_keeps_its_lines() {
        let mut wire = wire::Silence {
            machine_ids: vec!["a".into()],
            entities: vec!["/\u{1b}[31m".into()],
            until_unix_ms: 5,
            comment: "first\u{7}\nsecond".into(),
            ..Default::default()
        };
        let silence = silence_from_wire(&wire).unwrap();
        assert_eq!(silence.matcher.entities, ["/\u{fffd}[31m"]);
        assert_eq!(silence.comment, "first\u{fffd}\nsecond");
        wire.comment = "ü".repeat(5_000);
        assert_eq!(silence_from_wire(&wire).unwrap().comment.len(), NOTE_LIMIT);
        let key = wire::AlertKey {
            rule_id: "disk-full".into(),
            machine_id: "a".into(),
            entity: "/\u{202e}x".into(),
        };
        assert_eq!(&*alert_key_from_wire(Some(&key)).unwrap().entity, "/\u{fffd}x");
    }

    #[test]
    fn what_no_rule_can_be_is_refused_with_advice() {
        let refused = |change: &dyn Fn(&mut wire::Rule)| {
            let mut wire = rule_to_wire(&rule());
            change(&mut wire);
            rule_from_wire(&wire).unwrap_err().message
        };
        assert!(refused(&|rule| rule.rule_id = "A B".into()).contains("lower-case"));
        assert!(refused(&|rule| rule.check = None).contains("upgrade the server"));
        assert!(refused(&|rule| rule.scope.as_mut().unwrap().machine_ids[0] = "a/b".into()).contains("'/'"));
        let many = || vec!["x".to_string(); LIST_MAX + 1];
        assert!(refused(&|rule| rule.scope.as_mut().unwrap().entities = many()).contains("1000"));
        let metric = |rule: &mut wire::Rule, change: &dyn Fn(&mut wire::MetricCheck)| {
            if let Some(wire::rule::Check::Metric(check)) = &mut rule.check {
                change(check);
            }
        };
        assert!(refused(&|rule| metric(rule, &|check| check.quantity = None)).contains("no metric"));
        assert!(refused(&|rule| metric(rule, &|check| check.comparison = 9)).contains("above or below"));
        let unknown = |check: &mut wire::MetricCheck| check.quantity.as_mut().unwrap().function = 99;
        assert!(refused(&|rule| metric(rule, &unknown)).contains("time_to_full"));
    }
}
