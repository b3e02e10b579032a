//! The real `sysmon-tui` in a real pseudo-terminal: keys go in, the screen comes out.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[cfg(unix)]
mod alerts;
mod commands;
mod embedded;
#[cfg(unix)]
mod panic;
#[cfg(unix)]
mod remote;
#[cfg(unix)]
mod terminal;
