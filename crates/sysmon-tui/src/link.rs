//! The connection: stands, breaks, stands again, while the client goes on.

use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sysmon_api::{ApiError, Backoff, Code, Inbound, check_peer, hello, wire};
use sysmon_core::UnixMillis;
use tokio::sync::mpsc;

use crate::connect::Connect;
use crate::event::{Event, LinkEvent};
use crate::state::past::FIRST_QUESTION;
use crate::tabs::TabId;

/// Commands on their way to the aggregator: subscriptions and acknowledgements. When the queue is full the connection
/// is stuck, and further commands are dropped: everything is asked for anew on the next one.
pub(crate) const COMMAND_QUEUE: usize = 64;
/// How long an aggregator may take to answer the hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the news of one connection go: into the one queue of all connections, with the tab that they are for.
pub(crate) struct Inbox {
    tab: TabId,
    events: mpsc::Sender<(TabId, Event)>,
}

impl Inbox {
    pub(crate) fn new(tab: TabId, events: mpsc::Sender<(TabId, Event)>) -> Self {
        Self { tab, events }
    }

    /// Waits for room. Says whether there is still somebody who takes it.
    async fn put(&self, event: LinkEvent) -> bool {
        self.events.send((self.tab, Event::Link(event))).await.is_ok()
    }
}

/// Keeps a connection up until the client ends, and reports everything as events. Commands without a number are given
/// one; those that have one keep it, so that whoever sent them knows the answer.
pub(crate) async fn keep_connected(
    mut connect: Box<dyn Connect>,
    mut commands: mpsc::Receiver<wire::Command>,
    events: Inbox,
) {
    let mut backoff = Backoff::default();
    loop {
        let reason = match session(&mut *connect, &mut commands, &events, &mut backoff).await {
            Ok(()) => ApiError::unavailable("the aggregator closed the connection"),
            Err(error) => error,
        };
        tracing::info!(%reason, "no connection");
        let permanent = matches!(
            reason.code,
            Code::Unauthenticated | Code::PermissionDenied | Code::FailedPrecondition
        );
        let failed = LinkEvent::Failed {
            reason: reason.message,
            permanent,
        };
        if !events.put(failed).await {
            return;
        }
        tokio::time::sleep(backoff.next()).await;
        // What was asked for while there was no connection is asked for again when there is one.
        while commands.try_recv().is_ok() {}
    }
}

/// One connection from beginning to end.
async fn session(
    connect: &mut dyn Connect,
    commands: &mut mpsc::Receiver<wire::Command>,
    events: &Inbox,
    backoff: &mut Backoff,
) -> Result<(), ApiError> {
    let client = connect.connect().await?;
    let (outgoing, receiver) = mpsc::channel(COMMAND_QUEUE);
    let mut request_id = 1;
    let first = wire::command::Body::Hello(hello(now()));
    // There is room: the channel is new.
    let _ = outgoing.try_send(wire::Command {
        request_id,
        body: Some(first),
    });
    let answered = async {
        let mut responses = client.manage(receiver).await?;
        let capabilities = greet(&mut responses).await?;
        Ok::<_, ApiError>((responses, capabilities))
    };
    let (mut responses, capabilities) = tokio::time::timeout(HELLO_TIMEOUT, answered)
        .await
        .map_err(|_| ApiError::unavailable("the aggregator does not answer"))??;
    while commands.try_recv().is_ok() {}
    backoff.reset();
    let connected = LinkEvent::Connected { capabilities };
    if !events.put(connected).await {
        return Ok(());
    }
    loop {
        let mut closed = pin!(outgoing.closed());
        tokio::select! {
            response = responses.next() => match response? {
                Some(response) => deliver(response, events).await,
                None => return Ok(()),
            },
            command = commands.recv() => {
                let Some(mut command) = command else { return Ok(()) };
                if command.request_id == 0 {
                    request_id += 1;
                    command.request_id = request_id;
                }
                if outgoing.send(command).await.is_err() {
                    return Ok(());
                }
            }
            () = &mut closed => return Ok(()),
        }
    }
}

/// Waits for the server's hello; returns what it understands beyond the base protocol.
async fn greet(responses: &mut Inbound<wire::Response>) -> Result<Vec<String>, ApiError> {
    match responses.next().await?.and_then(|response| response.body) {
        Some(wire::response::Body::Hello(peer)) => {
            check_peer(Some(&peer))?;
            Ok(peer.capabilities)
        }
        Some(wire::response::Body::Failure(failure)) => {
            Err(ApiError::new(Code::FailedPrecondition, failure.message))
        }
        _ => Err(ApiError::unavailable(
            "the aggregator ended the connection without a hello",
        )),
    }
}

/// Waits for room: the client takes events as fast as it draws, and the aggregator coalesces what it cannot send.
async fn deliver(response: wire::Response, events: &Inbox) {
    if let Some(event) = event_of(response) {
        // When the client has ended, the task ends with it.
        events.put(event).await;
    }
}

/// What a response means to the client; `None` for what nobody waits for, and for what this release does not know.
pub(crate) fn event_of(response: wire::Response) -> Option<LinkEvent> {
    use wire::response::Body;
    let request_id = response.request_id;
    Some(match response.body? {
        Body::Update(update) => LinkEvent::Update(Box::new(update)),
        Body::Failure(failure) => LinkEvent::Refused {
            request_id,
            code: failure.code,
            reason: failure.message,
        },
        Body::History(chunk) => LinkEvent::History {
            request_id,
            chunk: Box::new(chunk),
        },
        Body::Storage(status) => LinkEvent::Storage(Box::new(status)),
        Body::Alerts(board) => LinkEvent::Alerts(Box::new(board)),
        // Nobody waits for word that a subscription was taken: its snapshot follows.
        Body::Accepted(_) if request_id >= FIRST_QUESTION => LinkEvent::Accepted { request_id },
        Body::Change(reply) => LinkEvent::Change {
            request_id,
            reply: Box::new(reply),
        },
        Body::DryRun(reply) => LinkEvent::DryRun {
            request_id,
            reply: Box::new(reply),
        },
        Body::AlertLog(log) => LinkEvent::AlertLog {
            request_id,
            log: Box::new(log),
        },
        Body::ProcessDetails(details) => LinkEvent::ProcessDetails {
            request_id,
            details: Box::new(details),
        },
        Body::Silence(silence) => LinkEvent::Silence {
            request_id,
            silence: Box::new(silence),
        },
        _ => return None,
    })
}

pub(crate) fn now() -> UnixMillis {
    #[expect(
        clippy::disallowed_methods,
        reason = "the runtime reads the clock, so that state and drawing need not"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::alerts::FIRST_ACTION;

    #[tokio::test]
    async fn word_that_something_was_done_reaches_whoever_asked_and_nobody_else() {
        let (sender, mut received) = mpsc::channel(4);
        let tab = crate::tabs::Tabs::new(crate::state::State::new("prod", None)).shown();
        let events = Inbox::new(tab, sender);
        for request_id in [2, FIRST_ACTION + 3] {
            let body = Some(wire::response::Body::Accepted(wire::Accepted {}));
            deliver(wire::Response { request_id, body }, &events).await;
        }
        let body = Some(wire::response::Body::Alerts(wire::AlertBoard::default()));
        deliver(wire::Response { request_id: 0, body }, &events).await;
        drop(events);
        let accepted = LinkEvent::Accepted {
            request_id: FIRST_ACTION + 3,
        };
        assert_eq!(received.recv().await, Some((tab, Event::Link(accepted))));
        let board = LinkEvent::Alerts(Box::default());
        assert_eq!(received.recv().await, Some((tab, Event::Link(board))));
        assert_eq!(received.recv().await, None);
    }
}
