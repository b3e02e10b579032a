//! The fleet table: columns, order and cursor.

use std::cmp::Ordering;
use std::sync::Arc;

use sysmon_api::{Machine, Replica};
use sysmon_core::{Health, Liveness, MetricId, TextFilter, UnixMillis};

use super::{Movement, machine_matches, moved, scrolled};

/// A column of the fleet table, which is also what it can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum FleetColumn {
    /// Worst first: lost, critical, warning, stale, then the rest, each by processor time.
    #[default]
    Worst,
    Name,
    Cpu,
    Memory,
    Disk,
    Receive,
    Transmit,
    Load,
    Age,
    /// How many alerts fire.
    Alerts,
    Status,
}

impl FleetColumn {
    /// What the table can be sorted by: column, key and name.
    pub(crate) const SORTS: [(Self, char, &'static str); 9] = [
        (Self::Worst, 'w', "worst"),
        (Self::Name, 'n', "name"),
        (Self::Cpu, 'c', "cpu"),
        (Self::Memory, 'm', "memory"),
        (Self::Disk, 'd', "disk"),
        (Self::Receive, 'r', "recv"),
        (Self::Transmit, 't', "sent"),
        (Self::Load, 'l', "load"),
        (Self::Age, 'a', "age"),
    ];

    /// The metric behind a column of numbers.
    pub(crate) fn metric(self) -> Option<MetricId> {
        Some(match self {
            Self::Cpu => MetricId::CpuBusy,
            Self::Memory => MetricId::MemoryUsedPercent,
            Self::Disk => MetricId::MountWorstPercent,
            Self::Receive => MetricId::NetworkReceiveTotal,
            Self::Transmit => MetricId::NetworkTransmitTotal,
            Self::Load => MetricId::Load1,
            _ => return None,
        })
    }

    /// Every metric that the table shows.
    pub(crate) fn metrics() -> impl Iterator<Item = MetricId> {
        Self::SORTS.iter().filter_map(|(column, _, _)| column.metric())
    }
}

/// Order, filter and cursor of the fleet table.
#[derive(Clone, Debug, Default)]
pub(crate) struct FleetTable {
    pub(crate) sort: FleetColumn,
    pub(crate) inverted: bool,
    pub(crate) offset: usize,
    filter_text: String,
    filter: TextFilter,
    order: Vec<u32>,
    ordered_at: UnixMillis,
    stale_order: bool,
    selected: Option<Arc<str>>,
}

impl FleetTable {
    /// The order changes by itself at most this often, so that rows can be read.
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
    pub(crate) fn sort_by(&mut self, column: FleetColumn) {
        self.sort = column;
        self.inverted = false;
        self.stale_order = true;
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

    /// Machines in the order of the table.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.order
    }

    /// Id of the selected machine.
    pub(crate) fn selected(&self) -> Option<&Arc<str>> {
        self.selected.as_ref()
    }

    /// Row of the selected machine.
    pub(crate) fn cursor(&self, fleet: &Replica) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        self.order.iter().position(|number| {
            fleet
                .machine(*number)
                .is_some_and(|machine| machine.id == *selected)
        })
    }

    /// Moves the cursor.
    pub(crate) fn move_cursor(&mut self, fleet: &Replica, movement: Movement) {
        if let Some(row) = moved(self.cursor(fleet), self.order.len(), movement) {
            self.select_row(fleet, row);
        }
    }

    /// Puts the cursor on a row; returns whether it was there already.
    pub(crate) fn select_row(&mut self, fleet: &Replica, row: usize) -> bool {
        let Some(machine) = self.order.get(row).and_then(|number| fleet.machine(*number)) else {
            return false;
        };
        let same = self.selected.as_ref() == Some(&machine.id);
        self.selected = Some(Arc::clone(&machine.id));
        same
    }

    /// Puts the cursor on a machine.
    pub(crate) fn select(&mut self, id: &Arc<str>) {
        self.selected = Some(Arc::clone(id));
    }

    /// Brings the rows up to date with the fleet: new and gone machines at once, the order when it is due. Without a
    /// selection the first row is selected, so that Enter always means something.
    pub(crate) fn refresh(&mut self, fleet: &Replica, now: UnixMillis, window_rows: usize) {
        let matching = fleet
            .machines()
            .filter(|(_, machine)| machine_matches(machine, &self.filter))
            .count();
        let kept = |number: &u32| {
            fleet
                .machine(*number)
                .is_some_and(|machine| machine_matches(machine, &self.filter))
        };
        let changed = self.order.len() != matching || !self.order.iter().all(kept);
        let is_due = self.ordered_at == UnixMillis(0) || now.since_ms(self.ordered_at) >= Self::REORDER_MS;
        if self.stale_order || changed || is_due {
            self.reorder(fleet);
            self.ordered_at = now;
            self.stale_order = false;
        }
        if self.cursor(fleet).is_none() {
            self.select_row(fleet, 0);
        }
        self.offset = scrolled(self.offset, self.cursor(fleet), self.order.len(), window_rows);
    }

    fn reorder(&mut self, fleet: &Replica) {
        let mut rows: Vec<(u32, &Machine)> = fleet
            .machines()
            .filter(|(_, machine)| machine_matches(machine, &self.filter))
            .collect();
        rows.sort_by(|(_, a), (_, b)| {
            let order = compare(self.sort, a, b);
            let order = if self.inverted { order.reverse() } else { order };
            order.then_with(|| natural(&a.id, &b.id))
        });
        self.order = rows.into_iter().map(|(number, _)| number).collect();
    }
}

/// The natural direction of each column: the worst, largest or alphabetically first on top.
fn compare(column: FleetColumn, a: &Machine, b: &Machine) -> Ordering {
    match column {
        FleetColumn::Name => natural(&a.id, &b.id),
        FleetColumn::Age => a.last_seen.cmp(&b.last_seen),
        FleetColumn::Worst | FleetColumn::Status | FleetColumn::Alerts => badness(b)
            .cmp(&badness(a))
            .then_with(|| compare_steps(FleetColumn::Cpu, a, b)),
        _ => {
            let value = |machine: &Machine| column.metric().and_then(|metric| machine.recent.value(metric));
            descending(value(a), value(b))
        }
    }
}

/// In steps of ten, so that the order below the bad ones does not change with every flutter.
fn compare_steps(column: FleetColumn, a: &Machine, b: &Machine) -> Ordering {
    let step = |machine: &Machine| {
        column
            .metric()
            .and_then(|metric| machine.recent.value(metric))
            .map(|value| (value / 10.0).floor())
    };
    descending(step(a), step(b))
}

fn descending(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

pub(crate) fn badness(machine: &Machine) -> u8 {
    match (machine.liveness, machine.health) {
        (Liveness::Lost, _) => 4,
        (_, Health::Critical) => 3,
        (_, Health::Warning) => 2,
        (Liveness::Stale, _) => 1,
        _ => 0,
    }
}

/// Names in the order that people expect: `web-2` before `web-10`.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        match (left.first(), right.first()) {
            (None, None) => return a.cmp(b),
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number, rest) = digits(left);
                let (other, other_rest) = digits(right);
                match number.len().cmp(&other.len()).then_with(|| number.cmp(other)) {
                    Ordering::Equal => (left, right) = (rest, other_rest),
                    unequal => return unequal,
                }
            }
            (Some(x), Some(y)) => match x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase()) {
                Ordering::Equal => (left, right) = (&left[1..], &right[1..]),
                unequal => return unequal,
            },
        }
    }
}

/// Leading digits without their zeros, and the rest.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let zeros = text[..end].iter().take_while(|byte| **byte == b'0').count();
    (&text[zeros..end], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["web-10", "web-2", "Web-1", "db", "web-002"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["db", "Web-1", "web-002", "web-2", "web-10"]);
    }

    #[test]
    fn every_sort_has_its_own_key() {
        let mut keys: Vec<char> = FleetColumn::SORTS.iter().map(|(_, key, _)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), FleetColumn::SORTS.len());
    }
}
