use sysmon_core::MachineId;
use sysmon_core::alert::RuleId;

use super::super::*;
use crate::message::Host;

#[test]
fn patterns_match_whole_texts() {
    for (pattern, text, expected) in [
        ("cpu-busy", "cpu-busy", true),
        ("cpu", "cpu-busy", false),
        ("cpu-*", "cpu-busy", true),
        ("*-busy", "cpu-busy", true),
        ("*u*b*y", "cpu-busy", true),
        ("*b*b*", "cpu-busy", false),
        ("a*a", "a", false),
        ("*", "", true),
    ] {
        assert_eq!(is_like(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn a_filter_looks_at_severity_rule_and_labels() {
    let filter = Filter {
        min_severity: Severity::Warning,
        rules: vec!["cpu-*".into()],
        labels: vec!["role=db".into()],
    };
    let key = |rule: &str, machine: &str| AlertKey {
        rule: RuleId::parse(rule).unwrap(),
        machine: MachineId::parse(machine).unwrap(),
        entity: "".into(),
    };
    let labels = |value: &str| Host {
        hostname: String::new(),
        labels: vec![("role".into(), value.into())],
    };
    let hosts = Hosts::from([
        (MachineId::parse("db").unwrap(), labels("db")),
        (MachineId::parse("web").unwrap(), labels("web")),
    ]);
    let wants = |rule, machine, severity| filter.wants(&key(rule, machine), severity, &hosts);
    assert!(wants("cpu-busy", "db", Severity::Critical));
    assert!(wants("cpu-busy", "unknown", Severity::Warning));
    assert!(!wants("cpu-busy", "db", Severity::Info));
    assert!(!wants("disk-full", "db", Severity::Critical));
    assert!(!wants("cpu-busy", "web", Severity::Critical));
}
