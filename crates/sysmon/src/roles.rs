//! What a process of sysmon can be: each role is checked as a whole before any of them starts.

mod aggregator;
mod collector;
mod connection;

pub use aggregator::AggregatorRole;
pub(crate) use aggregator::aggregator;
pub use collector::CollectorRole;
pub use connection::of_terminal;

use crate::paths::Paths;
use crate::settings::{ConfigError, Problem, Settings};

/// Everything that is wrong with the settings of any role, beyond what each setting by itself shows.
#[must_use]
pub fn check(settings: &Settings, paths: &Paths) -> Vec<Problem> {
    let mut problems = AggregatorRole::from_settings(settings, paths)
        .err()
        .unwrap_or_default();
    problems.extend(CollectorRole::remote(settings).err().unwrap_or_default());
    problems.extend(of_terminal(settings).err().unwrap_or_default());
    problems
}

/// The values of several parts, or the problems of all of them.
pub(crate) fn all<A, B>(
    first: Result<A, Vec<Problem>>,
    second: Result<B, Vec<Problem>>,
) -> Result<(A, B), ConfigError> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (first, second) => {
            let mut problems = first.err().unwrap_or_default();
            problems.extend(second.err().unwrap_or_default());
            Err(ConfigError::new(problems))
        }
    }
}
