//! Keys while a rule or a silence is edited.

use crate::command::{Binding, Command};
use crate::event::Effect;
use crate::key::{Key, KeyCode};
use crate::state::State;
use crate::state::silencing::SilenceField;
use crate::text_field::TextField;
use crate::update::alerts::commands::make_silence;
use crate::update::editor;
use crate::update::palette::is_refused;

/// A command of the form, else text for its field.
pub(super) fn press(state: &mut State, key: Key) -> Vec<Effect> {
    state.pending_keys.clear();
    match (key.code, key.control) {
        (KeyCode::Char('z'), true) => return vec![Effect::Suspend],
        (KeyCode::Char('l'), true) => return vec![Effect::Redraw],
        _ => {}
    }
    let is_asking = state
        .editor
        .as_ref()
        .is_some_and(|editor| editor.conflict.is_some() || editor.is_leaving);
    let command = match state.console.keymap.lookup(&[key], state.contexts()) {
        Binding::Command(Command::Toggle) if takes_space(state) => None,
        Binding::Command(command) => Some(command),
        Binding::Prefix | Binding::None => None,
    };
    if command.is_some_and(|command| command == Command::Save && is_refused(state, command)) {
        return Vec::new();
    }
    match command {
        Some(command) if state.editor.is_some() => return editor::run(state, command),
        Some(command) => return silence(state, command),
        None if is_asking => {}
        None if state.editor.is_some() => editor::type_key(state, key),
        None => type_into_silence(state, key),
    }
    Vec::new()
}

/// Takes pasted text.
pub(super) fn paste(state: &mut State, text: &str) {
    if state.editor.is_some() {
        editor::paste(state, text);
    } else if let Some(form) = &mut state.silencing {
        match form.field {
            SilenceField::Comment => form.comment.paste(text),
            SilenceField::Length => form.typing.get_or_insert_default().paste(text),
            SilenceField::Scope => {}
        }
    }
}

fn takes_space(state: &State) -> bool {
    match (&state.editor, &state.silencing) {
        (Some(editor), _) => editor.takes_space(),
        (None, Some(form)) => form.field == SilenceField::Comment || form.typing.is_some(),
        (None, None) => false,
    }
}

fn silence(state: &mut State, command: Command) -> Vec<Effect> {
    let Some(form) = &mut state.silencing else {
        return Vec::new();
    };
    match command {
        Command::NextField => form.go(true),
        Command::PreviousField => form.go(false),
        Command::StepUp | Command::LeapUp => form.step(true),
        Command::StepDown | Command::LeapDown | Command::Toggle => form.step(false),
        Command::Save => return make_silence(state),
        Command::Back => {
            if form.typing.take().is_none() {
                state.silencing = None;
            } else {
                form.problem = None;
            }
        }
        _ => {}
    }
    Vec::new()
}

fn type_into_silence(state: &mut State, key: Key) {
    let Some(form) = &mut state.silencing else { return };
    match form.field {
        SilenceField::Comment => {
            form.comment.press(key);
        }
        SilenceField::Length if form.typing.is_some() || matches!(key.code, KeyCode::Char(_)) => {
            form.typing.get_or_insert_with(TextField::default).press(key);
            form.problem = None;
        }
        SilenceField::Length | SilenceField::Scope => {}
    }
}
