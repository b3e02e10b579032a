//! One stream from its hello to its end.

use std::collections::VecDeque;
use std::time::Duration;

use sysmon_api::{ApiError, Inbound, check_peer, hello, host_to_wire, wire};
use sysmon_core::Liveness;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use wire::push_request::Body as Request;
use wire::push_response::Body as Response;

use super::mirror::Told;
use super::{CONNECT_LIMIT, Ended, Interrupted, Link, too_late};
use crate::clock::unix_now;
use crate::sample::Sample;

/// How many samples wait when the aggregator is slow; with more, the oldest goes and is counted.
const WAITING_MAX: usize = 64;
/// How many messages the connection may hold on to.
const OUTGOING: usize = 4;
/// How long the end may take: what waits is still sent, and the other side sees the stream out.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_millis(Liveness::HEARTBEAT_MS);

/// A stream that may not be open yet.
pub(super) struct Session {
    sender: mpsc::Sender<wire::PushRequest>,
    told: Told,
    waiting: VecDeque<Sample>,
    /// When something has to be said again.
    quiet_until: Instant,
}

impl Session {
    /// A session whose hello waits in the returned channel.
    pub(super) fn begin(link: &Link) -> (Self, mpsc::Receiver<wire::PushRequest>) {
        let (sender, receiver) = mpsc::channel(OUTGOING);
        let interval_ms = link.wish.borrow().plan.interval_ms;
        let hello = wire::CollectorHello {
            peer: Some(hello(unix_now())),
            machine_id: link.identity.machine_id.to_string(),
            instance: link.identity.instance.to_vec(),
            // What the stream before had sent and nobody received leaves no hole in a new epoch.
            epoch: rand::random::<[u8; 16]>().to_vec(),
            host: Some(host_to_wire(link.mirror.host())),
            interval_ms,
            spool_is_new: false,
        };
        // The channel is empty.
        let _ = sender.try_send(wire::PushRequest {
            body: Some(Request::Hello(hello)),
        });
        let told = Told::new(&link.mirror, interval_ms);
        (
            Self {
                sender,
                told,
                waiting: VecDeque::new(),
                quiet_until: Instant::now() + HEARTBEAT,
            },
            receiver,
        )
    }

    /// Sends samples and follows directives until the stream or the collector ends.
    pub(super) async fn run(
        mut self,
        link: &mut Link,
        mut inbound: Inbound<wire::PushResponse>,
    ) -> Interrupted {
        let interrupted = match greet(link, &mut inbound).await {
            Ok(()) => self
                .serve(link, &mut inbound)
                .await
                .unwrap_or_else(|interrupted| interrupted),
            Err(interrupted) => interrupted,
        };
        if matches!(interrupted, Interrupted::Ended(Ended::Shutdown)) {
            self.drain(link, inbound).await;
        }
        interrupted
    }

    async fn serve(
        &mut self,
        link: &mut Link,
        inbound: &mut Inbound<wire::PushResponse>,
    ) -> Result<Interrupted, Interrupted> {
        loop {
            tokio::select! {
                // In this order, so that a stream that broke is told by its reason.
                biased;
                () = link.shutdown.cancelled() => return Ok(Ended::Shutdown.into()),
                response = inbound.next() => match response?.ok_or_else(over)?.body {
                    Some(Response::Directive(directive)) => link.obey(&directive),
                    // A newer aggregator may say more than is understood here.
                    Some(_) | None => {}
                },
                sample = link.samples.recv() => {
                    let sample = sample.ok_or(Ended::NoSamples)?;
                    link.mirror.take(&sample);
                    self.waiting.push_back(sample);
                    if self.waiting.len() > WAITING_MAX {
                        self.waiting.pop_front();
                        link.board.count_dropped_tick();
                    }
                }
                permit = self.sender.reserve(), if !self.waiting.is_empty() => {
                    let Ok(permit) = permit else { return Err(reason(inbound).await.into()) };
                    if let Some(sample) = self.waiting.pop_front() {
                        let interval_ms = link.wish.borrow().plan.interval_ms;
                        let batch = self.told.batch(&sample, &link.mirror, interval_ms);
                        permit.send(wire::PushRequest { body: Some(Request::Batch(batch)) });
                        self.quiet_until = Instant::now() + HEARTBEAT;
                    }
                }
                () = sleep_until(self.quiet_until) => {
                    let heartbeat = wire::Heartbeat { now_unix_ms: unix_now().0 };
                    // Where there is no room for it, messages are on their way that say the same.
                    let _ = self.sender.try_send(wire::PushRequest { body: Some(Request::Heartbeat(heartbeat)) });
                    self.quiet_until = Instant::now() + HEARTBEAT;
                }
            }
        }
    }

    /// Sends what waits, and lets the other side end the stream.
    async fn drain(mut self, link: &Link, mut inbound: Inbound<wire::PushResponse>) {
        let interval_ms = link.wish.borrow().plan.interval_ms;
        let draining = async move {
            for sample in std::mem::take(&mut self.waiting) {
                let batch = self.told.batch(&sample, &link.mirror, interval_ms);
                if self
                    .sender
                    .send(wire::PushRequest {
                        body: Some(Request::Batch(batch)),
                    })
                    .await
                    .is_err()
                {
                    return;
                }
            }
            drop(self.sender);
            while let Ok(Some(_)) = inbound.next().await {}
        };
        if timeout(DRAIN_LIMIT, draining).await.is_err() {
            tracing::warn!("the aggregator did not take the last ticks in time");
        }
    }
}

/// Waits for the other side's hello; from then on the stream counts.
async fn greet(link: &mut Link, inbound: &mut Inbound<wire::PushResponse>) -> Result<(), Interrupted> {
    let response = link.meanwhile(timeout(CONNECT_LIMIT, inbound.next())).await?;
    let response = response.map_err(|_| too_late())??.ok_or_else(over)?;
    let Some(Response::Hello(peer)) = response.body else {
        return Err(ApiError::invalid("the aggregator did not begin with a hello; upgrade it").into());
    };
    check_peer(Some(&peer))?;
    tracing::info!("connected to the aggregator");
    link.last_error = None;
    link.wish.send_modify(|wish| wish.streams += 1);
    Ok(())
}

/// Why nothing can be sent any more.
async fn reason(inbound: &mut Inbound<wire::PushResponse>) -> ApiError {
    match timeout(DRAIN_LIMIT, inbound.next()).await {
        Ok(Err(error)) => error,
        _ => over(),
    }
}

fn over() -> ApiError {
    ApiError::unavailable("the aggregator ended the stream")
}
