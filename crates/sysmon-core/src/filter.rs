//! The filter over machines: a small language that is the same on the command line, in the console and in subscriptions.
//!
//! ```text
//! cpu > 50 and (host ~ web or label.role = db) and alert != none
//! ```
//!
//! `or` binds weakest, then `and`, which need not be written, then `not`. A word that is not compared with anything must
//! occur in the id, the hostname or a label. What a machine does not have compares with nothing, not even under `!=`; ask
//! for its absence by `not`. See `docs/filter.md`.
//!
//! The parts: [`Filter::parse`] reads, [`Filter::matches`] judges a [`Subject`], `Display` prints the normal form,
//! [`FilterError::marked`] marks what is wrong, [`complete()`] tells what could come next.

mod complete;
mod error;
mod evaluate;
mod expression;
mod field;
mod lexer;
mod parser;
mod plain;
mod subject;
mod table;
mod text;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use complete::{Candidate, CandidateKind, Completion, Vocabulary, complete};
pub use error::FilterError;
pub use expression::Operator;
pub use plain::TextFilter;
pub use subject::{AlertFacts, Seen, Subject, any_value};
pub use table::{FIELDS, FieldDefinition, FieldKind, NumberField, TextField};

use crate::catalogue::MetricId;
use expression::Node;
use field::Field;

/// What machines must be like. Two filters are equal when their normal forms are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    root: Option<Node>,
    needs: Needs,
}

/// What a filter looks at, and so when a machine has to be judged again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Values of metrics: with every tick.
    pub metrics: bool,
    /// How alive it is, or how it fares.
    pub status: bool,
    /// Alerts.
    pub alerts: bool,
    /// How long nothing was heard of it: it changes by itself.
    pub age: bool,
}

impl Filter {
    /// The longest text of a filter, in bytes; that of its normal form is no longer.
    pub const TEXT_BYTES_MAX: usize = parser::TEXT_BYTES_MAX;

    /// Reads what a person wrote; a text without words matches everything.
    ///
    /// # Errors
    /// [`FilterError`] with the place of the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        let root = parser::parse(text)?;
        let mut needs = Needs::default();
        if let Some(root) = &root {
            root.visit(&mut |test| match &test.field {
                Field::Metric { .. } => needs.metrics = true,
                Field::State | Field::Health => needs.status = true,
                Field::Alert => needs.alerts = true,
                Field::Number(NumberField::Age) => needs.age = true,
                Field::Number(_) | Field::Text(_) | Field::Label(_) => {}
            });
        }
        Ok(Self { root, needs })
    }

    /// Whether a machine matches. Allocates nothing.
    #[must_use]
    pub fn matches<S: Subject + ?Sized>(&self, subject: &S) -> bool {
        self.root.as_ref().is_none_or(|root| root.matches(subject))
    }

    /// Whether everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// What it looks at beside what a machine is called.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// The metrics that it looks at, each once: whoever judges must have them.
    #[must_use]
    pub fn metrics(&self) -> Vec<MetricId> {
        let mut metrics = Vec::new();
        if let Some(root) = &self.root {
            root.visit(&mut |test| {
                if let Field::Metric { id, .. } = &test.field {
                    metrics.push(*id);
                }
            });
        }
        metrics.sort_unstable();
        metrics.dedup();
        metrics
    }

    /// The labels that it looks at, each once: a name that no machine has is most likely a field that was mistyped.
    #[must_use]
    pub fn labels(&self) -> Vec<&str> {
        let mut labels = Vec::new();
        if let Some(root) = &self.root {
            root.visit(&mut |test| {
                if let Field::Label(name) = &test.field {
                    labels.push(&**name);
                }
            });
        }
        labels.sort_unstable();
        labels.dedup();
        labels
    }

    /// The field whose name is closest to a label that no machine has; none when none is close.
    #[must_use]
    pub fn closest_field(label: &str) -> Option<String> {
        error::closest(label, parser::names())
    }
}

impl fmt::Display for Filter {
    /// The normal form: what [`Filter::parse`] reads as the same filter, written in one way only.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.root {
            Some(root) => write!(formatter, "{root}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        Self::parse(text)
    }
}
