//! Keys as the client knows them: independent of the terminal library, and writable as text.

use std::fmt;
use std::str::FromStr;

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

/// Keys with a name, as they are written and shown.
const NAMED: [(&str, KeyCode); 16] = [
    ("Space", KeyCode::Char(' ')),
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Escape),
    ("Tab", KeyCode::Tab),
    ("Shift-Tab", KeyCode::BackTab),
    ("Backspace", KeyCode::Backspace),
    ("Del", KeyCode::Delete),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("Delete", KeyCode::Delete),
];

/// A text that names no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKey;

impl FromStr for Key {
    type Err = UnknownKey;

    /// A character, `Ctrl-x` or `^X`, or a name such as `Enter`, `PgUp` or `F5`, however its letters are capitalised.
    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        let mut characters = text.chars();
        if let (Some(character), None) = (characters.next(), characters.next()) {
            return if character.is_control() || character == ' ' {
                Err(UnknownKey)
            } else {
                Ok(Self::char(character))
            };
        }
        let lower = text.to_ascii_lowercase();
        let held = lower.strip_prefix("ctrl-").or_else(|| lower.strip_prefix('^'));
        if let Some(rest) = held {
            let key: Self = rest.parse()?;
            // No terminal tells other keys with Control apart from those without.
            return match key.code {
                KeyCode::Up
                | KeyCode::Down
                | KeyCode::Left
                | KeyCode::Right
                | KeyCode::Home
                | KeyCode::End => Ok(Self { control: true, ..key }),
                KeyCode::Char(character) if character.is_ascii_graphic() || character == ' ' => {
                    Ok(Self { control: true, ..key })
                }
                _ => Err(UnknownKey),
            };
        }
        if let Some(number) = lower.strip_prefix('f').and_then(|rest| rest.parse().ok()) {
            return match number {
                1..=12 => Ok(Self::plain(KeyCode::Function(number))),
                _ => Err(UnknownKey),
            };
        }
        let mut named = NAMED.iter();
        named
            .find(|(name, _)| name.eq_ignore_ascii_case(text))
            .map(|(_, code)| Self::plain(*code))
            .ok_or(UnknownKey)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_shown() {
        let codes = NAMED.iter().map(|(_, code)| *code);
        let others = [
            KeyCode::Function(1),
            KeyCode::Function(12),
            KeyCode::Char('x'),
            KeyCode::Char('^'),
        ];
        for code in codes.chain(others) {
            let key = Key::plain(code);
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert_eq!("Ctrl-D".parse(), Ok(Key::control('d')));
        let left = Key {
            code: KeyCode::Left,
            control: true,
        };
        assert_eq!(left.to_string().parse(), Ok(left));
        assert_eq!(Key::control('d').to_string().parse(), Ok(Key::control('d')));
        for wrong in [
            "",
            " ",
            "F0",
            "F13",
            "Ctrl-",
            "Ctrl-Enter",
            "Alt-x",
            "Meta",
            "\u{1b}",
        ] {
            assert_eq!(wrong.parse::<Key>(), Err(UnknownKey), "{wrong:?}");
        }
    }

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
