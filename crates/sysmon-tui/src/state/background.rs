//! Whether the state is on screen, or one of several tabs that wait to be; and what is known of the fleet meanwhile.

use sysmon_api::wire;

use super::alerts::board::Counts;
use super::{Link, State, View};

/// The subscription of a tab that is not on screen: the totals of the fleet and one row of it.
pub(crate) const SUMMARY_SUBSCRIPTION: u32 = 6;

/// The part of a state that is about not being on screen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Background {
    /// Whether another tab is on screen.
    pub(crate) is_hidden: bool,
    /// Whether the summary is subscribed to, instead of the fleet.
    pub(crate) has_summary: bool,
    /// What the summary has told last; nothing before that, and while the fleet itself is subscribed to.
    pub(crate) totals: Option<wire::FleetTotals>,
    /// Whether what is shown is still that of when it was last on screen.
    pub(crate) is_catching_up: bool,
}

/// Several tabs, as far as one of them has to know: for the list that a person chooses from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TabNames {
    /// Names in their order; at most one when there is nothing to choose.
    pub(crate) names: Vec<String>,
    /// Which of them this one is.
    pub(crate) own: usize,
}

impl State {
    /// Whether letters are text: a line is typed, or a form filled in.
    pub(crate) fn takes_text(&self) -> bool {
        self.prompt.is_some()
            || self.console.palette.is_some()
            || self.editor.is_some()
            || self.silencing.is_some()
    }

    /// Whether Esc has something to close or to take back.
    pub(crate) fn awaits_escape(&self) -> bool {
        let table = &self.fleet_table;
        self.takes_text()
            || self.choosing.is_some()
            || self.overlay.is_some()
            || !self.pending_keys.is_empty()
            || self.is_in_past()
            || self.view != View::Fleet
            || table.is_heat_map
            || !table.marks.is_empty()
            || !table.filter_text().is_empty()
            || table.grouping.label().is_some()
    }

    /// How many machines of the live fleet are how, whether it is on screen, behind the past, or in another tab.
    #[must_use]
    pub(crate) fn live_totals(&self) -> wire::FleetTotals {
        let fleet = match &self.travel.trip {
            None => &self.fleet,
            Some(trip) => &trip.aside.fleet,
        };
        self.background.totals.unwrap_or_else(|| *fleet.totals())
    }

    /// How many alerts of the live fleet stand how.
    #[must_use]
    pub(crate) fn live_alert_counts(&self) -> Counts {
        let board = match &self.travel.trip {
            None => &self.alerts.board,
            Some(trip) => &trip.aside.board,
        };
        if self.alerts.is_ready() {
            board.counts()
        } else {
            Counts::default()
        }
    }

    /// Whether what is shown is still that of when it was last on screen; the present is under way.
    #[must_use]
    pub(crate) fn is_catching_up(&self) -> bool {
        self.background.is_catching_up && self.link == Link::Live
    }
}
