//! Keys and pasted text.

use std::sync::Arc;

use crate::command::{Binding, COMMANDS, Command, Context, lookup};
use crate::event::Effect;
use crate::key::{Key, KeyCode};
use crate::layout::layout;
use crate::state::fleet::FleetColumn;
use crate::state::processes::ProcessColumn;
use crate::state::{Movement, Overlay, OverlayKind, Prompt, PromptKind, State, View};
use crate::text_field::TextField;

use super::{notify, open_fleet, open_machine, past};

/// Details are not scrolled further than this.
const DETAIL_LINES_MAX: usize = 48;

pub(super) fn press(state: &mut State, key: Key) -> Vec<Effect> {
    state.touched = true;
    state.mark_dirty();
    // Ctrl-C always means the same.
    if key == Key::control('c') {
        return vec![Effect::Quit];
    }
    if state.prompt.is_some() {
        return type_into_prompt(state, key);
    }
    if std::mem::take(&mut state.choosing_sort) {
        choose_sort(state, key);
        return Vec::new();
    }
    state.pending_keys.push(key);
    match lookup(&state.pending_keys, contexts(state)) {
        Binding::Prefix => Vec::new(),
        Binding::Command(command) => {
            state.pending_keys.clear();
            run(state, command)
        }
        Binding::None => {
            // The start of a sequence that leads nowhere is dropped; the last key may still mean something by itself.
            let alone = state.pending_keys.len() == 1;
            state.pending_keys.clear();
            if alone { Vec::new() } else { press(state, key) }
        }
    }
}

pub(super) fn paste(state: &mut State, text: &str) {
    if let Some(prompt) = &mut state.prompt {
        prompt.field.paste(text);
        apply_prompt(state);
        state.mark_dirty();
    }
}

fn contexts(state: &State) -> &'static [Context] {
    match state.view {
        _ if state.overlay.is_some() => &[Context::List, Context::Anywhere],
        View::Fleet => &[Context::Fleet, Context::List, Context::Anywhere],
        View::Machine(_) => &[Context::Machine, Context::List, Context::Anywhere],
    }
}

/// Carries a command out.
pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    state.mark_dirty();
    let page = isize::try_from(visible_rows(state).max(1)).unwrap_or(isize::MAX);
    match command {
        Command::Quit => return vec![Effect::Quit],
        Command::Suspend => return vec![Effect::Suspend],
        Command::Redraw => return vec![Effect::Redraw],
        Command::Help => toggle(state, OverlayKind::Help),
        Command::Details => toggle(state, OverlayKind::Details),
        Command::LongerRange => past::change_range(state, state.past.range().longer()),
        Command::ShorterRange => past::change_range(state, state.past.range().shorter()),
        Command::Back => return back(state),
        Command::Open => return open(state),
        Command::Up => go(state, Movement::By(-1)),
        Command::Down => go(state, Movement::By(1)),
        Command::HalfPageUp => go(state, Movement::By(-(page / 2).max(1))),
        Command::HalfPageDown => go(state, Movement::By((page / 2).max(1))),
        Command::PageUp => go(state, Movement::By(-page)),
        Command::PageDown => go(state, Movement::By(page)),
        Command::Top => go(state, Movement::First),
        Command::Bottom => go(state, Movement::Last),
        Command::Filter => start_filter(state),
        Command::Sort => state.choosing_sort = state.overlay.is_none(),
        Command::Invert => match state.view {
            View::Fleet => state.fleet_table.invert(),
            View::Machine(_) => state.process_table.invert(),
        },
        Command::NextMachine => return neighbour(state, 1),
        Command::PreviousMachine => return neighbour(state, -1),
    }
    Vec::new()
}

/// Opens what lies over the view, or closes it when it is there already.
fn toggle(state: &mut State, kind: OverlayKind) {
    let is_open = state.overlay.is_some_and(|overlay| overlay.kind == kind);
    state.overlay = (!is_open).then_some(Overlay { kind, scroll: 0 });
}

fn visible_rows(state: &State) -> usize {
    layout(ratatui::layout::Rect::new(0, 0, state.width, state.height), state).table_rows()
}

/// Moves whatever list is on top.
pub(super) fn go(state: &mut State, movement: Movement) {
    if let Some(overlay) = state.overlay {
        // About as many lines as there are: where they end on this screen is known to whoever draws them.
        let lines = match overlay.kind {
            OverlayKind::Help => COMMANDS.len() + Context::ALL.len() * 2,
            OverlayKind::Details => DETAIL_LINES_MAX,
        };
        let to = crate::state::moved(Some(overlay.scroll.into()), lines, movement).unwrap_or(0);
        state.overlay = Some(Overlay {
            scroll: u16::try_from(to).unwrap_or(0),
            ..overlay
        });
        return;
    }
    match state.view {
        View::Fleet => state.fleet_table.move_cursor(&state.fleet, movement),
        View::Machine(_) => state.process_table.move_cursor(movement),
    }
}

/// Pops one layer: help, cursor among processes, filter, view.
fn back(state: &mut State) -> Vec<Effect> {
    if state.overlay.take().is_some() {
        return Vec::new();
    }
    match state.view {
        View::Fleet => state.fleet_table.set_filter(""),
        View::Machine(_) if !state.process_table.filter_text().is_empty() => {
            state.process_table.set_filter("")
        }
        View::Machine(_) if state.process_table.deselect() => {}
        View::Machine(_) => return open_fleet(state),
    }
    Vec::new()
}

/// Opens the selected machine.
pub(super) fn open(state: &mut State) -> Vec<Effect> {
    // A selection that no row shows any more, because its machine is gone or filtered out, cannot be opened.
    let is_visible = state.view == View::Fleet
        && state.overlay.is_none()
        && state.fleet_table.cursor(&state.fleet).is_some();
    let selected: Option<Arc<str>> = state.fleet_table.selected().cloned();
    match selected.filter(|_| is_visible) {
        Some(id) => open_machine(state, &id),
        None => Vec::new(),
    }
}

fn neighbour(state: &mut State, step: isize) -> Vec<Effect> {
    // The order of the fleet may be old while a machine is shown; bring it up to date without moving rows needlessly.
    state.fleet_table.refresh(&state.fleet, state.now, 1);
    let rows = state.fleet_table.rows();
    let Some(at) = state.fleet_table.cursor(&state.fleet).filter(|_| rows.len() > 1) else {
        notify(state, "there is no other machine");
        return Vec::new();
    };
    let count = isize::try_from(rows.len()).unwrap_or(1);
    let next = (isize::try_from(at).unwrap_or(0) + step).rem_euclid(count);
    let id = rows
        .get(next.cast_unsigned())
        .and_then(|number| state.fleet.machine(*number))
        .map(|m| Arc::clone(&m.id));
    id.map(|id| open_machine(state, &id)).unwrap_or_default()
}

fn start_filter(state: &mut State) {
    let (kind, before) = match state.view {
        _ if state.overlay.is_some() => return,
        View::Fleet => (PromptKind::Machines, state.fleet_table.filter_text()),
        View::Machine(_) => (PromptKind::Processes, state.process_table.filter_text()),
    };
    state.prompt = Some(Prompt {
        kind,
        field: TextField::new(before),
        before: before.to_owned(),
    });
}

/// Every printable key is text; the list follows as one types.
fn type_into_prompt(state: &mut State, key: Key) -> Vec<Effect> {
    match (key.code, key.control) {
        (KeyCode::Enter, _) => state.prompt = None,
        (KeyCode::Escape, _) => {
            if let Some(prompt) = state.prompt.take() {
                set_filter(state, prompt.kind, &prompt.before);
            }
        }
        (KeyCode::Up, _) => go(state, Movement::By(-1)),
        (KeyCode::Down, _) => go(state, Movement::By(1)),
        (KeyCode::Char('z'), true) => return vec![Effect::Suspend],
        _ => {
            if let Some(prompt) = &mut state.prompt {
                prompt.field.press(key);
            }
            apply_prompt(state);
        }
    }
    Vec::new()
}

fn apply_prompt(state: &mut State) {
    if let Some(prompt) = &state.prompt {
        let (kind, text) = (prompt.kind, prompt.field.text().to_owned());
        set_filter(state, kind, &text);
    }
}

fn set_filter(state: &mut State, kind: PromptKind, text: &str) {
    match kind {
        PromptKind::Machines => state.fleet_table.set_filter(text),
        PromptKind::Processes => state.process_table.set_filter(text),
    }
}

fn choose_sort(state: &mut State, key: Key) {
    let KeyCode::Char(pressed) = key.code else { return };
    let chosen = match state.view {
        View::Fleet => {
            let column = FleetColumn::SORTS
                .iter()
                .find(|(_, key, _)| *key == pressed)
                .map(|(column, _, _)| *column);
            column.map(|column| state.fleet_table.sort_by(column))
        }
        View::Machine(_) => {
            let column = ProcessColumn::SORTS
                .iter()
                .find(|(_, key, _)| *key == pressed)
                .map(|(column, _, _)| *column);
            column.map(|column| state.process_table.sort_by(column))
        }
    };
    if chosen.is_none() {
        notify(state, format!("no column has the key {pressed:?}"));
    }
}
