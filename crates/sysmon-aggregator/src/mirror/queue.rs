//! What is to be told to other aggregators: a queue that drops its oldest.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sysmon_api::wire;
use sysmon_core::MachineId;
use tokio::sync::Notify;

use crate::counters::Counters;
use crate::fleet::{RemoteStream, Reported};

/// The most events that wait.
pub(super) const EVENTS_MAX: usize = 8_192;
/// About the most bytes that wait.
const BYTES_MAX: usize = 64 * 1_024 * 1_024;

/// Something to tell.
#[derive(Debug)]
pub(crate) enum Event {
    /// How a machine of ours is, as a whole.
    Head(Box<wire::MachineHead>),
    /// What a machine of ours measured.
    Batch(Box<Reported>),
    /// A machine of ours is alive, after so many batches.
    Alive(RemoteStream, u64),
    /// The stream of a machine of ours has ended, after so many batches.
    Closed(RemoteStream, u64),
    /// What is wanted of a machine of others.
    Wish(MachineId, wire::Wish),
    /// The head of a machine of others, or of all, is wanted.
    HeadWanted(Option<MachineId>),
}

impl Event {
    /// Whose events are incomplete without this one.
    fn machine(&self) -> Option<MachineId> {
        match self {
            Self::Head(head) => MachineId::parse(&head.machine_id).ok(),
            Self::Batch(reported) => Some(reported.stream.machine.clone()),
            Self::Closed(stream, _) => Some(stream.machine.clone()),
            // Said again by themselves.
            Self::Alive(..) | Self::Wish(..) | Self::HeadWanted(_) => None,
        }
    }

    /// About how many bytes it takes.
    fn bytes(&self) -> usize {
        let processes = |update: &Option<wire::ProcessUpdate>| {
            update
                .as_ref()
                .map_or(0, |update| update.changed.len() * 256 + update.removed.len() * 16)
        };
        match self {
            Self::Head(head) => 256 + head.series.len() * 96 + processes(&head.processes),
            Self::Batch(reported) => {
                let batch = &reported.batch;
                let values = batch.tick.as_ref().map_or(0, |tick| tick.values.len());
                let head = reported.head.as_ref().map_or(0, |head| head.series.len());
                256 + values * 12 + (batch.announced.len() + head) * 96 + processes(&batch.processes)
            }
            _ => 128,
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    /// Machines of dropped events: at most as many as there are machines.
    incomplete: HashSet<MachineId>,
    outboxes: usize,
}

/// The end that never waits.
#[derive(Debug)]
pub(crate) struct Outbox(Arc<Shared>);

/// The end that is read.
#[derive(Debug)]
pub(super) struct Outlet(Arc<Shared>);

/// What was waiting.
pub(super) struct Waiting {
    pub(super) events: Vec<Event>,
    /// Machines of which events were dropped.
    pub(super) incomplete: Vec<MachineId>,
}

/// An empty queue.
pub(super) fn queue(counters: Arc<Counters>) -> (Outbox, Outlet) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            outboxes: 1,
            ..State::default()
        }),
        changed: Notify::new(),
        counters,
    });
    (Outbox(Arc::clone(&shared)), Outlet(shared))
}

impl Outbox {
    /// Adds an event; when there is no room, the oldest ones go.
    pub(crate) fn push(&self, event: Event) {
        let mut state = self.0.lock();
        state.bytes += event.bytes();
        state.events.push_back(event);
        while state.events.len() > EVENTS_MAX || (state.bytes > BYTES_MAX && state.events.len() > 1) {
            let Some(oldest) = state.events.pop_front() else {
                break;
            };
            state.bytes -= oldest.bytes();
            state.incomplete.extend(oldest.machine());
            self.0.counters.unshared_events.add(1);
        }
        drop(state);
        self.0.changed.notify_one();
    }
}

impl Clone for Outbox {
    fn clone(&self) -> Self {
        self.0.lock().outboxes += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.0.lock().outboxes -= 1;
        self.0.changed.notify_one();
    }
}

impl Outlet {
    /// Waits for events and takes up to `most`; `None` when nobody is left who could add any. Cancel-safe.
    pub(super) async fn take(&self, most: usize) -> Option<Waiting> {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut state = self.0.lock();
                if !state.events.is_empty() || !state.incomplete.is_empty() {
                    return Some(state.take(most));
                }
                if state.outboxes == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Takes up to `most` without waiting.
    pub(super) fn take_now(&self, most: usize) -> Waiting {
        self.0.lock().take(most)
    }
}

impl State {
    fn take(&mut self, most: usize) -> Waiting {
        let count = most.min(self.events.len());
        let events: Vec<Event> = self.events.drain(..count).collect();
        self.bytes -= events.iter().map(Event::bytes).sum::<usize>();
        Waiting {
            events,
            incomplete: self.incomplete.drain().collect(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in between can panic and leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(machine: &str) -> RemoteStream {
        RemoteStream {
            machine: MachineId::parse(machine).unwrap(),
            generation: 1,
        }
    }

    #[tokio::test]
    async fn the_oldest_go_and_their_machines_are_remembered() {
        let counters = Arc::new(Counters::default());
        let (outbox, outlet) = queue(Arc::clone(&counters));
        outbox.push(Event::Alive(stream("quiet"), 1));
        outbox.push(Event::Closed(stream("gone"), 1));
        for number in 0..EVENTS_MAX as u64 {
            outbox.push(Event::Alive(stream("late"), number));
        }
        let waiting = outlet.take(usize::MAX).await.unwrap();
        assert_eq!(waiting.events.len(), EVENTS_MAX);
        assert!(matches!(waiting.events[0], Event::Alive(_, 0)));
        assert_eq!(waiting.incomplete, [stream("gone").machine]);
        assert_eq!(counters.read().unshared_events, 2);
        let clone = outbox.clone();
        drop(outbox);
        clone.push(Event::HeadWanted(None));
        drop(clone);
        assert_eq!(outlet.take(10).await.unwrap().events.len(), 1);
        assert!(outlet.take(10).await.is_none());
    }

    #[tokio::test]
    async fn large_events_are_bounded_by_their_bytes() {
        let (outbox, outlet) = queue(Arc::default());
        for _ in 0..200 {
            let head = wire::MachineHead {
                machine_id: "large".into(),
                series: vec![wire::SeriesDefinition::default(); 10_000],
                ..Default::default()
            };
            outbox.push(Event::Head(Box::new(head)));
        }
        let waiting = outlet.take_now(usize::MAX);
        assert!(
            (60..80).contains(&waiting.events.len()),
            "{}",
            waiting.events.len()
        );
        assert_eq!(waiting.incomplete.len(), 1);
        assert_eq!(outlet.0.lock().bytes, 0);
    }
}
