//! What can be set about an alert service.

use sysmon_core::alert::Timing;

use crate::clock::Clock;
use crate::receivers::Receivers;

/// How an alert service works. The defaults are right for any fleet; tests and the impatient change them.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who is told.
    pub receivers: Receivers,
    /// When notifications are made: 30 s, 5 min, 4 h.
    pub timing: Timing,
    /// How long a lease lasts that is not renewed, in milliseconds: what a replica that was killed did is taken over
    /// that much later. Renewed three times as often.
    pub lease_ms: u64,
    /// Transitions that come within this time, in milliseconds, are stored together.
    pub batch_ms: u64,
    /// How often the state of a machine without transitions is stored, in milliseconds.
    pub state_ms: u64,
    /// How long the log of alerts is kept, in milliseconds.
    pub log_ms: u64,
    /// The time of day.
    pub clock: Clock,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receivers: Receivers::default(),
            timing: Timing::default(),
            lease_ms: 6_000,
            batch_ms: 200,
            state_ms: 60_000,
            log_ms: 90 * 86_400_000,
            clock: Clock::system(),
        }
    }
}
