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
