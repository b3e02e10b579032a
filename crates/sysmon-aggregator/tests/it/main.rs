//! The aggregator as collectors and clients meet it: through its streams, on a paused clock.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod alerts;
mod cluster;
mod collectors;
mod consoles;
mod degradation;
mod dry_run;
mod durable;
mod faulty;
mod keeper;
mod past;
mod queries;
mod rules;
mod support;
mod values;
