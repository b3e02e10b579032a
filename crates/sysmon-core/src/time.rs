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

impl UnixMillis {
    /// Date and time of day for people, to the second: `2026-11-30 20:42:19 UTC`. Years beyond 9999 have more digits.
    #[must_use]
    pub fn utc(self) -> String {
        const DAY_MS: i64 = 86_400_000;
        let (days, second) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS) / 1_000);
        // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days: eras of 400 years from 1 March.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
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
    fn a_moment_has_a_date_that_people_know() {
        for (ms, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_400_000, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199_999, "2024-02-29 23:59:59 UTC"),
            (1_796_071_339_000, "2026-11-30 20:42:19 UTC"),
            (4_107_542_400_000, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(UnixMillis(ms).utc(), text);
        }
        // Whatever somebody sends.
        assert!(UnixMillis(i64::MAX).utc().ends_with(" UTC"));
        assert!(UnixMillis(i64::MIN).utc().ends_with(" UTC"));
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
