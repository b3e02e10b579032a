//! A circuit breaker for one store, which also says how the store is.

use std::time::Duration;

use sysmon_api::wire::{StorageHealth, StorageRole};
use sysmon_store::{StoreError, StoreInfo};
use tokio::time::Instant;

use crate::durable::{Component, StatusBoard};

/// The first wait after a failure; doubled with every further one.
const DELAY_MIN: Duration = Duration::from_secs(1);
/// The longest wait.
const DELAY_MAX: Duration = Duration::from_secs(15);
/// A call that takes longer is slow.
const SLOW: Duration = Duration::from_millis(500);

/// Closed: calls are made. Open: none until the wait is over. Then one probe decides.
#[derive(Debug)]
pub(super) struct Guard {
    status: StatusBoard,
    role: StorageRole,
    component: Component,
    /// It was reached once, so that its name and version are known.
    is_named: bool,
    probe_at: Option<Instant>,
    delay: Duration,
}

impl Guard {
    pub(super) fn new(status: StatusBoard, role: StorageRole, info: StoreInfo) -> Self {
        let component = status.component(role, info);
        Self {
            status,
            role,
            component,
            is_named: false,
            probe_at: None,
            delay: DELAY_MIN,
        }
    }

    /// Whether calls are to be made.
    pub(super) fn is_closed(&self) -> bool {
        self.probe_at.is_none()
    }

    /// When to probe; `None` when that is not needed.
    pub(super) fn probe_at(&self) -> Option<Instant> {
        self.probe_at
    }

    /// A call, which began at `started`, succeeded; `info` is asked for the store's name once.
    pub(super) fn succeeded(&mut self, started: Instant, info: impl FnOnce() -> StoreInfo) {
        if !self.is_named {
            self.is_named = true;
            self.component = self.status.component(self.role, info());
        }
        self.probe_at = None;
        self.delay = DELAY_MIN;
        let took = started.elapsed();
        if took > SLOW {
            self.component.set(
                StorageHealth::Slow,
                format!("a call took {} ms", took.as_millis()),
            );
        } else {
            self.component.set(StorageHealth::Ok, "");
        }
    }

    /// A call failed.
    pub(super) fn failed(&mut self, error: &StoreError) {
        self.probe_at = Some(Instant::now() + self.delay);
        self.delay = (self.delay * 2).min(DELAY_MAX);
        self.component.set(StorageHealth::Down, &error.message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn calls_stop_after_a_failure_and_waits_grow_to_a_bound() {
        let board = StatusBoard::new(Clock::system());
        let status = board.watch();
        let info = || StoreInfo {
            engine: "Redis 7".into(),
            notices: Vec::new(),
        };
        let mut guard = Guard::new(board, StorageRole::EventBus, info());
        assert!(guard.is_closed());
        let mut waits = Vec::new();
        for _ in 0..6 {
            guard.failed(&StoreError::unavailable("gone"));
            waits.push(guard.probe_at().unwrap().duration_since(Instant::now()).as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 15, 15]);
        assert!(!guard.is_closed());
        assert_eq!(status.borrow().components[0].health(), StorageHealth::Down);
        guard.succeeded(Instant::now(), info);
        assert!(guard.is_closed());
        assert_eq!(status.borrow().components[0].health(), StorageHealth::Ok);
        let started = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        guard.succeeded(started, info);
        assert_eq!(status.borrow().components[0].health(), StorageHealth::Slow);
    }
}
