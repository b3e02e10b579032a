//! A moment of a recording as a snapshot.

use std::path::Path;

use sysmon_core::Filter;

use super::Snapshot;
use crate::record::RecordingError;
use crate::replay::Player;

/// The fleet as a recording shows it at a moment, such as `14:05`, or `3m ago` as seen from its end; without one at its end.
/// It holds what the console was sent: of a large fleet the rows that were on screen, all series and processes only of a
/// machine that was open.
///
/// # Errors
/// When the file cannot be played, or has no such moment.
pub fn replayed(path: &Path, at: Option<&str>, filter: &Filter) -> Result<Snapshot, RecordingError> {
    // No size changes what is known.
    let mut player = Player::open(path, (80, 24), 1)?;
    player.stop_at(at)?;
    let state = player.into_live();
    let snapshot = Snapshot {
        opened: Some(state.machine),
        board: state.alerts.is_ready().then_some(state.alerts.board),
        ..Snapshot::of_fleet(state.fleet)
    };
    Ok(if filter.is_empty() {
        snapshot
    } else {
        snapshot.filtered(filter)
    })
}
