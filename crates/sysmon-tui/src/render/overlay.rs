//! A frame with lines over the view.

use ratatui::layout::Rect;
use sysmon_core::display_width;

use super::pen::Pen;
use crate::words;

/// A heading, or a label and what it stands for.
pub(super) struct Line {
    label: Option<String>,
    text: String,
}

impl Line {
    /// A heading; empty for a line between two parts.
    pub(super) fn heading(text: &str) -> Self {
        Self {
            label: None,
            text: text.to_owned(),
        }
    }

    /// A label and what it stands for.
    pub(super) fn new(label: &str, text: &str) -> Self {
        Self {
            label: Some(label.to_owned()),
            text: text.to_owned(),
        }
    }
}

/// Draws lines in a frame over the view, scrolled down by `scroll` lines.
pub(super) fn overlay(pen: &mut Pen<'_>, screen: Rect, title: &str, lines: &[Line], scroll: u16) {
    let width = screen.width.min(84);
    let height = screen
        .height
        .saturating_sub(2)
        .min(u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2));
    let area = Rect {
        x: (screen.width - width) / 2,
        y: 1 + (screen.height.saturating_sub(2) - height) / 2,
        width,
        height,
    };
    pen.clear(area);
    let inner_height = area.height.saturating_sub(2);
    let most = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_sub(inner_height);
    let skip = usize::from(scroll.min(most));
    let hint = if most > 0 {
        " j k scroll, Esc closes "
    } else {
        " Esc closes "
    };
    frame(pen, area, title, hint);
    position(pen, area, hint, skip + usize::from(inner_height), lines.len());
    for (y, line) in (area.y + 1..area.bottom().saturating_sub(1)).zip(lines.iter().skip(skip)) {
        let (x, room) = (area.x + 2, area.width.saturating_sub(4));
        let (title, accent, plain) = (pen.theme.title(), pen.theme.accent(), pen.theme.text());
        match &line.label {
            None => {
                pen.text(x, y, room, &line.text, title);
            }
            Some(label) => {
                pen.text(x, y, room.min(18), label, accent);
                pen.text(x + 19, y, room.saturating_sub(19), &line.text, plain);
            }
        }
    }
}

/// A frame in the middle of the screen with room for `rows` lines; returns the room.
pub(super) fn framed(pen: &mut Pen<'_>, screen: Rect, rows: u16, title: &str, hint: &str) -> Rect {
    let width = screen.width.min(72);
    let height = screen.height.saturating_sub(2).min(rows.saturating_add(2));
    let area = Rect {
        x: screen.x + (screen.width - width) / 2,
        y: screen.y + 1 + (screen.height.saturating_sub(2) - height) / 2,
        width,
        height,
    };
    pen.clear(area);
    frame(pen, area, title, hint);
    Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
    }
}

/// A cleared area with a frame around it; returns the room inside.
pub(super) fn boxed(pen: &mut Pen<'_>, area: Rect, title: &str, hint: &str) -> Rect {
    pen.clear(area);
    frame(pen, area, title, hint);
    Rect {
        x: area.x + 1,
        y: area.y + 1,
        width: area.width.saturating_sub(2),
        height: area.height.saturating_sub(2),
    }
}

/// Draws lines of which one is selected in a frame over the view; `empty` when there is none. The selected one takes as
/// many rows as it needs: the others are cut.
pub(super) fn selectable(
    pen: &mut Pen<'_>,
    screen: Rect,
    title: &str,
    lines: &[Line],
    at: u16,
    empty: &str,
    hint: &str,
) {
    let width = screen.width.min(110);
    let room = width.saturating_sub(4);
    let label_width = if room >= 60 { 18 } else { 10 };
    let at = usize::from(at).min(lines.len().saturating_sub(1));
    let said = match lines.get(at) {
        Some(line) => words::wrapped(&line.text, room.saturating_sub(label_width + 1).into()),
        None => words::wrapped(empty, room.into()),
    };
    let rows = (lines.len().max(1) - 1).saturating_add(said.len());
    let rows = u16::try_from(rows).unwrap_or(u16::MAX);
    let height = screen.height.saturating_sub(2).min(rows.saturating_add(2));
    let area = Rect {
        x: (screen.width - width) / 2,
        y: 1 + (screen.height.saturating_sub(2) - height) / 2,
        width,
        height,
    };
    pen.clear(area);
    frame(pen, area, title, hint);
    let x = area.x + 2;
    let inner = usize::from(area.height.saturating_sub(2));
    let last = area.bottom().saturating_sub(1);
    if lines.is_empty() {
        let quiet = pen.theme.quiet();
        for (y, words) in (area.y + 1..last).zip(&said) {
            pen.text(x, y, room, words, quiet);
        }
        return;
    }
    position(pen, area, hint, at + 1, lines.len());
    let skip = (at + said.len()).saturating_sub(inner).min(at);
    let (accent, plain, selected) = (pen.theme.accent(), pen.theme.text(), pen.theme.selected());
    let rest = room.saturating_sub(label_width + 1);
    let mut y = area.y + 1;
    for (index, line) in lines.iter().enumerate().skip(skip) {
        let one = [line.text.clone()];
        let texts = if index == at { said.as_slice() } else { &one };
        let label = line.label.as_deref().unwrap_or_default();
        pen.text(x, y, if y < last { label_width } else { 0 }, label, accent);
        for text in texts.iter().take(usize::from(last.saturating_sub(y))) {
            pen.text(x + label_width + 1, y, rest, text, plain);
            if index == at {
                let (x, width) = (area.x + 1, area.width.saturating_sub(2));
                pen.overlay(
                    Rect {
                        x,
                        y,
                        width,
                        height: 1,
                    },
                    selected,
                );
            }
            y += 1;
        }
    }
}

/// Says in the lower border how far down a list is that does not fit: the line reached, and how many there are.
pub(super) fn position(pen: &mut Pen<'_>, area: Rect, hint: &str, at: usize, count: usize) {
    let lines = usize::from(area.height.saturating_sub(2));
    let text = format!(" {}/{count} ", at.min(count));
    let needed = display_width(&text) + display_width(hint) + 5;
    if count > lines && lines > 0 && needed <= usize::from(area.width) {
        let faint = pen.theme.faint();
        pen.text(area.x + 2, area.bottom() - 1, area.width, &text, faint);
    }
}

fn frame(pen: &mut Pen<'_>, area: Rect, title: &str, hint: &str) {
    if area.width < 2 || area.height < 2 {
        return;
    }
    let rule = pen.theme.rule();
    let glyph = |unicode: &'static str, ascii: &'static str| {
        move |pen: &Pen<'_>| pen.pick(unicode, ascii).chars().next().unwrap_or(' ')
    };
    let horizontal = glyph("─", "-")(pen);
    let vertical = glyph("│", "|")(pen);
    for x in area.x..area.right() {
        pen.put(x, area.y, horizontal, rule);
        pen.put(x, area.bottom() - 1, horizontal, rule);
    }
    for y in area.y..area.bottom() {
        pen.put(area.x, y, vertical, rule);
        pen.put(area.right() - 1, y, vertical, rule);
    }
    let corners = [
        (area.x, area.y, "┌"),
        (area.right() - 1, area.y, "┐"),
        (area.x, area.bottom() - 1, "└"),
        (area.right() - 1, area.bottom() - 1, "┘"),
    ];
    for (x, y, corner) in corners {
        let corner = glyph(corner, "+")(pen);
        pen.put(x, y, corner, rule);
    }
    let style = pen.theme.title();
    pen.text(area.x + 2, area.y, area.width.saturating_sub(4), title, style);
    let faint = pen.theme.faint();
    // The frame is seen to end: of more hints than there is room for, the last ones stay, for they tell the way out.
    let room = area.width.saturating_sub(4);
    let mut hint = hint.trim();
    while display_width(hint) + 2 > usize::from(room) {
        let next = ["  ", ", "]
            .into_iter()
            .filter_map(|between| hint.split_once(between));
        let Some((_, rest)) = next.min_by_key(|(first, _)| first.len()) else {
            break;
        };
        hint = rest.trim_start();
    }
    pen.right(area.x + 2, area.bottom() - 1, room, &format!(" {hint} "), faint);
}
