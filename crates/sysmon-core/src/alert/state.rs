//! What becomes of a rule on one entity of one machine.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::mute::{Acknowledgement, SilenceId};
use super::rule::{RuleId, Severity};
use crate::identity::MachineId;
use crate::time::UnixMillis;

/// Names an alert: one rule on one entity of one machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertKey {
    /// Which rule.
    pub rule: RuleId,
    /// Which machine.
    pub machine: MachineId,
    /// Which mount, disk, interface, …; empty where the metric has none. Remote text: sanitise it before it is drawn.
    pub entity: Arc<str>,
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is wrong.
    #[default]
    Inactive,
    /// Wrong, but not for long enough yet.
    Pending,
    /// Wrong for long enough.
    Firing,
    /// Right again, but not for long enough yet.
    Recovering,
    /// It was wrong and is right again.
    Resolved,
    /// There are no samples to judge by; what was firing still counts as firing.
    NoData,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 6] = [
        Self::Inactive,
        Self::Pending,
        Self::Firing,
        Self::Recovering,
        Self::Resolved,
        Self::NoData,
    ];

    /// The word used in JSON, in the database and on the screen.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Recovering => "recovering",
            Self::Resolved => "resolved",
            Self::NoData => "no_data",
        }
    }
}

/// One alert as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Names it.
    pub key: AlertKey,
    /// Where it stands.
    pub phase: Phase,
    /// The worst severity that fires; while pending, the worst that is pending.
    pub severity: Severity,
    /// When the phase or severity last changed: sample time, or the receiver's clock for missing data.
    pub since: UnixMillis,
    /// When it began to fire, this time; none before.
    pub fired: Option<UnixMillis>,
    /// The value that was judged last, always finite; none while there is none.
    pub value: Option<f64>,
    /// The level of `severity`; none for machine-down.
    pub threshold: Option<f64>,
    /// The worst value since it became pending.
    pub peak: Option<f64>,
    /// It changes too often; notifications back off.
    pub flapping: bool,
    /// The machine is down, which is an alert of its own.
    pub inhibited: bool,
    /// The silence that mutes it.
    pub silenced: Option<SilenceId>,
    /// Somebody knows.
    pub acknowledged: Option<Acknowledgement>,
    /// The busiest processes of the moment it last got worse, at most three.
    pub culprits: Vec<Culprit>,
}

impl Alert {
    /// Whether it counts as firing: firing, about to recover, or firing when its data went missing.
    #[must_use]
    pub fn is_firing(&self) -> bool {
        match self.phase {
            Phase::Firing | Phase::Recovering => true,
            Phase::NoData => self.fired.is_some(),
            Phase::Inactive | Phase::Pending | Phase::Resolved => false,
        }
    }

    /// Whether nobody is to be told of it: inhibited, silenced, or acknowledged at this severity or a worse one.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        let is_known = |known: &Acknowledgement| known.severity >= self.severity;
        self.inhibited || self.silenced.is_some() || self.acknowledged.as_ref().is_some_and(is_known)
    }
}

/// One step of an alert. There is at most one per alert, moment, phase and severity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Whose.
    pub key: AlertKey,
    /// When: sample time, or the receiver's clock for missing data.
    pub at: UnixMillis,
    /// Where it stood.
    pub from: Phase,
    /// Where it stands.
    pub to: Phase,
    /// How bad it was.
    pub severity_before: Severity,
    /// How bad it is.
    pub severity: Severity,
    /// Why.
    pub cause: Cause,
    /// The value that was judged, always finite; none where there was none.
    pub value: Option<f64>,
    /// The level that it was judged by; none for machine-down.
    pub threshold: Option<f64>,
    /// When the alert began to fire, this time; none before.
    pub fired: Option<UnixMillis>,
    /// The busiest processes of that moment, at most three; known to the alert service only.
    pub culprits: Vec<Culprit>,
}

/// Why an alert took a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The value went beyond the level.
    Crossed,
    /// It stayed there for the rule's hold.
    Held,
    /// It came back before the hold was over.
    Withdrawn,
    /// A worse level has held.
    Worsened,
    /// The worst level is cleared, a lesser one is not.
    Eased,
    /// The value went beyond the clear level.
    Cleared,
    /// It stayed there for the rule's clear hold.
    ClearHeld,
    /// It went beyond the trigger again before that.
    Relapsed,
    /// No samples come.
    DataMissing,
    /// Samples come again.
    DataBack,
    /// The machine is not heard of.
    MachineSilent,
    /// The machine is heard of again.
    MachineBack,
    /// The rule was changed, switched off or removed, or does not cover the entity any more.
    RuleChanged,
}

impl Cause {
    /// All causes with the word used in JSON and in the database.
    pub const WORDS: [(Self, &'static str); 13] = [
        (Self::Crossed, "crossed"),
        (Self::Held, "held"),
        (Self::Withdrawn, "withdrawn"),
        (Self::Worsened, "worsened"),
        (Self::Eased, "eased"),
        (Self::Cleared, "cleared"),
        (Self::ClearHeld, "clear_held"),
        (Self::Relapsed, "relapsed"),
        (Self::DataMissing, "data_missing"),
        (Self::DataBack, "data_back"),
        (Self::MachineSilent, "machine_silent"),
        (Self::MachineBack, "machine_back"),
        (Self::RuleChanged, "rule_changed"),
    ];

    /// The word used in JSON and in the database.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(cause, _)| *cause == self)
            .map_or("crossed", |(_, word)| word)
    }
}

/// A process that was busy when an alert got worse. All texts are remote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Culprit {
    /// Its pid.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// Processor time, 100 per core.
    pub cpu_percent: f64,
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
}
