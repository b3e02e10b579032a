//! Where the owner task gets its time from.

use std::time::{Duration, SystemTime};

use sysmon_core::UnixMillis;
use tokio::time::Instant;

use crate::fleet::Moment;

/// The monotonic clock starts a day ahead, so that what was heard before the start has a place on it.
const AHEAD_MS: u64 = 86_400_000;

/// The clocks of an aggregator: the runtime's monotonic one, which a test may pause, and one of the day.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    day: Day,
}

#[derive(Clone, Copy, Debug)]
enum Day {
    System,
    From(UnixMillis),
}

impl Clock {
    /// The system's time of day, which may be set, beside the monotonic clock.
    #[must_use]
    pub fn system() -> Self {
        Self {
            origin: Instant::now(),
            day: Day::System,
        }
    }

    /// A time of day that is `start` now and runs with the monotonic clock; for tests.
    #[must_use]
    pub fn starting_at(start: UnixMillis) -> Self {
        Self {
            origin: Instant::now(),
            day: Day::From(start),
        }
    }

    /// This moment on both clocks.
    #[must_use]
    pub fn now(&self) -> Moment {
        let elapsed = milliseconds(self.origin.elapsed());
        Moment {
            monotonic_ms: AHEAD_MS.saturating_add(elapsed),
            unix: match self.day {
                Day::From(start) => start.plus_ms(i64::try_from(elapsed).unwrap_or(i64::MAX)),
                Day::System => {
                    // A clock before 1970 is wrong by decades; what is shown then matters little.
                    let since = SystemTime::now()
                        .duration_since(SystemTime::UNIX_EPOCH)
                        .unwrap_or_default();
                    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
                }
            },
        }
    }

    /// The runtime's instant of a moment on the monotonic clock.
    pub(crate) fn instant_of(&self, monotonic_ms: u64) -> Instant {
        self.origin + Duration::from_millis(monotonic_ms.saturating_sub(AHEAD_MS))
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
