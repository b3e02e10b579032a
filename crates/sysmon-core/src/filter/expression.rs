//! What a filter says, in its normal form: no `and` directly within an `and`, no `or` within an `or`, no `not` of a
//! `not`, nothing twice. The order in which it was written stays.

use std::fmt;

use super::field::Field;
use super::lexer::is_bare;
use super::value;
use crate::health::Health;
use crate::time::Liveness;

/// How a field is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// Is the same; for texts in any case.
    Equal,
    /// Is another.
    NotEqual,
    /// Is below.
    Less,
    /// Is below or the same.
    AtMost,
    /// Is above.
    More,
    /// Is above or the same.
    AtLeast,
    /// Has it somewhere, in any case.
    Contains,
    /// Has it nowhere.
    ContainsNot,
}

impl Operator {
    /// All operators.
    pub const ALL: [Self; 8] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::AtMost,
        Self::More,
        Self::AtLeast,
        Self::Contains,
        Self::ContainsNot,
    ];

    /// The sign that it is written as.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
            Self::Contains => "~",
            Self::ContainsNot => "!~",
        }
    }

    /// Whether it holds for two things that have an order. Texts are contained, not ordered.
    pub(super) fn compare<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
            Self::Contains | Self::ContainsNot => false,
        }
    }
}

/// A filter or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    /// Occurs in id, hostname or labels; in lower case.
    Word(Box<str>),
    Test(Test),
}

/// One comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Test {
    pub(super) field: Field,
    pub(super) operator: Operator,
    pub(super) value: Operand,
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// In lower case.
    Text(Box<str>),
    /// In the unit of the field.
    Number(f64),
    State(Liveness),
    Health(Health),
    Alert(AlertWord),
}

/// What an alert can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AlertWord {
    None,
    Any,
    Pending,
    Info,
    Warning,
    Critical,
    Acknowledged,
    Unacknowledged,
    Silenced,
    /// The id of a rule, or a part of one, in lower case.
    Rule(Box<str>),
}

impl AlertWord {
    /// The words of which each has a meaning of its own; any other is the id of a rule.
    pub(super) const WORDS: [(Self, &'static str); 9] = [
        (Self::None, "none"),
        (Self::Any, "any"),
        (Self::Critical, "critical"),
        (Self::Warning, "warning"),
        (Self::Info, "info"),
        (Self::Pending, "pending"),
        (Self::Acknowledged, "acknowledged"),
        (Self::Unacknowledged, "unacknowledged"),
        (Self::Silenced, "silenced"),
    ];

    fn word(&self) -> &str {
        match self {
            Self::Rule(id) => id,
            known => Self::WORDS
                .iter()
                .find(|(word, _)| word == known)
                .map_or("any", |(_, word)| word),
        }
    }
}

impl Node {
    pub(super) fn any(nodes: Vec<Self>) -> Self {
        Self::many(nodes, Self::Or, |node| match node {
            Self::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    pub(super) fn all(nodes: Vec<Self>) -> Self {
        Self::many(nodes, Self::And, |node| match node {
            Self::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    fn many(
        nodes: Vec<Self>,
        join: fn(Vec<Self>) -> Self,
        open: fn(Self) -> Result<Vec<Self>, Self>,
    ) -> Self {
        let mut flat: Vec<Self> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let inner = open(node).unwrap_or_else(|other| vec![other]);
            for node in inner {
                if !flat.contains(&node) {
                    flat.push(node);
                }
            }
        }
        match flat.pop() {
            Some(only) if flat.is_empty() => only,
            last => {
                flat.extend(last);
                join(flat)
            }
        }
    }

    /// Looks at every comparison.
    pub(super) fn visit<'a>(&'a self, look: &mut impl FnMut(&'a Test)) {
        match self {
            Self::Or(nodes) | Self::And(nodes) => nodes.iter().for_each(|node| node.visit(look)),
            Self::Not(node) => node.visit(look),
            Self::Word(_) => {}
            Self::Test(test) => look(test),
        }
    }

    fn write_inner(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(_) | Self::And(_) => write!(formatter, "({self})"),
            _ => write!(formatter, "{self}"),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Or(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    formatter.write_str(if index == 0 { "" } else { " or " })?;
                    match node {
                        // `and` binds tighter, and reads well without parentheses.
                        Self::And(_) => write!(formatter, "{node}")?,
                        _ => node.write_inner(formatter)?,
                    }
                }
                Ok(())
            }
            Self::And(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    // Plain words are written side by side, as people do.
                    let is_plain = |node: &Self| matches!(node, Self::Word(_));
                    let separator = match index.checked_sub(1) {
                        None => "",
                        Some(before) if is_plain(node) && is_plain(&nodes[before]) => " ",
                        Some(_) => " and ",
                    };
                    formatter.write_str(separator)?;
                    node.write_inner(formatter)?;
                }
                Ok(())
            }
            Self::Not(node) => {
                formatter.write_str("not ")?;
                node.write_inner(formatter)
            }
            Self::Word(word) => write_word(formatter, word),
            Self::Test(test) => write!(formatter, "{test}"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} ", self.field, self.operator.sign())?;
        match &self.value {
            Operand::Text(text) => write_word(formatter, text),
            Operand::Number(number) => formatter.write_str(&value::print(*number, self.field.unit())),
            Operand::State(state) => formatter.write_str(state.word()),
            Operand::Health(Health::Healthy) => formatter.write_str("ok"),
            Operand::Health(health) => formatter.write_str(health.word()),
            Operand::Alert(alert) => write_word(formatter, alert.word()),
        }
    }
}

/// Writes a word, in quotes where it would otherwise be read as something else.
pub(super) fn write_word(formatter: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
    if is_bare_word(word) {
        return formatter.write_str(word);
    }
    write_quoted(formatter, word)
}

/// Writes a word in quotes.
pub(super) fn write_quoted(formatter: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
    formatter.write_str("\"")?;
    for character in word.chars() {
        if matches!(character, '"' | '\\') {
            formatter.write_str("\\")?;
        }
        write!(formatter, "{character}")?;
    }
    formatter.write_str("\"")
}

/// Whether a word can stand without quotes.
pub(super) fn is_bare_word(word: &str) -> bool {
    let is_keyword = ["and", "or", "not"]
        .iter()
        .any(|keyword| word.eq_ignore_ascii_case(keyword));
    !word.is_empty() && !is_keyword && word.chars().all(is_bare)
}
