//! Whether a receiver is worth trying.

use sysmon_core::UnixMillis;

use super::{later, milliseconds, wait_ms};
use crate::failure::Failure;

/// After so many failures in a row, whatever else waits for the receiver waits too.
const FAILURES_BEFORE_OPEN: u32 = 3;

/// Open when a receiver is left alone: after three failures in a row, or when it asks for that. One message at a time
/// then tries whether it is back.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    failing_since: Option<UnixMillis>,
    open_until: Option<UnixMillis>,
}

impl Circuit {
    pub(super) fn is_open(&self, now: UnixMillis) -> bool {
        self.open_until.is_some_and(|until| until > now)
    }

    pub(super) fn opened_until(&self) -> Option<UnixMillis> {
        self.open_until
    }

    pub(super) fn failing_since(&self) -> Option<UnixMillis> {
        self.failing_since
    }

    /// It failed in the time of somebody else who sent to it.
    pub(super) fn failed_before(&mut self, since: UnixMillis) {
        self.failing_since = Some(self.failing_since.map_or(since, |known| known.min(since)));
    }

    pub(super) fn failed(&mut self, now: UnixMillis, failure: &Failure, chance: f64) {
        if failure.is_final {
            // It answers; it only does not want this.
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        let wait = match failure.retry_after {
            Some(wait) => milliseconds(wait),
            None if self.failures >= FAILURES_BEFORE_OPEN => {
                wait_ms(self.failures - FAILURES_BEFORE_OPEN + 1, chance)
            }
            None => return,
        };
        self.open_until = Some(later(now, wait));
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }
}
