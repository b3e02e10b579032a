//! The board of alerts, commands about it, and what becomes of them.

use sysmon_api::{CAPABILITY_ALERTS, Code, transition_from_wire, wire};
use sysmon_core::sanitize;

use crate::event::Effect;
use crate::state::alerts::board::StoredRule;
use crate::state::alerts::{Action, Alerts, Asked, FIRST_ACTION, Log, Removed, Watching};
use crate::state::{Link, State};

use super::{editor, notify};

pub(super) mod commands;

/// An answer that has not come after this is not waited for.
const ANSWER_TIMEOUT_MS: u64 = 20_000;
/// For how long a rule that was removed can be put back.
const UNDO_MS: i64 = 60_000;
/// How much of the log is asked for at once.
const LOG_PAGE: u32 = 200;

/// Sends a command about alerts and remembers what it is for.
pub(super) fn ask(state: &mut State, action: Action, body: wire::command::Body) -> Vec<Effect> {
    if state.link != Link::Live {
        notify(state, "not connected: nothing was changed");
        return Vec::new();
    }
    let alerts = &mut state.alerts;
    if alerts.asked.len() >= Alerts::ASKED_MAX {
        notify(state, "too much is under way: wait for the aggregator to answer");
        return Vec::new();
    }
    let request_id = FIRST_ACTION + alerts.asked_count;
    alerts.asked_count += 1;
    let asked = Asked {
        action,
        at: state.now,
    };
    alerts.asked.insert(request_id, asked);
    vec![Effect::Ask { request_id, body }]
}

/// The number of the newest command.
pub(super) fn last_request(state: &State) -> u64 {
    FIRST_ACTION + state.alerts.asked_count.saturating_sub(1)
}

/// A connection stands: the board is asked for where there is one.
pub(super) fn connected(state: &mut State, capabilities: &[String]) -> Vec<Effect> {
    state.alerts.asked.clear();
    if !capabilities.iter().any(|word| word == CAPABILITY_ALERTS) {
        state.alerts.watching = Watching::NotKept;
        return Vec::new();
    }
    state.alerts.watching = Watching::Loading;
    let watch = wire::command::Body::WatchAlerts(wire::WatchAlerts {});
    let effects = ask(state, Action::Watch, watch);
    editor::connected(state);
    effects
}

/// The connection is gone: of what is under way nobody knows whether it was done.
pub(super) fn disconnected(state: &mut State) {
    let asked = std::mem::take(&mut state.alerts.asked);
    state.alerts.log.is_loading = false;
    let unsure = asked.into_values().find_map(|asked| match asked.action {
        Action::Say(what) | Action::Put(what) => Some(what),
        Action::Delete(rule) => Some(format!("{} removed", rule.id)),
        Action::Watch | Action::Log | Action::Save | Action::DryRun => None,
    });
    if let Some(what) = unsure {
        notify(
            state,
            format!("the connection broke: unknown whether this was done: {what}"),
        );
    }
    editor::disconnected(state);
}

/// Takes what changed on the board; tells the person of what has become critical.
pub(super) fn board(state: &mut State, message: &wire::AlertBoard) -> Vec<Effect> {
    let began = state.alerts.board.apply(message);
    // Whoever tells has taken the question, whatever became of the word for it.
    state
        .alerts
        .asked
        .retain(|_, asked| asked.action != Action::Watch);
    if !message.more {
        state.alerts.watching = Watching::Ready;
    }
    state.alerts.list.mark_stale();
    state.alerts.rules.mark_stale();
    let Some(first) = began.first() else {
        return Vec::new();
    };
    let mut text = format!(
        "{} critical on {}",
        state.alerts.board.title(&first.rule),
        first.machine
    );
    if !first.entity.is_empty() {
        text.push_str(&format!(" {}", first.entity));
    }
    if began.len() > 1 {
        text.push_str(&format!(" and {} more", began.len() - 1));
    }
    vec![Effect::Announce(sanitize(&text).into_owned())]
}

fn take(state: &mut State, request_id: u64) -> Option<Action> {
    state.alerts.asked.remove(&request_id).map(|asked| asked.action)
}

/// A command was carried out.
pub(super) fn accepted(state: &mut State, request_id: u64) {
    if let Some(Action::Say(what)) = take(state, request_id) {
        notify(state, what);
    }
}

/// A rule was put or removed, or somebody else was faster.
pub(super) fn changed(state: &mut State, request_id: u64, reply: &wire::ChangeReply) -> Vec<Effect> {
    let stored = reply.stored.as_ref().and_then(StoredRule::from_wire);
    match take(state, request_id) {
        Some(Action::Save) => return editor::saved(state, reply.conflict, stored),
        Some(Action::Put(_) | Action::Delete(_)) if reply.conflict => {
            let by = stored.map_or_else(
                || "it is gone".to_owned(),
                |stored| format!("{} changed it just now", sanitize(&stored.changed_by)),
            );
            notify(state, format!("nothing was done: {by}; look at it and try again"));
        }
        Some(Action::Put(what)) => notify(state, what),
        Some(Action::Delete(rule)) => {
            notify(state, format!("{} removed; u puts it back", rule.id));
            state.alerts.removed = Some(Removed {
                rule: *rule,
                until: state.now.plus_ms(UNDO_MS),
            });
        }
        _ => {}
    }
    Vec::new()
}

/// A part of the log.
pub(super) fn log(state: &mut State, request_id: u64, part: &wire::AlertLog) {
    if take(state, request_id) != Some(Action::Log) {
        return;
    }
    let log = &mut state.alerts.log;
    log.is_loading = false;
    log.problem = None;
    let count = part.transitions.len();
    let oldest = log.steps.last().map_or(i64::MAX, |(id, _)| *id);
    let steps = part.transitions.iter().filter_map(|step| {
        let id = step.transition_id;
        Some((id, transition_from_wire(step).ok()?)).filter(|_| id < oldest)
    });
    log.steps.extend(steps);
    log.steps.truncate(Log::LIMIT);
    log.is_whole = count < LOG_PAGE as usize || log.steps.len() >= Log::LIMIT;
    state.alerts.list.mark_stale();
}

/// Shows the log, or asks for more of it.
pub(super) fn more_history(state: &mut State) -> Vec<Effect> {
    let log = &mut state.alerts.log;
    let is_first = !std::mem::replace(&mut log.is_shown, true);
    state.alerts.list.mark_stale();
    if log.is_loading {
        return Vec::new();
    }
    if is_first {
        log.steps.clear();
        log.is_whole = false;
    }
    if log.is_whole {
        notify(state, "there is nothing older in the log");
        return Vec::new();
    }
    let before = log.steps.last().map_or(0, |(id, _)| *id);
    let request = wire::AlertLogRequest {
        before,
        limit: LOG_PAGE,
        ..Default::default()
    };
    let effects = ask(state, Action::Log, wire::command::Body::AlertLog(request));
    state.alerts.log.is_loading = !effects.is_empty();
    effects
}

/// A command was refused. Says whether it was one about alerts.
pub(super) fn refused(state: &mut State, request_id: u64, code: u32, reason: &str) -> bool {
    if request_id < FIRST_ACTION {
        return false;
    }
    let reason = sanitize(reason).into_owned();
    let is_forbidden = code == Code::PermissionDenied as u32;
    match take(state, request_id) {
        Some(Action::Watch) => state.alerts.watching = Watching::Refused(reason),
        Some(Action::Log) => {
            state.alerts.log.is_loading = false;
            state.alerts.log.problem = Some(reason);
        }
        Some(Action::Save) => editor::save_refused(state, reason, is_forbidden),
        Some(Action::DryRun) => editor::trial_refused(state, request_id, code, reason),
        Some(Action::Say(_) | Action::Put(_) | Action::Delete(_)) => {
            let before = if is_forbidden { "not allowed: " } else { "" };
            notify(state, format!("{before}{reason}"));
        }
        None => {}
    }
    true
}

/// Gives up on what is not answered, and forgets what cannot be undone any more.
pub(super) fn poll(state: &mut State) -> Vec<Effect> {
    let now = state.now;
    if state
        .alerts
        .removed
        .as_ref()
        .is_some_and(|removed| now >= removed.until)
    {
        state.alerts.removed = None;
        state.mark_dirty();
    }
    let is_late = |asked: &Asked| now.since_ms(asked.at) >= ANSWER_TIMEOUT_MS;
    let late: Vec<u64> = state
        .alerts
        .asked
        .iter()
        .filter(|(_, asked)| is_late(asked))
        .map(|(request_id, _)| *request_id)
        .collect();
    for request_id in late {
        let code = Code::Unavailable as u32;
        refused(state, request_id, code, "the aggregator does not answer in time");
    }
    editor::poll(state)
}
