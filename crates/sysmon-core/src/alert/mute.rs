//! Who is not to be told, and who knows already.

use serde::{Deserialize, Serialize};

use super::rule::{RuleId, Severity};
use crate::identity::MachineId;
use crate::time::UnixMillis;

/// Names a silence: given by the rule store, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SilenceId(pub i64);

/// Mutes all alerts that match, for a time; evaluation goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Names it.
    pub id: SilenceId,
    /// What it mutes.
    pub matcher: Matcher,
    /// From when, included.
    pub from: UnixMillis,
    /// Until when, not included.
    pub until: UnixMillis,
    /// Whose it is.
    pub by: String,
    /// Why.
    pub comment: String,
}

/// Which alerts; an empty list means any. Identity only, never values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Matcher {
    /// Of these rules.
    pub rules: Vec<RuleId>,
    /// On these machines.
    pub machines: Vec<MachineId>,
    /// On machines with all of these labels, as `name=value`.
    pub labels: Vec<String>,
    /// Of these entities; `*` stands for any run of characters.
    pub entities: Vec<String>,
}

/// Somebody knows of an alert. It ends when the alert is resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// What they say.
    pub comment: String,
    /// When they said it.
    pub at: UnixMillis,
    /// Until when it holds; none for as long as the alert lasts.
    pub until: Option<UnixMillis>,
    /// How bad the alert was: a worse one is not muted.
    pub severity: Severity,
}
