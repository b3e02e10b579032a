//! Rules and alerts as clients see them: what there is, kept up from the store and the bus, and what clients may change.
//!
//! The alert service evaluates; it writes to the rule store, and says on the bus what it wrote. Here a task of its own
//! keeps a board of all that, which every client's session reads at its own pace, and tells the fleet's owner how machines
//! fare. Queues, and what happens when they are full:
//! - the bus to the task, as [`sysmon_store::BusSubscription`]: what is lost is loaded from the store;
//! - clients to the store, a fixed number of things at a time and of changes under way: further ones wait or are refused;
//! - rules to be played on the past, two at a time and one per client: further ones wait or are refused;
//! - the task to the owner: the task waits, and the bus with it.

mod board;
mod commands;
mod deliveries;
mod fetch;
mod health;
mod keeper;
mod messages;
mod mutes;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use prost::Message as _;
use sysmon_api::{ApiError, Code, wire};
use sysmon_store::{ErrorKind, EventBus, LoggedTransition, RuleStore, StoreError, TransitionQuery};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::aggregator::stopping;
use crate::clock::Clock;
use crate::message::Message;
use crate::stores::Stores;

pub(crate) use board::{Board, Cursor};
pub(crate) use commands::checked_rule;
use keeper::Keeper;

/// The channel of the bus on which alert services and aggregators tell each other what is new.
pub(crate) const CHANNEL: &str = "alerts";
/// The store is asked so many things at a time; others wait.
const AT_A_TIME: usize = 4;
/// So many changes may be under way; further ones are refused.
const CHANGES_MAX: usize = 64;
/// So many rules are played on the past at a time; further ones wait, at most one per client.
const DRY_RUNS: usize = 2;
/// How long the store may take for one thing, waiting included: less than a client waits.
const LIMIT: Duration = Duration::from_secs(8);
/// How long saying on the bus what was changed may take.
const PUBLISH_LIMIT: Duration = Duration::from_secs(2);

/// The way to rules and alerts.
pub(crate) struct Alerts {
    store: Arc<dyn RuleStore>,
    bus: Option<Arc<dyn EventBus>>,
    /// Tells what we say on the bus from what others say.
    sender_id: String,
    clock: Clock,
    board: watch::Sender<Board>,
    wanted: Wanted,
    at_a_time: Semaphore,
    changes: Arc<Semaphore>,
    dry_runs: Arc<Semaphore>,
}

impl fmt::Debug for Alerts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Alerts")
    }
}

/// Parts of the board that are to be loaded anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts(u8);

impl Parts {
    const NONE: Self = Self(0);
    const RULES: Self = Self(1);
    const SILENCES: Self = Self(2);
    const DELIVERIES: Self = Self(4);
    /// And their steps.
    const ALERTS: Self = Self(8);
    const ALL: Self = Self(15);
    const EACH: [Self; 4] = [Self::RULES, Self::SILENCES, Self::ALERTS, Self::DELIVERIES];

    fn has(self, part: Self) -> bool {
        self.0 & part.0 != 0
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, part: Self) -> Self {
        Self(self.0 & !part.0)
    }
}

/// What sessions want the task to load, because they have changed it. It is a set, so that nothing waits in a queue.
#[derive(Debug, Default)]
struct Wanted {
    parts: AtomicU8,
    notify: Notify,
}

impl Wanted {
    fn ask(&self, parts: Parts) {
        self.parts.fetch_or(parts.0, Ordering::AcqRel);
        self.notify.notify_one();
    }

    /// What was asked for since the last time; waits until it is something. Safe to cancel.
    async fn next(&self) -> Parts {
        loop {
            let parts = Parts(self.parts.swap(0, Ordering::AcqRel));
            if parts != Parts::NONE {
                return parts;
            }
            self.notify.notified().await;
        }
    }
}

/// The way to rules and alerts and the task that keeps the board up until `over`; none where no rules are kept.
pub(crate) fn start(
    stores: &Stores,
    clock: Clock,
    owner: mpsc::WeakSender<Message>,
    over: CancellationToken,
) -> Option<(Arc<Alerts>, Keeper)> {
    let store = stores.rules.clone()?;
    let alerts = Arc::new(Alerts::new(store, stores.alert_bus.clone(), clock));
    let keeper = Keeper::new(Arc::clone(&alerts), owner, over);
    Some((alerts, keeper))
}

impl Alerts {
    fn new(store: Arc<dyn RuleStore>, bus: Option<Arc<dyn EventBus>>, clock: Clock) -> Self {
        let random: u128 = rand::random();
        Self {
            store,
            bus,
            sender_id: format!("{random:032x}"),
            clock,
            board: watch::Sender::new(Board::default()),
            wanted: Wanted::default(),
            at_a_time: Semaphore::new(AT_A_TIME),
            changes: Arc::new(Semaphore::new(CHANGES_MAX)),
            dry_runs: Arc::new(Semaphore::new(DRY_RUNS)),
        }
    }

    /// What there is, for a session to read whenever it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Board> {
        self.board.subscribe()
    }

    /// Steps out of the log, for whoever works out how machines fared.
    ///
    /// # Errors
    /// That the store does not answer.
    pub(crate) async fn steps(&self, query: &TransitionQuery) -> Result<Vec<LoggedTransition>, ApiError> {
        self.ask(self.store.transitions(query)).await
    }

    /// Waits until a rule may be played on the past, for as long as the permit is held.
    ///
    /// # Errors
    /// That the aggregator stops.
    pub(crate) async fn begin_dry_run(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let permit = Arc::clone(&self.dry_runs).acquire_owned().await;
        permit.map_err(|_| stopping())
    }

    /// Has the store do something, when its turn has come.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, StoreError>>) -> Result<T, ApiError> {
        let asked = async {
            let permit = self.at_a_time.acquire().await;
            let answer = question.await;
            drop(permit);
            answer
        };
        match timeout(LIMIT, asked).await {
            Ok(answer) => answer.map_err(|error| failure(&error)),
            Err(_) => Err(ApiError::unavailable(format!(
                "the store of rules did not answer within {} s; look whether your change was made before you make it again",
                LIMIT.as_secs()
            ))),
        }
    }

    /// Tells other aggregators and alert services what was changed here. Whoever does not hear it finds out when it next
    /// loads everything.
    async fn publish(&self, mut news: wire::AlertNews) {
        let Some(bus) = &self.bus else { return };
        news.sender_id.clone_from(&self.sender_id);
        let message = (CHANNEL.to_owned(), news.encode_to_vec().into());
        match timeout(PUBLISH_LIMIT, bus.publish(&[message])).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "others hear of a change to rules or alerts later"),
            Err(_) => {
                tracing::warn!("others hear of a change to rules or alerts later: the bus does not answer")
            }
        }
    }
}

/// What whoever asked is told of a failure of the store.
fn failure(error: &StoreError) -> ApiError {
    let clean = sysmon_core::sanitize(&error.message);
    let message = sysmon_core::clip(&clean, 300);
    match error.kind {
        ErrorKind::Unavailable => ApiError::unavailable(format!(
            "rules cannot be read or changed now ({message}); nothing was changed, try again when the storage is well"
        )),
        ErrorKind::Rejected => ApiError::invalid(message),
        ErrorKind::Misconfigured => ApiError::new(Code::FailedPrecondition, message),
    }
}

/// Why nothing can be asked about alerts where no rules are kept.
pub(crate) fn nothing_kept() -> ApiError {
    ApiError::new(
        Code::FailedPrecondition,
        "no rules are kept here; start the aggregator with --database",
    )
}
