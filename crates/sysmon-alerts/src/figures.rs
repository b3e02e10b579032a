//! What happened since the start.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start of an alert service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Samples that were judged, without those of the past.
    pub samples: u64,
    /// Steps that alerts took.
    pub transitions: u64,
    /// Notifications that receivers have taken.
    pub sent: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Notifications that were given up.
    pub dead: u64,
    /// Notifications for which there was no room while the store was down.
    pub dropped: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    samples: AtomicU64,
    transitions: AtomicU64,
    pub(crate) sent: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dead: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

impl Counters {
    pub(crate) fn samples(&self, count: usize) {
        self.samples.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn transitions(&self, count: usize) {
        self.transitions.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Figures {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            samples: of(&self.samples),
            transitions: of(&self.transitions),
            sent: of(&self.sent),
            failed: of(&self.failed),
            dead: of(&self.dead),
            dropped: of(&self.dropped),
        }
    }
}
