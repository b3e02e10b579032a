//! Commands about the processes of a machine: the tree, following one, its details, signals.

use std::sync::Arc;

use sysmon_api::{CAPABILITY_PROCESSES, Code, wire};
use sysmon_core::{Process, clip, sanitize};

use super::{alerts, notify, panel};
use crate::command::Command;
use crate::event::Effect;
use crate::state::alerts::Action;
use crate::state::inspect::{Answer, FIRST_INSPECTION, Inspected, SIGNALS};
use crate::state::processes::Found;
use crate::state::{Link, Overlay, OverlayKind, State, View};

/// An aggregator answers within three seconds; one that does not is not waited for.
const ANSWER_TIMEOUT_MS: u64 = 6_000;

/// A connection stands.
pub(super) fn connected(state: &mut State, capabilities: &[String]) {
    state.inspection.is_offered = capabilities.iter().any(|word| word == CAPABILITY_PROCESSES);
}

/// There is no connection any more.
pub(super) fn disconnected(state: &mut State) {
    if let Some(inspected) = &mut state.inspection.process
        && matches!(inspected.answer, Answer::Asking { .. })
    {
        inspected.answer = Answer::None("the connection broke before the answer came".into());
    }
}

/// Carries out what has to do with processes; `None` for everything else.
pub(super) fn run(state: &mut State, command: Command) -> Option<Vec<Effect>> {
    if !matches!(state.view, View::Machine(_)) {
        return None;
    }
    let is_about_rows = matches!(
        command,
        Command::Tree | Command::Follow | Command::Signal | Command::NextMatch | Command::PreviousMatch
    );
    if state.overlay.is_none() && is_about_rows {
        panel::focus_processes(state);
    }
    match (state.overlay.map(|overlay| overlay.kind), command) {
        (None, Command::Tree) => state.process_table.toggle_tree(),
        (None, Command::Follow) => follow(state),
        (None, Command::NextMatch) => search_again(state, true),
        (None, Command::PreviousMatch) => search_again(state, false),
        (None, Command::Open) => return Some(open_details(state)),
        (None | Some(OverlayKind::Process), Command::Signal) => open_signals(state),
        (Some(OverlayKind::Process), Command::Open) => return Some(ask(state)),
        (Some(OverlayKind::Signals), Command::Open) => choose(state),
        (Some(OverlayKind::Signals), Command::Back) => {
            let shows_details = state.inspection.shows_details;
            state.overlay = shows_details.then_some(over(OverlayKind::Process, 0));
        }
        (Some(OverlayKind::Confirm), Command::Back) => {
            let at = u16::try_from(state.inspection.signal).unwrap_or(0);
            state.overlay = Some(over(OverlayKind::Signals, at));
        }
        (Some(OverlayKind::Confirm), Command::Confirm) => return Some(send(state)),
        _ => return None,
    }
    Some(Vec::new())
}

fn over(kind: OverlayKind, scroll: u16) -> Overlay {
    Overlay { kind, scroll }
}

fn follow(state: &mut State) {
    let View::Machine(id) = &state.view else { return };
    let Some(machine) = state.machine.find(id) else {
        notify(state, "no processes yet");
        return;
    };
    state.process_table.toggle_follow(&machine.processes);
}

fn search_again(state: &mut State, is_forward: bool) {
    let table = match &state.view {
        View::Machine(id) => state.machine.find(id).map(|machine| &machine.processes),
        _ => None,
    };
    let text = clip(&sanitize(state.process_table.searched()), 24).into_owned();
    if text.is_empty() {
        notify(state, "nothing was searched for yet: / searches");
        return;
    }
    let found = table.map(|table| state.process_table.search_again(table, is_forward));
    match found {
        None | Some(Found::Nothing) => notify(state, format!("no process here matches {text}")),
        Some(Found::Only) => notify(state, format!("no other process here matches {text}")),
        Some(Found::Row { is_around: true }) if is_forward => notify(state, "again from the top"),
        Some(Found::Row { is_around: true }) => notify(state, "again from the bottom"),
        Some(Found::Row { is_around: false }) => {}
    }
}

/// Says that the process that was followed has ended, and takes note of what became of the one that is looked into.
pub(super) fn refreshed(state: &mut State) {
    if let Some(ended) = state.process_table.take_ended() {
        let name = name_of(&ended.name);
        notify(
            state,
            format!("{name} ({}), which was followed, has ended", ended.key.pid),
        );
    }
    let View::Machine(id) = &state.view else { return };
    if let Some(inspected) = &mut state.inspection.process
        && let Some(machine) = state.machine.find(id).filter(|_| inspected.machine == *id)
    {
        match machine.processes.get(inspected.process.key) {
            Some(process) => {
                inspected.process.clone_from(process);
                inspected.has_ended = false;
            }
            // Of a list of the busiest alone somebody may be missing and live on.
            None => inspected.has_ended = machine.processes.is_complete(),
        }
    }
}

/// A name for a sentence.
fn name_of(name: &str) -> String {
    clip(&sanitize(name), 24).into_owned()
}

/// The process under the cursor, or the first one.
fn chosen(state: &State) -> Option<(Arc<str>, Process)> {
    let View::Machine(id) = &state.view else {
        return None;
    };
    let first = state.process_table.rows().first().copied();
    let key = state.process_table.selected().or(first)?;
    let process = state.machine.find(id)?.processes.get(key)?;
    Some((Arc::clone(id), process.clone()))
}

fn look_into(state: &mut State) -> bool {
    let Some((machine, process)) = chosen(state) else {
        notify(state, "there is no process under the cursor");
        return false;
    };
    state.inspection.process = Some(Inspected {
        machine,
        process,
        has_ended: false,
        answer: Answer::None(String::new()),
    });
    true
}

fn open_details(state: &mut State) -> Vec<Effect> {
    if !look_into(state) {
        return Vec::new();
    }
    state.overlay = Some(over(OverlayKind::Process, 0));
    ask(state)
}

/// Asks the machine for what the table does not tell.
fn ask(state: &mut State) -> Vec<Effect> {
    let (is_in_past, is_live, is_offered) = (
        state.is_in_past(),
        state.link == Link::Live,
        state.inspection.is_offered,
    );
    let now = state.now;
    let inspection = &mut state.inspection;
    let Some(inspected) = &mut inspection.process else {
        return Vec::new();
    };
    if matches!(inspected.answer, Answer::Asking { .. }) {
        return Vec::new();
    }
    let why_not = if is_in_past {
        "this is the past: more than the list tells is known only of now"
    } else if !is_live {
        "not connected: the machine cannot be asked"
    } else if !is_offered {
        "this aggregator is too old to ask the machine; upgrade it"
    } else {
        let request_id = FIRST_INSPECTION + inspection.asked_count;
        inspection.asked_count += 1;
        inspected.answer = Answer::Asking { request_id, at: now };
        let body = wire::command::Body::ProcessQuestion(wire::ProcessQuestion {
            machine_id: inspected.machine.to_string(),
            process: Some(key_of(&inspected.process)),
        });
        return vec![Effect::Ask { request_id, body }];
    };
    inspected.answer = Answer::None(why_not.into());
    Vec::new()
}

fn key_of(process: &Process) -> wire::ProcessKey {
    wire::ProcessKey {
        pid: process.key.pid,
        start_ms: process.key.start_ms,
    }
}

/// Takes the machine's answer; one that nobody waits for any more is dropped.
pub(super) fn answered(state: &mut State, request_id: u64, details: &wire::ProcessDetails) {
    settle(state, request_id, Answer::Known(Box::new(details.clone())));
}

/// There is no answer. Says whether that was one to a question about a process.
pub(super) fn refused(state: &mut State, request_id: u64, code: u32, reason: &str) -> bool {
    if !(FIRST_INSPECTION..FIRST_INSPECTION << 1).contains(&request_id) {
        return false;
    }
    let reason = sanitize(reason).into_owned();
    if code == Code::NotFound as u32
        && let Some(inspected) = &mut state.inspection.process
        && matches!(inspected.answer, Answer::Asking { request_id: asked, .. } if asked == request_id)
    {
        inspected.has_ended = true;
    }
    settle(state, request_id, Answer::None(reason));
    true
}

fn settle(state: &mut State, request_id: u64, answer: Answer) {
    if let Some(inspected) = &mut state.inspection.process
        && matches!(inspected.answer, Answer::Asking { request_id: asked, .. } if asked == request_id)
    {
        inspected.answer = answer;
        state.mark_dirty();
    }
}

/// Gives up on what is not answered.
pub(super) fn poll(state: &mut State) {
    let now = state.now;
    if let Some(inspected) = &mut state.inspection.process
        && let Answer::Asking { at, .. } = inspected.answer
        && now.since_ms(at) >= ANSWER_TIMEOUT_MS
    {
        inspected.answer = Answer::None("the aggregator does not answer; Enter asks again".into());
        state.mark_dirty();
    }
}

/// Offers the signals, unless none can be sent.
fn open_signals(state: &mut State) {
    if state.is_in_past() {
        notify(
            state,
            "this is the past, which cannot be changed: Esc returns to now",
        );
        return;
    }
    if state.link != Link::Live {
        notify(state, "not connected: no signal can be sent");
        return;
    }
    if !state.inspection.is_offered {
        notify(state, "this aggregator is too old to send signals; upgrade it");
        return;
    }
    let has_details = state.overlay.is_some();
    if !has_details && !look_into(state) {
        return;
    }
    state.inspection.shows_details = has_details;
    state.overlay = Some(over(OverlayKind::Signals, 0));
}

/// A signal is chosen; it is sent only after another word.
fn choose(state: &mut State) {
    let at = state.overlay.map_or(0, |overlay| usize::from(overlay.scroll));
    state.inspection.signal = at.min(SIGNALS.len() - 1);
    state.overlay = Some(over(OverlayKind::Confirm, 0));
}

fn send(state: &mut State) -> Vec<Effect> {
    state.overlay = None;
    let choice = &SIGNALS[state.inspection.signal.min(SIGNALS.len() - 1)];
    let Some(inspected) = state.inspection.process.clone() else {
        return Vec::new();
    };
    let name = name_of(&inspected.process.name);
    let pid = inspected.process.key.pid;
    if inspected.has_ended {
        notify(
            state,
            format!("{name} ({pid}) has ended by itself: no signal was sent"),
        );
        return Vec::new();
    }
    let body = wire::command::Body::SignalProcess(wire::SignalProcess {
        machine_id: inspected.machine.to_string(),
        process: Some(key_of(&inspected.process)),
        signal: choice.signal.into(),
    });
    let words = format!(
        "{} was sent to {name} ({pid}) on {}",
        choice.name, inspected.machine
    );
    alerts::ask(state, Action::Say(words), body)
}
