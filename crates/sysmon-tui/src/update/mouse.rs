//! Wheel and clicks.

use ratatui::layout::{Position, Rect};

use crate::event::{Effect, Mouse, MouseAction};
use crate::key::{Key, KeyCode};
use crate::layout::{Body, TableRegions, layout, palette_regions};
use crate::state::palette::entries;
use crate::state::{Movement, State};

use super::keys::{go, open};
use super::palette;

/// Rows per notch of the wheel.
const WHEEL_ROWS: isize = 3;

pub(super) fn mouse(state: &mut State, mouse: Mouse) -> Vec<Effect> {
    state.touched = true;
    state.mark_dirty();
    if state.console.palette.is_some() {
        return over_palette(state, mouse);
    }
    match mouse.action {
        MouseAction::WheelUp | MouseAction::WheelDown
            if state.editor.is_some() || state.silencing.is_some() => {}
        MouseAction::WheelUp => go(state, Movement::By(-WHEEL_ROWS)),
        MouseAction::WheelDown => go(state, Movement::By(WHEEL_ROWS)),
        // Over a form the mouse could only do harm.
        MouseAction::Press if state.editor.is_some() || state.silencing.is_some() => {}
        MouseAction::Press if state.overlay.is_some() => state.overlay = None,
        MouseAction::Press => return click(state, Position::new(mouse.column, mouse.row)),
    }
    Vec::new()
}

/// The wheel goes through the list, a click selects, a second one carries out, and one beside it closes.
fn over_palette(state: &mut State, mouse: Mouse) -> Vec<Effect> {
    match mouse.action {
        MouseAction::WheelUp => return palette::scroll(state, false),
        MouseAction::WheelDown => return palette::scroll(state, true),
        MouseAction::Press => {}
    }
    let Some(open) = &state.console.palette else {
        return Vec::new();
    };
    let screen = Rect::new(0, 0, state.width, state.height);
    let count = entries(state, open).len();
    let regions = palette_regions(screen, count, open.at);
    let at = Position::new(mouse.column, mouse.row);
    if regions.list.contains(at) {
        let index = regions.first + usize::from(at.y - regions.list.y);
        return palette::select(state, index);
    }
    if regions.area.contains(at) {
        return Vec::new();
    }
    palette::type_key(state, Key::plain(KeyCode::Escape))
}

/// A heading sorts, a row is selected, the selected row opens.
fn click(state: &mut State, at: Position) -> Vec<Effect> {
    let regions = layout(Rect::new(0, 0, state.width, state.height), state);
    match &regions.body {
        Body::Fleet(table) => {
            if let Some(column) = heading_at(table, at) {
                state.fleet_table.click_heading(column);
            } else if let Some(row) = row_at(table, at, state.fleet_table.offset)
                && state.fleet_table.select_row(&state.fleet, row)
            {
                return open(state);
            }
        }
        Body::Machine(machine) => {
            if let Some(column) = heading_at(&machine.processes, at) {
                state.process_table.click_heading(column);
            } else if let Some(row) = row_at(&machine.processes, at, state.process_table.offset) {
                state.process_table.select_row(row);
            }
        }
        Body::Alerts(regions) => {
            let log = &state.alerts.log;
            if let Some(column) = heading_at(&regions.table, at) {
                state.alerts.list.click_heading(column);
            } else if let Some(row) = row_at(&regions.table, at, state.alerts.list.offset)
                && state.alerts.list.select_row(log, row)
            {
                return open(state);
            }
        }
        Body::Rules(table) => {
            if let Some(column) = heading_at(table, at) {
                state.alerts.rules.click_heading(column);
            } else if let Some(row) = row_at(table, at, state.alerts.rules.offset)
                && state.alerts.rules.select_row(row)
            {
                return open(state);
            }
        }
        Body::TooSmall(_) => {}
    }
    Vec::new()
}

fn heading_at<C: Copy>(table: &TableRegions<C>, at: Position) -> Option<C> {
    let column = table
        .columns
        .iter()
        .find(|column| at.x >= column.x && at.x < column.x + column.width + 1)?;
    table.heading.contains(at).then_some(column.column)
}

fn row_at<C>(table: &TableRegions<C>, at: Position, offset: usize) -> Option<usize> {
    table
        .rows
        .contains(at)
        .then(|| offset + usize::from(at.y - table.rows.y))
}
