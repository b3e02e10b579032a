//! The form for a silence.

use ratatui::layout::{Position, Rect};
use sysmon_core::{MachineId, display_width};

use super::overlay::framed;
use super::pen::Pen;
use crate::state::State;
use crate::state::silencing::{SilenceField, SilenceForm, SilenceScope};

/// Draws the form; returns where the cursor belongs when a text is typed.
pub(super) fn silencing(
    pen: &mut Pen<'_>,
    screen: Rect,
    form: &SilenceForm,
    state: &State,
) -> Option<Position> {
    let title = state.alerts.board.title(&form.key.rule);
    let area = framed(pen, screen, 6, " Silence ", " Enter silences, Esc leaves ");
    let (x, room) = (area.x + 1, area.width.saturating_sub(2));
    let quiet = pen.theme.quiet();
    let head = match form.machines.len() {
        0 => format!("{title} on {}", form.key.machine),
        1 => form.key.machine.to_string(),
        count => format!("{count} marked machines"),
    };
    let name = pen.theme.title();
    pen.text(x, area.y, room, &head, name);
    let length = match &form.typing {
        Some(typing) => typing.text().to_owned(),
        None => form.length_text(),
    };
    let scope = match form.scope {
        SilenceScope::Alert => format!("{title} on {}", form.key.machine),
        SilenceScope::Rule => format!("{title} everywhere"),
        SilenceScope::Machine if form.machines.len() > 1 => {
            let names: Vec<&str> = form.machines.iter().map(MachineId::as_str).collect();
            format!("everything on {}", names.join(", "))
        }
        SilenceScope::Machine => format!("everything on {}", form.key.machine),
    };
    let rows = [
        (SilenceField::Length, "for", length, "30m 1h 4h 1d 7d, or type"),
        (SilenceField::Scope, "what", scope, ""),
        (SilenceField::Comment, "why", form.comment.text().to_owned(), ""),
    ];
    let mut cursor = None;
    for (y, (field, label, value, help)) in (area.y + 1..area.bottom()).zip(rows) {
        let is_here = field == form.field;
        let style = if is_here {
            pen.theme.accent()
        } else {
            pen.theme.text()
        };
        let mark = if is_here { pen.pick("▸", ">") } else { " " };
        pen.text(x, y, 1, mark, style);
        pen.text(x + 2, y, 6, label, quiet);
        let end = pen.text(x + 8, y, room.saturating_sub(8), &value, style);
        pen.text(end + 2, y, (x + room).saturating_sub(end + 2), help, quiet);
        let typed = match field {
            SilenceField::Length => form.typing.as_ref(),
            SilenceField::Comment => Some(&form.comment),
            SilenceField::Scope => None,
        };
        if let Some(typed) = typed.filter(|_| is_here) {
            let before = u16::try_from(display_width(typed.before_cursor())).unwrap_or(u16::MAX);
            let column = (x + 8).saturating_add(before).min(area.right());
            cursor = Some(Position::new(column, y));
        }
    }
    if let Some(problem) = &form.problem {
        let warning = pen.theme.warning();
        pen.text(x, area.bottom().saturating_sub(1), room, problem, warning);
    }
    cursor
}
