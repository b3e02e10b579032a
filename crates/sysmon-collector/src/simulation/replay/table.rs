//! The columns of a recording: which ones there are, and the numbers of a row.

use std::collections::HashMap;

/// The most columns that a recording may have.
const COLUMNS_MAX: usize = 4_096;

/// One cell: whole numbers stay exact.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    Empty,
    Whole(u64),
    Decimal(f64),
}

impl Cell {
    pub(super) fn whole(self) -> Option<u64> {
        match self {
            Self::Whole(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn decimal(self) -> Option<f64> {
        match self {
            Self::Whole(value) => Some(value as f64),
            Self::Decimal(value) => Some(value),
            Self::Empty => None,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Empty);
        }
        if let Ok(value) = text.parse() {
            return Some(Self::Whole(value));
        }
        let value: f64 = text.parse().ok()?;
        value.is_finite().then_some(Self::Decimal(value))
    }
}

/// Where each column is.
#[derive(Debug)]
pub(super) struct Table {
    places: HashMap<String, usize>,
    names: Vec<String>,
}

impl Table {
    /// `None` for a heading without time, or with more columns than a machine can have.
    pub(super) fn of_heading(heading: &str) -> Option<Self> {
        let names: Vec<String> = heading
            .trim_start_matches('\u{feff}')
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect();
        let places: HashMap<String, usize> = names
            .iter()
            .enumerate()
            .map(|(place, name)| (name.clone(), place))
            .collect();
        (places.contains_key("unix_ms") && names.len() <= COLUMNS_MAX).then_some(Self { places, names })
    }

    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// What stands between a prefix and a suffix in the names of columns, in their order.
    pub(super) fn between<'a>(&'a self, prefix: &'a str, suffix: &'a str) -> impl Iterator<Item = &'a str> {
        self.names
            .iter()
            .filter_map(move |name| name.strip_prefix(prefix)?.strip_suffix(suffix))
    }

    /// Reads a row; `None` when it is not one of this table.
    pub(super) fn read(&self, line: &str, cells: &mut Vec<Cell>) -> Option<()> {
        cells.clear();
        for text in line.split(',') {
            cells.push(Cell::parse(text.trim())?);
        }
        (cells.len() == self.names.len()).then_some(())
    }
}
