use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::alert::{Acknowledgement, Phase, SilenceId};
use crate::identity::MachineId;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// Receivers with the least severity that each wants.
struct People(Vec<(&'static str, Severity)>);

impl Audience for People {
    fn receivers(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| *name).collect()
    }

    fn wants(&self, receiver: &str, _key: &AlertKey, severity: Severity) -> bool {
        self.0
            .iter()
            .any(|(name, least)| *name == receiver && severity >= *least)
    }
}

fn chat() -> People {
    People(vec![("chat", Severity::Info)])
}

fn alert(machine: &str, severity: Severity, fired: i64) -> Alert {
    Alert {
        key: AlertKey {
            rule: RuleId::parse("cpu").unwrap(),
            machine: MachineId::parse(machine).unwrap(),
            entity: "".into(),
        },
        phase: Phase::Firing,
        severity,
        since: UnixMillis(fired),
        fired: Some(UnixMillis(fired)),
        value: Some(97.0),
        threshold: Some(95.0),
        peak: Some(99.0),
        flapping: false,
        inhibited: false,
        silenced: None,
        acknowledged: None,
        culprits: Vec::new(),
    }
}

fn step(alert: &Alert, to: Phase, at: i64) -> Transition {
    Transition {
        key: alert.key.clone(),
        at: UnixMillis(at),
        from: alert.phase,
        to,
        severity_before: alert.severity,
        severity: alert.severity,
        cause: Cause::Held,
        value: alert.value,
        threshold: alert.threshold,
        fired: alert.fired,
        culprits: Vec::new(),
    }
}

/// What was told, short: time in seconds, kind, and `machine:change` of each item.
fn run_until(grouping: &mut Grouping, from: i64, until: i64, people: &People) -> Vec<String> {
    let (mut now, mut told) = (from, Vec::new());
    loop {
        let due = grouping.take_due(UnixMillis(now), people);
        for notification in due.notifications {
            let items: Vec<_> = notification
                .items
                .iter()
                .map(|item| format!("{}:{}", item.key.machine, item.change.word()))
                .collect();
            told.push(format!(
                "{} {} {} {}",
                now / SECOND,
                notification.receiver,
                notification.kind.word(),
                items.join(" ")
            ));
        }
        match due.next {
            Some(next) if next.0 <= until => now = next.0,
            _ => return told,
        }
    }
}

#[test]
fn the_first_critical_is_told_at_once_and_everything_else_together() {
    let mut grouping = Grouping::new(Timing::default());
    grouping.update(&alert("a", Severity::Warning, 0));
    assert_eq!(
        run_until(&mut grouping, 0, 29 * SECOND, &chat()),
        Vec::<String>::new()
    );
    grouping.update(&alert("b", Severity::Warning, 5 * SECOND));
    assert_eq!(
        run_until(&mut grouping, 29 * SECOND, MINUTE, &chat()),
        ["30 chat firing a:fired b:fired"]
    );
    grouping.update(&alert("c", Severity::Critical, MINUTE));
    grouping.update(&alert("d", Severity::Warning, MINUTE));
    assert_eq!(
        run_until(&mut grouping, MINUTE, 2 * MINUTE, &chat()),
        ["60 chat firing c:fired d:fired a:unchanged b:unchanged"],
        "nobody knew of anything critical"
    );
    grouping.update(&alert("e", Severity::Critical, 2 * MINUTE));
    assert_eq!(
        run_until(&mut grouping, 2 * MINUTE, HOUR, &chat()),
        ["360 chat firing e:fired c:unchanged a:unchanged b:unchanged d:unchanged"],
        "five minutes after the last"
    );
}

#[test]
fn the_end_is_told_soon_but_no_oftener_than_every_five_minutes() {
    let mut grouping = Grouping::new(Timing::default());
    let mut told = Vec::new();
    for (minute, fires) in [
        (0, true),
        (1, false),
        (2, true),
        (3, false),
        (9, true),
        (11, false),
    ] {
        let firing = alert("a", Severity::Critical, minute * MINUTE);
        grouping.sync(if fires { std::slice::from_ref(&firing) } else { &[] });
        let until = if minute == 11 {
            HOUR
        } else {
            (minute + 1) * MINUTE - 1
        };
        let until = if minute == 3 { 9 * MINUTE - 1 } else { until };
        told.extend(run_until(&mut grouping, minute * MINUTE, until, &chat()));
    }
    assert_eq!(
        told,
        [
            "0 chat firing a:fired",
            "90 chat recovered a:recovered",
            // It fired from 2:00 to 3:00: nobody was told within the five minutes, and then it was over.
            "540 chat firing a:fired",
            "690 chat recovered a:recovered",
        ]
    );
}

#[test]
fn the_end_of_one_of_several_waits_for_the_interval() {
    let mut grouping = Grouping::new(Timing::default());
    let (a, b) = (alert("a", Severity::Warning, 0), alert("b", Severity::Warning, 0));
    grouping.sync(&[a.clone(), b]);
    assert_eq!(
        run_until(&mut grouping, 0, MINUTE, &chat()),
        ["30 chat firing a:fired b:fired"]
    );
    grouping.sync(&[a]);
    assert_eq!(
        run_until(&mut grouping, MINUTE, HOUR, &chat()),
        ["330 chat firing b:recovered a:unchanged"]
    );
    grouping.sync(&[]);
    assert_eq!(
        run_until(&mut grouping, HOUR, 2 * HOUR, &chat()),
        ["3630 chat recovered a:recovered"]
    );
}

#[test]
fn a_reminder_comes_every_four_hours_until_somebody_acknowledges() {
    let mut grouping = Grouping::new(Timing::default());
    let mut firing = alert("a", Severity::Critical, 0);
    grouping.update(&firing);
    assert_eq!(
        run_until(&mut grouping, 0, 9 * HOUR, &chat()),
        [
            "0 chat firing a:fired",
            "14400 chat reminder a:unchanged",
            "28800 chat reminder a:unchanged"
        ]
    );
    firing.acknowledged = Some(Acknowledgement {
        by: "ann".into(),
        comment: String::new(),
        at: UnixMillis(9 * HOUR),
        until: None,
        severity: Severity::Critical,
    });
    grouping.update(&firing);
    assert_eq!(
        run_until(&mut grouping, 9 * HOUR, 99 * HOUR, &chat()),
        Vec::<String>::new()
    );
    grouping.sync(&[]);
    assert_eq!(
        run_until(&mut grouping, 99 * HOUR, 100 * HOUR, &chat()),
        ["356430 chat recovered a:recovered"],
        "who was told is told the end too"
    );
}

#[test]
fn an_acknowledged_warning_does_not_mute_a_critical() {
    let mut grouping = Grouping::new(Timing::default());
    let mut firing = alert("a", Severity::Warning, 0);
    firing.acknowledged = Some(Acknowledgement {
        by: "ann".into(),
        comment: String::new(),
        at: UnixMillis(0),
        until: None,
        severity: Severity::Warning,
    });
    grouping.update(&firing);
    assert!(run_until(&mut grouping, 0, HOUR, &chat()).is_empty());
    firing.severity = Severity::Critical;
    firing.since = UnixMillis(HOUR);
    grouping.update(&firing);
    assert_eq!(
        run_until(&mut grouping, HOUR, 2 * HOUR, &chat()),
        ["3600 chat firing a:fired"]
    );
}

#[test]
fn what_was_muted_is_told_when_the_mute_ends_and_it_still_fires() {
    for ends_before in [false, true] {
        let mut grouping = Grouping::new(Timing::default());
        let mut firing = alert("a", Severity::Critical, 0);
        firing.silenced = Some(SilenceId(1));
        grouping.update(&firing);
        assert!(run_until(&mut grouping, 0, HOUR, &chat()).is_empty());
        if ends_before {
            grouping.sync(&[]);
        }
        firing.silenced = None;
        if !ends_before {
            grouping.update(&firing);
        }
        let told = run_until(&mut grouping, HOUR, 2 * HOUR, &chat());
        let expected = if ends_before {
            vec![]
        } else {
            vec!["3600 chat firing a:fired"]
        };
        assert_eq!(told, expected);
    }
}

#[test]
fn an_alert_is_not_told_before_anybody_said_whether_it_is_muted() {
    let mut grouping = Grouping::new(Timing::default());
    let firing = alert("a", Severity::Critical, 0);
    grouping.apply(&step(&firing, Phase::Firing, 0));
    assert!(run_until(&mut grouping, 0, HOUR, &chat()).is_empty());
    grouping.sync(std::slice::from_ref(&firing));
    assert_eq!(
        run_until(&mut grouping, HOUR, 2 * HOUR, &chat()),
        ["3600 chat firing a:fired"]
    );
    grouping.apply(&step(&firing, Phase::Recovering, 2 * HOUR));
    assert!(run_until(&mut grouping, 2 * HOUR, 3 * HOUR, &chat()).is_empty());
    grouping.apply(&step(&firing, Phase::Resolved, 3 * HOUR));
    assert_eq!(
        run_until(&mut grouping, 3 * HOUR, 4 * HOUR, &chat()),
        ["10830 chat recovered a:recovered"]
    );
    run_until(&mut grouping, 5 * HOUR, 5 * HOUR, &chat());
    assert!(grouping.is_empty());
}

#[test]
fn a_receiver_of_critical_alerts_is_told_when_one_eases_below_that() {
    let people = People(vec![("chat", Severity::Info), ("pager", Severity::Critical)]);
    let mut grouping = Grouping::new(Timing::default());
    let mut firing = alert("a", Severity::Warning, 0);
    grouping.update(&firing);
    assert_eq!(
        run_until(&mut grouping, 0, HOUR, &people),
        ["30 chat firing a:fired"]
    );
    firing.severity = Severity::Critical;
    firing.since = UnixMillis(HOUR);
    grouping.update(&firing);
    assert_eq!(
        run_until(&mut grouping, HOUR, 2 * HOUR, &people),
        ["3600 chat firing a:worsened", "3600 pager firing a:fired"]
    );
    firing.severity = Severity::Warning;
    firing.since = UnixMillis(2 * HOUR);
    grouping.update(&firing);
    assert_eq!(
        run_until(&mut grouping, 2 * HOUR, 3 * HOUR, &people),
        ["7230 chat firing a:eased", "7230 pager recovered a:recovered"]
    );
    grouping.sync(&[]);
    assert_eq!(
        run_until(&mut grouping, 3 * HOUR, 4 * HOUR, &people),
        ["10830 chat recovered a:recovered"],
        "the pager was told already"
    );
}

#[test]
fn a_flapping_alert_is_told_less_and_less_often_up_to_once_an_hour() {
    let mut grouping = Grouping::new(Timing::default());
    let mut told = Vec::new();
    for minute in 0..600i64 {
        if minute % 2 == 0 {
            let mut firing = alert("a", Severity::Warning, minute * MINUTE);
            firing.flapping = true;
            grouping.sync(&[firing]);
        } else {
            grouping.sync(&[]);
        }
        let (from, until) = (minute * MINUTE, (minute + 1) * MINUTE - 1);
        told.extend(run_until(&mut grouping, from, until, &chat()));
    }
    let times: Vec<i64> = told
        .iter()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!((4..=14).contains(&times.len()), "{told:?}");
    assert!(gaps.iter().all(|gap| *gap >= 300), "{gaps:?}");
    assert!(gaps.iter().skip(4).all(|gap| *gap >= 3_000), "{gaps:?}");
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting() {
    let mut grouping = Grouping::new(Timing::default());
    grouping.update(&alert("a", Severity::Warning, 0));
    assert_eq!(run_until(&mut grouping, 99 * HOUR, 100 * HOUR, &chat()).len(), 1);
    grouping.update(&alert("b", Severity::Warning, 0));
    assert_eq!(
        run_until(&mut grouping, 0, HOUR, &chat()),
        ["300 chat firing b:fired a:unchanged"]
    );
}

#[test]
fn a_receiver_that_is_gone_is_forgotten() {
    let mut grouping = Grouping::new(Timing::default());
    let firing = alert("a", Severity::Critical, 0);
    grouping.update(&firing);
    run_until(&mut grouping, 0, HOUR, &chat());
    grouping.take_changed();
    let others = People(vec![("mail", Severity::Info)]);
    assert_eq!(
        run_until(&mut grouping, HOUR, 2 * HOUR, &others),
        ["3600 mail firing a:fired"]
    );
    let saved = grouping.take_changed();
    let json = serde_json::to_string(saved[0].1.unwrap()).unwrap();
    assert!(!json.contains("chat"), "{json}");
}

#[test]
fn there_is_an_end_to_how_many_alerts_a_group_has() {
    let mut grouping = Grouping::new(Timing::default());
    for number in 0..Grouping::MEMBERS_MAX + 5 {
        grouping.update(&alert(&format!("m{number}"), Severity::Warning, 0));
    }
    grouping.take_due(UnixMillis(0), &chat());
    let due = grouping.take_due(UnixMillis(MINUTE), &chat());
    assert_eq!(due.notifications[0].items.len(), Grouping::MEMBERS_MAX);
}

/// What may happen to an alert.
#[derive(Clone, Copy, Debug)]
enum Event {
    Fire(Severity),
    Recover,
    Mute(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop::sample::select(Severity::ALL.to_vec()).prop_map(Event::Fire),
        2 => Just(Event::Recover),
        1 => any::<bool>().prop_map(Event::Mute),
    ]
}

/// How the alerts of a small fleet stand.
#[derive(Clone, Debug, Default)]
struct World {
    alerts: BTreeMap<u8, Alert>,
    muted: [bool; 3],
}

impl World {
    fn take(&mut self, machine: u8, event: Event, now: i64) -> Option<Transition> {
        match event {
            Event::Fire(severity) => {
                let before = self.alerts.get(&machine).cloned();
                let mut now_firing = alert(&format!("m{machine}"), severity, now);
                now_firing.fired = before.map_or(now_firing.fired, |before| before.fired);
                now_firing.silenced = self.muted[usize::from(machine)].then_some(SilenceId(1));
                let transition = step(&now_firing, Phase::Firing, now);
                self.alerts.insert(machine, now_firing);
                Some(transition)
            }
            Event::Recover => self
                .alerts
                .remove(&machine)
                .map(|alert| step(&alert, Phase::Resolved, now)),
            Event::Mute(muted) => {
                self.muted[usize::from(machine)] = muted;
                if let Some(alert) = self.alerts.get_mut(&machine) {
                    alert.silenced = muted.then_some(SilenceId(1));
                }
                None
            }
        }
    }

    fn list(&self) -> Vec<Alert> {
        self.alerts.values().cloned().collect()
    }
}

/// Saves and restores everything, as a new process would.
fn restarted(grouping: &mut Grouping, saved: &mut BTreeMap<RuleId, String>) -> Grouping {
    for (rule, group) in grouping.take_changed() {
        match group {
            Some(group) => saved.insert(rule, serde_json::to_string(group).unwrap()),
            None => saved.remove(&rule),
        };
    }
    let mut next = Grouping::new(Timing::default());
    for (rule, group) in saved {
        next.restore(rule.clone(), serde_json::from_str(group).unwrap());
    }
    next
}

type Told = Vec<(i64, Notification)>;

/// Plays events, each some seconds after the one before, asking as often as it is due; ends two hours later.
fn play(events: &[(u8, Event, u16)], restarts: bool, reverse: bool) -> (Told, Vec<(i64, World)>) {
    let mut grouping = Grouping::new(Timing::default());
    let (mut saved, mut world) = (BTreeMap::new(), World::default());
    let (mut told, mut past) = (Vec::new(), Vec::new());
    let mut now = 0i64;
    let mut index = 0;
    while index <= events.len() {
        let mut transitions = Vec::new();
        while index < events.len() {
            let (machine, event, _) = events[index];
            transitions.extend(world.take(machine, event, now));
            index += 1;
            if index < events.len() && events[index].2 > 0 {
                break;
            }
        }
        if reverse {
            // The order within an alert is kept, that between alerts is not.
            transitions.sort_by(|one, other| other.key.cmp(&one.key));
        }
        transitions.iter().for_each(|step| grouping.apply(step));
        let mut list = world.list();
        if reverse {
            list.reverse();
        }
        grouping.sync(&list);
        past.push((now, world.clone()));
        let until = match events.get(index) {
            Some((_, _, pause)) => now + i64::from(*pause) * SECOND,
            None => now + 2 * HOUR,
        };
        loop {
            let due = grouping.take_due(UnixMillis(now), &chat());
            told.extend(due.notifications.into_iter().map(|told| (now, told)));
            if restarts {
                grouping = restarted(&mut grouping, &mut saved);
            }
            match due.next {
                Some(next) if next.0 < until => now = next.0,
                _ => break,
            }
        }
        now = until;
        if index >= events.len() {
            break;
        }
    }
    (told, past)
}

fn events() -> impl Strategy<Value = Vec<(u8, Event, u16)>> {
    prop::collection::vec((0u8..3, event(), prop_oneof![Just(0u16), 1u16..400]), 1..40)
}

proptest! {
    #[test]
    fn neither_a_restart_nor_the_order_between_alerts_changes_what_is_told(events in events()) {
        let (plain, _) = play(&events, false, false);
        prop_assert_eq!(&play(&events, true, false).0, &plain);
        prop_assert_eq!(&play(&events, false, true).0, &plain);
        let mut names: Vec<_> = plain.iter().map(|(_, told)| &told.identity).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), count, "a name came twice");
    }

    #[test]
    fn no_recovery_without_firing_and_nothing_twice(events in events()) {
        let (told, _) = play(&events, false, false);
        let mut known: BTreeMap<AlertKey, (UnixMillis, Severity)> = BTreeMap::new();
        for (_, notification) in told {
            for item in notification.items {
                let before = known.get(&item.key).copied();
                match item.change {
                    Change::Fired => {
                        prop_assert!(before.is_none_or(|(fired, _)| fired != item.fired));
                    }
                    Change::Worsened => prop_assert!(before.is_some_and(|(_, told)| told < item.severity)),
                    Change::Eased => prop_assert!(before.is_some_and(|(_, told)| told > item.severity)),
                    Change::Unchanged => prop_assert_eq!(before, Some((item.fired, item.severity))),
                    Change::Recovered => prop_assert!(before.is_some(), "nobody was told that it fired"),
                }
                if item.change == Change::Recovered {
                    known.remove(&item.key);
                } else {
                    known.insert(item.key, (item.fired, item.severity));
                }
            }
        }
    }

    #[test]
    fn what_fires_unmuted_for_long_enough_is_told_in_time(events in events()) {
        let (told, past) = play(&events, false, false);
        // Five minutes since the notification before, and the wait.
        const LIMIT: i64 = 330 * SECOND;
        for (index, (at, world)) in past.iter().enumerate() {
            let next = past.get(index + 1).map_or(*at + 2 * HOUR, |(next, _)| *next);
            for alert in world.alerts.values().filter(|alert| !alert.is_muted()) {
                if next - at < LIMIT {
                    continue;
                }
                let tells = |notification: &Notification| {
                    notification.items.iter().any(|item| {
                        item.key == alert.key
                            && Some(item.fired) == alert.fired
                            && item.change != Change::Recovered
                    })
                };
                let is_told = told.iter().any(|(when, told)| *when <= at + LIMIT && tells(told));
                prop_assert!(is_told, "{alert:?} at {at}");
            }
        }
    }
}
