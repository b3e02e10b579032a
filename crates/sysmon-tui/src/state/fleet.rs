//! The fleet: which machines are shown, in which order, and where the cursor is.

use std::sync::Arc;

use sysmon_api::{Machine, Replica};
use sysmon_core::{MetricId, UnixMillis, display_width};

use super::alerts::board::Board;
use super::{Movement, moved, scrolled};

pub(crate) mod columns;
mod feed;
pub(crate) mod filter;
pub(crate) mod groups;
pub(crate) mod heat;
pub(crate) mod marks;
pub(crate) mod order;
pub(crate) mod window;

pub(crate) use columns::{FleetColumn, FleetLayout};
pub(crate) use groups::Row;
pub(crate) use order::badness;
pub(crate) use sysmon_core::natural;

use columns::Columns;
use feed::Feed;
use filter::FleetFilter;
use groups::Grouping;
use marks::Marks;
use order::Places;
use window::Window;

/// Our own clock and the aggregator's.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clocks {
    pub(crate) now: UnixMillis,
    pub(crate) aggregator: UnixMillis,
}

/// Order, filter, columns, marks and cursor of the fleet.
#[derive(Clone, Debug, Default)]
pub(crate) struct FleetTable {
    pub(crate) sort: FleetColumn,
    pub(crate) inverted: bool,
    pub(crate) offset: usize,
    pub(crate) columns: Columns,
    pub(crate) filter: FleetFilter,
    pub(crate) grouping: Grouping,
    pub(crate) marks: Marks,
    pub(crate) feed: Feed,
    /// Whether the heat map is shown instead of the table.
    pub(crate) is_heat_map: bool,
    /// First line of the heat map on screen.
    pub(crate) heat_offset: usize,
    heat_place: Option<usize>,
    places: Places,
    /// All machines that match, in order; only those of the window when the aggregator orders.
    all: Vec<u32>,
    rows: Vec<Row>,
    ordered_at: UnixMillis,
    stale_order: bool,
    /// Machines came, went or have other names or labels.
    has_other_machines: bool,
    /// Values changed since the order was made.
    has_news: bool,
    selected: Option<Arc<str>>,
    selected_group: Option<Arc<str>>,
    cursor: Option<usize>,
    /// The person has put the cursor somewhere; until then it stays on top, whoever is there.
    is_placed: bool,
    /// Cells of the longest name so far.
    name_width: u16,
}

impl FleetTable {
    /// The order changes by itself at most this often, so that rows can be read.
    const REORDER_MS: u64 = 3_000;

    /// The same columns, order, filter and cursor, for a fleet that comes another way.
    pub(crate) fn for_another_fleet(&self) -> Self {
        Self {
            feed: Feed::default(),
            marks: Marks::default(),
            ..self.clone()
        }
    }

    /// Notes that the rows are about other machines now: they are put in order at once.
    pub(crate) fn mark_stale(&mut self) {
        self.stale_order = true;
        self.has_other_machines = true;
    }

    /// The filter that is applied.
    pub(crate) fn filter_text(&self) -> &str {
        self.filter.text()
    }

    /// Filters from now on; a text that is no filter changes nothing but what is said about it.
    pub(crate) fn set_filter(&mut self, text: &str) {
        if self.filter.set(text) {
            self.stale_order = true;
        }
    }

    /// Filters by what has been typed so far.
    pub(crate) fn type_filter(&mut self, text: &str) {
        if self.filter.set_typed(text) {
            self.stale_order = true;
        }
    }

    /// Sorts by a column from now on, its natural first row on top.
    pub(crate) fn sort_by(&mut self, column: FleetColumn) {
        self.sort = column;
        self.inverted = false;
        self.stale_order = true;
        self.places.unsettle();
    }

    /// Sorts by a column whose heading was clicked: a second click turns the order around.
    pub(crate) fn click_heading(&mut self, column: FleetColumn) {
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

    /// Groups by a label from now on, or not at all.
    pub(crate) fn group_by(&mut self, label: Option<&str>) {
        self.grouping.set_label(label);
        self.stale_order = true;
    }

    /// Folds or unfolds a group; the cursor goes to its heading.
    pub(crate) fn fold(&mut self, name: &Arc<str>, is_collapsed: bool) {
        self.grouping.set_collapsed(name, is_collapsed);
        self.rows = self.grouping.rows(&self.all);
        self.selected = None;
        self.selected_group = Some(Arc::clone(name));
        self.is_placed = true;
    }

    /// What the shades of the heat map and the totals of groups are about.
    pub(crate) fn measure(&self) -> MetricId {
        self.sort.metric().unwrap_or(MetricId::CpuBusy)
    }

    /// How many rows there are, also those that have not come.
    pub(crate) fn len(&self) -> usize {
        self.remote().map_or(self.rows.len(), |window| window.matching)
    }

    /// A row; `None` for one that has not come.
    pub(crate) fn row(&self, index: usize) -> Option<Row> {
        match self.remote() {
            Some(window) => {
                let number = window.machines.get(index.checked_sub(window.first)?)?;
                Some(Row::Machine(*number))
            }
            None => self.rows.get(index).copied(),
        }
    }

    /// How many machines match the filter.
    pub(crate) fn match_count(&self) -> usize {
        self.remote().map_or(self.all.len(), |window| window.matching)
    }

    /// The machines that match, in order, as far as they have come.
    pub(crate) fn machines(&self) -> &[u32] {
        match self.remote() {
            Some(window) => &window.machines,
            None => &self.all,
        }
    }

    /// The window when the aggregator orders and not all of its rows are here.
    fn remote(&self) -> Option<&Window> {
        self.feed.window.as_ref()
    }

    /// Whether the aggregator filters and orders.
    pub(crate) fn is_windowed(&self) -> bool {
        self.remote().is_some()
    }

    /// Id of the machine under the cursor.
    pub(crate) fn selected(&self) -> Option<&Arc<str>> {
        self.selected.as_ref()
    }

    /// Name of the group whose heading is under the cursor.
    pub(crate) fn selected_group(&self) -> Option<&Arc<str>> {
        self.selected_group.as_ref()
    }

    /// Row of the cursor.
    pub(crate) fn cursor(&self) -> Option<usize> {
        self.cursor
    }

    /// Cells of the longest name.
    pub(crate) fn name_width(&self) -> u16 {
        self.name_width
    }

    /// Moves the cursor.
    pub(crate) fn move_cursor(&mut self, fleet: &Replica, movement: Movement) {
        if let Some(row) = moved(self.cursor, self.len(), movement) {
            self.select_row(fleet, row);
            // Whoever goes to the very top wants to see the worst, whichever it is.
            self.is_placed = movement != Movement::First;
        }
    }

    /// Puts the cursor on a row; returns whether it was there already.
    pub(crate) fn select_row(&mut self, fleet: &Replica, row: usize) -> bool {
        if row >= self.len() {
            return false;
        }
        let before = self.cursor.replace(row);
        self.is_placed = true;
        self.note_selection(fleet);
        before == Some(row)
    }

    /// Puts the cursor on a machine.
    pub(crate) fn select(&mut self, id: &Arc<str>) {
        self.selected = Some(Arc::clone(id));
        self.selected_group = None;
        self.is_placed = true;
    }

    /// Remembers what the cursor's row stands for.
    fn note_selection(&mut self, fleet: &Replica) {
        match self.cursor.and_then(|row| self.row(row)) {
            Some(Row::Machine(number)) => {
                self.selected = fleet.machine(number).map(|machine| Arc::clone(&machine.id));
                self.selected_group = None;
            }
            Some(Row::Group(index)) => {
                self.selected = None;
                self.selected_group = self
                    .grouping
                    .groups()
                    .get(index)
                    .map(|group| Arc::clone(&group.name));
            }
            None => (self.selected, self.selected_group) = (None, None),
        }
    }

    /// Brings the rows up to date with the fleet: new and gone machines at once, the order when it is due. Without a
    /// selection the first row is selected, so that Enter always means something.
    pub(crate) fn refresh(&mut self, fleet: &Replica, board: &Board, clocks: Clocks, window_rows: usize) {
        self.settle_window(fleet);
        if self.remote().is_some() {
            let machines = self.machines().to_vec();
            if self.has_news {
                self.measure_names(machines.iter().filter_map(|number| fleet.machine(*number)));
            }
            if self.has_other_machines {
                self.grouping.learn(fleet);
                self.has_other_machines = false;
            }
            self.has_news = false;
        } else {
            let since_ms = clocks.now.since_ms(self.ordered_at);
            let is_due = since_ms >= Self::REORDER_MS || self.ordered_at == UnixMillis(0);
            if self.stale_order || self.has_other_machines || (self.has_news && is_due) {
                self.reorder(fleet, board, clocks);
            }
        }
        if self.is_heat_map {
            self.follow_on_map(fleet);
        } else {
            self.follow(fleet, window_rows);
        }
    }

    fn reorder(&mut self, fleet: &Replica, board: &Board, clocks: Clocks) {
        if self.has_other_machines {
            self.places.rename(fleet);
            self.grouping.learn(fleet);
            self.measure_names(fleet.machines().map(|(_, machine)| machine));
        }
        let machines: Vec<(u32, &Machine)> = fleet
            .machines()
            .filter(|(_, machine)| self.filter.matches(machine, board, clocks.aggregator))
            .collect();
        let alerts = |id: &str| board.counts_of(id).firing();
        let ordered = self.places.sort(
            machines,
            (self.sort, self.inverted),
            &self.columns,
            alerts,
            clocks.now,
        );
        self.all = self.grouping.gather(fleet, ordered, self.measure());
        self.rows = self.grouping.rows(&self.all);
        self.ordered_at = clocks.now;
        self.stale_order = false;
        self.has_other_machines = false;
        self.has_news = false;
    }

    /// Names only ever need more room: columns that move with every machine cannot be read.
    fn measure_names<'a>(&mut self, machines: impl Iterator<Item = &'a Machine>) {
        let longest = machines.map(|machine| display_width(&machine.id)).max();
        let longest = u16::try_from(longest.unwrap_or(0)).unwrap_or(u16::MAX);
        self.name_width = self.name_width.max(longest);
    }

    /// Finds the selection again after the rows have changed, and keeps it on its line of the screen.
    fn follow(&mut self, fleet: &Replica, window_rows: usize) {
        let count = self.len();
        let line = self.cursor.map_or(0, |cursor| cursor.saturating_sub(self.offset));
        if count == 0 {
            self.cursor = None;
            self.offset = 0;
            return;
        }
        let found = self.is_placed.then(|| self.find_selection(fleet)).flatten();
        match found {
            Some(row) => {
                if self.cursor != Some(row) {
                    self.cursor = Some(row);
                    self.offset = row.saturating_sub(line);
                }
            }
            None if !self.is_placed || self.cursor.is_none() => {
                // Above the first machine may be the heading of its group.
                let first = usize::from(matches!(self.row(0), Some(Row::Group(_))) && count > 1);
                self.cursor = Some(first);
                self.offset = 0;
                self.note_selection(fleet);
            }
            // It is gone, or its row has not come: the cursor stays where it is.
            None => {
                self.cursor = self.cursor.map(|row| row.min(count - 1));
                if self.cursor.is_some_and(|row| self.row(row).is_some()) {
                    self.note_selection(fleet);
                }
            }
        }
        self.offset = scrolled(self.offset, self.cursor, count, window_rows);
        // A heading right above the first row on screen belongs to it.
        if self.cursor == Some(1) && self.offset == 1 && window_rows > 1 {
            self.offset = 0;
        }
    }

    fn find_selection(&self, fleet: &Replica) -> Option<usize> {
        let is_it = |row: Option<Row>| match row {
            Some(Row::Machine(number)) => self.selected.as_ref().is_some_and(|selected| {
                fleet
                    .machine(number)
                    .is_some_and(|machine| machine.id == *selected)
            }),
            Some(Row::Group(index)) => {
                let group = self.grouping.groups().get(index);
                group.is_some_and(|group| self.selected_group.as_ref() == Some(&group.name))
            }
            None => false,
        };
        if let Some(cursor) = self.cursor.filter(|cursor| is_it(self.row(*cursor))) {
            return Some(cursor);
        }
        let (first, count) = self.remote().map_or((0, self.rows.len()), |window| {
            (window.first, window.machines.len())
        });
        (first..first + count).find(|index| is_it(self.row(*index)))
    }

    /// The place among all that match of the machine under the cursor of the map.
    pub(crate) fn heat_place(&self) -> Option<usize> {
        self.heat_place
    }

    /// Puts the cursor on the machine of a place among all that match.
    pub(crate) fn select_place(&mut self, fleet: &Replica, place: usize) {
        let number = self.machines().get(place).copied();
        if let Some(machine) = number.and_then(|number| fleet.machine(number)) {
            self.select(&Arc::clone(&machine.id));
            self.heat_place = Some(place);
        }
    }

    /// Finds the selection on the map again; the first machine takes its place when it is gone.
    fn follow_on_map(&mut self, fleet: &Replica) {
        let is_it = |number: &u32| {
            let machine = fleet.machine(*number);
            machine.is_some_and(|machine| self.selected.as_ref() == Some(&machine.id))
        };
        let machines = self.machines();
        let before = self
            .heat_place
            .filter(|place| machines.get(*place).is_some_and(is_it));
        self.heat_place = before.or_else(|| machines.iter().position(is_it));
        if self.heat_place.is_none() {
            self.select_place(fleet, 0);
        }
    }

    /// What is remembered of it.
    pub(crate) fn layout(&self) -> FleetLayout {
        FleetLayout {
            columns: self.columns.words(),
            sort: if self.sort == FleetColumn::Worst {
                String::new()
            } else {
                self.columns.word(self.sort)
            },
            inverted: self.inverted,
            group: self
                .grouping
                .label()
                .map(|label| label.as_ref().to_owned())
                .unwrap_or_default(),
            heat_map: self.is_heat_map,
            history: self.filter.history().to_vec(),
            saved: self.filter.saved().to_vec(),
        }
    }

    /// Takes what was remembered over.
    pub(crate) fn restore(&mut self, layout: &FleetLayout) {
        self.columns.restore(&layout.columns);
        self.sort = self.columns.parse(&layout.sort).unwrap_or_default();
        self.inverted = layout.inverted;
        self.grouping.set_label(Some(&layout.group));
        self.is_heat_map = layout.heat_map;
        self.filter.restore(&layout.history, &layout.saved);
        self.stale_order = true;
    }
}

/// Whether marks, groups or an order are told before the hints at the bottom.
pub(crate) fn has_footing(state: &super::State) -> bool {
    let table = &state.fleet_table;
    !table.marks.is_empty()
        || table.marks.is_asking
        || table.grouping.label().is_some()
        || table.is_heat_map
        || !table.columns.on(state.width).contains(&table.sort)
}

/// How many machines the aggregator knows.
pub(crate) fn fleet_size(fleet: &Replica) -> u64 {
    let totals = fleet.totals();
    u64::from(totals.live) + u64::from(totals.stale) + u64::from(totals.lost)
}

#[cfg(test)]
mod tests;
