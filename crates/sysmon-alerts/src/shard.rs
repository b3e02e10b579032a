//! One shard of machines that is ours, and what of its work is not stored yet.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sysmon_core::MachineId;
use sysmon_core::alert::{Alert, AlertKey, Phase, Transition};
use sysmon_store::{Lease, ShardWork};

use crate::judge::{Judge, Outcome};

/// The most transitions of a shard that wait for a store that is down.
const WAITING_MAX: usize = 10_000;

#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) lease: Lease,
    pub(crate) machines: BTreeMap<MachineId, Judge>,
    pub(crate) work: Waiting,
}

/// What is to be stored.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    pub(crate) transitions: Vec<Step>,
    pub(crate) alerts: BTreeMap<AlertKey, Alert>,
    pub(crate) states: BTreeMap<MachineId, Bytes>,
    pub(crate) forgotten: BTreeSet<MachineId>,
    /// Transitions that had no place while the store was down.
    pub(crate) dropped: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) transition: Transition,
    /// Others were told, although it was not stored.
    pub(crate) is_told: bool,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.transitions.is_empty()
            && self.alerts.is_empty()
            && self.states.is_empty()
            && self.forgotten.is_empty()
    }

    pub(crate) fn add(&mut self, outcome: Outcome) {
        let steps = outcome.transitions.into_iter().map(|transition| Step {
            transition,
            is_told: false,
        });
        self.transitions.extend(steps);
        for alert in outcome.alerts {
            self.alerts.insert(alert.key.clone(), alert);
        }
        self.bound();
    }

    /// Puts back what could not be stored; what came meanwhile is newer.
    pub(crate) fn put_back(&mut self, older: Self) {
        let newer = std::mem::replace(self, older);
        self.transitions.extend(newer.transitions);
        self.alerts.extend(newer.alerts);
        self.states.extend(newer.states);
        self.forgotten.extend(newer.forgotten);
        self.dropped += newer.dropped;
        self.bound();
    }

    /// Drops the oldest steps of what does not fire, then the oldest at all. How alerts stand is never dropped.
    fn bound(&mut self) {
        let over = self.transitions.len().saturating_sub(WAITING_MAX);
        if over == 0 {
            return;
        }
        let fires = |step: &Step| matches!(step.transition.to, Phase::Firing | Phase::Resolved);
        let mut left = over;
        for spares_firing in [true, false] {
            self.transitions.retain(|step| {
                let drops = left > 0 && !(spares_firing && fires(step));
                left -= usize::from(drops);
                !drops
            });
        }
        self.dropped += over;
    }

    /// As the store takes it.
    pub(crate) fn to_work(&self) -> ShardWork {
        let (gone, alerts): (Vec<&Alert>, Vec<&Alert>) = self
            .alerts
            .values()
            .partition(|alert| alert.phase == Phase::Inactive);
        ShardWork {
            transitions: self
                .transitions
                .iter()
                .map(|step| step.transition.clone())
                .collect(),
            alerts: alerts.into_iter().cloned().collect(),
            gone: gone.into_iter().map(|alert| alert.key.clone()).collect(),
            states: self
                .states
                .iter()
                .map(|(machine, state)| (machine.clone(), state.clone()))
                .collect(),
            forgotten: self.forgotten.iter().cloned().collect(),
        }
    }

    /// The same, machine by machine: so that what cannot be stored of one keeps nothing of the others.
    pub(crate) fn by_machine(self) -> BTreeMap<MachineId, Self> {
        let mut parts: BTreeMap<MachineId, Self> = BTreeMap::new();
        for step in self.transitions {
            let part = parts.entry(step.transition.key.machine.clone()).or_default();
            part.transitions.push(step);
        }
        for (key, alert) in self.alerts {
            let part = parts.entry(key.machine.clone()).or_default();
            part.alerts.insert(key, alert);
        }
        for (machine, state) in self.states {
            let part = parts.entry(machine.clone()).or_default();
            part.states.insert(machine, state);
        }
        for machine in self.forgotten {
            let part = parts.entry(machine.clone()).or_default();
            part.forgotten.insert(machine);
        }
        parts
    }
}
