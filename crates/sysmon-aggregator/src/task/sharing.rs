//! The owner's part in a group of aggregators.

use std::collections::VecDeque;
use std::time::Duration;

use sysmon_core::MachineId;
use tokio::time::{Instant, timeout_at};

use super::{BURST, Owner};
use crate::fleet::{Moment, StreamId, Taken};
use crate::message::StreamTicket;
use crate::mirror::{Event, RemoteMessage, Sharing};

/// Streams wait so long at most for what hot state has of the time before the start.
const WARM_LIMIT: Duration = Duration::from_secs(2);
/// So many heads are said at a time when all are wanted, and after this time the next ones: a large fleet is not to flood
/// the bus because somebody joins.
const HEADS_PER_TURN: usize = 64;
const TURN_PAUSE: Duration = Duration::from_millis(50);

/// What the owner needs to share its fleet.
#[derive(Debug)]
pub(super) struct Shared {
    ends: Sharing,
    /// Machines whose heads are to be said; each of our own at most a few times.
    heads_wanted: VecDeque<MachineId>,
    turn_at: Instant,
}

impl Shared {
    pub(super) fn new(ends: Sharing) -> Self {
        Self {
            ends,
            heads_wanted: VecDeque::new(),
            turn_at: Instant::now(),
        }
    }

    /// When there is something to say although nothing happens.
    pub(super) fn turn_at(&self) -> Option<Instant> {
        (!self.heads_wanted.is_empty()).then_some(self.turn_at)
    }

    /// Waits for messages; for ever when none can come.
    pub(super) async fn receive(shared: &mut Option<Self>, messages: &mut Vec<RemoteMessage>) {
        if let Some(shared) = shared
            && shared.ends.remote.recv_many(messages, BURST).await > 0
        {
            return;
        }
        std::future::pending().await
    }
}

impl Shared {
    /// What has come from others meanwhile: streams of our own that never pause are not to keep it waiting.
    pub(super) fn drain(shared: &mut Option<Self>, messages: &mut Vec<RemoteMessage>) {
        let Some(shared) = shared else {
            return;
        };
        while messages.len() < BURST
            && let Ok(message) = shared.ends.remote.try_recv()
        {
            messages.push(message);
        }
    }
}

impl Owner {
    /// Takes over what hot state has, before anybody is let in: a collector that reports at once would make its past
    /// look old. Waits only so long.
    pub(super) async fn warm_up(&mut self) {
        let until = Instant::now() + WARM_LIMIT;
        loop {
            let Some(shared) = &mut self.shared else {
                return;
            };
            let message = tokio::select! {
                () = self.shutdown.cancelled() => return,
                message = timeout_at(until, shared.ends.remote.recv()) => message,
            };
            match message {
                Ok(Some(RemoteMessage::Warm)) | Ok(None) | Err(_) => return,
                Ok(Some(message)) => {
                    let now = self.clock.now();
                    self.remote(message, now);
                }
            }
        }
    }

    /// Takes over what comes from other aggregators.
    pub(super) fn remote(&mut self, message: RemoteMessage, now: Moment) {
        match message {
            RemoteMessage::Head { head, ticks } => {
                let machine = head.stream.machine.clone();
                match self.fleet.remote_head(*head, ticks, now) {
                    // The session of our stream, which is over, sees its channel closed.
                    Taken::Yes(Some(replaced)) => {
                        self.streams.remove(&replaced);
                    }
                    Taken::Ours => self.say_head(&machine),
                    Taken::Yes(None) | Taken::No => {}
                }
            }
            RemoteMessage::Batch { stream, batch } => {
                if self.fleet.remote_batch(&stream, *batch, now) == Taken::Ours {
                    self.say_head(&stream.machine);
                }
            }
            RemoteMessage::Alive { stream } => {
                if self.fleet.remote_alive(&stream, now) == Taken::Ours {
                    self.say_head(&stream.machine);
                }
            }
            // Whoever closes a stream says nothing more that would have to be corrected.
            RemoteMessage::Closed { stream } => {
                self.fleet.remote_closed(&stream);
            }
            RemoteMessage::Wish {
                machine,
                aggregator,
                wish,
            } => self.fleet.wish(&machine, &aggregator, &wish, now),
            RemoteMessage::HeadsWanted(Some(machine)) => self.say_head(&machine),
            RemoteMessage::HeadsWanted(None) => {
                let own = self.fleet.own_machines();
                if let Some(shared) = &mut self.shared {
                    shared.heads_wanted = own.into();
                }
            }
            RemoteMessage::Warm => {}
        }
    }

    /// Tells other aggregators something.
    pub(super) fn tell_others(&self, event: impl FnOnce() -> Option<Event>) {
        if let Some(shared) = &self.shared
            && let Some(event) = event()
        {
            shared.ends.outbox.push(event);
        }
    }

    /// Tells other aggregators how a machine of ours is, as a whole.
    fn say_head(&self, machine: &MachineId) {
        self.tell_others(|| self.fleet.head(machine).map(|head| Event::Head(Box::new(head))));
    }

    /// Tells other aggregators that a stream of ours has begun.
    pub(super) fn say_opened(&self, ticket: &StreamTicket) {
        if let Some((stream, _)) = self.fleet.own_stream(ticket.stream) {
            self.say_head(&stream.machine);
        }
    }

    /// Tells other aggregators that the machine of a stream of ours is alive.
    pub(super) fn say_alive(&self, stream: StreamId) {
        let alive = |(stream, sequence)| Event::Alive(stream, sequence);
        self.tell_others(|| self.fleet.own_stream(stream).map(alive));
    }

    /// Tells other aggregators that a stream of ours is about to be closed.
    pub(super) fn say_closed(&self, stream: StreamId) {
        let closed = |(stream, sequence)| Event::Closed(stream, sequence);
        self.tell_others(|| self.fleet.own_stream(stream).map(closed));
    }

    /// Says some of the heads that are wanted, and what is wanted of others.
    pub(super) fn catch_up(&mut self) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        let mut machines = Vec::new();
        let now = Instant::now();
        if !shared.heads_wanted.is_empty() && shared.turn_at <= now {
            let count = HEADS_PER_TURN.min(shared.heads_wanted.len());
            machines.extend(shared.heads_wanted.drain(..count));
            shared.turn_at = now + TURN_PAUSE;
        }
        for (machine, wish) in self.fleet.take_wishes() {
            shared.ends.outbox.push(Event::Wish(machine, wish));
        }
        for machine in machines {
            self.say_head(&machine);
        }
    }
}
