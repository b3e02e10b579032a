//! One subscription to the past, from the first question to the present.

use std::collections::HashMap;
use std::time::Duration;

use sysmon_api::{ApiError, Code};
use sysmon_core::{HistoryQuery, MachineHistory, MachineId, ProcessTable, Recent, UnixMillis};
use sysmon_store::MachineRecord;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::ask::Asked;
use super::health::Standing;
use super::load::Source;
use super::reel::Reel;
use super::stage::Stage;
use super::{Teller, What};
use crate::clock::Clock;

/// Time between two updates of what is played: at its own pace, and faster.
const PACE_MS: u64 = 1_000;
const FAST_PACE_MS: u64 = 250;
/// What is younger than this may not be stored yet: within it of the present the past is over.
const SETTLE_MS: i64 = 2_000;
/// So much is read ahead, in time on the wall, and at least so much of the past, in milliseconds.
const AHEAD_MS: u64 = 4_000;
const AHEAD_MS_MIN: u64 = 20_000;
/// The most machines whose processes are shown.
const PROCESSES_MAX: usize = 16;
/// How far the moment moves before processes are looked for again, and how long that is at least apart.
const PROCESSES_MS: u64 = 10_000;
const PROCESSES_APART: Duration = Duration::from_secs(1);
/// Moments of the time before, per series.
const PAST_POINTS: u32 = 600;

/// Shows the past until the client leaves it or the present is reached.
///
/// # Errors
/// Why it could not begin.
pub(super) async fn run(
    asked: Asked,
    source: Source,
    clock: Clock,
    mut acknowledged: watch::Receiver<u64>,
    teller: Teller,
) -> Result<(), ApiError> {
    let mut show = Show::open(asked, source, clock).await?;
    teller.tell(What::Open).await;
    let mut pace = show.pace();
    loop {
        let mut updates = show.stage.flush();
        let is_over = show.is_present && show.stage.is_told();
        if let Some(last) = updates.last_mut() {
            last.caught_up = is_over;
        }
        for update in updates {
            teller.tell(What::Update(Box::new(update))).await;
        }
        if is_over {
            return Ok(());
        }
        tokio::select! {
            changed = acknowledged.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let number = *acknowledged.borrow_and_update();
                show.stage.received(number);
            }
            _ = pace.tick(), if show.plays() => {
                if let Err(error) = show.step().await {
                    show.asked.speed = 0;
                    teller.tell(What::Failed(error)).await;
                }
            }
        }
    }
}

struct Show {
    asked: Asked,
    source: Source,
    clock: Clock,
    stage: Stage,
    standing: Option<Standing>,
    /// Up to where the past has been read.
    read_to: UnixMillis,
    reading: JoinSet<Result<Ahead, ApiError>>,
    processes: Processes,
    /// The present is reached, or as good as.
    is_present: bool,
    _room: OwnedSemaphorePermit,
}

/// The processes that are shown.
struct Processes {
    /// Whose are, and of when.
    shown: HashMap<MachineId, UnixMillis>,
    /// For which moment they were looked for last, and when that was.
    looked: Option<(UnixMillis, Instant)>,
}

/// What was read ahead.
struct Ahead {
    from: UnixMillis,
    to: UnixMillis,
    records: Vec<MachineRecord>,
    histories: Vec<MachineHistory>,
    steps: Vec<sysmon_core::alert::Transition>,
}

impl Show {
    /// Reads what is shown first.
    async fn open(asked: Asked, source: Source, clock: Clock) -> Result<Self, ApiError> {
        let turn = source.turn.clone();
        let _turn = turn.acquire().await;
        let records = source.machines().await?;
        let at = asked.at;
        check_beginning(&records, at)?;
        let records: Vec<MachineRecord> = records
            .into_iter()
            .filter(|record| {
                asked.covers(&record.machine) && record.first_sample.is_some_and(|first| first <= at)
            })
            .collect();
        let machines: Vec<MachineId> = records.iter().map(|record| record.machine.clone()).collect();
        let room = room(&asked, &source, machines.len())?;
        let mut stage = Stage::new(asked.subscribe.subscription, at)?;
        let standing = standing(&source, &machines, at).await;
        let past = past(&asked, &source, &machines, standing.is_none()).await?;
        let moments = source.moments(&machines, &asked.metrics, at).await?;
        let moments: HashMap<_, _> = moments.iter().map(|moment| (&moment.machine, moment)).collect();
        for record in records {
            if let Some(moment) = moments.get(&record.machine) {
                let past = past.get(&record.machine);
                stage.enter(record, moment, past);
            }
        }
        let mut show = Self {
            read_to: at,
            reading: JoinSet::new(),
            processes: Processes {
                shown: HashMap::new(),
                looked: None,
            },
            is_present: false,
            _room: room,
            asked,
            source,
            clock,
            stage,
            standing,
        };
        show.judge();
        show.stage.subscribe(&show.asked.subscribe)?;
        show.look_for_processes().await;
        if show.plays() {
            show.begin_to_read(show.settled());
        }
        Ok(show)
    }

    fn pace(&self) -> Interval {
        let pace_ms = self.pace_ms();
        let period = Duration::from_millis(pace_ms);
        let mut pace = interval_at(Instant::now() + period, period);
        // A store that is slow makes it slower, not jump.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    }

    /// Time between two updates, in milliseconds.
    fn pace_ms(&self) -> u64 {
        let pace_ms = if self.asked.speed > 1 {
            FAST_PACE_MS
        } else {
            PACE_MS
        };
        pace_ms.max(self.asked.period_ms)
    }

    /// How far one update goes, in milliseconds.
    fn step_ms(&self) -> i64 {
        let step_ms = self.pace_ms().saturating_mul(self.asked.speed.into());
        i64::try_from(step_ms).unwrap_or(i64::MAX)
    }

    /// Up to where everything is stored.
    fn settled(&self) -> UnixMillis {
        self.clock.now().unix.plus_ms(-SETTLE_MS)
    }

    fn plays(&self) -> bool {
        self.asked.speed > 0 && !self.is_present
    }

    /// Goes on by one step.
    async fn step(&mut self) -> Result<(), ApiError> {
        let now = self.clock.now().unix;
        let mut to = self.stage.now().plus_ms(self.step_ms());
        let settled = self.settled();
        let reaches_the_present = to >= settled;
        if reaches_the_present {
            to = now.max(self.stage.now());
        }
        while self.read_to < to {
            let until = if reaches_the_present { to } else { settled };
            let ahead = self.read_ahead(until).await?;
            self.take_over(ahead);
        }
        self.stage.advance(to);
        self.judge();
        self.look_for_processes().await;
        self.is_present = reaches_the_present;
        if !reaches_the_present && self.read_to.since_ms(to) < self.ahead_ms() / 2 {
            self.begin_to_read(settled);
        }
        Ok(())
    }

    fn ahead_ms(&self) -> u64 {
        u64::from(self.asked.speed)
            .saturating_mul(AHEAD_MS.max(2 * self.pace_ms()))
            .max(AHEAD_MS_MIN)
    }

    /// What comes next, at the latest up to `until`; waits for what is being read already.
    async fn read_ahead(&mut self, until: UnixMillis) -> Result<Ahead, ApiError> {
        self.begin_to_read(until);
        match self.reading.join_next().await {
            Some(Ok(ahead)) => ahead,
            _ => Err(ApiError::unavailable(
                "reading the past was interrupted; ask again",
            )),
        }
    }

    fn begin_to_read(&mut self, until: UnixMillis) {
        let ahead_ms = i64::try_from(self.ahead_ms()).unwrap_or(i64::MAX);
        let from = self.read_to;
        let to = from.plus_ms(ahead_ms).min(until);
        if !self.reading.is_empty() || to <= from {
            return;
        }
        let (asked, source) = (self.asked.clone(), self.source.clone());
        let wants_steps = self.standing.is_some();
        // Half a step is fine enough, and a second in any case.
        let finest_ms = u64::try_from(self.step_ms() / 2).unwrap_or(0).max(1_000);
        self.reading.spawn(async move {
            let turn = source.turn.clone();
            let _turn = turn.acquire().await;
            let records = source.machines().await?;
            let there = |record: &MachineRecord| {
                asked.covers(&record.machine) && record.first_sample.is_some_and(|first| first <= to)
            };
            let records: Vec<_> = records
                .into_iter()
                .filter(there)
                .take(HistoryQuery::MACHINES_MAX)
                .collect();
            // Who said nothing later than what was read has nothing to say.
            let speaks = |record: &&MachineRecord| record.last_sample.is_none_or(|last| last > from);
            let machines: Vec<_> = records
                .iter()
                .filter(speaks)
                .map(|record| record.machine.clone())
                .collect();
            let points = to.since_ms(from).div_ceil(finest_ms) + 8;
            let query = HistoryQuery {
                machines: Vec::new(),
                metrics: asked.metrics.clone(),
                from: from.plus_ms(1),
                to: to.plus_ms(1),
                points: u32::try_from(points)
                    .unwrap_or(u32::MAX)
                    .min(HistoryQuery::POINTS_MAX),
            };
            let histories = source.stretch(&machines, query).await?;
            let steps = match wants_steps {
                true => {
                    source
                        .steps_within(&machines, (from.plus_ms(1), to.plus_ms(1)))
                        .await
                }
                false => None,
            };
            Ok(Ahead {
                from,
                to,
                records,
                histories,
                steps: steps.unwrap_or_default(),
            })
        });
    }

    fn take_over(&mut self, ahead: Ahead) {
        for record in ahead.records {
            if !self.stage.has(&record.machine) {
                self.stage.add(record, Reel::default());
            }
        }
        self.stage.extend(&ahead.histories, (ahead.from, ahead.to));
        if let Some(standing) = &mut self.standing {
            standing.extend(ahead.steps);
        }
        self.read_to = ahead.to;
    }

    /// Shows the processes of the moment, if they are wanted and it has moved far enough.
    async fn look_for_processes(&mut self) {
        let (at, now) = (self.stage.now(), Instant::now());
        let is_recent = self.processes.looked.is_some_and(|(moment, looked)| {
            at.since_ms(moment) < PROCESSES_MS || now.duration_since(looked) < PROCESSES_APART
        });
        if !self.asked.wants_processes() || is_recent {
            return;
        }
        self.processes.looked = Some((at, now));
        let machines = self.stage.covered(PROCESSES_MAX);
        let found = self.source.processes(&machines, at).await;
        let found: HashMap<_, _> = found.iter().map(|found| (&found.machine, found)).collect();
        for machine in machines {
            match found.get(&machine) {
                Some(found) => {
                    let before = self.processes.shown.insert(machine, found.at);
                    if before != Some(found.at) {
                        self.stage.processes(&found.machine, &found.processes.table());
                    }
                }
                // Nothing is known of this moment: what was known of an earlier one does not stand for it.
                None => {
                    if self.processes.shown.remove(&machine).is_some() {
                        self.stage.processes(&machine, &ProcessTable::default());
                    }
                }
            }
        }
    }

    fn judge(&mut self) {
        if let Some(standing) = &mut self.standing {
            let health = standing.advance(self.stage.now());
            self.stage.judge(health);
        }
    }
}

/// Checks that there is anything of a moment.
fn check_beginning(records: &[MachineRecord], at: UnixMillis) -> Result<(), ApiError> {
    let first = records.iter().filter_map(|record| record.first_sample).min();
    match first {
        Some(first) if first <= at => Ok(()),
        Some(first) => Err(ApiError::invalid(format!(
            "there is history from {} on, and none of {}",
            first.utc(),
            at.utc()
        ))),
        None => Err(ApiError::new(
            Code::FailedPrecondition,
            "there is no history yet; try again when a machine has reported",
        )),
    }
}

/// The right to show so much.
fn room(asked: &Asked, source: &Source, machines: usize) -> Result<OwnedSemaphorePermit, ApiError> {
    if machines > HistoryQuery::MACHINES_MAX {
        return Err(ApiError::new(
            Code::ResourceExhausted,
            format!(
                "{machines} machines were there then; name at most {} of them",
                HistoryQuery::MACHINES_MAX
            ),
        ));
    }
    let machines = u32::try_from(machines).unwrap_or(u32::MAX);
    let series = machines.saturating_mul(asked.series_of_machine());
    let room = source.archive.shown.clone().try_acquire_many_owned(series);
    room.map_err(|_| {
        ApiError::new(
            Code::ResourceExhausted,
            "too much of the past is being looked at; name fewer metrics or machines, or try again later",
        )
    })
}

/// How the alerts stood; none when nothing is known of them, so that levels judge.
async fn standing(source: &Source, machines: &[MachineId], at: UnixMillis) -> Option<Standing> {
    let steps = source.steps_before(machines, at.plus_ms(1)).await?;
    if steps.is_empty() {
        return None;
    }
    let mut standing = Standing::default();
    standing.extend(steps);
    Some(standing)
}

/// What was measured before the moment, by machine.
async fn past(
    asked: &Asked,
    source: &Source,
    machines: &[MachineId],
    by_levels: bool,
) -> Result<HashMap<MachineId, MachineHistory>, ApiError> {
    if asked.subscribe.history_ms == 0 && !by_levels {
        return Ok(HashMap::new());
    }
    let query = HistoryQuery {
        machines: Vec::new(),
        metrics: asked.past_metrics.clone(),
        from: asked.at.plus_ms(-asked.past_ms()),
        to: asked.at.plus_ms(1),
        points: PAST_POINTS.min(u32::try_from(Recent::TICK_LIMIT).unwrap_or(PAST_POINTS)),
    };
    let histories = source.stretch(machines, query).await?;
    Ok(histories
        .into_iter()
        .map(|history| (history.machine.clone(), history))
        .collect())
}
