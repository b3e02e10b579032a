//! Opens the file and brings its schema to the newest version.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::error::store_error;
use crate::error::StoreError;

/// The schema, one step after the other. Steps are never changed once released, only added.
const MIGRATIONS: [&str; 4] = [
    include_str!("../../../../../migrations/sqlite/0001_history.sql"),
    include_str!("../../../../../migrations/sqlite/0002_views.sql"),
    include_str!("../../../../../migrations/sqlite/0003_alerts.sql"),
    include_str!("../../../../../migrations/sqlite/0004_processes.sql"),
];

/// How long another program that writes is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections to one file.
#[derive(Debug)]
pub(crate) struct Pools {
    /// One connection: SQLite has one writer at a time, and waiting in a queue is fairer than waiting for the lock.
    pub(crate) writer: SqlitePool,
    /// Connections that only read.
    pub(crate) readers: SqlitePool,
}

/// Opens a file, making it and its folder when they are missing, readable for this user only.
pub(crate) async fn open(path: &Path, connections: u32) -> Result<Pools, StoreError> {
    let failed = |error: &sqlx::Error| store_error(path, error);
    create(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-16384");
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(Duration::from_secs(30))
            .idle_timeout(None)
    };
    let writer = pool().max_connections(1).max_lifetime(None);
    let writer = writer
        .connect_with(options.clone())
        .await
        .map_err(|error| failed(&error))?;
    migrate(path, &writer, &MIGRATIONS).await?;
    // A file needs no asking whether it is still there, and an answer has more rows than are handed over one by one.
    let readers = pool()
        .test_before_acquire(false)
        .max_connections(connections.saturating_sub(1).clamp(1, 64));
    let readers = readers.connect_lazy_with(options.row_buffer_size(512).pragma("query_only", "ON"));
    Ok(Pools { writer, readers })
}

fn create(path: &Path) -> Result<(), StoreError> {
    let failed = |what: &Path, error: &std::io::Error| {
        StoreError::misconfigured(format!(
            "cannot make {}: {error}; choose a place that this user may write, with sqlite:PATH",
            what.display()
        ))
    };
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(|error| failed(folder, &error))?;
    }
    if !path.exists() {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(false);
        // SQLite gives its journal the same mode.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map_err(|error| failed(path, &error))?;
    }
    Ok(())
}

/// Applies the steps that are missing, all or none; several programs may start at once.
async fn migrate(path: &Path, writer: &SqlitePool, steps: &'static [&'static str]) -> Result<(), StoreError> {
    let failed = |error: sqlx::Error| store_error(path, &error);
    let newest = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
    if version > newest {
        return Err(StoreError::misconfigured(format!(
            "{} was written by a newer sysmon (schema {version}, this one knows {newest}); upgrade this one",
            path.display()
        )));
    }
    for (number, step) in (1..).zip(steps).filter(|(number, _)| *number > version) {
        tracing::info!(path = %path.display(), schema = number, "bringing the history's schema up to date");
        sqlx::raw_sql(*step)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    // A pragma takes no parameters; the number is ours.
    let done = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {newest}"));
    sqlx::raw_sql(done)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    async fn at_version(path: &Path, steps: &'static [&'static str]) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await
            .unwrap();
        migrate(path, &pool, steps).await.unwrap();
        pool
    }

    #[tokio::test]
    async fn every_older_schema_is_brought_up_with_its_data() {
        let folder = tempfile::tempdir().unwrap();
        for version in 0..MIGRATIONS.len() {
            let path = folder.path().join(format!("{version}.db"));
            let old = at_version(&path, &MIGRATIONS[..version]).await;
            if version > 0 {
                sqlx::query("INSERT INTO machine (name, hostname) VALUES ('web-1', 'web')")
                    .execute(&old)
                    .await
                    .unwrap();
            }
            old.close().await;
            let pools = open(&path, 2).await.unwrap();
            let machines: i64 = sqlx::query_scalar("SELECT count(*) FROM machines")
                .fetch_one(&pools.readers)
                .await
                .unwrap();
            assert_eq!(machines, i64::from(version > 0));
            let schema: i64 = sqlx::query_scalar("PRAGMA user_version")
                .fetch_one(&pools.writer)
                .await
                .unwrap();
            assert_eq!(schema, i64::try_from(MIGRATIONS.len()).unwrap());
        }
    }

    #[tokio::test]
    async fn every_documented_question_can_be_asked() {
        let folder = tempfile::tempdir().unwrap();
        let pools = open(&folder.path().join("history.db"), 2).await.unwrap();
        let document = include_str!("../../../../../docs/storage.md");
        let section = document.split_once("\n## SQLite\n").unwrap().1;
        let questions = section
            .split("```sql\n")
            .skip(1)
            .filter_map(|rest| rest.split_once("```"));
        let mut asked = 0;
        for statement in questions.flat_map(|(block, _)| block.split_inclusive(';')) {
            if statement.trim().is_empty() {
                continue;
            }
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
                .fetch_all(&pools.readers)
                .await
                .unwrap_or_else(|error| panic!("{statement}: {error}"));
            asked += 1;
        }
        assert!(asked >= 4, "{asked}");
    }

    #[tokio::test]
    async fn a_newer_schema_is_left_alone_with_a_hint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        let pool = at_version(&path, &MIGRATIONS).await;
        sqlx::raw_sql("PRAGMA user_version = 99")
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
        let error = open(&path, 2).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured);
        assert!(error.message.contains("upgrade"), "{error}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn nobody_else_can_read_what_is_made() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made/deeper/history.db");
        let pools = open(&path, 2).await.unwrap();
        sqlx::query("INSERT INTO machine (name) VALUES ('web-1')")
            .execute(&pools.writer)
            .await
            .unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&path.with_extension("db-wal")), 0o600);
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_named_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.db");
        fs::write(&path, "dear diary, ".repeat(1_000)).unwrap();
        let error = open(&path, 2).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Misconfigured, "{error}");
        assert!(error.message.contains("history.db"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "dear diary, ".repeat(1_000));
    }
}
