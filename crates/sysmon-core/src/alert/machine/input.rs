//! A number out of the series of one machine: a value, a ratio, or what a window makes of either.

use super::super::rule::Function;
use super::super::window::{Plan, Reading, Window, is_usable};
use super::feed::{Feed, NONE};
use crate::time::UnixMillis;

/// Before all samples: whatever comes next comes after a gap.
pub(super) const NEVER: UnixMillis = UnixMillis(i64::MIN);

#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Place of the series; [`NONE`] while the machine has none.
    pub(super) feed: u32,
    /// Place of what it is divided by; [`NONE`] when it is not divided or the machine has none.
    pub(super) per: u32,
    /// Time of the last sample that gave a value; far in the past before the first.
    pub(super) last: UnixMillis,
    pub(super) window: Option<Box<Window>>,
}

impl Input {
    pub(super) fn new(feed: u32) -> Self {
        Self {
            feed,
            per: NONE,
            last: NEVER,
            window: None,
        }
    }

    /// Takes the newest value of its series, which came just now. `None` when it makes no value: the divisor is
    /// missing or zero, or there is no line through the window yet. The second part tells whether samples were missing
    /// before it.
    #[inline]
    pub(super) fn take(&mut self, plan: &Plan, feeds: &[Feed], interval_ms: u64) -> Option<(Reading, bool)> {
        let feed = &feeds[self.feed as usize];
        let at = feed.at;
        let value = if plan.per.is_some() {
            let per = feeds.get(self.per as usize)?.value_at(at, interval_ms)?;
            let ratio = feed.value / per;
            (per != 0.0 && is_usable(ratio)).then_some(ratio)?
        } else {
            feed.value
        };
        let distance_ms = at.since_ms(std::mem::replace(&mut self.last, at));
        let is_gap = distance_ms > feed.gap_ms(interval_ms);
        if plan.function == Function::Last {
            return Some((Reading { value, is_full: true }, is_gap));
        }
        let covered_ms = if is_gap { 0 } else { distance_ms };
        let window = self.window.get_or_insert_default();
        Some((window.push(plan, at.0, value, covered_ms)?, is_gap))
    }

    /// The next sample comes after a gap, and the window is empty.
    pub(super) fn begin_anew(&mut self) {
        self.last = NEVER;
        self.window = None;
    }
}
