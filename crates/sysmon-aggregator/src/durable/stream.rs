//! What one collector's session does for history.

use std::sync::Arc;
use std::time::Duration;

use sysmon_api::{ApiError, Code, wire};
use sysmon_core::{Epoch, HostInfo, MachineId, UnixMillis};
use sysmon_store::{Content, IngestBatch};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use wire::push_response::Body as Response;

use super::board::{Board, SetBack};
use super::check;
use super::dictionary::Dictionary;
use super::queue::{Entry, Gate, Ticket};
use super::{Durable, Shared};
use crate::fleet::{Batch, Hello};

/// Streams that are to send again are told one after the other, this far apart.
const SPREAD: Duration = Duration::from_millis(2);
/// Who has sent no backlog for so long does not need what it was granted.
const IDLE: Duration = Duration::from_secs(10);

/// A collector's stream on its way into history: turns what comes into batches, offers them to the writer without ever
/// waiting, and says what the writer has to say.
///
/// A batch that the writer does not take breaks its epoch: nothing after it is offered, and when the store is well again
/// the collector is told once from where on to send it again.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    durable: &'a Durable,
    board: Arc<Board>,
    gate: watch::Receiver<Gate>,
    facts: Facts,
    live: Live,
    backlog: Backlog,
    resend: Resend,
}

/// What every batch of the stream has in common.
#[derive(Debug)]
struct Facts {
    machine: MachineId,
    clock_offset_ms: i64,
    host: Arc<HostInfo>,
    /// Whether the next batch takes the host along.
    is_host_news: bool,
    /// The epoch whose first batch says that the spool was lost.
    spool_lost_before: Option<Epoch>,
}

#[derive(Debug)]
struct Live {
    epoch: Epoch,
    dictionary: Dictionary,
    broken: Option<Broken>,
}

#[derive(Debug, Default)]
struct Backlog {
    epoch: Option<Epoch>,
    dictionary: Dictionary,
    broken: Option<(Epoch, Broken)>,
    /// How often the collector was told to go back.
    round: u32,
    /// What it may send.
    unused: u32,
    /// What it may send as well, but probably will not.
    lapsed: u32,
    /// When it last sent or was granted any.
    moved: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Broken {
    /// The first sequence that was not taken.
    expected: u64,
    is_told: bool,
    /// How many messages may still come that were on their way when it was told.
    under_way: u32,
}

impl Broken {
    fn at(expected: u64) -> Self {
        Self {
            expected,
            is_told: false,
            under_way: 0,
        }
    }
}

/// When the collector is told to send again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resend {
    NotNeeded,
    /// Not before the store is well.
    Waiting,
    At(Instant),
    Due,
}

impl<'a> Stream<'a> {
    /// Begins with the collector's introduction, as it came and as it was checked.
    pub(crate) fn new(durable: &'a Durable, said: &wire::CollectorHello, checked: &Hello) -> Self {
        let now = durable.shared.now();
        let theirs = said.peer.as_ref().map_or(now.0, |peer| peer.now_unix_ms);
        Self {
            durable,
            board: Arc::new(Board::new(durable.shared.enter())),
            gate: durable.intake.gate(),
            facts: Facts {
                machine: checked.machine.clone(),
                clock_offset_ms: now.0.saturating_sub(theirs),
                host: Arc::new(checked.host.clone()),
                is_host_news: true,
                spool_lost_before: said.spool_is_new.then_some(checked.epoch),
            },
            live: Live {
                epoch: checked.epoch,
                dictionary: Dictionary::default(),
                broken: None,
            },
            backlog: Backlog::default(),
            resend: Resend::NotNeeded,
        }
    }

    /// Takes out of a live batch a tick that cannot be read, so that the rest can go on; returns why.
    pub(crate) fn sift(&self, batch: &mut wire::Batch) -> Option<String> {
        if batch.sequence == 0 {
            return None;
        }
        let reason = check::malformed(batch.tick.as_ref()?)?;
        batch.tick = None;
        Some(reason)
    }

    /// Offers a live batch; `malformed` is what [`Stream::sift`] found.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] for a sequence that cannot be.
    pub(crate) fn live(&mut self, batch: &Batch, malformed: Option<String>) -> Result<(), ApiError> {
        let shared = &self.durable.shared;
        self.live
            .dictionary
            .change(&shared.keys, &batch.retired, &batch.announced);
        if let Some(host) = &batch.host {
            self.facts.host = Arc::new(host.clone());
            self.facts.is_host_news = true;
        }
        if batch.sequence == 0 {
            return Ok(());
        }
        check_sequence(batch.sequence)?;
        if self.live.broken.is_some() {
            return Ok(());
        }
        let now = shared.now();
        let content = match malformed {
            Some(reason) => dead(reason, now),
            None => check::content(batch.tick.clone(), &self.live.dictionary, now),
        };
        shared.counters.history_offered.add(1);
        if !self.offer(self.live.epoch, batch.sequence, content, false) {
            self.break_live(batch.sequence);
        }
        Ok(())
    }

    /// The following live batches belong to another epoch.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when it is none or not another one.
    pub(crate) fn new_epoch(&mut self, bytes: &[u8]) -> Result<Epoch, ApiError> {
        let epoch = parse(bytes)?;
        if epoch == self.live.epoch {
            return Err(ApiError::invalid(
                "the new epoch is the present one; send 16 new random bytes",
            ));
        }
        self.live.epoch = epoch;
        self.live.broken = None;
        // It may have been lost with the batch that had it.
        self.facts.is_host_news = true;
        self.schedule();
        Ok(epoch)
    }

    /// Takes a kept batch.
    ///
    /// # Errors
    /// [`Code::ResourceExhausted`] for one that was not granted, [`Code::InvalidArgument`] for one without a place.
    pub(crate) fn backlog(&mut self, message: wire::Backlog) -> Result<(), ApiError> {
        let epoch = parse(&message.epoch)?;
        self.spend()?;
        if self.backlog.epoch != Some(epoch) {
            self.backlog.epoch = Some(epoch);
            self.backlog.dictionary = Dictionary::default();
        }
        let now = self.durable.shared.now();
        let (sequence, content) = match message.body {
            Some(wire::backlog::Body::Batch(batch)) => {
                check_sequence(batch.sequence)?;
                (batch.sequence, self.kept(batch, now))
            }
            Some(wire::backlog::Body::Lost(range)) => check::lost(&range, now)?,
            None => {
                return Err(ApiError::invalid(
                    "a backlog message is empty; send a batch or a range",
                ));
            }
        };
        self.durable.shared.counters.history_offered.add(1);
        let is_taken = self.is_resumed(epoch, sequence) && self.offer(epoch, sequence, content, true);
        if !is_taken {
            self.durable.shared.credits.settled(&self.board);
            self.break_backlog(epoch, sequence);
            self.durable.shared.credits.distribute();
        }
        Ok(())
    }

    /// So many batches are waiting at the collector.
    pub(crate) fn waiting(&mut self, batches: u64) {
        if self.backlog.broken.is_some_and(|(_, broken)| !broken.is_told) {
            return;
        }
        // What it was granted meanwhile is part of them.
        let own = u64::from(self.backlog.unused) + u64::from(self.backlog.lapsed);
        self.durable
            .shared
            .credits
            .wait(&self.board, batches.saturating_sub(own));
    }

    /// Something came: time to see whether grants lie idle.
    pub(crate) fn heard(&mut self) {
        let backlog = &mut self.backlog;
        if backlog.unused > 0 && backlog.moved.is_some_and(|moved| moved.elapsed() > IDLE) {
            self.durable.shared.credits.lapse(&self.board, backlog.unused);
            backlog.lapsed = backlog.lapsed.saturating_add(std::mem::take(&mut backlog.unused));
        }
    }

    /// Waits until [`Stream::next`] may have something new. Safe to cancel.
    pub(crate) async fn changed(&mut self) {
        let at = match self.resend {
            Resend::At(at) => Some(at),
            _ => None,
        };
        let due = async {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.board.changed.notified() => {}
            // A sender lives in the aggregator, so this ends only with a change.
            _ = self.gate.changed() => self.schedule(),
            () = due => self.resend = Resend::Due,
        }
    }

    /// What the collector is to be told next.
    ///
    /// # Errors
    /// Why the stream has to end.
    pub(crate) fn next(&mut self) -> Result<Option<Response>, ApiError> {
        let set_back = self
            .board
            .take_set_back()
            .map_err(|reason| ApiError::new(Code::FailedPrecondition, reason))?;
        for set_back in set_back {
            self.take_set_back(set_back);
        }
        if self.resend == Resend::Due {
            if let Some(resend) = self.tell() {
                return Ok(Some(Response::Resend(resend)));
            }
            self.resend = Resend::NotNeeded;
        }
        let granted = self.board.take_granted();
        if granted > 0 {
            self.backlog.unused += granted;
            self.backlog.moved = Some(Instant::now());
            return Ok(Some(Response::Grant(wire::Grant { batches: granted })));
        }
        Ok(self.board.take_stored().map(|(epoch, through_sequence)| {
            self.durable.shared.counters.acknowledgements.add(1);
            Response::Acknowledged(wire::Acknowledged {
                epoch: epoch.0.to_vec(),
                through_sequence,
            })
        }))
    }

    /// Waits until the writer has stored the last of what it will. The aggregator is stopping.
    pub(crate) async fn finished(&mut self) {
        // Without the writer there is nothing to wait for.
        let _ = self.gate.wait_for(|gate| *gate == Gate::Finished).await;
    }

    fn take_set_back(&mut self, set_back: SetBack) {
        if set_back.epoch == self.live.epoch {
            self.break_live(set_back.expected);
        } else if set_back.is_backlog && set_back.round >= self.backlog.round {
            self.break_backlog(set_back.epoch, set_back.expected);
        }
        // What else was not taken was sent live in an epoch that is closed by now, so it comes as backlog anyway.
    }

    fn break_live(&mut self, expected: u64) {
        match &mut self.live.broken {
            Some(broken) if broken.is_told => {}
            Some(broken) => broken.expected = broken.expected.min(expected),
            None => {
                self.durable.shared.counters.broken_epochs.add(1);
                self.live.broken = Some(Broken::at(expected));
            }
        }
        self.schedule();
    }

    fn break_backlog(&mut self, epoch: Epoch, expected: u64) {
        match &mut self.backlog.broken {
            Some((known, broken)) if *known == epoch && !broken.is_told => {
                broken.expected = broken.expected.min(expected);
            }
            // Going back to an older epoch, the collector comes by the later one again.
            Some(_) => {}
            None => {
                self.durable.shared.counters.broken_epochs.add(1);
                self.backlog.broken = Some((epoch, Broken::at(expected)));
                // More of it would only be let go.
                self.durable.shared.credits.wait(&self.board, 0);
            }
        }
        self.schedule();
    }

    /// Decides when the collector is told to send again.
    fn schedule(&mut self) {
        let is_untold = |broken: Option<Broken>| broken.is_some_and(|broken| !broken.is_told);
        let is_needed =
            is_untold(self.live.broken) || is_untold(self.backlog.broken.map(|(_, broken)| broken));
        let is_open = *self.gate.borrow_and_update() == Gate::Open;
        self.resend = match self.resend {
            _ if !is_needed => Resend::NotNeeded,
            _ if !is_open => Resend::Waiting,
            Resend::NotNeeded | Resend::Waiting => {
                Resend::At(Instant::now() + SPREAD * self.durable.shared.place(self.board.serial))
            }
            already => already,
        };
    }

    /// What is to be sent again, and was not told yet.
    fn tell(&mut self) -> Option<wire::Resend> {
        let live = self.live.broken.as_mut().map(|broken| (self.live.epoch, broken));
        let kept = self
            .backlog
            .broken
            .as_mut()
            .map(|(epoch, broken)| (*epoch, broken));
        let (epoch, broken) = [live, kept]
            .into_iter()
            .flatten()
            .find(|(_, broken)| !broken.is_told)?;
        broken.is_told = true;
        let resend = wire::Resend {
            epoch: epoch.0.to_vec(),
            expected_sequence: broken.expected,
        };
        if epoch != self.live.epoch {
            broken.under_way = self.backlog.unused + self.backlog.lapsed;
            self.backlog.round += 1;
            // A first turn; when it is used up the collector says how much there is by now.
            self.durable.shared.credits.wait_again(&self.board, 16);
        }
        self.durable.shared.counters.resends.add(1);
        tracing::debug!(machine = %self.facts.machine, expected = resend.expected_sequence, "asked to send again");
        Some(resend)
    }

    /// Uses up a grant.
    fn spend(&mut self) -> Result<(), ApiError> {
        let (backlog, credits) = (&mut self.backlog, &self.durable.shared.credits);
        backlog.moved = Some(Instant::now());
        if backlog.unused > 0 {
            backlog.unused -= 1;
            credits.received();
        } else if backlog.lapsed > 0 {
            backlog.lapsed -= 1;
            credits.revive(&self.board);
        } else {
            return Err(ApiError::new(
                Code::ResourceExhausted,
                "more backlog came than was granted; wait for grants",
            ));
        }
        Ok(())
    }

    /// The content of a kept batch. One that a live stream would be ended for is a dead letter here: it would end the
    /// next stream too.
    fn kept(&mut self, batch: wire::Batch, now: UnixMillis) -> Content {
        if let Some(reason) = batch.tick.as_ref().and_then(check::malformed) {
            return dead(reason, now);
        }
        match Batch::check(batch) {
            Ok(batch) => {
                let keys = &self.durable.shared.keys;
                self.backlog
                    .dictionary
                    .change(keys, &batch.retired, &batch.announced);
                check::content(batch.tick, &self.backlog.dictionary, now)
            }
            Err(error) => dead(error.message, now),
        }
    }

    /// Whether backlog goes on from where it was to: it does, unless it is broken.
    fn is_resumed(&mut self, epoch: Epoch, sequence: u64) -> bool {
        let Some((broken_epoch, broken)) = &mut self.backlog.broken else {
            return true;
        };
        if !broken.is_told {
            return false;
        }
        let is_back = *broken_epoch == epoch && sequence <= broken.expected;
        if !is_back && broken.under_way > 0 {
            broken.under_way -= 1;
            return false;
        }
        // Otherwise it has not understood; the cursor finds out.
        self.backlog.broken = None;
        true
    }

    fn offer(&mut self, epoch: Epoch, sequence: u64, content: Content, is_backlog: bool) -> bool {
        let facts = &mut self.facts;
        let batch = IngestBatch {
            machine: facts.machine.clone(),
            epoch,
            sequence,
            content,
            clock_offset_ms: facts.clock_offset_ms,
            host: facts.is_host_news.then(|| Arc::clone(&facts.host)),
            spool_was_lost: sequence == 1 && facts.spool_lost_before == Some(epoch),
        };
        let ticket = Ticket {
            board: Arc::clone(&self.board),
            round: if is_backlog { self.backlog.round } else { 0 },
            is_backlog,
        };
        let is_taken = self.durable.intake.offer(Entry { batch, ticket });
        facts.is_host_news &= !is_taken;
        is_taken
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        let shared: &Shared = &self.durable.shared;
        shared.credits.close(&self.board, self.backlog.unused);
        shared.leave();
    }
}

fn dead(reason: String, received: UnixMillis) -> Content {
    Content::Dead {
        received,
        reason,
        tick: None,
    }
}

fn parse(bytes: &[u8]) -> Result<Epoch, ApiError> {
    Epoch::parse(bytes).map_err(|error| ApiError::invalid(error.to_string()))
}

/// Stores count in 63 bits.
fn check_sequence(sequence: u64) -> Result<(), ApiError> {
    if sequence == 0 || i64::try_from(sequence).is_err() {
        return Err(ApiError::invalid(format!(
            "{sequence} is no sequence; count from 1 in every epoch"
        )));
    }
    Ok(())
}
