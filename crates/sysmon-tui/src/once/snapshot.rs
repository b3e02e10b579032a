//! What one look at an aggregator shows.

use std::cmp::Reverse;

use sysmon_api::{Machine, Replica};
use sysmon_core::alert::{Alert, Severity};

use crate::state::alerts::board::{Board, Standing};

/// The fleet, and what is wrong on it.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub(super) fleet: Replica,
    /// `None` when the aggregator keeps no rules, or does not tell of alerts in time.
    pub(super) board: Option<Board>,
}

impl Snapshot {
    /// A snapshot of which nobody says what is wrong.
    #[must_use]
    pub fn of_fleet(fleet: Replica) -> Self {
        Self { fleet, board: None }
    }

    /// The machines by number.
    pub fn machines(&self) -> impl ExactSizeIterator<Item = (u32, &Machine)> {
        self.fleet.machines()
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
