//! How the stores behind the aggregator are.

use sysmon_api::wire;
use sysmon_core::{UnixMillis, sanitize};

/// The most components and notices taken; more would not be looked at.
const LIMIT: usize = 16;

/// How well a store serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StorageHealth {
    Ok,
    /// The aggregator says something that this release does not know.
    Unknown,
    Slow,
    Down,
}

/// One store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    pub(crate) is_history: bool,
    /// What it is for, such as `history`.
    pub(crate) role: &'static str,
    pub(crate) engine: String,
    pub(crate) health: StorageHealth,
    /// On the aggregator's clock.
    pub(crate) since: UnixMillis,
    pub(crate) detail: String,
    pub(crate) notices: Vec<String>,
}

/// All stores, as last reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) components: Vec<Component>,
}

impl Storage {
    /// What an aggregator said; its texts are free of control characters afterwards.
    pub(crate) fn from_wire(status: &wire::StorageStatus) -> Self {
        let components = status.components.iter().take(LIMIT).map(|component| Component {
            is_history: component.role() == wire::StorageRole::History,
            role: match component.role() {
                wire::StorageRole::History => "history",
                wire::StorageRole::HotState => "hot state",
                wire::StorageRole::EventBus => "event bus",
                wire::StorageRole::Unspecified => "store",
            },
            engine: sanitize(&component.engine).into_owned(),
            health: match component.health() {
                wire::StorageHealth::Ok => StorageHealth::Ok,
                wire::StorageHealth::Slow => StorageHealth::Slow,
                wire::StorageHealth::Down => StorageHealth::Down,
                wire::StorageHealth::Unspecified => StorageHealth::Unknown,
            },
            since: UnixMillis(component.since_unix_ms),
            detail: sanitize(&component.detail).into_owned(),
            notices: component
                .notices
                .iter()
                .take(LIMIT)
                .map(|notice| sanitize(notice).into_owned())
                .collect(),
        });
        Self {
            components: components.collect(),
        }
    }

    /// The store of the past.
    pub(crate) fn history(&self) -> Option<&Component> {
        self.components.iter().find(|component| component.is_history)
    }

    /// The component that fares worst, history before others; `None` when all are well.
    pub(crate) fn worst(&self) -> Option<&Component> {
        let unwell = self
            .components
            .iter()
            .filter(|component| component.health >= StorageHealth::Slow);
        unwell.max_by_key(|component| (component.health, component.is_history))
    }
}

impl StorageHealth {
    /// The word on the screen.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Slow => "slow",
            Self::Down => "down",
        }
    }
}
