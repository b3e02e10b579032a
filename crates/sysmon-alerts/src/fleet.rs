//! The way to the fleet: one subscription to all machines of an aggregator, opened anew whenever it is lost.

use std::sync::Arc;

use sysmon_api::{ApiError, Backoff, Client, Inbound, check_peer, hello, wire};
use tokio::sync::{mpsc, watch};
use wire::command::Body;
use wire::response::Body as Reply;

use crate::clock::Clock;

/// The number of our subscription.
const SUBSCRIPTION: u32 = 1;
/// How much of the past a snapshot brings: all there is.
const HISTORY_MS: u32 = 300_000;
/// Commands that wait to be sent; each waits for room.
const COMMANDS: usize = 16;

/// What comes from the fleet.
#[derive(Debug)]
pub(crate) enum FleetEvent {
    Update(Box<wire::Update>),
    /// The stream is lost; a snapshot comes when it is back.
    Lost,
}

/// What is wanted of the fleet. A new wish brings a new snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) metrics: Vec<String>,
    /// Grows when something was missed.
    pub(crate) attempt: u64,
}

/// Reads for ever; ends when nobody listens any more.
pub(crate) async fn follow(
    client: Client,
    clock: Clock,
    wish: watch::Receiver<Arc<Wish>>,
    events: mpsc::Sender<FleetEvent>,
) {
    let mut backoff = Backoff::default();
    let mut was_lost = false;
    while !events.is_closed() {
        let error = match open(&client, clock).await {
            Ok((commands, responses)) => {
                tracing::info!("connected to the aggregator");
                (was_lost, backoff) = (false, Backoff::default());
                let error = read(wish.clone(), &events, &commands, responses).await;
                if events.send(FleetEvent::Lost).await.is_err() {
                    return;
                }
                error
            }
            Err(error) => error,
        };
        if !was_lost {
            tracing::warn!(%error, "nothing is judged until the aggregator is back");
        }
        was_lost = true;
        tokio::time::sleep(backoff.next()).await;
    }
}

async fn open(
    client: &Client,
    clock: Clock,
) -> Result<(mpsc::Sender<wire::Command>, Inbound<wire::Response>), ApiError> {
    let (commands, outgoing) = mpsc::channel(COMMANDS);
    // There is room: nothing is in it.
    let _ = commands.try_send(command(1, Body::Hello(hello(clock.now()))));
    let mut responses = client.manage(outgoing).await?;
    let first = responses.next().await?.and_then(|response| response.body);
    match first {
        Some(Reply::Hello(peer)) => check_peer(Some(&peer))?,
        _ => check_peer(None)?,
    }
    Ok((commands, responses))
}

/// Why the stream ended.
async fn read(
    mut wish: watch::Receiver<Arc<Wish>>,
    events: &mpsc::Sender<FleetEvent>,
    commands: &mpsc::Sender<wire::Command>,
    mut responses: Inbound<wire::Response>,
) -> ApiError {
    let lost = || ApiError::unavailable("the aggregator has ended the stream");
    let mut request_id = 2;
    wish.mark_changed();
    loop {
        tokio::select! {
            changed = wish.changed() => {
                if changed.is_err() {
                    return lost();
                }
                let wanted = Arc::clone(&wish.borrow_and_update());
                if wanted.metrics.is_empty() {
                    continue;
                }
                if commands.send(command(request_id, subscribe(&wanted))).await.is_err() {
                    return lost();
                }
                request_id += 1;
            }
            response = responses.next() => {
                let response = match response {
                    Ok(Some(response)) => response,
                    Ok(None) => return lost(),
                    Err(error) => return error,
                };
                match response.body {
                    Some(Reply::Update(update)) => {
                        let received = wire::UpdateReceived {
                            subscription: update.subscription,
                            number: update.number,
                        };
                        if events.send(FleetEvent::Update(Box::new(update))).await.is_err() {
                            return lost();
                        }
                        // After it was taken: whoever is slow is sent less often.
                        if commands.send(command(0, Body::UpdateReceived(received))).await.is_err() {
                            return lost();
                        }
                    }
                    Some(Reply::Failure(failure)) => {
                        return ApiError::unavailable(format!("the aggregator refuses: {}", failure.message));
                    }
                    _ => {}
                }
            }
        }
    }
}

fn command(request_id: u64, body: Body) -> wire::Command {
    wire::Command {
        request_id,
        body: Some(body),
    }
}

fn subscribe(wish: &Wish) -> Body {
    Body::Subscribe(wire::Subscribe {
        subscription: SUBSCRIPTION,
        metrics: wish.metrics.clone(),
        processes: wire::ProcessDetail::Top.into(),
        history_ms: HISTORY_MS,
        ..Default::default()
    })
}
