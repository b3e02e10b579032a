//! What a person does with alerts, rules, silences and deliveries.

use std::sync::Arc;

use sysmon_api::{alert_key_to_wire, rule_to_wire, silence_to_wire, wire};
use sysmon_core::MetricId;
use sysmon_core::alert::{AlertKey, Rule};

use super::ask;
use crate::event::Effect;
use crate::state::alerts::Action;
use crate::state::alerts::board::DeliveryState;
use crate::state::alerts::scope::metric_check;
use crate::state::silencing::SilenceForm;
use crate::state::{Focus, Overlay, OverlayKind, Prompt, PromptKind, State, View};
use crate::text_field::TextField;
use crate::update::{notify, show, travel};

/// The alert under the cursor, if it is still one.
fn selected(state: &mut State) -> Option<AlertKey> {
    let key = state.alerts.list.selected_key(&state.alerts.log).cloned();
    let key = key.filter(|key| state.alerts.board.alert(key).is_some());
    if key.is_none() {
        notify(
            state,
            "there is no alert under the cursor: what is over cannot be changed",
        );
    }
    key
}

/// Opens the machine of the selected alert, with a chart of its metric.
pub(in crate::update) fn open(state: &mut State) -> Vec<Effect> {
    let Some(key) = state.alerts.list.selected_key(&state.alerts.log).cloned() else {
        return Vec::new();
    };
    let step_at = state.alerts.list.selected_step_at(&state.alerts.log);
    // Of a large fleet only some machines are here.
    let is_known = state.fleet_table.is_windowed() || state.fleet.find(key.machine.as_str()).is_some();
    if !is_known {
        notify(state, format!("{} is not known to this aggregator", key.machine));
        return Vec::new();
    }
    let stored = state.alerts.board.rule(&key.rule);
    let metric = stored
        .and_then(|stored| metric_check(&stored.rule))
        .and_then(|check| MetricId::from_name(&check.quantity.metric));
    let id: Arc<str> = key.machine.as_str().into();
    // A step of the log is shown as it was at that moment.
    let mut effects = match step_at {
        Some(at) if state.travel.is_possible => travel::go_to(state, at),
        _ => Vec::new(),
    };
    state.fleet_table.select(&id);
    effects.extend(show(state, View::Machine(id)));
    state.focus = metric.map(|metric| Focus {
        metric,
        entity: Arc::clone(&key.entity),
    });
    effects
}

/// Asks for a comment, or takes the acknowledgement back.
pub(in crate::update) fn acknowledge(state: &mut State) -> Vec<Effect> {
    let Some(key) = selected(state) else {
        return Vec::new();
    };
    let alert = state.alerts.board.alert(&key);
    if alert.is_some_and(|alert| alert.acknowledged.is_some()) {
        let body = wire::Acknowledge {
            key: Some(alert_key_to_wire(&key)),
            comment: String::new(),
            until_unix_ms: None,
            clear: true,
        };
        let done = Action::Say(format!("{} is not acknowledged any more", name(state, &key)));
        return ask(state, done, wire::command::Body::Acknowledge(body));
    }
    state.prompt = Some(Prompt {
        kind: PromptKind::Acknowledge(key),
        field: TextField::default(),
        before: String::new(),
    });
    Vec::new()
}

/// Acknowledges with a comment.
pub(in crate::update) fn acknowledge_with(state: &mut State, key: &AlertKey, comment: &str) -> Vec<Effect> {
    let body = wire::Acknowledge {
        key: Some(alert_key_to_wire(key)),
        comment: comment.trim().to_owned(),
        until_unix_ms: None,
        clear: false,
    };
    let done = Action::Say(format!("{} acknowledged", name(state, key)));
    ask(state, done, wire::command::Body::Acknowledge(body))
}

fn name(state: &State, key: &AlertKey) -> String {
    format!("{} on {}", state.alerts.board.title(&key.rule), key.machine)
}

/// Opens the form for a silence.
pub(in crate::update) fn silence(state: &mut State) {
    if let Some(key) = selected(state) {
        state.silencing = Some(SilenceForm::new(key));
    }
}

/// Makes the silence of the form.
pub(in crate::update) fn make_silence(state: &mut State) -> Vec<Effect> {
    // It begins now, whatever moment is on screen.
    let now = state.live_now();
    let Some(form) = state.silencing.as_mut() else {
        return Vec::new();
    };
    if !form.commit() {
        return Vec::new();
    }
    let silence = form.silence(now);
    let what = crate::words::alerts::silence(&state.alerts.board, &silence);
    let length = state
        .silencing
        .take()
        .map_or_else(String::new, |form| form.length_text());
    let done = Action::Say(format!("silenced for {length}: {what}"));
    ask(
        state,
        done,
        wire::command::Body::AddSilence(silence_to_wire(&silence)),
    )
}

/// The line that a list over the view is scrolled to.
fn line(state: &State, kind: OverlayKind) -> Option<usize> {
    let overlay = state.overlay.filter(|overlay| overlay.kind == kind)?;
    Some(overlay.scroll.into())
}

/// Opens a list over the view.
pub(in crate::update) fn list(state: &mut State, kind: OverlayKind) {
    state.overlay = Some(Overlay { kind, scroll: 0 });
}

/// Ends the selected silence.
pub(in crate::update) fn end_silence(state: &mut State) -> Vec<Effect> {
    let silences = state.alerts.board.silences();
    let at = line(state, OverlayKind::Silences).map(|at| at.min(silences.len().saturating_sub(1)));
    let Some(silence) = at.and_then(|at| silences.get(at)) else {
        return Vec::new();
    };
    let what = crate::words::alerts::silence(&state.alerts.board, silence);
    let body = wire::EndSilence {
        silence_id: silence.id.0,
    };
    let done = Action::Say(format!("silence ended: {what}"));
    ask(state, done, wire::command::Body::EndSilence(body))
}

/// Sends the selected notification again.
pub(in crate::update) fn resend(state: &mut State) -> Vec<Effect> {
    let board = &state.alerts.board;
    let Some(at) = line(state, OverlayKind::Deliveries) else {
        return Vec::new();
    };
    // Receivers are listed first.
    let delivery = at
        .checked_sub(board.receivers().len())
        .and_then(|at| board.deliveries().get(at));
    match delivery {
        Some(delivery) if delivery.state == DeliveryState::Dead => {
            let body = wire::ResendDelivery {
                delivery_id: delivery.id.clone(),
            };
            let done = Action::Say(format!("{} gets it again", delivery.receiver));
            ask(state, done, wire::command::Body::ResendDelivery(body))
        }
        Some(_) => {
            notify(state, "this one is still being tried: it needs no help yet");
            Vec::new()
        }
        None => {
            notify(state, "choose a notification that failed; T tests a receiver");
            Vec::new()
        }
    }
}

/// Sends a test to the selected receiver, or to that of the selected notification.
pub(in crate::update) fn test_receiver(state: &mut State) -> Vec<Effect> {
    let board = &state.alerts.board;
    let Some(at) = line(state, OverlayKind::Deliveries) else {
        return Vec::new();
    };
    let receiver = board.receivers().get(at).cloned().or_else(|| {
        let at = at.checked_sub(board.receivers().len())?;
        board
            .deliveries()
            .get(at)
            .map(|delivery| delivery.receiver.clone())
    });
    let Some(receiver) = receiver else {
        return Vec::new();
    };
    let done = Action::Say(format!("{receiver} has taken a test"));
    let body = wire::TestReceiver { receiver };
    ask(state, done, wire::command::Body::TestReceiver(body))
}

/// Shows the rule of the selected alert among the rules.
pub(in crate::update) fn go_to_rule(state: &mut State) -> Vec<Effect> {
    let rule = state
        .alerts
        .list
        .selected_key(&state.alerts.log)
        .map(|key| key.rule.clone());
    match rule.filter(|id| state.alerts.board.rule(id).is_some()) {
        Some(id) => {
            state.alerts.rules.set_filter("");
            state.alerts.rules.select(&id);
            show(state, View::Rules)
        }
        None => {
            notify(state, "there is no such rule any more");
            Vec::new()
        }
    }
}

/// Turns the selected rule on or off.
pub(in crate::update) fn toggle_rule(state: &mut State) -> Vec<Effect> {
    let board = &state.alerts.board;
    let Some(stored) = state.alerts.rules.selected().and_then(|id| board.rule(id)) else {
        return Vec::new();
    };
    let rule = Rule {
        enabled: !stored.rule.enabled,
        ..stored.rule.clone()
    };
    let word = if rule.enabled { "on" } else { "off" };
    let what = format!("{} is {word}", board.title(&stored.rule.id));
    let version = stored.version;
    ask(state, Action::Put(what), put(&rule, version))
}

/// Removes the selected rule.
pub(in crate::update) fn delete_rule(state: &mut State) -> Vec<Effect> {
    let board = &state.alerts.board;
    let Some(stored) = state.alerts.rules.selected().and_then(|id| board.rule(id)) else {
        return Vec::new();
    };
    let body = wire::DeleteRuleRequest {
        rule_id: stored.rule.id.to_string(),
        expected_version: stored.version,
    };
    let action = Action::Delete(Box::new(stored.rule.clone()));
    ask(state, action, wire::command::Body::DeleteRule(body))
}

/// Puts the rule back that was removed last.
pub(in crate::update) fn undo(state: &mut State) -> Vec<Effect> {
    let Some(removed) = state.alerts.removed.take() else {
        notify(state, "nothing was removed within the last minute");
        return Vec::new();
    };
    let what = format!("{} is back", removed.rule.id);
    let id = removed.rule.id.clone();
    let effects = ask(state, Action::Put(what), put(&removed.rule, 0));
    if effects.is_empty() {
        // Not sent: it can still be put back later.
        state.alerts.removed = Some(removed);
    } else {
        state.alerts.rules.select(&id);
    }
    effects
}

/// The command that puts a rule over the version that was seen; 0 makes it.
pub(in crate::update) fn put(rule: &Rule, expected_version: u64) -> wire::command::Body {
    wire::command::Body::PutRule(wire::PutRuleRequest {
        rule: Some(rule_to_wire(rule)),
        expected_version,
    })
}
