//! The help, from the table of commands.

use ratatui::layout::Rect;

use super::pen::Pen;
use crate::command::{COMMANDS, Context, show_keys};

/// Draws the help over the view, scrolled down by `scroll` lines.
pub(super) fn help(pen: &mut Pen<'_>, screen: Rect, scroll: u16) {
    let lines = lines();
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
    frame(
        pen,
        area,
        if most > 0 {
            " j k scroll, Esc closes "
        } else {
            " Esc closes "
        },
    );
    for (y, (keys, text)) in (area.y + 1..area.bottom().saturating_sub(1)).zip(lines.iter().skip(skip)) {
        let (x, room) = (area.x + 2, area.width.saturating_sub(4));
        let (title, accent, plain) = (pen.theme.title(), pen.theme.accent(), pen.theme.text());
        match keys {
            None => {
                pen.text(x, y, room, text, title);
            }
            Some(keys) => {
                pen.text(x, y, room.min(18), keys, accent);
                pen.text(x + 19, y, room.saturating_sub(19), text, plain);
            }
        }
    }
}

/// Headings, and keys with what they do.
fn lines() -> Vec<(Option<String>, &'static str)> {
    let mut lines = Vec::new();
    for (context, heading) in Context::ALL {
        if !lines.is_empty() {
            lines.push((None, ""));
        }
        lines.push((None, heading));
        for definition in COMMANDS.iter().filter(|definition| definition.context == context) {
            let keys: Vec<String> = definition.keys.iter().map(|keys| show_keys(keys)).collect();
            lines.push((Some(keys.join("  ")), definition.help));
        }
    }
    lines
}

fn frame(pen: &mut Pen<'_>, area: Rect, hint: &str) {
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
    let title = pen.theme.title();
    pen.text(area.x + 2, area.y, area.width.saturating_sub(4), " Keys ", title);
    let faint = pen.theme.faint();
    pen.right(
        area.x,
        area.bottom() - 1,
        area.width.saturating_sub(2),
        hint,
        faint,
    );
}
