//! The agent.

use std::path::Path;

use eyre::Report;
use sysmon_api::Client;
use sysmon_collector::{Config, ConfigError, Roots, SpoolConfig};
use tokio_util::sync::CancellationToken;

use super::connection::{COLLECTOR, connection};
use super::pulse::Pulse;
use crate::paths::Paths;
use crate::settings::{Folder, Interval, Labels, Origin, Period, Problem, Setting, Settings, Space, table};

/// A collector whose settings are valid; nothing is measured yet.
#[derive(Clone, Debug)]
pub struct CollectorRole {
    config: Config,
}

impl CollectorRole {
    /// A collector that reports over the network, with its connection. What is not in history yet it keeps on disk.
    ///
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn remote(settings: &Settings, paths: &Paths) -> Result<(Self, Client), Vec<Problem>> {
        let role = Self::local(settings, &table::COLLECTOR_INTERVAL).and_then(|mut role| {
            role.config.spool = spool(settings, paths);
            role.check()
        });
        let client = connection(settings, COLLECTOR).and_then(|connection| match connection {
            Some((_, client)) => Ok(client),
            None => Err(vec![
                settings.problem(&table::COLLECTOR_AGGREGATOR, "give an address"),
            ]),
        });
        super::both(role, client)
    }

    /// A collector that reports to a server in its own process, at the interval of a setting; it keeps in memory what is
    /// not in history yet.
    ///
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn local(settings: &Settings, interval: &Setting<Interval>) -> Result<Self, Vec<Problem>> {
        let roots = roots(settings);
        let machine_id = settings
            .get(&table::COLLECTOR_MACHINE_ID)
            .unwrap_or_else(|| sysmon_collector::default_machine_id(&roots));
        let mut config = Config::new(machine_id);
        if let Some(Interval(interval)) = settings.get(interval) {
            config.interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        }
        if let Some(Interval(burst)) = settings.get(&table::COLLECTOR_BURST_INTERVAL) {
            config.burst_interval_ms_min = u32::try_from(burst.as_millis()).unwrap_or(u32::MAX);
        }
        if let Some(Interval(between)) = settings.get(&table::COLLECTOR_PROCESS_INTERVAL) {
            config.process_interval_ms = u32::try_from(between.as_millis()).unwrap_or(u32::MAX);
        }
        if let Some(Labels(labels)) = settings.get(&table::COLLECTOR_LABELS) {
            config.labels = labels;
        }
        if let Some(arguments) = settings.get(&table::COLLECTOR_PROCESS_ARGS) {
            config.process_arguments = arguments;
        }
        config.allow_signals = settings.get(&table::COLLECTOR_ALLOW_SIGNALS).unwrap_or(false);
        config.roots = roots;
        Self { config }.check()
    }

    fn check(self) -> Result<Self, Vec<Problem>> {
        self.config.validate().map_err(|invalid| {
            let problem = |error: &ConfigError| Problem::new(Origin::Section("collector"), error.to_string());
            invalid.0.iter().map(problem).collect::<Vec<_>>()
        })?;
        Ok(self)
    }

    /// The same as [`CollectorRole::run`], for a process that does nothing else: it also says that it is well, for
    /// `sysmon health collector`.
    ///
    /// # Errors
    /// The same.
    pub async fn run_alone(self, client: Client, shutdown: CancellationToken) -> Result<(), Report> {
        let pulse = Pulse::new(&self.config.machine_id).beat(client.clone());
        tokio::select! {
            ended = self.run(client, shutdown) => ended,
            () = pulse => Ok(()),
        }
    }

    /// Measures and reports until told to stop.
    ///
    /// # Errors
    /// When it cannot go on, which no loss of the connection is.
    pub async fn run(self, client: Client, shutdown: CancellationToken) -> Result<(), Report> {
        Ok(sysmon_collector::run(self.config, client, shutdown).await?)
    }
}

/// The watched machine's files: those of this one, or those that are mounted below the root of a host.
fn roots(settings: &Settings) -> Roots {
    match settings.get(&table::COLLECTOR_HOST_ROOT) {
        Some(Folder(root)) if root != Path::new("/") => Roots {
            proc: root.join("proc"),
            sys: root.join("sys"),
            rootfs: root,
        },
        _ => Roots::default(),
    }
}

/// `None` for a user without folders: then memory has to do.
fn spool(settings: &Settings, paths: &Paths) -> Option<SpoolConfig> {
    let mut spool = SpoolConfig::new(paths.spool_folder(settings)?);
    if let Some(Space { bytes }) = settings.get(&table::COLLECTOR_SPOOL_MAX_BYTES) {
        spool.bytes_max = bytes;
    }
    if let Some(Period(age)) = settings.get(&table::COLLECTOR_SPOOL_MAX_AGE) {
        spool.age_max = age;
    }
    Some(spool)
}
