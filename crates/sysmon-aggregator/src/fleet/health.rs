//! How machines fare where alerts judge: each as the worst of its alerts, or well.
//!
//! A machine that has no alert is well for as long as something is heard of it; of one that is lost nothing is known. An
//! alert counts whether or not the machine is heard of: that a machine is down is one. Where no alert service says that it
//! works, alerts say nothing, and the machines' own numbers judge.

use sysmon_core::{Health, Liveness, MachineId};

use super::machine::Machine;
use super::{Fleet, Moment};

impl Fleet {
    /// Takes over how these machines fare by their alerts; those that were never named are well. From the first time on
    /// alerts judge instead of the machines' own numbers, until none says that nobody evaluates alerts.
    pub fn judge_by_alerts(&mut self, health: Option<Vec<(MachineId, Health)>>, now: Moment) {
        let was_judging = self.alerted.is_some();
        let mut changed = Vec::new();
        match health {
            Some(health) => changed = self.take_alerted(health),
            None => {
                self.alerted = None;
                for machine in &mut self.machines {
                    machine.alerted = Health::Healthy;
                }
            }
        }
        if was_judging != self.alerted.is_some() {
            changed = (0..u32::try_from(self.machines.len()).unwrap_or(u32::MAX)).collect();
        }
        for number in changed {
            let is_changed = self.judge(number, now);
            self.schedule(number);
            if is_changed {
                self.touch(number);
            }
        }
    }

    /// Returns the numbers of those that are known.
    fn take_alerted(&mut self, health: Vec<(MachineId, Health)>) -> Vec<u32> {
        let alerted = self.alerted.get_or_insert_default();
        let mut changed = Vec::with_capacity(health.len());
        for (machine, health) in health {
            if let Some(number) = self.by_id.get(&machine) {
                self.machines[*number as usize].alerted = health;
                changed.push(*number);
            }
            // Kept for machines that are not known here yet.
            match health {
                Health::Healthy => alerted.remove(&machine),
                _ => alerted.insert(machine, health),
            };
        }
        changed
    }
}

impl Machine {
    pub(super) fn health_by_alerts(&self) -> Health {
        match (self.alerted, self.liveness) {
            (Health::Healthy, Liveness::Lost) => Health::Unknown,
            (health, _) => health,
        }
    }
}
