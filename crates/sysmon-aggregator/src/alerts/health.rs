//! How machines fare by their alerts.
//!
//! A machine is as bad as the worst of its alerts that fires. What is pending or a note does not count, and what is muted
//! counts one step quieter: a critical alert that somebody knows of is a warning, a warning that somebody knows of is
//! none. So a machine does not look well only because somebody silenced what is critical, and yet comes after those that
//! nobody looks after.

use std::collections::{HashMap, HashSet};

use sysmon_core::alert::{Alert, Severity};
use sysmon_core::{Health, MachineId};

/// The worst of every machine's alerts, kept up alert by alert.
#[derive(Debug, Default)]
pub(super) struct Worst {
    /// Only machines that have something that counts.
    counts: HashMap<MachineId, Counts>,
    /// Machines whose health may have changed since it was last asked for.
    touched: HashSet<MachineId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    warning: u32,
    critical: u32,
}

impl Worst {
    /// An alert was `before` and is `after`.
    pub(super) fn replace(&mut self, before: Option<&Alert>, after: Option<&Alert>) {
        let Some(machine) = before.or(after).map(|alert| &alert.key.machine) else {
            return;
        };
        let (before, after) = (before.and_then(weight), after.and_then(weight));
        if before == after {
            return;
        }
        let counts = self.counts.entry(machine.clone()).or_default();
        if let Some(before) = before {
            *counts.of(before) -= 1;
        }
        if let Some(after) = after {
            *counts.of(after) += 1;
        }
        if counts.warning == 0 && counts.critical == 0 {
            self.counts.remove(machine);
        }
        self.touched.insert(machine.clone());
    }

    /// How the machines fare that may have changed since this was last called.
    pub(super) fn take(&mut self) -> Vec<(MachineId, Health)> {
        let touched = std::mem::take(&mut self.touched);
        touched
            .into_iter()
            .map(|machine| {
                let health = self.of(&machine);
                (machine, health)
            })
            .collect()
    }

    fn of(&self, machine: &MachineId) -> Health {
        match self.counts.get(machine) {
            None => Health::Healthy,
            Some(counts) if counts.critical > 0 => Health::Critical,
            Some(_) => Health::Warning,
        }
    }
}

impl Counts {
    fn of(&mut self, severity: Severity) -> &mut u32 {
        match severity {
            Severity::Critical => &mut self.critical,
            Severity::Warning | Severity::Info => &mut self.warning,
        }
    }
}

/// As what an alert counts; `None` when it does not.
fn weight(alert: &Alert) -> Option<Severity> {
    if !alert.is_firing() {
        return None;
    }
    match (alert.severity, alert.is_muted()) {
        (Severity::Critical, false) => Some(Severity::Critical),
        (Severity::Critical, true) | (Severity::Warning, false) => Some(Severity::Warning),
        (Severity::Warning, true) | (Severity::Info, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::board::tests::alert;
    use sysmon_core::alert::{Phase, SilenceId};

    #[test]
    fn a_machine_is_as_bad_as_the_worst_that_fires_and_what_is_muted_counts_one_step_quieter() {
        use Severity::{Critical, Info, Warning};
        let health = |phase, severity, is_muted: bool| {
            let mut alert = alert("cpu", "a", phase, severity);
            alert.silenced = is_muted.then_some(SilenceId(1));
            let mut worst = Worst::default();
            worst.replace(None, Some(&alert));
            worst.of(&alert.key.machine)
        };
        for (phase, severity, is_muted, expected) in [
            (Phase::Firing, Critical, false, Health::Critical),
            (Phase::Firing, Critical, true, Health::Warning),
            (Phase::Firing, Warning, false, Health::Warning),
            (Phase::Firing, Warning, true, Health::Healthy),
            (Phase::Firing, Info, false, Health::Healthy),
            (Phase::Recovering, Critical, false, Health::Critical),
            (Phase::Pending, Critical, false, Health::Healthy),
            (Phase::Resolved, Critical, false, Health::Healthy),
            (Phase::NoData, Critical, false, Health::Critical),
        ] {
            assert_eq!(
                health(phase, severity, is_muted),
                expected,
                "{phase:?} {severity:?} {is_muted}"
            );
        }
    }

    #[test]
    fn only_machines_that_may_have_changed_are_told() {
        let mut worst = Worst::default();
        let critical = alert("cpu", "a", Phase::Firing, Severity::Critical);
        let warning = alert("disk", "a", Phase::Firing, Severity::Warning);
        worst.replace(None, Some(&critical));
        worst.replace(None, Some(&warning));
        let machine = critical.key.machine.clone();
        assert_eq!(worst.take(), [(machine.clone(), Health::Critical)]);
        worst.replace(Some(&warning), Some(&warning));
        assert_eq!(worst.take(), []);
        worst.replace(Some(&critical), None);
        assert_eq!(worst.take(), [(machine.clone(), Health::Warning)]);
        worst.replace(Some(&warning), None);
        assert_eq!(worst.take(), [(machine, Health::Healthy)]);
        assert!(worst.counts.is_empty());
    }
}
