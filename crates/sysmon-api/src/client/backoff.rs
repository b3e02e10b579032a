//! How long to wait before trying again.

use std::time::Duration;

/// Waits that grow from attempt to attempt: each doubles the one before up to a cap, and of each a random part between
/// half and all is taken, so that a fleet that lost its aggregator does not come back in one wave.
#[derive(Clone, Debug)]
pub struct Backoff {
    initial: Duration,
    cap: Duration,
    /// The next wait before chance has its part.
    whole: Duration,
}

impl Default for Backoff {
    /// From 200 ms to 3 s, so that a restarted peer is found again within 5 s.
    fn default() -> Self {
        Self::new(Duration::from_millis(200), Duration::from_secs(3))
    }
}

impl Backoff {
    /// Waits from `initial` to `cap`.
    #[must_use]
    pub fn new(initial: Duration, cap: Duration) -> Self {
        let initial = initial.min(cap);
        Self {
            initial,
            cap,
            whole: initial,
        }
    }

    /// How long to wait now.
    #[must_use = "the next wait is longer, whether this one was waited or not"]
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, so there is nothing to iterate over"
    )]
    pub fn next(&mut self) -> Duration {
        self.next_with(rand::random())
    }

    /// The same with a given chance, from 0 for half to 1 for all.
    fn next_with(&mut self, chance: f64) -> Duration {
        let whole = self.whole;
        self.whole = whole.saturating_mul(2).min(self.cap);
        whole.mul_f64(0.5 + 0.5 * chance)
    }

    /// Starts over, after an attempt that succeeded.
    pub fn reset(&mut self) {
        self.whole = self.initial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_start_over_after_success() {
        let mut backoff = Backoff::default();
        let whole: Vec<_> = (0..6).map(|_| backoff.next_with(1.0).as_millis()).collect();
        assert_eq!(whole, [200, 400, 800, 1_600, 3_000, 3_000]);
        backoff.reset();
        assert_eq!(backoff.next_with(0.0).as_millis(), 100, "at least half");
    }

    #[test]
    fn waits_are_random_between_half_and_all_and_never_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(3), Duration::from_secs(3));
        let waits: Vec<_> = (0..200).map(|_| backoff.next()).collect();
        let (half, all) = (Duration::from_millis(1_500), Duration::from_secs(3));
        assert!(waits.iter().all(|wait| (half..=all).contains(wait)), "{waits:?}");
        assert!(waits.windows(2).any(|pair| pair[0] != pair[1]));
        let mut endless = Backoff::new(Duration::from_secs(1), Duration::MAX);
        for _ in 0..200 {
            let _ = endless.next_with(0.5);
        }
    }

    #[test]
    fn an_initial_wait_above_the_cap_is_cut_to_it() {
        let mut backoff = Backoff::new(Duration::from_secs(9), Duration::from_secs(1));
        assert_eq!(backoff.next_with(1.0), Duration::from_secs(1));
    }
}
