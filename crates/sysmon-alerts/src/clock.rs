//! Where the service gets its time from.

use std::time::SystemTime;

use sysmon_core::UnixMillis;
use tokio::time::Instant;

/// The time of day: the system's, or for tests one that runs with the runtime's clock, which a test may pause.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Day);

#[derive(Clone, Copy, Debug)]
enum Day {
    System,
    From(UnixMillis, Instant),
}

impl Clock {
    /// The system's, which may be set.
    #[must_use]
    pub fn system() -> Self {
        Self(Day::System)
    }

    /// A time of day that is `start` now and runs with the runtime's clock; for tests.
    #[must_use]
    pub fn starting_at(start: UnixMillis) -> Self {
        Self(Day::From(start, Instant::now()))
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        let milliseconds =
            |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match self.0 {
            Day::From(start, origin) => start.plus_ms(milliseconds(origin.elapsed())),
            Day::System => {
                // A clock before 1970 is wrong by decades; what is told then matters little.
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                UnixMillis(milliseconds(since.unwrap_or_default()))
            }
        }
    }
}
