//! How many machines are how, kept up to date change by change. Health counts for those that are live: what a silent
//! one was like when it last spoke is not how it is.

use sysmon_api::wire;
use sysmon_core::{Health, Liveness};

/// Counts over all machines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    counts: wire::FleetTotals,
    version: u64,
}

impl Totals {
    /// A machine became this.
    pub(super) fn enter(&mut self, liveness: Liveness, health: Health) {
        self.version += 1;
        *self.of_liveness(liveness) += 1;
        if liveness == Liveness::Live {
            *self.of_health(health) += 1;
        }
    }

    /// A machine is no longer this; it was counted by [`Totals::enter`].
    pub(super) fn leave(&mut self, liveness: Liveness, health: Health) {
        *self.of_liveness(liveness) -= 1;
        if liveness == Liveness::Live {
            *self.of_health(health) -= 1;
        }
    }

    /// The counts as they travel.
    pub(super) fn counts(&self) -> wire::FleetTotals {
        self.counts
    }

    /// Grows with every change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    fn of_liveness(&mut self, liveness: Liveness) -> &mut u32 {
        match liveness {
            Liveness::Live => &mut self.counts.live,
            Liveness::Stale => &mut self.counts.stale,
            Liveness::Lost => &mut self.counts.lost,
        }
    }

    fn of_health(&mut self, health: Health) -> &mut u32 {
        match health {
            Health::Healthy => &mut self.counts.healthy,
            Health::Warning => &mut self.counts.warning,
            Health::Critical => &mut self.counts.critical,
            Health::Unknown => &mut self.counts.unknown,
        }
    }
}
