//! Statements that read samples and roll-ups, and the values in their rows.

use std::fmt::Write as _;

use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sysmon_core::{MetricId, to_scaled};

use super::query::Source;
use super::schema::{Column, Storage, Table};
use crate::history::answer::Sum;

/// How rows of samples or roll-ups become moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Single samples.
    Single,
    /// Samples, put into the moments.
    Binned,
    /// Roll-ups of this tier, put into the moments.
    RolledUp(&'static str),
}

impl Shape {
    /// How many columns of a row one series takes.
    pub(super) fn width(self) -> usize {
        match self {
            Self::Single => 1,
            Self::Binned | Self::RolledUp(_) => 4,
        }
    }
}

/// How the values of one series are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    storage: Storage,
    /// `None` when the row says it, behind the values.
    decimals: Option<u8>,
}

impl Reading {
    /// Series without a column of their own.
    pub(super) const CUSTOM: Self = Self {
        storage: Storage::Double,
        decimals: None,
    };

    pub(super) fn of(column: &Column) -> Self {
        Self {
            storage: column.storage,
            decimals: Some(column.decimals),
        }
    }

    /// What a row says, from column `first` on.
    pub(super) fn sum(self, row: &PgRow, first: usize, shape: Shape) -> Result<Option<Sum>, sqlx::Error> {
        let decimals = match self.decimals {
            Some(decimals) => decimals,
            None => u8::try_from(row.try_get::<i16, _>(first + shape.width())?).unwrap_or(0),
        };
        let Some(minimum) = self.scaled(row, first, decimals)? else {
            return Ok(None);
        };
        let mut sum = Sum::default();
        if shape == Shape::Single {
            sum.add(minimum);
            return Ok(Some(sum));
        }
        let Some(maximum) = self.scaled(row, first + 1, decimals)? else {
            return Ok(None);
        };
        let total: Option<f64> = row.try_get(first + 2)?;
        let count: Option<i64> = row.try_get(first + 3)?;
        let power = 10f64.powi(i32::from(decimals));
        Ok(Some(Sum {
            minimum,
            maximum,
            // The sum of what was scaled is a whole number, whatever floats made of it on the way.
            hundredfold: (total.unwrap_or(0.0) * power).round() as i128 * 100,
            count: u32::try_from(count.unwrap_or(0)).unwrap_or(u32::MAX),
        }))
    }

    fn scaled(self, row: &PgRow, index: usize, decimals: u8) -> Result<Option<i64>, sqlx::Error> {
        Ok(match self.storage {
            Storage::Whole => row.try_get::<Option<i64>, _>(index)?,
            Storage::Double => row
                .try_get::<Option<f64>, _>(index)?
                .and_then(|value| to_scaled(value, decimals)),
            Storage::Real => row
                .try_get::<Option<f32>, _>(index)?
                .and_then(|value| to_scaled(f64::from(value), decimals)),
        })
    }
}

/// Whether hours that were late are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// All but these.
    Without,
    /// Only these.
    Only,
}

/// The statement that reads these columns: `$1` machines, `$2` and `$3` the range, then for moments `$4` their length in
/// milliseconds and `$5` the start of the first, then the custom series asked for, and at last machines and hours of what is
/// late. Of the metric `maximum_only` nothing else is read: half of the time goes into aggregates.
pub(super) fn statement(
    source: &Source,
    table: Option<&Table>,
    shape: Shape,
    part: u8,
    columns: &[(usize, &Column)],
    late: Option<Late>,
    maximum_only: Option<MetricId>,
) -> String {
    let relation = match (shape, table) {
        (Shape::RolledUp(tier), Some(table)) => table.roll_up(tier, part),
        (Shape::RolledUp(tier), None) => format!("custom_{tier}"),
        (_, Some(table)) => format!("{}_sample", table.kind),
        (_, None) => "custom_sample".to_owned(),
    };
    let time = match shape {
        Shape::RolledUp(_) => "s.bucket",
        Shape::Single | Shape::Binned => "s.sampled_at",
    };
    let mut text = "SELECT s.machine_key".to_owned();
    if let Some(key) = source.second_key {
        let _ = write!(text, ", s.{key}");
    }
    match shape {
        Shape::Single => text.push_str(", s.sampled_at"),
        // The first moment may start within a roll-up that reaches into it.
        Shape::Binned | Shape::RolledUp(_) => {
            let _ = write!(
                text,
                ", date_bin($4::double precision * interval '1 millisecond', greatest({time}, $5), $5)"
            );
        }
    }
    let names: Vec<(&str, bool)> = match table {
        Some(_) => columns
            .iter()
            .map(|(_, column)| (column.name.as_str(), maximum_only == Some(column.metric)))
            .collect(),
        None => vec![("value", false)],
    };
    for (name, maximum_only) in names {
        write_value(&mut text, shape, name, maximum_only);
    }
    match (table, shape) {
        (Some(_), _) => {}
        (None, Shape::Single) => text.push_str(", series.decimals"),
        (None, _) => text.push_str(", min(series.decimals)"),
    }
    let _ = write!(text, " FROM {relation} s");
    if table.is_none() {
        text.push_str(" JOIN series USING (series_key)");
    }
    let _ = write!(
        text,
        " WHERE s.machine_key = ANY($1) AND {time} >= $2 AND {time} < $3"
    );
    write_conditions(&mut text, source, shape, time, late);
    let keys = if source.second_key.is_some() {
        "1, 2, 3"
    } else {
        "1, 2"
    };
    if shape != Shape::Single {
        let _ = write!(text, " GROUP BY {keys}");
    }
    let _ = write!(text, " ORDER BY {keys}");
    text
}

/// Adds what is read of one column: of moments its smallest and largest value, the sum and how many there are.
fn write_value(text: &mut String, shape: Shape, name: &str, maximum_only: bool) {
    let _ = match shape {
        Shape::Binned if maximum_only => {
            write!(
                text,
                ", max(s.{name}), max(s.{name}), NULL::double precision, 1::bigint"
            )
        }
        Shape::RolledUp(_) if maximum_only => write!(
            text,
            ", max(s.{name}_max), max(s.{name}_max), NULL::double precision, 1::bigint"
        ),
        Shape::Single => write!(text, ", s.{name}"),
        Shape::Binned => write!(
            text,
            ", min(s.{name}), max(s.{name}), sum(s.{name}::double precision), count(s.{name})"
        ),
        Shape::RolledUp(_) => write!(
            text,
            // Whole numbers of eight bytes would be added as decimal ones, digit by digit.
            ", min(s.{name}_min), max(s.{name}_max), sum(s.{name}_avg * s.{name}_count), \
             sum(s.{name}_count::double precision)::bigint"
        ),
    };
}

/// Adds which custom series, and which hours, are read.
fn write_conditions(text: &mut String, source: &Source, shape: Shape, time: &str, late: Option<Late>) {
    let mut parameter = if shape == Shape::Single { 4 } else { 6 };
    if source.only_series.is_some() {
        let _ = write!(text, " AND s.series_key = ANY(${parameter})");
        parameter += 1;
    }
    if let Some(late) = late {
        let not = if late == Late::Without { "NOT " } else { "" };
        let _ = write!(
            text,
            " AND (s.machine_key, date_bin('1 hour', {time}, TIMESTAMPTZ '1970-01-01 00:00:00+00')) \
             {not}IN (SELECT * FROM unnest(${parameter}::integer[], ${}::timestamptz[]))",
            parameter + 1
        );
    }
}
