//! The field of a comparison: found by its name, and written in the normal form.

use std::fmt;

use super::expression::{Operator, is_bare_word, write_quoted};
use super::table::{FIELDS, FieldDefinition, FieldKind, NumberField, TextField};
use crate::catalogue::{MetricId, Unit};

/// A field as a filter names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Text(TextField),
    /// As it was written; found in any case.
    Label(Box<str>),
    State,
    Health,
    Alert,
    Number(NumberField),
    Metric {
        id: MetricId,
        entity: Option<Box<str>>,
    },
}

/// How a name before an operator is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Field(Field),
    /// No field of this name: a label, if anything.
    Label(Box<str>),
    /// There is such a field, but nothing of it that could be named in braces.
    NoEntities(&'static str),
}

/// The prefix of labels.
pub(super) const LABEL: &str = "label.";

/// Finds what a name means, with the entity that stood in braces behind it.
pub(super) fn find(name: &str, entity: Option<&str>) -> Found {
    let is = |known: &&str| known.eq_ignore_ascii_case(name);
    if let Some(row) = FIELDS
        .iter()
        .find(|row| is(&row.name) || row.aliases.iter().any(is))
    {
        return of_row(row, entity);
    }
    if let Some(definition) = crate::CATALOGUE.iter().find(|row| is(&row.name)) {
        return match (entity, definition.label) {
            (Some(_), None) => Found::NoEntities(definition.name),
            _ => Found::Field(Field::Metric {
                id: definition.id,
                entity: entity.map(Into::into),
            }),
        };
    }
    if entity.is_some() {
        return Found::NoEntities("a label");
    }
    match name.get(..LABEL.len()) {
        Some(prefix) if prefix.eq_ignore_ascii_case(LABEL) && name.len() > LABEL.len() => {
            Found::Field(Field::Label(name[LABEL.len()..].into()))
        }
        _ => Found::Label(name.into()),
    }
}

fn of_row(row: &'static FieldDefinition, entity: Option<&str>) -> Found {
    let field = match (row.kind, entity) {
        (FieldKind::Metric { whole, .. }, None) => Field::Metric {
            id: whole,
            entity: None,
        },
        (FieldKind::Metric { entity: Some(id), .. }, Some(entity)) => Field::Metric {
            id,
            entity: Some(entity.into()),
        },
        (_, Some(_)) => return Found::NoEntities(row.name),
        (FieldKind::Text(field), None) => Field::Text(field),
        (FieldKind::State, None) => Field::State,
        (FieldKind::Health, None) => Field::Health,
        (FieldKind::Alert, None) => Field::Alert,
        (FieldKind::Number(field), None) => Field::Number(field),
    };
    Found::Field(field)
}

impl Field {
    /// The unit of its numbers.
    pub(super) fn unit(&self) -> Unit {
        match self {
            Self::Number(field) => field.unit(),
            Self::Metric { id, .. } => id.definition().unit,
            Self::Text(_) | Self::Label(_) | Self::State | Self::Health | Self::Alert => Unit::Count,
        }
    }

    /// The operators that it takes.
    pub(super) fn operators(&self) -> &'static [Operator] {
        use Operator::{AtLeast, AtMost, Contains, ContainsNot, Equal, Less, More, NotEqual};
        match self {
            Self::Text(_) | Self::Label(_) | Self::Alert => &[Equal, NotEqual, Contains, ContainsNot],
            Self::State | Self::Health => &[Equal, NotEqual, Less, AtMost, More, AtLeast],
            Self::Number(_) | Self::Metric { .. } => &[More, AtLeast, Less, AtMost, Equal, NotEqual],
        }
    }

    /// The name of the field in the normal form, without an entity.
    fn name(&self) -> &str {
        let row = FIELDS.iter().find(|row| match (self, row.kind) {
            (Self::Text(own), FieldKind::Text(field)) => *own == field,
            (Self::State, FieldKind::State)
            | (Self::Health, FieldKind::Health)
            | (Self::Alert, FieldKind::Alert) => true,
            (Self::Number(own), FieldKind::Number(field)) => *own == field,
            (Self::Metric { id, entity: None }, FieldKind::Metric { whole, .. }) => *id == whole,
            (Self::Metric { id, entity: Some(_) }, FieldKind::Metric { entity, .. }) => Some(*id) == entity,
            _ => false,
        });
        match (self, row) {
            (_, Some(row)) => row.name,
            (Self::Metric { id, .. }, None) => id.name(),
            (Self::Label(name), None) => name,
            _ => "",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(name) if !is_bare_word(name) => {
                // Quotes alone say that it is a label.
                write_quoted(formatter, name)
            }
            Self::Label(name) => match find(name, None) {
                Found::Label(_) => formatter.write_str(name),
                _ => write!(formatter, "{LABEL}{name}"),
            },
            Self::Metric {
                entity: Some(entity), ..
            } => {
                write!(formatter, "{}{{", self.name())?;
                let is_plain =
                    !entity.starts_with(['"', '\'']) && !entity.contains('}') && !entity.is_empty();
                if is_plain {
                    formatter.write_str(entity)?;
                } else {
                    write_quoted(formatter, entity)?;
                }
                formatter.write_str("}")
            }
            _ => formatter.write_str(self.name()),
        }
    }
}
