//! Reading the rule store, a part of the board at a time, while the bus is heard.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::wire;
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Alert, Silence};
use sysmon_store::{
    Delivery, DeliveryState, LoggedTransition, RuleStore, StoreError, StoredRule, TransitionQuery,
};
use tokio::time::timeout;

use super::Parts;
use super::board::{ALERTS_MAX, TRANSITIONS_MAX};
use super::messages::delivery_to_wire;

/// A store that says nothing for so long is asked again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Deliveries that clients are told of.
const DELIVERIES_MAX: usize = 100;

/// What came out of the store.
#[derive(Debug)]
pub(super) enum Fetched {
    Rules(Vec<StoredRule>),
    Silences(Vec<Silence>),
    Deliveries(Vec<wire::Delivery>),
    Alerts {
        alerts: Vec<Alert>,
        /// Steps that are new since `logged`, oldest first.
        steps: Vec<LoggedTransition>,
        /// The last entry of the log that was read.
        logged: i64,
    },
}

/// A part that is being read.
pub(super) type Fetching = Pin<Box<dyn Future<Output = (Parts, Result<Fetched, StoreError>)> + Send>>;

/// Begins to read a part. `logged` is the last entry of the log of alerts that is known, none at first: then what is in
/// the log is not new.
pub(super) fn fetch(
    store: Arc<dyn RuleStore>,
    part: Parts,
    now: UnixMillis,
    logged: Option<i64>,
) -> Fetching {
    Box::pin(async move {
        let reading = async {
            match part {
                Parts::RULES => store.rules().await.map(Fetched::Rules),
                Parts::SILENCES => store.silences(now).await.map(Fetched::Silences),
                Parts::DELIVERIES => deliveries(&*store).await,
                _ => alerts(&*store, logged).await,
            }
        };
        let read = timeout(PATIENCE, reading).await;
        let hung = |_| Err(StoreError::unavailable("it does not answer"));
        (part, read.unwrap_or_else(hung))
    })
}

async fn deliveries(store: &dyn RuleStore) -> Result<Fetched, StoreError> {
    let most = u32::try_from(DELIVERIES_MAX).unwrap_or(u32::MAX);
    let dead = store.deliveries(Some(DeliveryState::Dead), most).await?;
    let pending = store.deliveries(Some(DeliveryState::Pending), most).await?;
    let mut all: Vec<Delivery> = dead.into_iter().chain(pending).collect();
    all.sort_by(|one, other| (other.created, &other.id).cmp(&(one.created, &one.id)));
    all.truncate(DELIVERIES_MAX);
    Ok(Fetched::Deliveries(all.iter().map(delivery_to_wire).collect()))
}

async fn alerts(store: &dyn RuleStore, logged: Option<i64>) -> Result<Fetched, StoreError> {
    // The log first: alerts are then at least as new as their steps.
    let (steps, logged) = match logged {
        None => {
            let last = newest(store, 1).await?;
            (Vec::new(), last.first().map_or(0, |step| step.id))
        }
        Some(logged) => {
            let steps = steps(store, logged).await?;
            let last = steps.last().map_or(logged, |step| step.id);
            (steps, last)
        }
    };
    let mut alerts = store.alerts().await?;
    // One more, so that whoever takes them over says that there are too many.
    alerts.truncate(ALERTS_MAX + 1);
    Ok(Fetched::Alerts {
        alerts,
        steps,
        logged,
    })
}

/// What is new in the log, oldest first; of more than clients are told at once the newest.
async fn steps(store: &dyn RuleStore, after: i64) -> Result<Vec<LoggedTransition>, StoreError> {
    let most = u32::try_from(TRANSITIONS_MAX).unwrap_or(u32::MAX);
    let mut steps = store.transitions_after(after, most).await?;
    if steps.len() >= TRANSITIONS_MAX {
        steps = newest(store, most).await?;
        steps.reverse();
    }
    Ok(steps)
}

async fn newest(store: &dyn RuleStore, limit: u32) -> Result<Vec<LoggedTransition>, StoreError> {
    let query = TransitionQuery {
        limit,
        ..TransitionQuery::default()
    };
    store.transitions(&query).await
}
