//! The focus among the panels of a machine, and the one that fills the body.

use ratatui::layout::{Position, Rect};

use crate::command::Command;
use crate::layout::panel::expanded_lines;
use crate::layout::{Body, MachineRegions, layout};
use crate::panel::Panel;
use crate::state::{Movement, State, View, moved};

use super::notify;

/// Carries out what has to do with panels; `false` for everything else.
pub(super) fn run(state: &mut State, command: Command) -> bool {
    if !matches!(state.view, View::Machine(_)) || state.overlay.is_some() {
        return false;
    }
    match command {
        Command::Expand => {
            if state.panels.is_expanded {
                shrink(state);
            } else {
                expand(state, state.panels.focused);
            }
        }
        Command::NextPanel => step(state, true),
        Command::PreviousPanel => step(state, false),
        // Processes have a filter and a cursor that Esc takes back before.
        Command::Back | Command::Now if state.panels.focused != Panel::Processes => return shrink(state),
        Command::Open if state.panels.focused != Panel::Processes => {
            expand(state, state.panels.focused);
        }
        _ => return false,
    }
    true
}

fn expand(state: &mut State, panel: Panel) {
    let is_there = state.shown_machine().is_some_and(|machine| panel.is_on(machine));
    if !is_there {
        notify(state, "nothing is known of this machine yet");
        return;
    }
    state.panels.focused = panel;
    state.panels.is_expanded = true;
    state.panels.scroll = 0;
}

/// Goes back from one panel to all; says whether there was anything to go back from.
pub(super) fn shrink(state: &mut State) -> bool {
    state.panels.scroll = 0;
    if !std::mem::take(&mut state.panels.is_expanded) {
        return false;
    }
    // What has no place among the others cannot keep the focus there.
    if !on_screen(state).contains(&state.panels.focused) {
        state.panels.focused = Panel::default();
    }
    true
}

/// The panels that the focus can go to: those on screen, or all that the machine has when one of them fills it.
fn on_screen(state: &State) -> Vec<Panel> {
    if state.panels.is_expanded {
        let Some(machine) = state.shown_machine() else {
            return Vec::new();
        };
        return Panel::ALL
            .into_iter()
            .filter(|panel| panel.is_on(machine))
            .collect();
    }
    let regions = layout(Rect::new(0, 0, state.width, state.height), state);
    match regions.body {
        Body::Machine(regions) => regions.panels(),
        _ => Vec::new(),
    }
}

fn step(state: &mut State, is_forward: bool) {
    let panels = on_screen(state);
    if panels.is_empty() {
        return;
    }
    let at = panels.iter().position(|panel| *panel == state.panels.focused);
    let last = panels.len() - 1;
    let to = match (at, is_forward) {
        (None, _) => last,
        (Some(at), true) if at == last => 0,
        (Some(at), true) => at + 1,
        (Some(0), false) => last,
        (Some(at), false) => at - 1,
    };
    state.panels.focused = panels[to];
    state.panels.scroll = 0;
}

/// Whoever does something about processes looks at them.
pub(super) fn focus_processes(state: &mut State) {
    state.panels.focused = Panel::Processes;
    state.panels.scroll = 0;
}

/// Takes back what was done among the processes, then goes back to all panels; `false` when there is nothing of either.
pub(super) fn back(state: &mut State) -> bool {
    if !state.process_table.filter_text().is_empty() {
        state.process_table.set_filter("");
        return true;
    }
    state.process_table.deselect() || shrink(state)
}

/// Scrolls an expanded panel; `false` where it is the processes that move.
pub(super) fn scroll(state: &mut State, movement: Movement) -> bool {
    if !state.panels.is_expanded || state.panels.focused == Panel::Processes {
        return false;
    }
    let most = scroll_max(state);
    let at = state.panels.scroll.min(most);
    state.panels.scroll = moved(Some(at), most + 1, movement).unwrap_or(0);
    true
}

fn scroll_max(state: &State) -> usize {
    let regions = layout(Rect::new(0, 0, state.width, state.height), state);
    let Body::Machine(regions) = &regions.body else {
        return 0;
    };
    expanded_lines(regions, state).map_or(0, |(lines, rows, _)| lines.len().saturating_sub(rows))
}

/// A click gives the focus, and one on the heading of the panel that has it already expands it; says whether that is all.
pub(super) fn click(state: &mut State, regions: &MachineRegions, at: Position) -> bool {
    if regions.panel.is_some() {
        return false;
    }
    let Some(panel) = regions.panel_at(at) else {
        return false;
    };
    let had_it = std::mem::replace(&mut state.panels.focused, panel) == panel;
    if panel == Panel::Processes {
        return false;
    }
    if had_it {
        expand(state, panel);
    }
    true
}
