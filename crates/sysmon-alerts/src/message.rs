//! What a notification says: as JSON for programs, as text for people.

mod quantity;
mod render;
mod text;

use serde::{Deserialize, Serialize};

pub(crate) use render::{Host, Hosts, render};

/// The most alerts that a message lists; the others are counted.
pub(crate) const LISTED_MAX: usize = 20;

/// One notification, as it is kept in the store, posted to webhooks and piped to programs. `docs/notifications.md` has
/// the table of fields; they are only ever added to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// Version of this form; 1.
    pub version: u32,
    /// `firing`, `recovered`, `reminder` or `test`.
    pub kind: String,
    /// What it is about, one line.
    pub summary: String,
    /// The worst severity of what is new.
    pub severity: String,
    /// The receiver it was made for.
    pub receiver: String,
    /// When it was made, in Unix milliseconds.
    pub at_unix_ms: i64,
    /// Whose alerts.
    pub rule: RuleText,
    /// How many there are.
    pub counts: Counts,
    /// The first of them, what is new first.
    pub alerts: Vec<AlertText>,
    /// The receiver that should have had it, when this is its fallback.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instead_of: String,
    /// The fallback that has it too; only in the store.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub handed_to: String,
}

/// The rule, as far as people want to know it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleText {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub title: String,
    /// What to do about it; may have several lines.
    pub note: String,
}

/// How many alerts there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// That fire.
    pub firing: usize,
    /// That do not fire any more.
    pub recovered: usize,
    /// That are not listed.
    pub not_listed: usize,
}

/// One alert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertText {
    /// `fired`, `worsened`, `eased`, `recovered` or `unchanged`.
    pub change: String,
    /// `info`, `warning` or `critical`; of one that recovered, what the receiver was told.
    pub severity: String,
    /// Id of the machine.
    pub machine_id: String,
    /// Its hostname; empty when it is not known.
    pub hostname: String,
    /// Which mount, disk, interface, …; empty where there is none.
    pub entity: String,
    /// The metric; empty for a machine that is down.
    pub metric: String,
    /// The value that was judged last.
    pub value: Option<f64>,
    /// The level that it was judged by.
    pub threshold: Option<f64>,
    /// Unit of both.
    pub unit: String,
    /// The value as people read it.
    pub value_text: String,
    /// The level as people read it, such as `at or above 95%`.
    pub threshold_text: String,
    /// When it began to fire, in Unix milliseconds.
    pub fired_unix_ms: i64,
    /// When it last changed, in Unix milliseconds.
    pub since_unix_ms: i64,
    /// Why it last changed, such as `held`; empty when that is not known.
    pub cause: String,
    /// It changes too often.
    pub flapping: bool,
    /// The busiest processes when it last got worse, at most three.
    pub processes: Vec<ProcessText>,
}

/// One process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessText {
    /// Its pid.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// Processor time, 100 per core.
    pub cpu_percent: f64,
    /// Resident memory.
    pub memory_bytes: u64,
}

impl Message {
    /// The word of a message that somebody asked for to try a receiver.
    pub const TEST: &'static str = "test";

    /// What tries a receiver: keep it as the content of a delivery that is requested of the rule store.
    #[must_use]
    pub fn test(receiver: &str, by: &str, at: sysmon_core::UnixMillis) -> Self {
        Self {
            version: 1,
            kind: Self::TEST.into(),
            summary: format!(
                "Test of the receiver {} by {}",
                sysmon_core::sanitize(receiver),
                sysmon_core::sanitize(by)
            ),
            severity: "info".into(),
            receiver: receiver.into(),
            at_unix_ms: at.0,
            ..Self::default()
        }
    }

    /// As it is kept in the store.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists of them: there is nothing that JSON could not hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the store; what is no message there is one that says so. A test need not say more than that it is one.
    #[must_use]
    pub fn from_json(text: &str) -> Self {
        let mut message = serde_json::from_str(text).unwrap_or_else(|error| Self {
            kind: Self::TEST.into(),
            summary: format!("A notification whose content cannot be read ({error})"),
            ..Self::default()
        });
        if message.summary.is_empty() {
            message.summary = "A test of sysmon: this receiver can be reached".into();
        }
        if message.severity.is_empty() {
            message.severity = "info".into();
        }
        message.version = message.version.max(1);
        message
    }
}
