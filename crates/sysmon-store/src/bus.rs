//! Carries what happened from one process to the others.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::error::StoreError;
use crate::history::StoreInfo;

/// Carries messages from whoever publishes to all who are subscribed at that moment, the publisher included, in order per
/// publisher and channel. Best effort: what was missed is said ([`BusEvent::Missed`]), not repeated.
#[async_trait]
pub trait EventBus: Send + Sync + 'static {
    /// Sends messages, as one pipeline.
    async fn publish(&self, messages: &[(Channel, Bytes)]) -> Result<(), StoreError>;

    /// Receives what is published on these channels from now on. Reconnects by itself.
    async fn subscribe(&self, channels: &[Channel]) -> Result<BusSubscription, StoreError>;

    /// Cheaply finds out whether the bus can be reached.
    async fn probe(&self) -> Result<(), StoreError>;

    /// What this bus is.
    fn info(&self) -> StoreInfo;
}

/// Where messages go, such as `fleet.7`: lower-case letters, digits, `.` and `_`.
pub type Channel = String;

/// What a subscriber is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    /// A message.
    Message {
        /// The channel it came on.
        channel: Channel,
        /// What was published.
        payload: Bytes,
    },
    /// Messages may have been missed just before: the connection was lost and is back, or the subscriber was slow and its
    /// queue of 4,096 messages ran over. Whoever cares loads the present state anew.
    Missed,
}

/// A subscription; it ends when it is dropped.
pub struct BusSubscription {
    events: mpsc::Receiver<BusEvent>,
}

impl BusSubscription {
    /// The most events that wait for a subscriber; with more, the newest are dropped and [`BusEvent::Missed`] is said.
    pub const CAPACITY: usize = 4_096;

    /// For back ends.
    pub(crate) fn new(events: mpsc::Receiver<BusEvent>) -> Self {
        Self { events }
    }

    /// The next event; `None` when the bus is gone for good. Cancel-safe.
    pub async fn next(&mut self) -> Option<BusEvent> {
        self.events.recv().await
    }
}

impl fmt::Debug for BusSubscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BusSubscription").finish_non_exhaustive()
    }
}
