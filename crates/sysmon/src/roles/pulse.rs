//! How a collector, which nobody can connect to, tells that it is well: by a file, written anew every few seconds, in the
//! folder of this user's sockets. `sysmon health collector` reads it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sysmon_api::{Client, local_socket_path};
use sysmon_core::MachineId;
use tokio::time::{MissedTickBehavior, interval, timeout};

const PERIOD: Duration = Duration::from_secs(5);
/// How long the aggregator may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The age at which a pulse counts as none: two were missed.
const AGE_MAX: Duration = Duration::from_secs(15);
/// What the file says when nothing is wrong.
const WELL: &str = "ok";
const PREFIX: &str = "collector-";
const SUFFIX: &str = ".health";

/// Writes the file until dropped, and then removes it.
#[derive(Debug)]
pub(super) struct Pulse {
    file: PathBuf,
}

/// The file of a machine's collector.
fn file_of(machine: &MachineId) -> PathBuf {
    // An id may have a colon, which is no character of a file name everywhere.
    let name = machine.as_str().replace(':', "%3A");
    folder().join(format!("{PREFIX}{name}{SUFFIX}"))
}

impl Pulse {
    pub(super) fn new(machine: &MachineId) -> Self {
        Self {
            file: file_of(machine),
        }
    }

    /// Beats for ever.
    pub(super) async fn beat(self, client: Client) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_told = false;
        loop {
            ticks.tick().await;
            let state = match timeout(ANSWER_TIMEOUT, client.health("")).await {
                Ok(Ok(true)) => WELL.to_owned(),
                Ok(Ok(false)) => "the aggregator does not serve".to_owned(),
                Ok(Err(error)) => format!("the aggregator cannot be reached: {error}"),
                Err(_) => "the aggregator does not answer".to_owned(),
            };
            if let Err(error) = self.write(&state)
                && !std::mem::replace(&mut is_told, true)
            {
                let file = self.file.display();
                tracing::warn!(%file, "`sysmon health collector` will not know of this collector: {error}");
            }
        }
    }

    /// As a whole or not at all, so that nobody reads half of it.
    fn write(&self, state: &str) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
        let new = self.file.with_extension("new");
        // Not through a link that somebody else may have put there.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::File::create_new(&new)?.write_all(state.as_bytes())?;
        fs::rename(new, &self.file)
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        // When it is not there, nobody is misled.
        let _ = fs::remove_file(&self.file);
    }
}

/// What is wrong with the collector of this user on this machine; of one machine id where there are several.
///
/// # Errors
/// What is wrong.
pub fn collector_health(machine: Option<&MachineId>) -> Result<(), String> {
    let pulses: Vec<PathBuf> = match machine {
        Some(machine) => vec![file_of(machine)],
        None => pulses(&folder()),
    };
    if pulses.is_empty() {
        return Err("no collector of this user runs here".into());
    }
    pulses.iter().try_for_each(|file| judge(file, SystemTime::now()))
}

fn folder() -> PathBuf {
    local_socket_path(0).parent().map(Into::into).unwrap_or_default()
}

fn pulses(folder: &Path) -> Vec<PathBuf> {
    let is_pulse = |path: &PathBuf| {
        path.file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_pulse).collect()
}

fn judge(file: &Path, now: SystemTime) -> Result<(), String> {
    const BYTES_MAX: usize = 1_000;
    let unreadable = |error: io::Error| format!("no collector runs here: {}: {error}", file.display());
    let beaten = fs::metadata(file)
        .and_then(|metadata| metadata.modified())
        .map_err(unreadable)?;
    let age = now.duration_since(beaten).unwrap_or_default();
    if age > AGE_MAX {
        return Err(format!(
            "the collector has not said that it is well for {} s; it was killed or hangs",
            age.as_secs()
        ));
    }
    let state = fs::read_to_string(file).map_err(unreadable)?;
    if state == WELL {
        return Ok(());
    }
    let shown: String = state.chars().take(BYTES_MAX).collect();
    Err(sysmon_core::sanitize(&shown).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_that_stopped_or_says_why_is_no_health() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run/collector-web-1.health");
        let pulse = Pulse { file: file.clone() };
        let now = SystemTime::now();
        assert!(judge(&file, now).unwrap_err().contains("no collector"));
        pulse.write(WELL).unwrap();
        assert_eq!(judge(&file, now), Ok(()));
        assert!(judge(&file, now + AGE_MAX * 2).unwrap_err().contains("hangs"));
        pulse.write("the aggregator does not answer").unwrap();
        assert!(judge(&file, now).unwrap_err().contains("does not answer"));
        assert_eq!(pulses(&folder.path().join("run")), std::slice::from_ref(&file));
        drop(pulse);
        assert!(judge(&file, now).is_err(), "one that ended leaves nothing behind");
    }
}
