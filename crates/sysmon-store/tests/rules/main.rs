//! What every rule store promises, tried on every back end, one test per case and back end.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics fails, which is what it is for"
)]

#[macro_use]
mod contract;
mod fixture;
mod local;
mod postgres;
#[path = "../support/postgres_server.rs"]
mod postgres_server;
mod servers;
#[path = "../support/timescale_server.rs"]
mod timescale_server;
