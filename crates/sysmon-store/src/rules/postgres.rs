//! Rules in the PostgreSQL database of the history, with or without TimescaleDB.
//!
//! What people change is done one at a time, under an advisory lock. What alert services save is checked against their
//! lease, whose row stays locked until the end of the transaction, so that a take-over waits for it.

mod people;
mod read;
mod upkeep;
mod work;

use std::str::FromStr as _;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, Postgres, Transaction};
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, Alert, AlertKey, Rule, RuleId, Silence, SilenceId};
use tokio::time::timeout;

use super::check::{self, CheckedNotifierWork, CheckedWork, Kept};
use super::lease::Request;
use super::{
    AuditEntry, Author, Delivery, DeliveryState, Lease, LoggedTransition, NewSilence, Notifier, NotifierWork,
    Put, RuleStore, Shard, ShardWork, StoredRule, TransitionQuery, Work,
};
use crate::error::StoreError;
use crate::history::StoreInfo;
use crate::history::postgres::failure::Failure;
use crate::history::postgres::migrate::{self, Engine};
use crate::history::postgres::sessions::{Purpose, Session, Sessions};

/// One that saves, and two for leases and questions: a lease is never late because something large is being saved.
const CONNECTIONS: u32 = 3;
/// How long a call may take, in seconds; longer than the server gives one statement.
const CALL_SECONDS: u64 = 15;
/// How long bringing the schema up and upkeep may take, in seconds.
const UPKEEP_SECONDS: u64 = 120;

type Outcome<T> = Result<T, Failure>;

/// Opens the rule store of a `postgres:` URL. Only looks at the URL: the first use connects and brings the schema up.
///
/// # Errors
/// `Misconfigured` for a URL that cannot be read; the text never has it.
pub(crate) fn open(url: &str) -> Result<Arc<dyn RuleStore>, StoreError> {
    // What sqlx says may have parts of the URL in it.
    let connect = PgConnectOptions::from_str(url).map_err(|_| {
        StoreError::misconfigured(
            "the postgres: database URL cannot be read; use postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special \
             characters of the password percent-encoded",
        )
    })?;
    Ok(Arc::new(PostgresRules {
        sessions: Sessions::new(connect.application_name("sysmon alerts"), CONNECTIONS),
        engine: RwLock::default(),
        preparing: tokio::sync::Mutex::default(),
    }))
}

/// What is kept in a database.
#[derive(Debug)]
struct PostgresRules {
    sessions: Sessions,
    /// What it turned out to be at the first use.
    engine: RwLock<Option<Arc<Engine>>>,
    /// Held while it is found out.
    preparing: tokio::sync::Mutex<()>,
}

impl PostgresRules {
    fn known_engine(&self) -> Option<Arc<Engine>> {
        // Only ever replaced as a whole.
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_engine(&self, engine: Option<Arc<Engine>>) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// Brings the schema up at the first use, and after its tables were gone.
    async fn prepare(&self) -> Outcome<()> {
        if self.known_engine().is_some() {
            return Ok(());
        }
        let _preparing = self.preparing.lock().await;
        if self.known_engine().is_none() {
            let engine = migrate::migrate(&self.sessions).await?;
            tracing::info!(engine = engine.name, "alerts are kept in the database");
            self.set_engine(Some(Arc::new(engine)));
        }
        Ok(())
    }

    async fn session(&self, purpose: Purpose) -> Result<Session<'_>, StoreError> {
        let session = async {
            let prepared = timeout(Duration::from_secs(UPKEEP_SECONDS), self.prepare()).await;
            prepared.unwrap_or_else(|_| Err(Failure::slow("bring its schema up", UPKEEP_SECONDS)))?;
            self.sessions.take(purpose).await
        };
        session.await.map_err(|failure| self.failed(failure))
    }

    /// Notes what a failure says about connections and schema.
    fn failed(&self, failure: Failure) -> StoreError {
        if failure.lost || failure.schema {
            self.sessions.forget();
        }
        if failure.schema {
            self.set_engine(None);
        }
        failure.error
    }

    /// Waits for some work. The connection is kept only when it went well: closed, the server rolls back what was not
    /// committed.
    async fn finish<T>(
        &self,
        session: Session<'_>,
        done: Result<Outcome<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        let done = done.unwrap_or_else(|_| Err(Failure::slow("do what it was asked", CALL_SECONDS)));
        match done {
            Ok(value) => {
                session.finish();
                Ok(value)
            }
            Err(failure) => Err(self.failed(failure)),
        }
    }
}

/// Within the time of a call.
async fn limited<T>(
    work: impl Future<Output = Outcome<T>>,
) -> Result<Outcome<T>, tokio::time::error::Elapsed> {
    timeout(Duration::from_secs(CALL_SECONDS), work).await
}

/// A transaction that sees one state of the database.
async fn look(connection: &mut PgConnection) -> Outcome<Transaction<'_, Postgres>> {
    Ok(connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?)
}

#[async_trait]
impl RuleStore for PostgresRules {
    async fn rules(&self) -> Result<Vec<StoredRule>, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(read::rules(&mut session)).await;
        self.finish(session, done).await
    }

    async fn put_rule(&self, rule: &Rule, expected: u64, author: &Author) -> Result<Put, StoreError> {
        let json = check::rule(rule)?;
        check::author(author)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(people::put_rule(&mut session, rule, &json, expected, author)).await;
        self.finish(session, done).await
    }

    async fn delete_rule(&self, id: &RuleId, expected: u64, author: &Author) -> Result<Put, StoreError> {
        check::author(author)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(people::delete_rule(&mut session, id, expected, author)).await;
        self.finish(session, done).await
    }

    async fn install_starter(&self, rules: &[Rule], author: &Author) -> Result<usize, StoreError> {
        check::author(author)?;
        let jsons = rules.iter().map(check::rule).collect::<Result<Vec<_>, _>>()?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(people::install_starter(&mut session, rules, &jsons, author)).await;
        self.finish(session, done).await
    }

    async fn silences(&self, now: UnixMillis) -> Result<Vec<Silence>, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(read::silences(&mut session, now)).await;
        self.finish(session, done).await
    }

    async fn add_silence(&self, silence: &NewSilence, author: &Author) -> Result<Silence, StoreError> {
        let (silence, matcher) = check::new_silence(silence, author)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(people::add_silence(&mut session, silence, &matcher, author)).await;
        self.finish(session, done).await
    }

    async fn end_silence(&self, id: SilenceId, author: &Author) -> Result<bool, StoreError> {
        check::author(author)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(people::end_silence(&mut session, id, author)).await;
        self.finish(session, done).await
    }

    async fn acknowledge(
        &self,
        key: &AlertKey,
        acknowledgement: Option<&Acknowledgement>,
        author: &Author,
    ) -> Result<(), StoreError> {
        check::author(author)?;
        check::acknowledgement(key, acknowledgement)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(people::acknowledge(&mut session, key, acknowledgement, author)).await;
        self.finish(session, done).await
    }

    async fn acknowledgements(&self) -> Result<Vec<(AlertKey, Acknowledgement)>, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(read::acknowledgements(&mut session)).await;
        self.finish(session, done).await
    }

    async fn note(
        &self,
        author: &Author,
        action: &'static str,
        object: &str,
        after: &str,
    ) -> Result<(), StoreError> {
        let change = check::noted(author, action, object, after)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(people::note(&mut session, author, change)).await;
        self.finish(session, done).await
    }

    async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(read::audit(&mut session, before, check::limit(limit))).await;
        self.finish(session, done).await
    }

    async fn lease(
        &self,
        holder: &str,
        wanted: &[Work],
        most: usize,
        lease_ms: u64,
    ) -> Result<Vec<Lease>, StoreError> {
        check::lease(holder, lease_ms)?;
        let request = Request {
            holder,
            wanted,
            most,
            lease_ms,
        };
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(work::lease(&mut session, request)).await;
        self.finish(session, done).await
    }

    async fn holders(&self) -> Result<Vec<(Work, String)>, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(work::holders(&mut session)).await;
        self.finish(session, done).await
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(work::release(&mut session, leases)).await;
        self.finish(session, done).await
    }

    async fn load_shard(&self, shard: u32) -> Result<Shard, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(read::shard(&mut session, shard)).await;
        self.finish(session, done).await
    }

    async fn save_shard(&self, lease: &Lease, work: &ShardWork) -> Result<bool, StoreError> {
        let work = CheckedWork::new(lease, work)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(work::save_shard(&mut session, lease, &work)).await;
        self.finish(session, done).await
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(read::alerts(&mut session, None)).await;
        self.finish(session, done).await
    }

    async fn transitions(&self, query: &TransitionQuery) -> Result<Vec<LoggedTransition>, StoreError> {
        check::query(query)?;
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(read::transitions(&mut session, query)).await;
        self.finish(session, done).await
    }

    async fn load_notifier(&self) -> Result<Notifier, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(work::notifier(&mut session)).await;
        self.finish(session, done).await
    }

    async fn transitions_after(&self, after: i64, limit: u32) -> Result<Vec<LoggedTransition>, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(read::transitions_after(&mut session, after, check::limit(limit))).await;
        self.finish(session, done).await
    }

    async fn save_notifier(&self, lease: &Lease, work: &NotifierWork) -> Result<bool, StoreError> {
        let work = CheckedNotifierWork::new(lease, work)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(work::save_notifier(&mut session, lease, &work)).await;
        self.finish(session, done).await
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut session = self.session(Purpose::Read).await?;
        let done = limited(read::deliveries(&mut session, state, check::limit(limit))).await;
        self.finish(session, done).await
    }

    async fn resend(&self, id: &str, author: &Author) -> Result<bool, StoreError> {
        check::author(author)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(people::resend(&mut session, id, author)).await;
        self.finish(session, done).await
    }

    async fn request_delivery(&self, delivery: &Delivery, author: &Author) -> Result<(), StoreError> {
        let delivery = check::requested(delivery, author)?;
        let mut session = self.session(Purpose::Write).await?;
        let done = limited(people::request_delivery(&mut session, &delivery, author)).await;
        self.finish(session, done).await
    }

    async fn maintain_rules(&self, now: UnixMillis, log_ms: u64) -> Result<(), StoreError> {
        let mut session = self.session(Purpose::Write).await?;
        let upkeep = upkeep::maintain(&mut session, Kept::new(now, log_ms));
        let done = timeout(Duration::from_secs(UPKEEP_SECONDS), upkeep).await;
        self.finish(session, done).await
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
