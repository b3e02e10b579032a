//! What a person does in the fleet.

use std::sync::Arc;

use ratatui::layout::{Position, Rect};

use super::{notify, open_machine};
use crate::command::Command;
use crate::event::Effect;
use crate::layout::{Body, HeatRegions, layout};
use crate::state::fleet::groups::Row;
use crate::state::fleet::{Clocks, FleetColumn, heat};
use crate::state::{Movement, OverlayKind, State, View, scrolled};

mod columns;
mod feed;
mod marked;
pub(super) mod prompt;

pub(super) use feed::{connected, disconnected, poll, subscribe, wakes_at, whole_fleet};
pub(super) use marked::{answered, chosen, set_interval, silence, take_names};

/// Carries a command of the fleet out; `None` for one that is not the fleet's.
pub(super) fn run(state: &mut State, command: Command) -> Option<Vec<Effect>> {
    if state.overlay.map(|overlay| overlay.kind) == Some(OverlayKind::Columns) {
        return columns::run(state, command);
    }
    if state.view != View::Fleet {
        return None;
    }
    match command {
        Command::Group => group(state),
        Command::Fold => fold(state),
        Command::HeatMap => toggle_heat_map(state),
        Command::Columns => columns::open(state),
        Command::Mark => marked::mark(state),
        Command::MarkAll => return Some(marked::mark_all(state)),
        Command::Silence => marked::silence(state, &marked::chosen(state)),
        Command::Interval if state.is_in_past() => {
            notify(state, "in the past nothing can be changed: Esc returns to now");
        }
        Command::Interval => marked::start_interval(state),
        Command::Left => go_by_places(state, -1),
        Command::Right => go_by_places(state, 1),
        _ => return None,
    }
    Some(Vec::new())
}

/// Moves the cursor of table or map.
pub(super) fn go(state: &mut State, movement: Movement) {
    if !state.fleet_table.is_heat_map {
        state.fleet_table.move_cursor(&state.fleet, movement);
        return;
    }
    let Some(regions) = heat_regions(state) else {
        return;
    };
    let place = state.fleet_table.heat_place().unwrap_or(0);
    let to = match movement {
        Movement::First => Some(0),
        Movement::Last => state.fleet_table.machines().len().checked_sub(1),
        Movement::By(_) => heat::moved_vertically(&regions.lines, place, movement),
    };
    if let Some(to) = to {
        state.fleet_table.select_place(&state.fleet, to);
    }
}

fn go_by_places(state: &mut State, step: isize) {
    let count = state.fleet_table.machines().len();
    let to = crate::state::moved(state.fleet_table.heat_place(), count, Movement::By(step));
    if let Some(to) = to {
        state.fleet_table.select_place(&state.fleet, to);
    }
}

fn heat_regions(state: &State) -> Option<HeatRegions> {
    match layout(Rect::new(0, 0, state.width, state.height), state).body {
        Body::Heat(regions) => Some(regions),
        _ => None,
    }
}

/// Brings table or map in line with data, order and screen.
pub(super) fn refresh(state: &mut State, rows: usize) {
    let clocks = Clocks {
        now: state.now,
        aggregator: state.aggregator_now(),
    };
    let table = &mut state.fleet_table;
    table.refresh(&state.fleet, &state.alerts.board, clocks, rows);
    if table.is_heat_map
        && let Some(regions) = heat_regions(state)
    {
        let table = &mut state.fleet_table;
        let line = table
            .heat_place()
            .and_then(|place| heat::position(&regions.lines, place));
        let line = line.map(|(line, ..)| line);
        table.heat_offset = scrolled(table.heat_offset, line, regions.lines.len(), rows);
    }
}

/// Takes a press of the mouse on the map: a machine is selected, the selected one opens.
pub(super) fn press_on_map(state: &mut State, regions: &HeatRegions, at: Position) -> Vec<Effect> {
    let Some(place) = regions.place_at(at, state.fleet_table.heat_offset) else {
        return Vec::new();
    };
    if state.fleet_table.heat_place() == Some(place) {
        return open_selected(state);
    }
    state.fleet_table.select_place(&state.fleet, place);
    Vec::new()
}

/// Opens the machine under the cursor, or folds the group whose heading is.
pub(super) fn open_selected(state: &mut State) -> Vec<Effect> {
    if let Some(name) = state.fleet_table.selected_group().cloned()
        && !state.fleet_table.is_heat_map
    {
        let groups = state.fleet_table.grouping.groups();
        let is_collapsed = groups
            .iter()
            .any(|group| group.name == name && group.is_collapsed);
        state.fleet_table.fold(&name, !is_collapsed);
        return Vec::new();
    }
    // A selection that no row shows any more, because its machine is gone or filtered out, cannot be opened.
    let table = &state.fleet_table;
    let is_visible = table.len() > 0 && table.cursor().is_some() || table.is_heat_map;
    let selected = table.selected().cloned();
    match selected.filter(|id| is_visible && state.fleet.find(id).is_some()) {
        Some(id) => open_machine(state, &id),
        None => Vec::new(),
    }
}

/// Pops one layer of the fleet: marks, filter, map.
pub(super) fn back(state: &mut State) {
    let table = &mut state.fleet_table;
    if !table.marks.is_empty() {
        table.marks.clear();
    } else if !table.filter.is_empty() {
        table.set_filter("");
    } else if table.is_heat_map {
        table.is_heat_map = false;
    } else {
        table.group_by(None);
    }
}

fn toggle_heat_map(state: &mut State) {
    let table = &mut state.fleet_table;
    table.is_heat_map = !table.is_heat_map;
    table.heat_offset = 0;
    if let Some(selected) = table.selected().cloned() {
        table.select(&selected);
    }
}

fn group(state: &mut State) {
    let table = &mut state.fleet_table;
    let next = table.grouping.next_label();
    if next.is_none() && table.grouping.label().is_none() {
        notify(
            state,
            "no machine has a label: give some with `sysmon collector --label role=web`",
        );
        return;
    }
    table.group_by(next.as_deref());
}

fn fold(state: &mut State) {
    let table = &mut state.fleet_table;
    let cursor = table.cursor().unwrap_or(0);
    // The heading that the row is under.
    let heading = (0..=cursor).rev().find_map(|index| match table.row(index) {
        Some(Row::Group(group)) => Some(group),
        _ => None,
    });
    let name = heading.and_then(|group| table.grouping.groups().get(group));
    if let Some(name) = name.map(|group| Arc::clone(&group.name)) {
        table.fold(&name, true);
    }
}

/// The machine after the one on screen in the order of the fleet, or before it.
pub(super) fn neighbour(state: &mut State, step: isize) -> Vec<Effect> {
    // The order of the fleet may be old while a machine is shown.
    refresh(state, 1);
    let table = &mut state.fleet_table;
    let count = table.len();
    let machines = table.match_count();
    let Some(mut at) = table.cursor().filter(|_| machines > 1) else {
        notify(state, "there is no other machine");
        return Vec::new();
    };
    // Headings are passed over.
    for _ in 0..count {
        at = if step > 0 {
            (at + 1) % count
        } else {
            (at + count - 1) % count
        };
        match table.row(at) {
            Some(Row::Group(_)) => {}
            Some(Row::Machine(number)) => {
                let id = state.fleet.machine(number).map(|machine| Arc::clone(&machine.id));
                return id.map(|id| open_machine(state, &id)).unwrap_or_default();
            }
            None => break,
        }
    }
    notify(state, "the next machine has not come yet: try again");
    Vec::new()
}

/// The column of a heading that was clicked.
pub(super) fn click_heading(state: &mut State, column: FleetColumn) {
    state.fleet_table.click_heading(column);
}
