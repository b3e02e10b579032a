//! What the terminal says, and what is written for the person.

use std::io::{self, Write as _};

use crossterm::event::{
    Event as TerminalEvent, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton,
    MouseEventKind,
};
use futures_util::StreamExt;

use crate::event::{Event, Mouse, MouseAction};
use crate::key::Key;

/// Writes a file that is not there yet; says what came of it.
pub(super) fn write_new(path: &str, text: &str, rows: usize) -> String {
    let path = match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => std::path::Path::new(&home).join(rest),
        _ => path.into(),
    };
    let written = std::fs::File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    let shown = std::path::absolute(&path).unwrap_or(path);
    let shown = shown.display();
    match written {
        Ok(()) => format!(
            "wrote {rows} {} to {shown}",
            if rows == 1 { "row" } else { "rows" }
        ),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            format!("nothing was written: {shown} exists already; give another name")
        }
        Err(error) => format!("nothing was written: {shown}: {error}"),
    }
}

/// What a terminal event means to the client; `None` for what it does not use.
pub(super) fn translate(event: TerminalEvent) -> Option<Event> {
    match event {
        TerminalEvent::Key(key) => match escaped(key) {
            Some(key) => Some(Event::Escaped(key)),
            None => Key::from_terminal(key).map(Event::Key),
        },
        TerminalEvent::Paste(text) => Some(Event::Paste(text)),
        TerminalEvent::Resize(width, height) => Some(Event::Resize { width, height }),
        TerminalEvent::Mouse(mouse) => {
            let action = match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => MouseAction::Press,
                MouseEventKind::Drag(MouseButton::Left) => MouseAction::Drag,
                MouseEventKind::Up(MouseButton::Left) => MouseAction::Release,
                MouseEventKind::ScrollUp => MouseAction::WheelUp,
                MouseEventKind::ScrollDown => MouseAction::WheelDown,
                _ => return None,
            };
            Some(Event::Mouse(Mouse {
                action,
                column: mouse.column,
                row: mouse.row,
            }))
        }
        TerminalEvent::FocusGained | TerminalEvent::FocusLost => None,
    }
}

/// The character that came with Alt, or right behind Esc: the bytes are the same.
fn escaped(event: KeyEvent) -> Option<Key> {
    let is_alone = event.modifiers.difference(KeyModifiers::SHIFT) == KeyModifiers::ALT;
    match event.code {
        KeyCode::Char(character) if is_alone && event.kind != KeyEventKind::Release => {
            Some(Key::char(character))
        }
        _ => None,
    }
}

/// The next thing that the terminal says; nothing while the shell has it.
pub(super) async fn next_input(input: &mut Option<EventStream>) -> Option<io::Result<TerminalEvent>> {
    match input {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}
