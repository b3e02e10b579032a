//! The hints at the bottom, each at its place: they are drawn from here and clicked on from here.

use ratatui::layout::Rect;
use sysmon_core::display_width;

use crate::command::{COMMANDS, Command, Context};
use crate::panel::Panel;
use crate::state::fleet::fleet_size;
use crate::state::{Link, State, View};
use crate::update::travel;
use crate::words;

/// A key and a word for what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) command: Command,
    pub(crate) keys: String,
    pub(crate) word: &'static str,
    pub(crate) x: u16,
    /// Cells of both, and of the space between them.
    pub(crate) width: u16,
}

/// Cells that are kept for the last hint.
const HELP_WIDTH: u16 = 8;

/// The filter in force, which is told before all hints; empty for none.
pub(crate) fn filter_in_force(state: &State) -> &str {
    match state.view {
        _ if state.editor.is_some() || state.silencing.is_some() || state.overlay.is_some() => "",
        View::Fleet => state.fleet_table.filter_text(),
        View::Machine(_) => state.process_table.filter_text(),
        View::Alerts => state.alerts.list.filter_text(),
        View::Rules => state.alerts.rules.filter_text(),
    }
}

/// What is told after the filter in force: how many rows match, of how many.
pub(crate) fn matching(state: &State) -> String {
    let (some, all) = match state.view {
        View::Fleet => (state.fleet_table.match_count(), fleet_size(&state.fleet)),
        View::Machine(_) => {
            let all = state
                .shown_machine()
                .map_or(0, |machine| machine.processes.iter().count());
            (state.process_table.rows().len(), all as u64)
        }
        // The history that is shown below them is as long as it was asked for.
        View::Alerts if state.alerts.log.is_shown => return "  ".to_owned(),
        View::Alerts => {
            let all = state.alerts.board.alerts().count();
            (state.alerts.list.match_count(), all as u64)
        }
        View::Rules => {
            let all = state.alerts.board.rules().count();
            (state.alerts.rules.rows().len(), all as u64)
        }
    };
    format!("  {} of {}  ", words::count(some as u64), words::count(all))
}

/// What takes a filter in force back, behind its key.
pub(crate) const CLEARS: &str = "clears   ";

/// Whether hints are at the bottom, and not something that is more important.
pub(crate) fn has_hints(state: &State) -> bool {
    // Without its keys nobody gets out of a dialog; that the connection is gone is told at the top as well.
    let is_dialog = state.editor.is_some() || state.silencing.is_some() || state.overlay.is_some();
    state.prompt.is_none()
        && state.choosing.is_none()
        && state.notice.is_none()
        && state.console.palette.is_none()
        && (is_dialog || !matches!(state.link, Link::Down { .. }))
}

/// Whether a command is of no use where the person is, so that no hint leads to it.
fn is_left_out(state: &State, command: Command) -> bool {
    let is_list = state.overlay.is_some();
    let has_processes = matches!(state.panels.expanded(), None | Some(Panel::Processes));
    let has_ended = || {
        let process = &state.inspection.process;
        is_list && process.as_ref().is_some_and(|process| process.has_ended)
    };
    let is_on_board = !is_list && matches!(state.view, View::Alerts | View::Rules);
    match command {
        // Written at the end, whatever else there is room for.
        Command::Help => true,
        Command::Filter | Command::Sort => is_list,
        Command::ViewAlerts => state.view == View::Alerts,
        // A form for a silence has three fields, of which none is counted in tens or turned off.
        Command::LeapUp | Command::Toggle if state.silencing.is_some() => true,
        _ if state.silencing.is_some() => false,
        // Esc has another meaning there, and nothing can be changed.
        Command::Back | Command::Threshold if state.is_in_past() && !is_list => true,
        // What Esc does first is told beside the filter.
        Command::Back if !is_list && !filter_in_force(state).is_empty() => true,
        _ if travel::is_refused(state, command) => true,
        // Nothing is known that something could be done with.
        Command::Acknowledge | Command::Silence | Command::Threshold | Command::Group
            if is_on_board && !state.alerts.is_ready() =>
        {
            true
        }
        Command::Open | Command::Toggle | Command::New | Command::Copy | Command::Delete | Command::Undo
            if is_on_board && !state.alerts.is_ready() =>
        {
            true
        }
        // Nothing can be asked of it, and nothing sent to it.
        Command::Open | Command::Signal | Command::Confirm if has_ended() => true,
        // Nothing to repeat yet, or nothing to repeat it on.
        Command::NextMatch if !has_processes || state.process_table.searched().is_empty() => true,
        // They are about the processes, which are not on screen.
        Command::Tree | Command::Signal if !has_processes && !is_list => true,
        _ => state.console.is_readonly && command.changes_something(),
    }
}

/// The hints from column `x` of a row on, as many as there is room for; the way to the help is always the last.
pub(crate) fn hints(row: Rect, x: u16, state: &State) -> Vec<Hint> {
    let contexts = state.contexts();
    let keymap = &state.console.keymap;
    let has_help = contexts.contains(&Context::Anywhere);
    let end = row.right().saturating_sub(if has_help { HELP_WIDTH } else { 0 });
    let is_playing = state.travel.trip.as_ref().is_some_and(|trip| trip.is_playing);
    let mut x = x;
    let mut hints = Vec::new();
    let cells = |text: &str| u16::try_from(display_width(text)).unwrap_or(u16::MAX);
    let rows = contexts.iter().flat_map(|context| {
        let rows = COMMANDS.iter();
        rows.filter(move |row| row.context == *context && !row.hint.is_empty())
    });
    for definition in rows.filter(|row| !is_left_out(state, row.command)) {
        let Some(keys) = keymap.keys_of(definition).next() else {
            continue;
        };
        let word = match definition.command {
            Command::Past if state.is_in_past() => "go to",
            Command::Play if is_playing => "pause",
            Command::Save if state.silencing.is_some() => "silence",
            Command::Back if state.panels.is_expanded && state.overlay.is_none() => "back",
            Command::Expand if state.panels.is_expanded => "all panels",
            _ => definition.hint,
        };
        let width = cells(&keys).saturating_add(1 + cells(word));
        if end.saturating_sub(x) < width {
            break;
        }
        hints.push(Hint {
            command: definition.command,
            keys,
            word,
            x,
            width,
        });
        x = x.saturating_add(width + 2);
    }
    let help = [(Command::Help, "help"), (Command::Palette, "command")];
    let mut known = help
        .into_iter()
        .filter(|_| has_help)
        .filter_map(|(command, word)| Some((command, keymap.first_keys(command, contexts)?, word)));
    if let Some((command, keys, word)) = known.next() {
        let width = cells(&keys).saturating_add(1 + cells(word));
        hints.push(Hint {
            command,
            keys,
            word,
            x,
            width,
        });
    }
    hints
}
