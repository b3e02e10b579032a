//! Connections to the database: made when they are needed, kept while they work, dropped after any failure.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::failure::Failure;
use crate::error::StoreError;

/// How long a connection may take to be made, in seconds; also how long a call waits for one to be free.
const CONNECT_SECONDS: u64 = 5;

/// What every connection is told first. A statement is given up after 12 s, and a lock after 5 s. Whoever weakened
/// `synchronous_commit` for the server does not weaken it for us, and who strengthened it keeps that. Plans are made for the
/// times asked for, because they decide which chunks are read, and never compiled: that takes longer than they do.
const GREETING: &str = "\
SET statement_timeout = '12s';
SET lock_timeout = '5s';
SET idle_in_transaction_session_timeout = '60s';
SET default_transaction_isolation = 'read committed';
SET TimeZone = 'UTC';
SET jit = off;
SET work_mem = '32MB';
SET plan_cache_mode = force_custom_plan;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

/// What a call is going to do: writers and readers do not wait for each other's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Commits, upkeep, changes to dead letters.
    Write,
    /// Questions.
    Read,
}

/// All connections of one database. Those in use are bounded; who finds none waits for at most 5 s.
#[derive(Debug)]
pub(crate) struct Sessions {
    options: PgConnectOptions,
    /// Kept for the next call; never more than are allowed at a time.
    idle: Arc<Mutex<Vec<PgConnection>>>,
    writers: Semaphore,
    readers: Semaphore,
}

/// A connection that goes back only when its work went well: dropped before that, or with a call that was dropped, it is
/// closed, and the server rolls back what was not committed.
#[derive(Debug)]
pub(crate) struct Session<'sessions> {
    connection: PgConnection,
    idle: Arc<Mutex<Vec<PgConnection>>>,
    _permit: SemaphorePermit<'sessions>,
}

impl Session<'_> {
    /// Keeps the connection for the next call.
    pub(crate) fn finish(self) {
        lock(&self.idle).push(self.connection);
    }
}

impl Deref for Session<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Session<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Sessions {
    /// At most so many connections, at least two: half of them write.
    pub(crate) fn new(options: PgConnectOptions, connections: u32) -> Self {
        let connections = connections.clamp(2, 100) as usize;
        Self {
            options: options.disable_statement_logging(),
            idle: Arc::default(),
            writers: Semaphore::new(connections / 2),
            readers: Semaphore::new(connections - connections / 2),
        }
    }

    /// An idle connection, or a new one.
    pub(crate) async fn take(&self, purpose: Purpose) -> Result<Session<'_>, Failure> {
        let permits = match purpose {
            Purpose::Write => &self.writers,
            Purpose::Read => &self.readers,
        };
        let permit = timeout(Duration::from_secs(CONNECT_SECONDS), permits.acquire()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(StoreError::unavailable(
                "every connection to the database is busy; look at its load, or raise the number of connections",
            )
            .into());
        };
        let known = lock(&self.idle).pop();
        let connection = match known {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(Session {
            connection,
            idle: Arc::clone(&self.idle),
            _permit: permit,
        })
    }

    /// Lets go of connections that may be as broken as the one that failed.
    pub(crate) fn forget(&self) {
        lock(&self.idle).clear();
    }

    /// A connection beside the others, for what may end it.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Failure> {
        let connect = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            sqlx::raw_sql(GREETING).execute(&mut connection).await?;
            Ok(connection)
        };
        timeout(Duration::from_secs(CONNECT_SECONDS), connect)
            .await
            .unwrap_or_else(|_| Err(Failure::slow("take a connection", CONNECT_SECONDS)))
    }
}

/// Never held across an await; a panic while it was held left whole connections.
fn lock(idle: &Mutex<Vec<PgConnection>>) -> MutexGuard<'_, Vec<PgConnection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
