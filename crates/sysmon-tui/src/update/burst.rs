//! Has the machine on screen measured more often, for as long as it is on screen.

use sysmon_api::{CAPABILITY_BURST, wire};

use crate::event::Effect;
use crate::state::{State, View};

/// How long a lease lasts; whatever happens to this client, the burst ends then.
const LEASE_MS: u32 = 30_000;
/// A lease is asked for again when it is this old.
const RENEW_MS: u64 = 10_000;

/// A connection stands.
pub(super) fn connected(state: &mut State, capabilities: &[String]) {
    state.burst.is_offered = capabilities.iter().any(|word| word == CAPABILITY_BURST);
    // The lease went with the connection that it was asked for on.
    state.burst.lease = None;
}

/// Asks for what is on screen, and ends what is not.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    // Nobody looks at what a machine does now while the past is on screen.
    let is_in_past = state.is_in_past();
    let burst = &mut state.burst;
    if !burst.is_offered || burst.interval_ms == 0 || state.link != crate::state::Link::Live {
        return Vec::new();
    }
    let wanted = match &state.view {
        View::Machine(id) if !is_in_past && !state.background.is_hidden => Some(id),
        _ => None,
    };
    let mut effects = Vec::new();
    if let Some((leased, _)) = burst.lease.take_if(|(leased, _)| Some(&*leased) != wanted) {
        effects.push(lease(&leased, 0, 0));
    }
    if let Some(id) = wanted {
        let is_due = burst
            .lease
            .as_ref()
            .is_none_or(|(_, asked_at)| state.now.since_ms(*asked_at) >= RENEW_MS);
        if is_due {
            burst.lease = Some((id.clone(), state.now));
            effects.push(lease(id, burst.interval_ms, LEASE_MS));
        }
    }
    effects
}

fn lease(machine_id: &str, interval_ms: u32, duration_ms: u32) -> Effect {
    Effect::Send(wire::command::Body::BurstLease(wire::BurstLease {
        machine_id: machine_id.to_owned(),
        interval_ms,
        duration_ms,
    }))
}
