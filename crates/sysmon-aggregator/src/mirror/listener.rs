//! Hears what other aggregators say, and brings it to the owner in order and without gaps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use sysmon_api::{tick_at, tick_values, wire};
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{BusEvent, BusSubscription, HotMachine, HotState, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use wire::fleet_event::Body;

use super::queue::{Event, Outbox};
use super::tracker::{Step, Tracker};
use super::{RemoteMessage, SHARDS, channel_name};
use crate::counters::Counters;
use crate::fleet::{Batch, RemoteHead, RemoteStream, RemoteTick};
use crate::stores::Stores;

/// Everything is loaded at most this often, and again so long after a failure.
const LOAD_INTERVAL: Duration = Duration::from_secs(5);
/// The texts of ids that others give themselves are short.
const AGGREGATOR_ID_BYTES_MAX: usize = 64;

/// Reads the bus, and hot state where the bus has a gap.
pub(super) struct Listener {
    aggregator_id: Arc<str>,
    stores: Stores,
    /// To ask other aggregators.
    outbox: Outbox,
    owner: mpsc::Sender<RemoteMessage>,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
    tracker: Tracker,
}

/// The owner is gone: nothing is left to do.
struct Gone;

impl Listener {
    pub(super) fn new(
        aggregator_id: Arc<str>,
        stores: Stores,
        outbox: Outbox,
        owner: mpsc::Sender<RemoteMessage>,
        counters: Arc<Counters>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            aggregator_id,
            stores,
            outbox,
            owner,
            counters,
            shutdown,
            tracker: Tracker::default(),
        }
    }

    /// Works until the aggregator stops.
    pub(super) async fn run(mut self) {
        let shutdown = self.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = self.listen() => {}
        }
    }

    async fn listen(&mut self) -> Result<(), Gone> {
        // Subscribed first: what happens while hot state is read is not missed.
        let mut subscription = self.subscribe().await;
        let mut load_at = match self.load_all().await? {
            Ok(()) => None,
            Err(_) => Some(Instant::now() + LOAD_INTERVAL),
        };
        let mut loaded_at = Instant::now();
        self.send(RemoteMessage::Warm).await?;
        self.outbox.push(Event::HeadWanted(None));
        loop {
            tokio::select! {
                biased;
                () = until(load_at) => {
                    load_at = match self.load_all().await? {
                        Ok(()) => None,
                        Err(_) => Some(Instant::now() + LOAD_INTERVAL),
                    };
                    loaded_at = Instant::now();
                }
                event = next(&mut subscription) => match event {
                    Some(BusEvent::Message { payload, .. }) => self.hear(payload).await?,
                    Some(BusEvent::Missed) => {
                        load_at.get_or_insert((loaded_at + LOAD_INTERVAL).max(Instant::now()));
                    }
                    None => subscription = None,
                },
                () = self.owner.closed() => return Err(Gone),
            }
        }
    }

    async fn subscribe(&self) -> Option<BusSubscription> {
        let channels: Vec<String> = (0..SHARDS).map(channel_name).collect();
        match self.stores.bus.as_ref()?.subscribe(&channels).await {
            Ok(subscription) => Some(subscription),
            Err(error) => {
                tracing::error!(%error, "other aggregators are not heard; report this");
                None
            }
        }
    }

    async fn send(&self, message: RemoteMessage) -> Result<(), Gone> {
        self.owner.send(message).await.map_err(|_| Gone)
    }

    /// Loads every machine that hot state has. When it fails, what came before counts.
    async fn load_all(&mut self) -> Result<Result<(), StoreError>, Gone> {
        let Some(hot) = self.stores.hot.clone() else {
            return Ok(Ok(()));
        };
        let machines = match hot.machines().await {
            Ok(machines) => machines,
            Err(error) => return Ok(Err(error)),
        };
        for machine in machines {
            if let Err(error) = self.load(&*hot, &machine).await? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    async fn load(
        &mut self,
        hot: &dyn HotState,
        machine: &MachineId,
    ) -> Result<Result<(), StoreError>, Gone> {
        let kept = match hot.load(machine).await {
            Ok(Some(kept)) => kept,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        };
        if let Some(message) = self.read(machine, kept) {
            self.send(message).await?;
        }
        Ok(Ok(()))
    }

    /// What is new in hot state of a machine of another aggregator.
    fn read(&mut self, machine: &MachineId, kept: HotMachine) -> Option<RemoteMessage> {
        let head = wire::MachineHead::decode(kept.head).ok()?;
        if head.aggregator_id == *self.aggregator_id {
            return None;
        }
        let head = RemoteHead::check(head).filter(|head| head.stream.machine == *machine)?;
        let mut ticks: Vec<RemoteTick> = kept
            .ticks
            .into_iter()
            .filter_map(|(_, tick)| read_tick(tick, head.stream.generation))
            .collect();
        let newest = ticks.last().map_or(0, |tick| tick.sequence);
        let known = self.tracker.loaded(&head.stream, head.sequence.max(newest))?;
        ticks.retain(|tick| tick.sequence > known);
        Some(RemoteMessage::Head {
            head: Box::new(head),
            ticks,
        })
    }

    /// A message on the bus. What cannot be read is passed over: it may be of a newer release.
    async fn hear(&mut self, payload: Bytes) -> Result<(), Gone> {
        let Ok(message) = wire::FleetEvents::decode(payload) else {
            tracing::debug!("a message on the bus cannot be read");
            return Ok(());
        };
        let is_id = (1..=AGGREGATOR_ID_BYTES_MAX).contains(&message.aggregator_id.len());
        if !is_id || message.aggregator_id == *self.aggregator_id {
            return Ok(());
        }
        let aggregator: Arc<str> = message.aggregator_id.into();
        for event in message.events {
            self.event(&aggregator, event).await?;
        }
        Ok(())
    }

    async fn event(&mut self, aggregator: &Arc<str>, event: wire::FleetEvent) -> Result<(), Gone> {
        let Some(body) = event.body else {
            return Ok(());
        };
        let machine = MachineId::parse(&event.machine_id).ok();
        let Some(machine) = machine else {
            if matches!(body, Body::HeadWanted(_)) && event.machine_id.is_empty() {
                self.send(RemoteMessage::HeadsWanted(None)).await?;
            }
            return Ok(());
        };
        let stream = RemoteStream {
            machine,
            generation: event.generation,
        };
        match body {
            Body::Head(head) => self.head(stream, head).await,
            Body::Batch(mirrored) => self.batch(stream, event.sequence, mirrored).await,
            Body::Alive(_) => {
                if self
                    .follow(&stream, |tracker| tracker.remark(&stream, event.sequence))
                    .await?
                {
                    self.send(RemoteMessage::Alive { stream }).await?;
                }
                Ok(())
            }
            Body::Closed(_) => {
                if self
                    .follow(&stream, |tracker| tracker.remark(&stream, event.sequence))
                    .await?
                {
                    self.send(RemoteMessage::Closed { stream }).await?;
                }
                Ok(())
            }
            Body::HeadWanted(_) => self.send(RemoteMessage::HeadsWanted(Some(stream.machine))).await,
            Body::Wish(wish) => {
                let aggregator = Arc::clone(aggregator);
                let machine = stream.machine;
                self.send(RemoteMessage::Wish {
                    machine,
                    aggregator,
                    wish,
                })
                .await
            }
        }
    }

    async fn head(&mut self, stream: RemoteStream, head: wire::MachineHead) -> Result<(), Gone> {
        let Some(head) = RemoteHead::check(head).filter(|head| head.stream == stream) else {
            return Ok(());
        };
        match self
            .tracker
            .head(&stream, head.sequence, head.processes.is_some())
        {
            Step::Pass => {
                self.send(RemoteMessage::Head {
                    head: Box::new(head),
                    ticks: Vec::new(),
                })
                .await
            }
            Step::Drop | Step::Load => Ok(()),
        }
    }

    async fn batch(
        &mut self,
        stream: RemoteStream,
        sequence: u64,
        mirrored: wire::MirroredBatch,
    ) -> Result<(), Gone> {
        if !self
            .follow(&stream, |tracker| tracker.batch(&stream, sequence))
            .await?
        {
            return Ok(());
        }
        let batch = mirrored.batch.and_then(|batch| Batch::check(batch).ok());
        let Some(mut batch) = batch else {
            return Ok(());
        };
        if let Some((at, _)) = &mut batch.tick {
            *at = UnixMillis(mirrored.at_unix_ms);
        }
        let is_whole = batch.processes.as_ref().map(|update| update.replace);
        if let Some(is_whole) = is_whole
            && !self.tracker.takes_processes(&stream.machine, is_whole)
        {
            batch.processes = None;
            self.ask(&stream.machine);
        }
        self.send(RemoteMessage::Batch {
            stream,
            batch: Box::new(batch),
        })
        .await
    }

    /// Whether an event is to be passed on; loads the machine when something before it is missing.
    async fn follow(
        &mut self,
        stream: &RemoteStream,
        mut judge: impl FnMut(&mut Tracker) -> Step,
    ) -> Result<bool, Gone> {
        let mut step = judge(&mut self.tracker);
        if step == Step::Load {
            self.counters.remote_gaps.add(1);
            if let Some(hot) = self.stores.hot.clone() {
                // When that fails, the machine's own aggregator is asked.
                let _ = self.load(&*hot, &stream.machine).await?;
                step = judge(&mut self.tracker);
            }
        }
        if step == Step::Load {
            self.ask(&stream.machine);
        }
        Ok(step == Step::Pass)
    }

    /// Asks whoever has the machine for its head.
    fn ask(&mut self, machine: &MachineId) {
        if self.tracker.may_ask(machine) {
            self.outbox.push(Event::HeadWanted(Some(machine.clone())));
        }
    }
}

fn read_tick(tick: Bytes, generation: u64) -> Option<RemoteTick> {
    let kept = wire::HotTick::decode(tick)
        .ok()
        .filter(|kept| kept.generation == generation)?;
    let tick = kept.tick?;
    Some(RemoteTick {
        sequence: kept.sequence,
        heard: UnixMillis(kept.heard_unix_ms),
        at: tick_at(&tick),
        values: tick_values(&tick).ok()?,
    })
}

async fn next(subscription: &mut Option<BusSubscription>) -> Option<BusEvent> {
    match subscription {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
