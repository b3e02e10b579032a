//! Copying and writing what is on screen.

use crate::event::Effect;
use crate::export::{Format, Table};
use crate::key::{Key, KeyCode};
use crate::state::{Choosing, Prompt, PromptKind, State, View};
use crate::text_field::TextField;

use super::notify;

/// What can be copied in a view: key, word, and the column that it is in; the row itself has none.
pub(crate) fn copies(view: &View) -> &'static [(char, &'static str, &'static str)] {
    match view {
        View::Fleet => &[
            ('m', "machine", "machine_id"),
            ('h', "host name", "hostname"),
            ('r', "row", ""),
        ],
        View::Machine(_) => &[
            ('c', "command line", "command"),
            ('n', "name", "name"),
            ('p', "pid", "pid"),
            ('m', "machine", ""),
            ('r', "row", ""),
        ],
        View::Alerts => &[
            ('m', "machine", "machine_id"),
            ('u', "rule", "rule"),
            ('r', "row", ""),
        ],
        View::Rules => &[('u', "rule", "rule"), ('r', "row", "")],
    }
}

/// Asks what to copy.
pub(super) fn ask_copy(state: &mut State) {
    if state.overlay.is_none() {
        state.choosing = Some(Choosing::Copy);
    }
}

/// Copies what the key names.
pub(super) fn copy(state: &mut State, key: Key) -> Vec<Effect> {
    let KeyCode::Char(pressed) = key.code else {
        return Vec::new();
    };
    let known = copies(&state.view).iter().find(|(known, _, _)| *known == pressed);
    let Some((_, word, column)) = known else {
        notify(state, format!("nothing to copy has the key {pressed:?}"));
        return Vec::new();
    };
    let text = match (&state.view, pressed) {
        (View::Machine(id), 'm') => Some(id.to_string()),
        (_, 'r') => Table::of(state).row_text(),
        _ => Table::of(state).value(column),
    };
    let Some(text) = text else {
        let what = if Table::of(state).at.is_none() {
            "select a row first, with j and k"
        } else {
            "it is empty"
        };
        notify(state, format!("nothing was copied: {what}"));
        return Vec::new();
    };
    let shown = sysmon_core::clip(&text, 40).replace('\t', " ");
    let cut = if text.len() > crate::clipboard::TEXT_BYTES_MAX {
        ", cut at 8 KiB"
    } else {
        ""
    };
    notify(
        state,
        format!("{word} for the clipboard of this terminal{cut}: {shown}"),
    );
    vec![Effect::Copy(text)]
}

/// Asks for the name of a file.
pub(super) fn ask_name(state: &mut State) {
    if state.overlay.is_some() {
        return;
    }
    let name = usual_name(state, Format::Csv);
    state.prompt = Some(Prompt {
        kind: PromptKind::Export,
        field: TextField::new(&name),
        before: String::new(),
    });
}

/// `sysmon-fleet-20261130-140532.csv`, in local time.
fn usual_name(state: &State, format: Format) -> String {
    let ms = state
        .now
        .0
        .saturating_add(i64::from(state.utc_offset_seconds).saturating_mul(1_000));
    let stamp = chrono::DateTime::from_timestamp_millis(ms)
        .map(|time| time.format("-%Y%m%d-%H%M%S").to_string())
        .unwrap_or_default();
    format!("sysmon-{}{stamp}.{}", Table::of(state).name, format.ending())
}

/// Writes the view into the file of this name, whose ending says how.
pub(super) fn write(state: &mut State, path: &str) -> Vec<Effect> {
    let path = path.trim();
    if path.is_empty() {
        notify(state, "nothing was written: a file needs a name");
        return Vec::new();
    }
    let Some(format) = Format::of_path(path) else {
        notify(
            state,
            format!("nothing was written: end {path:?} with .csv, .json or .txt"),
        );
        return Vec::new();
    };
    written(state, path, format)
}

/// `:export csv [FILE]`; an error says what to type instead.
pub(super) fn export(state: &mut State, text: &str) -> Result<Vec<Effect>, String> {
    let (word, path) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut all = Format::ALL.iter();
    let Some((format, _, _)) = all.find(|(_, known, _)| *known == word) else {
        return match Format::of_path(word) {
            Some(format) if path.is_empty() => Ok(written(state, word, format)),
            _ => Err(format!(
                "{word:?} is no format; write csv, json or text, then a file if you like"
            )),
        };
    };
    let path = path.trim();
    let path = if path.is_empty() {
        usual_name(state, *format)
    } else {
        path.to_owned()
    };
    Ok(written(state, &path, *format))
}

fn written(state: &State, path: &str, format: Format) -> Vec<Effect> {
    let table = Table::of(state);
    vec![Effect::Export {
        path: path.to_owned(),
        text: table.written(format),
        rows: table.rows.len(),
    }]
}
