//! The line of commands with what it may mean.

use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};
use sysmon_core::display_width;

use super::overlay::{boxed, position};
use super::pen::Pen;
use crate::layout::palette_regions;
use crate::state::State;
use crate::state::palette::{Entry, Meaning, Palette, entries};

/// Draws it; returns where the cursor belongs.
pub(super) fn palette(pen: &mut Pen<'_>, screen: Rect, palette: &Palette, state: &State) -> Option<Position> {
    let entries = entries(state, palette);
    let regions = palette_regions(screen, entries.len(), palette);
    let hint = match palette.word() {
        Some(_) => " Enter does it  Tab completes  Esc leaves ",
        None => " Enter does it  Tab completes  Up history  Esc leaves ",
    };
    boxed(pen, regions.area, " Command ", hint);
    let line = regions.line;
    let (accent, text) = (pen.theme.accent(), pen.theme.text());
    let typed = palette.field.text();
    let x = pen.pieces(line.x, line.y, line.width, &[(":", accent), (typed, text)]);
    let room = line.right().saturating_sub(x);
    if let Some(problem) = &palette.problem {
        let warning = pen.theme.warning();
        pen.pieces(x, line.y, room, &[("   ", text), (problem, warning)]);
    } else if let Some((word, argument)) = palette.word() {
        let faint = pen.theme.faint();
        let before = if typed.ends_with(' ') || argument.is_empty() {
            ""
        } else {
            "   "
        };
        let shape = if argument.is_empty() { word.shape } else { "" };
        let words = format!("{before}{shape}   {}", word.help);
        pen.text(x, line.y, room, &words, faint);
    }
    if entries.is_empty() && palette.problem.is_none() && palette.word().is_none() {
        let quiet = pen.theme.quiet();
        let words = "nothing matches: take letters away";
        pen.text(regions.list.x, regions.list.y, regions.list.width, words, quiet);
    }
    let widths = widths(&entries);
    position(pen, regions.area, hint, palette.at + 1, entries.len());
    let rows = regions.list.y..regions.list.bottom();
    for (y, (index, entry)) in rows.zip(entries.iter().enumerate().skip(regions.first)) {
        row(pen, regions.list, y, entry, widths);
        if index == palette.at {
            let selected = pen.theme.selected();
            let row = Rect {
                y,
                height: 1,
                ..regions.list
            };
            pen.overlay(row, selected);
        }
    }
    let before = sysmon_core::display_width(palette.field.before_cursor());
    let before = u16::try_from(before).unwrap_or(u16::MAX).saturating_add(1);
    let last = line.right().saturating_sub(1);
    (line.width > 0).then(|| Position::new(line.x.saturating_add(before).min(last), line.y))
}

/// Cells for names and for keys: no more than the longest needs, so that there is room for what they do.
fn widths(entries: &[Entry]) -> (u16, u16) {
    let longest = |of: &dyn Fn(&Entry) -> usize| {
        let longest = entries.iter().map(of).max().unwrap_or(0);
        u16::try_from(longest).unwrap_or(u16::MAX)
    };
    let name = longest(&|entry| display_width(&entry.name)).clamp(8, 18);
    let keys = longest(&|entry| display_width(&entry.keys)).min(11);
    (name, if keys > 0 { keys + 1 } else { 0 })
}

fn row(pen: &mut Pen<'_>, list: Rect, y: u16, entry: &Entry, (name_cells, keys_cells): (u16, u16)) {
    let is_elsewhere = matches!(entry.meaning, Meaning::Elsewhere(..));
    let (name, help) = if is_elsewhere {
        (pen.theme.faint(), pen.theme.faint())
    } else {
        (pen.theme.text(), pen.theme.quiet())
    };
    let is_value = matches!(entry.meaning, Meaning::Value(_));
    let name_width = if is_value {
        list.width / 2
    } else {
        name_cells.min(list.width)
    };
    let places = &entry.places;
    let matched: Style = pen.theme.accent().add_modifier(Modifier::BOLD);
    let mut x = list.x;
    let shown = sysmon_core::sanitize(&entry.name).into_owned();
    for (index, character) in shown.chars().enumerate() {
        let style = if places.contains(&index) { matched } else { name };
        let room = (list.x + name_width).saturating_sub(x);
        x = pen.text(x, y, room, character.encode_utf8(&mut [0; 4]), style);
    }
    let keys_width: u16 = if is_value { 0 } else { keys_cells };
    let after = list.x + name_width + 1;
    if keys_width > 0 && after + keys_width < list.right() {
        let accent = if is_elsewhere { name } else { pen.theme.accent() };
        pen.text(after, y, keys_width - 1, &entry.keys, accent);
    }
    let x = after + keys_width;
    pen.text(x, y, list.right().saturating_sub(x), &entry.help, help);
}
