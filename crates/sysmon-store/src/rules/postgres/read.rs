//! What is in the tables, in our types. Texts are sorted by their bytes, whatever the database's collation is.

use bytes::Bytes;
use sqlx::{AssertSqlSafe, PgConnection};
use sysmon_core::UnixMillis;
use sysmon_core::alert::{Acknowledgement, Alert, AlertKey, RuleId, Silence, SilenceId};

use super::{Outcome, look};
use crate::error::StoreError;
use crate::history::postgres::timestamp::Timestamp;
use crate::rules::words::{self, impossible};
use crate::rules::{
    AuditEntry, Delivery, DeliveryState, LoggedTransition, Shard, StoredRule, TransitionQuery, check, rows,
};

type RuleRow = rows::RuleRow<Timestamp>;
type SilenceRow = rows::SilenceRow<Timestamp>;
type AcknowledgementRow = rows::AcknowledgementRow<Timestamp>;
type AuditRow = rows::AuditRow<Timestamp>;
type AlertRow = rows::AlertRow<Timestamp>;
type StepRow = rows::StepRow<Timestamp>;
type DeliveryRow = rows::DeliveryRow<Timestamp>;

const RULE: &str = "SELECT rule::text AS rule, version, changed_by, changed_at AS changed FROM alert_rule";
const SILENCE: &str =
    "SELECT id, matcher::text AS matcher, from_at AS starts, until_at AS ends, made_by, comment FROM silence";
const ACKNOWLEDGEMENT: &str = "SELECT rule, machine, entity, made_by, comment, at AS said, until_at AS ends, severity \
     FROM acknowledgement";
const ALERT: &str = "SELECT rule, machine, entity, phase, severity, since_at AS since, fired_at AS fired, value, \
     threshold, peak, flapping, inhibited, silence_id AS silence, detail::text AS detail FROM alert";
const STEP: &str = "SELECT id, rule, machine, entity, at AS happened, from_phase, to_phase, severity_before, severity, \
     cause, value, threshold, fired_at AS fired, detail::text AS detail FROM alert_log";
const DELIVERY: &str = "SELECT id, receiver, content::text AS content, created_at AS created, state, attempts, \
     due_at AS due, problem FROM delivery";

/// One of the above with what follows: both are ours.
fn sql(columns: &str, rest: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!("{columns} {rest}"))
}

fn all<R, T>(rows: Vec<R>, into: impl Fn(R) -> Result<T, StoreError>) -> Outcome<Vec<T>> {
    Ok(rows.into_iter().map(into).collect::<Result<_, _>>()?)
}

pub(super) async fn rules(connection: &mut PgConnection) -> Outcome<Vec<StoredRule>> {
    let rows = sqlx::query_as(sql(RULE, "ORDER BY id COLLATE \"C\""))
        .fetch_all(connection)
        .await?;
    all(rows, RuleRow::stored)
}

pub(super) async fn rule(connection: &mut PgConnection, id: &RuleId) -> Outcome<Option<StoredRule>> {
    let row: Option<RuleRow> = sqlx::query_as(sql(RULE, "WHERE id = $1"))
        .bind(id.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.map(RuleRow::stored).transpose()?)
}

pub(super) async fn silences(connection: &mut PgConnection, now: UnixMillis) -> Outcome<Vec<Silence>> {
    let rows = sqlx::query_as(sql(SILENCE, "WHERE until_at > $1 ORDER BY id"))
        .bind(Timestamp::from(now))
        .fetch_all(connection)
        .await?;
    all(rows, SilenceRow::silence)
}

pub(super) async fn silence(connection: &mut PgConnection, id: SilenceId) -> Outcome<Option<Silence>> {
    let row: Option<SilenceRow> = sqlx::query_as(sql(SILENCE, "WHERE id = $1"))
        .bind(id.0)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(SilenceRow::silence).transpose()?)
}

pub(super) async fn acknowledgements(
    connection: &mut PgConnection,
) -> Outcome<Vec<(AlertKey, Acknowledgement)>> {
    let sorted = sql(
        ACKNOWLEDGEMENT,
        "ORDER BY rule COLLATE \"C\", machine COLLATE \"C\", entity COLLATE \"C\"",
    );
    let rows = sqlx::query_as(sorted).fetch_all(connection).await?;
    all(rows, AcknowledgementRow::of_alert)
}

/// Locks it as well: who saves a shard may be about to remove it.
pub(super) async fn acknowledgement(
    connection: &mut PgConnection,
    key: &AlertKey,
) -> Outcome<Option<Acknowledgement>> {
    let one = sql(
        ACKNOWLEDGEMENT,
        "WHERE rule = $1 AND machine = $2 AND entity = $3 FOR UPDATE",
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
    connection: &mut PgConnection,
    before: Option<i64>,
    limit: u32,
) -> Outcome<Vec<AuditEntry>> {
    let rows: Vec<AuditRow> = sqlx::query_as(
        "SELECT id, at AS changed, author, action, object, before::text AS before, after::text AS after FROM audit_log
         WHERE id < $1 ORDER BY id DESC LIMIT $2",
    )
    .bind(before.unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(AuditRow::entry).collect())
}

/// Alerts of a shard, or all, sorted by key.
pub(super) async fn alerts(connection: &mut PgConnection, shard: Option<u32>) -> Outcome<Vec<Alert>> {
    let some = sql(
        ALERT,
        "WHERE $1::bigint IS NULL OR shard = $1
         ORDER BY rule COLLATE \"C\", machine COLLATE \"C\", entity COLLATE \"C\"",
    );
    let rows = sqlx::query_as(some)
        .bind(shard.map(i64::from))
        .fetch_all(connection)
        .await?;
    all(rows, AlertRow::alert)
}

pub(super) async fn shard(connection: &mut PgConnection, shard: u32) -> Outcome<Shard> {
    let mut look = look(connection).await?;
    let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(
        "SELECT machine, state FROM alert_state WHERE shard = $1::bigint ORDER BY machine COLLATE \"C\"",
    )
    .bind(i64::from(shard))
    .fetch_all(&mut *look)
    .await?;
    let state = |(machine, state): (String, Vec<u8>)| {
        Ok((words::machine("alert_state", &machine)?, Bytes::from(state)))
    };
    let shard = Shard {
        states: all(rows, state)?,
        alerts: alerts(&mut look, Some(shard)).await?,
    };
    look.commit().await?;
    Ok(shard)
}

pub(super) async fn transitions(
    connection: &mut PgConnection,
    query: &TransitionQuery,
) -> Outcome<Vec<LoggedTransition>> {
    let machines: Vec<&str> = query.machines.iter().map(|machine| machine.as_str()).collect();
    let rules: Vec<&str> = query.rules.iter().map(|rule| rule.as_str()).collect();
    let (beyond, order) = if query.oldest_first {
        (query.before.unwrap_or(i64::MIN), "id > $5 ORDER BY id")
    } else {
        (query.before.unwrap_or(i64::MAX), "id < $5 ORDER BY id DESC")
    };
    let meant = sql(
        STEP,
        &format!(
            "WHERE (cardinality($1) = 0 OR machine = ANY($1)) AND (cardinality($2) = 0 OR rule = ANY($2))
                 AND ($3::timestamptz IS NULL OR at >= $3) AND ($4::timestamptz IS NULL OR at < $4)
                 AND {order} LIMIT $6"
        ),
    );
    let rows = sqlx::query_as(meant)
        .bind(machines)
        .bind(rules)
        .bind(query.from.map(Timestamp::from))
        .bind(query.to.map(Timestamp::from))
        .bind(beyond)
        .bind(i64::from(check::limit(query.limit)))
        .fetch_all(connection)
        .await?;
    all(rows, StepRow::logged)
}

pub(super) async fn transitions_after(
    connection: &mut PgConnection,
    after: i64,
    limit: u32,
) -> Outcome<Vec<LoggedTransition>> {
    let rows = sqlx::query_as(sql(STEP, "WHERE id > $1 ORDER BY id LIMIT $2"))
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    all(rows, StepRow::logged)
}

/// Locks it as well, so that the notifier does not change it in between.
pub(super) async fn delivery(connection: &mut PgConnection, id: &str) -> Outcome<Option<Delivery>> {
    let row: Option<DeliveryRow> = sqlx::query_as(sql(DELIVERY, "WHERE id = $1 FOR UPDATE"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(DeliveryRow::delivery).transpose()?)
}

pub(super) async fn deliveries(
    connection: &mut PgConnection,
    state: Option<DeliveryState>,
    limit: u32,
) -> Outcome<Vec<Delivery>> {
    let meant = sql(
        DELIVERY,
        "WHERE $1::text IS NULL OR state = $1 ORDER BY created_at DESC, id COLLATE \"C\" DESC LIMIT $2",
    );
    let rows = sqlx::query_as(meant)
        .bind(state.map(DeliveryState::word))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    all(rows, DeliveryRow::delivery)
}

/// All that are to be sent, the first due first.
pub(super) async fn pending(connection: &mut PgConnection) -> Outcome<Vec<Delivery>> {
    let due = sql(
        DELIVERY,
        "WHERE state = 'pending' ORDER BY due_at, id COLLATE \"C\"",
    );
    let rows = sqlx::query_as(due).fetch_all(connection).await?;
    all(rows, DeliveryRow::delivery)
}

/// How far the notifier has read, and its own state.
pub(super) async fn groups(connection: &mut PgConnection) -> Outcome<(i64, Vec<(String, Bytes)>)> {
    let read: Option<i64> = sqlx::query_scalar("SELECT read FROM notifier")
        .fetch_optional(&mut *connection)
        .await?;
    let read = read.ok_or_else(|| impossible("notifier", "number of rows"))?;
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("SELECT key, state FROM notifier_group ORDER BY key COLLATE \"C\"")
            .fetch_all(connection)
            .await?;
    let groups = rows.into_iter().map(|(key, state)| (key, Bytes::from(state)));
    Ok((read, groups.collect()))
}
