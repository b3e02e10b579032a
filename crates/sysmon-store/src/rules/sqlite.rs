//! Rules in the SQLite file of the history.
//!
//! One connection writes; a writing transaction takes the file's lock first (`BEGIN IMMEDIATE`), so that what is checked in
//! it stays true until it ends, whoever else has the file open.

mod people;
mod read;
mod upkeep;
mod work;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Pool, Transaction};
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, Alert, AlertKey, Rule, RuleId, Silence, SilenceId};

use super::check::{self, CheckedNotifierWork, CheckedWork, Kept};
use super::lease::{self, Request, now_ms};
use super::{
    AuditEntry, Author, Delivery, DeliveryState, Lease, LoggedTransition, NewSilence, Notifier, NotifierWork,
    Put, RuleStore, Shard, ShardWork, StoredRule, TransitionQuery, Work,
};
use crate::error::StoreError;
use crate::history::StoreInfo;
use crate::history::sqlite::error::store_error;
use crate::history::sqlite::schema::{self, Pools};

/// One connection that writes, and two that read.
const CONNECTIONS: u32 = 3;

/// What is kept in a file.
#[derive(Debug)]
pub(crate) struct SqliteRules {
    path: PathBuf,
    pools: Pools,
    engine: String,
}

/// Why something failed: what SQLite says, or what we say.
#[derive(Debug)]
enum Failure {
    Database(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

type Outcome<T> = Result<T, Failure>;

impl SqliteRules {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`crate::open_history`].
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let pools = schema::open(path, CONNECTIONS).await?;
        let version: String = sqlx::query_scalar("SELECT sqlite_version()")
            .fetch_one(&pools.writer)
            .await
            .map_err(|error| store_error(path, &error))?;
        Ok(Self {
            path: path.to_path_buf(),
            pools,
            engine: format!("SQLite {version}"),
        })
    }

    fn failed(&self, failure: Failure) -> StoreError {
        match failure {
            Failure::Database(error) => store_error(&self.path, &error),
            Failure::Store(error) => error,
        }
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let begun = self.pools.writer.begin_with("BEGIN IMMEDIATE").await;
        begun.map_err(|error| self.failed(error.into()))
    }

    /// Commits what went well; what did not is rolled back.
    async fn end<T>(
        &self,
        transaction: Transaction<'static, Sqlite>,
        done: Outcome<T>,
    ) -> Result<T, StoreError> {
        let end = async {
            match done {
                Ok(value) => {
                    transaction.commit().await?;
                    Ok(value)
                }
                Err(failure) => {
                    // Dropped without, it would be rolled back all the same, only later.
                    let _ = transaction.rollback().await;
                    Err(failure)
                }
            }
        };
        end.await.map_err(|failure| self.failed(failure))
    }

    /// A transaction that sees one state of the file.
    async fn look(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let readers: &Pool<Sqlite> = &self.pools.readers;
        readers.begin().await.map_err(|error| self.failed(error.into()))
    }
}

#[async_trait]
impl RuleStore for SqliteRules {
    async fn rules(&self) -> Result<Vec<StoredRule>, StoreError> {
        let mut look = self.look().await?;
        let done = read::rules(&mut look).await;
        self.end(look, done).await
    }

    async fn put_rule(&self, rule: &Rule, expected: u64, author: &Author) -> Result<Put, StoreError> {
        let json = check::rule(rule)?;
        check::author(author)?;
        let mut transaction = self.begin().await?;
        let done = people::put_rule(&mut transaction, rule, &json, expected, author).await;
        self.end(transaction, done).await
    }

    async fn delete_rule(&self, id: &RuleId, expected: u64, author: &Author) -> Result<Put, StoreError> {
        check::author(author)?;
        let mut transaction = self.begin().await?;
        let done = people::delete_rule(&mut transaction, id, expected, author).await;
        self.end(transaction, done).await
    }

    async fn install_starter(&self, rules: &[Rule], author: &Author) -> Result<usize, StoreError> {
        check::author(author)?;
        let jsons = rules.iter().map(check::rule).collect::<Result<Vec<_>, _>>()?;
        let mut transaction = self.begin().await?;
        let done = people::install_starter(&mut transaction, rules, &jsons, author).await;
        self.end(transaction, done).await
    }

    async fn silences(&self, now: UnixMillis) -> Result<Vec<Silence>, StoreError> {
        let mut look = self.look().await?;
        let done = read::silences(&mut look, now).await;
        self.end(look, done).await
    }

    async fn add_silence(&self, silence: &NewSilence, author: &Author) -> Result<Silence, StoreError> {
        let (silence, matcher) = check::new_silence(silence, author)?;
        let mut transaction = self.begin().await?;
        let done = people::add_silence(&mut transaction, silence, &matcher, author).await;
        self.end(transaction, done).await
    }

    async fn end_silence(&self, id: SilenceId, author: &Author) -> Result<bool, StoreError> {
        check::author(author)?;
        let mut transaction = self.begin().await?;
        let done = people::end_silence(&mut transaction, id, author).await;
        self.end(transaction, done).await
    }

    async fn acknowledge(
        &self,
        key: &AlertKey,
        acknowledgement: Option<&Acknowledgement>,
        author: &Author,
    ) -> Result<(), StoreError> {
        check::author(author)?;
        check::acknowledgement(key, acknowledgement)?;
        let mut transaction = self.begin().await?;
        let done = people::acknowledge(&mut transaction, key, acknowledgement, author).await;
        self.end(transaction, done).await
    }

    async fn acknowledgements(&self) -> Result<Vec<(AlertKey, Acknowledgement)>, StoreError> {
        let mut look = self.look().await?;
        let done = read::acknowledgements(&mut look).await;
        self.end(look, done).await
    }

    async fn note(
        &self,
        author: &Author,
        action: &'static str,
        object: &str,
        after: &str,
    ) -> Result<(), StoreError> {
        let change = check::noted(author, action, object, after)?;
        let mut transaction = self.begin().await?;
        let done = people::note(&mut transaction, author, change).await;
        self.end(transaction, done).await
    }

    async fn audit(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let mut look = self.look().await?;
        let done = read::audit(&mut look, before, check::limit(limit)).await;
        self.end(look, done).await
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
        let mut transaction = self.begin().await?;
        let done = work::lease(&mut transaction, request).await;
        self.end(transaction, done).await
    }

    async fn holders(&self) -> Result<Vec<(Work, String)>, StoreError> {
        let mut look = self.look().await?;
        let leases = work::leases(&mut look).await;
        let done = leases.map(|leases| lease::holders(&leases, now_ms()));
        self.end(look, done).await
    }

    async fn release(&self, leases: &[Lease]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let done = work::release(&mut transaction, leases).await;
        self.end(transaction, done).await
    }

    async fn load_shard(&self, shard: u32) -> Result<Shard, StoreError> {
        let mut look = self.look().await?;
        let done = read::shard(&mut look, shard).await;
        self.end(look, done).await
    }

    async fn save_shard(&self, lease: &Lease, work: &ShardWork) -> Result<bool, StoreError> {
        let work = CheckedWork::new(lease, work)?;
        let mut transaction = self.begin().await?;
        let done = work::save_shard(&mut transaction, lease, &work).await;
        self.end(transaction, done).await
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        let mut look = self.look().await?;
        let done = read::alerts(&mut look, None).await;
        self.end(look, done).await
    }

    async fn transitions(&self, query: &TransitionQuery) -> Result<Vec<LoggedTransition>, StoreError> {
        check::query(query)?;
        let mut look = self.look().await?;
        let done = read::transitions(&mut look, query).await;
        self.end(look, done).await
    }

    async fn load_notifier(&self) -> Result<Notifier, StoreError> {
        let mut transaction = self.begin().await?;
        let done = work::notifier(&mut transaction).await;
        self.end(transaction, done).await
    }

    async fn transitions_after(&self, after: i64, limit: u32) -> Result<Vec<LoggedTransition>, StoreError> {
        let mut look = self.look().await?;
        let done = read::transitions_after(&mut look, after, check::limit(limit)).await;
        self.end(look, done).await
    }

    async fn save_notifier(&self, lease: &Lease, work: &NotifierWork) -> Result<bool, StoreError> {
        let work = CheckedNotifierWork::new(lease, work)?;
        let mut transaction = self.begin().await?;
        let done = work::save_notifier(&mut transaction, lease, &work).await;
        self.end(transaction, done).await
    }

    async fn deliveries(
        &self,
        state: Option<DeliveryState>,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let mut look = self.look().await?;
        let done = read::deliveries(&mut look, state, check::limit(limit)).await;
        self.end(look, done).await
    }

    async fn resend(&self, id: &str, author: &Author) -> Result<bool, StoreError> {
        check::author(author)?;
        let mut transaction = self.begin().await?;
        let done = people::resend(&mut transaction, id, author).await;
        self.end(transaction, done).await
    }

    async fn request_delivery(&self, delivery: &Delivery, author: &Author) -> Result<(), StoreError> {
        let delivery = check::requested(delivery, author)?;
        let mut transaction = self.begin().await?;
        let done = people::request_delivery(&mut transaction, &delivery, author).await;
        self.end(transaction, done).await
    }

    async fn maintain_rules(&self, now: UnixMillis, log_ms: u64) -> Result<(), StoreError> {
        upkeep::maintain(self, Kept::new(now, log_ms)).await
    }

    fn info(&self) -> StoreInfo {
        StoreInfo {
            engine: self.engine.clone(),
            notices: Vec::new(),
        }
    }
}
