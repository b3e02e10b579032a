//! The one task that owns the fleet.

mod rhythm;
mod sharing;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::{ApiError, Outgoing, wire};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::fleet::{ClientId, Fleet, Listed, Moment, StreamId};
use crate::message::{Asked, Command, Message, StreamTicket};
use crate::mirror::{Event, Sharing};
use crate::sessions::{QUESTIONS_WAITING_MAX, too_many_questions};
use rhythm::Rhythm;
use sharing::Shared;

/// At most this many messages are taken before subscribers get what has changed.
const BURST: usize = 256;
/// Sessions that ended without saying so are looked for this often.
const REAP_MS: u64 = 1_000;
/// The processes of all machines are offered to history this often.
const LIST_MS: u64 = 10_000;
/// The figures are logged this often.
const LOG_MS: u64 = 60_000;

/// The fleet and the ways to everyone who is connected to it.
pub(crate) struct Owner {
    pub(crate) fleet: Fleet,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Clock,
    pub(crate) inbox: mpsc::Receiver<Message>,
    pub(crate) shutdown: CancellationToken,
    /// Dropping one ends the collector's stream.
    streams: HashMap<StreamId, watch::Sender<wire::Directive>>,
    /// The ways to those of them that answer questions.
    questions: HashMap<StreamId, mpsc::Sender<Asked>>,
    /// Dropping one ends the client's stream.
    clients: HashMap<ClientId, mpsc::Sender<Outgoing>>,
    /// None when this is the only aggregator.
    shared: Option<Shared>,
    /// None where no history is kept.
    snapshots: Option<mpsc::Sender<Vec<Listed>>>,
    listed_ms: u64,
    reaped_ms: u64,
    logged_ms: u64,
}

impl Owner {
    pub(crate) fn new(
        mut fleet: Fleet,
        counters: Arc<Counters>,
        clock: Clock,
        inbox: mpsc::Receiver<Message>,
        sharing: Option<Sharing>,
        snapshots: Option<mpsc::Sender<Vec<Listed>>>,
        shutdown: CancellationToken,
    ) -> Self {
        if let Some(sharing) = &sharing {
            fleet.share(sharing.salt);
        }
        Self {
            fleet,
            counters,
            clock,
            inbox,
            shutdown,
            streams: HashMap::new(),
            questions: HashMap::new(),
            clients: HashMap::new(),
            shared: sharing.map(Shared::new),
            snapshots,
            listed_ms: 0,
            reaped_ms: 0,
            logged_ms: 0,
        }
    }

    /// Works until it is told to stop, or until nobody is left who could say anything. All streams end with it.
    pub(crate) async fn run(mut self) {
        let mut messages = Vec::with_capacity(BURST);
        let mut remote = Vec::new();
        let mut rhythm = Rhythm::default();
        self.warm_up().await;
        loop {
            if rhythm.lets_gather() {
                tokio::select! {
                    () = self.shutdown.cancelled() => break,
                    () = sleep(rhythm::PAUSE) => {}
                }
            }
            let due = self.next_due();
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                // Everything that is ready is taken at once, so that a burst of ticks becomes few updates.
                count = self.inbox.recv_many(&mut messages, BURST) => if count == 0 { break },
                () = Shared::receive(&mut self.shared, &mut remote) => {}
                () = sleep_until(due) => {}
            }
            let now = self.clock.now();
            rhythm.took(messages.len(), now.monotonic_ms);
            for message in messages.drain(..) {
                self.handle(message, now);
            }
            Shared::drain(&mut self.shared, &mut remote);
            for message in remote.drain(..) {
                self.remote(message, now);
            }
            self.fleet.sweep(now);
            self.deliver(now);
            self.reap(now);
            self.list(now);
            // Last, because whoever was let go above may have been the one who looked closely.
            self.direct();
            self.catch_up();
        }
        tracing::debug!(figures = ?self.counters.read(), "the aggregator stops");
    }

    fn next_due(&self) -> Instant {
        let turn_at = self.shared.as_ref().and_then(Shared::turn_at);
        let due = self
            .fleet
            .next_due_ms()
            .map(|due_ms| self.clock.instant_of(due_ms));
        // When nothing changes by itself, a wake-up now and then does no harm.
        let idle = || Instant::now() + Duration::from_millis(LOG_MS);
        due.into_iter().chain(turn_at).min().unwrap_or_else(idle)
    }

    fn handle(&mut self, message: Message, now: Moment) {
        match message {
            Message::Batch { stream, batch } => {
                let reported = self.fleet.batch(stream, *batch, now);
                self.tell_others(|| reported.map(|reported| Event::Batch(Box::new(reported))));
            }
            Message::Heartbeat { stream } => {
                self.fleet.heartbeat(stream, now);
                self.say_alive(stream);
            }
            Message::NewEpoch { stream, epoch } => self.fleet.new_epoch(stream, epoch, now),
            Message::Received { client, received } => self.fleet.received(client, received),
            Message::Command {
                client,
                request_id,
                command,
            } => self.command(client, request_id, &command),
            Message::OpenStream { hello, reply } => {
                self.reap_stream_of(&hello.machine);
                let answers_questions = hello.answers_questions;
                let ticket = self.fleet.open_stream(*hello, now).map(|opened| {
                    // The session of the stream that is replaced sees its channel closed.
                    if let Some(replaced) = opened.replaced {
                        self.streams.remove(&replaced);
                        self.questions.remove(&replaced);
                    }
                    let (sender, directives) = watch::channel(opened.directive);
                    self.streams.insert(opened.stream, sender);
                    let (sender, questions) = mpsc::channel(QUESTIONS_WAITING_MAX);
                    if answers_questions {
                        self.questions.insert(opened.stream, sender);
                    }
                    StreamTicket {
                        stream: opened.stream,
                        directives,
                        questions,
                    }
                });
                if let Ok(ticket) = &ticket {
                    self.say_opened(ticket);
                }
                // Whoever asked may be gone by now; the closed channel is found when sessions are reaped.
                let _ = reply.send(ticket);
            }
            Message::CloseStream { stream } => self.close_stream(stream),
            Message::Recall { records } => {
                for record in records {
                    if let Some(last_seen) = record.last_sample {
                        self.fleet.recall(&record.machine, record.host, last_seen, now);
                    }
                }
            }
            Message::Judged { judgements } => self.fleet.judge_by_alerts(judgements, now),
            Message::OpenClient { responses, reply } => {
                let client = self.fleet.open_client();
                if let Ok(client) = client {
                    self.clients.insert(client, responses);
                }
                let _ = reply.send(client);
            }
            Message::CloseClient { client } => self.close_client(client),
            Message::Ask { machine_id, asked } => self.ask(&machine_id, asked),
            Message::State { machine_id, reply } => {
                let _ = reply.send(self.fleet.state(&machine_id));
            }
        }
    }

    /// Passes a question on to the session of a machine's collector. Whoever asked may be gone by now.
    fn ask(&self, machine_id: &str, asked: Asked) {
        let sender = match self.fleet.asked_stream(machine_id) {
            Ok(stream) => self.questions.get(&stream).ok_or_else(|| {
                let text = format!("the collector of {machine_id} is too old to answer; upgrade it");
                ApiError::new(sysmon_api::Code::Unimplemented, text)
            }),
            Err(error) => Err(error),
        };
        let refused = match sender {
            Err(error) => Some((asked, error)),
            Ok(sender) => match sender.try_send(asked) {
                Ok(()) => None,
                Err(mpsc::error::TrySendError::Full(asked)) => Some((asked, too_many_questions())),
                Err(mpsc::error::TrySendError::Closed(asked)) => {
                    let gone = ApiError::unavailable("the machine's connection has just ended; try again");
                    Some((asked, gone))
                }
            },
        };
        if let Some((asked, error)) = refused {
            let _ = asked.reply.send(Err(error));
        }
    }

    fn command(&mut self, client: ClientId, request_id: u64, command: &Command) {
        let result = match command {
            Command::Subscribe(subscribe) => self.fleet.subscribe(client, subscribe),
            Command::Unsubscribe(unsubscribe) => self.fleet.unsubscribe(client, unsubscribe.subscription),
            Command::SetInterval(set) => {
                let now = self.clock.now();
                self.fleet.set_interval(&set.machine_id, set.interval_ms, now)
            }
            Command::LeaseBurst(lease) => self.fleet.lease_burst(client, lease, self.clock.now()),
        };
        let response = reply(request_id, result);
        if !send(&self.clients, &self.counters, client, response.into()) {
            self.close_client(client);
        }
    }

    /// Passes directives that have changed on to their sessions.
    fn direct(&mut self) {
        for (stream, directive) in self.fleet.take_directives() {
            if let Some(sender) = self.streams.get(&stream) {
                sender.send_if_modified(|last| {
                    let changed = *last != directive;
                    *last = directive;
                    changed
                });
            }
        }
    }

    /// Sends subscribers what has changed.
    fn deliver(&mut self, now: Moment) {
        let (clients, counters) = (&self.clients, &self.counters);
        let gone = self.fleet.flush(now, |client, update| {
            send(clients, counters, client, update.into())
        });
        for client in gone {
            self.close_client(client);
        }
    }

    /// Lets go of sessions that ended without saying so, which they cannot when the queue is full as they end.
    fn reap(&mut self, now: Moment) {
        if now.monotonic_ms < self.reaped_ms + REAP_MS {
            return;
        }
        self.reaped_ms = now.monotonic_ms;
        let closed = self.streams.iter().filter(|(_, sender)| sender.is_closed());
        for stream in closed.map(|(stream, _)| *stream).collect::<Vec<_>>() {
            self.close_stream(stream);
        }
        let closed = self.clients.iter().filter(|(_, sender)| sender.is_closed());
        for client in closed.map(|(client, _)| *client).collect::<Vec<_>>() {
            self.close_client(client);
        }
        if now.monotonic_ms >= self.logged_ms + LOG_MS {
            self.logged_ms = now.monotonic_ms;
            tracing::debug!(machines = self.fleet.machine_count(), figures = ?self.counters.read(), "figures");
        }
    }

    /// Offers the processes of all machines to history. While the last offer is being stored this one is passed over: the next
    /// one is as good.
    fn list(&mut self, now: Moment) {
        let Some(snapshots) = &self.snapshots else {
            return;
        };
        if now.monotonic_ms < self.listed_ms + LIST_MS {
            return;
        }
        self.listed_ms = now.monotonic_ms;
        match snapshots.try_reserve() {
            Ok(place) => {
                let listed = self.fleet.listed();
                if !listed.is_empty() {
                    place.send(listed);
                }
            }
            Err(mpsc::error::TrySendError::Full(())) => self.counters.passed_offers.add(1),
            // Everything ends.
            Err(mpsc::error::TrySendError::Closed(())) => {}
        }
    }

    /// Lets go of a machine's stream when its session has ended already, so that a newcomer is not refused for it.
    fn reap_stream_of(&mut self, machine: &sysmon_core::MachineId) {
        if let Some(stream) = self.fleet.stream_of(machine)
            && self.streams.get(&stream).is_none_or(watch::Sender::is_closed)
        {
            self.close_stream(stream);
        }
    }

    fn close_stream(&mut self, stream: StreamId) {
        self.say_closed(stream);
        self.streams.remove(&stream);
        self.questions.remove(&stream);
        self.fleet.close_stream(stream);
    }

    fn close_client(&mut self, client: ClientId) {
        self.clients.remove(&client);
        self.fleet.close_client(client);
    }
}

/// Hands a response to a client's session without waiting; `false` when the client is to be let go.
fn send(
    clients: &HashMap<ClientId, mpsc::Sender<Outgoing>>,
    counters: &Counters,
    client: ClientId,
    response: Outgoing,
) -> bool {
    let Some(sender) = clients.get(&client) else {
        return false;
    };
    match sender.try_send(response) {
        Ok(()) => true,
        Err(mpsc::error::TrySendError::Closed(_)) => false,
        Err(mpsc::error::TrySendError::Full(_)) => {
            counters.overflows.add(1);
            tracing::warn!("a client's queue is full; its stream is closed");
            false
        }
    }
}

/// The answer to a command.
pub(crate) fn reply(request_id: u64, result: Result<(), ApiError>) -> wire::Response {
    let body = match result {
        Ok(()) => wire::response::Body::Accepted(wire::Accepted {}),
        Err(error) => wire::response::Body::Failure(wire::Failure {
            code: error.code as u32,
            message: error.message,
        }),
    };
    wire::Response {
        request_id,
        body: Some(body),
    }
}
