//! The real `sysmon-tui` in a real pseudo-terminal: keys go in, the screen comes out.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[cfg(target_os = "linux")]
mod alerts;
mod commands;
mod embedded;
#[cfg(unix)]
mod flows;
#[cfg(target_os = "linux")]
#[path = "../support/hook.rs"]
mod hook;
#[cfg(target_os = "linux")]
#[path = "../support/load.rs"]
mod load;
#[cfg(unix)]
mod panic;
#[cfg(unix)]
mod past;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(unix)]
mod remote;
mod roles;
#[cfg(unix)]
mod slow_line;
#[cfg(unix)]
mod tabs;
#[cfg(unix)]
mod terminal;
