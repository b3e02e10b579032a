//! What a collector is told: everything is checked at once, before anything starts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sysmon_core::{MachineId, is_clean};
use thiserror::Error;

/// The shortest time between base ticks in milliseconds.
pub const INTERVAL_MS_MIN: u32 = 100;
/// The longest time between base ticks in milliseconds: one hour.
pub const INTERVAL_MS_MAX: u32 = 3_600_000;
const LABELS_MAX: usize = 32;
const LABEL_NAME_LENGTH_MAX: usize = 64;
const LABEL_VALUE_LENGTH_MAX: usize = 256;
const TOP_PROCESSES_MAX: usize = 1_000;
const SPOOL_BYTES_MIN: u64 = 1 << 20;
const SPOOL_AGE_MIN: Duration = Duration::from_secs(60);
const SPOOL_SYNC_INTERVAL_MIN: Duration = Duration::from_millis(100);
const SPOOL_SYNC_INTERVAL_MAX: Duration = Duration::from_secs(600);

/// Where the machine's own files are found. In a container that watches its host these are bind mounts of the host's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roots {
    /// The proc file system, `/proc`.
    pub proc: PathBuf,
    /// The sys file system, `/sys`.
    pub sys: PathBuf,
    /// The root of the file tree, `/`.
    pub rootfs: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            proc: "/proc".into(),
            sys: "/sys".into(),
            rootfs: "/".into(),
        }
    }
}

impl Roots {
    /// A path of the watched machine as this process reaches it: `/etc/passwd` becomes `ROOTFS/etc/passwd`.
    #[must_use]
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.rootfs.join(absolute.trim_start_matches('/'))
    }

    /// Whether the watched machine is seen from inside, not through mounts of its files.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.rootfs == Path::new("/")
    }
}

/// What leaves the machine of the arguments of its processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessArguments {
    /// Nothing: only the program's path.
    None,
    /// All but the values that look like secrets.
    #[default]
    Redacted,
    /// Everything, secrets included.
    Full,
}

impl ProcessArguments {
    const WORDS: [(Self, &'static str); 3] = [
        (Self::None, "none"),
        (Self::Redacted, "redacted"),
        (Self::Full, "full"),
    ];
}

impl fmt::Display for ProcessArguments {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::WORDS
            .iter()
            .find(|(value, _)| value == self)
            .map_or("redacted", |(_, word)| word);
        formatter.write_str(word)
    }
}

impl FromStr for ProcessArguments {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::WORDS.iter().find(|(_, word)| *word == text);
        known
            .map(|(value, _)| *value)
            .ok_or_else(|| ConfigError::ProcessArguments(text.into()))
    }
}

/// Which processes are reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessDetail {
    /// None; `/proc` is not searched at all.
    None,
    /// The busiest and the largest, at the pace of [`Config::process_interval_ms`].
    #[default]
    Top,
    /// All of them, at every base tick.
    All,
}

/// Where and how much of what is measured is kept until an aggregator has it in history.
///
/// The spool is `DIRECTORY/MACHINE-ID/`, made for its owner only. It survives the death of the process, and after a
/// power failure at most the last [`SpoolConfig::sync_interval`] is missing. When it is full or too old the oldest goes,
/// and the aggregator is told exactly what. A folder that cannot be written does not stop the collector: it goes on
/// in memory and comes back to the folder by itself. Only a folder that another running collector uses is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The folder that has a folder per machine; both are made when they are not there.
    pub directory: PathBuf,
    /// The most bytes on disk, at least 1 MiB; 512 MiB by default.
    pub bytes_max: u64,
    /// How old what is kept may become, at least a minute; 24 h by default. Aggregators know an epoch for twice as
    /// long as the default, so more than 48 h is of no use.
    pub age_max: Duration,
    /// How often what was written is forced to the disk, 100 ms to 10 min; 5 s by default.
    pub sync_interval: Duration,
}

impl SpoolConfig {
    /// The defaults in a folder: 512 MiB, 24 h, 5 s.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            bytes_max: 512 << 20,
            age_max: Duration::from_secs(24 * 3_600),
            sync_interval: Duration::from_secs(5),
        }
    }

    fn check(&self, errors: &mut Vec<ConfigError>) {
        if self.directory.as_os_str().is_empty() {
            errors.push(ConfigError::SpoolDirectory);
        }
        if self.bytes_max < SPOOL_BYTES_MIN {
            errors.push(ConfigError::SpoolBytes(self.bytes_max));
        }
        if self.age_max < SPOOL_AGE_MIN {
            errors.push(ConfigError::SpoolAge(self.age_max));
        }
        if !(SPOOL_SYNC_INTERVAL_MIN..=SPOOL_SYNC_INTERVAL_MAX).contains(&self.sync_interval) {
            errors.push(ConfigError::SpoolSyncInterval(self.sync_interval));
        }
    }
}

/// Settings of one collector.
#[derive(Clone, Debug)]
pub struct Config {
    /// Under which name the machine reports.
    pub machine_id: MachineId,
    /// Time between base ticks, [`INTERVAL_MS_MIN`] to [`INTERVAL_MS_MAX`]; an aggregator may ask for another one.
    pub interval_ms: u32,
    /// Labels for the machine, such as `role=web`.
    pub labels: Vec<(String, String)>,
    /// What leaves the machine of process arguments.
    pub process_arguments: ProcessArguments,
    /// Which processes are reported as long as the aggregator does not ask for another detail.
    pub process_detail: ProcessDetail,
    /// Time between process scans under [`ProcessDetail::Top`]; never shorter than the base interval.
    pub process_interval_ms: u32,
    /// The shortest time between ticks that somebody who looks at this machine may ask for, [`INTERVAL_MS_MIN`] or
    /// more; 0 for no more than the base ticks.
    pub burst_interval_ms_min: u32,
    /// Whether operators may signal the processes of this machine; off by default.
    pub allow_signals: bool,
    /// How many of the busiest and how many of the largest processes are reported under [`ProcessDetail::Top`].
    pub top_processes: usize,
    /// Where the machine's files are.
    pub roots: Roots,
    /// Sockets of container engines, the first that exists is asked. Empty: none is.
    pub container_sockets: Vec<PathBuf>,
    /// Where samples are kept until they are in history. `None` keeps them in memory, at most 8 MiB and only as long
    /// as the process lives: right where the aggregator is in the same process.
    pub spool: Option<SpoolConfig>,
}

impl Config {
    /// The default settings for a machine: 5 s, redacted arguments, the twenty top processes every 10 s, no signals,
    /// no spool on disk.
    #[must_use]
    pub fn new(machine_id: MachineId) -> Self {
        Self {
            machine_id,
            interval_ms: 5_000,
            labels: Vec::new(),
            process_arguments: ProcessArguments::default(),
            process_detail: ProcessDetail::default(),
            process_interval_ms: 10_000,
            burst_interval_ms_min: 250,
            allow_signals: false,
            top_processes: 20,
            roots: Roots::default(),
            container_sockets: default_container_sockets(),
            spool: None,
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`InvalidConfig`] with everything that is wrong, not only the first.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        let mut errors = Vec::new();
        for (name, value) in [
            ("interval", self.interval_ms),
            ("process interval", self.process_interval_ms),
        ] {
            if !(INTERVAL_MS_MIN..=INTERVAL_MS_MAX).contains(&value) {
                errors.push(ConfigError::Interval { name, value });
            }
        }
        let burst = self.burst_interval_ms_min;
        if burst != 0 && !(INTERVAL_MS_MIN..=INTERVAL_MS_MAX).contains(&burst) {
            let name = "burst interval";
            errors.push(ConfigError::Interval { name, value: burst });
        }
        if self.top_processes > TOP_PROCESSES_MAX {
            errors.push(ConfigError::TopProcesses(self.top_processes));
        }
        if self.labels.len() > LABELS_MAX {
            errors.push(ConfigError::LabelCount(self.labels.len()));
        }
        for (index, (name, value)) in self.labels.iter().enumerate() {
            let allowed = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
            if name.is_empty() || name.len() > LABEL_NAME_LENGTH_MAX || !name.chars().all(allowed) {
                errors.push(ConfigError::LabelName(name.clone()));
            }
            if value.len() > LABEL_VALUE_LENGTH_MAX || !is_clean(value) {
                errors.push(ConfigError::LabelValue(name.clone()));
            }
            if self.labels[..index].iter().any(|(before, _)| before == name) {
                errors.push(ConfigError::LabelTwice(name.clone()));
            }
        }
        if let Some(spool) = &self.spool {
            spool.check(&mut errors);
        }
        if cfg!(target_os = "linux") && !self.roots.proc.join("stat").exists() {
            errors.push(ConfigError::NoProc(self.roots.proc.clone()));
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(InvalidConfig(errors))
        }
    }
}

/// The sockets at which Docker and Podman listen: `DOCKER_HOST` when it names a socket, the system's, the user's.
#[must_use]
pub fn default_container_sockets() -> Vec<PathBuf> {
    let mut sockets = Vec::new();
    if let Some(path) = std::env::var("DOCKER_HOST")
        .ok()
        .as_deref()
        .and_then(|host| host.strip_prefix("unix://"))
    {
        sockets.push(path.into());
    }
    sockets.extend(["/var/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from));
    if let Some(directory) = std::env::var_os("XDG_RUNTIME_DIR") {
        sockets.extend(["docker.sock", "podman/podman.sock"].map(|name| Path::new(&directory).join(name)));
    }
    sockets
}

/// One setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// An interval outside its bounds.
    #[error("{name} is {value} ms; give {INTERVAL_MS_MIN} ms to {INTERVAL_MS_MAX} ms")]
    Interval {
        /// Which one.
        name: &'static str,
        /// What was given, in milliseconds.
        value: u32,
    },
    /// More top processes than sensible.
    #[error("{0} top processes; give at most {TOP_PROCESSES_MAX}, or ask for all of them")]
    TopProcesses(usize),
    /// Too many labels.
    #[error("{0} labels; give at most {LABELS_MAX}")]
    LabelCount(usize),
    /// A label name outside the set.
    #[error("label name {0:?}; use 1 to {LABEL_NAME_LENGTH_MAX} letters, digits, '-', '_' or '.'")]
    LabelName(String),
    /// A label value that is too long or hostile.
    #[error("value of label {0:?}; use at most {LABEL_VALUE_LENGTH_MAX} bytes without control characters")]
    LabelValue(String),
    /// The same label twice.
    #[error("label {0:?} is given twice; give it once")]
    LabelTwice(String),
    /// No proc file system where it should be.
    #[error("there is no stat in {0:?}; mount the proc file system there or name its place")]
    NoProc(PathBuf),
    /// No name of a folder.
    #[error("the spool has no folder; name one")]
    SpoolDirectory,
    /// A spool that holds next to nothing.
    #[error("a spool of {0} bytes; give at least {SPOOL_BYTES_MIN}")]
    SpoolBytes(u64),
    /// A spool that forgets at once.
    #[error("a spool that keeps {0:?}; give at least {SPOOL_AGE_MIN:?}")]
    SpoolAge(Duration),
    /// A sync interval outside its bounds.
    #[error(
        "the spool is forced to disk every {0:?}; give {SPOOL_SYNC_INTERVAL_MIN:?} to {SPOOL_SYNC_INTERVAL_MAX:?}"
    )]
    SpoolSyncInterval(Duration),
    /// A word that stands for no choice.
    #[error("process arguments {0:?}; use none, redacted or full")]
    ProcessArguments(String),
}

/// Everything that is wrong with a [`Config`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConfig(pub Vec<ConfigError>);

impl fmt::Display for InvalidConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(formatter, "{}{error}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidConfig {}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(MachineId::parse("web-01").unwrap())
    }

    #[test]
    fn the_defaults_are_valid() {
        let spool = Some(SpoolConfig::new("/var/lib/sysmon/spool"));
        assert_eq!(config().validate(), Ok(()));
        assert_eq!(Config { spool, ..config() }.validate(), Ok(()));
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let mut config = config();
        config.interval_ms = 99;
        config.process_interval_ms = 3_600_001;
        config.labels = vec![
            ("a b".into(), "x\u{1b}".into()),
            ("role".into(), "1".into()),
            ("role".into(), "2".into()),
        ];
        config.roots.proc = "/nonexistent".into();
        config.spool = Some(SpoolConfig {
            bytes_max: 5,
            age_max: Duration::ZERO,
            sync_interval: Duration::ZERO,
            ..SpoolConfig::new("")
        });
        let errors = config.validate().unwrap_err().0;
        if cfg!(target_os = "linux") {
            assert_eq!(errors.len(), 10, "{errors:?}");
        }
        assert!(errors.contains(&ConfigError::LabelTwice("role".into())));
        assert!(errors.contains(&ConfigError::Interval {
            name: "interval",
            value: 99
        }));
    }

    #[test]
    fn the_bounds_of_the_interval_are_inside() {
        for interval_ms in [100, 3_600_000] {
            assert!(
                Config {
                    interval_ms,
                    ..config()
                }
                .validate()
                .is_ok()
            );
        }
    }

    #[test]
    fn argument_words_are_read_back() {
        for value in [
            ProcessArguments::None,
            ProcessArguments::Redacted,
            ProcessArguments::Full,
        ] {
            assert_eq!(value.to_string().parse(), Ok(value));
        }
        assert!("some".parse::<ProcessArguments>().is_err());
    }

    #[test]
    fn a_path_of_the_machine_stays_below_its_root() {
        let roots = Roots {
            rootfs: "/host".into(),
            ..Roots::default()
        };
        assert_eq!(roots.path("/etc/passwd"), Path::new("/host/etc/passwd"));
        assert_eq!(Roots::default().path("/"), Path::new("/"));
    }
}
