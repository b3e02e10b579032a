//! The programs `sysmon` and `sysmon-tui`: command line, configuration, telemetry, lifecycle and the wiring of roles.
//!
//! It is a library so that tests reach its parts; nothing else depends on it.

pub mod command_line;
pub mod commands;
pub mod embedded;
pub mod exit;
pub mod lifecycle;
pub mod output;
pub mod paths;
pub mod roles;
pub mod settings;
pub mod storage;
pub mod telemetry;
pub mod terminal;
