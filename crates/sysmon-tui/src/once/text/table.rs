//! Columns that line up, within a width.

use sysmon_core::{Health, clip, display_width, sanitize};

use super::TextStyle;

/// One cell.
pub(super) struct Cell {
    text: String,
    health: Health,
}

impl Cell {
    /// A cell that is judged.
    pub(super) fn judged(text: impl Into<String>, health: Health) -> Self {
        Self {
            health,
            ..Self::from(text.into())
        }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        // Whatever its way here, a text from afar reaches the terminal clean.
        let text = sanitize(&text).into_owned();
        Self {
            text,
            health: Health::Unknown,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Rows below a heading. Columns are as wide as their widest cell; the first `text_columns` are texts, which start at
/// the left and give way when there is not enough room, the others are numbers.
pub(super) struct Table {
    headings: &'static [&'static str],
    text_columns: usize,
    rows: Vec<Vec<Cell>>,
}

const GAP: usize = 2;
/// What a column that gives way keeps.
const TEXT_CELLS_MIN: usize = 8;

impl Table {
    pub(super) fn new(headings: &'static [&'static str], text_columns: usize) -> Self {
        Self {
            headings,
            text_columns,
            rows: Vec::new(),
        }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table as lines; empty without rows.
    pub(super) fn render(&self, style: TextStyle) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths = self.widths(style.width);
        let headings: Vec<Cell> = self.headings.iter().map(|heading| Cell::from(*heading)).collect();
        std::iter::once(&headings)
            .chain(&self.rows)
            .map(|cells| self.line(cells, &widths, style))
            .collect()
    }

    fn widths(&self, room: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .headings
            .iter()
            .map(|heading| display_width(heading))
            .collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(display_width(&cell.text));
            }
        }
        // Texts give way first, the last of them before the others; then the last numbers are left out.
        let total = |widths: &[usize]| widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        for column in (0..self.text_columns).rev() {
            let excess = total(&widths).saturating_sub(room);
            widths[column] -= excess.min(widths[column].saturating_sub(TEXT_CELLS_MIN));
        }
        while total(&widths) > room && widths.len() > 1 {
            widths.pop();
        }
        widths
    }

    fn line(&self, cells: &[Cell], widths: &[usize], style: TextStyle) -> String {
        let mut line = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let text = clip(&cell.text, *width);
            let padding = " ".repeat(width - display_width(&text));
            let tinted = style.tint(&text, cell.health);
            let separator = if column == 0 { "" } else { "  " };
            line.push_str(separator);
            if column < self.text_columns {
                line.push_str(&tinted);
                line.push_str(&padding);
            } else {
                line.push_str(&padding);
                line.push_str(&tinted);
            }
        }
        format!("{}\n", line.trim_end())
    }
}
