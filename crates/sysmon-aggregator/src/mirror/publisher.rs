//! Tells other aggregators what happens here: into hot state first, so that whoever misses the word finds it there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use sysmon_api::wire;
use sysmon_core::{MachineId, UnixMillis};
use sysmon_store::{EventBus, HotState, HotUpdate};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use wire::fleet_event::Body;

use super::guard::Guard;
use super::queue::{Event, Outlet, Waiting};
use super::{RemoteMessage, SHARDS, channel_name, channel_of};
use crate::fleet::Reported;

/// The most events of one turn.
const TURN: usize = 256;
/// A message on the bus has about so many bytes at most, unless one event alone has more.
const MESSAGE_BYTES: usize = 1_024 * 1_024;
/// An event with more bytes than this is not told.
const EVENT_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// Wishes are said again this often.
const WISH_INTERVAL: Duration = Duration::from_secs(5);
/// What still waits when the aggregator stops gets so long.
const LAST_LIMIT: Duration = Duration::from_secs(1);

/// Reads the outbox and writes the stores.
pub(super) struct Publisher {
    aggregator_id: Arc<str>,
    hot: Option<(Arc<dyn HotState>, Guard)>,
    bus: Option<(Arc<dyn EventBus>, Guard)>,
    outlet: Outlet,
    owner: mpsc::Sender<RemoteMessage>,
    shutdown: CancellationToken,
    /// The generation whose ticks hot state has, per machine of ours.
    put: HashMap<MachineId, u64>,
    wishes: HashMap<MachineId, wire::Wish>,
}

impl Publisher {
    pub(super) fn new(
        aggregator_id: Arc<str>,
        hot: Option<(Arc<dyn HotState>, Guard)>,
        bus: Option<(Arc<dyn EventBus>, Guard)>,
        outlet: Outlet,
        owner: mpsc::Sender<RemoteMessage>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            aggregator_id,
            hot,
            bus,
            outlet,
            owner,
            shutdown,
            put: HashMap::new(),
            wishes: HashMap::new(),
        }
    }

    /// Works until the aggregator stops.
    pub(super) async fn run(mut self) {
        let mut renewal = interval(WISH_INTERVAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let probe_at = self.probe_at();
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                waiting = self.outlet.take(TURN) => match waiting {
                    Some(waiting) => self.tell(waiting).await,
                    None => return,
                },
                _ = renewal.tick() => {
                    self.renew_wishes().await;
                    // So that a quiet fleet learns of an outage too.
                    self.probe(Guard::is_closed).await;
                }
                () = until(probe_at) => {
                    let now = Instant::now();
                    self.probe(|guard| guard.probe_at().is_some_and(|at| at <= now)).await;
                }
            }
        }
        let last = self.outlet.take_now(usize::MAX);
        // What does not get through in time, others find out by themselves.
        let _ = timeout(LAST_LIMIT, self.tell(last)).await;
    }

    fn probe_at(&self) -> Option<Instant> {
        let hot = self.hot.as_ref().and_then(|(_, guard)| guard.probe_at());
        let bus = self.bus.as_ref().and_then(|(_, guard)| guard.probe_at());
        hot.into_iter().chain(bus).min()
    }

    async fn tell(&mut self, waiting: Waiting) {
        let mut headless = waiting.incomplete;
        let mut updates = Vec::new();
        if self.hot.as_ref().is_some_and(|(_, guard)| guard.is_closed()) {
            for event in &waiting.events {
                updates.extend(self.hot_update(event));
            }
        }
        headless.extend(self.put(updates).await);
        let mut events = Vec::with_capacity(waiting.events.len());
        for event in waiting.events {
            if let Event::Wish(machine, wish) = &event {
                self.note_wish(machine, *wish);
            }
            self.bus_events(event, &mut events);
        }
        self.publish(events).await;
        headless.sort_unstable();
        headless.dedup();
        for machine in headless {
            self.want_heads(Some(machine)).await;
        }
    }

    /// Has the owner say the head of a machine, or of all of ours, again.
    async fn want_heads(&self, machine: Option<MachineId>) {
        // The owner is gone when the aggregator stops.
        let _ = self.owner.send(RemoteMessage::HeadsWanted(machine)).await;
    }

    fn hot_update(&mut self, event: &Event) -> Option<HotUpdate> {
        match event {
            Event::Head(head) => {
                let machine = MachineId::parse(&head.machine_id).ok()?;
                Some(HotUpdate {
                    restart: self.begins(&machine, head.generation),
                    machine,
                    head: self.hot_head(head),
                    tick: None,
                })
            }
            Event::Batch(reported) => Some(HotUpdate {
                restart: self.begins(&reported.stream.machine, reported.stream.generation),
                machine: reported.stream.machine.clone(),
                head: reported.head.as_ref().and_then(|head| self.hot_head(head)),
                tick: hot_tick(reported),
            }),
            Event::Alive(..) | Event::Closed(..) | Event::Wish(..) | Event::HeadWanted(_) => None,
        }
    }

    /// Whether the ticks in hot state are of another stream, with other numbers.
    fn begins(&mut self, machine: &MachineId, generation: u64) -> bool {
        self.put.insert(machine.clone(), generation) != Some(generation)
    }

    /// Processes come with the next list, or when somebody asks.
    fn hot_head(&self, head: &wire::MachineHead) -> Option<Bytes> {
        let head = wire::MachineHead {
            machine_id: head.machine_id.clone(),
            aggregator_id: self.aggregator_id.to_string(),
            instance: head.instance.clone(),
            host: head.host.clone(),
            series: head.series.clone(),
            processes: None,
            ..*head
        };
        (head.encoded_len() <= EVENT_BYTES_MAX).then(|| head.encode_to_vec().into())
    }

    async fn put(&mut self, updates: Vec<HotUpdate>) -> Vec<MachineId> {
        let Some((hot, guard)) = self.hot.as_mut().filter(|_| !updates.is_empty()) else {
            return Vec::new();
        };
        let started = Instant::now();
        match hot.put(&updates).await {
            Ok(headless) => {
                guard.succeeded(started, || hot.info());
                headless
            }
            Err(error) => {
                guard.failed(&error);
                for update in updates {
                    self.put.remove(&update.machine);
                }
                Vec::new()
            }
        }
    }

    fn bus_events(&self, event: Event, events: &mut Vec<wire::FleetEvent>) {
        let event = match event {
            Event::Head(head) => {
                let head = wire::MachineHead {
                    aggregator_id: self.aggregator_id.to_string(),
                    ..*head
                };
                wire::FleetEvent {
                    machine_id: head.machine_id.clone(),
                    generation: head.generation,
                    sequence: head.sequence,
                    body: Some(Body::Head(head)),
                }
            }
            Event::Batch(reported) => wire::FleetEvent {
                machine_id: reported.stream.machine.to_string(),
                generation: reported.stream.generation,
                sequence: reported.sequence,
                body: Some(Body::Batch(wire::MirroredBatch {
                    at_unix_ms: reported.at.map_or(0, |at| at.0),
                    batch: Some(Arc::unwrap_or_clone(reported.batch)),
                })),
            },
            Event::Alive(stream, sequence) => wire::FleetEvent {
                machine_id: stream.machine.to_string(),
                generation: stream.generation,
                sequence,
                body: Some(Body::Alive(wire::MachineAlive {})),
            },
            Event::Closed(stream, sequence) => wire::FleetEvent {
                machine_id: stream.machine.to_string(),
                generation: stream.generation,
                sequence,
                body: Some(Body::Closed(wire::StreamClosed {})),
            },
            Event::Wish(machine, wish) => unnumbered(&machine, Body::Wish(wish)),
            Event::HeadWanted(Some(machine)) => unnumbered(&machine, Body::HeadWanted(wire::HeadWanted {})),
            Event::HeadWanted(None) => wire::FleetEvent {
                body: Some(Body::HeadWanted(wire::HeadWanted {})),
                ..wire::FleetEvent::default()
            },
        };
        events.push(event);
    }

    async fn publish(&mut self, events: Vec<wire::FleetEvent>) {
        let Some((bus, guard)) = &mut self.bus else {
            return;
        };
        if events.is_empty() || !guard.is_closed() {
            return;
        }
        let messages = pack(&self.aggregator_id, events);
        let started = Instant::now();
        match bus.publish(&messages).await {
            Ok(()) => guard.succeeded(started, || bus.info()),
            Err(error) => guard.failed(&error),
        }
    }

    /// Tries stores out. When one is back, what others missed meanwhile is said as a whole.
    async fn probe(&mut self, is_due: impl Fn(&Guard) -> bool) {
        let mut is_back = false;
        if let Some((hot, guard)) = self.hot.as_mut().filter(|(_, guard)| is_due(guard)) {
            let (was_closed, started) = (guard.is_closed(), Instant::now());
            match hot.probe().await {
                Ok(()) => guard.succeeded(started, || hot.info()),
                Err(error) => guard.failed(&error),
            }
            is_back |= !was_closed && guard.is_closed();
        }
        if let Some((bus, guard)) = self.bus.as_mut().filter(|(_, guard)| is_due(guard)) {
            let (was_closed, started) = (guard.is_closed(), Instant::now());
            match bus.probe().await {
                Ok(()) => guard.succeeded(started, || bus.info()),
                Err(error) => guard.failed(&error),
            }
            is_back |= !was_closed && guard.is_closed();
        }
        if is_back {
            self.want_heads(None).await;
        }
    }

    fn note_wish(&mut self, machine: &MachineId, wish: wire::Wish) {
        if wish == wire::Wish::default() {
            self.wishes.remove(machine);
        } else {
            self.wishes.insert(machine.clone(), wish);
        }
    }

    async fn renew_wishes(&mut self) {
        let events = self
            .wishes
            .iter()
            .map(|(machine, wish)| unnumbered(machine, Body::Wish(*wish)))
            .collect();
        self.publish(events).await;
    }
}

fn unnumbered(machine: &MachineId, body: Body) -> wire::FleetEvent {
    wire::FleetEvent {
        machine_id: machine.to_string(),
        body: Some(body),
        ..wire::FleetEvent::default()
    }
}

fn hot_tick(reported: &Reported) -> Option<(UnixMillis, Bytes)> {
    let (at, tick) = (reported.at?, reported.batch.tick.as_ref()?);
    let tick = wire::HotTick {
        generation: reported.stream.generation,
        sequence: reported.sequence,
        heard_unix_ms: reported.heard.0,
        tick: Some(wire::Tick {
            at_unix_ms: at.0,
            ..tick.clone()
        }),
    };
    Some((at, tick.encode_to_vec().into()))
}

/// Puts events into messages, by shard, in order.
fn pack(aggregator_id: &str, events: Vec<wire::FleetEvent>) -> Vec<(String, Bytes)> {
    let mut shards: Vec<(Vec<wire::FleetEvent>, usize)> = vec![(Vec::new(), 0); SHARDS as usize];
    let mut messages = Vec::new();
    let mut close = |shard: u32, events: &mut Vec<wire::FleetEvent>| {
        let message = wire::FleetEvents {
            aggregator_id: aggregator_id.to_owned(),
            events: std::mem::take(events),
        };
        messages.push((channel_name(shard), message.encode_to_vec().into()));
    };
    for event in events {
        let bytes = event.encoded_len();
        if bytes > EVENT_BYTES_MAX {
            tracing::warn!(
                machine = event.machine_id,
                bytes,
                "too large to be told to other aggregators"
            );
            continue;
        }
        let shard = channel_of(&event.machine_id);
        let (waiting, size) = &mut shards[shard as usize];
        if !waiting.is_empty() && *size + bytes > MESSAGE_BYTES {
            close(shard, waiting);
            *size = 0;
        }
        waiting.push(event);
        *size += bytes;
    }
    for (shard, (mut waiting, _)) in (0..).zip(shards) {
        if !waiting.is_empty() {
            close(shard, &mut waiting);
        }
    }
    messages
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_machine_stay_in_order_and_messages_are_bounded() {
        let machine = |number: u32| MachineId::parse(&format!("m{}", number % 50)).unwrap();
        let events = (0..2_000).map(|number| wire::FleetEvent {
            sequence: number.into(),
            body: Some(Body::Head(wire::MachineHead {
                instance: vec![0; 10_000],
                ..Default::default()
            })),
            ..unnumbered(&machine(number), Body::HeadWanted(wire::HeadWanted {}))
        });
        let huge = wire::FleetEvent {
            body: Some(Body::Head(wire::MachineHead {
                instance: vec![0; 9_000_000],
                ..Default::default()
            })),
            ..Default::default()
        };
        let messages = pack("a", events.chain([huge]).collect());
        let mut last: HashMap<String, u64> = HashMap::new();
        let mut count = 0;
        for (channel, payload) in messages {
            assert!(payload.len() < MESSAGE_BYTES + 1_000, "{}", payload.len());
            let message = wire::FleetEvents::decode(payload).unwrap();
            for event in message.events {
                assert_eq!(channel, channel_name(channel_of(&event.machine_id)));
                let before = last.insert(event.machine_id, event.sequence);
                assert!(before.is_none_or(|before| before < event.sequence));
                count += 1;
            }
        }
        assert_eq!(count, 2_000);
    }
}
