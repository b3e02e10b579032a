//! History in PostgreSQL, with or without TimescaleDB: wide rows per kind of thing, names one join away.
//!
//! `docs/storage.md` describes tables, views and tiers; `migrations/postgres/` has the schema.

mod commit;
mod edges;
pub(crate) mod failure;
mod late;
mod letters;
mod maintain;
pub(crate) mod migrate;
mod names;
mod policies;
mod processes;
mod query;
mod reading;
mod rollup;
mod rows;
mod schema;
pub(crate) mod sessions;
pub(crate) mod settings;
mod tiers;
pub(crate) mod timestamp;

use std::str::FromStr as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{PgConnection, Row as _};
use sysmon_core::{HistoryQuery, HostInfo, MachineHistory, MachineId, UnixMillis};
use tokio::time::timeout;

use self::failure::Failure;
use self::migrate::{Engine, Flavour};
use self::names::Names;
use self::sessions::{Purpose, Session, Sessions};
use self::timestamp::Timestamp;
use super::{
    DeadLetter, DeadLetterFilter, History, IngestBatch, MACHINES_PER_QUERY, MachineProcesses, MachineRecord,
    Maintenance, Outcome, StoreInfo,
};
use crate::error::StoreError;
use crate::open::HistoryOptions;

/// How long a commit or a question may take, in seconds; longer than the server gives one statement.
const CALL_SECONDS: u64 = 15;
/// How long a probe may take, in seconds.
const PROBE_SECONDS: u64 = 5;
/// How long upkeep may take, in seconds.
const UPKEEP_SECONDS: u64 = 120;
/// How often a transaction that was in another's way is tried in all.
const TRIES: u32 = 3;

/// Opens the history of a `postgres:` URL. Only looks at the URL: the first use connects and brings the schema up, and a
/// database that is down is `Unavailable` until it is there.
///
/// # Errors
/// `Misconfigured` for a URL that cannot be read; the text never has it.
pub(crate) fn open(url: &str, options: HistoryOptions) -> Result<Arc<dyn History>, StoreError> {
    // What sqlx says may have parts of the URL in it.
    let connect = PgConnectOptions::from_str(url).map_err(|_| {
        StoreError::misconfigured(
            "the postgres: database URL cannot be read; use postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special \
             characters of the password percent-encoded",
        )
    })?;
    Ok(Arc::new(PostgresHistory {
        sessions: Sessions::new(connect.application_name("sysmon"), options.connections),
        options,
        names: Names::default(),
        engine: RwLock::default(),
        preparing: tokio::sync::Mutex::default(),
    }))
}

/// A database.
#[derive(Debug)]
struct PostgresHistory {
    sessions: Sessions,
    options: HistoryOptions,
    names: Names,
    /// What it turned out to be at the first use.
    engine: RwLock<Option<Arc<Engine>>>,
    /// Held while it is found out.
    preparing: tokio::sync::Mutex<()>,
}

impl PostgresHistory {
    fn known_engine(&self) -> Option<Arc<Engine>> {
        // Only ever replaced as a whole.
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_engine(&self, engine: Option<Arc<Engine>>) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// The database with its schema brought up, at the first use and after its tables were gone.
    async fn engine(&self) -> Result<Arc<Engine>, Failure> {
        if let Some(engine) = self.known_engine() {
            return Ok(engine);
        }
        let _preparing = self.preparing.lock().await;
        if let Some(engine) = self.known_engine() {
            return Ok(engine);
        }
        let engine = migrate::migrate(&self.sessions).await?;
        if engine.flavour == Flavour::Timescale {
            let mut connection = self.sessions.connect().await?;
            sqlx::raw_sql("SET statement_timeout = 0; SET client_min_messages = error")
                .execute(&mut connection)
                .await?;
            policies::apply(&mut connection, &self.options.retention).await?;
        }
        let engine = Arc::new(engine);
        self.set_engine(Some(Arc::clone(&engine)));
        tracing::info!(engine = engine.name, "history is kept in the database");
        Ok(engine)
    }

    async fn begin(&self, purpose: Purpose) -> Result<(Arc<Engine>, Session<'_>), Failure> {
        let prepared = timeout(Duration::from_secs(UPKEEP_SECONDS), self.engine()).await;
        let engine =
            prepared.unwrap_or_else(|_| Err(Failure::slow("bring its schema up", UPKEEP_SECONDS)))?;
        Ok((engine, self.sessions.take(purpose).await?))
    }

    /// Notes what a failure says about connections and schema.
    fn failed(&self, failure: Failure) -> StoreError {
        if failure.lost || failure.schema {
            self.sessions.forget();
            // It may come back as another database.
            self.names.forget();
        }
        if failure.schema {
            self.set_engine(None);
        }
        failure.error
    }

    /// Does something on a connection, within a time. The connection is kept only when it went well.
    async fn run<T>(
        &self,
        purpose: Purpose,
        what: &str,
        seconds: u64,
        work: impl for<'a> FnOnce(&'a PostgresHistory, Flavour, &'a mut PgConnection) -> Work<'a, T>,
    ) -> Result<T, StoreError> {
        let attempt = async {
            let (engine, mut session) = self.begin(purpose).await?;
            let limit = Duration::from_secs(seconds);
            let done = timeout(limit, work(self, engine.flavour, &mut session)).await;
            let done = done.unwrap_or_else(|_| Err(Failure::slow(what, seconds)))?;
            session.finish();
            Ok(done)
        };
        attempt.await.map_err(|failure| self.failed(failure))
    }
}

/// What is done on a connection.
type Work<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

#[async_trait]
impl History for PostgresHistory {
    async fn commit(&self, batches: &[IngestBatch]) -> Result<Vec<Outcome>, StoreError> {
        super::check(batches)?;
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let attempt = async {
            let (engine, mut session) = self.begin(Purpose::Write).await?;
            let commit = async {
                let mut tries = 1;
                loop {
                    let done = commit::commit(&mut session, &self.names, engine.flavour, batches).await;
                    match done {
                        Err(failure) if failure.again && tries < TRIES => tries += 1,
                        done => return done,
                    }
                }
            };
            let done = timeout(Duration::from_secs(CALL_SECONDS), commit).await;
            let done = done.unwrap_or_else(|_| Err(Failure::slow("store a batch", CALL_SECONDS)))?;
            session.finish();
            Ok(done)
        };
        attempt.await.map_err(|failure: Failure| self.failed(failure))
    }

    async fn query(&self, query: &HistoryQuery) -> Result<Vec<MachineHistory>, StoreError> {
        if query.machines.len() > MACHINES_PER_QUERY {
            return Err(StoreError::rejected(format!(
                "{} machines are asked for at once; ask for at most {MACHINES_PER_QUERY}",
                query.machines.len()
            )));
        }
        let query = query.clone();
        self.run(
            Purpose::Read,
            "answer",
            CALL_SECONDS,
            move |_, flavour, connection| {
                Box::pin(async move { query::query(connection, flavour, &query).await })
            },
        )
        .await
    }

    async fn put_process_snapshots(&self, snapshots: &[MachineProcesses]) -> Result<u64, StoreError> {
        super::processes::check(snapshots)?;
        if snapshots.is_empty() {
            return Ok(0);
        }
        let snapshots = snapshots.to_vec();
        self.run(
            Purpose::Write,
            "store processes",
            CALL_SECONDS,
            move |_, _, connection| Box::pin(async move { processes::put(connection, &snapshots).await }),
        )
        .await
    }

    async fn process_snapshots_at(
        &self,
        machines: &[MachineId],
        at: UnixMillis,
    ) -> Result<Vec<MachineProcesses>, StoreError> {
        super::processes::check_machines(machines)?;
        let machines = machines.to_vec();
        self.run(Purpose::Read, "answer", CALL_SECONDS, move |_, _, connection| {
            Box::pin(async move { processes::at(connection, &machines, at).await })
        })
        .await
    }

    async fn machines(&self) -> Result<Vec<MachineRecord>, StoreError> {
        self.run(Purpose::Read, "answer", CALL_SECONDS, |_, _, connection| {
            Box::pin(machines(connection))
        })
        .await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let filter = filter.clone();
        self.run(Purpose::Read, "answer", CALL_SECONDS, move |_, _, connection| {
            Box::pin(async move { letters::list(connection, &filter, limit).await })
        })
        .await
    }

    async fn retry_dead_letters(&self, ids: &[i64], now: UnixMillis, force: bool) -> Result<u64, StoreError> {
        let mut stored = 0;
        for id in ids.iter().copied() {
            let was_stored = self
                .run(
                    Purpose::Write,
                    "store a dead letter",
                    CALL_SECONDS,
                    move |history, flavour, connection| {
                        Box::pin(letters::retry(
                            connection,
                            &history.names,
                            flavour,
                            id,
                            now,
                            force,
                        ))
                    },
                )
                .await?;
            stored += u64::from(was_stored);
        }
        Ok(stored)
    }

    async fn purge_dead_letters(&self, ids: &[i64]) -> Result<u64, StoreError> {
        let ids = ids.to_vec();
        self.run(
            Purpose::Write,
            "remove dead letters",
            CALL_SECONDS,
            move |_, _, connection| Box::pin(async move { letters::purge(connection, &ids).await }),
        )
        .await
    }

    async fn maintain(&self, now: UnixMillis) -> Result<Maintenance, StoreError> {
        self.run(
            Purpose::Write,
            "do its upkeep",
            UPKEEP_SECONDS,
            move |history, flavour, connection| {
                Box::pin(async move {
                    maintain::maintain(connection, flavour, &history.options.retention, now).await
                })
            },
        )
        .await
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.run(Purpose::Write, "answer", PROBE_SECONDS, |_, _, connection| {
            Box::pin(probe(connection))
        })
        .await
    }

    fn info(&self) -> StoreInfo {
        match self.known_engine() {
            Some(engine) => StoreInfo {
                engine: engine.name.clone(),
                notices: engine.notices.clone(),
            },
            None => StoreInfo {
                engine: "PostgreSQL".to_owned(),
                notices: vec!["not connected yet".to_owned()],
            },
        }
    }
}

/// Writes something without keeping it: a full disk or a read-only server shows only so.
async fn probe(connection: &mut PgConnection) -> Result<(), Failure> {
    use sqlx::Connection as _;
    let mut transaction = connection.begin().await?;
    settings::set_text(&mut transaction, "probe", "").await?;
    transaction.rollback().await?;
    Ok(())
}

async fn machines(connection: &mut PgConnection) -> Result<Vec<MachineRecord>, Failure> {
    let rows = sqlx::query(
        "SELECT machine_id, hostname, os, kernel, architecture, cpu_model, cpu_count, memory_bytes, boot_unix_ms,
             collector_version, labels::text, first_sample, last_sample
         FROM machine
         WHERE first_sample IS NOT NULL OR EXISTS (
             SELECT FROM ingest_cursor WHERE ingest_cursor.machine_key = machine.machine_key)
             OR EXISTS (SELECT FROM gap WHERE gap.machine_key = machine.machine_key)
         ORDER BY machine_id COLLATE \"C\"",
    )
    .fetch_all(connection)
    .await?;
    let mut machines = Vec::with_capacity(rows.len());
    for row in rows {
        let labels: std::collections::BTreeMap<String, String> =
            serde_json::from_str(row.try_get(10)?).unwrap_or_default();
        let machine = MachineId::parse(row.try_get(0)?).map_err(|_| {
            StoreError::misconfigured(
                "the table machine has an impossible machine_id; remove the row that somebody put there",
            )
        })?;
        let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
        machines.push(MachineRecord {
            machine,
            host: HostInfo {
                hostname: row.try_get(1)?,
                os: row.try_get(2)?,
                kernel: row.try_get(3)?,
                architecture: row.try_get(4)?,
                cpu_model: row.try_get(5)?,
                cpu_count: u32::try_from(row.try_get::<i64, _>(6)?).unwrap_or(0),
                memory_bytes: unsigned(row.try_get(7)?),
                boot_unix_ms: row.try_get(8)?,
                collector_version: row.try_get(9)?,
                labels: labels.into_iter().collect(),
            },
            first_sample: row.try_get::<Option<Timestamp>, _>(11)?.map(Into::into),
            last_sample: row.try_get::<Option<Timestamp>, _>(12)?.map(Into::into),
        });
    }
    Ok(machines)
}
