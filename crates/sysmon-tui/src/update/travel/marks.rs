//! From one thing that happened to the next: steps of alerts, reboots, and gaps.

use sysmon_api::{transition_from_wire, wire};
use sysmon_core::alert::{Phase, Transition};
use sysmon_core::{MetricId, UnixMillis};

use super::{at_words, set_goal};
use crate::event::Effect;
use crate::state::travel::Seek;
use crate::state::{Link, State, View};
use crate::update::notify;

/// Steps that are asked for: those between that are no marks are passed over.
const STEPS_MAX: u32 = 50;
/// An answer that has not come after this is not waited for.
const ANSWER_TIMEOUT_MS: u64 = 5_000;
/// Boot times are told by clocks in whole seconds: what is closer than this is the same boot.
const BOOT_TOLERANCE_MS: i64 = 2_000;

/// Looks for the nearest mark before or after the moment.
pub(super) fn seek(state: &mut State, is_backwards: bool) -> Vec<Effect> {
    let Some(goal) = state.travel.trip.as_ref().map(|trip| trip.goal) else {
        return Vec::new();
    };
    if !state.alerts.is_ready() || state.link != Link::Live {
        return go(state, goal, is_backwards, None);
    }
    let machine_ids = match &state.view {
        View::Machine(id) => vec![id.to_string()],
        _ => Vec::new(),
    };
    let request = wire::AlertLogRequest {
        machine_ids,
        from_unix_ms: if is_backwards { 0 } else { goal.0.saturating_add(1) },
        to_unix_ms: if is_backwards { goal.0 } else { 0 },
        limit: STEPS_MAX,
        oldest_first: !is_backwards,
        ..Default::default()
    };
    let request_id = state.travel.next_request();
    let asked_at = state.now;
    if let Some(trip) = &mut state.travel.trip {
        trip.seek = Some(Seek {
            request_id,
            from: goal,
            is_backwards,
            asked_at,
        });
    }
    vec![Effect::Ask {
        request_id,
        body: wire::command::Body::AlertLog(request),
    }]
}

/// Goes to the nearest mark of what is known, when the log does not answer.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    let now = state.now;
    let Some(trip) = &mut state.travel.trip else {
        return Vec::new();
    };
    let is_late = |seek: &mut Seek| now.since_ms(seek.asked_at) >= ANSWER_TIMEOUT_MS;
    match trip.seek.take_if(is_late) {
        Some(seek) => go(state, seek.from, seek.is_backwards, None),
        None => Vec::new(),
    }
}

/// Takes the answer of the log; `None` when it is one to another question.
pub(super) fn answer(state: &mut State, request_id: u64, log: &wire::AlertLog) -> Option<Vec<Effect>> {
    let trip = state.travel.trip.as_mut()?;
    let seek = trip.seek.take_if(|seek| seek.request_id == request_id)?;
    let steps: Vec<Transition> = log
        .transitions
        .iter()
        .filter_map(|step| transition_from_wire(step).ok())
        .collect();
    let is_beyond = |step: &&Transition| {
        if seek.is_backwards {
            step.at < seek.from
        } else {
            step.at > seek.from
        }
    };
    let steps = steps.iter().filter(is_beyond).filter(|step| is_mark(step));
    let nearest = nearest(steps.map(|step| step.at), seek.is_backwards);
    Some(go(state, seek.from, seek.is_backwards, nearest))
}

/// The log was not told; says whether that was for a mark.
pub(super) fn refused(state: &mut State, request_id: u64, reason: &str) -> bool {
    let Some(trip) = &mut state.travel.trip else {
        return false;
    };
    let is_ours = trip.seek.take_if(|seek| seek.request_id == request_id).is_some();
    if is_ours {
        notify(state, reason);
    }
    is_ours
}

/// What is drawn as a mark too: an alert that begins to fire or gets worse, and one that is over.
fn is_mark(step: &Transition) -> bool {
    match step.to {
        Phase::Firing => step.from != Phase::NoData,
        Phase::Resolved => true,
        _ => false,
    }
}

fn nearest(moments: impl Iterator<Item = UnixMillis>, is_backwards: bool) -> Option<UnixMillis> {
    if is_backwards {
        moments.max()
    } else {
        moments.min()
    }
}

/// Goes to the nearest of a step of an alert and of what is known of the machine on screen.
fn go(state: &mut State, from: UnixMillis, is_backwards: bool, step: Option<UnixMillis>) -> Vec<Effect> {
    let is_beyond = |at: &UnixMillis| if is_backwards { *at < from } else { *at > from };
    let mut known = of_machine(state);
    known.retain(is_beyond);
    let nearest = nearest(known.into_iter().chain(step), is_backwards);
    let live_now = state.live_now();
    match nearest.filter(|at| *at <= live_now) {
        Some(at) => set_goal(state, at),
        None => {
            let side = if is_backwards { "before" } else { "after" };
            let at = at_words(state, from);
            let text = format!("no alert, reboot or gap is known {side} {at}");
            notify(state, text);
            Vec::new()
        }
    }
}

/// Ends of gaps, and boots, of the machine on screen.
fn of_machine(state: &State) -> Vec<UnixMillis> {
    let Some(machine) = state.shown_machine() else {
        return Vec::new();
    };
    let gaps = state.chart_gaps(machine);
    let mut moments: Vec<UnixMillis> = gaps.iter().flat_map(|gap| [gap.from, gap.to]).collect();
    let boot = |uptime: Option<f64>, at: UnixMillis| {
        let milliseconds = (uptime.filter(|uptime| *uptime >= 0.0)? * 1_000.0) as i64;
        Some(at.plus_ms(milliseconds.saturating_neg()))
    };
    let then = boot(
        machine.recent.value(MetricId::Uptime),
        machine
            .recent
            .times()
            .back()
            .copied()
            .unwrap_or(machine.last_seen),
    );
    let live = state
        .travel
        .trip
        .as_ref()
        .and_then(|trip| trip.live_machine(&machine.id));
    let now = live.and_then(|live| boot(live.recent.value(MetricId::Uptime), *live.recent.times().back()?));
    // The boot that it still runs from is one mark, however exactly it is known.
    let is_same = then
        .zip(now)
        .is_some_and(|(then, now)| (now.0 - then.0).abs() <= BOOT_TOLERANCE_MS);
    moments.extend(then);
    moments.extend(now.filter(|_| !is_same));
    moments
}
