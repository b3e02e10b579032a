//! What a process of sysmon can be: each role is checked as a whole before any of them starts.

mod aggregator;
mod alerts;
mod collector;
mod connection;
mod pulse;

pub use aggregator::AggregatorRole;
pub(crate) use aggregator::{aggregator, embedded_aggregator};
pub use alerts::AlertsRole;
pub(crate) use alerts::alerts_socket;
pub use collector::CollectorRole;
pub use connection::of_terminal;
pub(crate) use connection::{asking, named, of_simulation, typed};
pub use pulse::collector_health;

use crate::paths::Paths;
use crate::settings::{Problem, Settings, table};
use crate::storage::Storage;

/// Checks what every role would make of the settings, beyond what each setting by itself shows.
///
/// # Errors
/// Everything that is wrong with any of them.
pub fn check(settings: &Settings, paths: &Paths) -> Result<(), Vec<Problem>> {
    let servers = both(
        both(
            AggregatorRole::from_settings(settings, paths),
            AlertsRole::from_settings(settings),
        ),
        both(
            CollectorRole::remote(settings, paths),
            Storage::from_settings(settings, paths),
        ),
    );
    let terminal = of_terminal(settings).and_then(|remote| match remote {
        Some(_) => Ok(()),
        // Not needed without an address, but here everything is looked at.
        None => settings
            .secret(&table::TUI_TOKEN)
            .map(drop)
            .map_err(|problem| vec![problem]),
    });
    let named: Vec<Problem> = settings
        .connections()
        .iter()
        .filter_map(|(name, connection)| named(name, connection).err())
        .collect();
    let named = if named.is_empty() { Ok(()) } else { Err(named) };
    let console = both(named, crate::terminal::keymap(settings, paths));
    both(both(servers, terminal), console).map(drop)
}

/// Two things, or the problems of both.
///
/// # Errors
/// What is wrong with either.
pub(crate) fn both<A, B>(
    first: Result<A, Vec<Problem>>,
    second: Result<B, Vec<Problem>>,
) -> Result<(A, B), Vec<Problem>> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (first, second) => {
            let mut problems = first.err().unwrap_or_default();
            problems.extend(second.err().unwrap_or_default());
            Err(problems)
        }
    }
}
