//! What every back end refuses, so that all refuse the same; and what work looks like before it is stored.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::de::IgnoredAny;
use sysmon_core::alert::{
    Acknowledgement, Alert, AlertKey, Culprit, Matcher, Phase, Rule, Silence, SilenceId, Transition,
};
use sysmon_core::{MachineId, UnixMillis};

use super::words::{Change, to_json};
use super::{
    Author, Delivery, DeliveryState, Lease, NewSilence, NotifierWork, ShardWork, TransitionQuery, Work,
    shard_of,
};
use crate::error::StoreError;
use crate::history::plan::TIME_LIMIT_MS;

/// The most bytes of a name: of an author, a holder, a receiver.
const NAME_BYTES_MAX: usize = 256;
/// The most bytes of what names something in an index: PostgreSQL's take 2,704 in all.
const KEY_BYTES_MAX: usize = 2_048;
/// The most bytes of a text that somebody writes.
const TEXT_BYTES_MAX: usize = 64 * 1_024;
/// The most bytes of a rule, a matcher, a message, a state.
const VALUE_BYTES_MAX: usize = 1_024 * 1_024;
/// The earliest moment that every database can keep: PostgreSQL's first, 4713 BC.
const TIME_MINIMUM_MS: i64 = -210_866_803_200_000;
/// The most rows of one answer.
const ROWS_MAX: u32 = 10_000;
/// The longest lease, in milliseconds.
const LEASE_MS_MAX: u64 = 86_400_000;

fn refused(text: String) -> StoreError {
    StoreError::rejected(text)
}

fn text(what: &str, text: &str, most: usize) -> Result<(), StoreError> {
    if text.len() > most {
        return Err(refused(format!(
            "{what} has {} bytes; shorten it to {most}",
            text.len()
        )));
    }
    if text.contains('\0') {
        return Err(refused(format!(
            "{what} has a NUL character, which cannot be stored; remove it"
        )));
    }
    Ok(())
}

fn name(what: &str, name: &str) -> Result<(), StoreError> {
    if name.is_empty() {
        return Err(refused(format!("{what} is empty; give it")));
    }
    text(what, name, NAME_BYTES_MAX)
}

fn value(what: &str, bytes: usize) -> Result<(), StoreError> {
    if bytes > VALUE_BYTES_MAX {
        return Err(refused(format!(
            "{what} has {bytes} bytes; at most {VALUE_BYTES_MAX} are kept"
        )));
    }
    Ok(())
}

fn moment(what: &str, at: UnixMillis) -> Result<(), StoreError> {
    if !(TIME_MINIMUM_MS..=TIME_LIMIT_MS).contains(&at.0) {
        return Err(refused(format!(
            "{what} is no time between 4713 BC and the year 275,760 ({} ms); correct it",
            at.0
        )));
    }
    Ok(())
}

fn number(what: &str, number: Option<f64>) -> Result<(), StoreError> {
    if number.is_some_and(|number| !number.is_finite()) {
        return Err(refused(format!("{what} is not finite; leave it out")));
    }
    Ok(())
}

pub(super) fn author(author: &Author) -> Result<(), StoreError> {
    name("the author's name", &author.name)?;
    moment("the author's moment", author.at)
}

/// The rule as JSON, which has all of it.
pub(super) fn rule(rule: &Rule) -> Result<String, StoreError> {
    text("the rule's title", &rule.title, TEXT_BYTES_MAX)?;
    text("the rule's note", &rule.note, TEXT_BYTES_MAX)?;
    let json = to_json(rule)?;
    value("the rule", json.len())?;
    // JSON has no infinite numbers, and PostgreSQL's takes no NUL, written as an escape or not.
    let again: Option<Rule> = serde_json::from_str(&json).ok();
    if again.as_ref() != Some(rule) {
        return Err(refused(
            "the rule has a number that is not finite; correct its levels".to_owned(),
        ));
    }
    no_nul("the rule", &json)?;
    Ok(json)
}

/// Whether JSON that we wrote has a NUL in one of its texts.
fn no_nul(what: &str, json: &str) -> Result<(), StoreError> {
    let mut escaped = false;
    for (index, byte) in json.bytes().enumerate() {
        if escaped && json[index..].starts_with("u0000") {
            return text(what, "\0", 1);
        }
        escaped = byte == b'\\' && !escaped;
    }
    Ok(())
}

/// The matcher as JSON.
fn matcher(matcher: &Matcher) -> Result<String, StoreError> {
    let json = to_json(matcher)?;
    value("the silence's matcher", json.len())?;
    no_nul("the silence's matcher", &json)?;
    Ok(json)
}

/// A silence as it would be stored under an id, and its matcher as JSON.
pub(super) fn new_silence(new: &NewSilence, by: &Author) -> Result<(Silence, String), StoreError> {
    author(by)?;
    text("the silence's comment", &new.comment, TEXT_BYTES_MAX)?;
    moment("the silence's start", new.from)?;
    moment("the silence's end", new.until)?;
    if new.until <= new.from {
        return Err(refused(
            "the silence ends before it begins; give it a later end".to_owned(),
        ));
    }
    let json = matcher(&new.matcher)?;
    let silence = Silence {
        id: SilenceId(0),
        matcher: new.matcher.clone(),
        from: new.from,
        until: new.until,
        by: by.name.clone(),
        comment: new.comment.clone(),
    };
    Ok((silence, json))
}

pub(super) fn acknowledgement(key: &AlertKey, said: Option<&Acknowledgement>) -> Result<(), StoreError> {
    alert_key(key)?;
    said.map_or(Ok(()), one_acknowledgement)
}

fn one_acknowledgement(said: &Acknowledgement) -> Result<(), StoreError> {
    name("who acknowledges", &said.by)?;
    text("the acknowledgement's comment", &said.comment, TEXT_BYTES_MAX)?;
    moment("the acknowledgement's moment", said.at)?;
    said.until
        .map_or(Ok(()), |until| moment("the acknowledgement's end", until))
}

fn alert_key(key: &AlertKey) -> Result<(), StoreError> {
    text("the alert's entity", &key.entity, KEY_BYTES_MAX)
}

fn culprits(culprits: &[Culprit]) -> Result<(), StoreError> {
    for culprit in culprits {
        text("a culprit's name", &culprit.name, TEXT_BYTES_MAX)?;
        text("a culprit's user", &culprit.user, TEXT_BYTES_MAX)?;
        number("a culprit's processor time", Some(culprit.cpu_percent))?;
    }
    Ok(())
}

fn alert(alert: &Alert) -> Result<(), StoreError> {
    alert_key(&alert.key)?;
    moment("the alert's change", alert.since)?;
    if let Some(at) = alert.fired {
        moment("the alert's beginning", at)?;
    }
    number("the alert's value", alert.value)?;
    number("the alert's threshold", alert.threshold)?;
    number("the alert's peak", alert.peak)?;
    if let Some(said) = &alert.acknowledged {
        one_acknowledgement(said)?;
    }
    culprits(&alert.culprits)
}

fn transition(transition: &Transition) -> Result<(), StoreError> {
    alert_key(&transition.key)?;
    moment("the step's time", transition.at)?;
    if let Some(at) = transition.fired {
        moment("the alert's beginning", at)?;
    }
    number("the step's value", transition.value)?;
    number("the step's threshold", transition.threshold)?;
    culprits(&transition.culprits)
}

pub(super) fn delivery(delivery: &Delivery) -> Result<(), StoreError> {
    if delivery.id.len() != 32 || !delivery.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(refused(
            "the delivery's id is not 32 hexadecimal digits; give it such a one".to_owned(),
        ));
    }
    name("the delivery's receiver", &delivery.receiver)?;
    value("the delivery's content", delivery.content.len())?;
    if delivery.content.contains('\0') || serde_json::from_str::<IgnoredAny>(&delivery.content).is_err() {
        return Err(refused(
            "the delivery's content is no JSON; write it as JSON".to_owned(),
        ));
    }
    text("the delivery's problem", &delivery.problem, TEXT_BYTES_MAX)?;
    moment("the delivery's making", delivery.created)?;
    moment("the delivery's due time", delivery.due)
}

/// A delivery that somebody asked for, as it is stored: to be sent at once.
pub(super) fn requested(asked: &Delivery, by: &Author) -> Result<Delivery, StoreError> {
    author(by)?;
    delivery(asked)?;
    Ok(Delivery {
        state: DeliveryState::Pending,
        attempts: 0,
        due: by.at,
        problem: String::new(),
        ..asked.clone()
    })
}

/// An entry of the audit log that stands for itself.
pub(super) fn noted(
    by: &Author,
    action: &'static str,
    object: &str,
    after: &str,
) -> Result<Change, StoreError> {
    author(by)?;
    text("the entry's object", object, TEXT_BYTES_MAX)?;
    value("the entry's content", after.len())?;
    if object.contains('\0') || after.contains('\0') || serde_json::from_str::<IgnoredAny>(after).is_err() {
        return Err(refused(
            "the entry's content is no JSON; write it as JSON".to_owned(),
        ));
    }
    Ok(Change {
        action,
        object: object.to_owned(),
        before: None,
        after: Some(after.to_owned()),
    })
}

pub(super) fn taken_id(id: &str) -> StoreError {
    refused(format!(
        "there is a delivery with the id {id} already; give this one another id"
    ))
}

pub(super) fn lease(holder: &str, lease_ms: u64) -> Result<(), StoreError> {
    name("the holder's name", holder)?;
    if !(1..=LEASE_MS_MAX).contains(&lease_ms) {
        return Err(refused(format!(
            "a lease of {lease_ms} ms is not possible; ask for 1 ms to a day"
        )));
    }
    Ok(())
}

pub(super) fn limit(limit: u32) -> u32 {
    limit.clamp(1, ROWS_MAX)
}

pub(super) fn query(query: &TransitionQuery) -> Result<(), StoreError> {
    let named = query.machines.len() + query.rules.len();
    if named > 10_000 {
        return Err(refused(format!(
            "{named} machines and rules are asked for at once; ask for at most 10,000"
        )));
    }
    Ok(())
}

/// A shard's work that can be stored: each alert, state and machine at most once, in the order of their keys. Of what is
/// named twice the later counts, and what is there counts over what is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct CheckedWork<'a> {
    pub(super) shard: u32,
    pub(super) transitions: &'a [Transition],
    pub(super) alerts: BTreeMap<&'a AlertKey, &'a Alert>,
    pub(super) gone: BTreeSet<&'a AlertKey>,
    pub(super) states: BTreeMap<&'a MachineId, &'a Bytes>,
    pub(super) forgotten: BTreeSet<&'a MachineId>,
}

impl<'a> CheckedWork<'a> {
    pub(super) fn new(lease: &Lease, work: &'a ShardWork) -> Result<Self, StoreError> {
        let Work::Shard(shard) = lease.work else {
            return Err(refused(
                "the notifier's lease is no lease of a shard; report this".to_owned(),
            ));
        };
        work.transitions.iter().try_for_each(transition)?;
        work.alerts.iter().try_for_each(alert)?;
        work.gone.iter().try_for_each(alert_key)?;
        for (machine, state) in &work.states {
            value(&format!("the state of {machine}"), state.len())?;
        }
        let mut checked = Self {
            shard,
            transitions: &work.transitions,
            gone: work.gone.iter().collect(),
            states: work
                .states
                .iter()
                .map(|(machine, state)| (machine, state))
                .collect(),
            forgotten: work.forgotten.iter().collect(),
            ..Self::default()
        };
        for alert in &work.alerts {
            if alert.phase == Phase::Inactive {
                checked.alerts.remove(&alert.key);
                checked.gone.insert(&alert.key);
            } else {
                checked.gone.remove(&alert.key);
                checked.alerts.insert(&alert.key, alert);
            }
        }
        checked
            .forgotten
            .retain(|machine| !checked.states.contains_key(machine));
        checked.in_its_shard()?;
        Ok(checked)
    }

    /// The lease guards only what is of its shard.
    fn in_its_shard(&self) -> Result<(), StoreError> {
        let of_steps = self.transitions.iter().map(|transition| &transition.key.machine);
        let of_alerts = self.alerts.keys().chain(&self.gone).map(|key| &key.machine);
        let machines = self.states.keys().chain(&self.forgotten).copied();
        let mut all = of_steps.chain(of_alerts).chain(machines);
        match all.find(|machine| shard_of(machine) != self.shard) {
            None => Ok(()),
            Some(machine) => Err(refused(format!(
                "{machine} is of shard {}, not of {}; report this",
                shard_of(machine),
                self.shard
            ))),
        }
    }
}

/// The notifier's work that can be stored: each delivery and group once, the later one of those named twice.
#[derive(Clone, Debug, Default)]
pub(super) struct CheckedNotifierWork<'a> {
    pub(super) read: Option<i64>,
    /// Empty bytes remove.
    pub(super) groups: BTreeMap<&'a str, &'a Bytes>,
    pub(super) deliveries: BTreeMap<&'a str, &'a Delivery>,
}

impl<'a> CheckedNotifierWork<'a> {
    pub(super) fn new(lease: &Lease, work: &'a NotifierWork) -> Result<Self, StoreError> {
        if lease.work != Work::Notifier {
            return Err(refused(
                "the lease of a shard is no lease of the notifier; report this".to_owned(),
            ));
        }
        for (key, state) in &work.groups {
            text("a group's key", key, KEY_BYTES_MAX)?;
            value("a group's state", state.len())?;
        }
        work.deliveries.iter().try_for_each(delivery)?;
        let groups = work.groups.iter();
        let deliveries = work.deliveries.iter();
        Ok(Self {
            read: work.read,
            groups: groups.map(|(key, state)| (key.as_str(), state)).collect(),
            deliveries: deliveries
                .map(|delivery| (delivery.id.as_str(), delivery))
                .collect(),
        })
    }
}

/// From when on things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// Steps, and states of machines without alerts.
    pub(super) log_from: i64,
    /// Finished deliveries and ended silences.
    pub(super) finished_from: i64,
    /// Audit entries.
    pub(super) audit_from: i64,
    /// Acknowledgements of alerts that are not there.
    pub(super) orphans_from: i64,
}

impl Kept {
    pub(super) fn new(now: UnixMillis, log_ms: u64) -> Self {
        const DAY_MS: i64 = 86_400_000;
        // What is before every moment that is stored can be asked for with any of them.
        let within = |at: i64| at.clamp(TIME_MINIMUM_MS, TIME_LIMIT_MS);
        Self {
            log_from: within(now.0.saturating_sub_unsigned(log_ms)),
            finished_from: within(now.0.saturating_sub(30 * DAY_MS)),
            audit_from: within(now.0.saturating_sub(2 * 365 * DAY_MS)),
            orphans_from: within(now.0.saturating_sub(DAY_MS)),
        }
    }
}

/// Rows that one statement of upkeep removes at most.
pub(super) const UPKEEP_ROWS: i64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_found_and_what_looks_like_one_is_not() {
        let json = |text: &str| serde_json::to_string(text).unwrap();
        assert!(no_nul("it", &json("a\0b")).is_err());
        assert!(no_nul("it", &json("\\\0")).is_err());
        assert!(no_nul("it", &json("\\u0000 is how JSON writes it")).is_ok());
        assert!(no_nul("it", &json("\\\\u0000")).is_ok());
    }
}
