//! The real programs, each in a process of its own, with folders of its own: nothing of the user's is touched.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[cfg(target_os = "linux")]
mod alerts;
#[cfg(unix)]
mod cluster;
mod configuration;
mod documents;
#[cfg(unix)]
mod embedded;
mod exit_codes;
#[cfg(unix)]
mod history;
#[cfg(target_os = "linux")]
#[path = "../support/hook.rs"]
mod hook;
#[cfg(unix)]
mod lifecycle;
#[cfg(target_os = "linux")]
#[path = "../support/load.rs"]
mod load;
#[cfg(target_os = "linux")]
mod once;
#[cfg(target_os = "linux")]
#[path = "../../../sysmon-store/tests/support/postgres_server.rs"]
#[expect(dead_code, reason = "the store's own tests use more of it")]
mod postgres_server;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
#[path = "../../../sysmon-store/tests/support/redis_server.rs"]
#[expect(dead_code, reason = "the store's own tests use more of it")]
mod redis_server;
#[cfg(unix)]
mod simulate;
#[cfg(target_os = "linux")]
mod slim;
mod support;
mod tls;
#[cfg(unix)]
mod trust;
#[cfg(unix)]
mod watcher;
