//! What an aggregator keeps things in.

use std::fmt;
use std::sync::Arc;

use sysmon_store::{EventBus, History, HotState, RuleStore};

/// The stores of an aggregator, each optional: with none it keeps five minutes in memory and acknowledges nothing.
#[derive(Clone, Default)]
pub struct Stores {
    /// Keeps every sample. Collectors are then acknowledged what is in it, and clients may ask about the past.
    pub history: Option<Arc<dyn History>>,
    /// Keeps the newest state of every machine for the next start, and for other aggregators.
    pub hot: Option<Arc<dyn HotState>>,
    /// Carries what happens to and from other aggregators.
    pub bus: Option<Arc<dyn EventBus>>,
    /// Keeps rules, and what becomes of them. Clients may then watch and change them, and alerts say how machines fare.
    pub rules: Option<Arc<dyn RuleStore>>,
    /// Carries what alert services and other aggregators say of rules and alerts: the same as `bus` where there are
    /// others, one within the process where there are none. Without it rules and alerts are read every few seconds.
    pub alert_bus: Option<Arc<dyn EventBus>>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stores")
            .field("history", &self.history.as_ref().map(|store| store.info().engine))
            .field("hot", &self.hot.as_ref().map(|store| store.info().engine))
            .field("bus", &self.bus.as_ref().map(|store| store.info().engine))
            .field("rules", &self.rules.as_ref().map(|store| store.info().engine))
            .field(
                "alert_bus",
                &self.alert_bus.as_ref().map(|store| store.info().engine),
            )
            .finish()
    }
}
