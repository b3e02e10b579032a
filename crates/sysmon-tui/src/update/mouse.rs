//! Wheel and clicks.

use ratatui::layout::{Position, Rect};
use sysmon_core::display_width;

use crate::command::Command;
use crate::event::{Effect, Mouse, MouseAction};
use crate::key::{Key, KeyCode};
use crate::layout::{
    Body, CLEARS, TableRegions, filter_in_force, has_hints, hints, layout, matching, palette_regions,
};
use crate::state::palette::entries;
use crate::state::{Movement, State, View};

use super::keys::{go, open, run};
use super::{fleet, palette, panel, travel};

/// Rows per notch of the wheel.
const WHEEL_ROWS: isize = 3;

pub(super) fn mouse(state: &mut State, mouse: Mouse) -> Vec<Effect> {
    state.touched = true;
    state.mark_dirty();
    if mouse.action == MouseAction::Press
        && state.prompt.is_none()
        && state.choosing.is_none()
        && let Some(command) = bar_at(state, Position::new(mouse.column, mouse.row))
    {
        return run(state, command);
    }
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
        MouseAction::Drag => return travel::mouse::drag(state, Position::new(mouse.column, mouse.row)),
        MouseAction::Release => travel::mouse::release(state),
        MouseAction::Press => return click(state, Position::new(mouse.column, mouse.row)),
    }
    Vec::new()
}

/// What a click on the line at the top or at the bottom means.
fn bar_at(state: &State, at: Position) -> Option<Command> {
    let has_form = state.console.palette.is_some() || state.editor.is_some() || state.silencing.is_some();
    if has_form || state.notice.is_some() {
        return None;
    }
    let regions = layout(Rect::new(0, 0, state.width, state.height), state);
    if regions.footer.contains(at) && has_hints(state) {
        let row = Rect {
            x: regions.footer.x + 1,
            width: regions.footer.width.saturating_sub(2),
            ..regions.footer
        };
        let filter = filter_in_force(state);
        // The fleet has more to say before its hints, of a width that only its drawing knows.
        if state.view == View::Fleet && crate::state::fleet::has_footing(state) {
            return None;
        }
        let before = match filter {
            "" => 0,
            filter => {
                let width = display_width(filter) + display_width(&matching(state));
                u16::try_from(width + "/Esc ".len() + CLEARS.len()).unwrap_or(u16::MAX)
            }
        };
        let x = row.x.saturating_add(before);
        if at.x < x {
            return Some(Command::Back);
        }
        let mut hints = hints(row, x, state).into_iter();
        return hints
            .find(|hint| at.x >= hint.x && at.x < hint.x + hint.width)
            .map(|hint| hint.command);
    }
    if !regions.header.contains(at) {
        return None;
    }
    // The name of what is watched leads to all of it, the counts at the right to what is wrong.
    let title = display_width(&state.source_name) + " sysmon ▸ ".chars().count();
    if usize::from(at.x) < title {
        Some(Command::ViewFleet)
    } else if at.x >= regions.header.width / 2 {
        Some(Command::ViewAlerts)
    } else {
        None
    }
}

/// The wheel goes through the list, a click selects, a second one carries out, and one beside it closes.
fn over_palette(state: &mut State, mouse: Mouse) -> Vec<Effect> {
    match mouse.action {
        MouseAction::WheelUp => return palette::scroll(state, false),
        MouseAction::WheelDown => return palette::scroll(state, true),
        MouseAction::Drag | MouseAction::Release => return Vec::new(),
        MouseAction::Press => {}
    }
    let Some(open) = &state.console.palette else {
        return Vec::new();
    };
    let screen = Rect::new(0, 0, state.width, state.height);
    let count = entries(state, open).len();
    let regions = palette_regions(screen, count, open);
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
            if panel::click(state, machine, at) {
                return Vec::new();
            }
            if let Some(column) = heading_at(&machine.processes, at) {
                state.process_table.click_heading(column);
            } else if let Some(row) = row_at(&machine.processes, at, state.process_table.offset) {
                let is_again = state.process_table.cursor() == Some(row);
                state.process_table.select_row(row);
                if is_again {
                    return run(state, Command::Open);
                }
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
