//! Carries what happened from one process to the others.

mod feeder;
mod memory;
mod redis;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::bus::memory::MemoryBus;
use crate::bus::redis::RedisBus;
use crate::error::StoreError;
use crate::history::StoreInfo;
use crate::redis::VALUE_BYTES_MAX;

/// Carries messages from whoever publishes to all who are subscribed at that moment, the publisher included, in order per
/// publisher and channel. Best effort: what was missed is said ([`BusEvent::Missed`]), not repeated.
#[async_trait]
pub trait EventBus: Send + Sync + 'static {
    /// Sends messages, as one pipeline. Each has at most 16 MiB.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unavailable`] when the bus cannot be reached: any part may have been sent. Never waits longer
    /// than 2 s, and never for a subscriber.
    async fn publish(&self, messages: &[(Channel, Bytes)]) -> Result<(), StoreError>;

    /// Receives what is published on these channels from now on. Reconnects by itself. When the bus cannot be reached at
    /// present, messages come as soon as it can, after a [`BusEvent::Missed`].
    ///
    /// # Errors
    /// [`crate::ErrorKind::Rejected`] when a name is none for a channel.
    async fn subscribe(&self, channels: &[Channel]) -> Result<BusSubscription, StoreError>;

    /// Cheaply finds out whether the bus can be reached.
    async fn probe(&self) -> Result<(), StoreError>;

    /// What this bus is.
    fn info(&self) -> StoreInfo;
}

/// Opens an event bus: `memory:` (within this handle and its clones), `redis://…`, `rediss://…` or `redis+unix:///…`. Only
/// the address is checked: a server that is down is found later.
///
/// # Errors
/// [`crate::ErrorKind::Misconfigured`] when the address is none; the text has no part of it.
pub fn open_bus(url: &str) -> Result<Arc<dyn EventBus>, StoreError> {
    if url == "memory:" {
        Ok(Arc::new(MemoryBus::default()))
    } else {
        Ok(Arc::new(RedisBus::open(url)?))
    }
}

/// Where messages go, such as `fleet.7`: 1 to 64 lower-case letters, digits, `.` and `_`.
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

fn check_channels<'a>(channels: impl IntoIterator<Item = &'a Channel>) -> Result<(), StoreError> {
    let good = |name: &str| {
        (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_'))
    };
    match channels.into_iter().find(|name| !good(name)) {
        None => Ok(()),
        Some(_) => Err(StoreError::rejected(
            "a channel's name has 1 to 64 lower-case letters, digits, dots and underscores; name it so",
        )),
    }
}

fn check_messages(messages: &[(Channel, Bytes)]) -> Result<(), StoreError> {
    check_channels(messages.iter().map(|(channel, _)| channel))?;
    match messages
        .iter()
        .find(|(_, payload)| payload.len() > VALUE_BYTES_MAX)
    {
        None => Ok(()),
        Some((_, payload)) => Err(StoreError::rejected(format!(
            "a message of {} bytes is too long for the bus; send at most {VALUE_BYTES_MAX} at once",
            payload.len()
        ))),
    }
}
