//! The task that judges: it owns the copy of the fleet and the engines of all machines of our shards.

mod machines;
mod shards;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::Replica;
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{RuleStore, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::book::Book;
use crate::config::Config;
use crate::directory::Directory;
use crate::figures::Counters;
use crate::fleet::{FleetEvent, Wish};
use crate::hub::Hub;
use crate::leases::{Give, Held};
use crate::saver::{self, Saved};
use crate::shard::Shard;

/// How often time is let pass for machines that say nothing.
const BEAT: Duration = Duration::from_secs(1);
/// An update of a machine may take so long to get here; only what is silent for longer is silent.
const GRACE_MS: i64 = 1_000;
/// How long a store that is down is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// How long the last work may take to be stored at the end.
const LAST_SAVE: Duration = Duration::from_secs(2);

/// What the evaluator is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn RuleStore>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) book: watch::Receiver<Arc<Book>>,
    pub(crate) held: watch::Receiver<Held>,
    pub(crate) gives: mpsc::Receiver<Give>,
    pub(crate) fleet: mpsc::Receiver<FleetEvent>,
    pub(crate) wish: watch::Sender<Arc<Wish>>,
    pub(crate) directory: watch::Sender<Directory>,
}

type Loaded = (u32, i64, Result<sysmon_store::Shard, StoreError>);

pub(crate) struct Evaluator {
    config: Config,
    store: Arc<dyn RuleStore>,
    hub: Arc<Hub>,
    counters: Arc<Counters>,
    book: Arc<Book>,
    replica: Replica,
    /// The replica's numbers.
    numbers: HashMap<MachineId, u32>,
    /// The aggregator's clock when it last spoke, and when that was; none while it does not speak or has not said all.
    spoken: Option<(UnixMillis, Instant)>,
    held: Held,
    shards: BTreeMap<u32, Shard>,
    loading: JoinSet<Loaded>,
    /// Shards that are being loaded, with their fences.
    awaited: BTreeMap<u32, i64>,
    saving: JoinSet<Vec<(u32, Saved)>>,
    /// When something urgent came first that is not being saved.
    urgent_since: Option<Instant>,
    /// The store was down; it is left alone until then.
    retry_at: Option<Instant>,
    /// Counts beats, to spread the states of machines.
    beats: u64,
    wish: watch::Sender<Arc<Wish>>,
    directory: watch::Sender<Directory>,
}

impl Evaluator {
    /// Judges until `shutdown`, then stores what is left.
    pub(crate) async fn run(parts: Parts, shutdown: CancellationToken) {
        let Parts {
            config,
            store,
            hub,
            counters,
            mut book,
            mut held,
            mut gives,
            mut fleet,
            wish,
            directory,
        } = parts;
        // What is there already is taken like what comes.
        book.mark_changed();
        held.mark_changed();
        let mut evaluator = Self::new((config, store, hub, counters), wish, directory);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let save_at = evaluator.save_at();
            tokio::select! {
                () = shutdown.cancelled() => break,
                event = fleet.recv() => match event {
                    Some(FleetEvent::Update(update)) => evaluator.take_update(&update).await,
                    Some(FleetEvent::Lost) => evaluator.spoken = None,
                    None => break,
                },
                changed = book.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let present = Arc::clone(&book.borrow_and_update());
                    evaluator.take_book(present).await;
                }
                changed = held.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    evaluator.held = Arc::clone(&held.borrow_and_update());
                    evaluator.take_leases();
                }
                Some(give) = gives.recv() => evaluator.give(give).await,
                Some(loaded) = evaluator.loading.join_next() => match loaded {
                    Ok((shard, fence, loaded)) => evaluator.install(shard, fence, loaded).await,
                    Err(error) => break broke(&error),
                },
                Some(saved) = evaluator.saving.join_next() => match saved {
                    Ok(saved) => evaluator.take_saved(saved),
                    Err(error) => break broke(&error),
                },
                _ = beat.tick() => evaluator.beat(),
                () = sleep_until(save_at), if save_at.is_some() => evaluator.begin_save(),
            }
        }
        let _ = tokio::time::timeout(LAST_SAVE, evaluator.save_everything()).await;
    }

    /// One that knows nothing yet.
    fn new(
        (config, store, hub, counters): (Config, Arc<dyn RuleStore>, Arc<Hub>, Arc<Counters>),
        wish: watch::Sender<Arc<Wish>>,
        directory: watch::Sender<Directory>,
    ) -> Self {
        Self {
            config,
            store,
            hub,
            counters,
            book: Arc::default(),
            replica: Replica::default(),
            numbers: HashMap::new(),
            spoken: None,
            held: Held::default(),
            shards: BTreeMap::new(),
            loading: JoinSet::new(),
            awaited: BTreeMap::new(),
            saving: JoinSet::new(),
            urgent_since: None,
            retry_at: None,
            beats: 0,
            wish,
            directory,
        }
    }

    /// The aggregator's clock now; none while it does not speak.
    fn now(&self) -> Option<UnixMillis> {
        let (spoken, at) = self.spoken?;
        let elapsed = i64::try_from(at.elapsed().as_millis()).unwrap_or(i64::MAX);
        Some(spoken.plus_ms(elapsed))
    }

    /// A moment for what needs one even while the aggregator does not speak.
    fn some_moment(&self) -> UnixMillis {
        self.now().unwrap_or_else(|| self.config.clock.now())
    }

    /// When waiting work is to be stored.
    fn save_at(&self) -> Option<Instant> {
        if !self.saving.is_empty() {
            return None;
        }
        let batch = Duration::from_millis(self.config.batch_ms);
        let due = self.urgent_since? + batch;
        Some(self.retry_at.map_or(due, |retry| retry.max(due)))
    }

    fn begin_save(&mut self) {
        self.urgent_since = None;
        self.retry_at = None;
        let jobs = self.jobs(|_| true);
        if !jobs.is_empty() {
            let (store, hub) = (Arc::clone(&self.store), Arc::clone(&self.hub));
            self.saving.spawn(saver::save_all(store, hub, jobs));
        }
    }

    fn take_saved(&mut self, saved: Vec<(u32, Saved)>) {
        for (number, saved) in saved {
            match saved {
                Saved::Done => {}
                Saved::Refused => {
                    tracing::warn!(shard = number, "another alert service has taken over");
                    self.shards.remove(&number);
                }
                Saved::Later(work) => {
                    if let Some(shard) = self.shards.get_mut(&number) {
                        shard.work.put_back(*work);
                        self.urgent_since.get_or_insert_with(Instant::now);
                        self.retry_at = Some(Instant::now() + RETRY);
                    }
                }
            }
        }
    }

    /// Takes note of what came of judging a machine.
    fn note(&mut self, number: u32, outcome: crate::judge::Outcome) {
        if outcome.is_empty() {
            return;
        }
        self.counters.transitions(outcome.transitions.len());
        if let Some(shard) = self.shards.get_mut(&number) {
            shard.work.add(outcome);
            self.urgent_since.get_or_insert_with(Instant::now);
        }
    }
}

/// What it did is lost, and nobody would do it again: the service ends, and whoever takes over does.
fn broke(error: &tokio::task::JoinError) {
    tracing::error!(%error, "reading or writing alerts broke off; report this");
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
