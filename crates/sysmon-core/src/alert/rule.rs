//! What is watched, and when it is wrong.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::lasting;
use crate::identity::MachineId;

/// Why a text cannot name a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} cannot name a rule; use 1 to 64 lower-case letters, digits and '-', beginning with a letter")]
pub struct RuleIdError(pub String);

/// The stable name of a rule, such as `cpu-busy`: 1 to 64 lower-case ASCII letters, digits and `-`, a letter first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`RuleIdError`] when the text cannot be one.
    pub fn parse(text: &str) -> Result<Self, RuleIdError> {
        let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_good = (1..=64).contains(&text.len())
            && text.bytes().all(good)
            && text.as_bytes()[0].is_ascii_lowercase();
        if is_good {
            Ok(Self(text.into()))
        } else {
            Err(RuleIdError(text.chars().take(80).collect()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for RuleId {
    type Error = RuleIdError;

    fn try_from(text: String) -> Result<Self, RuleIdError> {
        Self::parse(&text)
    }
}

impl From<RuleId> for String {
    fn from(id: RuleId) -> Self {
        id.0.as_ref().into()
    }
}

/// How bad; ordered from a note to an emergency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody has to act.
    Critical,
}

impl Severity {
    /// All, ascending.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The word used in JSON, text output and on the screen.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One rule, as people write it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names it.
    pub id: RuleId,
    /// What people call it, one line.
    pub title: String,
    /// What to do about it; goes into every notification.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// Whether it is evaluated.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How long it has to be wrong before it fires, in milliseconds; text such as `5m` in files.
    #[serde(default, rename = "for", with = "lasting")]
    pub hold_ms: u64,
    /// How long it has to be right again before it is resolved, in milliseconds.
    #[serde(default, rename = "clear_for", with = "lasting")]
    pub clear_hold_ms: u64,
    /// What it watches.
    #[serde(default)]
    pub scope: Scope,
    /// When that is wrong.
    pub check: Check,
}

fn yes() -> bool {
    true
}

/// What a rule watches: machines that are listed or have all the labels, and of them the entities that are listed and
/// not excepted. Empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// These machines only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<MachineId>,
    /// Machines with all of these labels only, as `name=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// These mounts, disks, interfaces, cores, sensors, containers only; `*` stands for any run of characters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<String>,
    /// Not these; `*` as above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except_entities: Vec<String>,
}

/// When something is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all rules are of the large variant, and there are few rules"
)]
pub enum Check {
    /// A machine of the inventory is not heard of: pending after three missed intervals, firing when the rule's hold is
    /// over, counted from the last word. While it fires, all other alerts of the machine are inhibited.
    MachineDown {
        /// How bad that is.
        severity: Severity,
    },
    /// A number is beyond a level.
    Metric(MetricCheck),
}

/// A number and its levels. At least one level is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricCheck {
    /// The number.
    pub quantity: Quantity,
    /// On which side of a level it is wrong.
    pub comparison: Comparison,
    /// Where it is worth a note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Level>,
    /// Where it is a warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<Level>,
    /// Where it is critical: at least as far as the warning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<Level>,
}

/// On which side of a level a number is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Comparison {
    /// At the level or above it.
    Above,
    /// At the level or below it.
    Below,
}

/// One severity's level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// Wrong from here on.
    pub trigger: f64,
    /// Right again beyond here: below it for [`Comparison::Above`], above it for [`Comparison::Below`]. When absent: ten
    /// points from the trigger for percentages (half way to the end of the scale where that is nearer), the trigger
    /// itself otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear: Option<f64>,
    /// What has to be true as well for this level, such as "less than 5 GB free". When it no longer is, the level is
    /// cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub and: Option<Guard>,
}

/// What has to be true as well: of the same entity when the metric has entities of the same kind, else of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// The number.
    pub quantity: Quantity,
    /// On which side of the value it has to be.
    pub comparison: Comparison,
    /// The value.
    pub value: f64,
}

/// A number out of samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantity {
    /// Dotted name of the metric.
    pub metric: String,
    /// Divided by this metric, sample by sample: of the same entity where it has any, else of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// What is made of the samples.
    #[serde(default)]
    pub function: Function,
    /// Over how long, in milliseconds; 0 only for [`Function::Last`].
    #[serde(default, rename = "window", with = "lasting")]
    pub window_ms: u64,
}

/// What is made of the samples of a window that ends at the newest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// The newest sample.
    #[default]
    Last,
    /// Their mean.
    Average,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
    /// Change per second: the slope of a line fitted to them.
    Rate,
    /// By how much a total grew; a total that begins anew counts from 0.
    Increase,
    /// In how many seconds a line fitted to them reaches the end: 100 for percentages, 0 for anything else (free bytes).
    /// Infinite when it does not get nearer.
    TimeToFull,
}

impl Function {
    /// All of them with the word used in files and on the screen.
    pub const WORDS: [(Self, &'static str); 7] = [
        (Self::Last, "last"),
        (Self::Average, "average"),
        (Self::Minimum, "minimum"),
        (Self::Maximum, "maximum"),
        (Self::Rate, "rate"),
        (Self::Increase, "increase"),
        (Self::TimeToFull, "time_to_full"),
    ];

    /// The word used in files and on the screen.
    #[must_use]
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(function, _)| *function == self)
            .map_or("last", |(_, word)| word)
    }
}
