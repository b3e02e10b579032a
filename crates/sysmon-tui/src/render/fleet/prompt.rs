//! The line in which the fleet is filtered: what is wrong with it below, what could come next above.

use ratatui::layout::{Position, Rect};
use ratatui::style::Modifier;
use sysmon_core::display_width;

use super::super::pen::Pen;
use super::cells::shortened;
use crate::state::{Prompt, State};
use crate::words;

/// The most candidates on screen at once.
const CANDIDATES_MAX: u16 = 8;

/// Draws the line; returns where the cursor belongs.
pub(in crate::render) fn prompt(pen: &mut Pen<'_>, footer: Rect, state: &State, prompt: &Prompt) -> Position {
    // The line stands one row higher, so that what is said about it has a row of its own.
    let has_room = footer.y >= 3;
    let line = Rect {
        y: footer.y - u16::from(has_room),
        ..footer
    };
    pen.clear(line);
    let (x, room) = (line.x + 1, line.width.saturating_sub(2));
    let (accent, text) = (pen.theme.accent(), pen.theme.text());
    let x = pen.text(x, line.y, room, "/", accent);
    let room = (line.x + line.width).saturating_sub(x + 1);
    // A line that is longer than the screen shows the part around the cursor.
    let before = prompt.field.before_cursor();
    let cut = cut(before, room.saturating_sub(1).into());
    pen.text(x, line.y, room, &prompt.field.text()[cut..], text);
    underline(pen, state, prompt, cut, Rect::new(x, line.y, room, 1));
    let cursor = u16::try_from(display_width(&before[cut..])).unwrap_or(u16::MAX);
    if has_room {
        message(pen, footer, state);
        candidates(pen, line, x, state, prompt);
    }
    Position::new(x.saturating_add(cursor).min(line.right()), line.y)
}

/// The first byte shown, so that the cursor is on screen.
fn cut(before_cursor: &str, cells: usize) -> usize {
    let mut cut = 0;
    while display_width(&before_cursor[cut..]) > cells {
        let Some(character) = before_cursor[cut..].chars().next() else {
            break;
        };
        cut += character.len_utf8();
    }
    cut
}

/// Underlines the word that is wrong.
fn underline(pen: &mut Pen<'_>, state: &State, prompt: &Prompt, cut: usize, line: Rect) {
    let Some(problem) = state.fleet_table.filter.problem() else {
        return;
    };
    let text = prompt.field.text();
    let start = floor(text, problem.span.start.max(cut));
    let end = floor(text, problem.span.end).max(start);
    let width = |part: &str| u16::try_from(display_width(part)).unwrap_or(u16::MAX);
    let from = line.x.saturating_add(width(&text[cut.min(start)..start]));
    // Where something is missing there is nothing to underline but the place.
    let length = width(&text[start..end]).max(1);
    if from >= line.right() {
        return;
    }
    let area = Rect {
        x: from,
        width: length.min(line.right() - from),
        ..line
    };
    let style = pen.theme.critical().add_modifier(Modifier::UNDERLINED);
    pen.overlay(area, style);
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// How many match, or what is wrong.
fn message(pen: &mut Pen<'_>, footer: Rect, state: &State) {
    let (x, y, room) = (footer.x + 1, footer.y, footer.width.saturating_sub(2));
    let (accent, quiet) = (pen.theme.accent(), pen.theme.quiet());
    if let Some(problem) = state.fleet_table.filter.problem() {
        let critical = pen.theme.critical();
        pen.text(x, y, room, &problem.to_string(), critical);
        return;
    }
    let count = format!(
        "{} match   ",
        words::count(state.fleet_table.match_count() as u64)
    );
    let pieces = [
        (count.as_str(), pen.theme.text()),
        ("Enter", accent),
        (" keep  ", quiet),
        ("Tab", accent),
        (" complete  ", quiet),
        (pen.pick("↑", "Up"), accent),
        (" earlier  ", quiet),
        ("^S", accent),
        (" save  ", quiet),
        ("Esc", accent),
        (" undo", quiet),
    ];
    pen.pieces(x, y, room, &pieces);
}

/// What could come next, in a column above the word that it would replace.
fn candidates(pen: &mut Pen<'_>, line: Rect, x: u16, state: &State, prompt: &Prompt) {
    let completion = &state.fleet_table.filter.completion;
    let all = &completion.candidates;
    // Nothing is pushed upon somebody who has not begun to type.
    if all.is_empty() || (prompt.field.text().is_empty() && completion.chosen.is_none() && line.y < 12) {
        return;
    }
    let rows = u16::try_from(all.len()).unwrap_or(u16::MAX);
    let height = rows.min(CANDIDATES_MAX).min((line.y - 1) / 2);
    let name_width = all.iter().map(|candidate| display_width(&candidate.name)).max();
    let name_width = u16::try_from(name_width.unwrap_or(0)).unwrap_or(u16::MAX);
    // The end of a name tells those apart that begin as what was typed does.
    let name_width = name_width.min(48).min(line.width.saturating_sub(6));
    let help_width = all.iter().map(|candidate| display_width(&candidate.help)).max();
    let help_width = u16::try_from(help_width.unwrap_or(0)).unwrap_or(u16::MAX).min(56);
    let width = (name_width + help_width + 4).min(line.width.saturating_sub(2));
    let word =
        display_width(&prompt.field.before_cursor()[..completion.start_in(prompt.field.before_cursor())]);
    let left = x.saturating_add(u16::try_from(word).unwrap_or(u16::MAX));
    let left = left.min(line.right().saturating_sub(width + 1)).max(line.x);
    let area = Rect {
        x: left,
        y: line.y - height,
        width,
        height,
    };
    pen.clear(area);
    let bar = pen.theme.bar();
    pen.overlay(area, bar);
    let chosen = completion.chosen.unwrap_or(0);
    let skip = (chosen + 1).saturating_sub(height.into());
    for (y, (index, candidate)) in (area.y..area.bottom()).zip(all.iter().enumerate().skip(skip)) {
        let help = pen.theme.on_bar(pen.theme.quiet());
        let room = name_width.min(width.saturating_sub(2));
        let name = shortened(&candidate.name, room.into(), pen.pick("…", ".."));
        pen.text(area.x + 1, y, room, &name, bar);
        let help_room = width.saturating_sub(name_width + 4);
        pen.text(area.x + name_width + 3, y, help_room, &candidate.help, help);
        if completion.chosen == Some(index) {
            let selected = pen.theme.selected().add_modifier(Modifier::BOLD);
            let row = Rect { y, height: 1, ..area };
            pen.overlay(row, selected);
            let accent = pen.theme.accent();
            let mark = pen.pick("▸", ">");
            pen.text(area.x, y, 1, mark, accent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_stays_on_screen() {
        assert_eq!(cut("short", 10), 0);
        assert_eq!(cut("0123456789", 4), 6);
        assert_eq!(cut("漢字漢字", 5), 6);
    }
}
