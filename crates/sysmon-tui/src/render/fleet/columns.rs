//! The list from which columns are chosen.

use ratatui::layout::Rect;

use super::super::overlay::{Line, selectable};
use super::super::pen::Pen;
use super::title;
use crate::state::State;

/// Draws the list over the view.
pub(in crate::render) fn columns(pen: &mut Pen<'_>, screen: Rect, state: &State, at: u16) {
    let columns = &state.fleet_table.columns;
    let shown = columns.shown();
    let lines: Vec<Line> = columns
        .choices()
        .into_iter()
        .map(|column| {
            let is_shown = shown.contains(&column);
            let mark = match (is_shown, column.is_fixed()) {
                (true, true) => pen.pick("▪ ", "= "),
                (true, false) => pen.pick("● ", "x "),
                (false, _) => pen.pick("○ ", ". "),
            };
            let label = format!("{mark}{}", title(column, state));
            Line::new(&label, &columns.help(column))
        })
        .collect();
    let title = if columns.is_default() {
        " Columns: the usual ones, as many as fit "
    } else {
        " Columns "
    };
    let hint = if screen.width >= 84 {
        " Space shows or hides  K J move  s sorts  R the usual ones  Esc closes "
    } else {
        " Space shows  K J move  R usual  Esc "
    };
    selectable(pen, screen, title, &lines, at, "", hint);
}
