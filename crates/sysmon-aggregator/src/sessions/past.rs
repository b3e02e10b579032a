//! Subscriptions to the past: the same updates as live ones, out of the history.
//!
//! Each is a task of its own that ends with the client's stream. It plays what was stored to a fleet of its own, which tells
//! the client of it exactly as the live one would; so filters, columns and flow control are the same code, and the task
//! that owns the live fleet has no part in it. Queues, and what happens when they are full:
//! - a task to the session, a few updates: the task waits, and plays slower;
//! - acknowledgements to a task, the latest: it replaces the one before;
//! - questions to the store, one at a time per client, and a few of all clients: others wait;
//! - what is shown of the past to all clients together, [`SERIES_SHOWN`]: further subscriptions are refused.

mod ask;
mod health;
mod load;
mod reel;
mod show;
mod stage;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use sysmon_api::{ApiError, Code, wire};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use wire::response::Body;

use super::history::{nothing_kept, time_limit};
use crate::aggregator::Aggregator;
use crate::fleet::SUBSCRIPTIONS_MAX;
use crate::task::reply;
use ask::Asked;
use load::Source;

/// Series that all clients together may be shown of the past: each costs about 200 bytes.
pub(super) const SERIES_SHOWN: usize = 2_000_000;
/// Messages of one client's tasks that wait for its session.
const EVENTS_WAITING: usize = 2;
/// The status of a command that a newer one has taken the place of, in gRPC.
const CANCELLED: u32 = 1;

/// One client's subscriptions to the past.
#[derive(Debug)]
pub(super) struct Past {
    shows: HashMap<u32, Running>,
    tasks: JoinSet<()>,
    sender: mpsc::Sender<Event>,
    events: mpsc::Receiver<Event>,
    /// What is said before anything else.
    told: VecDeque<wire::Response>,
    /// Whose turn it is to ask the store.
    turn: Arc<Semaphore>,
    next_serial: u64,
}

#[derive(Debug)]
struct Running {
    /// Tells it from an earlier one of the same number.
    serial: u64,
    request_id: u64,
    /// Whether its client has been told that it is accepted.
    is_open: bool,
    acknowledged: watch::Sender<u64>,
    task: AbortHandle,
}

/// What a task says.
#[derive(Debug)]
struct Event {
    subscription: u32,
    serial: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    /// It has read what it shows first.
    Open,
    Update(Box<wire::Update>),
    /// It stands still from now on.
    Failed(ApiError),
    /// It is over: the present is reached, or it could not begin.
    Over(Result<(), ApiError>),
}

/// The way from a task to its client.
#[derive(Clone, Debug)]
struct Teller {
    subscription: u32,
    serial: u64,
    sender: mpsc::Sender<Event>,
}

impl Teller {
    async fn tell(&self, what: What) {
        let event = Event {
            subscription: self.subscription,
            serial: self.serial,
            what,
        };
        // The client is gone: so is this task, in a moment.
        let _ = self.sender.send(event).await;
    }
}

/// What the session is to do.
pub(super) struct Step {
    pub(super) response: wire::Response,
    /// The live subscription of this number, if there is one, is to end first.
    pub(super) replaces: Option<u32>,
}

impl Past {
    pub(super) fn new() -> Self {
        let (sender, events) = mpsc::channel(EVENTS_WAITING);
        Self {
            shows: HashMap::new(),
            tasks: JoinSet::new(),
            sender,
            events,
            told: VecDeque::new(),
            turn: Arc::new(Semaphore::new(1)),
            next_serial: 0,
        }
    }

    /// Begins to read what a client wants to see; it is told when that is done. An earlier one of the same number ends.
    ///
    /// # Errors
    /// What is wrong with it, that no history is kept, or that there are too many.
    pub(super) fn begin(
        &mut self,
        aggregator: &Aggregator,
        request_id: u64,
        subscribe: wire::Subscribe,
    ) -> Result<(), ApiError> {
        let archive = Arc::clone(aggregator.archive.as_ref().ok_or_else(nothing_kept)?);
        let asked = Asked::check(subscribe, aggregator.clock.now().unix)?;
        let subscription = asked.subscribe.subscription;
        self.end(subscription);
        if self.shows.len() >= SUBSCRIPTIONS_MAX {
            return Err(ApiError::new(
                Code::ResourceExhausted,
                "there are 8 subscriptions to the past on this stream; end one first",
            ));
        }
        while self.tasks.try_join_next().is_some() {}
        self.next_serial += 1;
        let teller = Teller {
            subscription,
            serial: self.next_serial,
            sender: self.sender.clone(),
        };
        let source = Source {
            archive,
            alerts: aggregator.alerts.clone(),
            limit: time_limit(aggregator),
            turn: Arc::clone(&self.turn),
        };
        aggregator.counters().pasts.add(1);
        let (acknowledged, acknowledgements) = watch::channel(0);
        let clock = aggregator.clock;
        let task = self.tasks.spawn(async move {
            // Apart, so that a mistake in it or in the store's back end is only a failure of what was asked.
            let mut showing = JoinSet::new();
            showing.spawn(show::run(asked, source, clock, acknowledgements, teller.clone()));
            let over = match showing.join_next().await {
                Some(Ok(over)) => over,
                _ => Err(ApiError::unavailable(
                    "showing the past failed; the log has more, please report it",
                )),
            };
            teller.tell(What::Over(over)).await;
        });
        let running = Running {
            serial: self.next_serial,
            request_id,
            is_open: false,
            acknowledged,
            task,
        };
        self.shows.insert(subscription, running);
        Ok(())
    }

    /// Ends a subscription to the past; returns whether there was an open one. A command that waits for it is told so.
    pub(super) fn end(&mut self, subscription: u32) -> bool {
        let Some(running) = self.shows.remove(&subscription) else {
            return false;
        };
        running.task.abort();
        if !running.is_open {
            self.told.push_back(wire::Response {
                request_id: running.request_id,
                body: Some(Body::Failure(wire::Failure {
                    code: CANCELLED,
                    message: "cancelled".into(),
                })),
            });
        }
        running.is_open
    }

    /// Ends what is still being read for a command.
    pub(super) fn cancel(&mut self, request_id: u64) {
        let mut reading = self.shows.iter().filter(|(_, running)| !running.is_open);
        let found = reading.find(|(_, running)| running.request_id == request_id);
        if let Some(subscription) = found.map(|(subscription, _)| *subscription) {
            self.end(subscription);
        }
    }

    /// Takes note of what a client has received; returns whether it is about the past.
    pub(super) fn received(&self, received: wire::UpdateReceived) -> bool {
        let Some(running) = self.open(received.subscription) else {
            return false;
        };
        running.acknowledged.send_replace(received.number);
        true
    }

    /// Whether a subscription is about the past, and accepted.
    pub(super) fn shows(&self, subscription: u32) -> bool {
        self.open(subscription).is_some()
    }

    fn open(&self, subscription: u32) -> Option<&Running> {
        self.shows.get(&subscription).filter(|running| running.is_open)
    }

    /// Whether commands may be read: each may leave something that is to be said first.
    pub(super) fn is_quiet(&self) -> bool {
        self.told.is_empty()
    }

    /// The next message to the client; for ever when there is nothing to say. Safe to cancel.
    pub(super) async fn next(&mut self) -> Step {
        loop {
            if let Some(response) = self.told.pop_front() {
                return Step {
                    response,
                    replaces: None,
                };
            }
            let Some(event) = self.events.recv().await else {
                // There is a sender in here.
                return std::future::pending().await;
            };
            if let Some(step) = self.take(event) {
                return step;
            }
        }
    }

    fn take(&mut self, event: Event) -> Option<Step> {
        let subscription = event.subscription;
        let running = self
            .shows
            .get_mut(&subscription)
            .filter(|running| running.serial == event.serial)?;
        let request_id = running.request_id;
        let said = |response| {
            Some(Step {
                response,
                replaces: None,
            })
        };
        match event.what {
            What::Open => {
                running.is_open = true;
                Some(Step {
                    response: reply(request_id, Ok(())),
                    replaces: Some(subscription),
                })
            }
            What::Update(update) => said(wire::Response {
                request_id: 0,
                body: Some(Body::Update(*update)),
            }),
            What::Failed(error) => said(reply(request_id, Err(error))),
            What::Over(over) => {
                self.shows.remove(&subscription);
                over.err().and_then(|error| said(reply(request_id, Err(error))))
            }
        }
    }
}
