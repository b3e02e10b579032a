//! Where an aggregator keeps things: from settings to open stores.

mod late;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sysmon_aggregator::Stores;
use sysmon_api::Secret;
use sysmon_store::{ErrorKind, History, HistoryOptions, Retention, StoreError, open_bus, open_hot_state};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::paths::Paths;
use crate::settings::{DatabaseUrl, Origin, Period, Problem, RedisUrl, Setting, Settings, table};
pub use late::Late;

/// How long a server waits for its database before it serves without it.
const OPEN_PATIENCE: Duration = Duration::from_secs(3);
const MEMORY: &str = "memory:";

/// Stores whose settings are valid; nothing is opened yet.
#[derive(Clone, Debug)]
pub struct Storage {
    /// URL of the history.
    pub database: Secret,
    /// URL of hot state and event bus.
    pub redis: Secret,
    /// How history is kept.
    pub options: HistoryOptions,
}

impl Storage {
    /// Takes the settings over, and reads the files that they name.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn from_settings(settings: &Settings, paths: &Paths) -> Result<Self, Vec<Problem>> {
        let (database, (redis, options)) = crate::roles::both(
            database(settings, paths).map_err(|problem| vec![problem]),
            crate::roles::both(
                settings
                    .secret(&table::STORAGE_REDIS)
                    .map_err(|problem| vec![problem]),
                options(settings).map_err(|problem| vec![problem]),
            ),
        )?;
        Ok(Self {
            database,
            redis: redis.map_or_else(|| Secret::new(MEMORY), |RedisUrl(url)| url),
            options,
        })
    }

    /// Those of an embedded console: what it keeps is its user's own, so the database of a fleet that the settings may
    /// name for a server is not for it; a file, or memory, is.
    ///
    /// # Errors
    /// Everything that is wrong with the settings.
    pub fn embedded(settings: &Settings, paths: &Paths) -> Result<Self, Vec<Problem>> {
        let own = |url: &Secret| url.reveal() == MEMORY || sqlite_path(url.reveal()).is_some();
        let database = database(settings, paths).ok().filter(own);
        let in_data_folder = || default_url(paths).unwrap_or_else(|| Secret::new(MEMORY));
        Ok(Self {
            database: database.unwrap_or_else(in_data_folder),
            redis: Secret::new(MEMORY),
            options: options(settings).map_err(|problem| vec![problem])?,
        })
    }

    /// The same in memory, for a process that must not touch the file of another one.
    #[must_use]
    pub fn in_memory(self) -> Self {
        Self {
            database: Secret::new(MEMORY),
            ..self
        }
    }

    /// Whether several processes can use the hot state and the bus.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.redis.reveal() != MEMORY
    }

    /// Opens everything, waiting a few seconds for the database. One that is down is tried again behind the scenes until
    /// `shutdown` is cancelled.
    ///
    /// # Errors
    /// `Misconfigured`: somebody has to change something.
    pub async fn open(&self, shutdown: &CancellationToken) -> Result<Stores, StoreError> {
        let late = Late::history(self.database.reveal(), self.options, shutdown.clone());
        let tried = timeout(OPEN_PATIENCE, async {
            let history = late.ready(OPEN_PATIENCE).await?;
            history.probe().await?;
            Ok(history.info())
        });
        let tried = tried
            .await
            .unwrap_or_else(|_| Err(StoreError::unavailable("it does not answer")));
        match tried {
            Ok(info) => {
                tracing::info!(engine = info.engine, "history is open");
                for notice in info.notices {
                    tracing::warn!("{notice}");
                }
            }
            Err(error) if error.kind == ErrorKind::Misconfigured => return Err(error),
            Err(error) => tracing::warn!("history cannot be kept yet, it is tried again by itself: {error}"),
        }
        self.with_history(late, shutdown)
    }

    /// Opens everything behind the scenes.
    ///
    /// # Errors
    /// `Misconfigured`: an address that is none.
    pub fn open_in_background(&self, shutdown: &CancellationToken) -> Result<Stores, StoreError> {
        let late = Late::history(self.database.reveal(), self.options, shutdown.clone());
        self.with_history(late, shutdown)
    }

    fn with_history(
        &self,
        history: Arc<Late<dyn History>>,
        shutdown: &CancellationToken,
    ) -> Result<Stores, StoreError> {
        let url = self.redis.reveal();
        // In memory nobody else could see them, and this process has it all anyway.
        let is_shared = self.is_shared();
        let bus = open_bus(url)?;
        let rules = Late::rules(self.database.reveal(), &history, shutdown.clone());
        Ok(Stores {
            history: Some(history),
            hot: is_shared.then(|| open_hot_state(url)).transpose()?,
            bus: is_shared.then(|| Arc::clone(&bus)),
            rules: Some(rules),
            alert_bus: Some(bus),
        })
    }
}

/// The file of a `sqlite:` URL.
#[must_use]
pub fn sqlite_path(url: &str) -> Option<&Path> {
    let rest = url.strip_prefix("sqlite:")?;
    Some(Path::new(rest.strip_prefix("//").unwrap_or(rest)))
}

fn database(settings: &Settings, paths: &Paths) -> Result<Secret, Problem> {
    if let Some(DatabaseUrl(url)) = settings.secret(&table::STORAGE_DATABASE)? {
        return Ok(url);
    }
    default_url(paths).ok_or_else(|| {
        settings.problem(
            &table::STORAGE_DATABASE,
            "there is no data folder, for this user has no home; give --database",
        )
    })
}

fn default_url(paths: &Paths) -> Option<Secret> {
    let file: PathBuf = paths.data_folder()?.join("history.db");
    Some(Secret::new(&format!("sqlite:{}", file.display())))
}

fn options(settings: &Settings) -> Result<HistoryOptions, Problem> {
    let default = Retention::default();
    let period = |setting: &Setting<Period>, default| settings.get(setting).map_or(default, Period::ms);
    let spool_ms = period(&table::COLLECTOR_SPOOL_MAX_AGE, 0);
    let retention = Retention {
        raw_ms: period(&table::STORAGE_RETAIN_SAMPLES, default.raw_ms),
        minute_ms: period(&table::STORAGE_RETAIN_MINUTES, default.minute_ms),
        hour_ms: period(&table::STORAGE_RETAIN_HOURS, default.hour_ms),
        // What a collector still keeps must be recognised when it comes again.
        cursor_ms: default.cursor_ms.max(spool_ms.saturating_mul(2)),
        ..default
    };
    if retention.raw_ms > retention.minute_ms || retention.minute_ms > retention.hour_ms {
        return Err(Problem::new(
            Origin::Section("storage"),
            "samples are to be kept no longer than minutes, and minutes no longer than hours; look at \
             storage.retain_samples, storage.retain_minutes and storage.retain_hours",
        ));
    }
    Ok(HistoryOptions {
        retention,
        ..HistoryOptions::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Sources;

    fn storage(variables: &[(&str, &str)]) -> Result<Storage, String> {
        let sources = Sources {
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Sources::default()
        };
        let loaded = Settings::load(&sources);
        let made = loaded.with(|settings| Storage::from_settings(settings, &Paths::default()));
        made.map(|(_, storage)| storage)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn tiers_that_are_kept_in_the_wrong_order_are_refused() {
        let memory = ("SYSMON_STORAGE_DATABASE", "memory:");
        let text = storage(&[memory, ("SYSMON_STORAGE_RETAIN_MINUTES", "2d")]).unwrap_err();
        assert!(text.contains("retain_minutes"), "{text}");
        let kept = storage(&[
            memory,
            ("SYSMON_STORAGE_RETAIN_SAMPLES", "2d"),
            ("SYSMON_STORAGE_RETAIN_MINUTES", "2d"),
        ]);
        assert_eq!(kept.unwrap().options.retention.raw_ms, 2 * 86_400_000);
    }

    #[test]
    fn cursors_outlive_twice_what_a_collector_keeps() {
        let memory = ("SYSMON_STORAGE_DATABASE", "memory:");
        let longer = storage(&[memory, ("SYSMON_COLLECTOR_SPOOL_MAX_AGE", "3d")]).unwrap();
        assert_eq!(longer.options.retention.cursor_ms, 6 * 86_400_000);
        let shorter = storage(&[memory, ("SYSMON_COLLECTOR_SPOOL_MAX_AGE", "1h")]).unwrap();
        assert_eq!(shorter.options.retention.cursor_ms, 2 * 86_400_000);
    }

    #[test]
    fn without_a_folder_a_server_wants_to_be_told_and_a_console_uses_memory() {
        assert!(storage(&[]).unwrap_err().contains("--database"));
        let embedded = Storage::embedded(&Settings::default(), &Paths::default()).unwrap();
        assert_eq!(embedded.database.reveal(), "memory:");
    }

    #[test]
    fn the_file_of_a_url_is_found_in_each_of_its_forms() {
        for (url, path) in [
            ("sqlite:/a/b.db", "/a/b.db"),
            ("sqlite:///a/b.db", "/a/b.db"),
            ("sqlite://b.db", "b.db"),
        ] {
            assert_eq!(sqlite_path(url), Some(Path::new(path)));
        }
        assert_eq!(sqlite_path("memory:"), None);
    }
}
