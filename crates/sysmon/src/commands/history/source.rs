//! Where the past is asked for.

use std::sync::Arc;

use sysmon_api::{Client, Endpoint};
use sysmon_store::{History, HistoryOptions, open_history};

use super::failure;
use crate::exit::Failure;
use crate::paths::Paths;
use crate::roles;
use crate::settings::{Loaded, without_password};
use crate::storage::Storage;

/// An aggregator, or the store itself.
pub(in crate::commands) enum Source {
    Aggregator(Client),
    Database { url: String, options: HistoryOptions },
}

impl Source {
    /// The aggregator when one is given, else the database of the settings.
    pub(in crate::commands) fn choose(
        aggregator: Option<&Endpoint>,
        loaded: Loaded,
        paths: &Paths,
    ) -> Result<Self, Failure> {
        let (_, source) = loaded.with(|settings| match aggregator {
            Some(endpoint) => roles::asking(settings, endpoint).map(Self::Aggregator),
            None => {
                let storage = Storage::from_settings(settings, paths)?;
                Ok(Self::Database {
                    url: storage.database.reveal().to_owned(),
                    options: HistoryOptions {
                        connections: 2,
                        ..storage.options
                    },
                })
            }
        })?;
        Ok(source)
    }

    /// What it is called in messages.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Aggregator(_) => "the aggregator".into(),
            Self::Database { url, .. } => without_password(url),
        }
    }

    /// The URL of a store. A file that is not there is not made: nobody who asks wants that.
    pub(in crate::commands) fn url(&self) -> Result<&str, Failure> {
        let Self::Database { url, .. } = self else {
            return Err(Failure::usage(eyre::eyre!("give --database")));
        };
        if url == "memory:" {
            return Err(Failure::usage(eyre::eyre!(
                "memory: is the memory of the process that holds it; ask that one with --aggregator"
            )));
        }
        if let Some(path) = crate::storage::sqlite_path(url)
            && !path.exists()
        {
            return Err(Failure::runtime(eyre::eyre!(
                "there is no {} yet; `sysmon up` or `sysmon-tui` makes it, or name another one with --database, or an \
                 aggregator with --aggregator",
                path.display()
            )));
        }
        Ok(url)
    }

    /// The history itself.
    pub(super) async fn open(&self) -> Result<Arc<dyn History>, Failure> {
        let Self::Database { options, .. } = self else {
            return Err(Failure::usage(eyre::eyre!("give --database")));
        };
        open_history(self.url()?, *options).await.map_err(failure)
    }
}
