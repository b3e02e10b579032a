//! Two edits of one rule, field by field.

use ratatui::layout::Rect;

use crate::render::pen::Pen;
use crate::state::editor::merge::{Difference, differences};
use crate::state::editor::{Conflict, Editor};

/// Draws both edits beside each other, and what can be done.
pub(super) fn conflict(pen: &mut Pen<'_>, area: Rect, editor: &Editor, conflict: &Conflict) {
    let (title, quiet, text, accent) = (
        pen.theme.title(),
        pen.theme.quiet(),
        pen.theme.text(),
        pen.theme.accent(),
    );
    let room = area.width.saturating_sub(2);
    let (x, mut y) = (area.x + 1, area.y);
    let Some(theirs) = &conflict.theirs else {
        let lines = [
            "Somebody has removed this rule meanwhile; nothing was saved.",
            "k saves it again as it is here, t lets it go, Esc goes on editing.",
        ];
        for (y, line) in (y..area.bottom()).zip(lines) {
            pen.text(x, y, room, line, text);
        }
        return;
    };
    let head = format!(
        "{} has saved version {} meanwhile; nothing was saved here.",
        theirs.changed_by, theirs.version
    );
    pen.text(x, y, room, &head, title);
    y += 1;
    let half = room.saturating_sub(11) / 2;
    pen.text(x + 11, y, half, "mine", quiet);
    pen.text(x + 11 + half, y, half, "theirs", quiet);
    y += 1;
    let all = differences(&editor.original, &editor.draft, &theirs.rule);
    let advice_rows = 2;
    let last = area.bottom().saturating_sub(advice_rows);
    for difference in &all {
        if y >= last {
            break;
        }
        let Difference {
            name,
            mine,
            theirs,
            is_mine,
        } = difference;
        pen.text(x, y, 10, name, quiet);
        let (here, there) = if *is_mine { (accent, text) } else { (quiet, accent) };
        let or_nothing = |text: &str| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text.to_owned()
            }
        };
        pen.text(x + 11, y, half.saturating_sub(2), &or_nothing(mine), here);
        pen.text(x + 11 + half, y, half, &or_nothing(theirs), there);
        y += 1;
    }
    if all.is_empty() && y < last {
        pen.text(x, y, room, "Both edits say the same.", text);
    }
    let advice = "A merge keeps what was changed here and takes the rest from theirs.";
    pen.text(x, area.bottom().saturating_sub(1), room, advice, quiet);
}
