//! The list from which columns are chosen.

use std::sync::Arc;

use crate::command::Command;
use crate::event::Effect;
use crate::state::{Overlay, OverlayKind, State};

/// Opens the list.
pub(super) fn open(state: &mut State) {
    let names: Vec<Arc<str>> = state.fleet_table.grouping.names().cloned().collect();
    for name in names {
        state.fleet_table.columns.of_label(&name);
    }
    state.fleet_table.columns.prepare(state.width);
    state.overlay = Some(Overlay {
        kind: OverlayKind::Columns,
        scroll: 0,
    });
}

/// Carries a command of the list out; `None` for one that is not of the list.
pub(super) fn run(state: &mut State, command: Command) -> Option<Vec<Effect>> {
    let overlay = state.overlay?;
    let table = &mut state.fleet_table;
    let choices = table.columns.choices();
    let at = usize::from(overlay.scroll).min(choices.len().saturating_sub(1));
    let column = *choices.get(at)?;
    let mut cursor = None;
    match command {
        Command::Toggle => {
            table.columns.toggle(column);
            // The cursor stays with the place: several can be chosen one after the other.
            if table.columns.shown().contains(&column) {
                cursor = Some(at + 1);
            }
        }
        Command::ShiftLeft | Command::ShiftRight => {
            table.columns.shift(column, command == Command::ShiftRight);
            cursor = table.columns.choices().iter().position(|other| *other == column);
        }
        Command::Reset => {
            table.columns.reset();
            table.columns.prepare(state.width);
        }
        Command::Sort => table.sort_by(column),
        Command::Columns => state.overlay = None,
        _ => return None,
    }
    if let (Some(cursor), Some(overlay)) = (cursor, &mut state.overlay) {
        overlay.scroll = u16::try_from(cursor.min(choices.len().saturating_sub(1))).unwrap_or(0);
    }
    Some(Vec::new())
}
