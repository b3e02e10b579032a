//! Several aggregators that share a hot state and a bus, in one process: on memory with a paused clock, and on a real Redis.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod faults;
mod group;
#[path = "../../../sysmon-store/tests/support/redis_server.rs"]
#[expect(dead_code, reason = "the store's own tests use more of it")]
mod redis_server;
mod sharing;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the tests of a single aggregator use more of it")]
mod support;
