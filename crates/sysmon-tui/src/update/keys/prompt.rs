//! A line that is typed at the bottom: filters, and what is said with an acknowledgement.

use super::go;
use crate::event::Effect;
use crate::key::{Key, KeyCode};
use crate::state::{Movement, Prompt, PromptKind, State};
use crate::update::alerts::commands::acknowledge_with;
use crate::update::travel;
use crate::update::{export, fleet};

/// Every printable key is text; a list follows its filter as one types.
pub(super) fn type_key(state: &mut State, key: Key) -> Vec<Effect> {
    if state.prompt.as_ref().map(|prompt| &prompt.kind) == Some(&PromptKind::Machines) {
        return fleet::prompt::type_key(state, key);
    }
    match (key.code, key.control) {
        (KeyCode::Enter, _) if is_moment(state) => return enter_moment(state),
        (KeyCode::Enter, _) => {
            let prompt = state.prompt.take();
            if prompt.as_ref().map(|prompt| &prompt.kind) == Some(&PromptKind::Processes) {
                state.process_table.keep_search();
            }
            if let Some(Prompt { kind, field, .. }) = &prompt
                && !matches!(
                    kind,
                    PromptKind::Acknowledge(_)
                        | PromptKind::Help
                        | PromptKind::Export
                        | PromptKind::SaveFilter(_)
                        | PromptKind::Interval(_)
                )
            {
                state.console.filters.push(field.text());
            }
            match prompt.map(|prompt| (prompt.kind, prompt.field)) {
                Some((PromptKind::Acknowledge(alert), field)) => {
                    return acknowledge_with(state, &alert, field.text());
                }
                Some((PromptKind::Export, field)) => return export::write(state, field.text()),
                Some((PromptKind::SaveFilter(text), field)) => {
                    fleet::prompt::save_as(state, &text, field.text());
                }
                Some((PromptKind::Interval(machines), field)) => {
                    return fleet::set_interval(state, machines, field.text());
                }
                _ => {}
            }
        }
        (KeyCode::Escape, _) => {
            if let Some(prompt) = state.prompt.take() {
                set_filter(state, &prompt.kind, &prompt.before);
            }
        }
        (KeyCode::Up, _) => go(state, Movement::By(-1)),
        (KeyCode::Down, _) => go(state, Movement::By(1)),
        (KeyCode::Char('z'), true) => return vec![Effect::Suspend],
        _ => {
            if let Some(prompt) = &mut state.prompt {
                prompt.field.press(key);
            }
            apply(state);
        }
    }
    Vec::new()
}

fn is_moment(state: &State) -> bool {
    let kind = state.prompt.as_ref().map(|prompt| &prompt.kind);
    kind == Some(&PromptKind::Moment)
}

fn enter_moment(state: &mut State) -> Vec<Effect> {
    let text = state.prompt.as_ref().map(|prompt| prompt.field.text().to_owned());
    travel::typed(state, &text.unwrap_or_default())
}

/// Takes pasted text.
pub(super) fn paste(state: &mut State, text: &str) {
    if let Some(prompt) = &mut state.prompt {
        prompt.field.paste(text);
        if prompt.kind == PromptKind::Machines {
            fleet::prompt::changed(state);
        } else {
            apply(state);
        }
    }
}

fn apply(state: &mut State) {
    if let Some(prompt) = &state.prompt {
        let (kind, text) = (prompt.kind.clone(), prompt.field.text().to_owned());
        set_filter(state, &kind, &text);
    }
}

fn set_filter(state: &mut State, kind: &PromptKind, text: &str) {
    match kind {
        PromptKind::Machines => state.fleet_table.set_filter(text),
        PromptKind::Processes => state.process_table.set_filter(text),
        PromptKind::Alerts => state.alerts.list.set_filter(text),
        PromptKind::Rules => state.alerts.rules.set_filter(text),
        PromptKind::Help => {
            state.console.help_filter = text.to_owned();
            if let Some(overlay) = &mut state.overlay {
                overlay.scroll = 0;
            }
        }
        // What was wrong is forgotten as soon as it is mended.
        PromptKind::Moment => state.travel.typed_wrong = None,
        PromptKind::Acknowledge(_)
        | PromptKind::Export
        | PromptKind::SaveFilter(_)
        | PromptKind::Interval(_) => {}
    }
}
