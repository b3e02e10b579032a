//! Deliveries that are pending: which is tried next, and what becomes of one that was tried. Pure: every moment is an
//! argument.

mod circuit;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sysmon_core::UnixMillis;
use sysmon_store::{Delivery, DeliveryState};

use crate::failure::Failure;
use crate::message::Message;
use circuit::Circuit;

/// The first wait after a failure, and the longest.
const WAIT_FIRST_MS: u64 = 5_000;
const WAIT_MOST_MS: u64 = 15 * 60_000;
/// After so many attempts, or so long, a delivery is given up.
const ATTEMPTS_MAX: u32 = 24;
const AGE_MAX_MS: u64 = 24 * 3_600_000;
/// When a receiver has failed for so long, its fallback gets its deliveries too.
const FALLBACK_AFTER_MS: u64 = 5 * 60_000;

/// The id of what a text names: 32 hexadecimal digits, the same for ever.
pub(crate) fn id_of(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) delivery: Delivery,
    pub(crate) message: Message,
}

/// What was decided about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sent,
    Again,
    Dead,
}

/// Deliveries that are pending, by id.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pending: BTreeMap<String, Pending>,
    circuits: BTreeMap<String, Circuit>,
    /// Receivers that are being sent to: one message at a time each.
    busy: BTreeSet<String>,
}

impl Outbox {
    /// The most deliveries in memory; further ones stay in the store until there is room.
    pub(crate) const MAX: usize = 10_000;

    /// Takes a delivery in that is pending; returns whether there was room. What is known already stays as it is.
    pub(crate) fn insert(&mut self, delivery: Delivery) -> bool {
        if self.pending.contains_key(&delivery.id) {
            return true;
        }
        if self.pending.len() >= Self::MAX {
            return false;
        }
        if delivery.attempts > 0 {
            // It failed before we came.
            let circuit = self.circuits.entry(delivery.receiver.clone()).or_default();
            circuit.failed_before(delivery.created);
        }
        let message = Message::from_json(&delivery.content);
        let pending = Pending { delivery, message };
        self.pending.insert(pending.delivery.id.clone(), pending);
        true
    }

    pub(crate) fn has_room(&self) -> bool {
        self.pending.len() < Self::MAX / 2
    }

    /// What is to be sent now, at most one per receiver, and what is to be given up without another attempt.
    pub(crate) fn take_due(&mut self, now: UnixMillis) -> Vec<Pending> {
        let heads = self.heads();
        let mut due: BTreeMap<&str, &Pending> = BTreeMap::new();
        for pending in heads {
            let delivery = &pending.delivery;
            let is_open = self
                .circuits
                .get(&delivery.receiver)
                .is_some_and(|circuit| circuit.is_open(now));
            if delivery.due > now || is_open || self.busy.contains(&delivery.receiver) {
                continue;
            }
            let first = due.entry(&delivery.receiver).or_insert(pending);
            if order(delivery) < order(&first.delivery) {
                *first = pending;
            }
        }
        let due: Vec<Pending> = due.into_values().cloned().collect();
        for pending in &due {
            self.busy.insert(pending.delivery.receiver.clone());
        }
        due
    }

    /// The oldest delivery of each receiver and rule: a recovery does not overtake what it ends.
    fn heads(&self) -> Vec<&Pending> {
        let mut heads: BTreeMap<(&str, &str), &Pending> = BTreeMap::new();
        for pending in self.pending.values() {
            let rule = match pending.message.rule.id.as_str() {
                "" => pending.delivery.id.as_str(),
                rule => rule,
            };
            let head = heads.entry((&pending.delivery.receiver, rule)).or_insert(pending);
            if age(&pending.delivery) < age(&head.delivery) {
                *head = pending;
            }
        }
        heads.into_values().collect()
    }

    /// When something is due next; none while all receivers that have something are busy.
    pub(crate) fn next_due(&self) -> Option<UnixMillis> {
        let of = |pending: &&Pending| {
            let receiver = &pending.delivery.receiver;
            if self.busy.contains(receiver) {
                return None;
            }
            let closed = self
                .circuits
                .get(receiver)
                .and_then(|circuit| circuit.opened_until());
            Some(closed.map_or(pending.delivery.due, |closed| closed.max(pending.delivery.due)))
        };
        self.heads().iter().filter_map(of).min()
    }

    /// Takes note of what became of an attempt; returns the delivery as it is now, and what was decided. `chance` is
    /// from 0 to 1.
    pub(crate) fn finish(
        &mut self,
        id: &str,
        result: Result<(), Failure>,
        now: UnixMillis,
        chance: f64,
    ) -> Option<(Delivery, Verdict)> {
        let pending = self.pending.get_mut(id)?;
        let delivery = &mut pending.delivery;
        self.busy.remove(&delivery.receiver);
        let circuit = self.circuits.entry(delivery.receiver.clone()).or_default();
        delivery.attempts = delivery.attempts.saturating_add(1);
        let verdict = match result {
            Ok(()) => {
                circuit.succeeded();
                delivery.state = DeliveryState::Sent;
                delivery.due = now;
                delivery.problem = String::new();
                Verdict::Sent
            }
            Err(failure) => {
                circuit.failed(now, &failure, chance);
                let is_over = failure.is_final
                    || delivery.attempts >= ATTEMPTS_MAX
                    || now.since_ms(delivery.created) >= AGE_MAX_MS;
                delivery.problem.clone_from(&failure.problem);
                if is_over {
                    delivery.state = DeliveryState::Dead;
                    delivery.due = now;
                    Verdict::Dead
                } else {
                    let wait = failure
                        .retry_after
                        .map_or_else(|| wait_ms(delivery.attempts, chance), milliseconds);
                    delivery.due = later(now, wait);
                    Verdict::Again
                }
            }
        };
        let delivery = delivery.clone();
        if verdict != Verdict::Again {
            self.pending.remove(id);
        }
        Some((delivery, verdict))
    }

    /// An attempt ended without a result: it counts as none.
    pub(crate) fn abandon(&mut self, receiver: &str) {
        self.busy.remove(receiver);
    }

    /// What the fallbacks of receivers that have failed for long are to have too: deliveries as they are now, marked, and
    /// copies.
    pub(crate) fn hand_over(
        &mut self,
        now: UnixMillis,
        fallback_of: impl Fn(&str) -> Option<String>,
    ) -> Vec<Delivery> {
        let mut changed = Vec::new();
        for pending in self.pending.values_mut() {
            let receiver = &pending.delivery.receiver;
            let fails = self
                .circuits
                .get(receiver)
                .and_then(Circuit::failing_since)
                .is_some_and(|since| now.since_ms(since) >= FALLBACK_AFTER_MS);
            if !fails || !pending.message.handed_to.is_empty() {
                continue;
            }
            if let Some(fallback) = fallback_of(receiver) {
                changed.push(copy_for(pending, &fallback, now));
                pending.message.handed_to = fallback;
                pending.delivery.content = pending.message.to_json();
                changed.push(pending.delivery.clone());
            }
        }
        changed
    }

    /// Whether it was handed over, as far as it is still known.
    pub(crate) fn get(&self, id: &str) -> Option<&Pending> {
        self.pending.get(id)
    }
}

/// The same for another receiver. Its id is that of the original and the receiver, so that it is made once.
pub(crate) fn copy_for(pending: &Pending, fallback: &str, now: UnixMillis) -> Delivery {
    let message = Message {
        receiver: fallback.to_owned(),
        instead_of: pending.delivery.receiver.clone(),
        handed_to: String::new(),
        ..pending.message.clone()
    };
    Delivery {
        id: id_of(&format!("{}\n{fallback}", pending.delivery.id)),
        receiver: fallback.to_owned(),
        content: message.to_json(),
        created: now,
        state: DeliveryState::Pending,
        attempts: 0,
        due: now,
        problem: String::new(),
    }
}

fn order(delivery: &Delivery) -> (UnixMillis, UnixMillis, &str) {
    (delivery.due, delivery.created, &delivery.id)
}

fn age(delivery: &Delivery) -> (UnixMillis, &str) {
    (delivery.created, &delivery.id)
}

/// How long to wait after so many failures: each wait is twice the one before, and of it between half and all.
fn wait_ms(failures: u32, chance: f64) -> u64 {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = (WAIT_FIRST_MS << doublings).min(WAIT_MOST_MS);
    (whole as f64 * (0.5 + 0.5 * chance.clamp(0.0, 1.0))) as u64
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn later(moment: UnixMillis, ms: u64) -> UnixMillis {
    moment.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX))
}
