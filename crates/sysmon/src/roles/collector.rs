//! The agent.

use eyre::Report;
use sysmon_api::Client;
use sysmon_collector::{Config, ConfigError};
use tokio_util::sync::CancellationToken;

use super::connection::{COLLECTOR, connection};
use crate::settings::{Interval, Labels, Origin, Problem, Setting, Settings, table};

/// A collector whose settings are valid; nothing is measured yet.
#[derive(Clone, Debug)]
pub struct CollectorRole {
    config: Config,
}

impl CollectorRole {
    /// A collector that reports over the network, with its connection.
    ///
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn remote(settings: &Settings) -> Result<(Self, Client), Vec<Problem>> {
        let role = Self::local(settings, &table::COLLECTOR_INTERVAL);
        let client = connection(settings, COLLECTOR).and_then(|connection| match connection {
            Some((_, client)) => Ok(client),
            None => Err(vec![
                settings.problem(&table::COLLECTOR_AGGREGATOR, "give an address"),
            ]),
        });
        super::both(role, client)
    }

    /// A collector that reports to a server in its own process, at the interval of a setting.
    ///
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn local(settings: &Settings, interval: &Setting<Interval>) -> Result<Self, Vec<Problem>> {
        let roots = sysmon_collector::Roots::default();
        let machine_id = settings
            .get(&table::COLLECTOR_MACHINE_ID)
            .unwrap_or_else(|| sysmon_collector::default_machine_id(&roots));
        let mut config = Config::new(machine_id);
        if let Some(Interval(interval)) = settings.get(interval) {
            config.interval_ms = u32::try_from(interval.as_millis()).unwrap_or(u32::MAX);
        }
        if let Some(Labels(labels)) = settings.get(&table::COLLECTOR_LABELS) {
            config.labels = labels;
        }
        if let Some(arguments) = settings.get(&table::COLLECTOR_PROCESS_ARGS) {
            config.process_arguments = arguments;
        }
        config.validate().map_err(|invalid| {
            let problem = |error: &ConfigError| Problem::new(Origin::Section("collector"), error.to_string());
            invalid.0.iter().map(problem).collect::<Vec<_>>()
        })?;
        Ok(Self { config })
    }

    /// Measures and reports until told to stop.
    ///
    /// # Errors
    /// When it cannot go on, which no loss of the connection is.
    pub async fn run(self, client: Client, shutdown: CancellationToken) -> Result<(), Report> {
        Ok(sysmon_collector::run(self.config, client, shutdown).await?)
    }
}
