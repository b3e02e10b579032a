//! Light machines: for load tests. One task ticks all of them, and another per machine follows what its
//! stream says; they say the same as any other machine over a stream of their own, but keep nothing: what a stream does not
//! take at once is lost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sysmon_api::{ApiError, Backoff, Client, Inbound, check_peer, hello, host_to_wire, wire};
use sysmon_core::{Epoch, HostInfo, MachineId, UnixMillis};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use wire::push_request::Body as Request;
use wire::push_response::Body as Response;

use super::life::Source;
use crate::clock::unix_now;
use crate::sample::Plan;
use crate::simulation::meter::Meter;
use crate::simulation::pace::Grid;
use crate::uplink::{CONNECT_LIMIT, Mirror, Told, plan_of};

/// How many messages a stream may hold on to.
const OUTGOING: usize = 4;
/// How many machines are ticked before their streams get a turn.
const AT_ONCE: usize = 32;

/// One machine as the ticking task has it.
pub(super) struct Member {
    pub(super) index: u32,
    pub(super) source: Source,
    pub(super) grid: Grid,
    pub(super) line: Arc<Line>,
    mirror: Mirror,
    /// What the present stream was told, and which one that is.
    told: Option<(u64, Told)>,
    sequence: u64,
    last: UnixMillis,
}

/// What a machine's two tasks share. A lock is held for a few assignments.
#[derive(Debug)]
pub(super) struct Line {
    id: MachineId,
    instance: [u8; 16],
    host: HostInfo,
    own: Plan,
    /// Off or cut off, each in Unix milliseconds.
    absences: Vec<Range<i64>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    plan: Plan,
    /// `None` without a stream.
    sender: Option<mpsc::Sender<wire::PushRequest>>,
    /// Counts the streams.
    stream: u64,
    /// Batches are to be counted from 1 again, under a new epoch.
    is_broken: bool,
}

impl Line {
    pub(super) fn new(id: MachineId, host: HostInfo, own: Plan, absences: Vec<Range<i64>>) -> Arc<Self> {
        Arc::new(Self {
            id,
            instance: rand::random(),
            host,
            own,
            absences,
            state: Mutex::new(State {
                plan: own,
                sender: None,
                stream: 0,
                is_broken: false,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it is here again, if it is not.
    fn absent_until(&self, now: UnixMillis) -> Option<i64> {
        let absence = self.absences.iter().find(|absence| absence.contains(&now.0));
        absence.map(|absence| absence.end)
    }

    /// Keeps a stream up for ever.
    pub(super) async fn keep_up(self: Arc<Self>, client: Client) {
        let mut backoff = Backoff::default();
        loop {
            if let Some(until_ms) = self.absent_until(unix_now()) {
                sleep(Duration::from_millis(UnixMillis(until_ms).since_ms(unix_now()))).await;
            }
            let error = self.stream(&client, &mut backoff).await.err();
            self.close();
            if let Some(error) = error {
                tracing::debug!(machine = %self.id, %error, "a stream ended");
            }
            sleep(backoff.next()).await;
        }
    }

    async fn stream(&self, client: &Client, backoff: &mut Backoff) -> Result<(), ApiError> {
        let (sender, outgoing) = mpsc::channel(OUTGOING);
        let hello = wire::CollectorHello {
            peer: Some(hello(unix_now())),
            machine_id: self.id.to_string(),
            instance: self.instance.to_vec(),
            epoch: new_epoch(),
            host: Some(host_to_wire(&self.host)),
            interval_ms: self.own.interval_ms,
            spool_is_new: true,
        };
        // There is room.
        let _ = sender.try_send(request(Request::Hello(hello)));
        let beginning = async {
            let mut inbound = client.push(outgoing).await?;
            let response = inbound.next().await?;
            match response.and_then(|response| response.body) {
                Some(Response::Hello(peer)) => check_peer(Some(&peer))?,
                _ => return Err(ApiError::invalid("the aggregator did not begin with a hello")),
            }
            Ok(inbound)
        };
        let inbound = timeout(CONNECT_LIMIT, beginning)
            .await
            .map_err(|_| ApiError::unavailable("the aggregator did not answer in time"))??;
        backoff.reset();
        self.open(sender);
        self.follow(inbound).await
    }

    fn open(&self, sender: mpsc::Sender<wire::PushRequest>) {
        let mut state = self.state();
        state.sender = Some(sender);
        state.stream += 1;
        state.is_broken = false;
    }

    fn close(&self) {
        let mut state = self.state();
        state.sender = None;
        state.plan = self.own;
    }

    async fn follow(&self, mut inbound: Inbound<wire::PushResponse>) -> Result<(), ApiError> {
        while let Some(response) = inbound.next().await? {
            match response.body {
                Some(Response::Directive(directive)) => self.state().plan = plan_of(&directive, self.own),
                Some(Response::Resend(_)) => self.state().is_broken = true,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Member {
    pub(super) fn new(index: u32, source: Source, grid: Grid, line: Arc<Line>) -> Self {
        Self {
            index,
            mirror: Mirror::new(source.host().clone()),
            source,
            grid,
            line,
            told: None,
            sequence: 0,
            last: unix_now(),
        }
    }

    fn next_at(&self, now: UnixMillis) -> UnixMillis {
        let interval_ms = self.line.state().plan.interval_ms;
        self.grid.next(self.last, now, interval_ms)
    }

    /// Makes the sample of a moment and hands it to the stream; whether one took it.
    fn tick(&mut self, at: UnixMillis, meter: Option<&Meter>) -> bool {
        self.last = at;
        let is_absent = self.line.absent_until(at).is_some();
        let mut state = self.line.state();
        if is_absent {
            state.sender = None;
        }
        let (plan, stream, is_broken) = (state.plan, state.stream, std::mem::take(&mut state.is_broken));
        let sender = state.sender.clone();
        drop(state);
        if let Some(meter) = meter {
            meter.made(self.index, at);
        }
        let sample = self.source.sample(at, plan);
        self.mirror.take(&sample);
        let Some(sender) = sender else { return is_absent };
        if is_broken {
            let epoch = wire::NewEpoch { epoch: new_epoch() };
            self.sequence = 0;
            if sender.try_send(request(Request::NewEpoch(epoch))).is_err() {
                self.line.state().is_broken = true;
                return false;
            }
        }
        // Not before there is room: what is told of series and processes must not get lost on the way.
        let Ok(permit) = sender.try_reserve() else {
            return false;
        };
        let told = match &mut self.told {
            Some((known, told)) if *known == stream => told,
            told => {
                self.sequence = 0;
                &mut told
                    .insert((stream, Told::new(&self.mirror, self.line.own.interval_ms)))
                    .1
            }
        };
        self.sequence += 1;
        let batch = told.batch(self.sequence, &sample, &self.mirror, plan.interval_ms);
        permit.send(request(Request::Batch(batch)));
        true
    }
}

/// Ticks all machines until told to stop.
pub(super) async fn run(mut members: Vec<Member>, meter: Option<Meter>, shutdown: CancellationToken) {
    let mut due: BinaryHeap<Reverse<(UnixMillis, usize)>> = BinaryHeap::with_capacity(members.len());
    for (place, member) in members.iter().enumerate() {
        due.push(Reverse((member.next_at(unix_now()), place)));
    }
    let mut lost = Lost::default();
    while let Some(Reverse((at, _))) = due.peek() {
        let wait = Duration::from_millis(at.since_ms(unix_now()));
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = sleep(wait), if !wait.is_zero() => {}
            () = tokio::task::yield_now(), if wait.is_zero() => {}
        }
        let now = unix_now();
        for _ in 0..AT_ONCE {
            if due.peek().is_none_or(|Reverse((at, _))| *at > now) {
                break;
            }
            let Some(Reverse((at, place))) = due.pop() else {
                break;
            };
            let member = &mut members[place];
            if !member.tick(at, meter.as_ref()) {
                lost.count(now);
            }
            due.push(Reverse((member.next_at(now), place)));
        }
    }
}

/// Keeps the streams of all lines up until told to stop.
pub(super) async fn streams(
    lines: Vec<Arc<Line>>,
    clients: Vec<Client>,
    per_ms: usize,
    shutdown: CancellationToken,
) {
    let mut streams = JoinSet::new();
    for (index, line) in lines.into_iter().enumerate() {
        streams.spawn(line.keep_up(clients[index % clients.len()].clone()));
        if index % per_ms == 0 {
            // Those that have begun are at work meanwhile.
            sleep(Duration::from_millis(1)).await;
        }
    }
    shutdown.cancelled().await;
}

/// Samples that no stream took, told now and then.
#[derive(Debug, Default)]
struct Lost {
    count: u64,
    told: UnixMillis,
}

impl Lost {
    const EVERY_MS: u64 = 10_000;

    fn count(&mut self, now: UnixMillis) {
        self.count += 1;
        if now.since_ms(self.told) >= Self::EVERY_MS {
            tracing::info!(samples = self.count, "lost so far: no stream took them");
            self.told = now;
        }
    }
}

fn new_epoch() -> Vec<u8> {
    Epoch(rand::random()).0.to_vec()
}

fn request(body: Request) -> wire::PushRequest {
    wire::PushRequest { body: Some(body) }
}
