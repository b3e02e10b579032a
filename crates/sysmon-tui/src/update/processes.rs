//! Commands about the processes of a machine: the tree, following one, its details, signals.

use sysmon_core::display_width;

use crate::command::Command;
use crate::event::Effect;
use crate::state::{State, View};

use super::notify;

/// Carries out what has to do with processes; `None` for everything else.
pub(super) fn run(state: &mut State, command: Command) -> Option<Vec<Effect>> {
    if !matches!(state.view, View::Machine(_)) || state.overlay.is_some() {
        return None;
    }
    match command {
        Command::Tree => state.process_table.toggle_tree(),
        Command::Follow => follow(state),
        _ => return None,
    }
    Some(Vec::new())
}

fn follow(state: &mut State) {
    let View::Machine(id) = &state.view else { return };
    let Some(machine) = state.machine.find(id) else {
        notify(state, "no processes yet");
        return;
    };
    state.process_table.toggle_follow(&machine.processes);
}

/// Says that the process that was followed has ended.
pub(super) fn tell_ended(state: &mut State) {
    if let Some(ended) = state.process_table.take_ended() {
        let name = sysmon_core::sanitize(&ended.name).into_owned();
        let name = if display_width(&name) > 40 { "it".to_owned() } else { name };
        notify(state, format!("{name} ({}), which was followed, has ended", ended.key.pid));
    }
}
