//! What people decide, with its entry in the audit log. Within a writing transaction.

use sysmon_core::alert::{Acknowledgement, AlertKey, Rule, RuleId, Silence, SilenceId};

use super::{Outcome, SqliteConnection, read};
use crate::rules::words::Change;
use crate::rules::{Author, Delivery, DeliveryState, Put, StoredRule, check};

pub(super) async fn note(connection: &mut SqliteConnection, author: &Author, change: Change) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO audit_log (at_unix_ms, author, action, object, before, after) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(author.at.0)
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
    connection: &mut SqliteConnection,
    rule: &Rule,
    json: &str,
    expected: u64,
    author: &Author,
) -> Outcome<Put> {
    let present = read::rule(connection, &rule.id).await?;
    if present.as_ref().map_or(0, |present| present.version) != expected {
        return Ok(Put::Conflict(present));
    }
    let before = present.as_ref().map(|present| &present.rule);
    let change = Change::of_rule("rule.put", &rule.id, before, Some(rule))?;
    let stored = store_rule(connection, rule, json, author).await?;
    note(connection, author, change).await?;
    Ok(Put::Done(stored))
}

async fn store_rule(
    connection: &mut SqliteConnection,
    rule: &Rule,
    json: &str,
    author: &Author,
) -> Outcome<StoredRule> {
    let version: i64 = sqlx::query_scalar(
        "INSERT INTO alert_rule (id, title, enabled, version, rule, changed_by, changed_unix_ms)
         VALUES (?1, ?2, ?3, coalesce((SELECT version FROM alert_rule_removed WHERE id = ?1), 0) + 1, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET title = excluded.title, enabled = excluded.enabled,
             version = alert_rule.version + 1, rule = excluded.rule, changed_by = excluded.changed_by,
             changed_unix_ms = excluded.changed_unix_ms
         RETURNING version",
    )
    .bind(rule.id.as_str())
    .bind(&rule.title)
    .bind(rule.enabled)
    .bind(json)
    .bind(&author.name)
    .bind(author.at.0)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM alert_rule_removed WHERE id = ?1")
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
    connection: &mut SqliteConnection,
    id: &RuleId,
    expected: u64,
    author: &Author,
) -> Outcome<Put> {
    let present = match read::rule(connection, id).await? {
        Some(present) if present.version == expected => present,
        other => return Ok(Put::Conflict(other)),
    };
    let change = Change::of_rule("rule.delete", id, Some(&present.rule), None)?;
    sqlx::query(
        "INSERT OR REPLACE INTO alert_rule_removed (id, version) SELECT id, version FROM alert_rule WHERE id = ?1",
    )
    .bind(id.as_str())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM alert_rule WHERE id = ?1")
        .bind(id.as_str())
        .execute(&mut *connection)
        .await?;
    note(connection, author, change).await?;
    Ok(Put::Done(present))
}

pub(super) async fn install_starter(
    connection: &mut SqliteConnection,
    rules: &[Rule],
    jsons: &[String],
    author: &Author,
) -> Outcome<usize> {
    let first = sqlx::query("UPDATE alert_setting SET has_starter = 1 WHERE has_starter = 0")
        .execute(&mut *connection)
        .await?;
    if first.rows_affected() == 0 {
        return Ok(0);
    }
    let mut stored = 0;
    for (rule, json) in rules.iter().zip(jsons) {
        let was_there: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM alert_rule WHERE id = ?1)
                 OR EXISTS (SELECT 1 FROM alert_rule_removed WHERE id = ?1)",
        )
        .bind(rule.id.as_str())
        .fetch_one(&mut *connection)
        .await?;
        if was_there {
            continue;
        }
        store_rule(connection, rule, json, author).await?;
        let change = Change::of_rule("rule.starter", &rule.id, None, Some(rule))?;
        note(connection, author, change).await?;
        stored += 1;
    }
    Ok(stored)
}

pub(super) async fn add_silence(
    connection: &mut SqliteConnection,
    mut silence: Silence,
    matcher: &str,
    author: &Author,
) -> Outcome<Silence> {
    let id = sqlx::query_scalar(
        "INSERT INTO silence (matcher, from_unix_ms, until_unix_ms, made_by, comment)
         VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
    )
    .bind(matcher)
    .bind(silence.from.0)
    .bind(silence.until.0)
    .bind(&silence.by)
    .bind(&silence.comment)
    .fetch_one(&mut *connection)
    .await?;
    silence.id = SilenceId(id);
    note(connection, author, Change::of_silence(None, &silence)?).await?;
    Ok(silence)
}

pub(super) async fn end_silence(
    connection: &mut SqliteConnection,
    id: SilenceId,
    author: &Author,
) -> Outcome<bool> {
    let Some(before) = read::silence(connection, id)
        .await?
        .filter(|silence| silence.until > author.at)
    else {
        return Ok(false);
    };
    let after = Silence {
        until: author.at,
        ..before.clone()
    };
    sqlx::query("UPDATE silence SET until_unix_ms = ?2 WHERE id = ?1")
        .bind(id.0)
        .bind(author.at.0)
        .execute(&mut *connection)
        .await?;
    note(connection, author, Change::of_silence(Some(&before), &after)?).await?;
    Ok(true)
}

pub(super) async fn acknowledge(
    connection: &mut SqliteConnection,
    key: &AlertKey,
    said: Option<&Acknowledgement>,
    author: &Author,
) -> Outcome<()> {
    let before = read::acknowledgement(connection, key).await?;
    if before.is_none() && said.is_none() {
        return Ok(());
    }
    match said {
        Some(said) => {
            sqlx::query(
                "INSERT OR REPLACE INTO acknowledgement
                 (rule, machine, entity, made_by, comment, at_unix_ms, until_unix_ms, severity)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )
            .bind(key.rule.as_str())
            .bind(key.machine.as_str())
            .bind(&*key.entity)
            .bind(&said.by)
            .bind(&said.comment)
            .bind(said.at.0)
            .bind(said.until.map(|until| until.0))
            .bind(said.severity.word())
            .execute(&mut *connection)
            .await?;
        }
        None => forget_acknowledgement(connection, key).await?,
    }
    let change = Change::of_acknowledgement(key, before.as_ref(), said)?;
    note(connection, author, change).await
}

pub(super) async fn forget_acknowledgement(connection: &mut SqliteConnection, key: &AlertKey) -> Outcome<()> {
    sqlx::query("DELETE FROM acknowledgement WHERE rule = ?1 AND machine = ?2 AND entity = ?3")
        .bind(key.rule.as_str())
        .bind(key.machine.as_str())
        .bind(&*key.entity)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn resend(connection: &mut SqliteConnection, id: &str, author: &Author) -> Outcome<bool> {
    let Some(before) = read::delivery(connection, id)
        .await?
        .filter(|delivery| delivery.state == DeliveryState::Dead)
    else {
        return Ok(false);
    };
    let after = before.again(author.at);
    put_delivery(connection, &after).await?;
    note(connection, author, Change::of_delivery(Some(&before), &after)?).await?;
    Ok(true)
}

pub(super) async fn request_delivery(
    connection: &mut SqliteConnection,
    delivery: &Delivery,
    author: &Author,
) -> Outcome<()> {
    if read::delivery(connection, &delivery.id).await?.is_some() {
        return Err(check::taken_id(&delivery.id).into());
    }
    put_delivery(connection, delivery).await?;
    note(connection, author, Change::of_delivery(None, delivery)?).await
}

pub(super) async fn put_delivery(connection: &mut SqliteConnection, delivery: &Delivery) -> Outcome<()> {
    sqlx::query(
        "INSERT OR REPLACE INTO delivery
         (id, receiver, content, created_unix_ms, state, attempts, due_unix_ms, problem)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )
    .bind(&delivery.id)
    .bind(&delivery.receiver)
    .bind(&delivery.content)
    .bind(delivery.created.0)
    .bind(delivery.state.word())
    .bind(delivery.attempts)
    .bind(delivery.due.0)
    .bind(&delivery.problem)
    .execute(connection)
    .await?;
    Ok(())
}
