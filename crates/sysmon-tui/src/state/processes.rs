//! The process table: columns, order and cursor.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use sysmon_core::{Process, ProcessKey, ProcessTable, TextFilter, UnixMillis};

use super::{Movement, ProcessSelection, moved, scrolled};

mod search;
mod tree;

pub(crate) use search::Found;
pub(crate) use tree::Branch;

/// A column of the process table, which is also what it can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum ProcessColumn {
    #[default]
    Cpu,
    Memory,
    Pid,
    User,
    State,
    Threads,
    Read,
    Write,
    Command,
}

impl ProcessColumn {
    /// What the table can be sorted by: column, key and name.
    pub(crate) const SORTS: [(Self, char, &'static str); 9] = [
        (Self::Cpu, 'c', "cpu"),
        (Self::Memory, 'm', "memory"),
        (Self::Pid, 'p', "pid"),
        (Self::User, 'u', "user"),
        (Self::State, 'e', "state"),
        (Self::Threads, 't', "threads"),
        (Self::Read, 'r', "read"),
        (Self::Write, 'w', "written"),
        (Self::Command, 'n', "name"),
    ];
}

/// A process that the cursor stays on, whatever becomes of order and filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    pub(crate) key: ProcessKey,
    pub(crate) name: Arc<str>,
}

/// Order, filter and cursor of the process table.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessTableState {
    pub(crate) sort: ProcessColumn,
    pub(crate) inverted: bool,
    pub(crate) offset: usize,
    filter_text: String,
    filter: TextFilter,
    /// What was searched for last, to be searched for again.
    search: search::Search,
    order: Vec<ProcessKey>,
    /// Whether children stand below their parents.
    is_tree: bool,
    /// Beside the rows of a tree, their places in it.
    branches: Vec<Branch>,
    followed: Option<Followed>,
    /// A process that was followed and has ended; told once.
    ended: Option<Followed>,
    ordered_at: UnixMillis,
    stale_order: bool,
    /// Set once the person moves the cursor; until then the busiest are simply on top.
    selected: ProcessSelection,
}

impl ProcessTableState {
    /// The order changes by itself at most this often, so that rows can be read and a slow link is not spent on them.
    const REORDER_MS: u64 = 3_000;

    /// Notes that the rows are about something else now: they are put in order at once.
    pub(crate) fn mark_stale(&mut self) {
        self.stale_order = true;
    }

    /// The filter as typed.
    pub(crate) fn filter_text(&self) -> &str {
        &self.filter_text
    }

    /// Filters from now on.
    pub(crate) fn set_filter(&mut self, text: &str) {
        self.filter_text = text.into();
        self.filter = TextFilter::parse(text);
        self.stale_order = true;
    }

    /// Sorts by a column from now on, its natural first row on top.
    pub(crate) fn sort_by(&mut self, column: ProcessColumn) {
        self.sort = column;
        self.inverted = false;
        self.stale_order = true;
        self.offset = 0;
    }

    /// Sorts by a column whose heading was clicked: a second click turns the order around.
    pub(crate) fn click_heading(&mut self, column: ProcessColumn) {
        if self.sort == column {
            self.invert();
        } else {
            self.sort_by(column);
        }
    }

    /// Turns the order around.
    pub(crate) fn invert(&mut self) {
        self.inverted = !self.inverted;
        self.stale_order = true;
    }

    /// Forgets cursor, filter and rows: another machine is shown.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            sort: self.sort,
            inverted: self.inverted,
            is_tree: self.is_tree,
            // The same is looked for on one machine after another.
            search: std::mem::take(&mut self.search),
            ..Self::default()
        };
    }

    /// Forgets the cursor, and whom it followed.
    pub(crate) fn deselect(&mut self) -> bool {
        self.offset = 0;
        self.followed = None;
        self.selected.take().is_some()
    }

    /// Turns the list into a tree, or back.
    pub(crate) fn toggle_tree(&mut self) {
        self.is_tree = !self.is_tree;
        self.stale_order = true;
    }

    /// Whether children stand below their parents.
    pub(crate) fn is_tree(&self) -> bool {
        self.is_tree
    }

    /// The place of a row in the tree; `None` in a list.
    pub(crate) fn branch(&self, row: usize) -> Option<&Branch> {
        self.branches.get(row)
    }

    /// The process that is followed.
    pub(crate) fn followed(&self) -> Option<&Followed> {
        self.followed.as_ref()
    }

    /// Lets the cursor stay on its process from now on, or on the first one; or no longer.
    pub(crate) fn toggle_follow(&mut self, table: &ProcessTable) {
        if self.followed.take().is_some() {
            self.stale_order = true;
            return;
        }
        let key = self.selected.or(self.order.first().copied());
        self.followed = key.and_then(|key| table.get(key)).map(|process| Followed {
            key: process.key,
            name: Arc::clone(&process.name),
        });
        self.selected = self
            .followed
            .as_ref()
            .map(|followed| followed.key)
            .or(self.selected);
    }

    /// The process that was followed and has ended since the last call.
    pub(crate) fn take_ended(&mut self) -> Option<Followed> {
        self.ended.take()
    }

    /// The process under the cursor.
    pub(crate) fn selected(&self) -> ProcessSelection {
        self.selected
    }

    /// Processes in the order of the table.
    pub(crate) fn rows(&self) -> &[ProcessKey] {
        &self.order
    }

    /// Row of the cursor.
    pub(crate) fn cursor(&self) -> Option<usize> {
        let selected = self.selected?;
        self.order.iter().position(|key| *key == selected)
    }

    /// Moves the cursor.
    pub(crate) fn move_cursor(&mut self, movement: Movement) {
        if let Some(row) = moved(self.cursor(), self.order.len(), movement) {
            self.select_row(row);
        }
    }

    /// Puts the cursor on a row.
    pub(crate) fn select_row(&mut self, row: usize) {
        if let Some(key) = self.order.get(row) {
            self.selected = Some(*key);
            if self
                .followed
                .as_ref()
                .is_some_and(|followed| followed.key != *key)
            {
                self.followed = None;
            }
        }
    }

    /// Brings the rows up to date with the table.
    pub(crate) fn refresh(&mut self, table: &ProcessTable, now: UnixMillis, window_rows: usize) {
        let is_gone = |key: ProcessKey| table.get(key).is_none();
        // Of a list of the busiest alone somebody may be missing and live on.
        if table.is_complete()
            && self
                .followed
                .as_ref()
                .is_some_and(|followed| is_gone(followed.key))
        {
            self.ended = self.followed.take();
        }
        if self.followed.is_none() && self.selected.is_some_and(is_gone) {
            self.selected = None;
        }
        // A table that has just been opened fills at once.
        let is_new = self.order.len() * 2 < table.iter().len() && self.filter.is_empty();
        let is_due = now.since_ms(self.ordered_at) >= Self::REORDER_MS;
        if self.stale_order || is_due || is_new {
            self.reorder(table);
            self.ordered_at = now;
            self.stale_order = false;
        } else if self.window(window_rows).iter().copied().any(is_gone) {
            // Children of one that is gone have another place.
            if self.is_tree {
                self.reorder(table);
            } else {
                self.order.retain(|key| table.get(*key).is_some());
            }
        }
        self.offset = scrolled(self.offset, self.cursor(), self.order.len(), window_rows);
    }

    fn reorder(&mut self, table: &ProcessTable) {
        let mut rows: Vec<&Process> = table.iter().filter(|process| self.matches(process)).collect();
        let by = |a: &&Process, b: &&Process| {
            let order = compare(self.sort, a, b);
            let order = if self.inverted { order.reverse() } else { order };
            order.then_with(|| a.key.cmp(&b.key))
        };
        rows.sort_unstable_by(by);
        if self.is_tree {
            let parents: HashMap<u32, u32> = table
                .iter()
                .map(|process| (process.key.pid, process.parent_pid))
                .collect();
            (self.order, self.branches) = tree::arranged(&rows, |pid| parents.get(&pid).copied());
        } else {
            self.branches = Vec::new();
            self.order = rows.into_iter().map(|process| process.key).collect();
        }
    }

    /// The rows on screen. Whoever is gone from the others goes with the next order: a thousand processes are not searched
    /// for at every message.
    fn window(&self, rows: usize) -> &[ProcessKey] {
        let from = self.offset.min(self.order.len());
        let to = from.saturating_add(rows).min(self.order.len());
        &self.order[from..to]
    }

    fn matches(&self, process: &Process) -> bool {
        let is_followed = self
            .followed
            .as_ref()
            .is_some_and(|followed| followed.key == process.key);
        self.filter.is_empty() || is_followed || is_found(&self.filter, process)
    }
}

/// Whether a filter finds a process: by its command, its name, its user or its number.
fn is_found(filter: &TextFilter, process: &Process) -> bool {
    let pid = process.key.pid.to_string();
    filter.matches([&*process.command, &*process.name, &*process.user, pid.as_str()].into_iter())
}

/// The natural direction of each column: the largest on top, texts alphabetically.
fn compare(column: ProcessColumn, a: &Process, b: &Process) -> Ordering {
    match column {
        ProcessColumn::Cpu => {
            // Idle processes are told apart by memory, so that the lower half of the table says something too.
            let cpu = |process: &Process| process.cpu_percent.unwrap_or(0.0);
            cpu(b)
                .total_cmp(&cpu(a))
                .then_with(|| b.memory_bytes.cmp(&a.memory_bytes))
        }
        ProcessColumn::Memory => b.memory_bytes.cmp(&a.memory_bytes),
        ProcessColumn::Pid => a.key.pid.cmp(&b.key.pid),
        ProcessColumn::User => a.user.cmp(&b.user),
        ProcessColumn::State => a.state.cmp(&b.state),
        ProcessColumn::Threads => b.threads.cmp(&a.threads),
        ProcessColumn::Read => b.read_bytes_per_second.cmp(&a.read_bytes_per_second),
        ProcessColumn::Write => b.write_bytes_per_second.cmp(&a.write_bytes_per_second),
        ProcessColumn::Command => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
    }
}
