//! Who is told what, and when: alerts of one rule are told together, once, and again only when that changes.
//!
//! [`Grouping`] knows how every alert stands and what each receiver was told of it. A notification is the difference of
//! the two, so that neither the order in which alerts come nor a restart in between matters: whatever is saved with
//! [`Group`] goes on where it was. It reads no clock and sends nothing.

mod group;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use group::Group;

use super::rule::{RuleId, Severity};
use super::state::{Alert, AlertKey, Cause, Culprit, Transition};
use crate::time::UnixMillis;

/// When notifications are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long the first of a group waits for others, in milliseconds.
    pub wait_ms: u64,
    /// Shortest time between two notifications of one group to one receiver, in milliseconds.
    pub interval_ms: u64,
    /// To what `interval_ms` doubles while alerts flap.
    pub interval_ms_max: u64,
    /// After which time without anything new the receiver is reminded, in milliseconds.
    pub repeat_ms: u64,
}

impl Default for Timing {
    /// 30 s, 5 min, 1 h and 4 h.
    fn default() -> Self {
        Self {
            wait_ms: 30_000,
            interval_ms: 300_000,
            interval_ms_max: 3_600_000,
            repeat_ms: 14_400_000,
        }
    }
}

/// Who there is to be told.
pub trait Audience {
    /// The names of all receivers, each once.
    fn receivers(&self) -> Vec<&str>;

    /// Whether a receiver is to be told of this alert when it is this bad.
    fn wants(&self, receiver: &str, key: &AlertKey, severity: Severity) -> bool;
}

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotificationKind {
    /// Something fires that the receiver did not know of, or changed while others still fire.
    Firing,
    /// Nothing of the group fires any more, as far as the receiver was told.
    Recovered,
    /// Nothing has changed for long, and something still fires.
    Reminder,
}

impl NotificationKind {
    /// The word used in JSON and in the ids of deliveries.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Recovered => "recovered",
            Self::Reminder => "reminder",
        }
    }
}

/// What is new about an alert for a receiver; in the order in which it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It fires.
    Fired,
    /// It is worse than the receiver was told.
    Worsened,
    /// It is less bad than the receiver was told, and still fires.
    Eased,
    /// It does not fire any more.
    Recovered,
    /// Nothing: it still fires.
    Unchanged,
}

impl Change {
    /// The word used in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Worsened => "worsened",
            Self::Eased => "eased",
            Self::Recovered => "recovered",
            Self::Unchanged => "unchanged",
        }
    }
}

/// One alert in a notification.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Which alert.
    pub key: AlertKey,
    /// What is new about it.
    pub change: Change,
    /// How bad it is; for one that recovered, how bad the receiver was told it was.
    pub severity: Severity,
    /// When it began to fire.
    pub fired: UnixMillis,
    /// When its phase or severity last changed.
    pub at: UnixMillis,
    /// The value that was judged last.
    pub value: Option<f64>,
    /// The level that it was judged by.
    pub threshold: Option<f64>,
    /// Why it took its last step; none when that is not known.
    pub cause: Option<Cause>,
    /// It changes too often.
    pub flapping: bool,
    /// The busiest processes when it last got worse.
    pub culprits: Vec<Culprit>,
}

/// Something to tell a receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// Whose alerts.
    pub rule: RuleId,
    /// Whom to tell.
    pub receiver: String,
    /// What it is about.
    pub kind: NotificationKind,
    /// Names the notification for ever: the group, the step that began it, the receiver, the kind and a number that
    /// counts within the group. The same whenever the same is made again.
    pub identity: String,
    /// All that fires and what has recovered: what is new first, of that the worst, then the oldest.
    pub items: Vec<Item>,
}

/// What is due, and when to ask again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Due {
    /// To be told now.
    pub notifications: Vec<Notification>,
    /// When something is due next, should nothing change.
    pub next: Option<UnixMillis>,
}

/// All groups, one per rule.
#[derive(Clone, Debug, Default)]
pub struct Grouping {
    timing: Timing,
    groups: BTreeMap<RuleId, Group>,
    changed: BTreeSet<RuleId>,
}

impl Grouping {
    /// The most alerts of one group; further ones are told when others are gone.
    pub const MEMBERS_MAX: usize = 10_000;

    /// Without groups.
    #[must_use]
    pub fn new(timing: Timing) -> Self {
        Self {
            timing,
            ..Self::default()
        }
    }

    /// Takes a group back as it was saved.
    pub fn restore(&mut self, rule: RuleId, group: Group) {
        self.groups.insert(rule, group);
    }

    /// Takes note of a step. What it says nothing of (whether anybody is to be told) stays as it was, and for an alert
    /// that is new here it is not told before [`Grouping::update`] or [`Grouping::sync`] has said that.
    pub fn apply(&mut self, transition: &Transition) {
        let rule = &transition.key.rule;
        let group = self.groups.entry(rule.clone()).or_default();
        if group.apply(transition) {
            self.changed.insert(rule.clone());
        }
    }

    /// Takes note of how one alert stands.
    pub fn update(&mut self, alert: &Alert) {
        let rule = &alert.key.rule;
        if !alert.is_firing() && !self.groups.contains_key(rule) {
            return;
        }
        let group = self.groups.entry(rule.clone()).or_default();
        if group.update(alert) {
            self.changed.insert(rule.clone());
        }
    }

    /// Takes note of how all alerts stand: whatever is not among them does not fire.
    pub fn sync(&mut self, alerts: &[Alert]) {
        for alert in alerts {
            self.update(alert);
        }
        let firing: BTreeSet<&AlertKey> = alerts
            .iter()
            .filter(|alert| alert.is_firing())
            .map(|alert| &alert.key)
            .collect();
        for (rule, group) in &mut self.groups {
            if group.keep_firing(&firing) {
                self.changed.insert(rule.clone());
            }
        }
    }

    /// Makes what is due at `now` and takes note that it was told. A receiver that is not in the audience is forgotten.
    pub fn take_due(&mut self, now: UnixMillis, audience: &dyn Audience) -> Due {
        let receivers = audience.receivers();
        let mut due = Due::default();
        let changed = &mut self.changed;
        for (rule, group) in &mut self.groups {
            if group.take_due(rule, &self.timing, now, &receivers, audience, &mut due) {
                changed.insert(rule.clone());
            }
        }
        self.groups.retain(|rule, group| {
            let stays = !group.is_over(&self.timing, now);
            if !stays {
                changed.insert(rule.clone());
            }
            stays
        });
        due
    }

    /// The groups that changed since this was asked last, as they are to be saved; none for those that are gone.
    pub fn take_changed(&mut self) -> Vec<(RuleId, Option<&Group>)> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .map(|rule| {
                let group = self.groups.get(&rule);
                (rule, group)
            })
            .collect()
    }

    /// Whether nothing fires and nobody is to be told that something does not any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}
