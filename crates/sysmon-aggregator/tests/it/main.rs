//! The aggregator as collectors and clients meet it: through its streams, on a paused clock.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod cluster;
mod collectors;
mod consoles;
mod support;
mod values;
