//! Commands about the past on screen: going there, moving about, playing, coming back.

use sysmon_api::wire;
use sysmon_core::UnixMillis;

use super::{notify, past};
use crate::command::Command;
use crate::event::Effect;
use crate::layout::{charts_axis, layout};
use crate::moment;
use crate::state::travel::Trip;
use crate::state::{Link, MACHINE_SUBSCRIPTION, Prompt, PromptKind, State, View};
use crate::text_field::TextField;
use crate::words;

pub(super) mod ask;
pub(super) mod compare;
pub(super) mod log;
pub(super) mod marks;
pub(super) mod mouse;
pub(super) mod news;

/// Who asks for the past without a moment means this long ago.
const A_MOMENT_AGO_MS: i64 = 60_000;
/// What is closer to now than this is now.
const NOW_MS: u64 = 2_000;
/// A step where no chart is.
const FLEET_STEP_MS: i64 = 10_000;
/// Steps of a leap.
const LEAP: i64 = 10;

/// Carries out what has to do with the past, and refuses what would change something while it is shown; `None` for
/// everything else.
pub(super) fn run(state: &mut State, command: Command) -> Option<Vec<Effect>> {
    let effects = match command {
        Command::Past if state.is_in_past() => ask_for_moment(state),
        Command::Past => go_to(state, state.live_now().plus_ms(-A_MOMENT_AGO_MS)),
        Command::GoToMoment => ask_for_moment(state),
        Command::StepBack => step(state, -1),
        Command::StepForward => step(state, 1),
        Command::LeapBack => step(state, -LEAP),
        Command::LeapForward => step(state, LEAP),
        Command::PreviousMark => marks::seek(state, true),
        Command::NextMark => marks::seek(state, false),
        Command::Play => play(state),
        Command::Speed => speed(state),
        Command::Now => now(state),
        Command::Compare => compare::next(state),
        Command::LongerRange | Command::ShorterRange if state.is_in_past() => range(state, command),
        Command::Acknowledge | Command::Silence if state.is_in_past() && state.overlay.is_none() => {
            // What is still there can be acted on, and only that.
            return Some(with_live(state, |state| super::keys::run(state, command)));
        }
        Command::Silences | Command::Deliveries if state.is_in_past() => {
            notify(
                state,
                "silences and notifications are known as they are now: Esc returns there",
            );
            Vec::new()
        }
        Command::Open if state.is_in_past() && state.view == View::Rules => refuse(state),
        _ if changes_something(command) && state.is_in_past() => refuse(state),
        _ => return None,
    };
    Some(effects)
}

/// Whether a command changes what others see.
fn changes_something(command: Command) -> bool {
    matches!(
        command,
        Command::Threshold
            | Command::New
            | Command::Copy
            | Command::Delete
            | Command::Undo
            | Command::Toggle
            | Command::Resend
            | Command::Test
    )
}

fn refuse(state: &mut State) -> Vec<Effect> {
    notify(
        state,
        "this is the past, which cannot be changed: Esc returns to now",
    );
    Vec::new()
}

/// Does something to what is live while the past is on screen, as if it were not.
pub(super) fn with_live<T>(state: &mut State, act: impl FnOnce(&mut State) -> T) -> T {
    let Some(mut trip) = state.travel.trip.take() else {
        return act(state);
    };
    trip.exchange(state);
    let done = act(state);
    trip.exchange(state);
    state.travel.trip = Some(trip);
    done
}

/// Shows a moment: enters the past, or moves about in it.
pub(super) fn go_to(state: &mut State, at: UnixMillis) -> Vec<Effect> {
    if state.is_in_past() {
        return set_goal(state, at);
    }
    if state.link != Link::Live {
        notify(state, "not connected: the past cannot be shown");
    } else if !state.travel.is_possible {
        notify(
            state,
            "this aggregator cannot show the past; + shows more of it in charts",
        );
    } else if state.live_now().since_ms(at) < NOW_MS {
        notify(state, "that is now");
    } else {
        // What the charts of now have asked for is not for the charts of then.
        let question = state.past.question.take();
        state.begin_trip(at);
        log::show_alerts(state);
        let cancel = |request_id| Effect::Send(wire::command::Body::Cancel(wire::Cancel { request_id }));
        return question
            .map(|question| cancel(question.request_id))
            .into_iter()
            .collect();
    }
    Vec::new()
}

/// Wants another moment of the past; one that is as good as now ends it.
pub(super) fn set_goal(state: &mut State, at: UnixMillis) -> Vec<Effect> {
    let (now, live_now) = (state.now, state.live_now());
    if at > live_now || live_now.since_ms(at) < NOW_MS {
        return arrive(state);
    }
    let range = state.past.range();
    if let Some(trip) = &mut state.travel.trip {
        trip.goal = at;
        trip.changed_at = now;
        trip.problem = None;
        trip.seek = None;
        if !trip.is_dragging {
            trip.centre(range, live_now, false);
        }
    }
    state.mark_dirty();
    Vec::new()
}

/// How much one step is: what a column of the charts shows.
fn step_ms(state: &State) -> i64 {
    let area = ratatui::layout::Rect::new(0, 0, state.width, state.height);
    let axis = charts_axis(&layout(area, state), state, state.points_per_cell);
    let column_ms = |axis: crate::axis::Axis| axis.step_ms.saturating_mul(state.points_per_cell as u64);
    axis.map(column_ms)
        .and_then(|milliseconds| i64::try_from(milliseconds).ok())
        .map_or(FLEET_STEP_MS, |milliseconds| milliseconds.max(1_000))
}

fn step(state: &mut State, steps: i64) -> Vec<Effect> {
    let Some(goal) = state.travel.trip.as_ref().map(|trip| trip.goal) else {
        return Vec::new();
    };
    let by = step_ms(state).saturating_mul(steps);
    set_goal(state, goal.plus_ms(by))
}

fn play(state: &mut State) -> Vec<Effect> {
    let now = state.now;
    if let Some(trip) = &mut state.travel.trip {
        trip.is_playing = !trip.is_playing;
        trip.changed_at = now;
        trip.problem = None;
    }
    Vec::new()
}

fn speed(state: &mut State) -> Vec<Effect> {
    let now = state.now;
    if let Some(trip) = &mut state.travel.trip {
        trip.speed = trip.speed.next();
        trip.changed_at = now;
    }
    Vec::new()
}

fn range(state: &mut State, command: Command) -> Vec<Effect> {
    let range = state.past.range();
    let to = if command == Command::LongerRange {
        range.longer()
    } else {
        range.shorter()
    };
    past::change_range(state, to);
    let (range, live_now) = (state.past.range(), state.live_now());
    if let Some(trip) = &mut state.travel.trip {
        trip.centre(range, live_now, true);
    }
    Vec::new()
}

/// Asks for a moment in words.
fn ask_for_moment(state: &mut State) -> Vec<Effect> {
    state.travel.typed_wrong = None;
    state.prompt = Some(Prompt {
        kind: PromptKind::Moment,
        field: TextField::default(),
        before: String::new(),
    });
    Vec::new()
}

/// Goes to the moment that was typed; what is not understood stays to be mended.
pub(super) fn typed(state: &mut State, text: &str) -> Vec<Effect> {
    match moment::parse(text, state.live_now(), state.utc_offset_seconds) {
        Ok(at) => {
            state.prompt = None;
            go_to(state, at)
        }
        Err(reason) => {
            state.travel.typed_wrong = Some(reason);
            Vec::new()
        }
    }
}

/// Esc: takes back what was filtered since, then leaves the past.
fn now(state: &mut State) -> Vec<Effect> {
    let Some(trip) = &state.travel.trip else {
        return Vec::new();
    };
    let (machines, processes) = (
        trip.aside.fleet_table.filter_text().to_owned(),
        trip.entry.process_table.filter_text().to_owned(),
    );
    match state.view {
        View::Fleet if state.fleet_table.filter_text() != machines => state.fleet_table.set_filter(&machines),
        View::Machine(_) if state.process_table.filter_text() != processes => {
            state.process_table.set_filter(&processes);
        }
        _ => return leave(state),
    }
    Vec::new()
}

/// Back to now, and to where the person was.
pub(super) fn leave(state: &mut State) -> Vec<Effect> {
    state.end_trip(true).map(unsubscribe).unwrap_or_default()
}

/// The moment has come to now: the same view goes on with what is live.
pub(super) fn arrive(state: &mut State) -> Vec<Effect> {
    let live_view = state
        .travel
        .trip
        .as_ref()
        .and_then(|trip| trip.aside.view.clone());
    let Some(trip) = state.end_trip(false) else {
        return Vec::new();
    };
    let mut effects = unsubscribe(trip);
    let has_machine = matches!(live_view, Some(View::Machine(_)));
    if live_view.as_ref() != Some(&state.view) {
        match &state.view {
            View::Machine(id) => {
                let subscription = super::machine_subscription(id);
                state.machine = sysmon_api::Replica::default();
                effects.push(Effect::Send(subscription));
            }
            _ if has_machine => {
                state.machine = sysmon_api::Replica::default();
                let subscription = MACHINE_SUBSCRIPTION;
                let end = wire::Unsubscribe { subscription };
                effects.push(Effect::Send(wire::command::Body::Unsubscribe(end)));
            }
            _ => {}
        }
    }
    notify(state, "this is now");
    effects
}

fn unsubscribe(trip: Trip) -> Vec<Effect> {
    [trip.fleet, trip.machine]
        .into_iter()
        .filter_map(|mut channel| ask::close(&mut channel))
        .collect()
}

/// Another view is on screen: what it shows may be of another moment.
pub(super) fn entered(state: &mut State) {
    let is_machine = matches!(state.view, View::Machine(_));
    if let Some(trip) = &mut state.travel.trip {
        if is_machine {
            trip.machine.shown = None;
        }
        trip.shown = trip.fleet.shown;
    }
}

/// When something is to be asked without any further event.
pub(super) fn wakes_at(state: &State) -> Option<UnixMillis> {
    ask::wakes_at(state)
}

/// Asks what is to be asked at this moment.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    let mut effects = ask::poll(state);
    effects.extend(log::poll(state));
    effects.extend(marks::poll(state));
    effects.extend(compare::poll(state));
    effects
}

/// The moment of a step in the log, in the words of a notice.
pub(super) fn at_words(state: &State, at: UnixMillis) -> String {
    words::moment(state, at, state.live_now())
}
