//! When the other day is asked for, to be drawn beside the one on screen.

use ratatui::layout::Rect;
use sysmon_api::{query_to_wire, wire};
use sysmon_core::{HistoryQuery, MachineId, MetricId, UnixMillis};

use crate::event::Effect;
use crate::layout::{charts_axis, layout};
use crate::state::past::{Answer, Keeping, Question, Subject};
use crate::state::travel::compare::{Shift, shifted};
use crate::state::{Link, State, View};
use crate::update::notify;
use crate::update::past::{collect, extra_metric, finish};

/// An answer that has not come after this is not waited for.
const ANSWER_TIMEOUT_MS: u64 = 20_000;
/// After a failure nothing is asked for so long.
const RETRY_MS: i64 = 15_000;
/// Part of the window that is asked for ahead, so that charts that move on need not ask for every column.
const AHEAD: i64 = 8;

/// Compares with another day, or no longer.
pub(super) fn next(state: &mut State) -> Vec<Effect> {
    if !matches!(state.view, View::Machine(_)) {
        notify(state, "charts are compared in the view of a machine");
        return Vec::new();
    }
    if state.past.keeping != Keeping::Kept {
        notify(state, "no history is kept here: there is nothing to compare with");
        return Vec::new();
    }
    let comparison = &mut state.travel.comparison;
    comparison.shift = comparison.shift.next();
    comparison.failure = None;
    let text = match comparison.shift {
        Shift::Off => "charts are not compared any more".to_owned(),
        shift => format!("charts are compared with the same time {}", shift.name()),
    };
    notify(state, text);
    Vec::new()
}

/// A connection stands: what was asked on the one before will not be answered.
pub(super) fn connected(state: &mut State) {
    let comparison = &mut state.travel.comparison;
    comparison.question = None;
    comparison.failure = None;
}

struct Want {
    subject: Subject,
    from: UnixMillis,
    to: UnixMillis,
}

/// What of the other day belongs on the charts.
fn wanted(state: &State) -> Option<Want> {
    let shift = state.travel.comparison.shift;
    if shift == Shift::Off || state.link != Link::Live || state.past.keeping != Keeping::Kept {
        return None;
    }
    let View::Machine(id) = &state.view else {
        return None;
    };
    let regions = layout(Rect::new(0, 0, state.width, state.height), state);
    let axis = shifted(charts_axis(&regions, state, state.points_per_cell)?, shift);
    Some(Want {
        subject: Subject {
            machine: id.clone(),
            range: state.past.range(),
            step_ms: axis.step_ms,
            metric: extra_metric(state),
        },
        from: axis.from,
        to: axis.to,
    })
}

fn is_covered(answer: &Answer, want: &Want) -> bool {
    answer.subject == want.subject && answer.from <= want.from && answer.seam >= want.to
}

/// Asks for the other day when it is wanted and not known.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    let now = state.now;
    let Some(want) = wanted(state) else {
        return Vec::new();
    };
    let comparison = &mut state.travel.comparison;
    let shift = comparison.shift;
    let is_late = |question: &Question| now.since_ms(question.asked_at) >= ANSWER_TIMEOUT_MS;
    if comparison
        .question
        .as_ref()
        .is_some_and(|(_, question)| is_late(question))
    {
        comparison.question = None;
        fail(state, "history does not answer in time".into());
        return Vec::new();
    }
    let is_answered = comparison
        .answer
        .as_ref()
        .is_some_and(|(of, answer)| *of == shift && is_covered(answer, &want));
    let is_failed = comparison
        .failure
        .as_ref()
        .is_some_and(|(_, retry_at)| now < *retry_at);
    if is_answered || is_failed || comparison.question.is_some() {
        return Vec::new();
    }
    let Ok(machine) = MachineId::parse(&want.subject.machine) else {
        return Vec::new();
    };
    let length = want.to.0.saturating_sub(want.from.0);
    let (from, to) = (want.from, want.to.plus_ms(length / AHEAD));
    let points = to.since_ms(from).div_ceil(want.subject.step_ms.max(1));
    let query = HistoryQuery {
        machines: vec![machine],
        metrics: [MetricId::CpuBusy, MetricId::MemoryUsedPercent]
            .into_iter()
            .map(|metric| metric.name().to_owned())
            .chain(want.subject.metric.clone())
            .collect(),
        from,
        to,
        points: u32::try_from(points)
            .unwrap_or(u32::MAX)
            .clamp(1, HistoryQuery::POINTS_MAX),
    };
    let request_id = state.travel.next_request();
    let question = Question {
        request_id,
        subject: want.subject,
        from,
        seam: to,
        asked_at: now,
        parts: Vec::new(),
        part_count: 0,
    };
    state.travel.comparison.question = Some((shift, question));
    vec![Effect::Ask {
        request_id,
        body: wire::command::Body::QueryHistory(query_to_wire(&query)),
    }]
}

/// Takes a part of an answer.
pub(super) fn chunk(state: &mut State, request_id: u64, chunk: &wire::HistoryChunk) {
    let comparison = &mut state.travel.comparison;
    let Some((_, question)) = comparison
        .question
        .as_mut()
        .filter(|(_, question)| question.request_id == request_id)
    else {
        return;
    };
    if let Err(reason) = collect(question, chunk) {
        comparison.question = None;
        return fail(state, reason);
    }
    if !chunk.more {
        comparison.answer = comparison
            .question
            .take()
            .map(|(shift, question)| (shift, finish(question)));
        comparison.failure = None;
    }
}

/// A question was refused; says whether it was one for the other day.
pub(super) fn refused(state: &mut State, request_id: u64, reason: &str) -> bool {
    let comparison = &mut state.travel.comparison;
    let is_ours = comparison
        .question
        .take_if(|(_, question)| question.request_id == request_id)
        .is_some();
    if is_ours {
        fail(state, reason.to_owned());
    }
    is_ours
}

fn fail(state: &mut State, reason: String) {
    let retry_at = state.now.plus_ms(RETRY_MS);
    state.travel.comparison.failure = Some((reason, retry_at));
    state.mark_dirty();
}
