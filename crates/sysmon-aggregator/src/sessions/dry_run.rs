//! A rule that is played on the past: what it would have done.
//!
//! The store is asked a few machines at a time, and what it answers is judged on a thread for such work, so that neither
//! the fleet nor other questions wait for it; the next machines are read meanwhile.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sysmon_api::{ApiError, Code, severity_to_wire, wire};
use sysmon_core::alert::{Check, DryRun, Episode, Level, Quantity, Rule, dry_run};
use sysmon_core::{HistoryQuery, INTERVAL_METRIC, MachineId, MachineSamples, UnixMillis};
use sysmon_store::MachineRecord;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use wire::response::Body;

use super::answers::{Answers, Kind};
use super::history::{Archive, machines_at_a_time, nothing_kept, time_limit};
use crate::aggregator::Aggregator;
use crate::alerts::{Alerts, checked_rule};

/// How long all of it may take, the waiting for others included.
const LIMIT: Duration = Duration::from_secs(120);
/// The most episodes of a reply; the earliest count.
const EPISODES_MAX: usize = 1_000;
/// The longest range: as long as roll-ups of a minute are kept by default, and a day more.
const RANGE_MAX_MS: u64 = 31 * 86_400_000;
/// The year 275,760: within it no sum of times runs over.
const TIME_MAX_MS: i64 = 8_640_000_000_000_000;
/// The usual time between two samples. What lasts longer than the most moments of these is played on roll-ups.
const INTERVAL_MS: u64 = 5_000;
const MINUTE_MS: i64 = 60_000;

/// What is played on what.
#[derive(Debug)]
struct Play {
    rule: Rule,
    from: UnixMillis,
    to: UnixMillis,
    /// These machines only; empty for all.
    only: HashSet<MachineId>,
}

/// Begins to play a rule.
///
/// # Errors
/// What is wrong with the request, that no history is kept, or that the client asks too much at a time.
pub(super) fn begin(
    aggregator: &Aggregator,
    alerts: Arc<Alerts>,
    answers: &mut Answers,
    request_id: u64,
    request: &wire::DryRunRequest,
) -> Result<(), ApiError> {
    let archive = Arc::clone(aggregator.archive.as_ref().ok_or_else(nothing_kept)?);
    let play = Play::check(request)?;
    let limit = time_limit(aggregator);
    answers.begin(request_id, Kind::DryRun, |parts| async move {
        let played = async {
            let permit = alerts.begin_dry_run().await?;
            play.run(&archive, limit, permit).await
        };
        let reply = timeout(LIMIT, played).await.unwrap_or_else(|_| {
            Err(ApiError::new(
                Code::DeadlineExceeded,
                format!(
                    "the rule was not played within {} s; choose a shorter range or fewer machines",
                    LIMIT.as_secs()
                ),
            ))
        });
        parts.last(reply.map(Body::DryRun)).await;
    })
}

impl Play {
    fn check(request: &wire::DryRunRequest) -> Result<Self, ApiError> {
        let rule = checked_rule(request.rule.as_ref())?;
        let (from, to) = (UnixMillis(request.from_unix_ms), UnixMillis(request.to_unix_ms));
        if from.0 < 0 || to.0 > TIME_MAX_MS {
            return Err(ApiError::invalid(
                "the range is before 1970 or farther ahead than any clock; give Unix milliseconds",
            ));
        }
        if from >= to {
            return Err(ApiError::invalid(
                "the range is empty; let it end after it starts",
            ));
        }
        if to.since_ms(from) > RANGE_MAX_MS {
            return Err(ApiError::invalid(
                "the range is longer than 31 days; choose a shorter one",
            ));
        }
        if request.machine_ids.len() > HistoryQuery::MACHINES_MAX {
            return Err(ApiError::invalid(format!(
                "{} machines are named; name at most {}, or none for all",
                request.machine_ids.len(),
                HistoryQuery::MACHINES_MAX
            )));
        }
        let machine =
            |id: &String| MachineId::parse(id).map_err(|error| ApiError::invalid(error.to_string()));
        Ok(Self {
            rule,
            from,
            to,
            only: request
                .machine_ids
                .iter()
                .map(machine)
                .collect::<Result<_, _>>()?,
        })
    }

    /// What is asked of the history: a window and a hold more than the range, because a rule knows nothing at first.
    fn query(&self) -> HistoryQuery {
        let (metrics, window_ms) = metrics(&self.rule);
        let lead_ms = window_ms.saturating_add(self.rule.hold_ms);
        let mut query = HistoryQuery {
            machines: Vec::new(),
            metrics,
            from: self.from.plus_ms(-i64::try_from(lead_ms).unwrap_or(i64::MAX)),
            to: self.to,
            points: HistoryQuery::MOMENTS_MAX,
        };
        let most = u64::from(HistoryQuery::MOMENTS_MAX);
        if query.to.since_ms(query.from) > most * INTERVAL_MS {
            // Roll-ups of a minute, whole ones: single samples would not fit, and reading them all takes long.
            query.from = UnixMillis(query.from.0.div_euclid(MINUTE_MS) * MINUTE_MS);
            query.to = UnixMillis((query.to.0.div_euclid(MINUTE_MS) + 1) * MINUTE_MS);
            let minutes = query.to.since_ms(query.from) / MINUTE_MS.unsigned_abs();
            query.points = u32::try_from(minutes.min(most)).unwrap_or(query.points);
        }
        query
    }

    async fn run(
        self,
        archive: &Archive,
        limit: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Result<wire::DryRunReply, ApiError> {
        let records = archive.ask(archive.history.machines(), limit).await?;
        let mut query = self.query();
        let at_a_time = machines_at_a_time(&query);
        let shared = Arc::new((self, permit));
        // When nobody waits for the answer any more, the thread stops after the machine that it is at.
        let over = CancellationToken::new();
        let _guard = over.clone().drop_guard();
        let mut outcome = Outcome::default();
        let mut machines = on_thread(&shared, &over, move |play| play.covered(records)).await?;
        let mut unjudged: Option<(Vec<MachineRecord>, Vec<MachineSamples>)> = None;
        // While some machines are judged, the next are read.
        loop {
            let piece: Vec<_> = machines.drain(..at_a_time.min(machines.len())).collect();
            query.machines = piece.iter().map(|record| record.machine.clone()).collect();
            let reading = async {
                if piece.is_empty() {
                    return Ok(None);
                }
                let answer = archive.ask(archive.history.samples(&query), limit).await?;
                Ok::<_, ApiError>(Some((piece, answer)))
            };
            let judging = async {
                let Some((piece, answer)) = unjudged.take() else {
                    return Ok(outcome);
                };
                let until = over.clone();
                on_thread(&shared, &over, move |play| {
                    outcome.judge(play, &piece, &answer, &until);
                    outcome
                })
                .await
            };
            let (read, judged) = tokio::try_join!(reading, judging)?;
            outcome = judged;
            if read.is_none() {
                break;
            }
            unjudged = read;
        }
        Ok(outcome.reply())
    }

    /// The machines that the rule covers and that have samples about the range.
    fn covered(&self, records: Vec<MachineRecord>) -> Vec<MachineRecord> {
        let from = self.query().from;
        let is_about = |record: &MachineRecord| {
            record.first_sample.is_some_and(|first| first < self.to)
                && record.last_sample.is_some_and(|last| last >= from)
        };
        let is_covered = |record: &MachineRecord| {
            let nothing = MachineSamples {
                machine: record.machine.clone(),
                step_ms: 0,
                times: Vec::new(),
                series: Vec::new(),
            };
            dry_run(&self.rule, &record.host.labels, INTERVAL_MS, &nothing).is_covered
        };
        records
            .into_iter()
            .filter(|record| self.only.is_empty() || self.only.contains(&record.machine))
            .filter(|record| is_about(record) && is_covered(record))
            .collect()
    }

    /// How long an episode lasted within the range, in milliseconds; none when it was not within it.
    fn overlap_ms(&self, episode: &Episode) -> Option<u64> {
        let to = episode.to.unwrap_or(self.to).min(self.to);
        let is_within = episode.from < self.to && (to > self.from || episode.from >= self.from);
        is_within.then(|| to.since_ms(episode.from.max(self.from)))
    }
}

/// Does something that takes the processor's time on a thread for such work. The right to do so, in `shared`, is kept
/// until it is done, even when nobody waits for it any more.
async fn on_thread<T: Send + 'static>(
    shared: &Arc<(Play, OwnedSemaphorePermit)>,
    over: &CancellationToken,
    work: impl FnOnce(&Play) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let (shared, over) = (Arc::clone(shared), over.clone());
    let done = tokio::task::spawn_blocking(move || (!over.is_cancelled()).then(|| work(&shared.0))).await;
    match done {
        Ok(Some(done)) => Ok(done),
        Ok(None) => Err(ApiError::unavailable("it was cancelled")),
        Err(error) => {
            tracing::error!(%error, "a rule could not be played on the past; report this");
            Err(ApiError::new(
                Code::Internal,
                "the rule could not be played; the aggregator's log has more, please report it",
            ))
        }
    }
}

/// What came out so far.
#[derive(Debug, Default)]
struct Outcome {
    /// The earliest, with where they were; not more than a piece's more than a reply has.
    episodes: Vec<(MachineId, Episode)>,
    count: u32,
    longest_ms: u64,
    total_ms: u64,
    step_ms: u64,
    machine_count: u32,
}

impl Outcome {
    /// Plays the rule on what was read of some machines.
    fn judge(
        &mut self,
        play: &Play,
        records: &[MachineRecord],
        answer: &[MachineSamples],
        over: &CancellationToken,
    ) {
        for history in answer {
            if over.is_cancelled() {
                return;
            }
            let record = records.iter().find(|record| record.machine == history.machine);
            let labels = record.map_or(&[][..], |record| &record.host.labels);
            let played = dry_run(&play.rule, labels, interval_ms(history), history);
            self.add(play, history, played);
        }
    }

    fn add(&mut self, play: &Play, history: &MachineSamples, played: DryRun) {
        if history.times.last().is_none_or(|last| *last < play.from) {
            return;
        }
        self.machine_count += 1;
        self.step_ms = self.step_ms.max(history.step_ms);
        for episode in played.episodes {
            let Some(length_ms) = play.overlap_ms(&episode) else {
                continue;
            };
            self.count = self.count.saturating_add(1);
            self.longest_ms = self.longest_ms.max(length_ms);
            self.total_ms = self.total_ms.saturating_add(length_ms);
            self.episodes.push((played.machine.clone(), episode));
        }
        if self.episodes.len() > EPISODES_MAX {
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.episodes.sort_by(|(machine, one), (other_machine, other)| {
            (one.from, machine, &one.entity).cmp(&(other.from, other_machine, &other.entity))
        });
        self.episodes.truncate(EPISODES_MAX);
    }

    fn reply(mut self) -> wire::DryRunReply {
        self.sort();
        wire::DryRunReply {
            episodes: self
                .episodes
                .into_iter()
                .map(|(machine, episode)| wire::Episode {
                    machine_id: machine.to_string(),
                    entity: episode.entity.to_string(),
                    severity: severity_to_wire(episode.severity).into(),
                    from_unix_ms: episode.from.0,
                    to_unix_ms: episode.to.map(|to| to.0),
                    peak: episode.peak,
                })
                .collect(),
            count: self.count,
            longest_ms: self.longest_ms,
            total_ms: self.total_ms,
            step_ms: self.step_ms,
            machine_count: self.machine_count,
        }
    }
}

/// The metrics that a rule reads, with the one that tells a machine's pace, and its longest window in milliseconds.
fn metrics(rule: &Rule) -> (Vec<String>, u64) {
    let mut metrics = vec![INTERVAL_METRIC.name().to_owned()];
    let mut window_ms = 0;
    let mut read = |quantity: &Quantity| {
        window_ms = window_ms.max(quantity.window_ms);
        metrics.push(quantity.metric.clone());
        metrics.extend(quantity.per.clone());
    };
    if let Check::Metric(check) = &rule.check {
        read(&check.quantity);
        let levels = [&check.info, &check.warning, &check.critical];
        let guards = levels
            .into_iter()
            .flatten()
            .filter_map(|level: &Level| level.and.as_ref());
        guards.for_each(|guard| read(&guard.quantity));
    }
    metrics.sort_unstable();
    metrics.dedup();
    (metrics, window_ms)
}

/// The time between two samples of a machine: what its collector said last, or else the usual distance.
fn interval_ms(history: &MachineSamples) -> u64 {
    let said = history
        .series
        .iter()
        .find(|series| series.key.id() == Some(INTERVAL_METRIC))
        .and_then(|series| series.values.iter().rev().find(|value| !value.is_nan()));
    if let Some(said) = said.filter(|said| **said >= 1.0) {
        // Above zero; more than fits is cut.
        return *said as u64;
    }
    let mut distances: Vec<u64> = history
        .times
        .windows(2)
        .map(|pair| pair[1].since_ms(pair[0]))
        .collect();
    distances.sort_unstable();
    distances.get(distances.len() / 2).copied().unwrap_or(INTERVAL_MS)
}
