//! How machines fare by their alerts.
//!
//! A machine is as bad as the worst of its alerts that fires. What is pending or a note does not count, and what is muted
//! counts one step quieter: a critical alert that somebody knows of is a warning, a warning that somebody knows of is
//! none. So a machine does not look well only because somebody silenced what is critical, and yet comes after those that
//! nobody looks after.

use std::collections::{BTreeMap, HashMap, HashSet};

use sysmon_core::alert::{Alert, Severity};
use sysmon_core::{Health, MachineId};

use crate::fleet::{AlertMark, Judgement};

/// The worst of every machine's alerts, and what filters can ask of them, kept up alert by alert.
#[derive(Debug, Default)]
pub(super) struct Worst {
    /// Only machines that have something that counts.
    standings: HashMap<MachineId, Standing>,
    /// Machines of which something may have changed since it was last asked for.
    touched: HashSet<MachineId>,
}

#[derive(Clone, Debug, Default)]
struct Standing {
    warning: u32,
    critical: u32,
    /// How many alerts have each mark.
    marks: BTreeMap<AlertMark, u32>,
}

impl Worst {
    /// An alert was `before` and is `after`.
    pub(super) fn replace(&mut self, before: Option<&Alert>, after: Option<&Alert>) {
        let Some(machine) = before.or(after).map(|alert| &alert.key.machine) else {
            return;
        };
        let of = |alert: Option<&Alert>| (alert.and_then(weight), alert.and_then(AlertMark::of));
        let (before, after) = (of(before), of(after));
        if before == after {
            return;
        }
        let standing = self.standings.entry(machine.clone()).or_default();
        if let Some(weight) = before.0 {
            *standing.count_of(weight) -= 1;
        }
        if let Some(weight) = after.0 {
            *standing.count_of(weight) += 1;
        }
        if let Some(mark) = before.1 {
            standing.remove_mark(&mark);
        }
        if let Some(mark) = after.1 {
            *standing.marks.entry(mark).or_default() += 1;
        }
        // What counts has a mark.
        if standing.marks.is_empty() {
            self.standings.remove(machine);
        }
        self.touched.insert(machine.clone());
    }

    /// How the machines fare of which something may have changed since this was last called.
    pub(super) fn take(&mut self) -> Vec<Judgement> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().map(|machine| self.of(machine)).collect()
    }

    fn of(&self, machine: MachineId) -> Judgement {
        let standing = self.standings.get(&machine);
        Judgement {
            machine,
            health: match standing {
                Some(standing) if standing.critical > 0 => Health::Critical,
                Some(standing) if standing.warning > 0 => Health::Warning,
                _ => Health::Healthy,
            },
            alerts: standing
                .into_iter()
                .flat_map(|standing| standing.marks.keys().cloned())
                .collect(),
        }
    }
}

impl Standing {
    fn count_of(&mut self, severity: Severity) -> &mut u32 {
        match severity {
            Severity::Critical => &mut self.critical,
            Severity::Warning | Severity::Info => &mut self.warning,
        }
    }

    fn remove_mark(&mut self, mark: &AlertMark) {
        if let Some(count) = self.marks.get_mut(mark) {
            *count -= 1;
            if *count == 0 {
                self.marks.remove(mark);
            }
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
            worst.of(alert.key.machine.clone()).health
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
        let told = |worst: &mut Worst| {
            let judgements = worst.take().into_iter();
            judgements
                .map(|judgement| {
                    (
                        judgement.machine.to_string(),
                        judgement.health,
                        judgement.alerts.len(),
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&mut worst), [("a".into(), Health::Critical, 2)]);
        worst.replace(Some(&warning), Some(&warning));
        assert_eq!(told(&mut worst), []);
        // What somebody knows of is told, although it changes how the machine fares only for a warning.
        let mut known = critical.clone();
        known.silenced = Some(SilenceId(1));
        worst.replace(Some(&critical), Some(&known));
        assert_eq!(told(&mut worst), [("a".into(), Health::Warning, 2)]);
        // Another disk of the same rule is no other mark.
        let mut second = warning.clone();
        second.key.entity = "/srv".into();
        worst.replace(None, Some(&second));
        assert_eq!(told(&mut worst), [("a".into(), Health::Warning, 2)]);
        worst.replace(Some(&second), None);
        worst.replace(Some(&known), None);
        assert_eq!(told(&mut worst), [("a".into(), Health::Warning, 1)]);
        let pending = alert("disk", "a", Phase::Pending, Severity::Warning);
        worst.replace(Some(&warning), Some(&pending));
        assert_eq!(told(&mut worst), [("a".into(), Health::Healthy, 1)]);
        worst.replace(Some(&pending), None);
        assert_eq!(told(&mut worst), [("a".into(), Health::Healthy, 0)]);
        assert!(worst.standings.is_empty());
    }
}
