//! News from the connection.

use std::sync::Arc;

use sysmon_api::wire;

use crate::event::{Effect, LinkEvent};
use crate::state::background::SUMMARY_SUBSCRIPTION;
use crate::state::fleet::marks::NAMES_SUBSCRIPTION;
use crate::state::{FLEET_SUBSCRIPTION, Link, MACHINE_SUBSCRIPTION, State, View};

use super::{
    alerts, background, burst, editor, fleet, leave, machine_subscription, notify, open_machine, past,
    processes, travel,
};

pub(super) fn link(state: &mut State, event: LinkEvent) -> Vec<Effect> {
    if let Some(effects) = travel::news::news(state, &event) {
        return effects;
    }
    // In the view of a machine nothing of the fleet's table is on screen: no frame for what nobody sees.
    let is_hidden = matches!(&event, LinkEvent::Update(update) if update.subscription == FLEET_SUBSCRIPTION)
        && state.machine.is_complete()
        && matches!(state.view, View::Machine(_))
        && state.editor.is_none();
    if !is_hidden {
        state.mark_dirty();
    }
    match event {
        LinkEvent::Connected { capabilities } => connected(state, &capabilities),
        LinkEvent::Failed { reason, permanent } => {
            failed(state, &reason, permanent);
            Vec::new()
        }
        LinkEvent::Refused {
            request_id,
            code,
            reason,
        } => refused(state, request_id, code, &reason),
        LinkEvent::History { request_id, chunk } => {
            if !editor::chunk(state, request_id, &chunk) {
                past::chunk(state, request_id, &chunk);
            }
            Vec::new()
        }
        LinkEvent::Storage(status) => {
            past::storage(state, &status);
            Vec::new()
        }
        LinkEvent::Alerts(board) => alerts::board(state, &board),
        LinkEvent::Accepted { request_id } | LinkEvent::Silence { request_id, .. } => {
            if let Some(effects) = fleet::answered(state, request_id, None) {
                return effects;
            }
            alerts::accepted(state, request_id);
            Vec::new()
        }
        LinkEvent::ProcessDetails { request_id, details } => {
            processes::answered(state, request_id, &details);
            Vec::new()
        }
        LinkEvent::Change { request_id, reply } => alerts::changed(state, request_id, &reply),
        LinkEvent::DryRun { request_id, reply } => {
            editor::report(state, request_id, &reply);
            Vec::new()
        }
        LinkEvent::AlertLog { request_id, log } => {
            alerts::log(state, request_id, &log);
            Vec::new()
        }
        LinkEvent::Update(update) => take(state, &update),
    }
}

/// A command was refused: whoever asked for it takes note.
fn refused(state: &mut State, request_id: u64, code: u32, reason: &str) -> Vec<Effect> {
    if let Some(effects) = fleet::answered(state, request_id, Some(reason)) {
        return effects;
    }
    if !processes::refused(state, request_id, code, reason)
        && !alerts::refused(state, request_id, code, reason)
    {
        past::refused(state, request_id, code, reason);
    }
    Vec::new()
}

/// A connection stands: what is on screen is asked for, or of what is not only the totals.
fn connected(state: &mut State, capabilities: &[String]) -> Vec<Effect> {
    state.link = Link::Live;
    // Until the fleet is told, what is shown is of an earlier connection, or of an earlier console.
    state.background.is_catching_up = state.fleet.is_complete() && !state.background.is_hidden;
    past::connected(state, capabilities);
    burst::connected(state, capabilities);
    processes::connected(state, capabilities);
    let mut effects = if state.background.is_hidden {
        background::connected(state, capabilities)
    } else {
        let fleet = fleet::connected(state, capabilities);
        std::iter::once(fleet).chain(subscribe_machine(state)).collect()
    };
    effects.extend(alerts::connected(state, capabilities));
    effects
}

/// The connection is gone, or there never was one.
fn failed(state: &mut State, reason: &str, permanent: bool) {
    let reason = sysmon_core::sanitize(reason).into_owned();
    let since = match &state.link {
        Link::Down { since, .. } => *since,
        // What an earlier console left is as old as that.
        Link::Connecting if state.is_of_earlier => state.received_at,
        Link::Connecting | Link::Live => state.now,
    };
    past::disconnected(state);
    alerts::disconnected(state);
    processes::disconnected(state);
    fleet::disconnected(state);
    background::disconnected(state);
    state.link = Link::Down {
        since,
        reason,
        permanent,
    };
}

/// The machine on screen, asked for anew.
fn subscribe_machine(state: &State) -> Option<Effect> {
    match &state.view {
        View::Machine(id) => Some(Effect::Send(machine_subscription(id))),
        _ => None,
    }
}

fn take(state: &mut State, update: &wire::Update) -> Vec<Effect> {
    state.console.meter.updated(update, state.now);
    state.received_at = state.now;
    state.aggregator_at = sysmon_core::UnixMillis(update.now_unix_ms);
    let received = wire::UpdateReceived {
        subscription: update.subscription,
        number: update.number,
    };
    let received = Effect::Send(wire::command::Body::UpdateReceived(received));
    let followed = match update.subscription {
        FLEET_SUBSCRIPTION => {
            state.is_of_earlier &= !update.snapshot;
            let followed = state.fleet.apply(update);
            state.fleet_table.take(update);
            followed
        }
        NAMES_SUBSCRIPTION => return fleet::take_names(state, update),
        SUMMARY_SUBSCRIPTION => {
            background::take(state, update);
            return vec![received];
        }
        MACHINE_SUBSCRIPTION => state.machine.apply(update),
        // Of a subscription that has ended meanwhile.
        _ => return Vec::new(),
    };
    if followed.is_err() {
        return match (&state.view, update.subscription) {
            (_, FLEET_SUBSCRIPTION) => vec![fleet::subscribe(state)],
            (View::Machine(id), _) => vec![Effect::Send(machine_subscription(id))],
            _ => Vec::new(),
        };
    }
    background::caught_up(state, update.subscription);
    let mut effects = vec![received];
    effects.extend(leave_gone_machine(state));
    effects.extend(open_only_machine(state));
    effects
}

/// A console that was left on a machine which has gone since shows the fleet: nobody asked for that machine today.
fn leave_gone_machine(state: &mut State) -> Vec<Effect> {
    let View::Machine(id) = &state.view else {
        return Vec::new();
    };
    // What was there last time says nothing of today.
    if state.is_of_earlier || state.is_catching_up() {
        return Vec::new();
    }
    if !state.is_machine_remembered || state.touched || state.shown_machine().is_some() {
        state.is_machine_remembered = false;
        return Vec::new();
    }
    // An aggregator that knows nobody yet has only just begun.
    let is_known_by_now = state.machine.is_complete() && state.fleet.is_complete();
    let totals = state.fleet.totals();
    if !is_known_by_now || totals.live + totals.stale + totals.lost == 0 {
        return Vec::new();
    }
    state.is_machine_remembered = false;
    let text = format!("{id}, where you were last time, is not known to this aggregator any more");
    notify(state, text);
    leave(state)
}

/// Somebody who starts the console of this machine wants to see it: it is opened, unless the person has chosen otherwise.
fn open_only_machine(state: &mut State) -> Vec<Effect> {
    if !state.opens_only_machine
        || state.touched
        || state.view != View::Fleet
        || !state.fleet.is_complete()
        || state.fleet.machines().len() != 1
    {
        return Vec::new();
    }
    let id: Option<Arc<str>> = state
        .fleet
        .machines()
        .next()
        .map(|(_, machine)| Arc::clone(&machine.id));
    id.map(|id| open_machine(state, &id)).unwrap_or_default()
}
