//! How the client gets a connection, without knowing to what.

use async_trait::async_trait;
use sysmon_api::{ApiError, Client};

/// Whoever starts the client decides what is behind it: a remote aggregator, or one in this very process.
#[async_trait]
pub trait Connect: Send {
    /// Called at the start and after every loss of the connection. May start or take over what it connects to.
    ///
    /// # Errors
    /// Why there is nothing to connect to now; the client shows it and tries again.
    async fn connect(&mut self) -> Result<Client, ApiError>;
}

/// Another aggregator, found.
pub struct Opened {
    /// What is watched, for the title.
    pub name: String,
    /// The way there.
    pub connect: Box<dyn Connect>,
}

/// The aggregators that a person can go to without starting the client anew.
pub trait Connections: std::fmt::Debug + Send + Sync {
    /// Names of the configured ones, without `@`.
    fn names(&self) -> Vec<String>;

    /// The way to an address, or to `@NAME`. Nothing is sent yet.
    ///
    /// # Errors
    /// What is wrong with the address or its settings, and what to do about it.
    fn open(&self, target: &str) -> Result<Opened, String>;
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Opened")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
