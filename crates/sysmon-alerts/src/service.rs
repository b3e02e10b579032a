//! The service from outside: a handle, and the tasks behind it.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use sysmon_api::{Client, wire};
use sysmon_core::UnixMillis;
use sysmon_core::alert::starter_pack;
use sysmon_store::{Author, EventBus, RuleStore, StoreError, Work};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::book::{self, Book};
use crate::config::Config;
use crate::directory::Directory;
use crate::evaluator::{self, Evaluator};
use crate::figures::{Counters, Figures};
use crate::fleet::{self, Wish};
use crate::hub::{CHANNEL, Hub};
use crate::leases::{Held, Leases};
use crate::notifier;

/// Updates that wait for the evaluator; when there are more the aggregator sends less often.
const UPDATES: usize = 4;
/// How often the store is tidied up.
const UPKEEP: Duration = Duration::from_secs(3_600);

/// What an alert service keeps things in.
#[derive(Clone)]
pub struct Stores {
    /// Rules and what becomes of them.
    pub rules: Arc<dyn RuleStore>,
    /// Carries what happens to and from aggregators and other alert services.
    pub bus: Option<Arc<dyn EventBus>>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Stores")
            .field("rules", &self.rules.info().engine)
            .field("bus", &self.bus.as_ref().map(|bus| bus.info().engine))
            .finish()
    }
}

/// A running alert service.
#[derive(Clone, Debug)]
pub struct AlertService {
    counters: Arc<Counters>,
}

impl AlertService {
    /// An alert service and the future that does its work. It learns of the fleet as a client of an aggregator, and
    /// shares the work with other services on the same store. The future ends when `shutdown` is cancelled, after what
    /// waits was stored, for up to a few seconds, and the work was given back; dropped, it ends at once, and others take
    /// over when its leases lapse. It ends in the same way, with an error, when one of its tasks breaks: half a service
    /// would hold leases that it does nothing for.
    pub fn new(
        config: Config,
        stores: Stores,
        client: Client,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = Result<(), Broken>> + Send + 'static) {
        let counters = Arc::new(Counters::default());
        let service = Self {
            counters: Arc::clone(&counters),
        };
        (service, run(config, stores, client, counters, shutdown))
    }

    /// What happened since the start.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.counters.read()
    }
}

/// A task of the alert service ended although nobody told it to, so the service has ended as a whole.
#[derive(Debug, thiserror::Error)]
#[error("the alert service broke ({0}); start it again, and report this with its log")]
pub struct Broken(String);

/// Stores the rules that a new installation begins with, if that was never done in this store, and says so to whoever
/// listens, for they may have read that there are none; returns how many.
///
/// # Errors
/// When the store is down or refuses.
pub async fn install_starter(stores: &Stores, now: UnixMillis) -> Result<usize, StoreError> {
    let author = Author {
        name: "sysmon".to_owned(),
        at: now,
    };
    let rules = starter_pack();
    let count = stores.rules.install_starter(&rules, &author).await?;
    if let (1.., Some(bus)) = (count, &stores.bus) {
        let news = wire::AlertNews {
            sender_id: format!("{:016x}", rand::random::<u64>()),
            changed_rule_ids: rules.iter().map(|rule| rule.id.to_string()).collect(),
            ..Default::default()
        };
        let message = (CHANNEL.to_owned(), news.encode_to_vec().into());
        if let Err(error) = bus.publish(&[message]).await {
            tracing::debug!(%error, "others hear of the starter pack later");
        }
    }
    Ok(count)
}

async fn run(
    config: Config,
    stores: Stores,
    client: Client,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
) -> Result<(), Broken> {
    // Ends the tasks: with the others, or because one of them broke.
    let over = shutdown.child_token();
    let holder = format!("{:016x}", rand::random::<u64>());
    let (hub, heard) = Hub::new(stores.bus, holder.clone());
    let (book, book_seen) = watch::channel(Arc::new(Book::default()));
    let (held, held_seen) = watch::channel(Held::default());
    let (directory, directory_seen) = watch::channel(Directory::default());
    let (wish, wish_seen) = watch::channel(Arc::new(Wish::default()));
    let (events, fleet) = mpsc::channel(UPDATES);
    let (gives, taken) = mpsc::channel(1);
    let store = stores.rules;
    let leases = Leases {
        store: Arc::clone(&store),
        holder,
        lease_ms: config.lease_ms,
        held,
        gives,
    };
    let evaluator = evaluator::Parts {
        config: config.clone(),
        store: Arc::clone(&store),
        hub: Arc::clone(&hub),
        counters: Arc::clone(&counters),
        book: book_seen.clone(),
        held: held_seen.clone(),
        gives: taken,
        fleet,
        wish,
        directory,
    };
    let notifier = notifier::Parts {
        config: config.clone(),
        store: Arc::clone(&store),
        hub: Arc::clone(&hub),
        counters,
        book: book_seen,
        directory: directory_seen,
        held: held_seen.clone(),
        heard,
    };
    // As tasks of their own: judging a large fleet is not to hold up a lease. They end with this future.
    let mut tasks = JoinSet::new();
    let names = config.receivers.names();
    let (speaker, stop) = (Arc::clone(&hub), over.clone());
    tasks.spawn(named("the pulse", async move { speaker.run(names, stop).await }));
    let keeping = book::keep(Arc::clone(&store), hub, config.clock, book, over.clone());
    tasks.spawn(named("the book of rules", keeping));
    let following = fleet::follow(client, config.clock, wish_seen, events);
    let stop = over.clone();
    tasks.spawn(named("the stream of the fleet", async move {
        stop.run_until_cancelled(following).await.unwrap_or_default()
    }));
    let tidying = keep_tidy(store, config.clone(), held_seen, over.clone());
    tasks.spawn(named("the upkeep", tidying));
    // The leases are kept until those who use them have ended.
    let mut users = JoinSet::new();
    users.spawn(named("the evaluator", Evaluator::run(evaluator, over.clone())));
    users.spawn(named("the notifier", notifier::run(notifier, over.clone())));
    let users_ended = CancellationToken::new();
    tasks.spawn(named("the leases", hold(leases, users_ended.clone())));
    watch_over(users, tasks, (shutdown, over, users_ended)).await
}

/// Waits until all is to end or a part has ended by itself; then `over` ends the parts that use leases, and
/// `users_ended` the others.
async fn watch_over(
    mut users: JoinSet<&'static str>,
    mut tasks: JoinSet<&'static str>,
    (shutdown, over, users_ended): (CancellationToken, CancellationToken, CancellationToken),
) -> Result<(), Broken> {
    let broken = tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        Some(ended) = users.join_next() => Some(ended),
        Some(ended) = tasks.join_next() => Some(ended),
    };
    over.cancel();
    ended(&mut users).await;
    users_ended.cancel();
    ended(&mut tasks).await;
    match broken {
        None => Ok(()),
        Some(Ok(name)) => Err(Broken(format!("{name} ended by itself"))),
        Some(Err(error)) => Err(Broken(error.to_string())),
    }
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

/// Keeps leases until `over`, and then gives them back.
async fn hold(leases: Leases, over: CancellationToken) {
    tokio::select! {
        () = over.cancelled() => {}
        () = leases.run() => {}
    }
    leases.release().await;
}

async fn ended(tasks: &mut JoinSet<&'static str>) {
    while let Some(result) = tasks.join_next().await {
        if let Err(error) = result {
            tracing::error!(%error, "a task of the alert service failed; report this");
        }
    }
}

/// Lets the store remove what is old, once an hour, by whoever tells people.
async fn keep_tidy(
    store: Arc<dyn RuleStore>,
    config: Config,
    held: watch::Receiver<Held>,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(UPKEEP) => {}
        }
        let is_ours = held.borrow().contains_key(&Work::Notifier);
        if !is_ours {
            continue;
        }
        if let Err(error) = store.maintain_rules(config.clock.now(), config.log_ms).await {
            tracing::warn!(%error, "old alerts and notifications are not removed yet");
        }
    }
}
