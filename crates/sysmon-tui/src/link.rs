//! The connection: stands, breaks, stands again, while the client goes on.

use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sysmon_api::{ApiError, Backoff, Code, Inbound, check_peer, hello, wire};
use sysmon_core::UnixMillis;
use tokio::sync::mpsc;

use crate::connect::Connect;
use crate::event::{Event, LinkEvent};

/// Commands on their way to the aggregator: subscriptions and acknowledgements. When the queue is full the connection
/// is stuck, and further commands are dropped: everything is asked for anew on the next one.
pub(crate) const COMMAND_QUEUE: usize = 64;
/// How long an aggregator may take to answer the hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// Keeps a connection up until the client ends, and reports everything as events.
pub(crate) async fn keep_connected(
    mut connect: Box<dyn Connect>,
    mut commands: mpsc::Receiver<wire::command::Body>,
    events: mpsc::Sender<Event>,
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
        if events.send(Event::Link(failed)).await.is_err() {
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
    commands: &mut mpsc::Receiver<wire::command::Body>,
    events: &mpsc::Sender<Event>,
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
        greet(&mut responses).await?;
        Ok::<_, ApiError>(responses)
    };
    let mut responses = tokio::time::timeout(HELLO_TIMEOUT, answered)
        .await
        .map_err(|_| ApiError::unavailable("the aggregator does not answer"))??;
    while commands.try_recv().is_ok() {}
    backoff.reset();
    if events.send(Event::Link(LinkEvent::Connected)).await.is_err() {
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
                let Some(body) = command else { return Ok(()) };
                request_id += 1;
                if outgoing.send(wire::Command { request_id, body: Some(body) }).await.is_err() {
                    return Ok(());
                }
            }
            () = &mut closed => return Ok(()),
        }
    }
}

async fn greet(responses: &mut Inbound<wire::Response>) -> Result<(), ApiError> {
    match responses.next().await?.and_then(|response| response.body) {
        Some(wire::response::Body::Hello(peer)) => check_peer(Some(&peer)),
        Some(wire::response::Body::Failure(failure)) => {
            Err(ApiError::new(Code::FailedPrecondition, failure.message))
        }
        _ => Err(ApiError::unavailable(
            "the aggregator ended the connection without a hello",
        )),
    }
}

/// Waits for room: the client takes events as fast as it draws, and the aggregator coalesces what it cannot send.
async fn deliver(response: wire::Response, events: &mpsc::Sender<Event>) {
    let event = match response.body {
        Some(wire::response::Body::Update(update)) => LinkEvent::Update(Box::new(update)),
        Some(wire::response::Body::Failure(failure)) => LinkEvent::Refused(failure.message),
        _ => return,
    };
    // When the client has ended, the task ends with it.
    let _ = events.send(Event::Link(event)).await;
}

pub(crate) fn now() -> UnixMillis {
    #[expect(
        clippy::disallowed_methods,
        reason = "the runtime reads the clock, so that state and drawing need not"
    )]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
