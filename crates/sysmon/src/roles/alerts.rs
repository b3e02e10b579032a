//! The alert service.

use std::path::PathBuf;
use std::time::Duration;

use eyre::Report;
use sysmon_aggregator::Stores;
use sysmon_alerts::{AlertService, Receivers, install_starter};
use sysmon_api::{Backoff, Client, local_socket_path};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::settings::{Origin, Problem, Settings, WebhookUrl, table};

/// An alert service whose settings are valid and whose files could be read; nothing is started yet.
#[derive(Clone, Debug, Default)]
pub struct AlertsRole {
    receivers: Receivers,
}

impl AlertsRole {
    /// Takes the settings over and reads the file that they name.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_settings(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let mut receivers = Receivers::default();
        if let Some(path) = settings.get(&table::ALERTS_RECEIVERS) {
            let named = |reason: String| settings.problem(&table::ALERTS_RECEIVERS, reason);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| vec![named(format!("{}: {error}", path.display()))])?;
            receivers = Receivers::parse(&text).map_err(|problems| {
                let all = problems.into_iter();
                all.map(|problem| named(format!("{}: {problem}", path.display())))
                    .collect::<Vec<_>>()
            })?;
        }
        let webhook = settings
            .secret(&table::ALERTS_WEBHOOK)
            .map_err(|problem| vec![problem])?;
        if let Some(WebhookUrl(url)) = webhook {
            receivers = receivers.with_webhook(url.reveal()).map_err(|problems| {
                let all = problems.into_iter();
                all.map(|problem| Problem::new(Origin::Section("alerts"), problem))
                    .collect::<Vec<_>>()
            })?;
        }
        Ok(Self { receivers })
    }

    /// Evaluates and notifies until `shutdown` is cancelled. The fleet is followed through `client`.
    ///
    /// # Errors
    /// That it has broken; what merely fails is tried again.
    pub async fn run(
        self,
        stores: Stores,
        client: Client,
        shutdown: CancellationToken,
    ) -> Result<(), Report> {
        let Some(rules) = stores.rules else {
            // Where nothing is kept there are no rules.
            shutdown.cancelled().await;
            return Ok(());
        };
        let stores = sysmon_alerts::Stores {
            rules,
            bus: stores.alert_bus,
        };
        if shutdown.run_until_cancelled(install(&stores)).await.is_none() {
            return Ok(());
        }
        let config = sysmon_alerts::Config {
            receivers: self.receivers,
            ..sysmon_alerts::Config::default()
        };
        let (_service, work) = AlertService::new(config, stores, client, shutdown);
        Ok(work.await?)
    }
}

/// Stores the starter pack, in a store where that was never done.
async fn install(stores: &sysmon_alerts::Stores) {
    let mut backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(10));
    loop {
        match install_starter(stores, sysmon_alerts::Clock::system().now()).await {
            Ok(0) => return,
            Ok(count) => {
                tracing::info!(count, "the starter pack of alert rules is installed");
                return;
            }
            Err(error) => {
                tracing::debug!("the starter pack of alert rules is not installed yet: {error}");
                sleep(backoff.next()).await;
            }
        }
    }
}

/// Where `sysmon alerts` can be asked whether it runs.
pub(crate) fn alerts_socket() -> PathBuf {
    local_socket_path(0).with_file_name("alerts.sock")
}
