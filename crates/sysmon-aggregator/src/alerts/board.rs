//! What clients are told of alerts: everything that there is, each part at the version at which it last changed.
//!
//! A client's session remembers only up to which version it was told. What changes more often than a client reads has
//! only its newest version in here, so that a slow client gets the newest state and nothing waits for it.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

use prost::Message as _;
use sysmon_api::{alert_key_to_wire, alert_to_wire, silence_to_wire, transition_to_wire, wire};
use sysmon_core::alert::{Alert, AlertKey, Phase, RuleId, Severity, Silence, Transition};
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{LoggedTransition, StoredRule};

use super::health::Worst;
use super::messages::stored_to_wire;
use crate::fleet::Judgement;

/// The most alerts that are kept; further ones are left out, and said so in the log.
pub(super) const ALERTS_MAX: usize = 100_000;
/// New steps that are kept for clients that have not read them yet; the oldest go.
pub(super) const TRANSITIONS_MAX: usize = 1_000;
/// So many alerts and rules that are gone are remembered; a client that has missed more gets everything anew.
const GONE_MAX: usize = 4_096;
/// A message has at most 64 KiB, with what surrounds its parts.
const MESSAGE_BYTES: usize = 60 * 1024;

/// Everything that clients are told.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// Grows with every change.
    version: u64,
    is_loaded: bool,
    /// By version; every part that there is has one entry, at its newest version.
    changes: BTreeMap<u64, Change>,
    alerts: BTreeMap<AlertKey, Kept<Alert>>,
    rules: BTreeMap<RuleId, Kept<StoredRule>>,
    silences: Kept<Vec<Silence>>,
    deliveries: Kept<Vec<wire::Delivery>>,
    receivers: Vec<String>,
    pulse: Kept<UnixMillis>,
    /// Versions of entries about what is gone, ascending.
    gone: VecDeque<u64>,
    /// Whoever knows less than this has missed that something went.
    floor: u64,
    /// The newest steps with their versions, ascending.
    transitions: VecDeque<(u64, StepId)>,
    known_steps: HashSet<StepId>,
    worst: Worst,
    is_overfull: bool,
}

/// A part, and the version at which it last changed; 0 for never.
#[derive(Debug, Default)]
struct Kept<T> {
    version: u64,
    value: T,
}

#[derive(Debug)]
enum Change {
    Alert(AlertKey),
    AlertGone(AlertKey),
    Rule(RuleId),
    RuleGone(RuleId),
    Silences,
    Deliveries,
    Pulse,
    Transition(Box<wire::AlertTransition>),
}

/// There is at most one step of an alert per moment, phase and severity.
type StepId = (AlertKey, UnixMillis, Phase, Severity);

/// How far a client was told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor {
    /// Up to this version; 0 for nothing.
    told: u64,
    /// The version at which its snapshot began; steps and goings up to it are none of its business.
    begun: u64,
}

impl Board {
    /// Machines with an alert that is pending or fires, or that was when its data went missing.
    pub(crate) fn troubled(&self) -> HashSet<MachineId> {
        let alerts = self.alerts.values().map(|kept| &kept.value);
        let is_trouble = |alert: &&Alert| !matches!(alert.phase, Phase::Inactive | Phase::Resolved);
        alerts
            .filter(is_trouble)
            .map(|alert| alert.key.machine.clone())
            .collect()
    }

    /// The next message for a client; `None` when it knows everything, or while nothing is known here. When the last one
    /// of a snapshot is on its way, the client has everything that there is.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Option<wire::AlertBoard> {
        if !self.is_loaded || cursor.told == self.version {
            return None;
        }
        let snapshot = cursor.told == 0 || cursor.told < self.floor;
        if snapshot {
            *cursor = Cursor {
                told: 0,
                begun: self.version,
            };
        }
        let mut message = wire::AlertBoard {
            snapshot,
            evaluated_unix_ms: self.pulse.value.0,
            ..Default::default()
        };
        let mut size = 0;
        let later = (Excluded(cursor.told), Unbounded);
        for (version, change) in self.changes.range(later) {
            let part = self.part(change, *version <= cursor.begun);
            let part_size = part.encoded_len();
            if size > 0 && size + part_size > MESSAGE_BYTES {
                message.more = true;
                return Some(message);
            }
            size += part_size;
            add(&mut message, part);
            cursor.told = *version;
        }
        cursor.told = self.version;
        Some(message)
    }

    /// A message about one change alone; an empty one when there is nothing to say.
    fn part(&self, change: &Change, is_old: bool) -> wire::AlertBoard {
        let mut part = wire::AlertBoard::default();
        match change {
            Change::Alert(key) => {
                let alert = self.alerts.get(key);
                part.alerts = alert.map(|kept| alert_to_wire(&kept.value)).into_iter().collect();
            }
            Change::Rule(id) => {
                let rule = self.rules.get(id);
                part.rules = rule.map(|kept| stored_to_wire(&kept.value)).into_iter().collect();
            }
            Change::AlertGone(_) | Change::RuleGone(_) | Change::Transition(_) if is_old => {}
            Change::AlertGone(key) => part.alerts.push(wire::Alert {
                key: Some(alert_key_to_wire(key)),
                phase: wire::AlertPhase::Inactive.into(),
                ..Default::default()
            }),
            Change::RuleGone(id) => part.removed_rule_ids.push(id.to_string()),
            Change::Transition(step) => part.transitions.push((**step).clone()),
            Change::Silences => {
                part.has_silences = true;
                part.silences = self.silences.value.iter().map(silence_to_wire).collect();
            }
            Change::Deliveries => {
                part.has_deliveries = true;
                part.deliveries.clone_from(&self.deliveries.value);
                part.receivers.clone_from(&self.receivers);
            }
            // It is in every message.
            Change::Pulse => {}
        }
        part
    }

    /// Takes an alert over as it stands now.
    pub(super) fn set_alert(&mut self, alert: Alert) {
        if alert.phase == Phase::Inactive {
            self.remove_alert(&alert.key);
            return;
        }
        let before = self.alerts.get(&alert.key);
        if before.is_some_and(|before| before.value == alert) {
            return;
        }
        if before.is_none() && self.alerts.len() >= ALERTS_MAX {
            if !std::mem::replace(&mut self.is_overfull, true) {
                tracing::warn!(
                    "there are more than {ALERTS_MAX} alerts; those beyond are not shown, make the rules less sensitive"
                );
            }
            return;
        }
        self.worst
            .replace(before.map(|before| &before.value), Some(&alert));
        let last = before.map_or(0, |before| before.version);
        let key = alert.key.clone();
        let version = self.note(last, Change::Alert(key.clone()));
        self.alerts.insert(
            key,
            Kept {
                version,
                value: alert,
            },
        );
    }

    fn remove_alert(&mut self, key: &AlertKey) {
        if let Some(before) = self.alerts.remove(key) {
            self.worst.replace(Some(&before.value), None);
            self.note_gone(before.version, Change::AlertGone(key.clone()));
            self.is_overfull = false;
        }
    }

    /// Takes over that these are all alerts, as they are stored, but for those that are known to be `newer` here.
    pub(super) fn set_all_alerts(&mut self, alerts: Vec<Alert>, newer: &HashSet<AlertKey>) {
        let there: HashSet<_> = alerts.iter().map(|alert| &alert.key).collect();
        let gone: Vec<_> = self
            .alerts
            .keys()
            .filter(|key| !there.contains(key) && !newer.contains(key))
            .cloned()
            .collect();
        drop(there);
        for key in &gone {
            self.remove_alert(key);
        }
        for alert in alerts {
            if !newer.contains(&alert.key) {
                self.set_alert(alert);
            }
        }
    }

    /// Takes over that these are all rules.
    pub(super) fn set_rules(&mut self, rules: Vec<StoredRule>) {
        let there: HashSet<_> = rules.iter().map(|stored| &stored.rule.id).collect();
        let gone: Vec<_> = self
            .rules
            .keys()
            .filter(|id| !there.contains(id))
            .cloned()
            .collect();
        drop(there);
        for id in gone {
            if let Some(before) = self.rules.remove(&id) {
                self.note_gone(before.version, Change::RuleGone(id));
            }
        }
        for stored in rules {
            let id = stored.rule.id.clone();
            let before = self.rules.get(&id);
            if before.is_none_or(|before| before.value != stored) {
                let last = before.map_or(0, |before| before.version);
                let version = self.note(last, Change::Rule(id.clone()));
                self.rules.insert(
                    id,
                    Kept {
                        version,
                        value: stored,
                    },
                );
            }
        }
    }

    /// Takes over that these are all silences that are not over.
    pub(super) fn set_silences(&mut self, silences: Vec<Silence>) {
        if self.silences.version == 0 || self.silences.value != silences {
            self.silences.version = self.note(self.silences.version, Change::Silences);
            self.silences.value = silences;
        }
    }

    /// Drops silences that are over.
    pub(super) fn end_silences(&mut self, now: UnixMillis) {
        let is_on = |silence: &Silence| silence.until > now;
        if !self.silences.value.iter().all(is_on) {
            self.silences.value.retain(is_on);
            self.silences.version = self.note(self.silences.version, Change::Silences);
        }
    }

    /// Takes over which deliveries failed or wait, newest first.
    pub(super) fn set_deliveries(&mut self, deliveries: Vec<wire::Delivery>) {
        if self.deliveries.version == 0 || self.deliveries.value != deliveries {
            self.deliveries.version = self.note(self.deliveries.version, Change::Deliveries);
            self.deliveries.value = deliveries;
        }
    }

    /// An alert service works, and these are all receivers that there are.
    pub(super) fn set_pulse(&mut self, receivers: Vec<String>, now: UnixMillis) {
        if self.receivers != receivers {
            self.receivers = receivers;
            self.deliveries.version = self.note(self.deliveries.version, Change::Deliveries);
        }
        self.pulse.version = self.note(self.pulse.version, Change::Pulse);
        self.pulse.value = now;
    }

    /// Takes a new step over, unless it is known. Steps from the log and from the bus may come in any order; clients get
    /// them as they come.
    pub(super) fn add_step(&mut self, step: &LoggedTransition) {
        let id = step_id(&step.transition);
        if !self.known_steps.insert(id.clone()) {
            return;
        }
        let wire = transition_to_wire(step.id, &step.transition);
        let version = self.note(0, Change::Transition(Box::new(wire)));
        self.transitions.push_back((version, id));
        if self.transitions.len() > TRANSITIONS_MAX
            && let Some((version, id)) = self.transitions.pop_front()
        {
            self.changes.remove(&version);
            self.known_steps.remove(&id);
        }
    }

    /// From now on clients are told: everything has been loaded once.
    pub(super) fn set_loaded(&mut self) {
        self.is_loaded = true;
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Grows with every change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// An alert as it stands.
    pub(super) fn alert(&self, key: &AlertKey) -> Option<&Alert> {
        self.alerts.get(key).map(|kept| &kept.value)
    }

    pub(super) fn rule_count(&self) -> usize {
        self.rules.len()
    }

    pub(super) fn silences(&self) -> &[Silence] {
        &self.silences.value
    }

    /// Names of the receivers, and when an alert service was heard of last; none when never.
    pub(super) fn receivers(&self) -> Option<&[String]> {
        (self.pulse.version != 0).then_some(&self.receivers)
    }

    /// How the machines fare whose health may have changed since this was last called.
    pub(super) fn take_health(&mut self) -> Vec<Judgement> {
        self.worst.take()
    }

    /// Notes a change of what last changed at version `last`; returns the new version.
    fn note(&mut self, last: u64, change: Change) -> u64 {
        self.changes.remove(&last);
        self.version += 1;
        self.changes.insert(self.version, change);
        self.version
    }

    fn note_gone(&mut self, last: u64, change: Change) {
        let version = self.note(last, change);
        self.gone.push_back(version);
        if self.gone.len() > GONE_MAX
            && let Some(oldest) = self.gone.pop_front()
        {
            self.changes.remove(&oldest);
            self.floor = oldest;
        }
    }
}

fn step_id(step: &Transition) -> StepId {
    (step.key.clone(), step.at, step.to, step.severity)
}

/// Adds a message about one change to another.
fn add(message: &mut wire::AlertBoard, part: wire::AlertBoard) {
    message.alerts.extend(part.alerts);
    message.rules.extend(part.rules);
    message.removed_rule_ids.extend(part.removed_rule_ids);
    message.transitions.extend(part.transitions);
    if part.has_silences {
        message.has_silences = true;
        message.silences = part.silences;
    }
    if part.has_deliveries {
        message.has_deliveries = true;
        message.deliveries = part.deliveries;
        message.receivers = part.receivers;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use sysmon_core::alert::{Cause, Rule};
    use sysmon_store::Author;

    pub(in crate::alerts) fn alert(rule: &str, machine: &str, phase: Phase, severity: Severity) -> Alert {
        Alert {
            key: AlertKey {
                rule: RuleId::parse(rule).unwrap(),
                machine: MachineId::parse(machine).unwrap(),
                entity: "".into(),
            },
            phase,
            severity,
            since: UnixMillis(1),
            fired: Some(UnixMillis(1)),
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

    fn firing(machine: &str) -> Alert {
        alert("cpu", machine, Phase::Firing, Severity::Critical)
    }

    fn step(machine: &str, at: i64) -> LoggedTransition {
        LoggedTransition {
            id: at,
            transition: Transition {
                key: firing(machine).key,
                at: UnixMillis(at),
                from: Phase::Pending,
                to: Phase::Firing,
                severity_before: Severity::Critical,
                severity: Severity::Critical,
                cause: Cause::Held,
                value: None,
                threshold: None,
                fired: None,
                culprits: Vec::new(),
            },
        }
    }

    fn stored(id: &str, version: u64) -> StoredRule {
        let rule: Rule = serde_json::from_value(serde_json::json!({
            "id": id, "title": "t", "check": {"kind": "machine_down", "severity": "critical"},
        }))
        .unwrap();
        StoredRule {
            rule,
            version,
            changed: Author {
                name: "ann".into(),
                at: UnixMillis(5),
            },
        }
    }

    fn loaded() -> Board {
        let mut board = Board::default();
        board.set_silences(Vec::new());
        board.set_deliveries(Vec::new());
        board.set_loaded();
        board
    }

    /// What a client knows that takes all messages over.
    #[derive(Debug, Default, PartialEq)]
    struct Known {
        alerts: BTreeMap<String, wire::Alert>,
        rules: BTreeMap<String, wire::StoredRule>,
        steps: Vec<i64>,
    }

    impl Known {
        fn read(&mut self, board: &Board, cursor: &mut Cursor) -> usize {
            let mut count = 0;
            while let Some(message) = board.next(cursor) {
                count += 1;
                assert!(message.encoded_len() <= 64 * 1024);
                if message.snapshot {
                    *self = Self {
                        steps: std::mem::take(&mut self.steps),
                        ..Self::default()
                    };
                }
                for alert in message.alerts {
                    let key = alert.key.as_ref().unwrap();
                    let name = format!("{}/{}", key.rule_id, key.machine_id);
                    if alert.phase() == wire::AlertPhase::Inactive {
                        self.alerts.remove(&name);
                    } else {
                        self.alerts.insert(name, alert);
                    }
                }
                for rule in message.rules {
                    self.rules.insert(rule.rule.clone().unwrap().rule_id, rule);
                }
                for id in message.removed_rule_ids {
                    self.rules.remove(&id);
                }
                self.steps
                    .extend(message.transitions.iter().map(|step| step.transition_id));
                assert_eq!(message.more, cursor.told < board.version);
            }
            count
        }
    }

    fn everything(board: &Board) -> Known {
        let mut known = Known::default();
        known.read(board, &mut Cursor::default());
        known
    }

    #[test]
    fn a_client_that_reads_seldom_gets_the_newest_of_everything_once() {
        let mut board = loaded();
        let (mut known, mut cursor) = (Known::default(), Cursor::default());
        assert_eq!(known.read(&board, &mut cursor), 1, "an empty snapshot is one too");
        assert_eq!(known.read(&board, &mut cursor), 0);
        for round in 0..1_000 {
            let mut alert = firing("a");
            alert.value = Some(f64::from(round));
            board.set_alert(alert);
        }
        board.set_alert(firing("b"));
        board.set_alert(Alert {
            phase: Phase::Inactive,
            ..firing("b")
        });
        board.set_rules(vec![stored("x", 1), stored("y", 1)]);
        board.set_rules(vec![stored("y", 2)]);
        let message = board.next(&mut cursor).unwrap();
        assert_eq!(
            (message.alerts.len(), message.rules.len(), message.snapshot),
            (2, 1, false)
        );
        assert_eq!(message.alerts[0].value, Some(999.0));
        assert_eq!(message.removed_rule_ids, ["x"]);
        assert!(board.next(&mut cursor).is_none());
    }

    #[test]
    fn a_snapshot_in_many_parts_ends_with_everything_whatever_happens_between_them() {
        let mut board = loaded();
        for number in 0..5_000 {
            board.set_alert(firing(&format!("m{number}")));
        }
        board.add_step(&step("m1", 1));
        let (mut known, mut cursor) = (Known::default(), Cursor::default());
        let first = board.next(&mut cursor).unwrap();
        assert!(first.snapshot && first.more && first.encoded_len() <= 64 * 1024);
        for alert in first.alerts {
            let key = alert.key.clone().unwrap();
            known
                .alerts
                .insert(format!("{}/{}", key.rule_id, key.machine_id), alert);
        }
        // One that was sent goes, one that was not sent goes, one comes, one takes a step.
        for machine in ["m0", "m4999"] {
            board.set_alert(Alert {
                phase: Phase::Inactive,
                ..firing(machine)
            });
        }
        board.set_alert(firing("new"));
        board.add_step(&step("new", 2));
        assert!(known.read(&board, &mut cursor) > 1);
        assert_eq!(known.alerts, everything(&board).alerts);
        assert_eq!(known.alerts.len(), 4_999);
        assert_eq!(known.steps, [2], "what was before is no news");
    }

    #[test]
    fn whoever_missed_too_much_begins_anew_and_nothing_grows_without_bound() {
        let mut board = loaded();
        board.set_alert(firing("stays"));
        let (mut known, mut cursor) = (Known::default(), Cursor::default());
        known.read(&board, &mut cursor);
        for number in 0..6_000 {
            let alert = firing(&format!("m{number}"));
            board.set_alert(alert.clone());
            board.set_alert(Alert {
                phase: Phase::Inactive,
                ..alert
            });
            board.add_step(&step("a", number));
        }
        assert!(
            board.changes.len() <= GONE_MAX + TRANSITIONS_MAX + 4,
            "{}",
            board.changes.len()
        );
        assert_eq!(board.known_steps.len(), TRANSITIONS_MAX);
        assert!(board.next(&mut cursor.clone()).unwrap().snapshot);
        known.read(&board, &mut cursor);
        assert_eq!(known.alerts, everything(&board).alerts);
    }

    #[test]
    fn a_step_from_the_log_and_from_the_bus_is_one() {
        let mut board = loaded();
        let mut cursor = Cursor::default();
        let mut known = Known::default();
        known.read(&board, &mut cursor);
        let unnumbered = LoggedTransition {
            id: 0,
            ..step("a", 7)
        };
        board.add_step(&unnumbered);
        board.add_step(&step("a", 7));
        board.add_step(&step("a", 8));
        known.read(&board, &mut cursor);
        assert_eq!(known.steps, [0, 8]);
    }

    #[test]
    fn loading_what_is_known_is_no_change() {
        let mut board = loaded();
        let alerts = vec![firing("a"), firing("b")];
        board.set_all_alerts(alerts.clone(), &HashSet::new());
        board.set_rules(vec![stored("x", 1)]);
        let version = board.version();
        board.set_all_alerts(alerts, &HashSet::new());
        board.set_rules(vec![stored("x", 1)]);
        board.set_silences(Vec::new());
        board.end_silences(UnixMillis(i64::MAX));
        assert_eq!(board.version(), version);
        board.set_all_alerts(vec![firing("b")], &HashSet::new());
        assert_eq!(everything(&board).alerts.len(), 1);
        // The bus was faster than the store.
        let newer = HashSet::from([firing("b").key, firing("c").key]);
        board.set_all_alerts(vec![firing("c"), firing("d")], &newer);
        let known = everything(&board);
        assert_eq!(known.alerts.keys().collect::<Vec<_>>(), ["cpu/b", "cpu/d"]);
    }
}
