//! The help, from the table of commands and the keys in force: those of the view first, then what works everywhere.

use ratatui::layout::Rect;
use sysmon_core::display_width;

use super::overlay::{boxed, position};
use super::pen::Pen;
use crate::command::{Command, Context};
use crate::state::State;
use crate::words;

/// From these widths on there are two columns, and three.
const COLUMNS_FROM: [u16; 2] = [120, 200];
/// Cells between two columns, and at both sides.
const MARGIN: u16 = 2;
/// Cells for the keys, their gap included.
const KEYS_WIDTH: u16 = 19;

#[derive(Clone)]
enum Line {
    Heading(&'static str),
    Keys(String, String),
    Empty,
}

/// Draws the help over the view, scrolled down by `scroll` lines.
pub(super) fn help(pen: &mut Pen<'_>, screen: Rect, state: &State, scroll: u16) {
    let page = Page::new(screen, state);
    let title = if state.console.help_filter.is_empty() {
        " Keys ".to_owned()
    } else {
        format!(" Keys: {} ", state.console.help_filter)
    };
    let hint = match (page.scroll_max() > 0, state.console.help_filter.is_empty()) {
        (true, true) => " j k scroll  / filter  Esc closes ",
        (false, true) => " / filter  Esc closes ",
        (_, false) => " / filter  Esc shows all ",
    };
    let inner = boxed(pen, page.area, &title, hint);
    if page.lines.is_empty() {
        let quiet = pen.theme.quiet();
        pen.text(
            inner.x + 1,
            inner.y,
            inner.width,
            "no key and no command matches",
            quiet,
        );
        return;
    }
    let skip = usize::from(scroll).min(page.scroll_max());
    position(pen, page.area, hint, skip + usize::from(inner.height), page.rows);
    let (title, accent, plain) = (pen.theme.title(), pen.theme.accent(), pen.theme.text());
    for (column, lines) in (0u16..).zip(page.lines.chunks(page.rows)) {
        let x = inner.x + 1 + column * (page.column_width + MARGIN);
        let width = page.column_width.min(inner.right().saturating_sub(x));
        for (y, line) in (inner.y..inner.bottom()).zip(lines.iter().skip(skip)) {
            match line {
                Line::Empty => {}
                Line::Heading(text) => {
                    pen.text(x, y, width, text, title);
                }
                Line::Keys(keys, text) => {
                    let keys_width = KEYS_WIDTH.min(width);
                    pen.text(x, y, keys_width.saturating_sub(1), keys, accent);
                    pen.text(x + keys_width, y, width - keys_width, text, plain);
                }
            }
        }
    }
}

/// How far the help can be scrolled.
pub(crate) fn help_scroll_max(screen: Rect, state: &State) -> usize {
    Page::new(screen, state).scroll_max()
}

struct Page {
    area: Rect,
    lines: Vec<Line>,
    /// Lines of a column.
    rows: usize,
    column_width: u16,
}

impl Page {
    fn new(screen: Rect, state: &State) -> Self {
        let all = lines(state);
        let room = usize::from(screen.height.saturating_sub(4)).max(1);
        let most = 1 + COLUMNS_FROM.iter().filter(|from| screen.width >= **from).count();
        // No more than it takes: wide columns are not clipped.
        let columns = (1..most)
            .find(|columns| {
                broken(&all, column_width(screen, *columns)).len() + 2 * columns <= room * columns
            })
            .unwrap_or(most);
        let width = width(screen, columns);
        let column_width = column_width(screen, columns);
        let lines = broken(&all, column_width);
        // As low as the lines allow: a help that fits shows all at once.
        let rows = lines.len().div_ceil(columns).max(room.min(lines.len())).max(1);
        let (lines, rows) = flowed(lines, rows, columns);
        let height = u16::try_from(rows.min(room))
            .unwrap_or(u16::MAX)
            .saturating_add(2);
        let height = height.min(screen.height.saturating_sub(2));
        let area = Rect {
            x: screen.x + (screen.width - width) / 2,
            y: screen.y + 1.min(screen.height),
            width,
            height,
        };
        Self {
            area,
            lines,
            rows,
            column_width,
        }
    }

    fn scroll_max(&self) -> usize {
        self.rows
            .min(self.lines.len())
            .saturating_sub(usize::from(self.area.height.saturating_sub(2)))
    }
}

/// Cells of the frame around so many columns.
fn width(screen: Rect, columns: usize) -> u16 {
    let count = u16::try_from(columns).unwrap_or(1);
    screen.width.min(count * 84 + 4)
}

/// Cells of each of so many columns.
fn column_width(screen: Rect, columns: usize) -> u16 {
    let count = u16::try_from(columns).unwrap_or(1).max(1);
    let inner = width(screen, columns).saturating_sub(4);
    inner.saturating_sub(MARGIN * (count - 1)) / count
}

/// The lines with texts that are wider than a column broken between words.
fn broken(lines: &[Line], column_width: u16) -> Vec<Line> {
    let room = column_width.saturating_sub(KEYS_WIDTH.min(column_width));
    let mut all = Vec::with_capacity(lines.len());
    for line in lines {
        match line {
            Line::Keys(keys, text) if room > 8 && display_width(text) > usize::from(room) => {
                for (index, part) in words::wrapped(text, room.into()).into_iter().enumerate() {
                    let keys = if index == 0 { keys.clone() } else { String::new() };
                    all.push(Line::Keys(keys, part.trim_end().to_owned()));
                }
            }
            line => all.push(line.clone()),
        }
    }
    all
}

/// The lines so that no heading ends a column and no empty line begins one, with columns as short as that allows.
fn flowed(lines: Vec<Line>, rows: usize, columns: usize) -> (Vec<Line>, usize) {
    if columns == 1 {
        let rows = lines.len().max(1);
        return (lines, rows);
    }
    let mut rows = rows;
    loop {
        let mut flowed: Vec<Line> = Vec::with_capacity(lines.len() + columns);
        for line in &lines {
            let at = flowed.len() % rows;
            match line {
                Line::Empty if at == 0 => continue,
                Line::Heading(_) if at + 1 == rows && rows > 1 => flowed.push(Line::Empty),
                _ => {}
            }
            flowed.push(line.clone());
        }
        if flowed.len() <= rows * columns {
            return (flowed, rows);
        }
        rows += 1;
    }
}

/// The view's own keys, then lists, then anywhere, then the other views.
fn lines(state: &State) -> Vec<Line> {
    let past = state.is_in_past().then_some(Context::Past);
    let view = state.view_context();
    let general = [Context::List, Context::Anywhere];
    let others = Context::ALL.iter().map(|(context, _)| *context);
    let own: Vec<Context> = past.into_iter().chain([view]).collect();
    let others = others.filter(|context| !own.contains(context) && !general.contains(context));
    let filter = state.console.help_filter.to_lowercase();
    let words: Vec<&str> = filter.split_whitespace().collect();
    let mut lines = Vec::new();
    for context in own.iter().copied().chain(general).chain(others) {
        let is_allowed = |command: Command| !(state.console.is_readonly && command.changes_something());
        let matching: Vec<Line> = state
            .console
            .keymap
            .help(context)
            .into_iter()
            .filter(|(_, row)| is_allowed(row.command))
            .filter(|(keys, row)| {
                let text = format!("{} {} {}", row.help.to_lowercase(), row.command.name(), keys);
                words
                    .iter()
                    .all(|word| text.contains(word) || keys.to_lowercase() == *word)
            })
            .map(|(keys, row)| {
                let keys = if keys.is_empty() {
                    format!(":{}", row.command.name())
                } else {
                    keys
                };
                Line::Keys(keys, row.help.to_owned())
            })
            .collect();
        if matching.is_empty() {
            continue;
        }
        if !lines.is_empty() {
            lines.push(Line::Empty);
        }
        lines.push(Line::Heading(context.heading()));
        lines.extend(matching);
    }
    lines
}
