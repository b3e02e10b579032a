//! A tab leaves the screen and comes back: meanwhile it costs its aggregator and its link next to nothing.

use sysmon_api::wire;
use sysmon_core::MetricId;

use crate::event::Effect;
use crate::state::background::SUMMARY_SUBSCRIPTION;
use crate::state::{FLEET_SUBSCRIPTION, Link, MACHINE_SUBSCRIPTION, State, View};

use super::{fleet, machine_subscription, travel};

/// Totals are told no oftener than this.
const SUMMARY_PERIOD_MS: u32 = 5_000;

/// Another tab is on screen now, or no longer.
pub(super) fn shown(state: &mut State, is_shown: bool) -> Vec<Effect> {
    if state.background.is_hidden != is_shown {
        return Vec::new();
    }
    state.background.is_hidden = !is_shown;
    state.mark_dirty();
    if is_shown {
        return travel::with_live(state, come_back);
    }
    let now = state.now;
    if let Some(trip) = &mut state.travel.trip {
        // Nobody sees it play.
        (trip.is_playing, trip.is_dragging, trip.changed_at) = (false, false, now);
    }
    travel::with_live(state, leave)
}

/// Subscribes to the totals instead of everything. What is known stays, to be shown at once on the way back.
fn leave(state: &mut State) -> Vec<Effect> {
    state.background.is_catching_up = false;
    if state.link != Link::Live {
        return Vec::new();
    }
    let mut effects = Vec::new();
    if matches!(state.view, View::Machine(_)) {
        effects.push(unsubscribe(MACHINE_SUBSCRIPTION));
    }
    effects.extend(summarise(state, true));
    effects
}

/// The summary instead of the fleet, where the aggregator knows how to send one row of many; nothing where it does not.
fn summarise(state: &mut State, has_fleet: bool) -> Vec<Effect> {
    let feed = &mut state.fleet_table.feed;
    if !feed.has_windows {
        return Vec::new();
    }
    (feed.sent, feed.pending) = (None, None);
    state.background.has_summary = true;
    let end = has_fleet.then(|| unsubscribe(FLEET_SUBSCRIPTION));
    let begin = wire::command::Body::Subscribe(wire::Subscribe {
        subscription: SUMMARY_SUBSCRIPTION,
        metrics: vec![MetricId::CpuBusy.name().to_owned()],
        processes: wire::ProcessDetail::None.into(),
        period_ms: SUMMARY_PERIOD_MS,
        window: Some(wire::Window {
            order: "name".to_owned(),
            rows: 1,
            ..Default::default()
        }),
        ..Default::default()
    });
    end.into_iter().chain([Effect::Send(begin)]).collect()
}

/// Everything that is on screen is asked for again.
fn come_back(state: &mut State) -> Vec<Effect> {
    let had_summary = std::mem::take(&mut state.background.has_summary);
    if state.link != Link::Live {
        return Vec::new();
    }
    let mut effects = Vec::new();
    if had_summary {
        effects.push(unsubscribe(SUMMARY_SUBSCRIPTION));
        effects.push(fleet::subscribe(state));
    }
    if let View::Machine(id) = &state.view {
        effects.push(Effect::Send(machine_subscription(id)));
    }
    // Where nothing is known yet there is nothing old to be told from what is new.
    state.background.is_catching_up = !effects.is_empty() && state.fleet.is_complete();
    effects
}

/// A connection stands, and nobody looks.
pub(super) fn connected(state: &mut State, capabilities: &[String]) -> Vec<Effect> {
    let fleet = fleet::connected(state, capabilities);
    let summary = summarise(state, false);
    if summary.is_empty() { vec![fleet] } else { summary }
}

/// Takes what is told of a fleet that is not on screen.
pub(super) fn take(state: &mut State, update: &wire::Update) {
    if !state.background.has_summary {
        return;
    }
    if let Some(totals) = update.totals {
        state.background.totals = Some(totals);
    }
}

/// An update of what is on screen was taken: whether all of that has come.
pub(super) fn caught_up(state: &mut State, subscription: u32) {
    if subscription == FLEET_SUBSCRIPTION {
        // The fleet itself tells its totals.
        state.background.totals = None;
    }
    let is_whole = match (&state.view, subscription) {
        (View::Machine(_), MACHINE_SUBSCRIPTION) => state.machine.is_complete(),
        (View::Fleet | View::Alerts | View::Rules, FLEET_SUBSCRIPTION) => state.fleet.is_complete(),
        _ => false,
    };
    if is_whole && std::mem::take(&mut state.background.is_catching_up) {
        state.mark_dirty();
    }
}

/// The connection is gone: nothing stands any more.
pub(super) fn disconnected(state: &mut State) {
    state.background.has_summary = false;
    state.background.is_catching_up = false;
}

fn unsubscribe(subscription: u32) -> Effect {
    Effect::Send(wire::command::Body::Unsubscribe(wire::Unsubscribe {
        subscription,
    }))
}
