//! Keys as the client knows them: independent of the terminal library, and writable as text.

use std::fmt;

use crossterm::event::{KeyCode as TerminalCode, KeyEvent, KeyEventKind, KeyModifiers};
use serde::{Deserialize, Serialize};

/// Which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyCode {
    /// A printable character, with the case it was typed in.
    Char(char),
    /// Enter or Return.
    Enter,
    /// Escape.
    Escape,
    /// Tab.
    Tab,
    /// Shift-Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Up arrow.
    Up,
    /// Down arrow.
    Down,
    /// Left arrow.
    Left,
    /// Right arrow.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// F1 to F12.
    Function(u8),
}

/// A key press, with Control held or not. Shift is part of the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key {
    /// Which key.
    pub code: KeyCode,
    /// Whether Control was held.
    pub control: bool,
}

impl Key {
    /// A key without Control.
    #[must_use]
    pub const fn plain(code: KeyCode) -> Self {
        Self { code, control: false }
    }

    /// A character without Control.
    #[must_use]
    pub const fn char(character: char) -> Self {
        Self::plain(KeyCode::Char(character))
    }

    /// A character with Control.
    #[must_use]
    pub const fn control(character: char) -> Self {
        Self {
            code: KeyCode::Char(character),
            control: true,
        }
    }

    /// The key of a terminal event; `None` for releases, Alt combinations and keys without a use here.
    #[must_use]
    pub fn from_terminal(event: KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release || event.modifiers.contains(KeyModifiers::ALT) {
            return None;
        }
        let is_shifted = event.modifiers.contains(KeyModifiers::SHIFT);
        let code = match event.code {
            // The same in larger steps, on every keyboard.
            TerminalCode::Up if is_shifted => KeyCode::PageUp,
            TerminalCode::Down if is_shifted => KeyCode::PageDown,
            TerminalCode::Left if is_shifted => {
                return Some(Self {
                    code: KeyCode::Left,
                    control: true,
                });
            }
            TerminalCode::Right if is_shifted => {
                return Some(Self {
                    code: KeyCode::Right,
                    control: true,
                });
            }
            TerminalCode::Char(character) => KeyCode::Char(character),
            TerminalCode::Enter => KeyCode::Enter,
            TerminalCode::Esc => KeyCode::Escape,
            TerminalCode::Tab => KeyCode::Tab,
            TerminalCode::BackTab => KeyCode::BackTab,
            TerminalCode::Backspace => KeyCode::Backspace,
            TerminalCode::Delete => KeyCode::Delete,
            TerminalCode::Up => KeyCode::Up,
            TerminalCode::Down => KeyCode::Down,
            TerminalCode::Left => KeyCode::Left,
            TerminalCode::Right => KeyCode::Right,
            TerminalCode::PageUp => KeyCode::PageUp,
            TerminalCode::PageDown => KeyCode::PageDown,
            TerminalCode::Home => KeyCode::Home,
            TerminalCode::End => KeyCode::End,
            TerminalCode::F(number) => KeyCode::Function(number),
            _ => return None,
        };
        Some(Self {
            code,
            control: event.modifiers.contains(KeyModifiers::CONTROL),
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.control {
            formatter.write_str("^")?;
        }
        match self.code {
            KeyCode::Char(' ') => formatter.write_str("Space"),
            KeyCode::Char(character) if self.control => {
                write!(formatter, "{}", character.to_ascii_uppercase())
            }
            KeyCode::Char(character) => write!(formatter, "{character}"),
            KeyCode::Enter => formatter.write_str("Enter"),
            KeyCode::Escape => formatter.write_str("Esc"),
            KeyCode::Tab => formatter.write_str("Tab"),
            KeyCode::BackTab => formatter.write_str("Shift-Tab"),
            KeyCode::Backspace => formatter.write_str("Backspace"),
            KeyCode::Delete => formatter.write_str("Del"),
            KeyCode::Up => formatter.write_str("Up"),
            KeyCode::Down => formatter.write_str("Down"),
            KeyCode::Left => formatter.write_str("Left"),
            KeyCode::Right => formatter.write_str("Right"),
            KeyCode::PageUp => formatter.write_str("PgUp"),
            KeyCode::PageDown => formatter.write_str("PgDn"),
            KeyCode::Home => formatter.write_str("Home"),
            KeyCode::End => formatter.write_str("End"),
            KeyCode::Function(number) => write!(formatter, "F{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shift_with_an_arrow_is_a_page() {
        let key = |code, modifiers| Key::from_terminal(KeyEvent::new(code, modifiers)).map(|key| key.code);
        assert_eq!(key(TerminalCode::Up, KeyModifiers::SHIFT), Some(KeyCode::PageUp));
        assert_eq!(
            key(TerminalCode::Down, KeyModifiers::SHIFT),
            Some(KeyCode::PageDown)
        );
        assert_eq!(key(TerminalCode::Up, KeyModifiers::NONE), Some(KeyCode::Up));
        assert_eq!(
            key(TerminalCode::Char('S'), KeyModifiers::SHIFT),
            Some(KeyCode::Char('S'))
        );
    }
}
