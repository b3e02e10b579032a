//! The newest state of every machine, for aggregators that start or join.

use async_trait::async_trait;
use bytes::Bytes;
use sysmon_core::{MachineId, UnixMillis};

use crate::error::StoreError;
use crate::history::StoreInfo;

/// Keeps, per machine, a head and the ticks of the last five minutes. What they contain is the aggregator's business.
///
/// Forgotten by itself when nothing new comes for a machine for an hour.
#[async_trait]
pub trait HotState: Send + Sync + 'static {
    /// Takes updates over, in order, as one pipeline. Not a transaction: after a failure any part may be there.
    async fn put(&self, updates: &[HotUpdate]) -> Result<(), StoreError>;

    /// What is kept of one machine.
    async fn load(&self, machine: &MachineId) -> Result<Option<HotMachine>, StoreError>;

    /// Which machines there are, sorted.
    async fn machines(&self) -> Result<Vec<MachineId>, StoreError>;

    /// Cheaply finds out whether the store can be reached and written.
    async fn probe(&self) -> Result<(), StoreError>;

    /// What this store is.
    fn info(&self) -> StoreInfo;
}

/// The longest past that is kept of a machine, in milliseconds.
pub const HOT_WINDOW_MS: u64 = 300_000;
/// The most ticks that are kept of a machine.
pub const HOT_TICKS_MAX: usize = 3_000;

/// What is new of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotUpdate {
    /// Which machine.
    pub machine: MachineId,
    /// Replaces the head, when given.
    pub head: Option<Bytes>,
    /// Forget the ticks so far first: numbers in them mean something else from now on.
    pub restart: bool,
    /// A tick that is added, with its time.
    pub tick: Option<(UnixMillis, Bytes)>,
}

/// What is kept of one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotMachine {
    /// The head.
    pub head: Bytes,
    /// The ticks, oldest first, none older than [`HOT_WINDOW_MS`] before the newest.
    pub ticks: Vec<(UnixMillis, Bytes)>,
}
