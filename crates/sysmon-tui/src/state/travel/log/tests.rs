//! Which alerts there were.

use sysmon_core::MachineId;
use sysmon_core::alert::{Cause, RuleId};

use super::*;

fn key(machine: &str) -> AlertKey {
    AlertKey {
        rule: RuleId::parse("cpu-busy").unwrap(),
        machine: MachineId::parse(machine).unwrap(),
        entity: "".into(),
    }
}

fn step(machine: &str, at: i64, from: Phase, to: Phase) -> Transition {
    Transition {
        key: key(machine),
        at: UnixMillis(at),
        from,
        to,
        severity_before: Severity::Warning,
        severity: Severity::Critical,
        cause: Cause::Held,
        value: Some(97.0),
        threshold: Some(95.0),
        fired: (to == Phase::Firing).then_some(UnixMillis(at)),
        culprits: Vec::new(),
    }
}

/// Newest first, as the log tells.
fn log(mut steps: Vec<Transition>, is_whole: bool) -> Log {
    steps.sort_by_key(|step| std::cmp::Reverse(step.at));
    let mut log = Log::default();
    log.take(steps, UnixMillis(10_000), is_whole);
    log
}

fn phases(log: &Log, at: i64) -> Vec<(String, Phase)> {
    let alerts = log.alerts_at(UnixMillis(at), &Board::default());
    alerts
        .into_iter()
        .map(|alert| (alert.key.machine.to_string(), alert.phase))
        .collect()
}

#[test]
fn an_alert_is_what_the_last_step_before_the_moment_made_it() {
    let log = log(
        vec![
            step("a", 1_000, Phase::Inactive, Phase::Pending),
            step("a", 2_000, Phase::Pending, Phase::Firing),
            step("a", 5_000, Phase::Firing, Phase::Resolved),
        ],
        true,
    );
    assert_eq!(phases(&log, 500), []);
    assert_eq!(phases(&log, 1_500), [("a".to_owned(), Phase::Pending)]);
    assert_eq!(phases(&log, 4_999), [("a".to_owned(), Phase::Firing)]);
    assert_eq!(phases(&log, 5_000), []);
}

#[test]
fn a_step_after_the_moment_tells_what_was_before_it() {
    let log = log(vec![step("a", 5_000, Phase::Firing, Phase::Resolved)], false);
    assert_eq!(phases(&log, 4_000), [("a".to_owned(), Phase::Firing)]);
    assert_eq!(phases(&log, 6_000), []);
}

#[test]
fn a_page_covers_no_more_than_it_has() {
    let page = log(vec![step("a", 5_000, Phase::Firing, Phase::Resolved)], false);
    assert!(!page.covers(UnixMillis(4_999)) && page.covers(UnixMillis(5_000)));
    assert!(!page.covers(UnixMillis(10_000)));
    let whole = log(Vec::new(), true);
    assert!(whole.covers(UnixMillis(0)) && !whole.covers(UnixMillis(10_000)));
    assert!(!Log::default().covers(UnixMillis(0)));
}
