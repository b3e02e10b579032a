//! Searching again for what was searched for among the processes.

use sysmon_core::{ProcessTable, TextFilter};

use super::{ProcessTableState, is_found};

/// What was searched for; nothing before the first search.
#[derive(Clone, Debug, Default)]
pub(super) struct Search {
    text: String,
    filter: TextFilter,
}

/// What a repeated search has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Another row; beyond the end of the table or not.
    Row { is_around: bool },
    /// The cursor is on the only one.
    Only,
    /// None at all.
    Nothing,
}

impl ProcessTableState {
    /// Keeps the filter in force as what is searched for again; without one what was kept stays.
    pub(crate) fn keep_search(&mut self) {
        if !self.filter.is_empty() {
            self.search = Search {
                text: self.filter_text.clone(),
                filter: self.filter.clone(),
            };
        }
    }

    /// What is searched for again, as typed; empty for nothing.
    pub(crate) fn searched(&self) -> &str {
        &self.search.text
    }

    /// Puts the cursor on the next row that was searched for, or on the one before; around the ends of the table.
    pub(crate) fn search_again(&mut self, table: &ProcessTable, is_forward: bool) -> Found {
        let count = self.order.len();
        let cursor = self.cursor();
        // Without a cursor from the end that the search comes from.
        let mut from = match (cursor, is_forward) {
            (Some(row), true) => row + 1,
            (Some(row), false) => row,
            (None, true) => 0,
            (None, false) => count,
        };
        let mut is_around = false;
        for _ in 0..count {
            let end = if is_forward { count } else { 0 };
            if from == end {
                (from, is_around) = (count - end, true);
            }
            let row = if is_forward { from } else { from - 1 };
            from = if is_forward { from + 1 } else { row };
            let process = table.get(self.order[row]);
            if !process.is_some_and(|process| is_found(&self.search.filter, process)) {
                continue;
            }
            if cursor == Some(row) {
                return Found::Only;
            }
            self.select_row(row);
            return Found::Row { is_around };
        }
        Found::Nothing
    }
}
