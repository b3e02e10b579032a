//! One line of typed text. It takes every printable key.

use crate::key::{Key, KeyCode};

/// Text with a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextField {
    text: String,
    /// Byte index, always at a character boundary.
    cursor: usize,
}

impl TextField {
    /// The most bytes it takes; further ones are ignored.
    const LIMIT: usize = 256;

    /// A field that holds `text`, the cursor behind it.
    #[must_use]
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            cursor: text.len(),
        }
    }

    /// What was typed.
    #[must_use]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    #[must_use]
    pub(crate) fn before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// Takes a key; returns whether it had a use.
    pub(crate) fn press(&mut self, key: Key) -> bool {
        match (key.code, key.control) {
            (KeyCode::Char(character), false) if !character.is_control() => self.insert(character),
            (KeyCode::Backspace, _) | (KeyCode::Char('h'), true) => self.erase(self.previous()),
            (KeyCode::Delete, _) => self.text.replace_range(self.cursor..self.next(), ""),
            (KeyCode::Char('u'), true) => self.erase(0),
            (KeyCode::Char('w'), true) => {
                let kept = self.before_cursor().trim_end();
                let start = kept.rfind(char::is_whitespace).map_or(0, |index| index + 1);
                self.erase(start.min(kept.len()));
            }
            (KeyCode::Left, _) | (KeyCode::Char('b'), true) => self.cursor = self.previous(),
            (KeyCode::Right, _) | (KeyCode::Char('f'), true) => self.cursor = self.next(),
            (KeyCode::Home, _) | (KeyCode::Char('a'), true) => self.cursor = 0,
            (KeyCode::End, _) | (KeyCode::Char('e'), true) => self.cursor = self.text.len(),
            _ => return false,
        }
        true
    }

    /// Takes pasted text without its control characters.
    pub(crate) fn paste(&mut self, text: &str) {
        text.chars()
            .filter(|character| !character.is_control())
            .for_each(|character| self.insert(character));
    }

    /// Puts a text in the place of some bytes, the cursor behind it; what would make the line too long is left out.
    pub(crate) fn replace(&mut self, span: std::ops::Range<usize>, text: &str) {
        let is_sound = span.start <= span.end
            && self.text.is_char_boundary(span.start)
            && self.text.is_char_boundary(span.end);
        if is_sound && self.text.len() - span.len() + text.len() <= Self::LIMIT {
            self.cursor = span.start + text.len();
            self.text.replace_range(span, text);
        }
    }

    fn insert(&mut self, character: char) {
        if self.text.len() + character.len_utf8() <= Self::LIMIT {
            self.text.insert(self.cursor, character);
            self.cursor += character.len_utf8();
        }
    }

    fn erase(&mut self, start: usize) {
        self.text.replace_range(start..self.cursor, "");
        self.cursor = start;
    }

    fn previous(&self) -> usize {
        self.before_cursor()
            .char_indices()
            .next_back()
            .map_or(0, |(index, _)| index)
    }

    fn next(&self) -> usize {
        self.text[self.cursor..]
            .chars()
            .next()
            .map_or(self.cursor, |character| self.cursor + character.len_utf8())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[Key]) -> TextField {
        let mut field = TextField::default();
        for key in keys {
            field.press(*key);
        }
        field
    }

    #[test]
    fn editing_keeps_characters_whole() {
        let left = Key::plain(KeyCode::Left);
        let field = typed(&[
            Key::char('é'),
            Key::char('漢'),
            left,
            Key::char('x'),
            left,
            Key::plain(KeyCode::Backspace),
        ]);
        assert_eq!((field.text(), field.before_cursor()), ("x漢", ""));
    }

    #[test]
    fn q_is_a_letter_here_and_control_w_takes_a_word() {
        let mut field = TextField::new("role=web q");
        assert!(field.press(Key::char('q')));
        field.press(Key::control('w'));
        assert_eq!(field.text(), "role=web ");
        field.paste("a\nb\u{1b}[c");
        assert_eq!(field.text(), "role=web ab[c");
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let mut field = TextField::default();
        field.paste(&"漢".repeat(10_000));
        assert!(field.text().len() <= 256);
    }
}
