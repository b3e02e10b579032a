//! Writing into the buffer: clipped, in one style, greyed as a whole when what is written is no longer current.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use sysmon_core::{clip, display_width, sanitize};

use crate::glyphs::Glyphs;
use crate::theme::Theme;

/// A place to draw to.
pub(super) struct Pen<'a> {
    buffer: &'a mut Buffer,
    pub(super) theme: &'a Theme,
    /// Whether everything is drawn as no longer current.
    stale: bool,
}

impl<'a> Pen<'a> {
    pub(super) fn new(buffer: &'a mut Buffer, theme: &'a Theme) -> Self {
        Self {
            buffer,
            theme,
            stale: false,
        }
    }

    /// From now on everything is drawn as no longer current, or not.
    pub(super) fn set_stale(&mut self, stale: bool) {
        self.stale = stale;
    }

    fn style(&self, style: Style) -> Style {
        if self.stale { self.theme.stale() } else { style }
    }

    /// Lays the background on a frame, which comes empty.
    pub(super) fn begin(&mut self) {
        let style = self.theme.text();
        for cell in &mut self.buffer.content {
            cell.set_style(style);
        }
    }

    /// Fills an area with the background.
    pub(super) fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for position in area.positions() {
            self.buffer[position].reset();
        }
        self.buffer.set_style(area, self.theme.text());
    }

    /// Writes text from the left into `width` cells; returns the column behind it.
    pub(super) fn text(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) -> u16 {
        let area = self.buffer.area;
        if y < area.y || y >= area.bottom() || x >= area.right() || width == 0 {
            return x;
        }
        let width = width.min(area.right() - x);
        let style = self.style(style);
        if let Some(length) = plain_length(text).filter(|length| *length <= width) {
            // Most of what is written: nothing to make harmless, to clip or to measure.
            let first = self.buffer.index_of(x, y);
            let cells = &mut self.buffer.content[first..first + text.len()];
            for (cell, character) in cells.iter_mut().zip(text.chars()) {
                cell.set_char(character).set_style(style);
            }
            return x + length;
        }
        // Whatever comes from afar is made harmless here, wherever else that may have been done.
        let text = sanitize(text);
        let text = match self.theme.glyphs {
            Glyphs::Ascii => Cow::Owned(ascii(&text, width.into())),
            _ => clip(&text, width.into()),
        };
        self.buffer.set_stringn(x, y, text, width.into(), style).0
    }

    /// Writes text so that it ends at the right edge of `width` cells.
    pub(super) fn right(&mut self, x: u16, y: u16, width: u16, text: &str, style: Style) {
        let needed = self.cells(text).min(width);
        self.text(x + (width - needed), y, needed, text, style);
    }

    /// How many cells a text takes as it is written here.
    pub(super) fn cells(&self, text: &str) -> u16 {
        let cells = match self.theme.glyphs {
            Glyphs::Ascii => ascii(&sanitize(text), usize::MAX).len(),
            _ => display_width(text),
        };
        u16::try_from(cells).unwrap_or(u16::MAX)
    }

    /// Writes pieces one after the other; returns the column behind them.
    pub(super) fn pieces(&mut self, x: u16, y: u16, width: u16, pieces: &[(&str, Style)]) -> u16 {
        let end = x.saturating_add(width);
        pieces.iter().fold(x, |x, (text, style)| {
            self.text(x, y, end.saturating_sub(x), text, *style)
        })
    }

    /// Writes one character.
    pub(super) fn put(&mut self, x: u16, y: u16, character: char, style: Style) {
        let style = self.style(style);
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.set_char(character).set_style(style);
        }
    }

    /// What is drawn in a cell; a space where nothing is.
    pub(super) fn glyph(&self, x: u16, y: u16) -> char {
        let cell = self.buffer.cell((x, y));
        cell.and_then(|cell| cell.symbol().chars().next()).unwrap_or(' ')
    }

    /// Draws something else in a cell, in its own style.
    pub(super) fn replace(&mut self, x: u16, y: u16, character: char) {
        if let Some(cell) = self.buffer.cell_mut((x, y)) {
            cell.set_char(character);
        }
    }

    /// Lays a style over what is there, such as that of the selected row.
    pub(super) fn overlay(&mut self, area: Rect, style: Style) {
        let area = area.intersection(self.buffer.area);
        self.buffer.set_style(area, style);
    }

    /// A shape of the theme's character set.
    pub(super) fn pick(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        self.theme.glyphs.pick(unicode, ascii)
    }
}

/// A text in printable ASCII, cut to so many cells: what our own texts are written with has its likeness, and whatever
/// else comes from afar is a question mark per cell.
fn ascii(text: &str, cells: usize) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        match character {
            ' '..='~' => plain.push(character),
            '…' => plain.push_str(".."),
            '°' => plain.push(' '),
            '·' | '–' => plain.push('-'),
            '\u{fffd}' => plain.push('?'),
            _ => {
                let width = display_width(character.encode_utf8(&mut [0; 4]));
                plain.extend(std::iter::repeat_n('?', width));
            }
        }
    }
    if plain.len() > cells {
        plain.truncate(cells.saturating_sub(2));
        plain.push_str(if cells >= 2 { ".." } else { "" });
    }
    plain
}

/// How many cells a text takes that is nothing but printable ASCII; `None` for any other.
fn plain_length(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    u16::try_from(text.len()).ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::ascii;

    #[test]
    fn in_ascii_a_foreign_character_is_a_question_mark_per_cell_and_a_cut_is_two_points() {
        assert_eq!(ascii("/srv/データ", 40), "/srv/??????");
        assert_eq!(ascii("e\u{301}t\u{e9}", 40), "et?", "a mark above takes no cell");
        assert_eq!(ascii("web-017 · 80 °C", 40), "web-017 - 80  C");
        assert_eq!(ascii("batch-node-0001", 8), "batch-..");
        assert_eq!(["ab", "abc", "abc"].map(|text| ascii(text, 1)), ["", "", ""]);
    }
}
