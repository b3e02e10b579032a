//! Cells as bytes: as few as it takes, gathered into one frame.

use std::convert::Infallible;
use std::io::{self, Write as _};

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};

/// Begins and ends an update that terminals show as a whole (DEC private mode 2026).
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

/// Writes into memory; whoever owns it takes the frame and sends it.
#[derive(Debug, Default)]
pub(super) struct Painter {
    frame: Vec<u8>,
    /// Whether the frame changes anything on the screen.
    has_changed: bool,
    /// Where the terminal's cursor is, when that is certain.
    at: Option<Position>,
    /// How the terminal writes now, when that is certain.
    style: Option<(Color, Color, Modifier)>,
    is_cursor_shown: Option<bool>,
    cursor: Option<Position>,
}

/// Attributes with their codes.
const ATTRIBUTES: [(Modifier, u8); 8] = [
    (Modifier::BOLD, 1),
    (Modifier::DIM, 2),
    (Modifier::ITALIC, 3),
    (Modifier::UNDERLINED, 4),
    (Modifier::SLOW_BLINK, 5),
    (Modifier::REVERSED, 7),
    (Modifier::HIDDEN, 8),
    (Modifier::CROSSED_OUT, 9),
];

impl Painter {
    /// The frame since the last one was taken; `None` when nothing on the screen changes.
    pub(super) fn take_frame(&mut self) -> Option<Vec<u8>> {
        let frame = std::mem::take(&mut self.frame);
        if !std::mem::take(&mut self.has_changed) {
            return None;
        }
        let mut whole = Vec::with_capacity(frame.len() + BEGIN.len() + END.len());
        whole.extend_from_slice(BEGIN);
        whole.extend_from_slice(&frame);
        whole.extend_from_slice(END);
        Some(whole)
    }

    /// Somebody else has written to the terminal: nothing is certain any more.
    pub(super) fn forget(&mut self) {
        (self.at, self.style, self.is_cursor_shown, self.cursor) = (None, None, None, None);
    }

    fn move_to(&mut self, x: u16, y: u16) {
        match self.at {
            Some(at) if at == Position::new(x, y) => return,
            // A step to the right is shorter to say than the place itself.
            Some(at) if at.y == y && at.x < x => match x - at.x {
                1 => self.frame.extend_from_slice(b"\x1b[C"),
                step => self.put(format_args!("\x1b[{step}C")),
            },
            _ => self.put(format_args!("\x1b[{};{}H", y + 1, x + 1)),
        }
        self.at = Some(Position::new(x, y));
    }

    fn restyle(&mut self, foreground: Color, background: Color, modifier: Modifier) {
        let wanted = (foreground, background, modifier);
        if self.style == Some(wanted) {
            return;
        }
        let mut codes = String::new();
        let mut add = |code: &str| {
            if !codes.is_empty() {
                codes.push(';');
            }
            codes.push_str(code);
        };
        let (before_foreground, before_background, before) = match self.style {
            // Taking an attribute away by itself is not the same everywhere; beginning anew is.
            Some((foreground, background, before)) if modifier.contains(before) => {
                (foreground, background, before)
            }
            _ => {
                add("0");
                (Color::Reset, Color::Reset, Modifier::empty())
            }
        };
        for (attribute, code) in ATTRIBUTES {
            if modifier.contains(attribute) && !before.contains(attribute) {
                add(&code.to_string());
            }
        }
        if foreground != before_foreground {
            add(&colour(foreground, 30));
        }
        if background != before_background {
            add(&colour(background, 40));
        }
        if !codes.is_empty() {
            self.put(format_args!("\x1b[{codes}m"));
        }
        self.style = Some(wanted);
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to memory does not fail.
        let _ = self.frame.write_fmt(text);
    }
}

/// The code of a colour; `base` is 30 for text and 40 for what is behind it.
fn colour(colour: Color, base: u8) -> String {
    let plain = match colour {
        Color::Reset => 9,
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 60,
        Color::LightRed => 61,
        Color::LightGreen => 62,
        Color::LightYellow => 63,
        Color::LightBlue => 64,
        Color::LightMagenta => 65,
        Color::LightCyan => 66,
        Color::White => 67,
        Color::Indexed(index) => return format!("{};5;{index}", base + 8),
        Color::Rgb(red, green, blue) => return format!("{};2;{red};{green};{blue}", base + 8),
    };
    (base + plain).to_string()
}

/// What never happens here as the error that the client knows.
pub(super) fn never(error: Infallible) -> io::Error {
    match error {}
}

impl Backend for Painter {
    type Error = Infallible;

    fn draw<'a, I>(&mut self, content: I) -> Result<(), Infallible>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        for (x, y, cell) in content {
            self.has_changed = true;
            self.move_to(x, y);
            self.restyle(cell.fg, cell.bg, cell.modifier);
            let symbol = cell.symbol();
            self.frame.extend_from_slice(symbol.as_bytes());
            // Terminals disagree about wide characters, and about what happens behind the last column.
            self.at = (sysmon_core::display_width(symbol) == 1).then(|| Position::new(x + 1, y));
        }
        Ok(())
    }

    fn hide_cursor(&mut self) -> Result<(), Infallible> {
        if self.is_cursor_shown != Some(false) {
            self.frame.extend_from_slice(b"\x1b[?25l");
            (self.is_cursor_shown, self.has_changed) = (Some(false), true);
        }
        Ok(())
    }

    fn show_cursor(&mut self) -> Result<(), Infallible> {
        if self.is_cursor_shown != Some(true) {
            self.frame.extend_from_slice(b"\x1b[?25h");
            (self.is_cursor_shown, self.has_changed) = (Some(true), true);
        }
        Ok(())
    }

    fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
        // Asking the terminal would wait for an answer that a slow link delays or the next key press garbles.
        Ok(self.at.unwrap_or_default())
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
        let position = position.into();
        if self.at != Some(position) || self.cursor != Some(position) {
            self.at = None;
            self.move_to(position.x, position.y);
            (self.cursor, self.has_changed) = (Some(position), true);
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.forget();
        self.frame.extend_from_slice(b"\x1b[0m\x1b[2J");
        self.has_changed = true;
        Ok(())
    }

    fn clear_region(&mut self, _: ClearType) -> Result<(), Infallible> {
        // Everything is drawn on the whole screen.
        self.clear()
    }

    fn size(&self) -> Result<Size, Infallible> {
        // A terminal that does not say how large it is shows nothing.
        Ok(super::size().map_or(Size::ZERO, |(width, height)| Size { width, height }))
    }

    fn window_size(&mut self) -> Result<WindowSize, Infallible> {
        Ok(WindowSize {
            columns_rows: self.size()?,
            pixels: Size::ZERO,
        })
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratatui::buffer::Buffer;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    fn frame(painter: &mut Painter, before: &Buffer, after: &Buffer) -> Option<Vec<u8>> {
        let Ok(()) = painter.draw(before.diff(after).into_iter());
        painter.take_frame()
    }

    #[test]
    fn what_does_not_change_is_not_written() {
        let mut painter = Painter::default();
        let buffer = Buffer::with_lines(["one", "two"]);
        assert!(frame(&mut painter, &Buffer::empty(buffer.area), &buffer).is_some());
        let Ok(()) = painter.hide_cursor();
        painter.take_frame();
        let Ok(()) = painter.hide_cursor();
        assert_eq!(frame(&mut painter, &buffer, &buffer), None);
    }

    #[test]
    fn a_frame_is_one_synchronized_update() {
        let mut painter = Painter::default();
        let empty = Buffer::empty(Rect::new(0, 0, 9, 1));
        let bytes = frame(&mut painter, &empty, &Buffer::with_lines(["a  b     "])).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "\u{1b}[?2026h\u{1b}[1;1H\u{1b}[0ma\u{1b}[2Cb\u{1b}[?2026l");
    }

    fn styles() -> impl Strategy<Value = Style> {
        let colours = prop::sample::select(vec![
            Color::Reset,
            Color::Red,
            Color::White,
            Color::Indexed(99),
            Color::Rgb(1, 20, 255),
        ]);
        let modifiers = prop::sample::select(vec![
            Modifier::empty(),
            Modifier::BOLD,
            Modifier::BOLD | Modifier::REVERSED,
            Modifier::DIM,
        ]);
        (colours.clone(), colours, modifiers)
            .prop_map(|(fg, bg, modifier)| Style::new().fg(fg).bg(bg).add_modifier(modifier))
    }

    proptest! {
        /// The terminal of the console tests is the judge: after any sequence of frames it shows what was meant.
        #[test]
        fn a_terminal_shows_what_was_drawn(
            frames in prop::collection::vec(prop::collection::vec((0u16..12, "[a-z⣿漢]{1,3}", styles()), 0..6), 1..5)
        ) {
            let area = Rect::new(0, 0, 12, 4);
            let (rows, columns) = (std::num::NonZeroU16::new(4).unwrap(), std::num::NonZeroU16::new(12).unwrap());
            let mut terminal = vt100::Parser::new(rows, columns, 0);
            let mut painter = Painter::default();
            let mut before = Buffer::empty(area);
            for writes in frames {
                let mut after = Buffer::empty(area);
                // A row each: what half of a wide character looks like is nobody's business here.
                for (y, (x, text, style)) in (0u16..4).zip(writes) {
                    after.set_stringn(x, y, text, usize::from(12 - x), style);
                }
                if let Some(bytes) = frame(&mut painter, &before, &after) {
                    terminal.process(&bytes);
                }
                for position in area.positions() {
                    let wanted = &after[position];
                    let shown = terminal.screen().cell(position.y, position.x).unwrap();
                    if shown.is_wide_continuation() {
                        continue;
                    }
                    let text = if shown.has_contents() { shown.contents() } else { " " };
                    prop_assert_eq!(text, wanted.symbol());
                    // What is left of half a wide character is blank, whatever its style.
                    if wanted.symbol() == " " {
                        continue;
                    }
                    prop_assert_eq!(shown.bold(), wanted.modifier.contains(Modifier::BOLD));
                    prop_assert_eq!(shown.inverse(), wanted.modifier.contains(Modifier::REVERSED));
                    let colour = match wanted.fg {
                        Color::Reset => vt100::Color::Default,
                        Color::Red => vt100::Color::Idx(1),
                        Color::White => vt100::Color::Idx(15),
                        Color::Indexed(index) => vt100::Color::Idx(index),
                        Color::Rgb(r, g, b) => vt100::Color::Rgb(r, g, b),
                        _ => unreachable!(),
                    };
                    prop_assert_eq!(shown.fgcolor(), colour);
                }
                before = after;
            }
        }
    }
}
