//! Brings a database to the newest schema: forward only, under an advisory lock, all or nothing.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::failure::Failure;
use super::sessions::Sessions;
use crate::error::StoreError;

/// Serialises starters; `sysmon` in ASCII.
const LOCK: i64 = 0x7379_736d_6f6e;

/// What a database was set up with; it stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// PostgreSQL by itself.
    Plain,
    /// With the extension TimescaleDB.
    Timescale,
}

/// One step of the schema.
#[derive(Debug)]
pub(crate) struct Migration {
    pub(crate) version: i32,
    pub(crate) name: &'static str,
    plain: &'static str,
    timescale: &'static str,
}

macro_rules! migration {
    ($version:literal $name:literal) => {
        migration!($version $name, concat!($name, ".sql"), concat!($name, ".sql"))
    };
    ($version:literal $name:literal by flavour) => {
        migration!($version $name, concat!($name, ".plain.sql"), concat!($name, ".timescaledb.sql"))
    };
    ($version:literal $name:literal, $plain:expr, $timescale:expr) => {
        Migration {
            version: $version,
            name: $name,
            plain: include_str!(concat!("../../../../../migrations/postgres/", $plain)),
            timescale: include_str!(concat!("../../../../../migrations/postgres/", $timescale)),
        }
    };
}

/// Every step, in order. A released one is never changed.
pub(crate) const MIGRATIONS: &[Migration] = &[
    migration!(1 "0001_tables"),
    migration!(2 "0002_rollups" by flavour),
    migration!(3 "0003_views"),
    migration!(4 "0004_alerts"),
    migration!(5 "0005_processes"),
    migration!(6 "0006_five_minutes" by flavour),
];

impl Migration {
    pub(crate) fn sql(&self, flavour: Flavour) -> &'static str {
        match flavour {
            Flavour::Plain => self.plain,
            Flavour::Timescale => self.timescale,
        }
    }
}

/// What a database turned out to be.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) flavour: Flavour,
    /// Name and version.
    pub(crate) name: String,
    pub(crate) notices: Vec<String>,
}

/// Makes the tables or brings them up to date, and says what the database is.
///
/// # Errors
/// `Misconfigured` when the schema is newer than this program or may not be changed; `Unavailable` when the server cannot
/// be reached.
pub(crate) async fn migrate(sessions: &Sessions) -> Result<Engine, Failure> {
    let mut connection = sessions.connect().await?;
    let mut notices = Vec::new();
    if available(&mut connection).await?.is_some() && installed(&mut connection).await?.is_none() {
        // A server that is not set up for it ends the connection over this, so it is not the one to go on with.
        let mut other = sessions.connect().await?;
        let created = sqlx::raw_sql("CREATE EXTENSION IF NOT EXISTS timescaledb")
            .execute(&mut other)
            .await;
        // Somebody else may have been faster: what counts is whether it is there.
        if let Err(error) = created
            && installed(&mut connection).await?.is_none()
        {
            notices.push(format!(
                "TimescaleDB is on the server but could not be turned on ({}); have a superuser run CREATE EXTENSION \
                 timescaledb before the first start",
                Failure::from(error).error
            ));
        }
        // A connection from before the extension does not know it.
        connection = sessions.connect().await?;
    }
    let extension = installed(&mut connection).await?;
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0; SET client_min_messages = error")
        .execute(&mut connection)
        .await?;
    let flavour = upgrade(&mut connection, extension.is_some()).await?;
    let server: String = sqlx::query_scalar("SELECT current_setting('server_version')")
        .fetch_one(&mut connection)
        .await?;
    let server = server.split(' ').next().unwrap_or_default();
    let name = match (&extension, flavour) {
        (Some(version), Flavour::Timescale) => format!("TimescaleDB {version} on PostgreSQL {server}"),
        _ => format!("PostgreSQL {server}"),
    };
    if flavour == Flavour::Plain {
        notices.push(
            "without TimescaleDB nothing is compressed (about ten times the disk), old rows are deleted one by one, and the \
             aggregator makes the roll-ups"
                .to_owned(),
        );
        if extension.is_some() {
            notices.push(
                "TimescaleDB is there now, but this database was set up without it; docs/storage.md says how to move"
                    .to_owned(),
            );
        }
    }
    let _ = connection.close().await;
    Ok(Engine {
        flavour,
        name,
        notices,
    })
}

async fn available(connection: &mut PgConnection) -> Result<Option<String>, Failure> {
    let query = "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'";
    Ok(sqlx::query_scalar(query).fetch_optional(connection).await?)
}

async fn installed(connection: &mut PgConnection) -> Result<Option<String>, Failure> {
    let query = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'";
    Ok(sqlx::query_scalar(query).fetch_optional(connection).await?)
}

async fn upgrade(connection: &mut PgConnection, has_timescale: bool) -> Result<Flavour, Failure> {
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await?;
    let (version, flavour) = present(&mut transaction, has_timescale).await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > version) {
        apply(&mut transaction, migration, flavour).await?;
    }
    transaction.commit().await?;
    Ok(flavour)
}

/// Which schema there is, and of what kind; 0 and the kind that would be made when there is none.
async fn present(connection: &mut PgConnection, has_timescale: bool) -> Result<(i32, Flavour), Failure> {
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('schema_version') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        sqlx::raw_sql(
            "CREATE TABLE schema_version (
                version integer PRIMARY KEY,
                name text NOT NULL,
                flavour text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            );
            COMMENT ON TABLE schema_version IS 'Which files of migrations/postgres/ were applied, and when.'",
        )
        .execute(&mut *connection)
        .await?;
    }
    let applied = sqlx::query("SELECT version, flavour FROM schema_version ORDER BY version")
        .fetch_all(&mut *connection)
        .await?;
    let mut version = 0;
    let mut flavour = if has_timescale {
        Flavour::Timescale
    } else {
        Flavour::Plain
    };
    for row in applied {
        version = row.try_get::<i32, _>(0)?;
        flavour = match row.try_get::<&str, _>(1)? {
            "timescaledb" => Flavour::Timescale,
            _ => Flavour::Plain,
        };
    }
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.version);
    if version > newest {
        return Err(StoreError::misconfigured(format!(
            "the database has schema {version}, and this program knows only {newest}; upgrade this program"
        ))
        .into());
    }
    if flavour == Flavour::Timescale && !has_timescale {
        return Err(StoreError::misconfigured(
            "the database was set up with TimescaleDB, which is gone; bring the extension back, or use another database",
        )
        .into());
    }
    Ok((version, flavour))
}

async fn apply(
    connection: &mut PgConnection,
    migration: &Migration,
    flavour: Flavour,
) -> Result<(), Failure> {
    sqlx::raw_sql(AssertSqlSafe(migration.sql(flavour)))
        .execute(&mut *connection)
        .await?;
    let word = match flavour {
        Flavour::Plain => "plain",
        Flavour::Timescale => "timescaledb",
    };
    sqlx::query("INSERT INTO schema_version (version, name, flavour) VALUES ($1, $2, $3)")
        .bind(migration.version)
        .bind(migration.name)
        .bind(word)
        .execute(&mut *connection)
        .await?;
    tracing::info!(
        version = migration.version,
        name = migration.name,
        "database schema brought up"
    );
    Ok(())
}
