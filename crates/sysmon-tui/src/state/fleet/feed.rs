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

/// How many of the rows on screen there will be. Before anything is known a large fleet is expected: if it is a small one,
/// asking it again costs little.
fn filled_rows(rows: usize, total: u64) -> usize {
    match usize::try_from(total) {
        Ok(total) if total > 0 => rows.min(total),
        _ => rows,
    }
}

/// How often rows are told. Of machines that measure every second every number changes every time: a large screen full of
/// them is nothing that anybody reads each second, and ten kilobytes for the link.
fn period_ms(rows: usize, screen_width: u16, is_slow: bool) -> u32 {
    let cells = rows.saturating_mul(usize::from(screen_width));
    let period_ms = match cells {
        0..3_000 => 1_000,
        3_000..6_000 => 2_000,
        _ => 4_000,
    };
    if is_slow { period_ms * 6 } else { period_ms }
}

impl FleetTable {
    /// The pace of the rows on screen; nothing before they were asked for.
    pub(crate) fn period_ms(&self) -> u64 {
        self.feed.sent.as_ref().map_or(0, |sent| sent.period_ms.into())
    }

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

    /// What is to be asked for, for a screen of so many rows and columns, which may be behind a slow link.
    pub(crate) fn wanted(&self, fleet: &Replica, rows: usize, screen_width: u16, is_slow: bool) -> Wanted {
        let total = fleet_size(fleet);
        let rows_on_screen = rows;
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
        let pace = match (is_large, is_windowed, self.is_heat_map) {
            // A map of thousands is looked over, not read.
            (true, false, true) => 10_000,
            // All of a large fleet every second would be more than a slow link takes.
            (true, false, false) => 2_000,
            _ => 0,
        };
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
            period_ms: pace.max(period_ms(
                filled_rows(rows_on_screen, total),
                screen_width,
                is_slow,
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_full_of_rows_is_told_more_seldom_and_a_slow_link_still_more() {
        assert_eq!(period_ms(3, 200, false), 1_000);
        assert_eq!(period_ms(21, 80, false), 1_000);
        assert_eq!(period_ms(36, 120, false), 2_000);
        assert_eq!(period_ms(46, 200, false), 4_000);
        assert_eq!(period_ms(46, 200, true), 24_000);
        assert_eq!(period_ms(usize::MAX, u16::MAX, true), 24_000);
    }
}
