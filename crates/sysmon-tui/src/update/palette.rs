//! The line of commands: typing, choosing, carrying out.

use std::sync::Arc;

use sysmon_api::wire;

use crate::command::Command;
use crate::event::{Effect, TabRequest};
use crate::key::{Key, KeyCode};
use crate::state::alerts::Action;
use crate::state::palette::{Argument, Meaning, Palette, WORDS, entries, meant};
use crate::state::{Choosing, State, View};

use super::{alerts, choose, keys, notify, open_machine};

/// Lines of the list that PgUp and PgDn pass.
const PAGE: usize = 10;
/// The longest interval that may be asked for.
const INTERVAL_MS_MAX: u64 = 3_600_000;
const INTERVAL_MS_MIN: u64 = 100;

/// Opens the line, with a beginning perhaps.
pub(super) fn open(state: &mut State, text: &str) {
    state.console.palette = Some(Palette::with_text(text));
    state.mark_dirty();
}

pub(super) fn type_key(state: &mut State, key: Key) -> Vec<Effect> {
    let Some(mut palette) = state.console.palette.take() else {
        return Vec::new();
    };
    let before = previewed(state, &palette);
    let count = entries(state, &palette).len();
    match (key.code, key.control) {
        (KeyCode::Escape, _) => return close(state, before),
        (KeyCode::Backspace, _) if palette.field.text().is_empty() => return close(state, before),
        (KeyCode::Char('z'), true) => {
            state.console.palette = Some(palette);
            return vec![Effect::Suspend];
        }
        (KeyCode::Enter, _) => return enter(state, palette),
        (KeyCode::Tab, _) => complete(state, &mut palette),
        (KeyCode::Up, _) | (KeyCode::Char('p'), true) => up(state, &mut palette, 1),
        (KeyCode::Down, _) | (KeyCode::Char('n'), true) => down(state, &mut palette, count, 1),
        (KeyCode::PageUp, _) => up(state, &mut palette, PAGE),
        (KeyCode::PageDown, _) => down(state, &mut palette, count, PAGE),
        _ => {
            palette.field.press(key);
            edited(&mut palette);
        }
    }
    let after = previewed(state, &palette);
    state.console.palette = Some(palette);
    preview(state, before, after)
}

/// Takes pasted text.
pub(super) fn paste(state: &mut State, text: &str) -> bool {
    let Some(palette) = &mut state.console.palette else {
        return false;
    };
    palette.field.paste(text);
    edited(palette);
    true
}

/// Selects a line of the list; says whether it was selected already.
pub(super) fn select(state: &mut State, index: usize) -> Vec<Effect> {
    let Some(mut palette) = state.console.palette.take() else {
        return Vec::new();
    };
    let before = previewed(state, &palette);
    if index >= entries(state, &palette).len() {
        state.console.palette = Some(palette);
        return Vec::new();
    }
    if palette.at == index && palette.has_moved {
        return enter(state, palette);
    }
    (palette.at, palette.has_moved) = (index, true);
    let after = previewed(state, &palette);
    state.console.palette = Some(palette);
    preview(state, before, after)
}

/// The wheel over the list.
pub(super) fn scroll(state: &mut State, is_down: bool) -> Vec<Effect> {
    let code = if is_down {
        KeyCode::PageDown
    } else {
        KeyCode::PageUp
    };
    type_key(state, Key::plain(code))
}

fn edited(palette: &mut Palette) {
    (palette.at, palette.has_moved, palette.back) = (0, false, None);
    palette.problem = None;
}

/// Above the first line of the list there is the history.
fn up(state: &State, palette: &mut Palette, rows: usize) {
    palette.problem = None;
    if palette.at > 0 && palette.back.is_none() {
        palette.at = palette.at.saturating_sub(rows);
        palette.has_moved = true;
        return;
    }
    let back = palette.back.map_or(0, |back| back + 1);
    if let Some(line) = state.console.history.get(back) {
        if palette.back.is_none() {
            palette.draft = palette.field.text().to_owned();
        }
        recall(palette, line, Some(back));
    }
}

fn down(state: &State, palette: &mut Palette, count: usize, rows: usize) {
    palette.problem = None;
    match palette.back {
        None => {
            palette.at = (palette.at + rows).min(count.saturating_sub(1));
            palette.has_moved = true;
        }
        Some(0) => {
            let draft = std::mem::take(&mut palette.draft);
            recall(palette, &draft, None);
        }
        Some(back) => {
            let line = state.console.history.get(back - 1).unwrap_or_default();
            recall(palette, line, Some(back - 1));
        }
    }
}

fn recall(palette: &mut Palette, line: &str, back: Option<usize>) {
    palette.field = crate::text_field::TextField::new(line);
    (palette.at, palette.has_moved, palette.back) = (0, false, back);
}

/// Puts the selected line of the list into the field.
fn complete(state: &State, palette: &mut Palette) {
    let entries = entries(state, palette);
    let Some(entry) = entries.get(palette.at) else {
        return;
    };
    let text = match (entry.meaning, palette.word()) {
        (Meaning::Value(_), Some((word, _))) => format!("{} {}", word.name, entry.name),
        (Meaning::Word(_), _) => format!("{} ", entry.name),
        _ => entry.name.clone(),
    };
    palette.field = crate::text_field::TextField::new(&text);
    edited(palette);
}

fn enter(state: &mut State, mut palette: Palette) -> Vec<Effect> {
    let (entry, argument) = match meant(state, &palette) {
        Ok(meant) => meant,
        Err(problem) => {
            palette.problem = Some(problem);
            state.console.palette = Some(palette);
            return Vec::new();
        }
    };
    match entry.meaning {
        Meaning::Word(_) => {
            palette.field = crate::text_field::TextField::new(&format!("{} ", entry.name));
            edited(&mut palette);
            let after = previewed(state, &palette);
            state.console.palette = Some(palette);
            preview(state, None, after)
        }
        Meaning::Elsewhere(command, context) => {
            palette.problem = Some(format!(
                "{} works in {}, not here",
                command.name(),
                context.heading().to_lowercase()
            ));
            state.console.palette = Some(palette);
            Vec::new()
        }
        Meaning::Command(command) => {
            state.console.history.push(&command.name());
            keys::run(state, command)
        }
        Meaning::Value(kind) => {
            let name = WORDS
                .iter()
                .find(|word| word.argument == kind)
                .map_or("", |word| word.name);
            match carry_out(state, kind, &argument) {
                Ok(effects) => {
                    state.console.history.push(&format!("{name} {argument}"));
                    effects
                }
                Err(problem) => {
                    palette.problem = Some(problem);
                    state.console.palette = Some(palette);
                    Vec::new()
                }
            }
        }
    }
}

/// Carries out a command with its argument; an error says what to type instead.
fn carry_out(state: &mut State, argument: Argument, text: &str) -> Result<Vec<Effect>, String> {
    match argument {
        Argument::Theme => {
            state.console.theme = text.to_owned();
            return Ok(vec![Effect::Theme(text.to_owned())]);
        }
        Argument::Connect => {
            return connect(state, text).map(|()| vec![Effect::Connect(text.to_owned())]);
        }
        Argument::Tab => return tab(state, text).map(|request| vec![Effect::Tab(request)]),
        Argument::Interval => return interval(state, text),
        Argument::Filter => filter(state, text),
        Argument::Sort => {
            let choices = choose::choices(state, Choosing::Sort);
            if let Some((key, _, _)) = choices.into_iter().find(|(_, name, _)| *name == text) {
                choose::chosen(state, Choosing::Sort, Key::char(key));
            }
        }
        Argument::Machine => {
            let id: Arc<str> = text.into();
            state.overlay = None;
            return Ok(open_machine(state, &id));
        }
        Argument::Metric => return threshold(state, text).map(|()| Vec::new()),
        Argument::Moment => {
            let at = crate::moment::parse(text, state.live_now(), state.utc_offset_seconds)?;
            return Ok(super::travel::go_to(state, at));
        }
        Argument::Export => return super::export::export(state, text),
    }
    Ok(Vec::new())
}

/// The same bounds as those of the key.
fn threshold(state: &mut State, text: &str) -> Result<(), String> {
    if state.console.is_readonly {
        return Err("this console is read-only: start it without --readonly to change anything".into());
    }
    if state.is_in_past() {
        return Err("this is the past, which cannot be changed: Esc returns to now".into());
    }
    choose::threshold_of(state, text)
}

/// A tab by its number or its name, or a new one.
fn tab(state: &State, text: &str) -> Result<TabRequest, String> {
    let names = &state.console.tabs.names;
    if let Ok(number) = text.parse::<usize>() {
        return if (1..=names.len()).contains(&number) {
            Ok(TabRequest::Number(number))
        } else {
            Err(format!("there is no tab {number}; there are {}", names.len()))
        };
    }
    if !names.iter().any(|name| name == text) {
        connect(state, text)?;
    }
    Ok(TabRequest::Named(text.to_owned()))
}

/// Whether there may be an aggregator behind an address or a name.
fn connect(state: &State, text: &str) -> Result<(), String> {
    if let Some(name) = text.strip_prefix('@') {
        let names = &state.console.connections;
        if !names.iter().any(|known| known == name) {
            return Err(if names.is_empty() {
                format!(
                    "there is no connection {text}; add [connections.{name}] with url = \"…\" to sysmon.toml"
                )
            } else {
                format!("there is no connection {text}; there are @{}", names.join(", @"))
            });
        }
    } else if !(text.starts_with("http://") || text.starts_with("https://")) {
        return Err(format!(
            "{text:?} is no address; write it like http://127.0.0.1:50051, or @NAME for one of the configuration"
        ));
    }
    Ok(())
}

fn interval(state: &mut State, text: &str) -> Result<Vec<Effect>, String> {
    let View::Machine(id) = &state.view else {
        return Err("open a machine first: the interval is that of the machine on screen".into());
    };
    if text.parse::<u64>().is_ok() {
        return Err(format!("{text} has no unit: write {text}s for seconds"));
    }
    let ms = crate::entry::parse_duration(text)?;
    if !(INTERVAL_MS_MIN..=INTERVAL_MS_MAX).contains(&ms) {
        return Err(format!("{text} is not between 100ms and 1h"));
    }
    let body = wire::command::Body::SetInterval(wire::SetInterval {
        machine_id: id.to_string(),
        interval_ms: u32::try_from(ms).unwrap_or(u32::MAX),
    });
    let every = crate::entry::duration_text(ms);
    let words = format!("{id} measures every {every} until its collector connects anew");
    Ok(alerts::ask(state, Action::Say(words), body))
}

fn filter(state: &mut State, text: &str) {
    state.console.filters.push(text);
    match state.view {
        View::Fleet => state.fleet_table.set_filter(text),
        View::Machine(_) => state.process_table.set_filter(text),
        View::Alerts => state.alerts.list.set_filter(text),
        View::Rules => state.alerts.rules.set_filter(text),
    }
}

/// The theme that the selected line shows, if it shows one.
fn previewed(state: &State, palette: &Palette) -> Option<String> {
    let (word, _) = palette.word()?;
    if word.argument != Argument::Theme {
        return None;
    }
    entries(state, palette)
        .get(palette.at)
        .map(|entry| entry.name.clone())
}

/// What is to be done when another theme is to be seen.
fn preview(state: &State, before: Option<String>, after: Option<String>) -> Vec<Effect> {
    if before == after {
        return Vec::new();
    }
    vec![Effect::Theme(
        after.unwrap_or_else(|| state.console.theme.clone()),
    )]
}

/// Leaves the line; what was only looked at is taken back.
fn close(state: &mut State, previewed: Option<String>) -> Vec<Effect> {
    state.console.palette = None;
    preview(state, previewed, None)
}

/// Whether a command must not be carried out, because nothing may be changed; says so.
pub(super) fn is_refused(state: &mut State, command: Command) -> bool {
    let is_refused = state.console.is_readonly && command.changes_something();
    if is_refused {
        notify(
            state,
            "this console is read-only: start it without --readonly to change anything",
        );
    }
    is_refused
}
