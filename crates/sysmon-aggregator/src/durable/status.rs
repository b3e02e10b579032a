//! How the stores are, for everyone who looks.

use std::sync::Arc;

use sysmon_api::wire;
use sysmon_store::StoreInfo;
use tokio::sync::watch;

use crate::clock::Clock;

/// How the stores behind this aggregator are: one entry per component, told to every client when it changes. Only the
/// latest state is kept for those who are slow to read it.
#[derive(Clone, Debug)]
pub(crate) struct StatusBoard {
    clock: Clock,
    status: Arc<watch::Sender<wire::StorageStatus>>,
}

/// The way to say how one store is. Its entry stays as it was said last.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    board: StatusBoard,
    role: wire::StorageRole,
}

impl StatusBoard {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            status: Arc::new(watch::Sender::new(wire::StorageStatus::default())),
        }
    }

    /// Lists a store, at first as well. A role that is listed already is replaced.
    pub(crate) fn component(&self, role: wire::StorageRole, info: StoreInfo) -> Component {
        let component = wire::StorageComponent {
            role: role as i32,
            engine: info.engine,
            health: wire::StorageHealth::Ok as i32,
            since_unix_ms: self.clock.now().unix.0,
            detail: String::new(),
            notices: info.notices,
        };
        self.status.send_modify(|status| {
            status.components.retain(|other| other.role != role as i32);
            status.components.push(component);
            status.components.sort_by_key(|component| component.role);
        });
        Component {
            board: self.clone(),
            role,
        }
    }

    /// The present state and what follows.
    pub(crate) fn watch(&self) -> watch::Receiver<wire::StorageStatus> {
        self.status.subscribe()
    }
}

impl Component {
    /// Says how the store is now; `detail` is for people and empty when nothing is wrong. Nobody hears what they know:
    /// saying the same again costs nothing. The time of a change and the log belong to changes of health alone.
    pub(crate) fn set(&self, health: wire::StorageHealth, detail: impl AsRef<str>) {
        let (role, detail) = (self.role as i32, detail.as_ref());
        self.board.status.send_if_modified(|status| {
            let component = status
                .components
                .iter_mut()
                .find(|component| component.role == role);
            let Some(component) = component else { return false };
            let is_new_health = component.health != health as i32;
            if !is_new_health && component.detail == detail {
                return false;
            }
            if is_new_health {
                let before = component.since_unix_ms;
                component.since_unix_ms = self.board.clock.now().unix.0;
                let lasted_ms = component.since_unix_ms.saturating_sub(before);
                log(health, &component.engine, detail, lasted_ms);
            }
            component.health = health as i32;
            detail.clone_into(&mut component.detail);
            true
        });
    }
}

fn log(health: wire::StorageHealth, engine: &str, detail: &str, lasted_ms: i64) {
    match health {
        wire::StorageHealth::Ok | wire::StorageHealth::Unspecified => {
            tracing::info!(engine, lasted_ms, "the store is well again");
        }
        wire::StorageHealth::Slow => tracing::warn!(engine, detail, "the store is slow"),
        wire::StorageHealth::Down => tracing::error!(engine, detail, "the store takes nothing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sysmon_core::UnixMillis;
    use wire::{StorageHealth, StorageRole};

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_with_its_time_and_a_new_detail_keeps_the_time() {
        let board = StatusBoard::new(Clock::starting_at(UnixMillis(1_000)));
        let info = |engine: &str| StoreInfo {
            engine: engine.into(),
            notices: Vec::new(),
        };
        let mut watch = board.watch();
        let bus = board.component(StorageRole::EventBus, info("Redis 7"));
        let history = board.component(StorageRole::History, info("SQLite 3"));
        let mut status = || {
            let is_new = watch.has_changed().unwrap();
            (is_new, watch.borrow_and_update().components.clone())
        };
        let roles = status()
            .1
            .iter()
            .map(|component| component.role)
            .collect::<Vec<_>>();
        assert_eq!(roles, [StorageRole::History as i32, StorageRole::EventBus as i32]);
        bus.set(StorageHealth::Ok, "");
        assert!(!status().0, "it was well before");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        history.set(StorageHealth::Down, "no route");
        let (_, down) = status();
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        history.set(StorageHealth::Down, "refused");
        let (is_new, refused) = status();
        assert!(is_new);
        assert_eq!(
            (down[0].since_unix_ms, down[0].detail.as_str()),
            (2_000, "no route")
        );
        assert_eq!(
            (refused[0].since_unix_ms, refused[0].detail.as_str()),
            (2_000, "refused")
        );
        assert_eq!(refused[1].since_unix_ms, 1_000);
    }
}
