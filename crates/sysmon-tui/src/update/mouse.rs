//! Wheel and clicks.

use ratatui::layout::{Position, Rect};

use crate::event::{Effect, Mouse, MouseAction};
use crate::layout::{Body, TableRegions, layout};
use crate::state::{Movement, State};

use super::fleet;
use super::keys::{go, open};
use super::travel;

/// Rows per notch of the wheel.
const WHEEL_ROWS: isize = 3;

pub(super) fn mouse(state: &mut State, mouse: Mouse) -> Vec<Effect> {
    state.touched = true;
    state.mark_dirty();
    match mouse.action {
        MouseAction::WheelUp | MouseAction::WheelDown
            if state.editor.is_some() || state.silencing.is_some() => {}
        MouseAction::WheelUp => go(state, Movement::By(-WHEEL_ROWS)),
        MouseAction::WheelDown => go(state, Movement::By(WHEEL_ROWS)),
        // Over a form the mouse could only do harm.
        MouseAction::Press if state.editor.is_some() || state.silencing.is_some() => {}
        MouseAction::Press if state.overlay.is_some() => state.overlay = None,
        MouseAction::Drag => return travel::mouse::drag(state, Position::new(mouse.column, mouse.row)),
        MouseAction::Release => travel::mouse::release(state),
        MouseAction::Press => return click(state, Position::new(mouse.column, mouse.row)),
    }
    Vec::new()
}

/// A heading sorts, a row is selected, the selected row opens.
fn click(state: &mut State, at: Position) -> Vec<Effect> {
    let regions = layout(Rect::new(0, 0, state.width, state.height), state);
    match &regions.body {
        Body::Fleet(table) => {
            if let Some(column) = heading_at(table, at) {
                fleet::click_heading(state, column);
            } else if let Some(row) = row_at(table, at, state.fleet_table.offset) {
                let is_again = state.fleet_table.select_row(&state.fleet, row);
                // A heading has nothing but its group to open.
                if is_again || state.fleet_table.selected_group().is_some() {
                    return open(state);
                }
            }
        }
        Body::Heat(regions) => return fleet::press_on_map(state, regions, at),
        Body::Machine(machine) => {
            if let Some(effects) = travel::mouse::press(state, at) {
                return effects;
            }
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
