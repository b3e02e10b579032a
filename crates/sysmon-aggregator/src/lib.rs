//! The aggregator: takes what collectors measure, keeps the fleet's present and five minutes of its past in memory,
//! and tells subscribers what changes.
//!
//! One task owns all state: the [`fleet`], a state machine without runtime and clock. Every stream has a session that
//! checks what comes from afar and talks to the owner through a bounded queue; no lock is held anywhere.
//!
//! Every queue, and what happens when it is full:
//! - sessions to the owner, [`Config::queue_capacity`] messages: senders wait, and so, by HTTP/2 flow control, do
//!   collectors and clients;
//! - owner to a client's session, a fixed number of responses that two unacknowledged updates per subscription and
//!   16 open commands cannot exceed: a client that gets past that is disconnected;
//! - owner to a collector's session, the latest directive: it replaces the one before;
//! - alerts to a client's session, no queue at all: it reads the newest of what it was not told yet.

mod aggregator;
mod alerts;
mod clock;
mod config;
mod counters;
mod durable;
pub mod fleet;
mod message;
mod mirror;
mod recall;
mod sessions;
mod stores;
mod task;

pub use aggregator::Aggregator;
pub use clock::Clock;
pub use config::{Config, ConfigError};
pub use counters::{Counters, Figures};
pub use stores::Stores;
