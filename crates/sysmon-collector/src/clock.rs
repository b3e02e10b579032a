//! The two clocks of a sample: one for labels, one for rates.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sysmon_core::UnixMillis;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Wall clock: the label of a sample. It may be set forward and back.
    pub unix: UnixMillis,
    /// Monotonic clock in nanoseconds from any origin: what rates are computed with.
    pub monotonic_ns: u64,
}

/// Reads the clocks of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            origin: Instant::now(),
        }
    }
}

impl Clock {
    /// The present moment; monotonic time counts from the making of this clock.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment {
            unix: unix_now(),
            monotonic_ns: u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// The wall clock; a clock before 1970 reads as 0.
pub(crate) fn unix_now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
