//! How machines fare where alerts judge: each as the worst of its alerts, or well.
//!
//! A machine that has no alert is well for as long as something is heard of it; of one that is lost nothing is known. An
//! alert counts whether or not the machine is heard of: that a machine is down is one. Where no alert service says that it
//! works, alerts say nothing, and the machines' own numbers judge.

use std::sync::Arc;

use sysmon_core::alert::{Alert, RuleId, Severity};
use sysmon_core::filter::AlertFacts;
use sysmon_core::{Health, Liveness, MachineId};

use super::machine::Machine;
use super::{Fleet, Moment};

/// What is wrong on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Which machine.
    pub machine: MachineId,
    /// As bad as the worst of its alerts, with what is muted one step quieter.
    pub health: Health,
    /// What fires or is about to, each kind once.
    pub alerts: Arc<[AlertMark]>,
}

/// What filters are told of an alert. The entity is left out: a machine with a hundred full disks has one mark.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertMark {
    rule: RuleId,
    severity: Severity,
    is_firing: bool,
    is_acknowledged: bool,
    is_silenced: bool,
}

impl AlertMark {
    /// The mark of an alert that fires or is pending; none of any other.
    #[must_use]
    pub fn of(alert: &Alert) -> Option<Self> {
        let facts = AlertFacts::of(alert);
        (facts.is_firing || facts.is_pending).then(|| Self {
            rule: alert.key.rule.clone(),
            severity: facts.severity,
            is_firing: facts.is_firing,
            is_acknowledged: facts.is_acknowledged,
            is_silenced: facts.is_silenced,
        })
    }

    pub(super) fn facts(&self) -> AlertFacts<'_> {
        AlertFacts {
            rule: self.rule.as_str(),
            severity: self.severity,
            is_firing: self.is_firing,
            is_pending: !self.is_firing,
            is_acknowledged: self.is_acknowledged,
            is_silenced: self.is_silenced,
        }
    }
}

/// What alerts say of a machine, whether or not it is known here yet.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    health: Health,
    alerts: Arc<[AlertMark]>,
}

impl Fleet {
    /// Takes over how these machines fare by their alerts; those that were never named are well. From the first time on
    /// alerts judge instead of the machines' own numbers, until none says that nobody evaluates alerts.
    pub fn judge_by_alerts(&mut self, judgements: Option<Vec<Judgement>>, now: Moment) {
        let was_judging = self.alerted.is_some();
        let mut changed = Vec::new();
        match judgements {
            Some(judgements) => changed = self.take_alerted(judgements),
            None => {
                self.alerted = None;
                for machine in &mut self.machines {
                    machine.set_standing(None);
                }
            }
        }
        if was_judging != self.alerted.is_some() {
            changed = (0..u32::try_from(self.machines.len()).unwrap_or(u32::MAX)).collect();
        }
        for number in changed {
            let is_changed = self.judge(number, now);
            self.schedule(number);
            self.rejudge_alerts(number);
            if is_changed {
                self.touch(number);
            }
        }
    }

    /// Returns the numbers of those that are known.
    fn take_alerted(&mut self, judgements: Vec<Judgement>) -> Vec<u32> {
        let alerted = self.alerted.get_or_insert_default();
        let mut changed = Vec::with_capacity(judgements.len());
        for judgement in judgements {
            let Judgement {
                machine,
                health,
                alerts,
            } = judgement;
            let standing = Standing { health, alerts };
            if let Some(number) = self.by_id.get(&machine) {
                self.machines[*number as usize].set_standing(Some(&standing));
                changed.push(*number);
            }
            // Kept for machines that are not known here yet.
            if standing.health == Health::Healthy && standing.alerts.is_empty() {
                alerted.remove(&machine);
            } else {
                alerted.insert(machine, standing);
            }
        }
        changed
    }
}

impl Machine {
    /// Takes over what alerts say of it.
    pub(super) fn set_standing(&mut self, standing: Option<&Standing>) {
        self.alerted = standing.map_or(Health::Healthy, |standing| standing.health);
        self.alerts = standing
            .map(|standing| Arc::clone(&standing.alerts))
            .unwrap_or_default();
    }

    pub(super) fn health_by_alerts(&self) -> Health {
        match (self.alerted, self.liveness) {
            (Health::Healthy, Liveness::Lost) => Health::Unknown,
            (health, _) => health,
        }
    }
}
