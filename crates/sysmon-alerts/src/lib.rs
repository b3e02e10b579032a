//! The alert service: evaluates rules over what a fleet reports, keeps what becomes of them, and tells people.
//!
//! It is a client of an aggregator and a user of a rule store. Any number of services share one store: leases say who
//! judges which shard of the machines, and who tells people.
//!
//! | task | owns |
//! |---|---|
//! | leases | which part of the work is ours |
//! | book | rules, silences and acknowledgements, as the store has them |
//! | fleet | the stream from the aggregator |
//! | evaluator | a copy of the fleet, and the engines of all machines of our shards |
//! | notifier | who was told what, and what is still to be sent |
//!
//! Every queue, and what happens when it is full:
//! - fleet to evaluator, 4 updates: the aggregator's updates wait, and are coalesced there;
//! - evaluator to store: alerts as they stand, once each; at most 10,000 steps per shard, of which the oldest that are
//!   not of firing alerts are dropped first, with an error in the log;
//! - news to the notifier, 1,024: when it is full the notifier looks at the store anew;
//! - deliveries in memory, 10,000: further ones stay in the store until there is room; while the store is down, 10,000
//!   that are not stored: further ones are dropped and counted.

mod book;
mod clock;
mod config;
mod directory;
mod evaluator;
mod failure;
mod figures;
mod fleet;
mod hub;
mod judge;
mod leases;
mod message;
mod notifier;
mod outbox;
mod receiver;
mod receivers;
mod saver;
mod service;
mod shard;

pub use clock::Clock;
pub use config::Config;
pub use figures::Figures;
pub use message::{AlertText, Counts, Message, ProcessText, RuleText};
pub use receivers::Receivers;
pub use service::{AlertService, Broken, Stores, install_starter};
