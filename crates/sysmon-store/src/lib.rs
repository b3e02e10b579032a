//! Where state and history are kept: one trait per need, back ends chosen by URL.
//!
//! | trait | keeps | back ends |
//! |---|---|---|
//! | [`History`] | every sample, roll-ups, gaps, cursors, dead letters, snapshots of processes | memory, SQLite, PostgreSQL with or without TimescaleDB |
//! | [`RuleStore`] | alert rules, silences, alerts and their log, notifications, leases of alert services | as [`History`], in the same database |
//! | [`HotState`] | the newest state of every machine, for whoever starts or joins | memory, Redis |
//! | [`EventBus`] | nothing for long: carries what happened to every aggregator | memory, Redis |
//!
//! sqlx and redis never leave this crate.

mod bus;
mod error;
mod history;
mod hot;
mod open;
mod redis;
mod rules;

pub use bus::{BusEvent, BusSubscription, Channel, EventBus, open_bus};
pub use error::{ErrorKind, StoreError};
pub use history::{
    Content, DeadLetter, DeadLetterFilter, DeadTick, DeadValue, FUTURE_LIMIT_MS, History, IngestBatch,
    MACHINES_PER_QUERY, MachineProcesses, MachineRecord, Maintenance, Outcome, Retention, SNAPSHOT_REACH_MS,
    SNAPSHOTS_AT_A_TIME, SeriesEntry, SeriesTable, StoreInfo, dead_tick,
};
pub use hot::{HOT_TICKS_MAX, HOT_WINDOW_MS, HotMachine, HotState, HotUpdate, open_hot_state};
pub use open::{HistoryOptions, check_history_url, open_history};
pub use redis::check_redis_url;
pub use rules::{
    AuditEntry, Author, Delivery, DeliveryState, Lease, LoggedTransition, NewSilence, Notifier, NotifierWork,
    Put, RuleStore, SHARDS, Shard, ShardWork, StoredRule, TransitionQuery, Work, open_rule_store, shard_of,
};
