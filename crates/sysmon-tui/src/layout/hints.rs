//! The hints at the bottom, each at its place: they are drawn from here and clicked on from here.

use ratatui::layout::Rect;
use sysmon_core::display_width;

use crate::command::{COMMANDS, Command, Context};
use crate::panel::Panel;
use crate::state::fleet::fleet_size;
use crate::state::{State, View};
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

/// What is told after the filter in force: of the fleet, how many machines match, of how many.
pub(crate) fn matching(state: &State) -> String {
    if state.view != View::Fleet {
        return "  ".to_owned();
    }
    let all = words::count(fleet_size(&state.fleet));
    let some = words::count(state.fleet_table.match_count() as u64);
    format!("  {some} of {all}  ")
}

/// The hints from column `x` of a row on, as many as there is room for; the way to the help is always the last.
pub(crate) fn hints(row: Rect, x: u16, state: &State) -> Vec<Hint> {
    let contexts = state.contexts();
    let keymap = &state.console.keymap;
    let is_list = state.overlay.is_some();
    let has_processes = matches!(state.panels.expanded(), None | Some(Panel::Processes));
    let is_left_out = |command: Command| match command {
        Command::Filter | Command::Sort => is_list,
        Command::ViewAlerts => state.view == View::Alerts,
        // Written at the end, whatever else there is room for.
        Command::Help => true,
        // Esc has another meaning there, and nothing can be changed.
        Command::Back | Command::Threshold if state.is_in_past() && !is_list => true,
        Command::Signal if state.is_in_past() => true,
        // Nothing to repeat yet, or nothing to repeat it on.
        Command::NextMatch if !has_processes || state.process_table.searched().is_empty() => true,
        // They are about the processes, which are not on screen.
        Command::Tree | Command::Signal if !has_processes && !is_list => true,
        _ => state.console.is_readonly && command.changes_something(),
    };
    let has_help = contexts.contains(&Context::Anywhere);
    let end = row.right().saturating_sub(if has_help { HELP_WIDTH } else { 0 });
    let mut x = x;
    let mut hints = Vec::new();
    let cells = |text: &str| u16::try_from(display_width(text)).unwrap_or(u16::MAX);
    let rows = contexts.iter().flat_map(|context| {
        let rows = COMMANDS.iter();
        rows.filter(move |row| row.context == *context && !row.hint.is_empty())
    });
    for definition in rows.filter(|row| !is_left_out(row.command)) {
        let Some(keys) = keymap.keys_of(definition).next() else {
            continue;
        };
        let word = match definition.command {
            Command::Past if state.is_in_past() => "go to",
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
