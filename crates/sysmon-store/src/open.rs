//! Back ends by URL.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::StoreError;
use crate::history::memory::MemoryHistory;
use crate::history::postgres;
use crate::history::sqlite::SqliteHistory;
use crate::history::{History, Retention};
use crate::rules::memory::MemoryRules;
use crate::rules::sqlite::SqliteRules;
use crate::rules::{self, RuleStore};

/// What a history is opened with, beside its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryOptions {
    /// How long what is kept.
    pub retention: Retention,
    /// The most connections to the database, at least 2: one that writes and others that read.
    pub connections: u32,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            connections: 5,
        }
    }
}

/// Opens the history of a URL; a database is made or brought to the newest schema first. The folder of an SQLite file is
/// made when it is missing.
///
/// | URL | history |
/// |---|---|
/// | `memory:` | in this process, the last hour, gone with it |
/// | `sqlite:PATH` | a file; `sqlite:///absolute` and `sqlite://relative` as well |
/// | `postgres://USER:PASSWORD@HOST:PORT/DATABASE` | PostgreSQL, better with TimescaleDB |
///
/// # Errors
/// `Misconfigured` for a URL that names no history, a folder or file that may not be used, or a schema that is newer than
/// this program; `Unavailable` when the database cannot be reached. No text has a password.
pub async fn open_history(url: &str, options: HistoryOptions) -> Result<Arc<dyn History>, StoreError> {
    match Place::of(url)? {
        Place::Memory => Ok(Arc::new(MemoryHistory::default())),
        Place::Sqlite(path) => Ok(Arc::new(SqliteHistory::open(&path, options).await?)),
        Place::Postgres => postgres::open(url, options),
    }
}

/// Opens the rule store of a history's URL; see [`crate::open_rule_store`].
pub(crate) async fn rule_store(url: &str) -> Result<Arc<dyn RuleStore>, StoreError> {
    match Place::of(url)? {
        Place::Memory => Ok(Arc::new(MemoryRules::default())),
        Place::Sqlite(path) => Ok(Arc::new(SqliteRules::open(&path).await?)),
        Place::Postgres => rules::postgres::open(url),
    }
}

/// Checks that a URL names a history, without opening it.
///
/// # Errors
/// `Misconfigured`, with what is possible. The text never has the URL itself, which may have a password.
pub fn check_history_url(url: &str) -> Result<(), StoreError> {
    Place::of(url).map(drop)
}

/// Where a history is, as its URL says.
enum Place {
    Memory,
    Sqlite(PathBuf),
    Postgres,
}

impl Place {
    fn of(url: &str) -> Result<Self, StoreError> {
        const POSSIBLE: &str = "use memory:, sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE";
        let wrong = |what: &str| Err(StoreError::misconfigured(format!("{what}; {POSSIBLE}")));
        // Only the scheme is ever repeated: what follows may be a password.
        let Some((scheme, rest)) = url.split_once(':') else {
            return wrong("the database URL has no scheme");
        };
        match scheme.to_ascii_lowercase().as_str() {
            "memory" if rest.trim_matches('/').is_empty() => Ok(Self::Memory),
            "memory" => wrong("a memory: database takes no path"),
            "sqlite" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => wrong("the sqlite: database URL has no path"),
                path if path.contains('\0') => wrong("the sqlite: database URL has a NUL in its path"),
                path => Ok(Self::Sqlite(Path::new(path).to_path_buf())),
            },
            "postgres" | "postgresql" => match rest.strip_prefix("//") {
                Some(rest) if !rest.is_empty() => Ok(Self::Postgres),
                _ => wrong("the postgres: database URL has no //HOST"),
            },
            scheme if is_word(scheme) => wrong(&format!("no history is kept at {scheme}: URLs")),
            _ => wrong("the database URL has no scheme that is known"),
        }
    }
}

fn is_word(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.chars().all(|character| character.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_url_says_what_is_possible_and_never_a_password() {
        for url in [
            "",
            "history.db",
            "mysql://root:hunter2@db/sysmon",
            "sqlite:",
            "sqlite://",
            "memory:hunter2",
            "postgres:hunter2",
            "postgres://",
            "root hunter2@db:5432",
        ] {
            let error = check_history_url(url).unwrap_err();
            assert_eq!(error.kind, crate::ErrorKind::Misconfigured, "{url}");
            assert!(error.message.contains("sqlite:PATH"), "{url}: {error}");
            assert!(
                !format!("{error:?} {error}").contains("hunter2"),
                "{url}: {error}"
            );
        }
    }

    #[test]
    fn every_documented_url_is_known() {
        for url in [
            "memory:",
            "sqlite:/var/lib/sysmon/history.db",
            "sqlite:///var/lib/sysmon/history.db",
            "SQLite:history.db",
            "postgres://sysmon:secret@db:5432/sysmon",
            "postgresql:///sysmon?host=/run/postgresql",
        ] {
            assert!(check_history_url(url).is_ok(), "{url}");
        }
    }
}
