//! Words and texts of the tables, and back.

use serde::{Deserialize, Serialize};
use sysmon_core::alert::{Acknowledgement, AlertKey, Cause, Culprit, Phase, Rule, RuleId, Severity, Silence};
use sysmon_core::{MachineId, UnixMillis};

use super::{Delivery, DeliveryState, Work};
use crate::error::StoreError;

/// What somebody wrote into a table by hand, or a newer program did.
pub(super) fn impossible(table: &str, what: &str) -> StoreError {
    StoreError::misconfigured(format!(
        "the table {table} has an impossible {what}; correct or remove the row that somebody put there, or upgrade this \
         program"
    ))
}

pub(super) fn phase(table: &str, word: &str) -> Result<Phase, StoreError> {
    let known = Phase::ALL.into_iter().find(|phase| phase.word() == word);
    known.ok_or_else(|| impossible(table, "phase"))
}

pub(super) fn severity(table: &str, word: &str) -> Result<Severity, StoreError> {
    let known = Severity::ALL.into_iter().find(|severity| severity.word() == word);
    known.ok_or_else(|| impossible(table, "severity"))
}

pub(super) fn cause(table: &str, word: &str) -> Result<Cause, StoreError> {
    let known = Cause::WORDS.iter().find(|(_, known)| *known == word);
    known
        .map(|(cause, _)| *cause)
        .ok_or_else(|| impossible(table, "cause"))
}

pub(super) fn delivery_state(word: &str) -> Result<DeliveryState, StoreError> {
    let known = DeliveryState::WORDS.iter().find(|(_, known)| *known == word);
    known
        .map(|(state, _)| *state)
        .ok_or_else(|| impossible("delivery", "state"))
}

pub(super) fn rule_id(table: &str, text: &str) -> Result<RuleId, StoreError> {
    RuleId::parse(text).map_err(|_| impossible(table, "rule"))
}

pub(super) fn machine(table: &str, text: &str) -> Result<MachineId, StoreError> {
    MachineId::parse(text).map_err(|_| impossible(table, "machine"))
}

/// The name of an alert from its three columns.
pub(super) fn key(table: &str, rule: &str, of: &str, entity: &str) -> Result<AlertKey, StoreError> {
    Ok(AlertKey {
        rule: rule_id(table, rule)?,
        machine: machine(table, of)?,
        entity: entity.into(),
    })
}

/// The name of some work in the table of leases.
pub(super) fn work_name(work: Work) -> String {
    match work {
        Work::Shard(shard) => format!("shard-{shard}"),
        Work::Notifier => "notifier".to_owned(),
    }
}

/// The work of a name; none for a name of a newer program.
pub(super) fn work_of(name: &str) -> Option<Work> {
    match name.strip_prefix("shard-") {
        Some(shard) => shard.parse().ok().map(Work::Shard),
        None => (name == "notifier").then_some(Work::Notifier),
    }
}

/// What is kept of an alert or a step beside its columns.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) acknowledged: Option<Acknowledgement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) culprits: Vec<Culprit>,
}

/// As JSON. Everything that is stored can be written so; what cannot is refused.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::rejected(format!("it cannot be written as JSON: {error}; report this")))
}

/// From JSON of a table.
pub(super) fn from_json<'a, T: Deserialize<'a>>(
    table: &str,
    column: &str,
    json: &'a str,
) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| impossible(table, &format!("{column} ({error})")))
}

/// One change as it goes into the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) action: &'static str,
    pub(super) object: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Change {
    pub(super) fn of_rule(
        action: &'static str,
        id: &RuleId,
        before: Option<&Rule>,
        after: Option<&Rule>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            action,
            object: id.as_str().to_owned(),
            before: before.map(to_json).transpose()?,
            after: after.map(to_json).transpose()?,
        })
    }

    pub(super) fn of_silence(before: Option<&Silence>, after: &Silence) -> Result<Self, StoreError> {
        Ok(Self {
            action: if before.is_none() {
                "silence.add"
            } else {
                "silence.end"
            },
            object: after.id.0.to_string(),
            before: before.map(to_json).transpose()?,
            after: Some(to_json(after)?),
        })
    }

    pub(super) fn of_acknowledgement(
        key: &AlertKey,
        before: Option<&Acknowledgement>,
        after: Option<&Acknowledgement>,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            action: match after {
                Some(_) => "alert.acknowledge",
                None => "alert.unacknowledge",
            },
            object: key_text(key),
            before: before.map(to_json).transpose()?,
            after: after.map(to_json).transpose()?,
        })
    }

    pub(super) fn of_delivery(before: Option<&Delivery>, after: &Delivery) -> Result<Self, StoreError> {
        Ok(Self {
            action: if before.is_none() {
                "delivery.request"
            } else {
                "delivery.resend"
            },
            object: after.id.clone(),
            before: before.map(delivery_json).transpose()?,
            after: Some(delivery_json(after)?),
        })
    }
}

/// An alert's name as text: `RULE/MACHINE`, and `/ENTITY` where there is one; neither of the first two has a `/` in it.
fn key_text(key: &AlertKey) -> String {
    let entity = if key.entity.is_empty() { "" } else { "/" };
    format!("{}/{}{entity}{}", key.rule, key.machine, key.entity)
}

/// Where a delivery stands; what it says is in its own table.
fn delivery_json(delivery: &Delivery) -> Result<String, StoreError> {
    #[derive(Serialize)]
    struct Standing<'a> {
        receiver: &'a str,
        state: &'a str,
        attempts: u32,
        due: UnixMillis,
        problem: &'a str,
    }
    to_json(&Standing {
        receiver: &delivery.receiver,
        state: delivery.state.word(),
        attempts: delivery.attempts,
        due: delivery.due,
        problem: &delivery.problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_named_and_found_again() {
        for work in [Work::Shard(0), Work::Shard(15), Work::Notifier] {
            assert_eq!(work_of(&work_name(work)), Some(work));
        }
        assert_eq!(work_of("shard-"), None);
        assert_eq!(work_of("scraper"), None);
    }

    #[test]
    fn every_word_is_found_again_and_no_other() {
        for known in Phase::ALL {
            assert_eq!(phase("alert", known.word()).unwrap(), known);
        }
        for known in Severity::ALL {
            assert_eq!(severity("alert", known.word()).unwrap(), known);
        }
        for (known, word) in Cause::WORDS {
            assert_eq!(cause("alert_log", word).unwrap(), known);
        }
        for (known, word) in DeliveryState::WORDS {
            assert_eq!(delivery_state(word).unwrap(), known);
        }
        assert!(phase("alert", "broken").unwrap_err().message.contains("alert"));
    }

    #[test]
    fn numbers_come_back_from_json_to_the_last_bit() {
        for value in [
            0.1 + 0.2,
            // Readers of JSON that take a short way are one off in the last place here.
            123_456_789.123_456_79,
            1.797_693_134_862_315_7e308,
            5e-324,
            2.638_344_616_030_823e-290,
        ] {
            let json = to_json(&value).unwrap();
            assert_eq!(from_json::<f64>("alert", "value", &json).unwrap(), value);
        }
    }
}
