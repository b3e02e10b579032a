//! What one look at an aggregator shows.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use sysmon_api::{Machine, Replica};
use sysmon_core::Filter;
use sysmon_core::alert::{Alert, Severity};
use sysmon_core::filter::AlertFacts;

use crate::state::alerts::board::{Board, Standing};
use crate::state::fleet::fleet_size;

/// The fleet, and what is wrong on it.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub(super) fleet: Replica,
    /// Machines of which more is known than the fleet tells.
    pub(super) opened: Option<Replica>,
    /// `None` when the aggregator keeps no rules, or does not tell of alerts in time.
    pub(super) board: Option<Board>,
    /// The machines that a filter leaves, by id; `None` without a filter.
    pub(super) shown: Option<BTreeSet<Arc<str>>>,
}

impl Snapshot {
    /// A snapshot of which nobody says what is wrong.
    #[must_use]
    pub fn of_fleet(fleet: Replica) -> Self {
        Self {
            fleet,
            ..Self::default()
        }
    }

    /// What a filter leaves of it: machines that match, and their alerts.
    pub(super) fn filtered(mut self, filter: &Filter) -> Self {
        let now = self.fleet.now();
        let board = self.board.as_ref();
        let matches = |machine: &Machine| {
            filter.matches(
                &machine.seen(now, |test: &mut dyn FnMut(AlertFacts<'_>) -> bool| {
                    let mut alerts = board.into_iter().flat_map(|board| board.alerts_of(&machine.id));
                    alerts.any(|alert| test(AlertFacts::of(alert)))
                }),
            )
        };
        let machines = self.fleet.machines().map(|(_, machine)| self.opened(machine));
        let shown = machines
            .filter(|machine| matches(machine))
            .map(|machine| Arc::clone(&machine.id))
            .collect();
        self.shown = Some(shown);
        self
    }

    /// What the aggregator has filtered: the machines that it sent, and their alerts.
    pub(super) fn showing_what_came(mut self) -> Self {
        let machines = self.fleet.machines();
        self.shown = Some(machines.map(|(_, machine)| Arc::clone(&machine.id)).collect());
        self
    }

    /// The machines by number.
    pub fn machines(&self) -> impl Iterator<Item = (u32, &Machine)> {
        self.fleet
            .machines()
            .filter(|(_, machine)| self.shows(&machine.id))
            .map(|(number, machine)| (number, self.opened(machine)))
    }

    /// A machine with all that is known of it.
    fn opened<'a>(&'a self, machine: &'a Machine) -> &'a Machine {
        let opened = self.opened.as_ref();
        opened
            .and_then(|opened| opened.find(&machine.id))
            .unwrap_or(machine)
    }

    /// How many machines there are beside those that are known here.
    pub(super) fn missing(&self) -> u64 {
        if self.shown.is_some() {
            return 0;
        }
        fleet_size(&self.fleet).saturating_sub(self.fleet.machines().len() as u64)
    }

    fn shows(&self, machine: &str) -> bool {
        self.shown.as_ref().is_none_or(|shown| shown.contains(machine))
    }

    /// Whether a critical alert fires that no silence and no machine that is down mutes: the exit code 1 of `--once`.
    /// One that somebody has acknowledged still fires.
    #[must_use]
    pub fn has_critical(&self) -> bool {
        self.alerts().iter().any(|alert| {
            alert.severity == Severity::Critical
                && alert.is_firing()
                && Standing::of(alert) != Standing::Silenced
        })
    }

    /// Everything that is not over: what has to be acted on first, then the worst, then the newest.
    pub(super) fn alerts(&self) -> Vec<&Alert> {
        let alerts = self.board.iter().flat_map(Board::alerts);
        let mut alerts: Vec<&Alert> = alerts
            .filter(|alert| Standing::of(alert) != Standing::Resolved)
            .filter(|alert| self.shows(alert.key.machine.as_str()))
            .collect();
        alerts.sort_by_key(|alert| {
            (
                Standing::of(alert),
                Reverse(alert.severity),
                Reverse(alert.since),
                &alert.key,
            )
        });
        alerts
    }
}
