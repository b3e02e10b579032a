//! Where the line of commands and its list are.

use ratatui::layout::Rect;

use crate::state::palette::{Argument, Palette};

/// A frame below the top line, in it the line and under that the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PaletteRegions {
    pub(crate) area: Rect,
    pub(crate) line: Rect,
    pub(crate) list: Rect,
    /// The first entry that is visible.
    pub(crate) first: usize,
}

/// The most lines of the list on screen at once.
const ROWS_MAX: u16 = 14;

/// Room for `count` entries with the chosen one in sight. Colours are tried on what is above: there the worst stands.
pub(crate) fn palette_regions(screen: Rect, count: usize, palette: &Palette) -> PaletteRegions {
    let width = screen.width.min(96);
    let wanted = u16::try_from(count.max(1)).unwrap_or(u16::MAX).min(ROWS_MAX);
    let height = screen.height.saturating_sub(2).min(wanted.saturating_add(3));
    let area = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: match palette.word() {
            Some((word, _)) if word.argument == Argument::Theme => screen.bottom().saturating_sub(height + 1),
            _ => screen.y + 1.min(screen.height),
        },
        width,
        height,
    };
    let line = Rect {
        x: area.x.saturating_add(2),
        y: area.y + 1.min(height),
        width: width.saturating_sub(4),
        height: height.saturating_sub(2).min(1),
    };
    let list = Rect {
        y: line.y + line.height,
        height: height.saturating_sub(3),
        ..line
    };
    let at = palette.at.min(count.saturating_sub(1));
    let first = (at + 1).saturating_sub(usize::from(list.height));
    PaletteRegions {
        area,
        line,
        list,
        first,
    }
}
