//! Why a receiver did not take a message.

use std::time::Duration;

use sysmon_core::{clip, sanitize};

/// The longest problem text, in terminal cells.
const PROBLEM_CELLS: usize = 300;

/// Why a receiver did not take a message, and whether it might yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What went wrong and what to do; never with a secret in it, and without control characters.
    pub(crate) problem: String,
    /// Trying again is of no use.
    pub(crate) is_final: bool,
    /// How long it asked to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// May work later.
    pub(crate) fn passing(problem: impl AsRef<str>) -> Self {
        Self {
            problem: clip(&sanitize(problem.as_ref()), PROBLEM_CELLS).into_owned(),
            is_final: false,
            retry_after: None,
        }
    }

    /// Will never work as it is.
    pub(crate) fn lasting(problem: impl AsRef<str>) -> Self {
        Self {
            is_final: true,
            ..Self::passing(problem)
        }
    }
}
