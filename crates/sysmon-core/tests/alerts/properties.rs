//! What holds for any samples, whatever they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use sysmon_core::alert::{
    Alert, AlertKey, Cause, Check, DryRun, MachineAlerts, Phase, Rule, RuleSet, SavedMachine, Severity,
    Transition, dry_run,
};
use sysmon_core::{Liveness, MachineHistory, MachineId, Point, SeriesKey, SeriesPoints, Tier, UnixMillis};

use crate::support::{key, machine};

/// Rules of every kind, with holds short enough that random samples get through all phases.
const RULES: &str = r#"
[[rule]]
id = "last"
title = "last"
for = "10s"
clear_for = "10s"
[rule.check]
kind = "metric"
comparison = "above"
quantity = { metric = "cpu.busy_percent" }
info = { trigger = 30.0 }
warning = { trigger = 60.0, clear = 40.0 }
critical = { trigger = 80.0, clear = 70.0, and = { quantity = { metric = "load.1m" }, comparison = "above", value = 50.0 } }

[[rule]]
id = "at-once"
title = "at once"
[rule.check]
kind = "metric"
comparison = "below"
quantity = { metric = "mount.available_bytes" }
warning = { trigger = 30.0, clear = 50.0 }

[[rule]]
id = "mean"
title = "mean"
for = "5s"
[rule.check]
kind = "metric"
comparison = "above"
quantity = { metric = "mount.used_percent", function = "average", window = "40s" }
warning = { trigger = 50.0, clear = 45.0 }
critical = { trigger = 60.0, clear = 50.0, and = { quantity = { metric = "mount.available_bytes", function = "minimum", window = "20s" }, comparison = "below", value = 40.0 } }

[[rule]]
id = "ratio"
title = "ratio"
[rule.check]
kind = "metric"
comparison = "above"
quantity = { metric = "load.1m", per = "cpu.count", function = "maximum", window = "20s" }
critical = { trigger = 3.0 }

[[rule]]
id = "filling"
title = "filling"
for = "5s"
[rule.check]
kind = "metric"
comparison = "below"
quantity = { metric = "mount.available_bytes", function = "time_to_full", window = "1m" }
warning = { trigger = 100.0, clear = 200.0 }

[[rule]]
id = "down"
title = "down"
for = "20s"
clear_for = "10s"
[rule.check]
kind = "machine_down"
severity = "critical"
"#;

const SERIES: [&str; 7] = [
    "cpu.busy_percent",
    "load.1m",
    "cpu.count",
    "mount.used_percent{/}",
    "mount.available_bytes{/}",
    "mount.used_percent{/data}",
    "mount.available_bytes{/data}",
];

fn rules() -> Vec<Rule> {
    #[derive(serde::Deserialize)]
    struct Rules {
        rule: Vec<Rule>,
    }
    toml::from_str::<Rules>(RULES).unwrap().rule
}

fn keys() -> Vec<Arc<SeriesKey>> {
    SERIES.iter().map(|text| key(text)).collect()
}

/// One thing that happens, after a pause of so many milliseconds.
#[derive(Clone, Debug)]
enum Event {
    Sample { lag_ms: i64, values: Vec<Option<f64>> },
    Heartbeat,
    Advance,
    Retire(usize),
    Reconnect,
}

/// Levels that samples stay at for a while, so that holds have a chance.
fn level() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![4 => (0u8..10).prop_map(|level| Some(f64::from(level) * 11.0)), 1 => Just(None)]
}

fn events() -> impl Strategy<Value = Vec<(i64, Event)>> {
    let pause = prop_oneof![20 => Just(5_000i64), 3 => 0i64..20_000, 1 => 20_000i64..200_000];
    let lag_ms = prop_oneof![20 => 0i64..3_000, 1 => 3_000i64..100_000];
    let values = prop::collection::vec(level(), SERIES.len());
    // A few samples in a row are alike.
    let sample = (lag_ms, values, 1usize..6)
        .prop_map(|(lag_ms, values, times)| vec![Event::Sample { lag_ms, values }; times]);
    let event = prop_oneof![
        30 => sample,
        2 => Just(vec![Event::Heartbeat]),
        2 => Just(vec![Event::Advance]),
        1 => (0..SERIES.len()).prop_map(|series| vec![Event::Retire(series)]),
        1 => Just(vec![Event::Reconnect]),
    ];
    prop::collection::vec((pause, event), 1..40).prop_map(|groups| {
        let spread = |(pause, events): (i64, Vec<Event>)| events.into_iter().map(move |event| (pause, event));
        groups.into_iter().flat_map(spread).collect()
    })
}

/// Plays events on a machine whose series go by the given numbers.
struct Player {
    machine: MachineAlerts,
    numbers: Vec<u32>,
    is_announced: Vec<bool>,
    now: i64,
}

impl Player {
    fn new(numbers: &[u32]) -> Self {
        Self {
            machine: machine(rules(), &[], 5_000),
            numbers: numbers.to_vec(),
            is_announced: vec![false; SERIES.len()],
            now: 1_000_000,
        }
    }

    fn play(&mut self, (pause_ms, event): &(i64, Event)) -> Vec<Transition> {
        let mut out = Vec::new();
        self.now += pause_ms;
        let received = UnixMillis(self.now);
        match event {
            Event::Sample { lag_ms, values } => {
                let mut sample = Vec::new();
                for (series, value) in values.iter().enumerate() {
                    let Some(value) = value else { continue };
                    if !std::mem::replace(&mut self.is_announced[series], true) {
                        self.machine.announce(self.numbers[series], &keys()[series]);
                    }
                    sample.push((self.numbers[series], *value));
                }
                self.machine
                    .observe(received.plus_ms(-lag_ms), received, &sample, &mut out);
            }
            Event::Heartbeat => self.machine.heard(received, &mut out),
            Event::Advance => self.machine.advance(received, &mut out),
            Event::Retire(series) => {
                if std::mem::replace(&mut self.is_announced[*series], false) {
                    self.machine.retire(self.numbers[*series], received, &mut out);
                }
            }
            Event::Reconnect => {
                self.machine.forget_numbers();
                self.is_announced.fill(false);
            }
        }
        out
    }

    /// As after a restart of the alert service.
    fn restart(&mut self) {
        let text = serde_json::to_string(&self.machine.save()).unwrap();
        let saved: SavedMachine = serde_json::from_str(&text).unwrap();
        let mut out = Vec::new();
        let rules = Arc::new(RuleSet::new(rules()));
        self.machine = MachineAlerts::restore(saved, &rules, UnixMillis(self.now), &mut out);
        assert_eq!(out, [], "the rules are the same");
        for (series, key) in keys()
            .iter()
            .enumerate()
            .filter(|(series, _)| self.is_announced[*series])
        {
            self.machine.announce(self.numbers[series], key);
        }
    }

    fn alerts(&self) -> BTreeMap<AlertKey, Alert> {
        self.machine
            .alerts()
            .map(|alert| (alert.key.clone(), alert.clone()))
            .collect()
    }
}

/// Whether a step is one that its cause and its value allow.
fn check_step(step: &Transition) {
    use Phase::{Firing, Inactive, NoData, Pending, Recovering, Resolved};
    let before = step.severity_before;
    let is_allowed = match (step.cause, step.from, step.to) {
        (Cause::Crossed, Inactive | Resolved, Pending | Firing) => true,
        (Cause::Crossed, Pending, Pending) => step.severity > before,
        (Cause::Held, Pending, Firing) | (Cause::Withdrawn, Pending, Inactive) => true,
        (Cause::Worsened, Firing | Recovering, Firing | Recovering) => step.severity > before,
        (Cause::Eased, Firing, Firing)
        | (Cause::Eased, Recovering, Recovering)
        | (Cause::Eased, Pending, Pending) => step.severity < before,
        (Cause::Cleared, Firing | Recovering, Recovering | Resolved) => true,
        (Cause::ClearHeld, Recovering, Resolved) | (Cause::Relapsed, Recovering, Firing) => true,
        (Cause::DataMissing, Pending | Firing | Recovering, NoData) => true,
        (Cause::DataMissing, Pending | NoData, Inactive) | (Cause::DataMissing, NoData, Resolved) => true,
        (Cause::DataBack, NoData, _) => step.to != NoData,
        (Cause::MachineSilent, Inactive | Resolved, Pending | Firing) => true,
        (Cause::MachineBack, Pending, Inactive) | (Cause::MachineBack, Firing, Recovering | Resolved) => true,
        _ => false,
    };
    assert!(is_allowed, "{step:?}");
    assert!(step.value.is_none_or(f64::is_finite), "{step:?}");
    let is_down = step.key.rule.as_str() == "down";
    assert_eq!(step.threshold.is_none(), is_down, "{step:?}");
    if matches!(step.cause, Cause::Crossed | Cause::Held | Cause::Worsened) && !is_down {
        // The value that made it worse is beyond the level.
        let (value, threshold) = (step.value.unwrap(), step.threshold.unwrap());
        let is_below = matches!(step.key.rule.as_str(), "at-once" | "filling");
        let is_beyond = if is_below {
            value <= threshold
        } else {
            value >= threshold
        };
        assert!(is_beyond, "{step:?}");
    }
}

fn history(events: &[Vec<Option<f64>>]) -> MachineHistory {
    let at = |index: usize| UnixMillis(1_000_000 + i64::try_from(index).unwrap() * 5_000);
    let point = |value: Option<f64>| {
        value.map(|value| Point {
            minimum: value,
            maximum: value,
            mean: value,
            count: 1,
        })
    };
    MachineHistory {
        machine: MachineId::parse("web-1").unwrap(),
        tier: Tier::Raw,
        step_ms: 0,
        times: (0..events.len()).map(at).collect(),
        series: keys()
            .into_iter()
            .enumerate()
            .map(|(series, key)| SeriesPoints {
                key,
                decimals: 0,
                points: events.iter().map(|values| point(values[series])).collect(),
            })
            .collect(),
        gaps: Vec::new(),
    }
}

/// Entity, when it began to fire and was resolved, worst severity, worst value.
type Fire = (String, i64, Option<i64>, Severity, Option<f64>);

/// What a dry run says of a rule, sorted.
fn fires(run: &DryRun) -> Vec<Fire> {
    let mut fires: Vec<Fire> = run
        .episodes
        .iter()
        .map(|episode| {
            (
                episode.entity.to_string(),
                episode.from.0,
                episode.to.map(|to| to.0),
                episode.severity,
                episode.peak,
            )
        })
        .collect();
    fires.sort_by(|one, other| one.partial_cmp(other).unwrap());
    fires
}

proptest! {
    #[test]
    fn every_step_begins_where_the_alert_stood_and_has_its_cause(events in events()) {
        let mut player = Player::new(&[1, 2, 3, 4, 5, 6, 7]);
        let mut known: BTreeMap<AlertKey, (Phase, Severity)> = BTreeMap::new();
        for event in &events {
            for step in player.play(event) {
                check_step(&step);
                let (phase, severity) = known.get(&step.key).copied().unwrap_or((Phase::Inactive, step.severity_before));
                prop_assert!(step.from != step.to || step.severity != step.severity_before, "{step:?}");
                // A resolved alert is forgotten after a while.
                let is_forgotten = phase == Phase::Resolved && step.from == Phase::Inactive;
                prop_assert!(is_forgotten || step.from == phase, "{step:?} {phase:?}");
                prop_assert!(step.from == Phase::Inactive || step.severity_before == severity, "{step:?} {severity:?}");
                known.insert(step.key.clone(), (step.to, step.severity));
            }
            let alerts = player.alerts();
            let is_down = alerts.values().any(|alert| alert.key.rule.as_str() == "down" && alert.is_firing());
            for alert in alerts.values() {
                prop_assert_eq!(known.get(&alert.key), Some(&(alert.phase, alert.severity)));
                prop_assert_eq!(alert.inhibited, is_down && alert.key.rule.as_str() != "down");
                prop_assert_eq!(alert.is_firing() && alert.fired.is_none(), false);
            }
            for (key, (phase, _)) in &known {
                let is_listed = alerts.contains_key(key);
                prop_assert!(is_listed || matches!(phase, Phase::Inactive | Phase::Resolved), "{key:?} {phase:?}");
            }
        }
    }

    #[test]
    fn a_restart_at_any_point_changes_nothing(events in events(), at in any::<prop::sample::Index>()) {
        let (mut one, mut other) = (Player::new(&[1, 2, 3, 4, 5, 6, 7]), Player::new(&[1, 2, 3, 4, 5, 6, 7]));
        let at = at.index(events.len());
        for (index, event) in events.iter().enumerate() {
            if index == at {
                other.restart();
            }
            prop_assert_eq!(one.play(event), other.play(event));
            prop_assert_eq!(one.alerts(), other.alerts());
        }
    }

    #[test]
    fn what_the_series_are_called_changes_nothing(
        events in events(), numbers in Just(vec![1u32, 2, 3, 4, 5, 6, 7]).prop_shuffle(), large in 1u32..600_000_000,
    ) {
        let numbers: Vec<u32> = numbers.into_iter().map(|number| number * large).collect();
        let (mut one, mut other) = (Player::new(&[1, 2, 3, 4, 5, 6, 7]), Player::new(&numbers));
        for event in &events {
            prop_assert_eq!(one.play(event), other.play(event));
            prop_assert_eq!(one.alerts(), other.alerts());
        }
    }

    #[test]
    fn a_dry_run_is_what_the_engine_would_have_done(
        levels in prop::collection::vec((prop::collection::vec(level(), SERIES.len()), 1usize..8), 1..30), lag_ms in 0i64..30_000,
    ) {
        let values: Vec<Vec<Option<f64>>> =
            levels.into_iter().flat_map(|(values, times)| vec![values; times]).collect();
        let history = history(&values);
        let mut live = machine(rules(), &[], 5_000);
        let mut out = Vec::new();
        for (number, key) in (1..).zip(&keys()) {
            live.announce(number, key);
        }
        for (values, at) in values.iter().zip(&history.times) {
            let sample: Vec<(u32, f64)> =
                (1..).zip(values).filter_map(|(number, value)| Some((number, (*value)?))).collect();
            let received = at.plus_ms(lag_ms);
            live.observe(*at, received, &sample, &mut out);
        }
        for rule in rules().iter().filter(|rule| matches!(rule.check, Check::Metric(_))) {
            let run = dry_run(rule, &[], 5_000, &(&history).into());
            prop_assert!(run.is_covered && run.is_exact);
            let begins: Vec<(&str, i64)> = out
                .iter()
                .filter(|step| step.key.rule == rule.id && step.to == Phase::Firing && step.fired == Some(step.at))
                .map(|step| (&*step.key.entity, step.at.0))
                .collect();
            let ends: Vec<(&str, i64)> = out
                .iter()
                .filter(|step| step.key.rule == rule.id && step.to == Phase::Resolved)
                .map(|step| (&*step.key.entity, step.at.0))
                .collect();
            let said = fires(&run);
            let mut from: Vec<(&str, i64)> = said.iter().map(|fire| (&*fire.0, fire.1)).collect();
            let mut to: Vec<(&str, i64)> = said.iter().filter_map(|fire| Some((&*fire.0, fire.2?))).collect();
            let (mut begins, mut ends) = (begins, ends);
            [&mut begins, &mut ends, &mut from, &mut to].into_iter().for_each(|list| list.sort_unstable());
            prop_assert_eq!((begins, ends), (from, to), "{}", rule.id);
            for (entity, from, to, severity, peak) in said {
                let of_it = |step: &&Transition| {
                    step.key.rule == rule.id && *step.key.entity == *entity && step.fired == Some(UnixMillis(from))
                };
                prop_assert_eq!(out.iter().filter(of_it).map(|step| step.severity).max(), Some(severity));
                if to.is_none() {
                    let open = live.alerts().find(|alert| alert.key.rule == rule.id && *alert.key.entity == *entity);
                    prop_assert_eq!(open.unwrap().peak, peak);
                }
            }
        }
    }

    #[test]
    fn nothing_that_comes_in_makes_it_panic(
        events in prop::collection::vec((any::<i64>(), any::<i64>(), prop::collection::vec((any::<u32>(), any::<f64>()), 0..8), 0u8..8), 1..60),
        interval_ms in any::<u64>(), offset_ms in any::<i64>(),
    ) {
        let mut machine = machine(rules(), &[], interval_ms);
        machine.set_clock_offset(offset_ms);
        let mut out = Vec::new();
        for (at, received, values, what) in events {
            let (at, received) = (UnixMillis(at), UnixMillis(received));
            let number = values.first().map_or(1, |(number, _)| *number);
            match what {
                0 => machine.heard(received, &mut out),
                1 => machine.advance(received, &mut out),
                2 => machine.retire(number, received, &mut out),
                3 => machine.forget_numbers(),
                4 => machine.resume(received),
                _ => {
                    for (index, (number, _)) in values.iter().enumerate() {
                        machine.announce(*number, &keys()[index % SERIES.len()]);
                    }
                    machine.observe(at, received, &values, &mut out);
                }
            }
            let _ = machine.next_due();
        }
        for alert in machine.alerts() {
            prop_assert!(alert.value.is_none_or(f64::is_finite) && alert.peak.is_none_or(f64::is_finite));
        }
        let text = serde_json::to_string(&machine.save()).unwrap();
        prop_assert!(serde_json::from_str::<SavedMachine>(&text).is_ok());
    }
}

#[test]
fn a_fleet_that_was_not_judged_for_a_while_is_not_down() {
    let mut player = Player::new(&[1, 2, 3, 4, 5, 6, 7]);
    player.play(&(0, Event::Heartbeat));
    player.now += 3_600_000;
    player.restart();
    player.machine.resume(UnixMillis(player.now));
    assert_eq!(player.play(&(0, Event::Advance)), []);
    let due = player.machine.next_due().unwrap();
    assert_eq!(
        due.since_ms(UnixMillis(player.now)),
        Liveness::stale_after_ms(5_000)
    );
    let steps = player.play(&(20_000, Event::Advance));
    assert_eq!(steps.last().unwrap().to, Phase::Firing);
}
