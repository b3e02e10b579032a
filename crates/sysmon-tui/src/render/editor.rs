//! The editor of a rule: chart with its levels, what it would have done, fields.

use ratatui::layout::{Position, Rect};
use sysmon_core::{clip, display_width};

use super::pen::Pen;
use crate::layout::editor_regions;
use crate::state::State;
use crate::state::editor::fields::LABEL_WIDTH;
use crate::state::editor::{Editor, Field};
use crate::words;

mod conflict;
mod plot;
mod report;

/// Draws the editor over the view; returns where the cursor belongs while something is typed.
pub(super) fn editor(pen: &mut Pen<'_>, screen: Rect, editor: &Editor, state: &State) -> Option<Position> {
    let body = Rect {
        y: screen.y.saturating_add(1),
        height: screen.height.saturating_sub(2),
        ..screen
    };
    pen.clear(body);
    let lines = editor.lines_within(screen.width);
    let regions = editor_regions(screen, lines.len());
    title(pen, regions.title, editor);
    if let Some(conflict) = &editor.conflict {
        let area = Rect {
            y: regions.chart.y,
            height: regions.message.bottom().saturating_sub(regions.chart.y),
            ..body
        };
        conflict::conflict(pen, area, editor, conflict);
        return None;
    }
    plot::plot(pen, screen, &regions, editor, state);
    report::report(pen, regions.report, editor, state);
    let cursor = fields(pen, regions.fields, editor, &lines);
    message(pen, regions.message, editor, state);
    cursor
}

fn title(pen: &mut Pen<'_>, area: Rect, editor: &Editor) {
    let (title, quiet, accent) = (pen.theme.title(), pen.theme.quiet(), pen.theme.accent());
    let machine = editor.machine.as_deref().unwrap_or_default();
    let shown = editor.shown_key();
    let entity = shown
        .as_ref()
        .and_then(|key| key.entity())
        .unwrap_or(&editor.entity);
    let what = editor.metric().map_or_else(
        || editor.draft.title.clone(),
        |metric| words::metric_title(metric.name()),
    );
    let of = if machine.is_empty() {
        String::new()
    } else {
        format!(" of {machine} {entity}")
    };
    let mark = if editor.is_changed() { " changed" } else { "" };
    let (before, after) = match &editor.base {
        Some(stored) => ("rule", format!(" v{}", stored.version)),
        None => ("new rule", String::new()),
    };
    // Whose curve it is matters more than all of the id.
    let taken = [&*what, &of, before, &after, mark]
        .map(display_width)
        .iter()
        .sum::<usize>();
    let room = usize::from(area.width).saturating_sub(taken + 5);
    let id = match clip(editor.draft.id.as_str(), room) {
        id if room >= 8 || id == editor.draft.id.as_str() => format!(" {id}"),
        _ => String::new(),
    };
    let name = format!("{before}{id}{after}");
    let right = u16::try_from(display_width(&name) + mark.len()).unwrap_or(u16::MAX);
    let right = right.min(area.width.saturating_sub(2));
    let x = area.right().saturating_sub(right + 1);
    let room = x.saturating_sub(area.x + 2);
    pen.pieces(
        area.x + 1,
        area.y,
        room,
        &[(&what, title), (of.trim_end(), quiet)],
    );
    pen.pieces(x, area.y, right, &[(&name, quiet), (mark, accent)]);
}

/// Draws as many lines as there is room for, that of the chosen field among them.
fn fields(pen: &mut Pen<'_>, area: Rect, editor: &Editor, lines: &[Vec<Field>]) -> Option<Position> {
    let at = lines
        .iter()
        .position(|line| line.contains(&editor.field))
        .unwrap_or(0);
    let height = usize::from(area.height);
    let skip = (at + 1).saturating_sub(height);
    let mut cursor = None;
    for (y, line) in (area.y..area.bottom()).zip(lines.iter().skip(skip)) {
        let mut x = area.x + 1;
        for (index, field) in line.iter().enumerate() {
            let room = area.right().saturating_sub(x + 1);
            let label_width = if index == 0 { LABEL_WIDTH } else { 0 };
            let quiet = pen.theme.quiet();
            let label = field.label();
            let end = pen.text(x, y, room, label, quiet);
            let start = end.max(x + label_width).saturating_add(u16::from(index > 0));
            let (end, position) = value(
                pen,
                start,
                y,
                area.right().saturating_sub(start + 1),
                editor,
                *field,
            );
            cursor = cursor.or(position);
            x = end + 3;
        }
        if let Some(guard) = line.first().and_then(|field| guard(editor, *field)) {
            let quiet = pen.theme.quiet();
            let room = area.right().saturating_sub(x + 1);
            // Where there is no room for it, the sentence below tells it too.
            if display_width(&guard) <= usize::from(room) {
                pen.text(x, y, room, &guard, quiet);
            }
        }
    }
    let (accent, x) = (pen.theme.accent(), area.right().saturating_sub(1));
    if skip > 0 && height > 0 {
        let above = pen.pick("↑", "^");
        pen.text(x, area.y, 1, above, accent);
    }
    if skip + height < lines.len() && height > 0 {
        let below = pen.pick("↓", "v");
        pen.text(x, area.bottom() - 1, 1, below, accent);
    }
    cursor
}

/// What has to be true as well for a level: it is kept, and changed in a file of rules only.
fn guard(editor: &Editor, field: Field) -> Option<String> {
    let Field::Trigger(severity) = field else {
        return None;
    };
    let guard = editor.level(severity)?.and.as_ref()?;
    Some(format!("and {}", words::alerts::condition(guard)))
}

/// Draws the value of a field; returns the column behind it, and where the cursor is while it is typed.
fn value(
    pen: &mut Pen<'_>,
    x: u16,
    y: u16,
    room: u16,
    editor: &Editor,
    field: Field,
) -> (u16, Option<Position>) {
    let is_here = field == editor.field;
    let style = match (field, is_here) {
        (_, true) => pen.theme.accent(),
        (Field::Trigger(severity), false) if editor.level(severity).is_some() => pen.theme.severity(severity),
        _ => pen.theme.text(),
    };
    if let Some(typing) = editor.typing.as_ref().filter(|_| is_here) {
        // The end of a long text is where one types.
        let width = display_width(typing.before_cursor());
        let hidden = width.saturating_sub(usize::from(room.saturating_sub(3)));
        let text = skipped(typing.text(), hidden);
        let text = format!("{}{text}", pen.pick("▸", ">"));
        let end = pen.text(x, y, room, &text, style);
        let before = u16::try_from(width - hidden).unwrap_or(u16::MAX);
        let column = x.saturating_add(1).saturating_add(before);
        return (end.max(column), Some(Position::new(column, y)));
    }
    let shown = editor.shown(field);
    let shown = if shown.is_empty() {
        pen.pick("–", "-").to_owned()
    } else {
        shown
    };
    // Without colour too it is plain which one is chosen.
    let text = if is_here {
        format!("{}{shown}{}", pen.pick("▸", ">"), pen.pick("◂", "<"))
    } else {
        format!(" {shown} ")
    };
    (pen.text(x, y, room, &text, style), None)
}

/// A text without its first cells.
fn skipped(text: &str, cells: usize) -> &str {
    let mut taken = 0;
    for (index, character) in text.char_indices() {
        if taken >= cells {
            return &text[index..];
        }
        taken += display_width(character.encode_utf8(&mut [0; 4]));
    }
    if cells == 0 { text } else { "" }
}

/// What is wrong or under way; else what the rule says.
fn message(pen: &mut Pen<'_>, area: Rect, editor: &Editor, state: &State) {
    let (warning, critical, quiet, accent) = (
        pen.theme.warning(),
        pen.theme.critical(),
        pen.theme.quiet(),
        pen.theme.accent(),
    );
    let newer = editor.base.as_ref().and_then(|base| {
        let now = state.alerts.board.rule(&base.rule.id)?;
        (now.version > base.version).then_some(now)
    });
    let (text, style) = if editor.is_leaving {
        (
            "the changes are not saved: y leaves them, Enter saves, Esc goes on".to_owned(),
            accent,
        )
    } else if let Some(problem) = &editor.problem {
        (problem.clone(), warning)
    } else if let Some(refusal) = &editor.refusal {
        (refusal.clone(), critical)
    } else if editor.saving.is_some() {
        ("saving…".to_owned(), quiet)
    } else if let Some(newer) = newer {
        let by = &newer.changed_by;
        (
            format!(
                "{by} has saved version {} meanwhile: saving will show both",
                newer.version
            ),
            warning,
        )
    } else {
        (words::alerts::rule(&editor.draft), quiet)
    };
    pen.text(area.x + 1, area.y, area.width.saturating_sub(2), &text, style);
}
