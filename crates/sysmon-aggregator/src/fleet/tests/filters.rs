//! Machines that enter and leave a subscription as they change.

use super::*;
use crate::fleet::{AlertMark, Judgement};
use sysmon_api::Code;
use sysmon_core::Health;
use sysmon_core::alert::{Alert, AlertKey, Phase, RuleId, Severity};

fn follow(lab: &mut Lab, filter: &str) -> Follower {
    let subscribe = wire::Subscribe {
        filter: filter.into(),
        ..everything()
    };
    Follower::new(lab, subscribe)
}

/// The ids that each follower knows once it has been told everything, in one word each.
fn known<const N: usize>(lab: &mut Lab, mut followers: [&mut Follower; N]) -> [String; N] {
    drain_all(lab, &mut followers);
    followers.map(|follower| {
        let machines = follower.replica.machines();
        machines.map(|(_, machine)| &*machine.id).collect()
    })
}

#[test]
fn a_machine_is_there_for_as_long_as_its_value_matches() {
    let mut lab = Lab::new(Config::default());
    let streams = [lab.join("a"), lab.join("b")];
    let mut busy = follow(&mut lab, "cpu > 50 or disk{/} > 90");
    assert_eq!(
        known(&mut lab, [&mut busy]),
        [""],
        "without a value nothing matches"
    );
    for (values, expected) in [
        ([501, 100], "a"),
        ([501, 800], "ab"),
        ([500, 800], "b"),
        ([0, 0], ""),
    ] {
        for (stream, value) in streams.iter().zip(values) {
            lab.tick(*stream, &[(1, value)]);
        }
        assert_eq!(known(&mut lab, [&mut busy]), [expected]);
    }
    lab.tick(streams[0], &[(2, 950)]);
    assert_eq!(known(&mut lab, [&mut busy]), ["a"]);
    let recent = &busy.replica.find("a").unwrap().recent;
    assert!(recent.times().len() > 1, "with its past");
}

#[test]
fn silence_makes_machines_enter_although_nothing_is_heard() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    lab.tick(stream, &[(1, 1)]);
    let mut old = follow(&mut lab, "age > 20s");
    let mut stale = follow(&mut lab, "state != live");
    assert_eq!(known(&mut lab, [&mut old, &mut stale]), ["", ""]);
    lab.wait(5_000);
    assert_eq!(known(&mut lab, [&mut old, &mut stale]), ["", "a"]);
    lab.wait(16_000);
    assert_eq!(known(&mut lab, [&mut old, &mut stale]), ["a", "a"]);
    let due_ms = lab.fleet.next_due_ms().unwrap();
    assert!(due_ms > lab.now.monotonic_ms, "it waits for the next second");
    lab.fleet.heartbeat(stream, lab.now);
    assert_eq!(known(&mut lab, [&mut old, &mut stale]), ["", ""]);
}

#[test]
fn a_status_is_heard_of_whatever_it_was_before_anybody_asked() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    for _ in 0..5 {
        lab.tick(stream, &[(1, 990)]);
        lab.wait(1_000);
    }
    // It was unknown at first, is critical now, and will be unknown again.
    let mut unknown = follow(&mut lab, "health = unknown");
    assert_eq!(known(&mut lab, [&mut unknown]), [""]);
    for _ in 0..70 {
        lab.wait(1_000);
        lab.fleet.heartbeat(stream, lab.now);
    }
    assert_eq!(
        known(&mut lab, [&mut unknown]),
        [""],
        "what was last known of it stays"
    );
    lab.tick(stream, &[(2, 1)]);
    assert_eq!(known(&mut lab, [&mut unknown]), ["a"]);
}

fn judgement(machine: &str, alerts: &[Alert], health: Health) -> Judgement {
    Judgement {
        machine: MachineId::parse(machine).unwrap(),
        health,
        alerts: alerts.iter().filter_map(AlertMark::of).collect(),
    }
}

fn alert(rule: &str, phase: Phase) -> Alert {
    Alert {
        key: AlertKey {
            rule: RuleId::parse(rule).unwrap(),
            machine: MachineId::parse("a").unwrap(),
            entity: "".into(),
        },
        phase,
        severity: Severity::Warning,
        since: START,
        fired: None,
        value: None,
        threshold: None,
        peak: None,
        flapping: false,
        inhibited: false,
        silenced: None,
        acknowledged: None,
        culprits: Vec::new(),
    }
}

#[test]
fn alerts_are_asked_for_also_of_machines_that_come_later() {
    let mut lab = Lab::new(Config::default());
    lab.join("a");
    let mut disk = follow(&mut lab, "alert = disk-full");
    let mut none = follow(&mut lab, "alert = none");
    let mut pending = follow(&mut lab, "alert = pending");
    let mut all = [&mut disk, &mut none, &mut pending];
    let mut known = |lab: &mut Lab| known(lab, all.each_mut().map(|follower| &mut **follower));
    assert_eq!(known(&mut lab), ["", "a", ""]);
    let firing = alert("disk-full", Phase::Firing);
    let judgements = vec![
        judgement("a", std::slice::from_ref(&firing), Health::Warning),
        judgement("b", &[firing], Health::Warning),
    ];
    lab.fleet.judge_by_alerts(Some(judgements), lab.now);
    assert_eq!(known(&mut lab), ["a", "", ""]);
    lab.join("b");
    assert_eq!(known(&mut lab), ["ab", "", ""]);
    // A pending alert changes how no machine fares, and yet who matches.
    let judgements = vec![judgement("a", &[alert("cpu", Phase::Pending)], Health::Healthy)];
    lab.fleet.judge_by_alerts(Some(judgements), lab.now);
    assert_eq!(known(&mut lab), ["b", "a", "a"]);
}

#[test]
fn facts_of_the_host_are_asked_for_when_they_change() {
    let mut lab = Lab::new(Config::default());
    let stream = lab.join("a");
    let mut old = follow(&mut lab, "kernel ~ 5. or cores > 4 or interval > 1m");
    assert_eq!(known(&mut lab, [&mut old]), [""]);
    let batch = |host, interval_ms| Batch {
        host,
        interval_ms,
        ..Batch::default()
    };
    let host = HostInfo {
        kernel: "5.10".into(),
        ..host("a", &[])
    };
    lab.fleet.batch(stream, batch(Some(host.clone()), None), lab.now);
    assert_eq!(known(&mut lab, [&mut old]), ["a"]);
    let host = HostInfo {
        kernel: "6.1".into(),
        ..host
    };
    lab.fleet.batch(stream, batch(Some(host), None), lab.now);
    assert_eq!(known(&mut lab, [&mut old]), [""]);
    lab.fleet.batch(stream, batch(None, Some(90_000)), lab.now);
    assert_eq!(known(&mut lab, [&mut old]), ["a"]);
}

#[test]
fn a_filter_that_cannot_be_read_is_refused_with_the_place() {
    let mut lab = Lab::new(Config::default());
    let client = lab.fleet.open_client().unwrap();
    let wrong = wire::Subscribe {
        filter: "web and cpuu > 50".into(),
        ..everything()
    };
    let error = lab.fleet.subscribe(client, &wrong).unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
    assert!(error.message.contains("bytes 8 to 12"), "{}", error.message);
    assert!(error.message.contains("did you mean `cpu`?"), "{}", error.message);
}

#[test]
fn a_filter_without_values_is_not_asked_with_every_tick() {
    let mut lab = Lab::new(Config::default());
    lab.join("a");
    let _names = follow(&mut lab, "host ~ a or role = web");
    assert!(lab.fleet.filtering.is_empty());
    let states = follow(&mut lab, "state = live");
    let (_, needs) = lab.fleet.filtering[0];
    assert!(needs.status && !needs.metrics && lab.fleet.timed.is_empty());
    lab.fleet.close_client(states.client);
    assert!(lab.fleet.filtering.is_empty());
}
