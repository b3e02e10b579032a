//! What people decide, with its entry in the audit log, one change at a time.

use sqlx::{Connection as _, PgConnection};
use sysmon_core::alert::{Acknowledgement, AlertKey, Rule, RuleId, Silence, SilenceId};

use super::work::put_deliveries;
use super::{Outcome, read};
use crate::history::postgres::settings;
use crate::history::postgres::timestamp::Timestamp;
use crate::rules::words::Change;
use crate::rules::{Author, Delivery, DeliveryState, Put, StoredRule, check};

/// Serialises changes; `sysmon` in ASCII and a number.
const LOCK: i64 = 0x73_7973_6d6f_6e01;

/// The setting that says that the starter pack was stored.
const STARTER: &str = "alert_starter_stored";

async fn lock(connection: &mut PgConnection) -> Outcome<()> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn note(connection: &mut PgConnection, author: &Author, change: Change) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO audit_log (at, author, action, object, before, after)
         VALUES ($1, $2, $3, $4, $5::json, $6::json)",
    )
    .bind(Timestamp::from(author.at))
    .bind(&author.name)
    .bind(change.action)
    .bind(change.object)
    .bind(change.before)
    .bind(change.after)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn put_rule(
    connection: &mut PgConnection,
    rule: &Rule,
    json: &str,
    expected: u64,
    author: &Author,
) -> Outcome<Put> {
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    let present = read::rule(&mut transaction, &rule.id).await?;
    if present.as_ref().map_or(0, |present| present.version) != expected {
        transaction.rollback().await?;
        return Ok(Put::Conflict(present));
    }
    let before = present.as_ref().map(|present| &present.rule);
    let change = Change::of_rule("rule.put", &rule.id, before, Some(rule))?;
    let stored = store_rule(&mut transaction, rule, json, author).await?;
    note(&mut transaction, author, change).await?;
    transaction.commit().await?;
    Ok(Put::Done(stored))
}

async fn store_rule(
    connection: &mut PgConnection,
    rule: &Rule,
    json: &str,
    author: &Author,
) -> Outcome<StoredRule> {
    let version: i64 = sqlx::query_scalar(
        "INSERT INTO alert_rule (id, title, enabled, version, rule, changed_by, changed_at)
         VALUES ($1, $2, $3, coalesce((SELECT version FROM alert_rule_removed WHERE id = $1), 0) + 1, $4::jsonb, $5, $6)
         ON CONFLICT (id) DO UPDATE SET title = excluded.title, enabled = excluded.enabled,
             version = alert_rule.version + 1, rule = excluded.rule, changed_by = excluded.changed_by,
             changed_at = excluded.changed_at
         RETURNING version",
    )
    .bind(rule.id.as_str())
    .bind(&rule.title)
    .bind(rule.enabled)
    .bind(json)
    .bind(&author.name)
    .bind(Timestamp::from(author.at))
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM alert_rule_removed WHERE id = $1")
        .bind(rule.id.as_str())
        .execute(connection)
        .await?;
    Ok(StoredRule {
        rule: rule.clone(),
        version: version.cast_unsigned(),
        changed: author.clone(),
    })
}

pub(super) async fn delete_rule(
    connection: &mut PgConnection,
    id: &RuleId,
    expected: u64,
    author: &Author,
) -> Outcome<Put> {
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    let present = match read::rule(&mut transaction, id).await? {
        Some(present) if present.version == expected => present,
        other => {
            transaction.rollback().await?;
            return Ok(Put::Conflict(other));
        }
    };
    let change = Change::of_rule("rule.delete", id, Some(&present.rule), None)?;
    sqlx::query(
        "WITH removed AS (DELETE FROM alert_rule WHERE id = $1 RETURNING id, version)
         INSERT INTO alert_rule_removed (id, version) SELECT id, version FROM removed
         ON CONFLICT (id) DO UPDATE SET version = excluded.version",
    )
    .bind(id.as_str())
    .execute(&mut *transaction)
    .await?;
    note(&mut transaction, author, change).await?;
    transaction.commit().await?;
    Ok(Put::Done(present))
}

pub(super) async fn install_starter(
    connection: &mut PgConnection,
    rules: &[Rule],
    jsons: &[String],
    author: &Author,
) -> Outcome<usize> {
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    if settings::text(&mut transaction, STARTER).await?.is_some() {
        transaction.rollback().await?;
        return Ok(0);
    }
    settings::set_text(&mut transaction, STARTER, "yes").await?;
    let mut stored = 0;
    for (rule, json) in rules.iter().zip(jsons) {
        let was_there: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM alert_rule WHERE id = $1)
                 OR EXISTS (SELECT FROM alert_rule_removed WHERE id = $1)",
        )
        .bind(rule.id.as_str())
        .fetch_one(&mut *transaction)
        .await?;
        if was_there {
            continue;
        }
        store_rule(&mut transaction, rule, json, author).await?;
        let change = Change::of_rule("rule.starter", &rule.id, None, Some(rule))?;
        note(&mut transaction, author, change).await?;
        stored += 1;
    }
    transaction.commit().await?;
    Ok(stored)
}

pub(super) async fn add_silence(
    connection: &mut PgConnection,
    mut silence: Silence,
    matcher: &str,
    author: &Author,
) -> Outcome<Silence> {
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    let id = sqlx::query_scalar(
        "INSERT INTO silence (matcher, from_at, until_at, made_by, comment)
         VALUES ($1::jsonb, $2, $3, $4, $5) RETURNING id",
    )
    .bind(matcher)
    .bind(Timestamp::from(silence.from))
    .bind(Timestamp::from(silence.until))
    .bind(&silence.by)
    .bind(&silence.comment)
    .fetch_one(&mut *transaction)
    .await?;
    silence.id = SilenceId(id);
    note(&mut transaction, author, Change::of_silence(None, &silence)?).await?;
    transaction.commit().await?;
    Ok(silence)
}

pub(super) async fn end_silence(
    connection: &mut PgConnection,
    id: SilenceId,
    author: &Author,
) -> Outcome<bool> {
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    let known = read::silence(&mut transaction, id).await?;
    let Some(before) = known.filter(|silence| silence.until > author.at) else {
        transaction.rollback().await?;
        return Ok(false);
    };
    let after = Silence {
        until: author.at,
        ..before.clone()
    };
    sqlx::query("UPDATE silence SET until_at = $2 WHERE id = $1")
        .bind(id.0)
        .bind(Timestamp::from(author.at))
        .execute(&mut *transaction)
        .await?;
    note(
        &mut transaction,
        author,
        Change::of_silence(Some(&before), &after)?,
    )
    .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn acknowledge(
    connection: &mut PgConnection,
    key: &AlertKey,
    said: Option<&Acknowledgement>,
    author: &Author,
) -> Outcome<()> {
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    let before = read::acknowledgement(&mut transaction, key).await?;
    match said {
        None if before.is_none() => {
            transaction.rollback().await?;
            return Ok(());
        }
        None => {
            sqlx::query("DELETE FROM acknowledgement WHERE rule = $1 AND machine = $2 AND entity = $3")
                .bind(key.rule.as_str())
                .bind(key.machine.as_str())
                .bind(&*key.entity)
                .execute(&mut *transaction)
                .await?;
        }
        Some(said) => put_acknowledgement(&mut transaction, key, said).await?,
    }
    let change = Change::of_acknowledgement(key, before.as_ref(), said)?;
    note(&mut transaction, author, change).await?;
    transaction.commit().await?;
    Ok(())
}

async fn put_acknowledgement(
    connection: &mut PgConnection,
    key: &AlertKey,
    said: &Acknowledgement,
) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO acknowledgement (rule, machine, entity, made_by, comment, at, until_at, severity)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (rule, machine, entity) DO UPDATE SET made_by = excluded.made_by, comment = excluded.comment,
             at = excluded.at, until_at = excluded.until_at, severity = excluded.severity",
    )
    .bind(key.rule.as_str())
    .bind(key.machine.as_str())
    .bind(&*key.entity)
    .bind(&said.by)
    .bind(&said.comment)
    .bind(Timestamp::from(said.at))
    .bind(said.until.map(Timestamp::from))
    .bind(said.severity.word())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn resend(connection: &mut PgConnection, id: &str, author: &Author) -> Outcome<bool> {
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    // Locked, so that the notifier does not change it in between.
    let known = read::delivery(&mut transaction, id).await?;
    let Some(before) = known.filter(|delivery| delivery.state == DeliveryState::Dead) else {
        transaction.rollback().await?;
        return Ok(false);
    };
    let after = before.again(author.at);
    put_deliveries(&mut transaction, &[&after]).await?;
    note(
        &mut transaction,
        author,
        Change::of_delivery(Some(&before), &after)?,
    )
    .await?;
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn request_delivery(
    connection: &mut PgConnection,
    delivery: &Delivery,
    author: &Author,
) -> Outcome<()> {
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    if read::delivery(&mut transaction, &delivery.id).await?.is_some() {
        transaction.rollback().await?;
        return Err(check::taken_id(&delivery.id).into());
    }
    put_deliveries(&mut transaction, &[delivery]).await?;
    note(&mut transaction, author, Change::of_delivery(None, delivery)?).await?;
    transaction.commit().await?;
    Ok(())
}
