//! The way to the fleet: one subscription to all machines of an aggregator, opened anew whenever it is lost.

use std::sync::Arc;

use sysmon_api::{ApiError, Backoff, Client, Inbound, check_peer, hello, wire};
use tokio::sync::{mpsc, watch};
use wire::command::Body;
use wire::response::Body as Reply;

use crate::clock::Clock;

/// The number of our subscription,
const SUBSCRIPTION: u32 = 1;
/// and that of the one to machines whose processes are to be looked at more often. It is there for what it makes the
/// collectors do: the processes come with the first.
const CLOSE_LOOK: u32 = 2;
/// How seldom it may bring something.
const CLOSE_LOOK_MS: u32 = 60_000;
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
    /// Machines whose processes are to be read with every tick, rather than every ten seconds.
    pub(crate) closely: Vec<String>,
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
    let mut last = Wish::default();
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
                for body in changes(&last, &wanted) {
                    if commands.send(command(request_id, body)).await.is_err() {
                        return lost();
                    }
                    request_id += 1;
                }
                last = Wish::clone(&wanted);
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
                        if update.subscription == SUBSCRIPTION
                            && events.send(FleetEvent::Update(Box::new(update))).await.is_err()
                        {
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

/// What to say when a wish becomes another.
fn changes(before: &Wish, now: &Wish) -> Vec<Body> {
    let mut bodies = Vec::new();
    if (&before.metrics, before.attempt) != (&now.metrics, now.attempt) {
        bodies.push(subscribe(now));
    }
    if before.closely != now.closely {
        bodies.push(look_closely(&now.closely));
    }
    bodies
}

fn look_closely(machines: &[String]) -> Body {
    if machines.is_empty() {
        let subscription = CLOSE_LOOK;
        return Body::Unsubscribe(wire::Unsubscribe { subscription });
    }
    Body::Subscribe(wire::Subscribe {
        subscription: CLOSE_LOOK,
        machine_ids: machines.to_vec(),
        metrics: vec!["cpu.busy_percent".to_owned()],
        processes: wire::ProcessDetail::All.into(),
        period_ms: CLOSE_LOOK_MS,
        ..Default::default()
    })
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
