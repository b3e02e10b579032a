//! When to look at which machine again, so that time passing costs nothing for machines that keep reporting.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Moments are rounded up to this, so that many machines share one wake-up.
const STEP_MS: u64 = 250;

/// Machines by the moment at which they are due. An entry may be out of date: whoever takes it compares it with what
/// the machine itself says.
#[derive(Debug, Default)]
pub(super) struct Due {
    heap: BinaryHeap<Reverse<(u64, u32)>>,
}

impl Due {
    /// The moment that stands for "never".
    pub(super) const NEVER: u64 = u64::MAX;

    /// Puts `machine` down for `at_ms`, unless it is down for an earlier moment already. `scheduled` is the machine's
    /// own note of when that is.
    pub(super) fn schedule(&mut self, machine: u32, at_ms: u64, scheduled: &mut u64) {
        let at_ms = at_ms.saturating_add(STEP_MS - 1) / STEP_MS * STEP_MS;
        if at_ms < *scheduled {
            *scheduled = at_ms;
            self.heap.push(Reverse((at_ms, machine)));
        }
    }

    /// The next machine that is due at `now_ms`, with the moment it was put down for.
    pub(super) fn take(&mut self, now_ms: u64) -> Option<(u64, u32)> {
        let Reverse((at_ms, _)) = self.heap.peek()?;
        if *at_ms > now_ms {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// When the next machine is due.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at_ms, _))| *at_ms)
    }
}
