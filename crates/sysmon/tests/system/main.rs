//! The real programs, each in a process of its own, with folders of its own: nothing of the user's is touched.
#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

#[cfg(unix)]
mod cluster;
mod configuration;
mod documents;
#[cfg(unix)]
mod embedded;
mod exit_codes;
#[cfg(unix)]
mod history;
#[cfg(unix)]
mod lifecycle;
#[cfg(target_os = "linux")]
mod once;
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
