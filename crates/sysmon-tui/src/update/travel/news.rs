//! What the connection brings about the past, and what becomes of the past when the connection goes.

use sysmon_api::{CAPABILITY_PAST, Code, wire};
use sysmon_core::{UnixMillis, sanitize};

use super::ask::{Kind, RETRY_MS, channel_mut, close};
use super::{arrive, compare, leave, log, marks, with_live};
use crate::event::{Effect, LinkEvent};
use crate::state::travel::{FIRST_TRIP, FIRST_TRIP_SUBSCRIPTION, Refused};
use crate::state::{State, View};
use crate::update::link::link;
use crate::update::notify;

/// An update that does not follow is asked for anew only after this.
const RESYNC_MS: i64 = 1_000;

/// Takes what is about the past, and keeps what is live up to date while the past is on screen; `None` for everything
/// else.
pub(in crate::update) fn news(state: &mut State, event: &LinkEvent) -> Option<Vec<Effect>> {
    if let Some(effects) = answered(state, event) {
        state.mark_dirty();
        return Some(effects);
    }
    match event {
        LinkEvent::Update(_) | LinkEvent::Alerts(_) if state.is_in_past() => {
            // Nobody sees it now: nothing is to be drawn.
            let was_dirty = state.is_dirty();
            let effects = live(state, event);
            if !was_dirty {
                state.take_dirty();
            }
            Some(effects)
        }
        LinkEvent::Connected { capabilities } if state.is_in_past() => {
            let mut effects = live(state, event);
            effects.extend(connected(state, capabilities));
            Some(effects)
        }
        LinkEvent::Connected { capabilities } => {
            state.travel.is_possible = can_show_past(capabilities);
            compare::connected(state);
            None
        }
        LinkEvent::Failed { .. } if state.is_in_past() => {
            let effects = live(state, event);
            disconnected(state);
            Some(effects)
        }
        _ => None,
    }
}

/// Takes what was asked from here; `None` for everything else.
fn answered(state: &mut State, event: &LinkEvent) -> Option<Vec<Effect>> {
    let is_ours = |request_id: &u64| *request_id >= FIRST_TRIP;
    match event {
        LinkEvent::Update(update) if update.subscription >= FIRST_TRIP_SUBSCRIPTION => {
            Some(take(state, update))
        }
        // The picture follows: nobody waits for word that it will.
        LinkEvent::Accepted { request_id } if is_ours(request_id) => Some(Vec::new()),
        LinkEvent::Refused {
            request_id,
            code,
            reason,
        } if is_ours(request_id) => Some(refused(state, *request_id, *code, reason)),
        LinkEvent::History { request_id, chunk } if is_ours(request_id) => {
            compare::chunk(state, *request_id, chunk);
            Some(Vec::new())
        }
        LinkEvent::AlertLog { request_id, log } if is_ours(request_id) => {
            let effects = marks::answer(state, *request_id, log);
            if effects.is_none() {
                log::answer(state, *request_id, log);
            }
            Some(effects.unwrap_or_default())
        }
        _ => None,
    }
}

/// Has what is live take its news, behind the past.
fn live(state: &mut State, event: &LinkEvent) -> Vec<Effect> {
    with_live(state, |state| link(state, event.clone()))
}

fn can_show_past(capabilities: &[String]) -> bool {
    capabilities.iter().any(|word| word == CAPABILITY_PAST)
}

/// A connection stands again: the moment on screen is asked for anew.
fn connected(state: &mut State, capabilities: &[String]) -> Vec<Effect> {
    state.mark_dirty();
    state.travel.is_possible = can_show_past(capabilities);
    compare::connected(state);
    // The charts of the past have a history of their own.
    let keeping = state
        .travel
        .trip
        .as_ref()
        .map(|trip| trip.aside.past.keeping)
        .unwrap_or_default();
    state.past.keeping = keeping;
    state.past.question = None;
    state.past.failure = None;
    let now = state.now;
    if let Some(trip) = &mut state.travel.trip {
        for channel in [&mut trip.fleet, &mut trip.machine] {
            channel.stream = None;
            channel.refused = None;
        }
        trip.log.question = None;
        trip.seek = None;
        trip.problem = None;
        trip.changed_at = now;
    }
    if !state.travel.is_possible {
        let effects = leave(state);
        notify(state, "this aggregator cannot show the past: this is now");
        return effects;
    }
    Vec::new()
}

fn disconnected(state: &mut State) {
    state.mark_dirty();
    state.past.question = None;
    state.past.waiting = None;
    if let Some(trip) = &mut state.travel.trip {
        trip.fleet.stream = None;
        trip.machine.stream = None;
        trip.log.question = None;
        trip.seek = None;
    }
}

/// Which subscription a number belongs to.
fn kind_of(state: &State, is_it: impl Fn(&crate::state::travel::Stream) -> bool) -> Option<Kind> {
    let trip = state.travel.trip.as_ref()?;
    if trip.machine.stream.as_ref().is_some_and(&is_it) {
        return Some(Kind::Machine);
    }
    trip.fleet
        .stream
        .as_ref()
        .is_some_and(&is_it)
        .then_some(Kind::Fleet)
}

/// The subscription that the view on screen shows.
fn leading(state: &State) -> Kind {
    match state.view {
        View::Machine(_) => Kind::Machine,
        _ => Kind::Fleet,
    }
}

fn take(state: &mut State, update: &wire::Update) -> Vec<Effect> {
    let Some(kind) = kind_of(state, |stream| stream.subscription == update.subscription) else {
        // Of one that has ended meanwhile.
        return Vec::new();
    };
    let received = wire::UpdateReceived {
        subscription: update.subscription,
        number: update.number,
    };
    let mut effects = vec![Effect::Send(wire::command::Body::UpdateReceived(received))];
    let Some(stream) = channel_mut(state, kind).and_then(|channel| channel.stream.as_mut()) else {
        return Vec::new();
    };
    let before = stream.target.at;
    let followed = match stream.incoming.as_mut() {
        Some(incoming) => incoming.apply(update),
        None => match kind {
            Kind::Fleet => state.fleet.apply(update),
            Kind::Machine => state.machine.apply(update),
        },
    };
    if followed.is_err() {
        return ask_anew(state, kind);
    }
    if update.more {
        return effects;
    }
    let live_now = state.live_now();
    let Some(channel) = channel_mut(state, kind) else {
        return effects;
    };
    let Some(stream) = channel.stream.as_mut() else {
        return effects;
    };
    let told = UnixMillis(update.at_unix_ms);
    let at = if told.0 > 0 { told.min(live_now) } else { before };
    let is_playing = stream.target.speed > 0;
    stream.target.at = at;
    channel.shown = Some(at);
    if let Some(replica) = stream.incoming.take() {
        match kind {
            Kind::Fleet => state.fleet = replica,
            Kind::Machine => state.machine = replica,
        }
        state.reorder();
    }
    if kind == leading(state) {
        show(state, at, before);
        let is_over = is_playing && live_now.since_ms(at) < super::NOW_MS;
        if update.caught_up || is_over {
            effects.extend(arrive(state));
        }
    }
    effects
}

/// The picture of a moment is on screen; when it plays, the moment goes on from where it was `before`.
fn show(state: &mut State, at: UnixMillis, before: UnixMillis) {
    let (range, live_now) = (state.past.range(), state.live_now());
    if let Some(trip) = &mut state.travel.trip {
        trip.shown = Some(at);
        trip.problem = None;
        // Who wants to be elsewhere meanwhile is not taken along.
        if trip.goal == before {
            trip.goal = at;
            trip.centre(range, live_now, false);
        }
    }
    log::show_alerts(state);
}

/// What came does not follow from what came before: all of it is asked for anew, though not at once.
fn ask_anew(state: &mut State, kind: Kind) -> Vec<Effect> {
    let retry_at = state.now.plus_ms(RESYNC_MS);
    let Some(channel) = channel_mut(state, kind) else {
        return Vec::new();
    };
    channel.refused = channel.stream.as_ref().map(|stream| Refused {
        target: stream.target.clone(),
        retry_at: Some(retry_at),
    });
    close(channel).into_iter().collect()
}

fn refused(state: &mut State, request_id: u64, code: u32, reason: &str) -> Vec<Effect> {
    let reason = sanitize(reason).into_owned();
    if compare::refused(state, request_id, &reason)
        || marks::refused(state, request_id, &reason)
        || log::refused(state, request_id)
    {
        return Vec::new();
    }
    let Some(kind) = kind_of(state, |stream| stream.request_id == request_id) else {
        return Vec::new();
    };
    let is_passing = code == Code::Unavailable as u32 || code == Code::ResourceExhausted as u32;
    let retry_at = is_passing.then(|| state.now.plus_ms(RETRY_MS));
    if let Some(channel) = channel_mut(state, kind)
        && let Some(stream) = channel.stream.take()
    {
        channel.refused = Some(Refused {
            target: stream.target,
            retry_at,
        });
    }
    if kind != leading(state) {
        return Vec::new();
    }
    let (range, live_now) = (state.past.range(), state.live_now());
    let Some(trip) = &mut state.travel.trip else {
        return Vec::new();
    };
    trip.is_playing = trip.is_playing && is_passing;
    if is_passing {
        trip.problem = Some(reason);
        return Vec::new();
    }
    let effects = match trip.shown {
        // There is nothing at that moment: the picture stays, and so does the moment.
        Some(shown) => {
            trip.goal = shown;
            trip.centre(range, live_now, false);
            Vec::new()
        }
        None => leave(state),
    };
    notify(state, reason);
    effects
}
