//! When the past is subscribed to: once for a burst of steps, and never more than two subscriptions at a time.

use sysmon_api::wire;
use sysmon_core::UnixMillis;

use crate::event::Effect;
use crate::state::travel::{Channel, FIRST_TRIP, FIRST_TRIP_SUBSCRIPTION, Refused, Stream, Target};
use crate::state::{Link, State, View};
use crate::update::fleet::whole_fleet as fleet_subscription;
use crate::update::machine_subscription;

/// Steps that follow each other are waited for so long before anything is asked.
const SETTLE_MS: u64 = 120;
/// Who has not asked for so long need not wait.
const IDLE_MS: u64 = 400;
/// What is under way is given so long before something newer is asked instead.
const PATIENCE_MS: u64 = 600;
/// An answer that has not come after this is not waited for.
const ANSWER_TIMEOUT_MS: u64 = 20_000;
/// After a failure nothing is asked for so long.
pub(super) const RETRY_MS: i64 = 10_000;

/// Which of the two subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Fleet,
    Machine,
}

/// What a kind of subscription is wanted to show; `None` when it is not wanted to change.
fn wanted(state: &State, kind: Kind) -> Option<Target> {
    let trip = state.travel.trip.as_ref()?;
    let speed = if trip.is_playing { trip.speed.times() } else { 0 };
    let (live, speed) = match (kind, &state.view) {
        (Kind::Machine, View::Machine(id)) => (machine_subscription(id), speed),
        (Kind::Machine, _) => return None,
        // Behind a machine the fleet is needed for the way to its neighbours: once, and standing still.
        (Kind::Fleet, View::Machine(_)) => {
            let is_due = trip.fleet.shown.is_none() && trip.fleet.stream.is_none();
            if !is_due || trip.machine.shown.is_none() {
                return None;
            }
            (fleet_subscription(), 0)
        }
        (Kind::Fleet, _) => (fleet_subscription(), speed),
    };
    let wire::command::Body::Subscribe(wish) = live else {
        return None;
    };
    Some(Target {
        at: trip.goal,
        speed,
        wish,
    })
}

/// From when on a target may be asked for; `None` when it is not to be asked for at all.
fn due_at(channel: &Channel, target: &Target, changed_at: UnixMillis) -> Option<UnixMillis> {
    let later = |at: UnixMillis, milliseconds: u64| at.plus_ms(i64::try_from(milliseconds).unwrap_or(0));
    if let Some(refused) = channel
        .refused
        .as_ref()
        .filter(|refused| refused.target == *target)
    {
        return refused.retry_at;
    }
    let settled = later(changed_at, SETTLE_MS);
    match &channel.stream {
        None => Some(changed_at),
        Some(stream) if stream.target == *target => None,
        Some(stream) if stream.incoming.is_some() => Some(settled.max(later(stream.asked_at, PATIENCE_MS))),
        Some(stream) => Some(settled.min(later(stream.asked_at, IDLE_MS))),
    }
}

fn channel(state: &State, kind: Kind) -> Option<&Channel> {
    let trip = state.travel.trip.as_ref()?;
    Some(match kind {
        Kind::Fleet => &trip.fleet,
        Kind::Machine => &trip.machine,
    })
}

pub(super) fn channel_mut(state: &mut State, kind: Kind) -> Option<&mut Channel> {
    let trip = state.travel.trip.as_mut()?;
    Some(match kind {
        Kind::Fleet => &mut trip.fleet,
        Kind::Machine => &mut trip.machine,
    })
}

fn next_due(state: &State, kind: Kind) -> Option<(Target, UnixMillis)> {
    let target = wanted(state, kind)?;
    let changed_at = state.travel.trip.as_ref()?.changed_at;
    let at = due_at(channel(state, kind)?, &target, changed_at)?;
    Some((target, at))
}

/// When something is to be asked without any further event.
pub(super) fn wakes_at(state: &State) -> Option<UnixMillis> {
    if state.link != Link::Live {
        return None;
    }
    let due = [Kind::Machine, Kind::Fleet].map(|kind| next_due(state, kind).map(|(_, at)| at));
    due.into_iter().flatten().min()
}

/// Subscribes to what is wanted and due, and ends what is no longer on screen.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    let mut effects = Vec::new();
    if state.link != Link::Live {
        return effects;
    }
    let is_machine = matches!(state.view, View::Machine(_));
    if let Some(trip) = &mut state.travel.trip {
        // Nobody sees the fleet play behind a machine, nor a machine that was left.
        let is_hidden_play = |stream: &Stream| stream.target.speed > 0;
        if is_machine && trip.fleet.stream.as_ref().is_some_and(is_hidden_play) {
            effects.extend(close(&mut trip.fleet));
        }
        if !is_machine {
            effects.extend(close(&mut trip.machine));
        }
    }
    for kind in [Kind::Machine, Kind::Fleet] {
        give_up_on_silence(state, kind, &mut effects);
        if let Some((target, at)) = next_due(state, kind)
            && state.now >= at
        {
            effects.extend(ask(state, kind, target));
        }
    }
    effects
}

fn give_up_on_silence(state: &mut State, kind: Kind, effects: &mut Vec<Effect>) {
    let now = state.now;
    let Some(channel) = channel_mut(state, kind).filter(|channel| channel.is_awaited()) else {
        return;
    };
    let Some(stream) = &channel.stream else { return };
    if now.since_ms(stream.asked_at) < ANSWER_TIMEOUT_MS {
        return;
    }
    channel.refused = Some(Refused {
        target: stream.target.clone(),
        retry_at: Some(now.plus_ms(RETRY_MS)),
    });
    effects.extend(close(channel));
    if let Some(trip) = &mut state.travel.trip {
        trip.problem = Some("the aggregator does not answer in time".into());
    }
    state.mark_dirty();
}

fn ask(state: &mut State, kind: Kind, target: Target) -> Vec<Effect> {
    let request_id = state.travel.next_request();
    let number = u32::try_from((request_id - FIRST_TRIP) % u64::from(u32::MAX / 2)).unwrap_or(0);
    let subscription = FIRST_TRIP_SUBSCRIPTION + number;
    let body = wire::command::Body::Subscribe(wire::Subscribe {
        subscription,
        at_unix_ms: Some(target.at.0),
        speed: target.speed,
        ..target.wish.clone()
    });
    let asked_at = state.now;
    let Some(channel) = channel_mut(state, kind) else {
        return Vec::new();
    };
    let mut effects: Vec<Effect> = close(channel).into_iter().collect();
    channel.refused = None;
    channel.stream = Some(Stream {
        subscription,
        request_id,
        target,
        asked_at,
        incoming: Some(sysmon_api::Replica::default()),
    });
    effects.push(Effect::Ask { request_id, body });
    effects
}

/// Ends a subscription; what it has brought stays on screen. It may have ended already, as one does that has come to now:
/// the answer is under a number that nobody waits for.
pub(super) fn close(channel: &mut Channel) -> Option<Effect> {
    let subscription = channel.stream.take()?.subscription;
    let end = wire::Unsubscribe { subscription };
    Some(Effect::Ask {
        request_id: FIRST_TRIP,
        body: wire::command::Body::Unsubscribe(end),
    })
}
