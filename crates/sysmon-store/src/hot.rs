//! The newest state of every machine, for aggregators that start or join.

mod memory;
mod redis;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sysmon_core::{MachineId, UnixMillis};

use crate::error::StoreError;
use crate::history::StoreInfo;
use crate::hot::memory::MemoryHotState;
use crate::hot::redis::RedisHotState;
use crate::redis::VALUE_BYTES_MAX;

/// Keeps, per machine, a head and the ticks of the last five minutes. What they contain is the aggregator's business.
///
/// Forgotten by itself when nothing new comes for a machine for an hour.
#[async_trait]
pub trait HotState: Send + Sync + 'static {
    /// Takes updates over, in order, as one pipeline; a head or a tick has at most 16 MiB. Not a transaction: after a failure
    /// any part may be there. Returns the machines of which no head is kept, as far as that came to light: they are
    /// unknown to [`HotState::load`] until their head is put (again).
    ///
    /// # Errors
    /// [`crate::ErrorKind::Unavailable`] within 2 s when the store cannot be reached or written.
    async fn put(&self, updates: &[HotUpdate]) -> Result<Vec<MachineId>, StoreError>;

    /// What is kept of one machine.
    async fn load(&self, machine: &MachineId) -> Result<Option<HotMachine>, StoreError>;

    /// Which machines there are, sorted.
    async fn machines(&self) -> Result<Vec<MachineId>, StoreError>;

    /// Cheaply finds out whether the store can be reached and written.
    async fn probe(&self) -> Result<(), StoreError>;

    /// What this store is.
    fn info(&self) -> StoreInfo;
}

/// Opens a hot state: `memory:` (within this handle and its clones), `redis://…`, `rediss://…` or `redis+unix:///…`. Only
/// the address is checked: a server that is down is found later.
///
/// # Errors
/// [`crate::ErrorKind::Misconfigured`] when the address is none; the text has no part of it.
pub fn open_hot_state(url: &str) -> Result<Arc<dyn HotState>, StoreError> {
    if url == "memory:" {
        Ok(Arc::new(MemoryHotState::default()))
    } else {
        Ok(Arc::new(RedisHotState::open(url)?))
    }
}

/// The longest past that is kept of a machine, in milliseconds.
pub const HOT_WINDOW_MS: u64 = 300_000;
/// The most ticks that are kept of a machine.
pub const HOT_TICKS_MAX: usize = 3_000;
/// A machine of which nothing new comes for so long is forgotten.
const FORGET_AFTER_S: u32 = 3_600;

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
    /// The ticks in the order they were put, none older than [`HOT_WINDOW_MS`] before the newest.
    pub ticks: Vec<(UnixMillis, Bytes)>,
}

fn check_updates(updates: &[HotUpdate]) -> Result<(), StoreError> {
    let longest = updates
        .iter()
        .flat_map(|update| {
            let tick = update.tick.as_ref().map(|(_, tick)| tick.len());
            update.head.as_ref().map(Bytes::len).into_iter().chain(tick)
        })
        .max()
        .unwrap_or(0);
    if longest > VALUE_BYTES_MAX {
        return Err(StoreError::rejected(format!(
            "a head or a tick of {longest} bytes is too long for the hot state; put at most {VALUE_BYTES_MAX} at once"
        )));
    }
    Ok(())
}

/// Whether a tick is still kept when another one is the newest.
fn is_recent(tick: UnixMillis, newest: UnixMillis) -> bool {
    tick.0 >= newest.0.saturating_sub_unsigned(HOT_WINDOW_MS)
}
