//! Whether a machine matches. Allocates nothing.

use super::expression::{AlertWord, Node, Operand, Operator, Test};
use super::field::Field;
use super::subject::{AlertFacts, Subject};
use super::table::{NumberField, TextField};
use super::text::{contains, equals, occurs_in_label};
use crate::alert::Severity;

impl Node {
    pub(super) fn matches<S: Subject + ?Sized>(&self, subject: &S) -> bool {
        match self {
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(subject)),
            Self::And(nodes) => nodes.iter().all(|node| node.matches(subject)),
            Self::Not(node) => !node.matches(subject),
            Self::Word(word) => occurs(subject, word),
            Self::Test(test) => test.matches(subject),
        }
    }
}

/// Whether a plain word occurs in the id, the hostname or a label.
fn occurs<S: Subject + ?Sized>(subject: &S, word: &str) -> bool {
    let host = subject.host();
    contains(subject.id(), word)
        || contains(&host.hostname, word)
        || host
            .labels
            .iter()
            .any(|(name, value)| occurs_in_label(name, value, word))
}

impl Test {
    fn matches<S: Subject + ?Sized>(&self, subject: &S) -> bool {
        match (&self.field, &self.value) {
            (Field::Text(field), Operand::Text(wanted)) => {
                text_of(*field, subject).is_some_and(|text| compare_text(self.operator, text, wanted))
            }
            (Field::Label(name), Operand::Text(wanted)) => {
                let labels = &subject.host().labels;
                let value = labels.iter().find(|(known, _)| **known == **name);
                // A label has one spelling as a rule; any other case of it is taken where the exact one is not there.
                let value =
                    value.or_else(|| labels.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)));
                value.is_some_and(|(_, text)| compare_text(self.operator, text, wanted))
            }
            (Field::State, Operand::State(state)) => self.operator.compare(subject.liveness(), *state),
            (Field::Health, Operand::Health(health)) => self.operator.compare(subject.health(), *health),
            (Field::Alert, Operand::Alert(wanted)) => self.matches_alert(subject, wanted),
            (Field::Number(field), Operand::Number(number)) => {
                number_of(*field, subject).is_some_and(|value| self.operator.compare(value, *number))
            }
            (Field::Metric { id, entity }, Operand::Number(number)) => {
                subject.any_value(*id, entity.as_deref(), &mut |value| {
                    self.operator.compare(value, *number)
                })
            }
            // The parser gives every field its kind of value.
            _ => false,
        }
    }

    fn matches_alert<S: Subject + ?Sized>(&self, subject: &S, wanted: &AlertWord) -> bool {
        let is_part = matches!(self.operator, Operator::Contains | Operator::ContainsNot);
        let is_there = match wanted {
            AlertWord::None => !subject.any_alert(&mut |alert| alert.is_firing),
            other => subject.any_alert(&mut |alert| is_alert(alert, other, is_part)),
        };
        let is_negative = matches!(self.operator, Operator::NotEqual | Operator::ContainsNot);
        is_there != is_negative
    }
}

fn is_alert(alert: AlertFacts<'_>, wanted: &AlertWord, is_part: bool) -> bool {
    if let AlertWord::Pending = wanted {
        return alert.is_pending;
    }
    alert.is_firing
        && match wanted {
            AlertWord::Any => true,
            AlertWord::Critical => alert.severity == Severity::Critical,
            AlertWord::Warning => alert.severity == Severity::Warning,
            AlertWord::Info => alert.severity == Severity::Info,
            AlertWord::Acknowledged => alert.is_acknowledged,
            AlertWord::Unacknowledged => !alert.is_acknowledged,
            AlertWord::Silenced => alert.is_silenced,
            AlertWord::Rule(part) if is_part => contains(alert.rule, part),
            AlertWord::Rule(id) => equals(alert.rule, id),
            AlertWord::None | AlertWord::Pending => false,
        }
}

/// A text about a machine; none when it is not known.
fn text_of<S: Subject + ?Sized>(field: TextField, subject: &S) -> Option<&str> {
    let host = subject.host();
    let text = match field {
        TextField::Id => return Some(subject.id()),
        TextField::Host if host.hostname.is_empty() => return Some(subject.id()),
        TextField::Host => &host.hostname,
        TextField::Os => &host.os,
        TextField::Kernel => &host.kernel,
        TextField::Architecture => &host.architecture,
    };
    (!text.is_empty()).then_some(text)
}

/// A number about a machine, in the unit of the field; none when it is not known.
#[expect(clippy::cast_precision_loss, reason = "an age of 2^53 ms is 285,000 years")]
fn number_of<S: Subject + ?Sized>(field: NumberField, subject: &S) -> Option<f64> {
    match field {
        NumberField::Age => Some(subject.age_ms() as f64 / 1_000.0),
        NumberField::Interval => Some(f64::from(subject.interval_ms()) / 1_000.0),
        NumberField::Cores => Some(subject.host().cpu_count)
            .filter(|count| *count > 0)
            .map(f64::from),
    }
}

fn compare_text(operator: Operator, text: &str, wanted: &str) -> bool {
    match operator {
        Operator::Equal => equals(text, wanted),
        Operator::NotEqual => !equals(text, wanted),
        Operator::Contains => contains(text, wanted),
        Operator::ContainsNot => !contains(text, wanted),
        Operator::Less | Operator::AtMost | Operator::More | Operator::AtLeast => false,
    }
}
