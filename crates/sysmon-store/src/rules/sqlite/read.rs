//! What is in the tables, in our types. SQLite sorts texts by their bytes, as we do.

use bytes::Bytes;
use sqlx::{AssertSqlSafe, Type};
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, Alert, AlertKey, RuleId, Silence, SilenceId};

use super::{Outcome, SqliteConnection};
use crate::error::StoreError;
use crate::rules::words::{self, impossible};
use crate::rules::{
    AuditEntry, Delivery, DeliveryState, LoggedTransition, Shard, StoredRule, TransitionQuery, check, rows,
};

/// A moment as it is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Type)]
#[sqlx(transparent)]
struct Millis(i64);

impl From<Millis> for UnixMillis {
    fn from(at: Millis) -> Self {
        Self(at.0)
    }
}

type RuleRow = rows::RuleRow<Millis>;
type SilenceRow = rows::SilenceRow<Millis>;
type AcknowledgementRow = rows::AcknowledgementRow<Millis>;
type AuditRow = rows::AuditRow<Millis>;
type AlertRow = rows::AlertRow<Millis>;
type StepRow = rows::StepRow<Millis>;
type DeliveryRow = rows::DeliveryRow<Millis>;

const RULE: &str = "SELECT rule, version, changed_by, changed_unix_ms AS changed FROM alert_rule";
const SILENCE: &str =
    "SELECT id, matcher, from_unix_ms AS starts, until_unix_ms AS ends, made_by, comment FROM silence";
const ACKNOWLEDGEMENT: &str = "SELECT rule, machine, entity, made_by, comment, at_unix_ms AS said, \
     until_unix_ms AS ends, severity FROM acknowledgement";
const ALERT: &str = "SELECT rule, machine, entity, phase, severity, since_unix_ms AS since, fired_unix_ms AS fired, \
     value, threshold, peak, flapping, inhibited, silence, detail FROM alert";
const STEP: &str = "SELECT id, rule, machine, entity, at_unix_ms AS happened, from_phase, to_phase, severity_before, \
     severity, cause, value, threshold, fired_unix_ms AS fired, detail FROM alert_log";
const DELIVERY: &str = "SELECT id, receiver, content, created_unix_ms AS created, state, attempts, \
     due_unix_ms AS due, problem FROM delivery";

/// One of the above with what follows: both are ours.
fn sql(columns: &str, rest: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{columns} {rest}"))
}

fn all<R, T>(rows: Vec<R>, into: impl Fn(R) -> Result<T, StoreError>) -> Outcome<Vec<T>> {
    Ok(rows.into_iter().map(into).collect::<Result<_, _>>()?)
}

pub(super) async fn rules(connection: &mut SqliteConnection) -> Outcome<Vec<StoredRule>> {
    let rows = sqlx::query_as(sql(RULE, "ORDER BY id"))
        .fetch_all(connection)
        .await?;
    all(rows, RuleRow::stored)
}

pub(super) async fn rule(connection: &mut SqliteConnection, id: &RuleId) -> Outcome<Option<StoredRule>> {
    let row: Option<RuleRow> = sqlx::query_as(sql(RULE, "WHERE id = ?1"))
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.map(RuleRow::stored).transpose()?)
}

pub(super) async fn silences(connection: &mut SqliteConnection, now: UnixMillis) -> Outcome<Vec<Silence>> {
    let rows = sqlx::query_as(sql(SILENCE, "WHERE until_unix_ms > ?1 ORDER BY id"))
        .bind(now.0)
        .fetch_all(connection)
        .await?;
    all(rows, SilenceRow::silence)
}

pub(super) async fn silence(connection: &mut SqliteConnection, id: SilenceId) -> Outcome<Option<Silence>> {
    let row: Option<SilenceRow> = sqlx::query_as(sql(SILENCE, "WHERE id = ?1"))
        .bind(id.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(SilenceRow::silence).transpose()?)
}

pub(super) async fn acknowledgements(
    connection: &mut SqliteConnection,
) -> Outcome<Vec<(AlertKey, Acknowledgement)>> {
    let rows = sqlx::query_as(sql(ACKNOWLEDGEMENT, "ORDER BY rule, machine, entity"))
        .fetch_all(connection)
        .await?;
    all(rows, AcknowledgementRow::of_alert)
}

pub(super) async fn acknowledgement(
    connection: &mut SqliteConnection,
    key: &AlertKey,
) -> Outcome<Option<Acknowledgement>> {
    let one = sql(
        ACKNOWLEDGEMENT,
        "WHERE rule = ?1 AND machine = ?2 AND entity = ?3",
    );
    let row: Option<AcknowledgementRow> = sqlx::query_as(one)
        .bind(key.rule.as_str())
        .bind(key.machine.as_str())
        .bind(&*key.entity)
        .fetch_optional(connection)
        .await?;
    let said = row.map(AcknowledgementRow::of_alert).transpose()?;
    Ok(said.map(|(_, said)| said))
}

pub(super) async fn audit(
    connection: &mut SqliteConnection,
    before: Option<i64>,
    limit: u32,
) -> Outcome<Vec<AuditEntry>> {
    let rows: Vec<AuditRow> = sqlx::query_as(
        "SELECT id, at_unix_ms AS changed, author, action, object, before, after FROM audit_log
         WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
    )
    .bind(before.unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AuditRow::entry).collect())
}

/// Alerts of a shard, or all, sorted by key.
pub(super) async fn alerts(connection: &mut SqliteConnection, shard: Option<u32>) -> Outcome<Vec<Alert>> {
    let some = sql(
        ALERT,
        "WHERE ?1 IS NULL OR shard = ?1 ORDER BY rule, machine, entity",
    );
    let rows = sqlx::query_as(some).bind(shard).fetch_all(connection).await?;
    all(rows, AlertRow::alert)
}

pub(super) async fn shard(connection: &mut SqliteConnection, shard: u32) -> Outcome<Shard> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT machine, state FROM alert_state WHERE shard = ?1 ORDER BY machine")
            .bind(shard)
            .fetch_all(&mut *connection)
            .await?;
    let state = |(machine, state): (String, Vec<u8>)| {
        Ok((words::machine("alert_state", &machine)?, Bytes::from(state)))
    };
    Ok(Shard {
        states: all(rows, state)?,
        alerts: alerts(connection, Some(shard)).await?,
    })
}

pub(super) async fn transitions(
    connection: &mut SqliteConnection,
    query: &TransitionQuery,
) -> Outcome<Vec<LoggedTransition>> {
    let machines = (!query.machines.is_empty()).then(|| words::to_json(&query.machines));
    let rules = (!query.rules.is_empty()).then(|| words::to_json(&query.rules));
    let (beyond, order) = if query.oldest_first {
        (query.before.unwrap_or(i64::MIN), "id > ?5 ORDER BY id")
    } else {
        (query.before.unwrap_or(i64::MAX), "id < ?5 ORDER BY id DESC")
    };
    let meant = sql(
        STEP,
        &format!(
            "WHERE (?1 IS NULL OR machine IN (SELECT value FROM json_each(?1)))
                 AND (?2 IS NULL OR rule IN (SELECT value FROM json_each(?2)))
                 AND (?3 IS NULL OR at_unix_ms >= ?3) AND (?4 IS NULL OR at_unix_ms < ?4)
                 AND {order} LIMIT ?6"
        ),
    );
    let rows = sqlx::query_as(meant)
        .bind(machines.transpose()?)
        .bind(rules.transpose()?)
        .bind(query.from.map(|from| from.0))
        .bind(query.to.map(|to| to.0))
        .bind(beyond)
        .bind(check::limit(query.limit))
        .fetch_all(connection)
        .await?;
    all(rows, StepRow::logged)
}

pub(super) async fn transitions_after(
    connection: &mut SqliteConnection,
    after: i64,
    limit: u32,
) -> Outcome<Vec<LoggedTransition>> {
    let rows = sqlx::query_as(sql(STEP, "WHERE id > ?1 ORDER BY id LIMIT ?2"))
        .bind(after)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    all(rows, StepRow::logged)
}

pub(super) async fn delivery(connection: &mut SqliteConnection, id: &str) -> Outcome<Option<Delivery>> {
    let row: Option<DeliveryRow> = sqlx::query_as(sql(DELIVERY, "WHERE id = ?1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(DeliveryRow::delivery).transpose()?)
}

pub(super) async fn deliveries(
    connection: &mut SqliteConnection,
    state: Option<DeliveryState>,
    limit: u32,
) -> Outcome<Vec<Delivery>> {
    let meant = sql(
        DELIVERY,
        "WHERE ?1 IS NULL OR state = ?1 ORDER BY created_unix_ms DESC, id DESC LIMIT ?2",
    );
    let rows = sqlx::query_as(meant)
        .bind(state.map(DeliveryState::word))
        .bind(limit)
        .fetch_all(connection)
        .await?;
    all(rows, DeliveryRow::delivery)
}

/// All that are to be sent, the first due first.
pub(super) async fn pending(connection: &mut SqliteConnection) -> Outcome<Vec<Delivery>> {
    let rows = sqlx::query_as(sql(DELIVERY, "WHERE state = 'pending' ORDER BY due_unix_ms, id"))
        .fetch_all(connection)
        .await?;
    all(rows, DeliveryRow::delivery)
}

/// How far the notifier has read, and its own state.
pub(super) async fn groups(connection: &mut SqliteConnection) -> Outcome<(i64, Vec<(String, Bytes)>)> {
    let read: Option<i64> = sqlx::query_scalar("SELECT read FROM notifier")
        .fetch_optional(&mut *connection)
        .await?;
    let read = read.ok_or_else(|| impossible("notifier", "number of rows"))?;
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as("SELECT key, state FROM notifier_group ORDER BY key")
        .fetch_all(connection)
        .await?;
    let groups = rows.into_iter().map(|(key, state)| (key, Bytes::from(state)));
    Ok((read, groups.collect()))
}
