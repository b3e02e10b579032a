//! Reads a machine and reports it: probes → sampler → uplink.
//!
//! The hot path (processors, memory, pressure, disks, network, processes) is read at every tick through descriptors
//! that stay open. What may take long or hang (mounts, sensors, containers, units) runs beside it with time limits.
//! What a machine cannot give is absent, never zero.

#[cfg(target_os = "linux")]
mod burst;
mod clock;
mod config;
mod own_thread;
mod questions;
mod recorder;
mod redact;
mod run;
mod sample;
pub mod simulation;
mod slow;
mod spool;
mod ticker;
mod uplink;

#[cfg(target_os = "linux")]
mod file;
#[cfg(target_os = "linux")]
mod host;
#[cfg(target_os = "linux")]
mod parse;
// Tests of what other systems use; open, because nothing here reaches it.
#[cfg(all(test, target_os = "linux"))]
pub mod portable;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod roster;
#[cfg(target_os = "linux")]
mod sampler;

pub use clock::{Clock, Moment};
pub use config::{
    Config, ConfigError, INTERVAL_MS_MAX, INTERVAL_MS_MIN, InvalidConfig, ProcessArguments, ProcessDetail,
    Roots, SpoolConfig, default_container_sockets,
};
pub use recorder::Announcement;
pub use run::{CollectorError, run};
pub use sample::{Plan, Sample};
pub use spool::SpoolError;

#[cfg(target_os = "linux")]
pub use host::default_machine_id;
#[cfg(not(target_os = "linux"))]
pub use portable::{Sampler, default_machine_id};
#[cfg(target_os = "linux")]
pub use sampler::Sampler;

use sysmon_core::MachineId;

/// A host name made into an id; `machine-` and what `digest` gives for a name that many machines have.
fn machine_id_of(name: &str, digest: impl FnOnce() -> Option<String>) -> MachineId {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.:".contains(character);
    let safe: String = name
        .trim()
        .chars()
        .map(|character| if allowed(character) { character } else { '-' })
        .take(128)
        .collect();
    let is_telling = !safe.trim_matches('-').is_empty() && !safe.eq_ignore_ascii_case("localhost");
    let text = if is_telling {
        Some(safe)
    } else {
        digest().map(|digest| format!("machine-{digest}"))
    };
    let id = text.and_then(|text| MachineId::parse(&text).ok());
    id.unwrap_or_else(|| MachineId::parse("localhost").expect("it is made of letters"))
}
