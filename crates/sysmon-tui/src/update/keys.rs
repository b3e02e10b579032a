//! Keys and pasted text.

use crate::command::{Binding, Command};
use crate::event::{Effect, TabRequest};
use crate::key::{Key, KeyCode};
use crate::layout::layout;
use crate::state::{Choosing, Movement, Overlay, OverlayKind, Prompt, PromptKind, State, View};
use crate::text_field::TextField;

use super::alerts::commands;
use super::{alerts, choose, editor, export, fleet, leave, palette, panel, past, processes, show, travel};

mod form;
mod prompt;

/// Details are not scrolled further than this.
const DETAIL_LINES_MAX: usize = 48;

pub(super) fn press(state: &mut State, key: Key) -> Vec<Effect> {
    state.touched = true;
    state.mark_dirty();
    // Ctrl-C always means the same.
    if key == Key::control('c') {
        return vec![Effect::Quit];
    }
    if state.console.palette.is_some() {
        return palette::type_key(state, key);
    }
    if state.prompt.is_some() {
        return prompt::type_key(state, key);
    }
    if let Some(choosing) = state.choosing.take() {
        if choosing == Choosing::Copy {
            return export::copy(state, key);
        }
        choose::chosen(state, choosing, key);
        return Vec::new();
    }
    if state.editor.is_some() || state.silencing.is_some() {
        return form::press(state, key);
    }
    state.pending_keys.push(key);
    match state.console.keymap.lookup(&state.pending_keys, state.contexts()) {
        Binding::Prefix => Vec::new(),
        Binding::Command(command) => {
            state.pending_keys.clear();
            run(state, command)
        }
        Binding::None => {
            // The start of a sequence that leads nowhere is dropped; the last key may still mean something by itself.
            let alone = state.pending_keys.len() == 1;
            let tab = tab_number(&state.pending_keys);
            state.pending_keys.clear();
            if let Some(number) = tab {
                return vec![Effect::Tab(TabRequest::Number(number))];
            }
            if alone { Vec::new() } else { press(state, key) }
        }
    }
}

/// The tab that `g` and its number name, unless a file of keys has another meaning for them.
fn tab_number(keys: &[Key]) -> Option<usize> {
    match keys {
        [first, number] if *first == Key::char('g') && !number.control => match number.code {
            KeyCode::Char(digit @ '1'..='9') => usize::try_from(digit.to_digit(10)?).ok(),
            _ => None,
        },
        _ => None,
    }
}

/// Esc, and then a key. Into a text nobody types behind Esc: that is Alt, which means nothing there.
pub(super) fn press_escaped(state: &mut State, key: Key) -> Vec<Effect> {
    let is_digit = matches!(key.code, KeyCode::Char('1'..='9'));
    if state.takes_text() && !is_digit {
        return Vec::new();
    }
    let mut effects = press(state, Key::plain(KeyCode::Escape));
    effects.extend(press(state, key));
    effects
}

pub(super) fn paste(state: &mut State, text: &str) {
    state.mark_dirty();
    if palette::paste(state, text) {
    } else if state.prompt.is_some() {
        prompt::paste(state, text);
    } else {
        form::paste(state, text);
    }
}

/// Carries a command out.
pub(super) fn run(state: &mut State, command: Command) -> Vec<Effect> {
    state.mark_dirty();
    if palette::is_refused(state, command) {
        return Vec::new();
    }
    if panel::run(state, command) {
        return Vec::new();
    }
    if let Some(effects) = processes::run(state, command) {
        return effects;
    }
    if let Some(effects) = travel::run(state, command) {
        return effects;
    }
    if let Some(effects) = fleet::run(state, command) {
        return effects;
    }
    let page = isize::try_from(visible_rows(state).max(1)).unwrap_or(isize::MAX);
    match command {
        Command::Quit => return vec![Effect::Quit],
        Command::Suspend => return vec![Effect::Suspend],
        Command::Redraw => return vec![Effect::Redraw],
        Command::Help => toggle(state, OverlayKind::Help),
        Command::Palette => palette::open(state, ""),
        Command::Diagnostics => state.console.has_diagnostics = !state.console.has_diagnostics,
        Command::CopyText => export::ask_copy(state),
        Command::Export => export::ask_name(state),
        Command::Theme => palette::open(state, "theme "),
        Command::Tab => palette::open(state, "tab "),
        Command::TabNext => return vec![Effect::Tab(TabRequest::Next)],
        Command::TabPrevious => return vec![Effect::Tab(TabRequest::Previous)],
        Command::TabClose => return vec![Effect::Tab(TabRequest::Close)],
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
        Command::Sort => state.choosing = state.overlay.is_none().then_some(Choosing::Sort),
        Command::Invert => invert(state),
        Command::NextMachine => return fleet::neighbour(state, 1),
        Command::PreviousMachine => return fleet::neighbour(state, -1),
        Command::ViewFleet => return show(state, View::Fleet),
        Command::ViewAlerts => return show(state, View::Alerts),
        Command::ViewRules => return show(state, View::Rules),
        _ => return run_on_alerts(state, command),
    }
    Vec::new()
}

/// Carries out what has to do with alerts and rules.
fn run_on_alerts(state: &mut State, command: Command) -> Vec<Effect> {
    match command {
        Command::Threshold => choose::threshold(state),
        Command::Acknowledge => return commands::acknowledge(state),
        Command::Silence => commands::silence(state),
        Command::Silences => commands::list(state, OverlayKind::Silences),
        Command::Deliveries => commands::list(state, OverlayKind::Deliveries),
        Command::Group => state.alerts.list.regroup(),
        Command::History => return alerts::more_history(state),
        Command::GoToRule => return commands::go_to_rule(state),
        Command::New => editor::open_new(state, None),
        Command::Copy => {
            let like = state.alerts.rules.selected().cloned();
            editor::open_new(state, like);
        }
        Command::Delete if state.overlay.is_some() => return commands::end_silence(state),
        Command::Delete => return commands::delete_rule(state),
        Command::Undo => return commands::undo(state),
        Command::Toggle => return commands::toggle_rule(state),
        Command::Resend => return commands::resend(state),
        Command::Test => return commands::test_receiver(state),
        _ => {}
    }
    Vec::new()
}

fn invert(state: &mut State) {
    match state.view {
        View::Fleet => state.fleet_table.invert(),
        View::Machine(_) => state.process_table.invert(),
        View::Alerts => state.alerts.list.invert(),
        View::Rules => state.alerts.rules.invert(),
    }
}

/// Opens what lies over the view, or closes it when it is there already.
fn toggle(state: &mut State, kind: OverlayKind) {
    state.console.help_filter.clear();
    let is_open = state.overlay.is_some_and(|overlay| overlay.kind == kind);
    state.overlay = (!is_open).then_some(Overlay { kind, scroll: 0 });
}

fn help_lines(state: &State) -> usize {
    let area = ratatui::layout::Rect::new(0, 0, state.width, state.height);
    crate::render::help_scroll_max(area, state) + 1
}

fn process_lines(state: &State) -> usize {
    let area = ratatui::layout::Rect::new(0, 0, state.width, state.height);
    crate::render::process_scroll_max(area, state) + 1
}

fn visible_rows(state: &State) -> usize {
    layout(ratatui::layout::Rect::new(0, 0, state.width, state.height), state).table_rows()
}

/// Moves whatever list is on top.
pub(super) fn go(state: &mut State, movement: Movement) {
    if let Some(overlay) = state.overlay {
        // About as many lines as there are: where they end on this screen is known to whoever draws them.
        let lines = match overlay.kind {
            OverlayKind::Help => help_lines(state),
            OverlayKind::Details => DETAIL_LINES_MAX,
            OverlayKind::Silences => state.alerts.board.silences().len(),
            OverlayKind::Deliveries => {
                state.alerts.board.receivers().len() + state.alerts.board.deliveries().len()
            }
            OverlayKind::Columns => state.fleet_table.columns.choices().len(),
            OverlayKind::Process => process_lines(state),
            OverlayKind::Signals => crate::state::inspect::SIGNALS.len(),
            OverlayKind::Confirm => 1,
        };
        let to = crate::state::moved(Some(overlay.scroll.into()), lines, movement).unwrap_or(0);
        state.overlay = Some(Overlay {
            scroll: u16::try_from(to).unwrap_or(0),
            ..overlay
        });
        return;
    }
    match state.view {
        View::Fleet => fleet::go(state, movement),
        View::Machine(_) => {
            if !panel::scroll(state, movement) {
                panel::focus_processes(state);
                state.process_table.move_cursor(movement);
            }
        }
        View::Alerts => state.alerts.list.move_cursor(&state.alerts.log, movement),
        View::Rules => state.alerts.rules.move_cursor(movement),
    }
}

/// Pops one layer: help, cursor among processes, filter, view.
fn back(state: &mut State) -> Vec<Effect> {
    let has_help = state
        .overlay
        .is_some_and(|overlay| overlay.kind == OverlayKind::Help);
    if has_help && !std::mem::take(&mut state.console.help_filter).is_empty() {
        return Vec::new();
    }
    if state.overlay.take().is_some() {
        return Vec::new();
    }
    let is_machine = matches!(state.view, View::Machine(_));
    if is_machine && panel::back(state) {
        return Vec::new();
    }
    match state.view {
        View::Fleet => fleet::back(state),
        View::Alerts if state.alerts.log.is_shown => {
            state.alerts.log.is_shown = false;
            state.alerts.list.mark_stale();
        }
        View::Alerts if !state.alerts.list.filter_text().is_empty() => state.alerts.list.set_filter(""),
        View::Rules if !state.alerts.rules.filter_text().is_empty() => state.alerts.rules.set_filter(""),
        View::Machine(_) | View::Alerts | View::Rules => return leave(state),
    }
    Vec::new()
}

/// Opens what is selected: a machine, the machine of an alert, a rule.
pub(super) fn open(state: &mut State) -> Vec<Effect> {
    if state.overlay.is_some() {
        return Vec::new();
    }
    match state.view {
        View::Alerts => return commands::open(state),
        View::Rules => {
            if let Some(id) = state.alerts.rules.selected().cloned() {
                editor::open_rule(state, &id, None, "");
            }
            return Vec::new();
        }
        View::Machine(_) => return Vec::new(),
        View::Fleet => {}
    }
    fleet::open_selected(state)
}

fn start_filter(state: &mut State) {
    let overlay = state.overlay.map(|overlay| overlay.kind);
    let (kind, before) = match state.view {
        _ if overlay == Some(OverlayKind::Help) => (PromptKind::Help, state.console.help_filter.as_str()),
        _ if overlay.is_some() => return,
        View::Fleet => return fleet::prompt::open(state),
        View::Machine(_) => {
            panel::focus_processes(state);
            (PromptKind::Processes, state.process_table.filter_text())
        }
        View::Alerts => (PromptKind::Alerts, state.alerts.list.filter_text()),
        View::Rules => (PromptKind::Rules, state.alerts.rules.filter_text()),
    };
    state.prompt = Some(Prompt {
        kind,
        field: TextField::new(before),
        before: before.to_owned(),
    });
}
