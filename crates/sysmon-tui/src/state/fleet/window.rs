//! What of the fleet is asked for: all of it while it is small, the rows around those on screen when it is large.

use sysmon_api::wire;
use sysmon_core::MetricId;

use super::columns::FleetColumn;
use crate::state::FLEET_SUBSCRIPTION;

/// A fleet of at most so many machines is asked for as a whole: order and filter then cost no round trip.
pub(crate) const SMALL_FLEET: u64 = 300;
/// The most rows that can be asked for.
const ROWS_MAX: usize = 1_000;
/// Nobody's terminal shows fewer; enough for a first picture on a slow link.
const ROWS_MIN: usize = 40;
/// Sparklines show so much of the past.
pub(crate) const SPARK_MS: u32 = 120_000;

/// Rows of an order that the aggregator keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Word of the order, as the protocol has it.
    pub(crate) order: String,
    pub(crate) reversed: bool,
    pub(crate) first: usize,
    pub(crate) count: usize,
}

/// A subscription of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What the aggregator is to filter by; empty where the client does.
    pub(crate) filter: String,
    /// `None` for all machines that match.
    pub(crate) rows: Option<Rows>,
    pub(crate) metrics: Vec<MetricId>,
    /// Those of which the recent past is wanted too.
    pub(crate) past: Vec<MetricId>,
    pub(crate) period_ms: u32,
}

impl Wanted {
    /// As it is sent.
    pub(crate) fn subscribe(&self) -> wire::Subscribe {
        let names = |metrics: &[MetricId]| metrics.iter().map(|metric| metric.name().to_owned()).collect();
        let number = |rows: usize| u32::try_from(rows).unwrap_or(u32::MAX);
        wire::Subscribe {
            subscription: FLEET_SUBSCRIPTION,
            filter: self.filter.clone(),
            metrics: names(&self.metrics),
            history_metrics: names(&self.past),
            processes: wire::ProcessDetail::None.into(),
            history_ms: if self.past.is_empty() { 0 } else { SPARK_MS },
            period_ms: self.period_ms,
            window: self.rows.as_ref().map(|rows| wire::Window {
                order: rows.order.clone(),
                reversed: rows.reversed,
                first: number(rows.first),
                rows: number(rows.count),
            }),
            ..Default::default()
        }
    }

    /// Whether another subscription differs from this one only in which rows are wanted.
    pub(crate) fn is_scroll_of(&self, other: &Self) -> bool {
        match (&self.rows, &other.rows) {
            (Some(mine), Some(theirs)) => {
                let moved = Self {
                    rows: Some(Rows {
                        first: theirs.first,
                        count: theirs.count,
                        ..mine.clone()
                    }),
                    ..self.clone()
                };
                moved == *other
            }
            _ => false,
        }
    }
}

/// The word of an order that the aggregator can keep; `None` for one that needs all machines here.
pub(crate) fn order_word(column: FleetColumn) -> Option<&'static str> {
    match column {
        FleetColumn::Worst => Some("worst"),
        FleetColumn::Name => Some("name"),
        FleetColumn::Age => Some("age"),
        FleetColumn::Metric(metric) => Some(metric.name()),
        FleetColumn::Alerts | FleetColumn::Status | FleetColumn::Fact(_) | FleetColumn::Label(_) => None,
    }
}

/// The rows to ask for around those on screen: a screen on each side. What was asked for before stays as long as the
/// screen is well within it, so that scrolling does not ask at every step.
pub(crate) fn rows_around(
    before: Option<(usize, usize)>,
    offset: usize,
    screen: usize,
    total: usize,
) -> (usize, usize) {
    let count = (screen * 3).clamp(ROWS_MIN, ROWS_MAX);
    if let Some((first, kept)) = before {
        let half = screen / 2;
        let has_above = first == 0 || offset >= first.saturating_add(half);
        let end = first.saturating_add(kept);
        let has_below = end >= total || offset + screen + half <= end;
        // Another height of the screen asks anew only when what there is does not do.
        if has_above
            && has_below
            && kept >= screen.saturating_mul(2).min(total).max(1)
            && kept <= count.saturating_mul(2)
        {
            return (first, kept);
        }
    }
    let first = offset.saturating_sub(screen).min(total.saturating_sub(count));
    (first, count)
}

/// The rows of the fleet that have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) first: usize,
    pub(crate) machines: Vec<u32>,
    /// How many machines match, here or not.
    pub(crate) matching: usize,
}

impl Window {
    /// Takes what an update says of the window; returns whether it says anything.
    pub(crate) fn take(&mut self, update: &wire::Update) -> bool {
        if !update.has_window {
            return false;
        }
        let number = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        self.first = number(update.window_first);
        self.machines.clear();
        self.machines
            .extend(update.window_machines.iter().take(ROWS_MAX).copied());
        self.matching = number(update.matching)
            .min(sysmon_api::Replica::MACHINE_LIMIT)
            .max(self.machines.len());
        self.first = self.first.min(self.matching - self.machines.len());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_screen_is_always_within_what_is_asked_for(
            moves in prop::collection::vec((0usize..12_000, 1usize..120), 1..60), total in 0usize..12_000,
        ) {
            let mut before = None;
            for (offset, screen) in moves {
                let offset = offset.min(total.saturating_sub(screen));
                let (first, count) = rows_around(before, offset, screen, total);
                prop_assert!(first <= offset && (first + count >= offset + screen || first + count >= total));
                prop_assert!((1..=ROWS_MAX).contains(&count));
                // Asked again for the same screen, nothing changes.
                prop_assert_eq!(rows_around(Some((first, count)), offset, screen, total), (first, count));
                before = Some((first, count));
            }
        }
    }

    #[test]
    fn small_steps_do_not_ask_again() {
        let (first, count) = rows_around(None, 0, 20, 10_000);
        assert_eq!((first, count), (0, 60));
        assert_eq!(rows_around(Some((0, 60)), 25, 20, 10_000), (0, 60));
        assert_eq!(rows_around(Some((0, 60)), 45, 20, 10_000), (25, 60));
    }

    #[test]
    fn a_window_that_contradicts_itself_is_bounded() {
        let mut window = Window::default();
        let update = wire::Update {
            has_window: true,
            window_first: u32::MAX,
            matching: 1,
            window_machines: vec![4, 5, 6],
            ..Default::default()
        };
        assert!(window.take(&update));
        assert_eq!((window.first, window.matching), (0, 3));
    }
}
