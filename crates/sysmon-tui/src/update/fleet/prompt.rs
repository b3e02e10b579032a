//! The line in which the fleet is filtered: applied as it is typed, completed, recalled and saved.

use crate::event::Effect;
use crate::key::{Key, KeyCode};
use crate::state::{Prompt, PromptKind, State};
use crate::text_field::TextField;
use crate::update::notify;

/// Opens the line with the filter that there is.
pub(in crate::update) fn open(state: &mut State) {
    let table = &mut state.fleet_table;
    table.filter.forgive();
    table.filter.learn(&state.fleet, &state.alerts.board);
    let before = table.filter_text().to_owned();
    let field = TextField::new(&before);
    table.filter.look_up(&field);
    state.prompt = Some(Prompt {
        kind: PromptKind::Machines,
        field,
        before,
    });
}

/// Takes a key.
pub(in crate::update) fn type_key(state: &mut State, key: Key) -> Vec<Effect> {
    let Some(prompt) = &mut state.prompt else {
        return Vec::new();
    };
    let filter = &mut state.fleet_table.filter;
    match (key.code, key.control) {
        (KeyCode::Char('z'), true) => return vec![Effect::Suspend],
        (KeyCode::Char('s'), true) => save(state),
        (KeyCode::Enter, _) => keep(state),
        (KeyCode::Escape, _) => {
            if let Some(prompt) = state.prompt.take() {
                state.fleet_table.set_filter(&prompt.before);
                state.fleet_table.filter.forgive();
            }
        }
        (KeyCode::Tab, _) | (KeyCode::BackTab, _) => {
            filter.complete(&mut prompt.field, key.code == KeyCode::Tab);
            let text = prompt.field.text().to_owned();
            state.fleet_table.type_filter(&text);
        }
        (KeyCode::Up, _) | (KeyCode::Down, _) => {
            if let Some(text) = filter.recall(prompt.field.text(), key.code == KeyCode::Up) {
                prompt.field = TextField::new(&text);
                filter.look_up(&prompt.field);
                state.fleet_table.set_filter(&text);
            }
        }
        _ => {
            prompt.field.press(key);
            changed(state);
        }
    }
    Vec::new()
}

/// Applies what the line says now.
pub(in crate::update) fn changed(state: &mut State) {
    if let Some(prompt) = &state.prompt {
        let text = prompt.field.text().to_owned();
        state.fleet_table.filter.look_up(&prompt.field);
        state.fleet_table.type_filter(&text);
    }
}

fn keep(state: &mut State) {
    if let Some(prompt) = &state.prompt {
        let text = prompt.field.text().to_owned();
        state.fleet_table.set_filter(&text);
    }
    // What is wrong stays on screen until it is mended or left.
    if state.fleet_table.filter.problem().is_some() {
        return;
    }
    if let Some(prompt) = state.prompt.take() {
        state.fleet_table.filter.remember(prompt.field.text());
        state.fleet_table.filter.forgive();
    }
}

fn save(state: &mut State) {
    let filter = &state.fleet_table.filter;
    let text = state
        .prompt
        .as_ref()
        .map(|prompt| prompt.field.text().trim().to_owned());
    match text.filter(|text| !text.is_empty() && filter.problem().is_none()) {
        Some(text) => {
            state.fleet_table.filter.remember(&text);
            state.prompt = Some(Prompt {
                kind: PromptKind::SaveFilter(text),
                field: TextField::default(),
                before: String::new(),
            });
        }
        None => notify(state, "there is no filter to save yet: type one first"),
    }
}

/// Saves a filter under the name that was typed.
pub(in crate::update) fn save_as(state: &mut State, text: &str, name: &str) {
    let said = match state.fleet_table.filter.save(name, text) {
        Ok(()) => format!("saved as {}: / and its name bring it back", name.trim()),
        Err(problem) => problem.to_owned(),
    };
    state.fleet_table.filter.forgive();
    notify(state, said);
}
