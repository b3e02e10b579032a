//! The board: alerts, rules, silences and deliveries as the aggregator last told them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use sysmon_api::{alert_from_wire, rule_from_wire, silence_from_wire, transition_from_wire, wire};
use sysmon_core::UnixMillis;
use sysmon_core::alert::{
    Acknowledgement, Alert, AlertKey, Phase, Rule, RuleId, Severity, Silence, SilenceId, Transition,
};

/// A rule as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredRule {
    pub(crate) rule: Rule,
    pub(crate) version: u64,
    pub(crate) changed_by: String,
    pub(crate) changed_at: UnixMillis,
}

impl StoredRule {
    /// Takes a stored rule over; `None` for one that this release cannot read.
    pub(crate) fn from_wire(stored: &wire::StoredRule) -> Option<Self> {
        Some(Self {
            rule: rule_from_wire(stored.rule.as_ref()?).ok()?,
            version: stored.version,
            changed_by: stored.changed_by.clone(),
            changed_at: UnixMillis(stored.changed_unix_ms),
        })
    }
}

/// How a notification fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    /// To be tried again.
    Waiting,
    /// Tried often enough.
    Dead,
}

/// A notification that has not reached its receiver. All texts are remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) id: String,
    pub(crate) receiver: String,
    pub(crate) summary: String,
    pub(crate) created: UnixMillis,
    pub(crate) state: DeliveryState,
    pub(crate) attempts: u32,
    pub(crate) due: UnixMillis,
    pub(crate) problem: String,
}

impl Delivery {
    /// Whether it was tried and has not reached its receiver. One that has only just been made waits for others.
    pub(crate) fn has_failed(&self) -> bool {
        self.state == DeliveryState::Dead || self.attempts > 0
    }
}

/// Where an alert stands for whoever has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Standing {
    /// Somebody should act.
    Firing,
    /// Not for long enough yet, or nothing is known.
    Pending,
    /// Somebody knows.
    Acknowledged,
    /// Muted by a silence, or because its machine is down.
    Silenced,
    /// Over.
    Resolved,
}

impl Standing {
    /// Where this alert stands.
    pub(crate) fn of(alert: &Alert) -> Self {
        let is_known = |known: &Acknowledgement| known.severity >= alert.severity;
        match alert.phase {
            Phase::Resolved | Phase::Inactive => Self::Resolved,
            _ if alert.inhibited || alert.silenced.is_some() => Self::Silenced,
            _ if alert.acknowledged.as_ref().is_some_and(is_known) => Self::Acknowledged,
            _ if alert.is_firing() => Self::Firing,
            _ => Self::Pending,
        }
    }
}

/// How many alerts there are of each kind. Firing ones are counted by severity when nobody has muted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) critical: usize,
    pub(crate) warning: usize,
    pub(crate) info: usize,
    pub(crate) pending: usize,
    pub(crate) acknowledged: usize,
    /// Muted by a silence.
    pub(crate) silenced: usize,
    /// Muted because the machine is down.
    pub(crate) inhibited: usize,
}

impl Counts {
    /// How many of these there are of each kind.
    pub(crate) fn of<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Self {
        let mut counts = Self::default();
        alerts.into_iter().for_each(|alert| counts.add(alert));
        counts
    }

    fn add(&mut self, alert: &Alert) {
        let count = match (Standing::of(alert), alert.severity) {
            (Standing::Firing, Severity::Critical) => &mut self.critical,
            (Standing::Firing, Severity::Warning) => &mut self.warning,
            (Standing::Firing, Severity::Info) => &mut self.info,
            (Standing::Pending, _) => &mut self.pending,
            (Standing::Acknowledged, _) => &mut self.acknowledged,
            (Standing::Silenced, _) if alert.silenced.is_none() => &mut self.inhibited,
            (Standing::Silenced, _) => &mut self.silenced,
            (Standing::Resolved, _) => return,
        };
        *count += 1;
    }

    /// Alerts that fire and nobody has muted.
    pub(crate) fn firing(&self) -> usize {
        self.critical + self.warning + self.info
    }

    /// Alerts that are not over.
    pub(crate) fn all(&self) -> usize {
        self.firing() + self.pending + self.acknowledged + self.muted()
    }

    /// Alerts that nobody has to hear of, by a silence or because their machine is down.
    pub(crate) fn muted(&self) -> usize {
        self.silenced + self.inhibited
    }

    /// The worst severity that fires.
    pub(crate) fn worst(&self) -> Option<Severity> {
        match self {
            _ if self.critical > 0 => Some(Severity::Critical),
            _ if self.warning > 0 => Some(Severity::Warning),
            _ if self.info > 0 => Some(Severity::Info),
            _ => None,
        }
    }
}

/// What the aggregator has told.
#[derive(Debug, Default)]
pub(crate) struct Board {
    alerts: BTreeMap<AlertKey, Alert>,
    rules: BTreeMap<RuleId, StoredRule>,
    silences: Vec<Silence>,
    /// The newest steps, oldest first.
    steps: VecDeque<Transition>,
    deliveries: Vec<Delivery>,
    receivers: Vec<String>,
    evaluated: UnixMillis,
    counts: Counts,
    by_machine: HashMap<String, Counts>,
    /// Alerts that were critical and unmuted when they were last told.
    loud: BTreeSet<AlertKey>,
    /// A whole snapshot has come at some time: what is loud from then on is news.
    was_told: bool,
}

impl Board {
    /// The most alerts kept; further ones are not taken.
    const ALERTS_MAX: usize = 50_000;
    /// The most rules, silences, deliveries and receivers kept.
    const RULES_MAX: usize = 2_000;
    const SILENCES_MAX: usize = 2_000;
    const DELIVERIES_MAX: usize = 100;
    /// The most steps kept, the newest: charts mark what happened on them.
    const STEPS_MAX: usize = 1_000;

    /// The board of another moment: these alerts, with the rules and receivers of now, and the steps that led to them.
    pub(crate) fn at_moment(&self, at: UnixMillis, alerts: Vec<Alert>, steps: Vec<Transition>) -> Self {
        let alerts = alerts.into_iter().take(Self::ALERTS_MAX);
        let mut board = Self {
            alerts: alerts.map(|alert| (alert.key.clone(), alert)).collect(),
            rules: self.rules.clone(),
            receivers: self.receivers.clone(),
            steps: steps.into_iter().take(Self::STEPS_MAX).collect(),
            evaluated: at,
            was_told: true,
            ..Self::default()
        };
        board.count();
        board
    }

    /// Takes a message over and returns the alerts that have become critical by it. What this release cannot read is
    /// left out: an alert of an unknown kind is better not shown than shown wrong.
    pub(crate) fn apply(&mut self, message: &wire::AlertBoard) -> Vec<AlertKey> {
        if message.snapshot {
            *self = Self {
                steps: std::mem::take(&mut self.steps),
                loud: std::mem::take(&mut self.loud),
                was_told: self.was_told,
                ..Self::default()
            };
        }
        let mut began = Vec::new();
        for alert in &message.alerts {
            if let Ok(alert) = alert_from_wire(alert) {
                began.extend(self.take_alert(alert));
            }
        }
        for stored in message.rules.iter().filter_map(StoredRule::from_wire) {
            if self.rules.len() < Self::RULES_MAX || self.rules.contains_key(&stored.rule.id) {
                self.rules.insert(stored.rule.id.clone(), stored);
            }
        }
        for id in &message.removed_rule_ids {
            self.rules.retain(|known, _| known.as_str() != id);
        }
        if message.has_silences {
            let silences = message
                .silences
                .iter()
                .filter_map(|silence| silence_from_wire(silence).ok());
            self.silences = silences.take(Self::SILENCES_MAX).collect();
        }
        let steps = message.transitions.iter().map(transition_from_wire);
        self.steps.extend(steps.filter_map(Result::ok));
        let surplus = self.steps.len().saturating_sub(Self::STEPS_MAX);
        self.steps.drain(..surplus);
        if message.has_deliveries {
            self.take_deliveries(message);
        }
        self.evaluated = self.evaluated.max(UnixMillis(message.evaluated_unix_ms));
        if message.snapshot || !message.alerts.is_empty() {
            self.count();
        }
        if !message.more {
            let alerts = &self.alerts;
            self.loud.retain(|key| alerts.get(key).is_some_and(is_loud));
            if !std::mem::replace(&mut self.was_told, true) {
                began.clear();
            }
        }
        if self.was_told { began } else { Vec::new() }
    }

    /// Keeps an alert, and returns its name when it has become critical and somebody should hear of it.
    fn take_alert(&mut self, alert: Alert) -> Option<AlertKey> {
        if alert.phase == Phase::Inactive {
            self.alerts.remove(&alert.key);
            self.loud.remove(&alert.key);
            return None;
        }
        if !self.alerts.contains_key(&alert.key) && self.alerts.len() >= Self::ALERTS_MAX {
            return None;
        }
        let key = alert.key.clone();
        let is_loud = is_loud(&alert);
        self.alerts.insert(key.clone(), alert);
        if is_loud {
            return self.loud.insert(key.clone()).then_some(key);
        }
        self.loud.remove(&key);
        None
    }

    fn take_deliveries(&mut self, message: &wire::AlertBoard) {
        let delivery = |delivery: &wire::Delivery| {
            let state = match delivery.state() {
                wire::DeliveryState::Dead => DeliveryState::Dead,
                wire::DeliveryState::Pending => DeliveryState::Waiting,
                _ => return None,
            };
            Some(Delivery {
                id: delivery.delivery_id.clone(),
                receiver: delivery.receiver.clone(),
                summary: delivery.summary.clone(),
                created: UnixMillis(delivery.created_unix_ms),
                state,
                attempts: delivery.attempts,
                due: UnixMillis(delivery.due_unix_ms),
                problem: delivery.problem.clone(),
            })
        };
        let deliveries = message.deliveries.iter().filter_map(delivery);
        self.deliveries = deliveries.take(Self::DELIVERIES_MAX).collect();
        let receivers = message.receivers.iter().take(Self::DELIVERIES_MAX);
        self.receivers = receivers.cloned().collect();
    }

    fn count(&mut self) {
        self.counts = Counts::default();
        self.by_machine.clear();
        for alert in self.alerts.values() {
            self.counts.add(alert);
            match self.by_machine.get_mut(alert.key.machine.as_str()) {
                Some(counts) => counts.add(alert),
                None => {
                    let mut counts = Counts::default();
                    counts.add(alert);
                    self.by_machine
                        .insert(alert.key.machine.as_str().to_owned(), counts);
                }
            }
        }
    }

    /// All alerts, sorted by rule, machine and entity.
    pub(crate) fn alerts(&self) -> impl ExactSizeIterator<Item = &Alert> {
        self.alerts.values()
    }

    /// One alert.
    pub(crate) fn alert(&self, key: &AlertKey) -> Option<&Alert> {
        self.alerts.get(key)
    }

    /// Those of one machine.
    pub(crate) fn alerts_of<'a>(&'a self, machine: &'a str) -> impl Iterator<Item = &'a Alert> {
        let has_any = self.by_machine.contains_key(machine);
        self.alerts
            .values()
            .filter(move |alert| has_any && alert.key.machine.as_str() == machine)
    }

    /// All rules, sorted by id.
    pub(crate) fn rules(&self) -> impl ExactSizeIterator<Item = &StoredRule> {
        self.rules.values()
    }

    /// One rule.
    pub(crate) fn rule(&self, id: &RuleId) -> Option<&StoredRule> {
        self.rules.get(id)
    }

    /// What a rule is called: its title, or its id when it has none.
    pub(crate) fn title<'a>(&'a self, id: &'a RuleId) -> &'a str {
        let title = self.rules.get(id).map(|stored| stored.rule.title.as_str());
        title
            .filter(|title| !title.trim().is_empty())
            .unwrap_or(id.as_str())
    }

    /// Silences that are not over.
    pub(crate) fn silences(&self) -> &[Silence] {
        &self.silences
    }

    /// One silence.
    pub(crate) fn silence(&self, id: SilenceId) -> Option<&Silence> {
        self.silences.iter().find(|silence| silence.id == id)
    }

    /// The newest steps, oldest first.
    pub(crate) fn steps(&self) -> impl ExactSizeIterator<Item = &Transition> {
        self.steps.iter()
    }

    /// Notifications that failed or wait, newest first.
    pub(crate) fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// Notifications that were tried and have not reached anybody, given up or not.
    pub(crate) fn failed_deliveries(&self) -> usize {
        let failed = self.deliveries.iter().filter(|delivery| delivery.has_failed());
        failed.count()
    }

    /// Who can be told.
    pub(crate) fn receivers(&self) -> &[String] {
        &self.receivers
    }

    /// When the alert service was heard of last, on the aggregator's clock; 0 when never.
    pub(crate) fn evaluated(&self) -> UnixMillis {
        self.evaluated
    }

    /// How many there are of each kind.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The same of one machine.
    pub(crate) fn counts_of(&self, machine: &str) -> Counts {
        self.by_machine.get(machine).copied().unwrap_or_default()
    }

    /// How many alerts of a rule fire and nobody has muted: the same as in the view of alerts.
    pub(crate) fn firing_of(&self, rule: &RuleId) -> usize {
        let is_of = |alert: &&Alert| alert.key.rule == *rule && Standing::of(alert) == Standing::Firing;
        self.alerts.values().filter(is_of).count()
    }
}

/// Whether somebody should hear of an alert.
fn is_loud(alert: &Alert) -> bool {
    alert.severity == Severity::Critical && alert.is_firing() && !alert.is_muted()
}
