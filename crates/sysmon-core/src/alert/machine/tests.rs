use super::*;
use crate::alert::{
    Acknowledgement, AlertKey, Check, Comparison, Culprit, Function, Level, Matcher, MetricCheck, Quantity,
    Rule, RuleId, Scope, Severity, SilenceId,
};
use crate::catalogue::MetricId;

fn rule(id: &str, hold_ms: u64) -> Rule {
    Rule {
        id: RuleId::parse(id).unwrap(),
        title: id.into(),
        note: String::new(),
        enabled: true,
        hold_ms,
        clear_hold_ms: 0,
        scope: Scope::default(),
        check: Check::Metric(MetricCheck {
            quantity: Quantity {
                metric: "cpu.busy_percent".into(),
                per: None,
                function: Function::Last,
                window_ms: 0,
            },
            comparison: Comparison::Above,
            info: None,
            warning: Some(Level {
                trigger: 80.0,
                clear: None,
                and: None,
            }),
            critical: None,
        }),
    }
}

struct Bench {
    machine: MachineAlerts,
    out: Vec<Transition>,
}

impl Bench {
    fn new(rules: Vec<Rule>) -> Self {
        let mut machine = MachineAlerts::new(MachineId::parse("m").unwrap());
        let mut out = Vec::new();
        machine.set_rules(&Arc::new(RuleSet::new(rules)), UnixMillis(0), &mut out);
        machine.set_host(&[("role".into(), "web".into())], 5_000, UnixMillis(0), &mut out);
        machine.announce(1, &Arc::new(SeriesKey::plain(MetricId::CpuBusy)));
        Self { machine, out }
    }

    fn sample(&mut self, second: i64, value: f64) {
        let at = UnixMillis(second * 1_000);
        self.machine.observe(at, at, &[(1, value)], &mut self.out);
    }

    fn alert(&self) -> &Alert {
        self.machine.alerts().next().unwrap()
    }

    fn key(&self) -> AlertKey {
        self.alert().key.clone()
    }
}

fn acknowledgement(until: Option<i64>) -> Acknowledgement {
    Acknowledgement {
        by: "ann".into(),
        comment: "on it".into(),
        at: UnixMillis(0),
        until: until.map(|second| UnixMillis(second * 1_000)),
        severity: Severity::Warning,
    }
}

#[test]
fn an_acknowledgement_ends_when_the_alert_is_resolved() {
    let mut bench = Bench::new(vec![rule("cpu", 0)]);
    bench.sample(0, 90.0);
    let key = bench.key();
    assert!(bench.machine.acknowledge(&key, Some(acknowledgement(None))));
    assert!(bench.alert().is_muted());
    bench.sample(5, 10.0);
    assert!(!bench.alert().is_muted());
    assert!(
        !bench.machine.acknowledge(&key, Some(acknowledgement(None))),
        "it is over"
    );
    bench.sample(10, 90.0);
    assert!(!bench.alert().is_muted());
}

#[test]
fn an_acknowledgement_ends_when_its_time_is_over_and_can_be_taken_back() {
    let mut bench = Bench::new(vec![rule("cpu", 0)]);
    bench.sample(0, 90.0);
    let key = bench.key();
    bench.machine.acknowledge(&key, Some(acknowledgement(Some(60))));
    assert!(bench.machine.next_due() <= Some(UnixMillis(60_000)));
    for second in (5..60).step_by(5) {
        bench.sample(second, 90.0);
    }
    assert!(bench.alert().is_muted());
    let revision = bench.machine.revision();
    bench.sample(60, 90.0);
    assert!(!bench.alert().is_muted() && bench.machine.revision() > revision);
    bench.machine.acknowledge(&key, Some(acknowledgement(None)));
    bench.machine.acknowledge(&key, None);
    assert!(!bench.alert().is_muted());
}

#[test]
fn a_silence_mutes_from_its_beginning_to_its_end_and_whatever_begins_meanwhile() {
    let mut bench = Bench::new(vec![rule("cpu", 0)]);
    let silence = |id, matcher, from: i64, until: i64| Silence {
        id: SilenceId(id),
        matcher,
        from: UnixMillis(from * 1_000),
        until: UnixMillis(until * 1_000),
        by: String::new(),
        comment: String::new(),
    };
    let label = |label: &str| Matcher {
        labels: vec![label.into()],
        ..Matcher::default()
    };
    let silences = [
        silence(1, label("role=web"), 10, 20),
        silence(2, label("role=db"), 0, 100),
        silence(
            3,
            Matcher {
                machines: vec![MachineId::parse("other").unwrap()],
                ..Matcher::default()
            },
            0,
            100,
        ),
        silence(
            4,
            Matcher {
                rules: vec![RuleId::parse("cpu").unwrap()],
                entities: vec!["*".into()],
                ..Matcher::default()
            },
            15,
            40,
        ),
        silence(
            5,
            Matcher {
                entities: vec!["/*".into()],
                ..Matcher::default()
            },
            0,
            100,
        ),
    ];
    bench.sample(0, 90.0);
    bench.machine.set_silences(&silences, UnixMillis(0));
    assert_eq!(bench.alert().silenced, None);
    for (second, expected) in [
        (10, Some(1)),
        (15, Some(4)),
        (20, Some(4)),
        (25, Some(4)),
        (40, None),
    ] {
        let is_due = bench.machine.next_due() <= Some(UnixMillis(second * 1_000));
        assert!(
            is_due || expected == bench.alert().silenced.map(|silence| silence.0),
            "{second}"
        );
        bench.sample(second, 90.0);
        assert_eq!(bench.alert().silenced, expected.map(SilenceId), "{second}");
    }
    bench.machine.set_silences(&silences[1..2], UnixMillis(41_000));
    bench.machine.set_host(
        &[("role".into(), "db".into())],
        5_000,
        UnixMillis(42_000),
        &mut bench.out,
    );
    assert_eq!(bench.alert().silenced, Some(SilenceId(2)));
    bench.sample(45, 10.0);
    bench.sample(50, 90.0);
    assert_eq!(bench.alert().silenced, Some(SilenceId(2)));
    bench.machine.set_silences(&[], UnixMillis(51_000));
    assert_eq!(bench.alert().silenced, None);
}

#[test]
fn culprits_are_kept_three_at_most() {
    let mut bench = Bench::new(vec![rule("cpu", 0)]);
    bench.sample(0, 90.0);
    let culprit = |pid| Culprit {
        pid,
        name: "make".into(),
        user: "ann".into(),
        cpu_percent: 99.0,
        memory_bytes: 1,
    };
    let key = bench.key();
    assert!(bench.machine.set_culprits(&key, (0..5).map(culprit).collect()));
    assert_eq!(bench.alert().culprits.len(), 3);
}

#[test]
fn a_resolved_alert_is_listed_for_a_while_and_then_forgotten() {
    let mut bench = Bench::new(vec![rule("cpu", 0)]);
    bench.sample(0, 90.0);
    bench.sample(5, 10.0);
    bench
        .machine
        .advance(UnixMillis(5_000 + 29 * 60_000), &mut bench.out);
    assert_eq!(bench.alert().phase, Phase::Resolved);
    bench
        .machine
        .advance(UnixMillis(5_000 + 30 * 60_000), &mut bench.out);
    assert_eq!(bench.machine.alerts().count(), 0);
    assert_eq!(bench.machine.next_due(), None);
    assert_eq!(bench.out.len(), 2, "to forget is no step");
}

#[test]
fn what_is_not_announced_or_no_measurement_is_ignored() {
    let mut bench = Bench::new(vec![rule("cpu", 0)]);
    let at = UnixMillis(0);
    let values = [
        (0, 99.0),
        (1, f64::NAN),
        (1, f64::INFINITY),
        (1, 1e101),
        (2, 99.0),
        (u32::MAX, 99.0),
    ];
    bench.machine.observe(at, at, &values, &mut bench.out);
    assert_eq!(bench.out, []);
    // Out of order, but announced.
    let later = UnixMillis(5_000);
    bench
        .machine
        .observe(later, later, &[(9, 1.0), (1, 99.0)], &mut bench.out);
    assert_eq!(bench.out.len(), 1);
}

#[test]
fn a_number_that_stands_for_another_series_does_not_feed_the_old_one() {
    let mut bench = Bench::new(vec![rule("cpu", 0)]);
    bench.sample(0, 10.0);
    bench
        .machine
        .announce(1, &Arc::new(SeriesKey::plain(MetricId::Load1)));
    bench.sample(5, 99.0);
    assert_eq!(bench.out, []);
}

#[test]
fn a_machine_that_churns_through_entities_stays_bounded() {
    let mut mount = rule("mount", 0);
    if let Check::Metric(check) = &mut mount.check {
        check.quantity.metric = "mount.used_percent".into();
    }
    let mut bench = Bench::new(vec![mount]);
    for number in 2..500u32 {
        let at = UnixMillis(i64::from(number) * 60_000);
        let key = Arc::new(SeriesKey::of(MetricId::MountUsedPercent, &number.to_string()));
        bench.machine.announce(number, &key);
        bench.machine.observe(at, at, &[(number, 99.0)], &mut bench.out);
        bench.machine.retire(number, at, &mut bench.out);
    }
    let active = bench.machine.alerts().filter(|alert| alert.is_firing()).count();
    assert_eq!(active, GONE_MAX);
    // Those that had to make room are listed as resolved for half an hour: 30 samples.
    assert!(
        bench.machine.watches.len() <= GONE_MAX + 31,
        "{}",
        bench.machine.watches.len()
    );
    assert!(bench.machine.feeds.len() <= GONE_MAX + 32);
    assert_eq!(bench.machine.series.len(), 1);
}

#[test]
fn a_machine_has_no_more_watches_than_the_limit() {
    let rules = (0..5).map(|index| {
        let mut rule = rule(&format!("mount-{index}"), 0);
        if let Check::Metric(check) = &mut rule.check {
            check.quantity.metric = "mount.used_percent".into();
        }
        rule
    });
    let mut bench = Bench::new(rules.collect());
    for number in 0..5_000u32 {
        let key = Arc::new(SeriesKey::of(MetricId::MountUsedPercent, &number.to_string()));
        bench.machine.announce(number, &key);
    }
    bench.sample(0, 1.0);
    assert_eq!(bench.machine.watches.len(), WATCHES_MAX);
}

#[test]
fn rules_that_are_wrong_doubled_or_switched_off_are_not_judged() {
    let mut off = rule("off", 0);
    off.enabled = false;
    let mut wrong = rule("wrong", 0);
    wrong.title.clear();
    let set = RuleSet::new([rule("cpu", 0), rule("cpu", 5), off, wrong]);
    let ids: Vec<&str> = set.rules().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["cpu"]);
    let refused: Vec<&str> = set.refused().iter().map(RuleId::as_str).collect();
    assert_eq!(refused, ["cpu", "wrong"]);
    assert!(set.needs("cpu.busy_percent") && !set.needs("load.1m"));
}

#[test]
fn a_machine_whose_clock_is_behind_is_not_late_when_the_offset_is_known() {
    let mut bench = Bench::new(vec![rule("cpu", 0)]);
    bench
        .machine
        .observe(UnixMillis(0), UnixMillis(100_000), &[(1, 90.0)], &mut bench.out);
    assert_eq!(bench.out, []);
    bench.machine.set_clock_offset(-100_000);
    bench.machine.observe(
        UnixMillis(5_000),
        UnixMillis(105_000),
        &[(1, 90.0)],
        &mut bench.out,
    );
    assert_eq!(bench.out.len(), 1);
}

/// Rules about the processor, mounts and the machine, and a machine that all of them cover.
fn varied() -> Vec<Rule> {
    let mut cpu = rule("cpu", 0);
    let mut mount = rule("mount", 0);
    if let (Check::Metric(check), Check::Metric(other)) = (&mut cpu.check, &mut mount.check) {
        check.critical = Some(Level {
            trigger: 95.0,
            clear: None,
            and: None,
        });
        check.quantity.function = Function::Average;
        check.quantity.window_ms = 60_000;
        other.quantity.metric = "mount.used_percent".into();
    }
    cpu.scope.labels = vec!["role=web".into()];
    let mut down = rule("down", 0);
    down.check = Check::MachineDown {
        severity: Severity::Critical,
    };
    vec![cpu, mount, down]
}

#[test]
fn alerts_whose_state_is_lost_go_on_and_recover_by_their_levels() {
    let mut bench = Bench::new(varied());
    let mount = Arc::new(SeriesKey::of(MetricId::MountUsedPercent, "/home"));
    bench.machine.announce(2, &mount);
    for second in 0..60 {
        let at = UnixMillis(second * 5_000);
        bench
            .machine
            .observe(at, at, &[(1, 99.0), (2, 90.0)], &mut bench.out);
    }
    let shown: Vec<Alert> = bench.machine.alerts().cloned().collect();
    assert_eq!(shown.len(), 2, "{shown:?}");

    let set = Arc::new(RuleSet::new(varied()));
    let mut out = Vec::new();
    let now = UnixMillis(300_000);
    let id = MachineId::parse("m").unwrap();
    let mut machine = MachineAlerts::take_over(id, shown.clone(), &set, now, &mut out);
    machine.set_host(&[("role".into(), "web".into())], 5_000, now, &mut out);
    machine.announce(7, &Arc::new(SeriesKey::plain(MetricId::CpuBusy)));
    machine.announce(8, &mount);
    let mut values = |machine: &mut MachineAlerts, seconds: std::ops::Range<i64>, cpu: f64, used: f64| {
        for second in seconds.step_by(5) {
            let at = UnixMillis(second * 1_000);
            machine.observe(at, at, &[(7, cpu), (8, used)], &mut out);
        }
        let steps = out.drain(..);
        let line =
            |step: Transition| format!("{} {} {}", step.key.rule, step.to.word(), step.severity.word());
        steps.map(line).collect::<Vec<_>>()
    };
    assert_eq!(values(&mut machine, 300..330, 88.0, 90.0), Vec::<String>::new());
    let now_shown: Vec<Alert> = machine.alerts().cloned().collect();
    let fired = |alerts: &[Alert]| alerts.iter().map(|alert| alert.fired).collect::<Vec<_>>();
    assert_eq!(fired(&now_shown), fired(&shown), "they are the same alerts");
    // The window is full: no longer critical, still a warning; then nothing.
    assert_eq!(
        values(&mut machine, 330..420, 84.0, 60.0),
        ["mount resolved warning", "cpu firing warning"]
    );
    assert_eq!(
        values(&mut machine, 420..600, 5.0, 60.0),
        ["cpu resolved warning"]
    );
}

#[test]
fn an_alert_without_state_ends_when_its_rule_is_gone_and_loses_data_when_its_series_does_not_come() {
    let mut bench = Bench::new(vec![rule("cpu", 0), rule("other", 0)]);
    bench.sample(0, 90.0);
    let shown: Vec<Alert> = bench.machine.alerts().cloned().collect();
    let (set, mut out) = (Arc::new(RuleSet::new([rule("cpu", 0)])), Vec::new());
    let id = MachineId::parse("m").unwrap();
    let mut machine = MachineAlerts::take_over(id, shown, &set, UnixMillis(5_000), &mut out);
    let ended: Vec<_> = out
        .iter()
        .map(|step| (step.key.rule.as_str(), step.cause))
        .collect();
    assert_eq!(ended, [("other", Cause::RuleChanged)]);
    for second in 1..40 {
        let at = UnixMillis(second * 5_000);
        machine.observe(at, at, &[], &mut out);
    }
    let alert = machine
        .alerts()
        .find(|alert| alert.key.rule.as_str() == "cpu")
        .unwrap();
    assert_eq!((alert.phase, alert.is_firing()), (Phase::NoData, true));
}

#[test]
fn what_is_about_to_fire_is_known_before() {
    let mut bench = Bench::new(vec![rule("cpu", 60_000)]);
    bench.sample(0, 10.0);
    assert!(!bench.machine.is_about_to_fire(15_000));
    for second in (5..=65).step_by(5) {
        bench.sample(second, 90.0);
        let is_near = (50..65).contains(&second);
        assert_eq!(bench.machine.is_about_to_fire(15_000), is_near, "{second}");
    }
    assert_eq!(bench.alert().phase, Phase::Firing);
}
