//! What can be set about an aggregator.

use sysmon_core::UnixMillis;
use thiserror::Error;

/// Bounds and pace of an aggregator. Every value is checked by [`Config::validate`] before anything starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How much of the past is kept per machine, in milliseconds.
    pub window_ms: u64,
    /// The most machines; newcomers beyond are refused with `RESOURCE_EXHAUSTED`. Machines that are lost stay listed
    /// and count.
    pub machines_max: usize,
    /// The most client streams (interactive ones and value streams together); further ones are refused with
    /// `RESOURCE_EXHAUSTED`. Each may hold 8 subscriptions, and a subscription costs about 100 bytes per machine.
    pub clients_max: usize,
    /// Messages from sessions that wait for the owner of the state; when it is full the sessions wait.
    pub queue_capacity: usize,
    /// Shortest time between two updates of one subscription, in milliseconds, also for those that want everything at
    /// once: the ticks of a large fleet then share updates. 0 to send every change on its own.
    pub update_gap_ms: u64,
    /// Batches that come within this time, in milliseconds, are stored in one commit: it bounds how often the store
    /// writes, and delays acknowledgements alone.
    pub commit_group_ms: u64,
    /// After this time, in milliseconds, a commit counts as hung and the store as down.
    pub commit_limit_ms: u64,
    /// Live batches that wait to be stored; what comes when it is full is not taken, and collectors send it again later.
    pub commit_queue: usize,
}

/// Everything that is wrong with a [`Config`], one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", .problems.join("; "))]
pub struct ConfigError {
    /// What is wrong and what would be right.
    pub problems: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window_ms: Self::WINDOW_MS_MAX,
            machines_max: 100_000,
            clients_max: 1_000,
            queue_capacity: 1_024,
            update_gap_ms: 2,
            commit_group_ms: 200,
            commit_limit_ms: 10_000,
            commit_queue: 8_192,
        }
    }
}

impl Config {
    /// The longest past that is kept, and that a subscription may ask for.
    pub const WINDOW_MS_MAX: u64 = 300_000;

    /// A time that is older than everything kept when `newest` is the newest.
    pub(crate) fn before_the_window(newest: UnixMillis) -> UnixMillis {
        const BEYOND_MS: i64 = 300_001;
        newest.plus_ms(-BEYOND_MS)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`ConfigError`] with all problems at once.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut problems = Vec::new();
        let mut check = |name: &str, value: u64, least: u64, most: u64| {
            if !(least..=most).contains(&value) {
                problems.push(format!("{name} is {value}; give {least} to {most}"));
            }
        };
        let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        check("window_ms", self.window_ms, 1_000, Self::WINDOW_MS_MAX);
        check("machines_max", count(self.machines_max), 1, 100_000);
        check("clients_max", count(self.clients_max), 1, 100_000);
        check("queue_capacity", count(self.queue_capacity), 1, 1_000_000);
        check("update_gap_ms", self.update_gap_ms, 0, 1_000);
        check("commit_group_ms", self.commit_group_ms, 0, 10_000);
        check("commit_limit_ms", self.commit_limit_ms, 100, 600_000);
        check("commit_queue", count(self.commit_queue), 1, 1_000_000);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { problems })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_all_mistakes_are_told_at_once() {
        assert_eq!(Config::default().validate(), Ok(()));
        let wrong = Config {
            window_ms: 0,
            machines_max: 0,
            ..Config::default()
        };
        let error = wrong.validate().unwrap_err();
        assert_eq!(error.problems.len(), 2);
        assert!(error.to_string().contains("window_ms is 0; give 1000 to 300000"));
    }
}
