//! How machines fared by their alerts, step by step out of the log.
//!
//! A machine is as bad as the worst of its alerts that fires. What was silenced or acknowledged then is not in the log, so
//! unlike in the present nothing counts less for it.

use std::collections::{HashMap, HashSet, VecDeque};

use sysmon_core::alert::{AlertKey, Phase, Severity, Transition};
use sysmon_core::{Health, MachineId, UnixMillis};

/// Alerts as they stand at the moment shown.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// By machine, only those that count.
    firing: HashMap<MachineId, HashMap<AlertKey, Severity>>,
    /// Steps that are still to be taken, oldest first.
    to_come: VecDeque<Transition>,
}

impl Standing {
    /// Adds steps that come after those that are there.
    pub(super) fn extend(&mut self, steps: Vec<Transition>) {
        self.to_come.extend(steps);
        // In the log they stand as they were written down, which may be a little later than they were.
        self.to_come.make_contiguous().sort_by_key(|step| step.at);
    }

    /// Takes the steps up to a moment; returns how the machines fare that they are about.
    pub(super) fn advance(&mut self, at: UnixMillis) -> Vec<(MachineId, Health)> {
        let mut touched = HashSet::new();
        while self.to_come.front().is_some_and(|step| step.at <= at) {
            let Some(step) = self.to_come.pop_front() else {
                break;
            };
            let machine = step.key.machine.clone();
            let firing = self.firing.entry(machine.clone()).or_default();
            match weight(&step) {
                Some(severity) => firing.insert(step.key, severity),
                None => firing.remove(&step.key),
            };
            if firing.is_empty() {
                self.firing.remove(&machine);
            }
            touched.insert(machine);
        }
        let health = |machine: MachineId| {
            let health = self.of(&machine);
            (machine, health)
        };
        touched.into_iter().map(health).collect()
    }

    fn of(&self, machine: &MachineId) -> Health {
        let worst = self.firing.get(machine).into_iter().flat_map(HashMap::values);
        worst.fold(Health::Healthy, |worst, severity| match (worst, severity) {
            (Health::Critical, _) | (_, Severity::Critical) => Health::Critical,
            (_, Severity::Warning | Severity::Info) => Health::Warning,
        })
    }
}

/// As what an alert counts after a step; none when it does not.
fn weight(step: &Transition) -> Option<Severity> {
    let is_firing = match step.to {
        Phase::Firing | Phase::Recovering => true,
        Phase::NoData => step.fired.is_some(),
        Phase::Inactive | Phase::Pending | Phase::Resolved => false,
    };
    Some(step.severity).filter(|severity| is_firing && *severity != Severity::Info)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::alert::{Cause, RuleId};

    fn step(rule: &str, at: i64, to: Phase, severity: Severity) -> Transition {
        Transition {
            key: AlertKey {
                rule: RuleId::parse(rule).unwrap(),
                machine: MachineId::parse("web-1").unwrap(),
                entity: "".into(),
            },
            at: UnixMillis(at),
            from: Phase::Inactive,
            to,
            severity_before: severity,
            severity,
            cause: Cause::Held,
            value: None,
            threshold: None,
            fired: None,
            culprits: Vec::new(),
        }
    }

    #[test]
    fn a_machine_is_as_bad_as_the_worst_alert_that_fired_then() {
        let mut standing = Standing::default();
        standing.extend(vec![
            step("disk", 10, Phase::Firing, Severity::Warning),
            step("cpu", 30, Phase::Firing, Severity::Critical),
            // Written down late.
            step("note", 20, Phase::Firing, Severity::Info),
            step("cpu", 40, Phase::Recovering, Severity::Critical),
            step("cpu", 50, Phase::Resolved, Severity::Critical),
            step("disk", 60, Phase::Resolved, Severity::Warning),
        ]);
        let mut health = |at| {
            let told = standing.advance(UnixMillis(at));
            told.first().map(|(_, health)| *health)
        };
        assert_eq!(health(9), None, "nothing has happened");
        assert_eq!(health(10), Some(Health::Warning));
        assert_eq!(health(20), Some(Health::Warning), "a note counts for nothing");
        assert_eq!(health(35), Some(Health::Critical));
        assert_eq!(health(40), Some(Health::Critical), "about to recover");
        assert_eq!(health(59), Some(Health::Warning));
        assert_eq!(health(1_000), Some(Health::Healthy));
        assert_eq!(health(2_000), None);
    }
}
