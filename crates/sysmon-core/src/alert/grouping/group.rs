//! The alerts of one rule, and what each receiver was told of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::schedule::Schedule;
use super::{Audience, Change, Due, Grouping, Item, Notification, NotificationKind, Timing};
use crate::alert::rule::{RuleId, Severity};
use crate::alert::state::{Alert, AlertKey, Cause, Culprit, Phase, Transition};
use crate::time::UnixMillis;

/// One rule's alerts as they are known here. Serialise it to save it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    #[serde(with = "listed")]
    members: BTreeMap<AlertKey, Member>,
    /// By receiver.
    schedules: BTreeMap<String, Schedule>,
}

/// One alert, as it stands and as it was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    key: AlertKey,
    is_firing: bool,
    /// None while nobody has said.
    muted: Option<bool>,
    flapping: bool,
    severity: Severity,
    fired: UnixMillis,
    at: UnixMillis,
    value: Option<f64>,
    threshold: Option<f64>,
    cause: Option<Cause>,
    culprits: Vec<Culprit>,
    /// By receiver.
    told: BTreeMap<String, Told>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    fired: UnixMillis,
    severity: Severity,
}

/// What there is to say to a receiver about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Nothing,
    Say(Change),
    /// It was told, and is none of the receiver's business any more.
    Forget,
}

impl Group {
    /// Takes note of a step; returns whether anything changed.
    pub(super) fn apply(&mut self, transition: &Transition) -> bool {
        let is_firing = match transition.to {
            Phase::Firing | Phase::Recovering => true,
            Phase::NoData => transition.fired.is_some(),
            Phase::Inactive | Phase::Pending | Phase::Resolved => false,
        };
        let known = self.members.get(&transition.key);
        if known.is_none() && (!is_firing || self.members.len() >= Grouping::MEMBERS_MAX) {
            return false;
        }
        let mut member = known.cloned().unwrap_or_else(|| Member::new(&transition.key));
        member.is_firing = is_firing;
        if is_firing {
            member.severity = transition.severity;
            member.fired = transition.fired.unwrap_or(transition.at);
        }
        member.at = transition.at;
        member.value = transition.value;
        member.threshold = transition.threshold.or(member.threshold);
        member.cause = Some(transition.cause);
        if !transition.culprits.is_empty() {
            member.culprits.clone_from(&transition.culprits);
        }
        self.put(member)
    }

    /// Takes note of how an alert stands; returns whether anything changed that matters here.
    pub(super) fn update(&mut self, alert: &Alert) -> bool {
        let known = self.members.get(&alert.key);
        let is_firing = alert.is_firing();
        if known.is_none() && (!is_firing || self.members.len() >= Grouping::MEMBERS_MAX) {
            return false;
        }
        let before = known.cloned();
        let mut member = before.clone().unwrap_or_else(|| Member::new(&alert.key));
        member.is_firing = is_firing;
        if is_firing {
            member.severity = alert.severity;
            member.fired = alert.fired.unwrap_or(alert.since);
            member.muted = Some(alert.is_muted());
            member.flapping = alert.flapping;
            member.threshold = alert.threshold.or(member.threshold);
        }
        if member.at != alert.since {
            // The step that explains it is yet to come.
            member.at = alert.since;
            member.cause = None;
        }
        member.value = alert.value;
        if !alert.culprits.is_empty() {
            member.culprits.clone_from(&alert.culprits);
        }
        // A new value alone is not worth saving: it is said anew whenever somebody is told.
        let is_same = before.is_some_and(|before| {
            before
                == Member {
                    value: before.value,
                    ..member.clone()
                }
        });
        self.put(member);
        !is_same
    }

    /// What is not among the keys does not fire; returns whether anything changed.
    pub(super) fn keep_firing(&mut self, firing: &BTreeSet<&AlertKey>) -> bool {
        let mut changed = false;
        for member in self.members.values_mut() {
            if member.is_firing && !firing.contains(&member.key) {
                member.is_firing = false;
                changed = true;
            }
        }
        self.members.retain(|_, member| member.is_worth_keeping());
        changed
    }

    fn put(&mut self, member: Member) -> bool {
        if !member.is_worth_keeping() {
            return self.members.remove(&member.key).is_some();
        }
        let key = member.key.clone();
        let after = member.clone();
        self.members.insert(key, member) != Some(after)
    }

    /// Makes what is due; returns whether anything changed.
    pub(super) fn take_due(
        &mut self,
        rule: &RuleId,
        timing: &Timing,
        now: UnixMillis,
        receivers: &[&str],
        audience: &dyn Audience,
        due: &mut Due,
    ) -> bool {
        let mut changed = self.forget_receivers(receivers);
        for receiver in receivers {
            let before = self.schedules.get(*receiver).cloned();
            let mut schedule = before.clone().unwrap_or_default();
            let (items, forgotten) = self.items(receiver, audience);
            for key in forgotten {
                changed = true;
                if let Some(member) = self.members.get_mut(&key) {
                    member.told.remove(*receiver);
                }
            }
            let is_told_critical = self.is_told_critical(receiver);
            if let Some(kind) = schedule.decide(timing, now, &items, is_told_critical) {
                let identity = self.identity(rule, receiver, kind, &items, &mut schedule);
                schedule.sent(timing, now, &items);
                self.tell(receiver, &items);
                due.notifications.push(Notification {
                    rule: rule.clone(),
                    receiver: (*receiver).to_owned(),
                    kind,
                    identity,
                    items,
                });
                // What there is to say now is that nothing has changed.
                let (items, _) = self.items(receiver, audience);
                let is_told_critical = self.is_told_critical(receiver);
                schedule.look(timing, now, &items, is_told_critical, due);
            } else {
                schedule.look(timing, now, &items, is_told_critical, due);
            }
            changed |= before.as_ref() != Some(&schedule) && (before.is_some() || schedule.is_in_use());
            if schedule.is_in_use() {
                self.schedules.insert((*receiver).to_owned(), schedule);
            } else {
                self.schedules.remove(*receiver);
            }
        }
        self.members.retain(|_, member| member.is_worth_keeping());
        changed
    }

    fn forget_receivers(&mut self, receivers: &[&str]) -> bool {
        let count = self.schedules.len();
        self.schedules
            .retain(|receiver, _| receivers.contains(&receiver.as_str()));
        let mut changed = self.schedules.len() != count;
        for member in self.members.values_mut() {
            let count = member.told.len();
            member
                .told
                .retain(|receiver, _| receivers.contains(&receiver.as_str()));
            changed |= member.told.len() != count;
        }
        changed
    }

    /// All that there is to say to a receiver, sorted, and what it is not concerned with any more.
    fn items(&self, receiver: &str, audience: &dyn Audience) -> (Vec<Item>, Vec<AlertKey>) {
        let (mut items, mut forgotten) = (Vec::new(), Vec::new());
        for member in self.members.values() {
            match member.verdict(receiver, audience) {
                Verdict::Nothing => {}
                Verdict::Say(change) => items.push(member.item(receiver, change)),
                Verdict::Forget => forgotten.push(member.key.clone()),
            }
        }
        items.sort_by(|one, other| {
            (one.change == Change::Unchanged)
                .cmp(&(other.change == Change::Unchanged))
                .then((one.change == Change::Recovered).cmp(&(other.change == Change::Recovered)))
                .then(other.severity.cmp(&one.severity))
                .then(one.at.cmp(&other.at))
                .then(one.key.cmp(&other.key))
        });
        (items, forgotten)
    }

    /// Whether something critical that still fires was told.
    fn is_told_critical(&self, receiver: &str) -> bool {
        let told = |member: &Member| member.told.get(receiver).map(|told| told.severity);
        self.members
            .values()
            .any(|member| member.is_firing && told(member) == Some(Severity::Critical))
    }

    /// Names a notification, after the step that began it when the receiver knows of nothing.
    fn identity(
        &self,
        rule: &RuleId,
        receiver: &str,
        kind: NotificationKind,
        items: &[Item],
        schedule: &mut Schedule,
    ) -> String {
        let knows_something = self
            .members
            .values()
            .any(|member| member.told.contains_key(receiver));
        if !knows_something {
            let first = items.iter().min_by_key(|item| (item.at, &item.key));
            schedule.begin(first.map_or_else(String::new, |item| {
                let key = &item.key;
                let severity = item.severity.word();
                format!("{} {} {severity} {}", key.machine, item.at.0, key.entity)
            }));
        }
        let (first, number) = schedule.next_name();
        format!("{rule}\n{first}\n{receiver}\n{}\n{number}", kind.word())
    }

    fn tell(&mut self, receiver: &str, items: &[Item]) {
        for item in items {
            let Some(member) = self.members.get_mut(&item.key) else {
                continue;
            };
            if item.change == Change::Recovered {
                member.told.remove(receiver);
            } else {
                let told = Told {
                    fired: member.fired,
                    severity: member.severity,
                };
                member.told.insert(receiver.to_owned(), told);
            }
        }
    }

    /// Whether nothing is left to remember.
    pub(super) fn is_over(&mut self, timing: &Timing, now: UnixMillis) -> bool {
        if !self.members.is_empty() {
            return false;
        }
        self.schedules
            .retain(|_, schedule| !schedule.is_over(timing, now));
        self.schedules.is_empty()
    }
}

impl Member {
    fn new(key: &AlertKey) -> Self {
        Self {
            key: key.clone(),
            is_firing: false,
            muted: None,
            flapping: false,
            severity: Severity::Info,
            fired: UnixMillis(0),
            at: UnixMillis(0),
            value: None,
            threshold: None,
            cause: None,
            culprits: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    fn is_worth_keeping(&self) -> bool {
        self.is_firing || !self.told.is_empty()
    }

    fn verdict(&self, receiver: &str, audience: &dyn Audience) -> Verdict {
        let told = self.told.get(receiver);
        if !self.is_firing {
            // Whoever was told is told this too, muted or not: what was opened is closed.
            return told.map_or(Verdict::Nothing, |_| Verdict::Say(Change::Recovered));
        }
        if self.muted != Some(false) {
            return Verdict::Nothing;
        }
        let is_wanted = audience.wants(receiver, &self.key, self.severity);
        match told {
            None if is_wanted => Verdict::Say(Change::Fired),
            None => Verdict::Nothing,
            // What is too little for the receiver now is over for it; what it never would be told now is not its business.
            Some(told) if !is_wanted && self.severity < told.severity => Verdict::Say(Change::Recovered),
            Some(_) if !is_wanted => Verdict::Forget,
            Some(told) if told.fired != self.fired => Verdict::Say(Change::Fired),
            Some(told) if told.severity < self.severity => Verdict::Say(Change::Worsened),
            Some(told) if told.severity > self.severity => Verdict::Say(Change::Eased),
            Some(_) => Verdict::Say(Change::Unchanged),
        }
    }

    fn item(&self, receiver: &str, change: Change) -> Item {
        let told = self.told.get(receiver).map(|told| told.severity);
        Item {
            key: self.key.clone(),
            change,
            severity: match change {
                Change::Recovered => told.unwrap_or(self.severity),
                _ => self.severity,
            },
            fired: self.fired,
            at: self.at,
            value: self.value,
            threshold: self.threshold,
            cause: self.cause,
            flapping: self.flapping,
            culprits: self.culprits.clone(),
        }
    }
}

/// Members as a list: JSON has no maps with such keys.
mod listed {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::{AlertKey, Member};

    pub(super) fn serialize<S: Serializer>(
        members: &BTreeMap<AlertKey, Member>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(members.values())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<AlertKey, Member>, D::Error> {
        let members = Vec::<Member>::deserialize(deserializer)?;
        Ok(members
            .into_iter()
            .map(|member| (member.key.clone(), member))
            .collect())
    }
}
