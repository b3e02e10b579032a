//! What of the fleet has been asked for, and what comes of it.

use sysmon_api::{Replica, wire};
use sysmon_core::{MetricId, UnixMillis};

use super::window::{Rows, SMALL_FLEET, Wanted, Window, order_word, rows_around};
use super::{FleetColumn, FleetTable, fleet_size};

/// What has been asked for, and what has come of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feed {
    /// Whether the aggregator can send some rows of an order.
    pub(crate) has_windows: bool,
    /// What was asked for last; `None` before, and when the connection is gone.
    pub(crate) sent: Option<Wanted>,
    pub(crate) sent_at: UnixMillis,
    /// What is wanted now and differs, since when.
    pub(crate) pending: Option<(Wanted, UnixMillis)>,
    /// The rows that have come; `None` when all machines come.
    pub(super) window: Option<Window>,
}

impl FleetTable {
    /// Takes note of what an update of the fleet brings, after the fleet has taken it.
    pub(crate) fn take(&mut self, update: &wire::Update) {
        let has_asked = self.feed.sent.as_ref().is_some_and(|sent| sent.rows.is_some());
        self.has_news = true;
        self.has_other_machines |= update.snapshot
            || update
                .machines
                .iter()
                .any(|machine| machine.left || machine.header.is_some());
        if update.snapshot {
            self.feed.window = has_asked.then(Window::default);
        }
        if update.has_window && has_asked {
            // A fleet that was here as a whole may have outgrown the window.
            self.feed.window.get_or_insert_default().take(update);
        }
    }

    /// A window that holds the whole fleet is ordered here: that costs no round trip.
    pub(super) fn settle_window(&mut self, fleet: &Replica) {
        let is_unfiltered = self.feed.sent.as_ref().is_some_and(|sent| sent.filter.is_empty());
        let holds_all = self.feed.window.as_ref().is_some_and(|window| {
            fleet.is_complete() && is_unfiltered && window.machines.len() == window.matching
        });
        if holds_all && fleet_size(fleet) == fleet.machines().len() as u64 {
            self.feed.window = None;
            self.has_other_machines = true;
        }
    }

    /// What is to be asked for, for a screen of so many rows and columns.
    pub(crate) fn wanted(&self, fleet: &Replica, rows: usize, screen_width: u16) -> Wanted {
        let total = fleet_size(fleet);
        let is_large = total > SMALL_FLEET;
        let needs_all = self.is_heat_map || self.grouping.label().is_some();
        let order = order_word(self.sort).filter(|_| !needs_all);
        let sent = self.feed.sent.as_ref();
        let holds_all = sent.is_some_and(|sent| sent.rows.is_some() && sent.filter.is_empty())
            && self.feed.window.is_none()
            && fleet.is_complete();
        let is_windowed = self.feed.has_windows && order.is_some() && (is_large || total == 0 || holds_all);
        let mut metrics: Vec<MetricId> = FleetColumn::SORTS
            .iter()
            .filter_map(|(column, ..)| column.metric())
            .collect();
        let mut past = Vec::new();
        if self.is_heat_map && is_large {
            // Ten thousand machines on one screen: one number each.
            metrics = vec![MetricId::CpuBusy];
        } else {
            for column in self.columns.on(screen_width) {
                metrics.extend(column.metric());
                past.extend(column.metric().filter(|_| column.has_spark()));
            }
        }
        metrics.push(self.measure());
        metrics.extend(self.filter.metrics());
        metrics.sort_unstable();
        metrics.dedup();
        if is_large && !is_windowed {
            past.clear();
        }
        let rows = order.filter(|_| is_windowed).map(|order| {
            let before = sent.and_then(|sent| sent.rows.as_ref());
            if holds_all && let Some(before) = before {
                return before.clone();
            }
            let before = before.map(|rows| (rows.first, rows.count));
            let (first, count) = rows_around(before, self.offset, rows.max(1), self.len());
            Rows {
                order: order.to_owned(),
                reversed: self.inverted,
                first,
                count,
            }
        });
        let filters_there = rows.is_some() && !holds_all;
        Wanted {
            filter: if filters_there {
                self.filter.text().to_owned()
            } else {
                String::new()
            },
            rows,
            metrics,
            past,
            // All of a large fleet every second would be more than a slow link takes.
            period_ms: if is_large && !is_windowed { 2_000 } else { 1_000 },
        }
    }
}
