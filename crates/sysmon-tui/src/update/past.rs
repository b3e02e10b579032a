//! When the past is asked for, and what becomes of the answers.

use ratatui::layout::Rect;
use sysmon_api::{CAPABILITY_HISTORY, Code, history_from_wire, query_to_wire, wire};
use sysmon_core::{Gap, GapReason, HistoryQuery, MachineId, MetricId, Recent, UnixMillis};

use crate::axis::Range;
use crate::event::Effect;
use crate::layout::{charts_axis, layout};
use crate::state::past::{Answer, FIRST_QUESTION, Failure, Keeping, Question, Subject};
use crate::state::storage::{Storage, StorageHealth};
use crate::state::{Link, State, View};
use crate::track::spacing_ms;

use super::{editor, notify};

/// Keys and resizes that follow each other are waited for so long before anything is asked.
const SETTLE_MS: u64 = 150;
/// Who has not asked for so long need not wait.
const IDLE_MS: u64 = 1_000;
/// An answer that has not come after this is not waited for.
const ANSWER_TIMEOUT_MS: u64 = 20_000;
/// After a failure nothing is asked for so long.
const RETRY_MS: i64 = 15_000;
/// Batches reach history a little later than the screen: it is asked only up to this long ago.
const COMMIT_MARGIN_MS: i64 = 30_000;
/// The same answer is never asked for again sooner than this.
const REFRESH_MS: u64 = 30_000;
/// A gap that ended so shortly before may still be filled by what a collector kept meanwhile.
const YOUNG_GAP_MS: u64 = 900_000;
/// The most parts of an answer, and the most points in it; a longer one is refused.
const PARTS_MAX: usize = 64;
const POINTS_MAX: usize = 200_000;
/// The most gaps of an answer that are looked at, the newest ones: more than a screen has dots.
const GAPS_MAX: usize = 1_000;

/// What to ask now.
struct Want {
    subject: Subject,
    from: UnixMillis,
    seam: UnixMillis,
    points: u32,
}

/// Asks what is to be asked at this moment, and lets go of what is no longer wanted.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    let mut effects = Vec::new();
    give_up_on_silence(state, &mut effects);
    let want = wanted(state);
    let is_wanted = |question: &Question| want.as_ref().is_some_and(|want| want.subject == question.subject);
    if state
        .past
        .question
        .as_ref()
        .is_some_and(|question| !is_wanted(question))
    {
        effects.extend(cancel(state));
    }
    let Some(want) = want else {
        state.past.waiting = None;
        return effects;
    };
    if state.past.question.is_some() || !is_due(state, &want) {
        return effects;
    }
    if !has_settled(state, &want) {
        return effects;
    }
    effects.extend(ask(state, want));
    effects
}

/// What the charts on screen lack; `None` when they lack nothing, or nobody can be asked.
fn wanted(state: &State) -> Option<Want> {
    if state.link != Link::Live || state.past.keeping != Keeping::Kept || state.background.is_hidden {
        return None;
    }
    let View::Machine(id) = &state.view else {
        return None;
    };
    let machine = state.shown_machine()?;
    let area = Rect::new(0, 0, state.width, state.height);
    let regions = layout(area, state);
    let axis = charts_axis(&regions, state, state.points_per_cell)?;
    let times = state.newest_ticks(machine).map(Recent::times);
    let first = times.and_then(|times| times.front().copied());
    let last = times.and_then(|times| times.back().copied());
    // Live data that reaches back far enough needs no history.
    let tolerance_ms = (axis.step_ms * 2)
        .max(u64::from(machine.interval_ms) * 3)
        .max(5_000);
    if first.is_some_and(|first| first.since_ms(axis.from) <= tolerance_ms) {
        return None;
    }
    let seam = match (first, last) {
        (Some(first), Some(last)) => {
            let seam = last.plus_ms(-COMMIT_MARGIN_MS).max(first);
            // Where the grid allows: whole slices come from one source only.
            let step = i64::try_from(axis.step_ms).unwrap_or(i64::MAX);
            let even = UnixMillis(seam.0.div_euclid(step).saturating_mul(step));
            if even >= first { even } else { seam }
        }
        _ => axis.to,
    };
    // Charts of the past may end long before live data begins.
    let seam = seam.min(axis.to);
    let points = seam.since_ms(axis.from).div_ceil(axis.step_ms.max(1));
    let points = u32::try_from(points)
        .unwrap_or(HistoryQuery::POINTS_MAX)
        .clamp(1, HistoryQuery::POINTS_MAX);
    (seam > axis.from).then(|| Want {
        subject: Subject {
            machine: id.clone(),
            range: state.past.range(),
            step_ms: axis.step_ms,
            metric: extra_metric(state),
        },
        from: axis.from,
        seam,
        points,
    })
}

/// What the charts show beside processor and memory.
pub(super) fn extra_metric(state: &State) -> Option<String> {
    let usual = [MetricId::CpuBusy, MetricId::MemoryUsedPercent];
    let focus = state.focus.as_ref()?;
    (!usual.contains(&focus.metric)).then(|| focus.metric.name().to_owned())
}

/// Whether the answer that there is does not do.
fn is_due(state: &State, want: &Want) -> bool {
    let past = &state.past;
    if past
        .failure
        .as_ref()
        .is_some_and(|failure| state.now < failure.retry_at && state.now >= failure.since)
    {
        return false;
    }
    let Some(answer) = &past.answer else { return true };
    if answer.subject != want.subject || past.is_outdated {
        return true;
    }
    if state.is_in_past() {
        return !is_covered(answer, want);
    }
    if state.now.since_ms(answer.asked_at) < REFRESH_MS {
        return false;
    }
    let Some(machine) = state.shown_machine() else {
        return false;
    };
    // Live data is about to be forgotten before history has told of it.
    let first = machine.recent.times().front().copied();
    let runs_out = first.is_none_or(|first| first.plus_ms(COMMIT_MARGIN_MS) > answer.seam)
        && want.seam.since_ms(answer.seam) >= REFRESH_MS;
    let is_young = |gap: &Gap| gap.reason == GapReason::Silent && want.seam.since_ms(gap.to) < YOUNG_GAP_MS;
    runs_out || state.chart_gaps(machine).iter().any(is_young)
}

/// Whether an answer reaches over all of what is wanted. Where it ends a little early, history had not been told more.
fn is_covered(answer: &Answer, want: &Want) -> bool {
    let tolerance_ms = i64::try_from(want.subject.step_ms.saturating_mul(2)).unwrap_or(i64::MAX);
    let is_late = answer.from > want.from.plus_ms(tolerance_ms);
    let is_short = want.seam > answer.seam.plus_ms(COMMIT_MARGIN_MS.saturating_add(tolerance_ms));
    !is_late && !is_short
}

/// Whether the same thing has been wanted long enough, so that a burst of keys asks once.
fn has_settled(state: &mut State, want: &Want) -> bool {
    let now = state.now;
    let is_idle = state
        .past
        .asked_at
        .is_none_or(|at| now.since_ms(at) >= IDLE_MS || now < at);
    if is_idle {
        return true;
    }
    match &state.past.waiting {
        Some((subject, since)) if *subject == want.subject && now >= *since => {
            now.since_ms(*since) >= SETTLE_MS
        }
        _ => {
            state.past.waiting = Some((want.subject.clone(), now));
            false
        }
    }
}

fn ask(state: &mut State, want: Want) -> Option<Effect> {
    let machine = MachineId::parse(&want.subject.machine).ok()?;
    let past = &mut state.past;
    let request_id = FIRST_QUESTION + past.asked_count;
    past.asked_count += 1;
    past.asked_at = Some(state.now);
    past.waiting = None;
    past.is_outdated = false;
    let query = HistoryQuery {
        machines: vec![machine],
        metrics: [MetricId::CpuBusy, MetricId::MemoryUsedPercent]
            .into_iter()
            .map(|metric| metric.name().to_owned())
            .chain(want.subject.metric.clone())
            .collect(),
        from: want.from,
        to: want.seam,
        points: want.points,
    };
    past.question = Some(Question {
        request_id,
        subject: want.subject,
        from: want.from,
        seam: want.seam,
        asked_at: state.now,
        parts: Vec::new(),
        part_count: 0,
    });
    Some(Effect::Ask {
        request_id,
        body: wire::command::Body::QueryHistory(query_to_wire(&query)),
    })
}

/// Takes the question back.
fn cancel(state: &mut State) -> Option<Effect> {
    let question = state.past.question.take()?;
    (state.link == Link::Live).then_some(Effect::Send(wire::command::Body::Cancel(wire::Cancel {
        request_id: question.request_id,
    })))
}

fn give_up_on_silence(state: &mut State, effects: &mut Vec<Effect>) {
    let is_silent = |question: &Question| state.now.since_ms(question.asked_at) >= ANSWER_TIMEOUT_MS;
    if state.past.question.as_ref().is_some_and(is_silent) {
        effects.extend(cancel(state));
        fail(state, "history does not answer in time".into());
    }
}

/// Shows more time in the charts, or less.
pub(super) fn change_range(state: &mut State, to: Option<Range>) {
    let past = &mut state.past;
    let Some(range) = to else {
        let which = if past.range() == Range::FiveMinutes {
            "shortest"
        } else {
            "longest"
        };
        let text = format!("{} is the {which} time that charts show", past.range().name());
        return notify(state, text);
    };
    past.chosen = Some(range);
    past.failure = None;
    state.mark_dirty();
}

/// When something is to be asked without any further event.
pub(super) fn wakes_at(state: &State) -> Option<UnixMillis> {
    let (_, since) = state.past.waiting.as_ref()?;
    Some(since.plus_ms(i64::try_from(SETTLE_MS).unwrap_or(0)))
}

/// A connection stands: what was asked on the one before will not be answered.
pub(super) fn connected(state: &mut State, capabilities: &[String]) {
    let past = &mut state.past;
    past.question = None;
    past.failure = None;
    past.is_outdated = true;
    past.keeping = if capabilities.iter().any(|word| word == CAPABILITY_HISTORY) {
        Keeping::Kept
    } else {
        Keeping::NotKept
    };
    state.storage = Storage::default();
}

/// The connection is gone: nothing that was asked on it will be answered, and nobody says how the stores are.
pub(super) fn disconnected(state: &mut State) {
    state.past.question = None;
    state.past.waiting = None;
    state.storage = Storage::default();
}

/// Takes a part of an answer.
pub(super) fn chunk(state: &mut State, request_id: u64, chunk: &wire::HistoryChunk) {
    let Some(question) = state
        .past
        .question
        .as_mut()
        .filter(|question| question.request_id == request_id)
    else {
        // Of a question that was taken back.
        return;
    };
    if let Err(reason) = collect(question, chunk) {
        state.past.question = None;
        return fail(state, reason);
    }
    if chunk.more {
        return;
    }
    if let Some(question) = state.past.question.take() {
        take(state, question);
    }
}

/// Adds a part to what a question has brought, or says why it cannot be.
pub(super) fn collect(question: &mut Question, chunk: &wire::HistoryChunk) -> Result<(), String> {
    question.part_count += 1;
    chunk
        .machines
        .iter()
        .try_for_each(|part| history_from_wire(part, &mut question.parts))
        .map_err(|error| sysmon_core::sanitize(&error.message).into_owned())?;
    let series = question.parts.iter().flat_map(|history| &history.series);
    let point_count: usize = series.map(|series| series.points.len()).sum();
    if point_count > POINTS_MAX || question.part_count > PARTS_MAX || question.parts.len() > PARTS_MAX {
        return Err("the answer is longer than what was asked for".into());
    }
    Ok(())
}

/// The answer that all parts of a question make.
pub(super) fn finish(question: Question) -> Answer {
    let machine = &question.subject.machine;
    let mut history = question
        .parts
        .into_iter()
        .find(|history| history.machine.as_str() == &**machine);
    if let Some(history) = &mut history {
        let surplus = history.gaps.len().saturating_sub(GAPS_MAX);
        history.gaps.drain(..surplus);
    }
    Answer {
        spacing_ms: history.as_ref().map_or(0, spacing_ms),
        history,
        from: question.from,
        seam: question.seam,
        asked_at: question.asked_at,
        subject: question.subject,
    }
}

fn take(state: &mut State, question: Question) {
    let answer = finish(question);
    let first = answer.history.as_ref().and_then(|history| history.times.first());
    let window_ms = Range::FiveMinutes.window_ms();
    state.past.is_young = first.is_none_or(|first| answer.seam.since_ms(*first) < window_ms);
    state.past.answer = Some(answer);
    state.past.failure = None;
}

/// Something was refused: a question, or any other command.
pub(super) fn refused(state: &mut State, request_id: u64, code: u32, reason: &str) {
    let reason = sysmon_core::sanitize(reason).into_owned();
    if request_id < FIRST_QUESTION {
        return notify(state, reason);
    }
    if editor::past_refused(state, request_id, &reason) {
        return;
    }
    let is_ours = |question: &Question| question.request_id == request_id;
    if !state.past.question.as_ref().is_some_and(is_ours) {
        return;
    }
    state.past.question = None;
    if code == Code::FailedPrecondition as u32 {
        state.past.keeping = Keeping::NotKept;
    } else if code == Code::Unavailable as u32 {
        fail(state, String::new());
    } else {
        fail(state, reason);
    }
}

fn fail(state: &mut State, reason: String) {
    let since = state
        .past
        .failure
        .as_ref()
        .map_or(state.now, |failure| failure.since);
    state.past.failure = Some(Failure {
        since,
        retry_at: state.now.plus_ms(RETRY_MS),
        reason,
    });
    state.mark_dirty();
}

/// How the stores are now. A history that serves again is asked at once.
pub(super) fn storage(state: &mut State, status: &wire::StorageStatus) {
    let is_down = |storage: &Storage| {
        storage
            .history()
            .is_some_and(|history| history.health == StorageHealth::Down)
    };
    let was_down = is_down(&state.storage);
    state.storage = Storage::from_wire(status);
    if was_down && !is_down(&state.storage) {
        state.past.failure = None;
        state.past.is_outdated = true;
    }
}
