//! Dry runs: asked when nothing has changed for a moment, the one before taken back.

use sysmon_api::{rule_to_wire, wire};
use sysmon_core::UnixMillis;

use crate::event::Effect;
use crate::state::alerts::Action;
use crate::state::editor::{Report, TRIAL_MS, Trial};
use crate::state::past::Keeping;
use crate::state::{Link, State};
use crate::update::alerts::{ask, last_request};

/// Changes that follow each other are waited for so long.
const SETTLE_MS: u64 = 150;
/// The gRPC status of what was taken back.
const CANCELLED: u32 = 1;

/// The draft is another one: it is to be played.
pub(super) fn changed(state: &mut State) {
    let since = state.now;
    let can_ask = state.link == Link::Live && state.past.keeping == Keeping::Kept;
    let Some(editor) = state.editor.as_mut() else {
        return;
    };
    editor.refusal = None;
    if let Trial::Running { request_id } = editor.trial {
        // Taken back when the next one is asked; until then its answer is not of this draft.
        editor.stale_trial = Some(request_id);
    }
    editor.trial = if can_ask {
        Trial::Waiting { since }
    } else {
        Trial::None
    };
}

/// Takes the run back that is under way.
pub(super) fn cancel(state: &mut State) -> Vec<Effect> {
    let Some(editor) = state.editor.as_mut() else {
        return Vec::new();
    };
    let running = match editor.trial {
        Trial::Running { request_id } => Some(request_id),
        _ => None,
    };
    let mut effects = Vec::new();
    for request_id in running.into_iter().chain(editor.stale_trial.take()) {
        if state.alerts.asked.remove(&request_id).is_some() && state.link == Link::Live {
            let cancel = wire::Cancel { request_id };
            effects.push(Effect::Send(wire::command::Body::Cancel(cancel)));
        }
    }
    effects
}

/// Asks when the draft has settled.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    let Some(editor) = state.editor.as_ref() else {
        return Vec::new();
    };
    let Trial::Waiting { since } = editor.trial else {
        return Vec::new();
    };
    // A clock that was set back must not hold the run up for ever.
    if state.now >= since && state.now.since_ms(since) < SETTLE_MS {
        return Vec::new();
    }
    let to = state.aggregator_now();
    let request = wire::DryRunRequest {
        rule: Some(rule_to_wire(&editor.draft)),
        from_unix_ms: to.plus_ms(-i64::try_from(TRIAL_MS).unwrap_or(0)).0,
        to_unix_ms: to.0,
        machine_ids: Vec::new(),
    };
    let mut effects = cancel(state);
    let asked = ask(state, Action::DryRun, wire::command::Body::DryRun(request));
    let request_id = last_request(state);
    if let Some(editor) = state.editor.as_mut() {
        editor.trial = if asked.is_empty() {
            Trial::None
        } else {
            editor.trial_to = to;
            Trial::Running { request_id }
        };
    }
    effects.extend(asked);
    effects
}

/// When the draft will have settled.
pub(in crate::update) fn wakes_at(state: &State) -> Option<UnixMillis> {
    match state.editor.as_ref()?.trial {
        Trial::Waiting { since } => Some(since.plus_ms(i64::try_from(SETTLE_MS).unwrap_or(0))),
        _ => None,
    }
}

/// The answer: shown when it is of the draft as it is.
pub(in crate::update) fn report(state: &mut State, request_id: u64, reply: &wire::DryRunReply) {
    state.alerts.asked.remove(&request_id);
    let Some(editor) = state.editor.as_mut() else {
        return;
    };
    if editor.trial == (Trial::Running { request_id }) {
        editor.report = Some(Report::from_wire(reply, editor.trial_to));
        editor.trial = Trial::Done;
    }
}

/// It cannot be played.
pub(in crate::update) fn trial_refused(state: &mut State, request_id: u64, code: u32, reason: String) {
    let Some(editor) = state.editor.as_mut() else {
        return;
    };
    if editor.trial != (Trial::Running { request_id }) {
        return;
    }
    editor.report = None;
    editor.trial = if code == CANCELLED {
        Trial::None
    } else {
        Trial::Failed(reason)
    };
}

/// A connection stands again: what was on its way is asked anew.
pub(in crate::update) fn connected(state: &mut State) {
    if state.editor.is_some() {
        changed(state);
    }
}

/// The connection is gone; whether the rule was saved is not known when it was on its way.
pub(in crate::update) fn disconnected(state: &mut State) {
    let Some(editor) = state.editor.as_mut() else {
        return;
    };
    // A report of the rule as it is stays one.
    if editor.trial != Trial::Done {
        editor.trial = Trial::None;
    }
    editor.stale_trial = None;
    editor.past.question = None;
    if editor.saving.take().is_some() {
        editor.refusal = Some("the connection broke while the rule was saved: look whether it was".into());
    }
}
