//! The alerts of the moment on screen.

use sysmon_api::{transition_from_wire, wire};

use crate::event::Effect;
use crate::state::travel::log::Log;
use crate::state::{Link, State};

/// An answer that has not come after this is not waited for.
const ANSWER_TIMEOUT_MS: u64 = 20_000;

/// Puts the alerts of the moment on screen, as far as they are known; until they are, those of the picture before stay.
pub(super) fn show_alerts(state: &mut State) {
    let Some(trip) = &state.travel.trip else { return };
    let at = trip.moment();
    let is_known = trip.log.covers(at) || trip.log.is_closed;
    let alerts = if is_known {
        trip.log.alerts_at(at, &trip.aside.board)
    } else {
        state.alerts.board.alerts().cloned().collect()
    };
    let board = trip.aside.board.at_moment(at, alerts, trip.log.steps.clone());
    state.alerts.board = board;
    state.alerts.list.mark_stale();
    state.alerts.rules.mark_stale();
}

/// Asks for the steps around the moment when they are not known.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    let (now, live_now) = (state.now, state.live_now());
    let is_kept = state.alerts.is_ready() && state.link == Link::Live;
    let Some(trip) = &mut state.travel.trip else {
        return Vec::new();
    };
    let log = &mut trip.log;
    if log
        .question
        .is_some_and(|(_, _, asked_at)| now.since_ms(asked_at) >= ANSWER_TIMEOUT_MS)
    {
        log.question = None;
        log.is_closed = true;
    }
    let Some(at) = trip.shown.filter(|at| is_kept && !log.covers(*at)) else {
        return Vec::new();
    };
    if log.is_closed || log.question.is_some() {
        return Vec::new();
    }
    // The newest steps first: mostly they reach back far enough. Else those up to the moment, which always do.
    let is_before = log.from.is_some_and(|from| at < from);
    let to = if is_before { at.plus_ms(1) } else { live_now };
    let request = wire::AlertLogRequest {
        to_unix_ms: if is_before { to.0 } else { 0 },
        limit: Log::PAGE,
        ..Default::default()
    };
    let request_id = state.travel.next_request();
    if let Some(trip) = &mut state.travel.trip {
        trip.log.question = Some((request_id, to, now));
    }
    vec![Effect::Ask {
        request_id,
        body: wire::command::Body::AlertLog(request),
    }]
}

/// Takes a page of the log.
pub(super) fn answer(state: &mut State, request_id: u64, page: &wire::AlertLog) {
    let Some(trip) = &mut state.travel.trip else {
        return;
    };
    let Some((_, to, _)) = trip.log.question.take_if(|(asked, _, _)| *asked == request_id) else {
        return;
    };
    let steps = page
        .transitions
        .iter()
        .filter_map(|step| transition_from_wire(step).ok());
    let mut steps: Vec<_> = steps.take(Log::PAGE as usize).collect();
    steps.sort_by_key(|step| std::cmp::Reverse(step.at));
    let is_whole = page.transitions.len() < Log::PAGE as usize;
    trip.log.take(steps, to, is_whole);
    show_alerts(state);
}

/// A question was refused; says whether it was one for the alerts of the moment.
pub(super) fn refused(state: &mut State, request_id: u64) -> bool {
    let Some(trip) = &mut state.travel.trip else {
        return false;
    };
    let is_ours = trip.log.question.is_some_and(|(asked, _, _)| asked == request_id);
    if is_ours {
        trip.log.question = None;
        trip.log.is_closed = true;
        show_alerts(state);
    }
    is_ours
}
