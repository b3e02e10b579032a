//! One stream from its hello to its end.

use std::collections::VecDeque;
use std::time::Duration;

use sysmon_api::{
    ApiError, CAPABILITY_HISTORY, CAPABILITY_PROCESSES, Inbound, check_peer, hello_with, host_to_wire, wire,
};
use sysmon_core::{Epoch, Liveness};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use wire::push_request::Body as Request;
use wire::push_response::Body as Response;

use super::backlog::Backlog;
use super::mirror::Told;
use super::{CONNECT_LIMIT, Ended, Interrupted, Link, too_late};
use crate::clock::unix_now;
use crate::sample::Sample;
use crate::spool::Broken;

/// How many samples wait when the aggregator is slow. With more, all of them become backlog; where nothing is kept, the
/// oldest goes and is counted.
pub(super) const WAITING_MAX: usize = 64;
/// How many answers wait while the aggregator is slow; with more, those who answer wait.
const ANSWERS_MAX: usize = 4;
/// How many messages the connection may hold on to.
const OUTGOING: usize = 4;
/// How much of that must be free for a message of backlog: what is live finds room even so.
const BACKLOG_NEEDS: usize = 3;
/// How long the end may take: what waits is still sent, and the other side sees the stream out.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_millis(Liveness::HEARTBEAT_MS);

/// A stream that may not be open yet.
pub(super) struct Session {
    sender: mpsc::Sender<wire::PushRequest>,
    told: Told,
    /// What the hello named as live.
    epoch: Epoch,
    /// Counts the batches where nothing is kept.
    sequence: u64,
    waiting: VecDeque<Waiting>,
    /// What is to be said to a question; no more than may be asked at a time.
    answers: VecDeque<wire::CollectorAnswer>,
    backlog: Backlog,
    /// When something has to be said again.
    quiet_until: Instant,
}

/// What is live and not yet sent.
enum Waiting {
    /// With its sequence, if it is kept.
    Sample(Box<Sample>, Option<u64>),
    NewEpoch(Epoch),
    /// Of a burst.
    Burst(Box<Sample>),
}

impl Session {
    /// A session whose hello waits in the returned channel.
    pub(super) fn begin(link: &Link) -> (Self, mpsc::Receiver<wire::PushRequest>) {
        let (sender, receiver) = mpsc::channel(OUTGOING);
        let interval_ms = link.wish.borrow().plan.interval_ms;
        // What is kept until this stream is open belongs to an epoch before, and follows as backlog.
        let epoch = Epoch(rand::random());
        let capabilities: &[&str] = if link.questions.are_answered() {
            &[CAPABILITY_PROCESSES]
        } else {
            &[]
        };
        let hello = wire::CollectorHello {
            peer: Some(hello_with(unix_now(), capabilities)),
            machine_id: link.identity.machine_id.to_string(),
            instance: link.identity.instance.to_vec(),
            epoch: epoch.0.to_vec(),
            host: Some(host_to_wire(link.mirror.host())),
            interval_ms,
            spool_is_new: link.keeper.is_new(),
        };
        // The channel is empty.
        let _ = sender.try_send(request(Request::Hello(hello)));
        let told = Told::new(&link.mirror, interval_ms);
        (
            Self {
                sender,
                told,
                epoch,
                sequence: 0,
                waiting: VecDeque::new(),
                answers: VecDeque::new(),
                backlog: Backlog::default(),
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
        let interrupted = match self.greet(link, &mut inbound).await {
            Ok(()) => self
                .serve(link, &mut inbound)
                .await
                .unwrap_or_else(|interrupted| interrupted),
            Err(interrupted) => interrupted,
        };
        if matches!(interrupted, Interrupted::Ended(Ended::Shutdown))
            && let Err(broken) = self.drain(link, inbound).await
        {
            return broken.into();
        }
        interrupted
    }

    /// Waits for the other side's hello; from then on the stream counts.
    async fn greet(
        &mut self,
        link: &mut Link,
        inbound: &mut Inbound<wire::PushResponse>,
    ) -> Result<(), Interrupted> {
        let response = link.meanwhile(timeout(CONNECT_LIMIT, inbound.next())).await?;
        let response = response.map_err(|_| too_late())??.ok_or_else(over)?;
        let Some(Response::Hello(peer)) = response.body else {
            return Err(ApiError::invalid("the aggregator did not begin with a hello; upgrade it").into());
        };
        check_peer(Some(&peer))?;
        // Their hello took a moment to get here: that much, a few milliseconds, we seem to be ahead.
        let skew_ms = unix_now().0.saturating_sub(peer.now_unix_ms);
        link.board.set_clock_skew(skew_ms);
        link.keeps = peer.capabilities.iter().any(|word| word == CAPABILITY_HISTORY);
        tracing::info!(history = link.keeps, "connected to the aggregator");
        if link.keeps {
            link.keeper.begin_epoch(self.epoch).await?;
            link.keeper.restart()?;
            link.keeper.is_known_new()?;
            self.backlog.appears();
        } else {
            link.keeper.forget_memory()?;
        }
        // Questions are numbered anew on every stream.
        link.questions.forget();
        link.last_error = None;
        link.wish.send_modify(|wish| wish.streams += 1);
        Ok(())
    }

    async fn serve(
        &mut self,
        link: &mut Link,
        inbound: &mut Inbound<wire::PushResponse>,
    ) -> Result<Interrupted, Interrupted> {
        let sender = self.sender.clone();
        loop {
            tokio::select! {
                // In this order: a stream that broke is told by its reason, and backlog waits for what is live.
                biased;
                () = link.shutdown.cancelled() => return Ok(Ended::Shutdown.into()),
                response = inbound.next() => self.react(link, response?.ok_or_else(over)?).await?,
                sample = link.samples.recv() => self.take(link, sample.ok_or(Ended::NoSamples)?).await?,
                permit = sender.reserve(), if !self.waiting.is_empty() || !self.answers.is_empty() => {
                    let Ok(permit) = permit else { return Err(reason(inbound).await.into()) };
                    // Somebody waits for it.
                    if let Some(answer) = self.answers.pop_front() {
                        permit.send(request(Request::Answer(answer)));
                    } else if let Some(waiting) = self.waiting.pop_front() {
                        permit.send(live(waiting, &mut self.told, &mut self.sequence, link));
                        self.quiet_until = Instant::now() + HEARTBEAT;
                    }
                }
                answer = link.questions.next(), if self.answers.len() < ANSWERS_MAX => {
                    self.answers.push_back(answer);
                }
                room = sender.reserve_many(BACKLOG_NEEDS), if self.backlog.is_talkative() => {
                    let Ok(mut room) = room else { return Err(reason(inbound).await.into()) };
                    if let (Some(message), Some(permit)) = (self.backlog.next(&mut link.keeper).await?, room.next()) {
                        // It says nothing of the present, so that a heartbeat is due as if there were none.
                        permit.send(request(message));
                    }
                }
                () = sleep_until(link.keeper.upkeep_at()) => {
                    link.keeper.upkeep().await?;
                    self.backlog.looks_again();
                }
                () = sleep_until(self.quiet_until) => {
                    let heartbeat = wire::Heartbeat { now_unix_ms: unix_now().0 };
                    // Where there is no room for it, messages are on their way that say the same.
                    let _ = sender.try_send(request(Request::Heartbeat(heartbeat)));
                    self.quiet_until = Instant::now() + HEARTBEAT;
                }
            }
        }
    }

    async fn react(&mut self, link: &mut Link, response: wire::PushResponse) -> Result<(), Broken> {
        match response.body {
            Some(Response::Directive(directive)) => link.obey(&directive),
            Some(Response::Question(question)) => link.questions.ask(question),
            Some(Response::Acknowledged(acknowledged)) => acknowledge(link, &acknowledged).await?,
            Some(Response::Grant(grant)) => self.backlog.grant(grant.batches),
            Some(Response::Resend(resend)) if link.keeps => {
                if let Ok(epoch) = Epoch::parse(&resend.epoch) {
                    if epoch == link.keeper.live()? {
                        self.begin_epoch(link).await?;
                    }
                    if link.keeper.rewind(epoch, resend.expected_sequence)? {
                        self.backlog.rewound();
                    }
                }
            }
            // A newer aggregator may say more than is understood here.
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Keeps a sample and lets it wait for its turn.
    async fn take(&mut self, link: &mut Link, sample: Sample) -> Result<(), Broken> {
        if sample.is_burst {
            // Worth something only at once.
            if self.waiting.is_empty() {
                self.waiting.push_back(Waiting::Burst(Box::new(sample)));
            }
            return Ok(());
        }
        let is_full = self.waiting.len() >= WAITING_MAX;
        if is_full && link.keeps {
            self.begin_epoch(link).await?;
        } else if is_full {
            self.waiting.pop_front();
            link.board.count_dropped_tick();
        }
        let (sample, sequence) = link.keep(sample).await?;
        self.waiting
            .push_back(Waiting::Sample(Box::new(sample), sequence));
        Ok(())
    }

    /// What was live and is not acknowledged becomes backlog; what comes from now on is live under a new epoch.
    async fn begin_epoch(&mut self, link: &mut Link) -> Result<(), Broken> {
        let epoch = Epoch(rand::random());
        link.keeper.begin_epoch(epoch).await?;
        self.waiting.clear();
        self.waiting.push_back(Waiting::NewEpoch(epoch));
        self.backlog.appears();
        Ok(())
    }

    /// Sends what waits, and lets the other side end the stream, after what it still acknowledges.
    async fn drain(
        mut self,
        link: &mut Link,
        mut inbound: Inbound<wire::PushResponse>,
    ) -> Result<(), Broken> {
        let deadline = Instant::now() + DRAIN_LIMIT;
        for waiting in std::mem::take(&mut self.waiting) {
            let message = live(waiting, &mut self.told, &mut self.sequence, link);
            match timeout_at(deadline, self.sender.send(message)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(()),
                Err(_) => break,
            }
        }
        drop(self.sender);
        loop {
            // Not the acknowledging: that must be waited for.
            match timeout_at(deadline, inbound.next()).await {
                Ok(Ok(Some(response))) => {
                    if let Some(Response::Acknowledged(acknowledged)) = response.body {
                        acknowledge(link, &acknowledged).await?;
                    }
                }
                Ok(_) => return Ok(()),
                Err(_) => break,
            }
        }
        tracing::warn!("the aggregator did not take the last ticks in time");
        Ok(())
    }
}

/// What is sent of something that waited.
fn live(waiting: Waiting, told: &mut Told, counter: &mut u64, link: &Link) -> wire::PushRequest {
    request(match waiting {
        Waiting::NewEpoch(epoch) => Request::NewEpoch(wire::NewEpoch {
            epoch: epoch.0.to_vec(),
        }),
        Waiting::Sample(sample, sequence) => {
            *counter += 1;
            let interval_ms = link.wish.borrow().plan.interval_ms;
            Request::Batch(told.batch(sequence.unwrap_or(*counter), &sample, &link.mirror, interval_ms))
        }
        Waiting::Burst(sample) => Request::Batch(told.burst(&sample)),
    })
}

async fn acknowledge(link: &mut Link, acknowledged: &wire::Acknowledged) -> Result<(), Broken> {
    match Epoch::parse(&acknowledged.epoch) {
        Ok(epoch) => {
            link.keeper
                .acknowledge(epoch, acknowledged.through_sequence)
                .await
        }
        Err(_) => Ok(()),
    }
}

fn request(body: Request) -> wire::PushRequest {
    wire::PushRequest { body: Some(body) }
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
