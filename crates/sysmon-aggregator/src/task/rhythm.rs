//! When messages are let gather before they are taken.
//!
//! To wake the owner costs more than to take a message over. From a large fleet messages come all the time, so a pause of a
//! millisecond, which is less than the one between two updates, lets one wake-up do for many.

use std::time::Duration;

use super::BURST;

/// How long messages gather.
pub(super) const PAUSE: Duration = Duration::from_millis(1);
/// They are counted over so long;
const SPAN_MS: u64 = 100;
/// with so many in that time the fleet is a large one.
const DENSE: usize = 300;

/// How dense messages come.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    since_ms: u64,
    count: usize,
    is_dense: bool,
    is_behind: bool,
}

impl Rhythm {
    /// Takes note that so many messages were taken at once.
    pub(super) fn took(&mut self, messages: usize, now_ms: u64) {
        // More may be waiting.
        self.is_behind = messages >= BURST;
        self.count += messages;
        let elapsed_ms = now_ms.saturating_sub(self.since_ms);
        if elapsed_ms >= SPAN_MS {
            // After a silence the count is of a longer time.
            self.is_dense = self.count >= DENSE && elapsed_ms < 2 * SPAN_MS;
            self.count = 0;
            self.since_ms = now_ms;
        }
    }

    /// Whether to pause before more are taken.
    pub(super) fn lets_gather(&self) -> bool {
        self.is_dense && !self.is_behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it pauses after a second of messages that come `step_ms` apart, `count` at a time.
    fn pauses(step_ms: usize, count: usize) -> bool {
        let mut rhythm = Rhythm::default();
        for now_ms in (5_000..6_000).step_by(step_ms) {
            rhythm.took(count, now_ms);
        }
        rhythm.lets_gather()
    }

    #[test]
    fn only_a_large_fleet_is_let_gather_and_never_while_more_waits() {
        assert!(!pauses(1, 1), "a thousand a second");
        assert!(pauses(1, 10), "ten thousand a second");
        assert!(!pauses(1, BURST), "it is behind");
        assert!(!pauses(250, 200), "a burst now and then");
    }
}
