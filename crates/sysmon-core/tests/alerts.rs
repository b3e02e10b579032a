//! The alert engine from outside: samples in, transitions out.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[path = "alerts/cases.rs"]
mod cases;
#[path = "alerts/properties.rs"]
mod properties;
#[path = "alerts/support.rs"]
mod support;
