//! Why a store did not do what it was asked.

use thiserror::Error;

/// What kind of failure it was: tells what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The store cannot be reached, is starting, is full or is read-only: the same may work later. Nothing was kept.
    Unavailable,
    /// The store refuses this content and always will: whoever sent several things tries them one by one.
    Rejected,
    /// The address, the permissions or the schema are wrong: somebody has to change something.
    Misconfigured,
}

/// Why a store did not do what it was asked. The text says what to do, and never contains a password.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct StoreError {
    /// What kind of failure it was.
    pub kind: ErrorKind,
    /// What went wrong, and what to do.
    pub message: String,
}

impl StoreError {
    /// [`ErrorKind::Unavailable`].
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Unavailable,
            message: message.into(),
        }
    }

    /// [`ErrorKind::Rejected`].
    pub fn rejected(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Rejected,
            message: message.into(),
        }
    }

    /// [`ErrorKind::Misconfigured`].
    pub fn misconfigured(message: impl Into<String>) -> Self {
        Self {
            kind: ErrorKind::Misconfigured,
            message: message.into(),
        }
    }
}
