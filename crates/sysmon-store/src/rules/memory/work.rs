//! What alert services keep, in maps.

use std::cmp::Reverse;

use bytes::Bytes;
use sysmon_core::alert::Transition;

use super::{LOG_MAX, State, Step};
use crate::rules::check::{CheckedNotifierWork, CheckedWork, Kept, limit};
use crate::rules::lease::now_ms;
use crate::rules::{
    Delivery, DeliveryState, Lease, LoggedTransition, Notifier, Shard, TransitionQuery, shard_of,
};

fn step(transition: &Transition) -> Step {
    (
        transition.key.clone(),
        transition.at,
        transition.to,
        transition.severity,
    )
}

impl State {
    pub(super) fn shard(&self, shard: u32) -> Shard {
        let states = self
            .states
            .iter()
            .filter(|(machine, _)| shard_of(machine) == shard);
        let alerts = self
            .alerts
            .values()
            .filter(|alert| shard_of(&alert.key.machine) == shard);
        Shard {
            states: states
                .map(|(machine, (state, _))| (machine.clone(), state.clone()))
                .collect(),
            alerts: alerts.cloned().collect(),
        }
    }

    fn is_current(&self, lease: &Lease) -> bool {
        let held = self.leases.get(&lease.work);
        held.is_some_and(|held| held.fence == lease.fence)
    }

    pub(super) fn save_shard(&mut self, lease: &Lease, work: &CheckedWork<'_>) -> bool {
        if !self.is_current(lease) {
            return false;
        }
        for transition in work.transitions {
            if self.steps.insert(step(transition)) {
                self.last_step += 1;
                self.log.insert(self.last_step, transition.clone());
            }
        }
        while self.log.len() > LOG_MAX {
            let Some((_, oldest)) = self.log.pop_first() else {
                break;
            };
            self.steps.remove(&step(&oldest));
        }
        for key in &work.gone {
            self.alerts.remove(*key);
            self.acknowledgements.remove(*key);
        }
        for (key, alert) in &work.alerts {
            self.alerts.insert((*key).clone(), (*alert).clone());
        }
        let now = now_ms();
        for machine in &work.forgotten {
            self.states.remove(*machine);
        }
        for (machine, state) in &work.states {
            self.states.insert((*machine).clone(), ((*state).clone(), now));
        }
        true
    }

    pub(super) fn transitions(&self, query: &TransitionQuery) -> Vec<LoggedTransition> {
        let is_meant = |transition: &Transition| {
            (query.machines.is_empty() || query.machines.contains(&transition.key.machine))
                && (query.rules.is_empty() || query.rules.contains(&transition.key.rule))
                && query.from.is_none_or(|from| transition.at >= from)
                && query.to.is_none_or(|to| transition.at < to)
        };
        let logged = |(id, transition): (&i64, &Transition)| LoggedTransition {
            id: *id,
            transition: transition.clone(),
        };
        let most = limit(query.limit) as usize;
        if query.oldest_first {
            let beyond = query.before.map_or(i64::MIN, |before| before.saturating_add(1));
            let newer = self.log.range(beyond..);
            let meant = newer.filter(|(_, transition)| is_meant(transition));
            return meant.take(most).map(logged).collect();
        }
        let older = self.log.range(..query.before.unwrap_or(i64::MAX)).rev();
        let meant = older.filter(|(_, transition)| is_meant(transition));
        meant.take(most).map(logged).collect()
    }

    pub(super) fn notifier(&mut self) -> Notifier {
        let read = *self.read.get_or_insert(self.last_step);
        let pending = self.deliveries.values();
        let groups = self.groups.iter();
        Notifier {
            read,
            groups: groups.map(|(key, state)| (key.clone(), state.clone())).collect(),
            pending: pending
                .filter(|delivery| delivery.state == DeliveryState::Pending)
                .cloned()
                .collect(),
        }
    }

    pub(super) fn save_notifier(&mut self, lease: &Lease, work: &CheckedNotifierWork<'_>) -> bool {
        if !self.is_current(lease) {
            return false;
        }
        if let Some(read) = work.read {
            self.read = Some(read);
        }
        for (key, state) in &work.groups {
            if state.is_empty() {
                self.groups.remove(*key);
            } else {
                self.groups.insert((*key).to_owned(), Bytes::clone(state));
            }
        }
        for (id, delivery) in &work.deliveries {
            self.deliveries.insert((*id).to_owned(), (*delivery).clone());
        }
        true
    }

    pub(super) fn deliveries(&self, state: Option<DeliveryState>, limit: u32) -> Vec<Delivery> {
        let meant = self.deliveries.values();
        let mut meant: Vec<Delivery> = meant
            .filter(|delivery| state.is_none_or(|state| delivery.state == state))
            .cloned()
            .collect();
        meant.sort_by(|one, other| {
            (Reverse(one.created), Reverse(&one.id)).cmp(&(Reverse(other.created), Reverse(&other.id)))
        });
        meant.truncate(limit as usize);
        meant
    }

    pub(super) fn maintain(&mut self, kept: Kept) {
        let steps = &mut self.steps;
        self.log.retain(|_, transition| {
            let stays = transition.at.0 >= kept.log_from;
            if !stays {
                steps.remove(&step(transition));
            }
            stays
        });
        let is_open = |delivery: &Delivery| delivery.state == DeliveryState::Pending;
        self.deliveries
            .retain(|_, delivery| is_open(delivery) || delivery.due.0 >= kept.finished_from);
        self.silences
            .retain(|_, silence| silence.until.0 >= kept.finished_from);
        self.audit.retain(|_, entry| entry.author.at.0 >= kept.audit_from);
        let alerts = &self.alerts;
        self.states.retain(|machine, (_, saved)| {
            *saved >= kept.log_from || alerts.keys().any(|key| key.machine == *machine)
        });
        self.acknowledgements
            .retain(|key, said| said.at.0 >= kept.orphans_from || alerts.contains_key(key));
    }
}
