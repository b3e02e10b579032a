//! What a sampler is asked for and what it gives.

use std::sync::Arc;

use sysmon_core::{HostInfo, ProcessTable, UnixMillis};

use crate::clock::Moment;
use crate::config::ProcessDetail;
use crate::recorder::Announcement;

/// How the next tick is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Time between base ticks in milliseconds. Rates span at most three of them (at least 5 s).
    pub interval_ms: u32,
    /// Time between the ticks of a burst in milliseconds, shorter than the interval; 0 for none.
    pub burst_interval_ms: u32,
    /// Which processes are wanted.
    pub processes: ProcessDetail,
}

/// One tick of this machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// When it was read.
    pub at: UnixMillis,
    /// Series that have a value for the first time.
    pub announced: Vec<Announcement>,
    /// Scaled values by series number, ascending, each number once. What the machine did not give is absent.
    pub values: Vec<(u32, i64)>,
    /// Series that are no more.
    pub retired: Vec<u32>,
    /// The process list, when this tick scanned for it. Shared: of a thousand processes it takes 100 KiB and more, and whoever
    /// reports it keeps it until the next one.
    pub processes: Option<Arc<ProcessTable>>,
    /// Facts about the host, when they changed.
    pub host: Option<HostInfo>,
    /// Whether it was taken between base ticks, for those who look just now: never kept, never judged.
    pub is_burst: bool,
}

/// Where samples come from: the sampler of this system, or a made-up one in tests.
pub(crate) trait Source: Send + 'static {
    /// Reads every counter once, so that the next sample has rates.
    fn prime(&mut self, now: Moment, plan: Plan);

    /// Reads one tick.
    fn sample(&mut self, now: Moment, plan: Plan) -> Sample;

    /// Reads one tick of a burst, between two of [`Source::sample`] and without touching what those derive their rates
    /// from; `None` when there is nothing to tell, as at the first one, or this source has no bursts.
    fn burst(&mut self, _now: Moment, _plan: Plan) -> Option<Sample> {
        None
    }
}

impl Plan {
    /// The longest pause between two readings that still gives a rate.
    pub(crate) fn gap_ns(interval_ms: u32) -> u64 {
        const SHORTEST_NS: u64 = 5_000_000_000;
        (u64::from(interval_ms) * 3_000_000).max(SHORTEST_NS)
    }

    /// Whether this tick scans for processes, when `scanned_ns` is the moment of the last scan and they are wanted
    /// every `process_interval_ms`.
    pub(crate) fn is_scan_due(&self, now: Moment, scanned_ns: Option<u64>, process_interval_ms: u32) -> bool {
        match (self.processes, scanned_ns) {
            (ProcessDetail::None, _) => false,
            (ProcessDetail::All, _) | (_, None) => true,
            (ProcessDetail::Top, Some(scanned_ns)) => {
                // A tick that comes a little early is the one that was meant.
                let half_tick_ns = u64::from(self.interval_ms) * 500_000;
                let pause_ns = u64::from(process_interval_ms) * 1_000_000;
                now.monotonic_ns
                    .saturating_sub(scanned_ns)
                    .saturating_add(half_tick_ns)
                    >= pause_ns
            }
        }
    }
}
