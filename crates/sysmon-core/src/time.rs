//! Moments and the judgement of how alive a machine is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, in UTC. Comes from whoever owns a clock; core never reads one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Milliseconds from `earlier` to `self`; 0 when `earlier` lies in the future (a clock was set back).
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// This moment moved forward by `milliseconds` (back when negative), saturating.
    #[must_use]
    pub fn plus_ms(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ms", self.0)
    }
}

/// How recently a machine was heard of, judged on the receiver's clock from the last message of any kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Liveness {
    /// A message arrived within three intervals.
    #[default]
    Live,
    /// Three expected messages are missing.
    Stale,
    /// Nothing for a minute (or for three intervals when those are longer).
    Lost,
}

impl Liveness {
    /// The longest pause between two messages that a healthy collector makes: it sends a heartbeat at least this often.
    pub const HEARTBEAT_MS: u64 = 10_000;
    /// Silence after which a machine counts as lost.
    pub const LOST_AFTER_MS: u64 = 60_000;

    /// How long a machine that reports every `interval_ms` may be silent before it is stale. An interval longer than
    /// the heartbeat does not delay the judgement: the heartbeat keeps coming. Never below 1 s, so that a 100 ms
    /// interval does not flicker with every scheduling hiccup.
    #[must_use]
    pub fn stale_after_ms(interval_ms: u64) -> u64 {
        interval_ms.min(Self::HEARTBEAT_MS).saturating_mul(3).max(1_000)
    }

    /// Judges a machine that was heard of `silence_ms` ago and reports every `interval_ms`.
    #[must_use]
    pub fn judge(silence_ms: u64, interval_ms: u64) -> Self {
        if silence_ms >= Self::LOST_AFTER_MS {
            Self::Lost
        } else if silence_ms >= Self::stale_after_ms(interval_ms) {
            Self::Stale
        } else {
            Self::Live
        }
    }

    /// The word used in JSON, text output and on the screen.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Lost => "lost",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_missed_intervals_are_stale_and_a_minute_is_lost_at_any_interval() {
        for (interval_ms, stale_ms) in [(100, 1_000), (1_000, 3_000), (5_000, 15_000), (3_600_000, 30_000)] {
            assert_eq!(
                Liveness::judge(stale_ms - 1, interval_ms),
                Liveness::Live,
                "{interval_ms}"
            );
            assert_eq!(
                Liveness::judge(stale_ms, interval_ms),
                Liveness::Stale,
                "{interval_ms}"
            );
            assert_eq!(
                Liveness::judge(59_999, interval_ms),
                Liveness::Stale,
                "{interval_ms}"
            );
            assert_eq!(
                Liveness::judge(60_000, interval_ms),
                Liveness::Lost,
                "{interval_ms}"
            );
        }
    }

    #[test]
    fn a_clock_set_back_gives_no_negative_age() {
        assert_eq!(UnixMillis(5).since_ms(UnixMillis(9)), 0);
        assert_eq!(
            UnixMillis(i64::MAX).since_ms(UnixMillis(i64::MIN)),
            i64::MAX as u64
        );
    }
}
