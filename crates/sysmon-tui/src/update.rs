//! How an event changes the state. No I/O, no clock; what is to be done outside is returned.

use sysmon_api::wire;
use sysmon_core::UnixMillis;

use crate::event::{Effect, Event, TabRequest};
use crate::layout::layout;
use crate::state::{Link, MACHINE_SUBSCRIPTION, Notice, State, View};

mod alerts;
mod background;
mod burst;
pub(crate) mod choose;
mod editor;
pub(crate) mod export;
mod fleet;
mod keys;
mod link;
mod mouse;
mod palette;
mod panel;
mod past;
mod processes;
pub(crate) mod travel;

/// What is shown is not called silent before this.
const SILENT_AFTER_MS: u64 = 5_000;
/// How much later than three intervals of the machines it may come.
const SILENT_SLACK_MS: u64 = 2_000;
/// How much of the past is asked for.
const HISTORY_MS: u32 = 300_000;
/// A burst is told this often, however short its ticks are: a frame is what costs.
const BURST_PERIOD_MS: u32 = 1_000;

/// Takes an event and says what is to be done.
pub fn update(state: &mut State, event: Event) -> Vec<Effect> {
    // Rows change with data and with what the person does, not with time alone.
    let may_move_rows = !matches!(event, Event::Tick { .. } | Event::Frame(_) | Event::Pace { .. });
    let second = state.now.0.div_euclid(1_000);
    let mut effects = match event {
        Event::Tick {
            now,
            utc_offset_seconds,
        } => {
            tick(state, now, utc_offset_seconds);
            Vec::new()
        }
        Event::Key(key) => keys::press(state, key),
        Event::Paste(text) => {
            keys::paste(state, &text);
            Vec::new()
        }
        Event::Mouse(mouse) => mouse::mouse(state, mouse),
        Event::Resize { width, height } => {
            (state.width, state.height) = (width, height);
            state.mark_dirty();
            Vec::new()
        }
        Event::Link(event) => link::link(state, event),
        Event::Frame(report) => {
            state.console.meter.drawn(report, state.now);
            Vec::new()
        }
        Event::Pace { is_slow } => {
            if std::mem::replace(&mut state.console.is_slow, is_slow) != is_slow {
                state.mark_dirty();
            }
            Vec::new()
        }
        Event::Notice(text) => {
            notify(state, sysmon_core::sanitize(&text).into_owned());
            Vec::new()
        }
        Event::Shown(is_shown) => background::shown(state, is_shown),
        Event::Tab(number) => vec![Effect::Tab(TabRequest::Number(number))],
        Event::Escaped(key) => keys::press_escaped(state, key),
    };
    if state.console.is_readonly {
        effects.retain(|effect| !effect.changes_something());
    }
    if may_move_rows && !state.background.is_hidden {
        refresh_tables(state);
    }
    // The loop tells the time before every event: once a second is often enough for what depends on time alone.
    let is_awaited = wakes_at(state).is_some_and(|at| state.now >= at);
    if may_move_rows || is_awaited || state.now.0.div_euclid(1_000) != second {
        effects.extend(past::poll(state));
        effects.extend(travel::poll(state));
        effects.extend(alerts::poll(state));
        effects.extend(fleet::poll(state));
        effects.extend(burst::poll(state));
        processes::poll(state);
    }
    effects
}

/// When the state wants to be told the time even if nothing else happens.
pub(crate) fn wakes_at(state: &State) -> Option<UnixMillis> {
    let all = [
        past::wakes_at(state),
        editor::wakes_at(state),
        fleet::wakes_at(state),
        travel::wakes_at(state),
    ];
    all.into_iter().flatten().min()
}

fn tick(state: &mut State, now: UnixMillis, utc_offset_seconds: i32) {
    // The screen shows whole seconds: within one there is nothing new to draw.
    if now.0.div_euclid(1_000) != state.now.0.div_euclid(1_000)
        || utc_offset_seconds != state.utc_offset_seconds
    {
        state.mark_clock_dirty();
    }
    state.now = now;
    state.utc_offset_seconds = utc_offset_seconds;
    if state.notice.as_ref().is_some_and(|notice| now >= notice.until) {
        state.notice = None;
        state.mark_dirty();
    }
    let is_silent = is_silent(state);
    if std::mem::replace(&mut state.is_silent, is_silent) != is_silent {
        state.mark_dirty();
    }
}

/// Whether nothing has come for longer than the machines on screen measure. Of machines that do not report nothing is
/// expected, and nobody looks at a hidden tab, at a recording or at the past for what is current.
fn is_silent(state: &State) -> bool {
    let silence_ms = state.now.since_ms(state.received_at);
    let is_expected = state.link == Link::Live
        && state.replay.is_none()
        && !state.is_in_past()
        && !state.is_of_earlier
        && !state.background.is_hidden
        && !state.background.is_catching_up;
    if silence_ms <= SILENT_AFTER_MS || !is_expected {
        return false;
    }
    let is_reporting = |machine: &&sysmon_api::Machine| machine.liveness == sysmon_core::Liveness::Live;
    let interval_ms = match &state.view {
        View::Machine(_) => state
            .shown_machine()
            .filter(is_reporting)
            .map(crate::axis::interval_ms),
        View::Fleet | View::Alerts | View::Rules => {
            let machines = state.fleet.machines().map(|(_, machine)| machine);
            let interval_ms = machines.filter(is_reporting).map(crate::axis::interval_ms).min();
            interval_ms.map(|interval_ms| interval_ms.max(state.fleet_table.period_ms()))
        }
    };
    interval_ms.is_some_and(|interval_ms| silence_ms > interval_ms.saturating_mul(3) + SILENT_SLACK_MS)
}

/// Brings the visible table in line with data, order and window.
fn refresh_tables(state: &mut State) {
    let area = ratatui::layout::Rect::new(0, 0, state.width, state.height);
    let rows = layout(area, state).table_rows();
    match &state.view {
        View::Fleet => fleet::refresh(state, rows),
        View::Machine(id) => {
            if let Some(machine) = state.machine.find(id) {
                state.process_table.refresh(&machine.processes, state.now, rows);
            }
            processes::refreshed(state);
        }
        View::Alerts => {
            let alerts = &mut state.alerts;
            alerts.list.refresh(&alerts.board, &alerts.log, rows);
        }
        View::Rules => state.alerts.rules.refresh(&state.alerts.board, rows),
    }
}

/// Shows the view of a machine and asks for all of its data.
fn open_machine(state: &mut State, id: &std::sync::Arc<str>) -> Vec<Effect> {
    state.fleet_table.select(id);
    if matches!(state.view, View::Machine(_)) {
        // From one machine to the next: Esc goes back to where the first one was opened.
        return enter(state, View::Machine(id.clone()));
    }
    show(state, View::Machine(id.clone()))
}

/// The most views that Esc goes back through.
const TRAIL_MAX: usize = 8;

/// Shows another view; Esc comes back to this one.
fn show(state: &mut State, view: View) -> Vec<Effect> {
    if state.view == view {
        return Vec::new();
    }
    let before = state.view.clone();
    // A view is on the way once: going round in circles leads nowhere.
    state.trail.retain(|other| *other != view && *other != before);
    if view == View::Fleet {
        state.trail.clear();
    } else {
        state.trail.push(before);
    }
    let surplus = state.trail.len().saturating_sub(TRAIL_MAX);
    state.trail.drain(..surplus);
    enter(state, view)
}

/// Goes back to the view before.
fn leave(state: &mut State) -> Vec<Effect> {
    let view = state.trail.pop().unwrap_or(View::Fleet);
    enter(state, view)
}

/// Shows a view, and subscribes to what it needs.
fn enter(state: &mut State, view: View) -> Vec<Effect> {
    if state.view == view {
        return Vec::new();
    }
    let was_machine = matches!(state.view, View::Machine(_));
    // From one machine to the next the same is compared; whoever leaves has seen it.
    if !was_machine || !matches!(view, View::Machine(_)) {
        state.panels = crate::panel::Panels::default();
    }
    state.view = view;
    state.overlay = None;
    state.inspection.process = None;
    state.choosing = None;
    state.focus = None;
    state.mark_dirty();
    if was_machine {
        state.machine = sysmon_api::Replica::default();
    }
    if state.is_in_past() {
        // What is live goes on as it was when the past was entered.
        state.process_table.reset();
        state.past.failure = None;
        travel::entered(state);
        return Vec::new();
    }
    match &state.view {
        View::Machine(id) => {
            let subscription = machine_subscription(id);
            state.process_table.reset();
            // What failed for another machine may well be answered for this one.
            state.past.failure = None;
            state.past.is_young = false;
            vec![Effect::Send(subscription)]
        }
        _ if was_machine => vec![Effect::Send(wire::command::Body::Unsubscribe(
            wire::Unsubscribe {
                subscription: MACHINE_SUBSCRIPTION,
            },
        ))],
        _ => Vec::new(),
    }
}

/// Everything of one machine, as it comes; what a burst brings, several ticks at a time.
fn machine_subscription(id: &str) -> wire::command::Body {
    wire::command::Body::Subscribe(wire::Subscribe {
        subscription: MACHINE_SUBSCRIPTION,
        machine_ids: vec![id.to_owned()],
        processes: wire::ProcessDetail::All.into(),
        history_ms: HISTORY_MS,
        period_ms: BURST_PERIOD_MS,
        ..Default::default()
    })
}

/// Says something at the bottom for a few seconds.
fn notify(state: &mut State, text: impl Into<String>) {
    state.notice = Some(Notice {
        text: text.into(),
        until: state.now.plus_ms(6_000),
    });
    state.mark_dirty();
}
