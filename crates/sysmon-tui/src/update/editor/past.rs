//! The chart below the editor: a day of the metric, asked for once and again when something else is to be shown.

use ratatui::layout::Rect;
use sysmon_api::{query_to_wire, wire};
use sysmon_core::{HistoryQuery, MachineId, UnixMillis};

use crate::axis::Range;
use crate::event::Effect;
use crate::layout::editor_axis;
use crate::state::editor::Trial;
use crate::state::past::{FIRST_QUESTION, Keeping, Question, Subject};
use crate::state::{Link, State};
use crate::update::past::{collect, finish};

/// The same chart is never asked for again sooner than this.
const REFRESH_MS: u64 = 60_000;

/// What the chart shows, and up to when.
fn wanted(state: &State) -> Option<(Subject, UnixMillis, UnixMillis, u32)> {
    let editor = state.editor.as_ref()?;
    if state.link != Link::Live || state.past.keeping != Keeping::Kept {
        return None;
    }
    let area = Rect::new(0, 0, state.width, state.height);
    let axis = editor_axis(area, state, state.points_per_cell)?;
    let subject = Subject {
        machine: editor.machine.clone()?,
        range: Range::Day,
        step_ms: axis.step_ms,
        metric: crate::state::alerts::scope::metric_check(&editor.draft)
            .map(|check| check.quantity.metric.clone()),
    };
    subject.metric.as_ref()?;
    let points = u32::try_from(axis.points).unwrap_or(HistoryQuery::POINTS_MAX);
    Some((
        subject,
        axis.from,
        axis.to,
        points.clamp(1, HistoryQuery::POINTS_MAX),
    ))
}

/// Asks for what the chart lacks.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    let Some((subject, from, to, points)) = wanted(state) else {
        return Vec::new();
    };
    let now = state.now;
    let mut effects = Vec::new();
    let Some(editor) = state.editor.as_mut() else {
        return effects;
    };
    let is_settling = matches!(editor.trial, Trial::Waiting { .. });
    let past = &mut editor.past;
    if is_settling && (past.question.is_some() || past.answer.is_some()) {
        // Keys follow each other: what they end at is asked for.
        return effects;
    }
    match &past.question {
        Some(question) if question.subject == subject && now.since_ms(question.asked_at) < REFRESH_MS => {
            return effects;
        }
        Some(question) => {
            let cancel = wire::Cancel {
                request_id: question.request_id,
            };
            effects.push(Effect::Send(wire::command::Body::Cancel(cancel)));
        }
        None => {}
    }
    past.question = None;
    let is_fresh = past
        .answer
        .as_ref()
        .is_some_and(|answer| answer.subject == subject && now.since_ms(answer.asked_at) < REFRESH_MS);
    let has_failed = past
        .failure
        .as_ref()
        .is_some_and(|(failed, at, _)| *failed == subject && now.since_ms(*at) < REFRESH_MS);
    if is_fresh || has_failed {
        return effects;
    }
    let Ok(machine) = MachineId::parse(&subject.machine) else {
        return effects;
    };
    let request_id = FIRST_QUESTION + state.past.asked_count;
    state.past.asked_count += 1;
    let query = HistoryQuery {
        machines: vec![machine],
        metrics: subject.metric.iter().cloned().collect(),
        from,
        to,
        points,
    };
    past.question = Some(Question {
        request_id,
        subject,
        from,
        seam: to,
        asked_at: now,
        parts: Vec::new(),
        part_count: 0,
    });
    effects.push(Effect::Ask {
        request_id,
        body: wire::command::Body::QueryHistory(query_to_wire(&query)),
    });
    effects
}

/// Takes the question back.
pub(super) fn cancel(state: &mut State) -> Option<Effect> {
    let question = state.editor.as_mut()?.past.question.take()?;
    let cancel = wire::Cancel {
        request_id: question.request_id,
    };
    (state.link == Link::Live).then_some(Effect::Send(wire::command::Body::Cancel(cancel)))
}

/// Takes a part of an answer; says whether it was one to the editor.
pub(in crate::update) fn chunk(state: &mut State, request_id: u64, chunk: &wire::HistoryChunk) -> bool {
    let now = state.now;
    let Some(past) = state.editor.as_mut().map(|editor| &mut editor.past) else {
        return false;
    };
    let Some(question) = past
        .question
        .as_mut()
        .filter(|question| question.request_id == request_id)
    else {
        return false;
    };
    match collect(question, chunk) {
        Ok(()) if chunk.more => {}
        Ok(()) => {
            past.answer = past.question.take().map(finish);
            past.failure = None;
        }
        Err(reason) => {
            past.failure = past
                .question
                .take()
                .map(|question| (question.subject, now, reason));
        }
    }
    true
}

/// A question was refused; says whether it was the editor's.
pub(in crate::update) fn refused(state: &mut State, request_id: u64, reason: &str) -> bool {
    let now = state.now;
    let Some(past) = state.editor.as_mut().map(|editor| &mut editor.past) else {
        return false;
    };
    if past
        .question
        .as_ref()
        .is_none_or(|question| question.request_id != request_id)
    {
        return false;
    }
    past.failure = past
        .question
        .take()
        .map(|question| (question.subject, now, reason.to_owned()));
    true
}
