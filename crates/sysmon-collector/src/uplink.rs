//! The way to the aggregator: one stream after the other, each brought up to date by itself.
//!
//! Every sample is in the spool before it is sent, and stays there until the aggregator says that it is in history.
//! What a stream could not deliver is backlog for the next one, which sends it beside what is live. An aggregator that
//! keeps no history gets what is live and nothing is kept for it.

mod backlog;
mod mirror;
mod session;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::{ApiError, Backoff, Client, Code, Inbound, wire};
use sysmon_core::{HostInfo, MachineId};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::mirror::{Mirror, Told};
use self::session::Session;
use crate::config::{INTERVAL_MS_MAX, INTERVAL_MS_MIN, ProcessDetail};
use crate::questions::Questions;
use crate::sample::{Plan, Sample};
use crate::slow::Board;
use crate::spool::{Broken, Keeper};
use crate::ticker::Wish;

/// How long a stream may take to come into being.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The longest wait between attempts that will only succeed after somebody has changed something.
const REFUSED_CAP: Duration = Duration::from_secs(30);

/// Opens a stream to an aggregator.
pub(crate) trait Connect: Send + Sync {
    /// Sends what comes out of `outgoing`.
    fn push(
        &self,
        outgoing: mpsc::Receiver<wire::PushRequest>,
    ) -> impl Future<Output = Result<Inbound<wire::PushResponse>, ApiError>> + Send;
}

impl Connect for Client {
    async fn push(
        &self,
        outgoing: mpsc::Receiver<wire::PushRequest>,
    ) -> Result<Inbound<wire::PushResponse>, ApiError> {
        Self::push(self, outgoing).await
    }
}

/// Who reports.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) machine_id: MachineId,
    /// Tells this running process from another one that claims the same id.
    pub(crate) instance: [u8; 16],
    /// What applies as long as the aggregator does not want anything else.
    pub(crate) plan: Plan,
    /// The shortest time between the ticks of a burst; 0 for no bursts.
    pub(crate) burst_interval_ms_min: u32,
}

/// Sends samples for as long as the collector runs.
pub(crate) struct Uplink<C> {
    connect: C,
    link: Link,
}

/// What outlives a stream.
struct Link {
    identity: Identity,
    samples: mpsc::Receiver<Sample>,
    wish: watch::Sender<Wish>,
    board: Arc<Board>,
    shutdown: CancellationToken,
    mirror: Mirror,
    keeper: Keeper,
    questions: Questions,
    /// Whether samples are kept: as long as no aggregator has said that it keeps no history.
    keeps: bool,
    last_error: Option<String>,
}

/// Why nothing is sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Whoever runs the collector wants it to end.
    Shutdown,
    /// There are no samples any more.
    NoSamples,
    /// The spool broke off.
    NoSpool,
}

impl From<Broken> for Ended {
    fn from(_: Broken) -> Self {
        Self::NoSpool
    }
}

/// Why a stream ended.
#[derive(Debug)]
enum Interrupted {
    Ended(Ended),
    Lost(ApiError),
}

impl From<Ended> for Interrupted {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl From<Broken> for Interrupted {
    fn from(broken: Broken) -> Self {
        Self::Ended(broken.into())
    }
}

impl From<ApiError> for Interrupted {
    fn from(error: ApiError) -> Self {
        Self::Lost(error)
    }
}

impl<C: Connect> Uplink<C> {
    /// `samples` come from the ticker, which follows `wish`; `keeper` has the spool of this machine. What is lost is
    /// counted on the board, which is the keeper's too.
    pub(crate) fn new(
        connect: C,
        identity: Identity,
        host: HostInfo,
        (samples, wish): (mpsc::Receiver<Sample>, watch::Sender<Wish>),
        keeper: Keeper,
        board: Arc<Board>,
        shutdown: CancellationToken,
    ) -> Self {
        let mirror = Mirror::new(host);
        Self {
            connect,
            link: Link {
                identity,
                samples,
                wish,
                board,
                shutdown,
                mirror,
                keeper,
                questions: Questions::none(),
                keeps: true,
                last_error: None,
            },
        }
    }

    /// The same, with questions about this machine answered: one that is made up has no processes to look at.
    pub(crate) fn answering(mut self, questions: Questions) -> Self {
        self.link.questions = questions;
        self
    }

    /// Keeps a stream up until the collector ends. What is not acknowledged then waits in the spool for the next
    /// process.
    pub(crate) async fn run(mut self) -> Ended {
        let ended = self.keep_up().await;
        self.link.keeper.close().await;
        ended
    }

    async fn keep_up(&mut self) -> Ended {
        let mut backoff = Backoff::default();
        let mut refused = Backoff::new(Duration::from_secs(1), REFUSED_CAP);
        loop {
            let streams = self.link.wish.borrow().streams;
            let error = match self.stream().await {
                Interrupted::Ended(ended) => return ended,
                Interrupted::Lost(error) => error,
            };
            // Nobody has a say any more: the own settings apply.
            self.link.want(self.link.identity.plan);
            if self.link.wish.borrow().streams != streams {
                backoff.reset();
                refused.reset();
            }
            self.link.complain(&error);
            let pause = if needs_help(error.code) {
                refused.next()
            } else {
                backoff.next()
            };
            if let Err(ended) = self.link.meanwhile(tokio::time::sleep(pause)).await {
                return ended;
            }
        }
    }

    /// Opens one stream and keeps it up.
    async fn stream(&mut self) -> Interrupted {
        let (session, outgoing) = Session::begin(&self.link);
        let opening = timeout(CONNECT_LIMIT, self.connect.push(outgoing));
        match self.link.meanwhile(opening).await {
            Err(ended) => ended.into(),
            Ok(Err(_)) => too_late().into(),
            Ok(Ok(Err(error))) => error.into(),
            Ok(Ok(Ok(inbound))) => session.run(&mut self.link, inbound).await,
        }
    }
}

impl Link {
    /// Waits for something while nothing can be sent: samples are kept for later, or go by if nobody wants them then.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Result<T, Ended> {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                value = &mut future => return Ok(value),
                () = self.shutdown.cancelled() => return Err(Ended::Shutdown),
                sample = self.samples.recv() => {
                    let sample = sample.ok_or(Ended::NoSamples)?;
                    if !sample.is_burst && self.keep(sample).await?.1.is_none() {
                        self.board.count_dropped_tick();
                    }
                }
                () = sleep_until(self.keeper.upkeep_at()) => self.keeper.upkeep().await?,
            }
        }
    }

    /// Takes note of a sample and gives it back, with its sequence when it was kept.
    ///
    /// Not for what is of a burst: that is neither kept nor part of the report.
    async fn keep(&mut self, sample: Sample) -> Result<(Sample, Option<u64>), Broken> {
        self.mirror.take(&sample);
        if self.keeps {
            let (sample, sequence) = self.keeper.append(sample).await?;
            Ok((sample, Some(sequence)))
        } else {
            self.keeper.learn(&sample)?;
            Ok((sample, None))
        }
    }

    fn want(&self, plan: Plan) {
        self.wish
            .send_if_modified(|wish| std::mem::replace(&mut wish.plan, plan) != plan);
    }

    /// Takes what the aggregator wants.
    fn obey(&self, directive: &wire::Directive) {
        self.want(Plan {
            burst_interval_ms: match directive.burst_interval_ms {
                wanted if wanted == 0 || self.identity.burst_interval_ms_min == 0 => 0,
                wanted => wanted.max(self.identity.burst_interval_ms_min),
            },
            ..plan_of(directive, self.identity.plan)
        });
    }

    /// A failure that lasts is told once.
    fn complain(&mut self, error: &ApiError) {
        let text = error.to_string();
        if self.last_error.as_ref() == Some(&text) {
            tracing::debug!(error = %text, "still not connected to the aggregator");
        } else {
            tracing::warn!(error = %text, code = ?error.code, "not connected to the aggregator; trying again");
            self.last_error = Some(text);
        }
    }
}

/// What the aggregator wants; what it does not say is as configured.
pub(crate) fn plan_of(directive: &wire::Directive, own: Plan) -> Plan {
    let interval_ms = match directive.interval_ms {
        0 => own.interval_ms,
        wanted => wanted.clamp(INTERVAL_MS_MIN, INTERVAL_MS_MAX),
    };
    let processes = match directive.processes() {
        wire::ProcessDetail::Unspecified => own.processes,
        wire::ProcessDetail::None => ProcessDetail::None,
        wire::ProcessDetail::Top => ProcessDetail::Top,
        wire::ProcessDetail::All => ProcessDetail::All,
    };
    Plan {
        interval_ms,
        burst_interval_ms: 0,
        processes,
    }
}

/// Whether trying again soon is of no use.
fn needs_help(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::Unimplemented
    )
}

fn too_late() -> ApiError {
    ApiError::new(
        Code::DeadlineExceeded,
        "the aggregator did not answer in time; check that it is well",
    )
}

#[cfg(test)]
mod tests;
