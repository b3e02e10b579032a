//! What alert services keep: leases, shards, the notifier. Within a writing transaction.

use std::collections::BTreeMap;

use sysmon_core::MachineId;
use sysmon_core::alert::{Alert, AlertKey, Transition};

use super::people::{forget_acknowledgement, put_delivery};
use super::{Outcome, SqliteConnection, read};
use crate::rules::check::{CheckedNotifierWork, CheckedWork};
use crate::rules::lease::{self, Held, Request, now_ms};
use crate::rules::words::{Detail, to_json, work_name, work_of};
use crate::rules::{Lease, Notifier, Work};

pub(super) async fn leases(connection: &mut SqliteConnection) -> Outcome<BTreeMap<Work, Held>> {
    let rows: Vec<(String, Option<String>, i64, i64)> =
        sqlx::query_as("SELECT work, holder, fence, until_unix_ms FROM alert_lease")
            .fetch_all(connection)
            .await?;
    let known = rows.into_iter().filter_map(|(work, holder, fence, until_ms)| {
        let held = Held {
            holder,
            fence,
            until_ms,
        };
        Some((work_of(&work)?, held))
    });
    Ok(known.collect())
}

pub(super) async fn lease(connection: &mut SqliteConnection, request: Request<'_>) -> Outcome<Vec<Lease>> {
    let mut leases = leases(connection).await?;
    let before = leases.clone();
    // The clock is read after the lock was waited for.
    let own = lease::lease(&mut leases, request, now_ms());
    // All in one statement: this runs every few seconds for as long as the service does.
    let changed: Vec<_> = leases
        .iter()
        .filter(|(work, held)| before.get(work) != Some(held))
        .map(|(work, held)| (work_name(*work), &held.holder, held.fence, held.until_ms))
        .collect();
    if !changed.is_empty() {
        let changed = serde_json::to_string(&changed).map_err(|error| sqlx::Error::Encode(error.into()))?;
        sqlx::query(
            "INSERT OR REPLACE INTO alert_lease (work, holder, fence, until_unix_ms) \
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1)",
        )
        .bind(changed)
        .execute(&mut *connection)
        .await?;
    }
    Ok(own)
}

pub(super) async fn release(connection: &mut SqliteConnection, leases: &[Lease]) -> Outcome<()> {
    for lease in leases {
        sqlx::query("UPDATE alert_lease SET holder = NULL WHERE work = ?1 AND fence = ?2")
            .bind(work_name(lease.work))
            .bind(lease.fence)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn is_current(connection: &mut SqliteConnection, lease: &Lease) -> Outcome<bool> {
    let is_current =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM alert_lease WHERE work = ?1 AND fence = ?2)")
            .bind(work_name(lease.work))
            .bind(lease.fence)
            .fetch_one(connection)
            .await?;
    Ok(is_current)
}

pub(super) async fn save_shard(
    connection: &mut SqliteConnection,
    lease: &Lease,
    work: &CheckedWork<'_>,
) -> Outcome<bool> {
    if !is_current(connection, lease).await? {
        return Ok(false);
    }
    for key in &work.gone {
        forget_alert(connection, key).await?;
    }
    for alert in work.alerts.values() {
        put_alert(connection, work.shard, alert).await?;
    }
    for machine in &work.forgotten {
        sqlx::query("DELETE FROM alert_state WHERE machine = ?1")
            .bind(machine.as_str())
            .execute(&mut *connection)
            .await?;
    }
    let now = now_ms();
    for (machine, state) in &work.states {
        put_state(connection, work.shard, machine, state, now).await?;
    }
    for transition in work.transitions {
        log(connection, transition).await?;
    }
    Ok(true)
}

async fn forget_alert(connection: &mut SqliteConnection, key: &AlertKey) -> Outcome<()> {
    sqlx::query("DELETE FROM alert WHERE rule = ?1 AND machine = ?2 AND entity = ?3")
        .bind(key.rule.as_str())
        .bind(key.machine.as_str())
        .bind(&*key.entity)
        .execute(&mut *connection)
        .await?;
    forget_acknowledgement(connection, key).await
}

async fn put_alert(connection: &mut SqliteConnection, shard: u32, alert: &Alert) -> Outcome<()> {
    let detail = Detail {
        acknowledged: alert.acknowledged.clone(),
        culprits: alert.culprits.clone(),
    };
    sqlx::query(
        "INSERT OR REPLACE INTO alert
         (rule, machine, entity, shard, phase, severity, since_unix_ms, fired_unix_ms, value, threshold, peak, flapping,
          inhibited, silence, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )
    .bind(alert.key.rule.as_str())
    .bind(alert.key.machine.as_str())
    .bind(&*alert.key.entity)
    .bind(shard)
    .bind(alert.phase.word())
    .bind(alert.severity.word())
    .bind(alert.since.0)
    .bind(alert.fired.map(|fired| fired.0))
    .bind(alert.value)
    .bind(alert.threshold)
    .bind(alert.peak)
    .bind(alert.flapping)
    .bind(alert.inhibited)
    .bind(alert.silenced.map(|silence| silence.0))
    .bind(to_json(&detail)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_state(
    connection: &mut SqliteConnection,
    shard: u32,
    machine: &MachineId,
    state: &[u8],
    now: i64,
) -> Outcome<()> {
    sqlx::query(
        "INSERT OR REPLACE INTO alert_state (machine, shard, state, saved_unix_ms) VALUES (?1, ?2, ?3, ?4)",
    )
    .bind(machine.as_str())
    .bind(shard)
    .bind(state)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

async fn log(connection: &mut SqliteConnection, transition: &Transition) -> Outcome<()> {
    let detail = Detail {
        acknowledged: None,
        culprits: transition.culprits.clone(),
    };
    sqlx::query(
        "INSERT INTO alert_log
         (rule, machine, entity, at_unix_ms, from_phase, to_phase, severity_before, severity, cause, value, threshold,
          fired_unix_ms, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
         ON CONFLICT (rule, machine, entity, at_unix_ms, to_phase, severity) DO NOTHING",
    )
    .bind(transition.key.rule.as_str())
    .bind(transition.key.machine.as_str())
    .bind(&*transition.key.entity)
    .bind(transition.at.0)
    .bind(transition.from.word())
    .bind(transition.to.word())
    .bind(transition.severity_before.word())
    .bind(transition.severity.word())
    .bind(transition.cause.word())
    .bind(transition.value)
    .bind(transition.threshold)
    .bind(transition.fired.map(|fired| fired.0))
    .bind(to_json(&detail)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// What the notifier needs. The first time settles where it begins, so that it misses nothing if it ends at once.
pub(super) async fn notifier(connection: &mut SqliteConnection) -> Outcome<Notifier> {
    sqlx::query("INSERT OR IGNORE INTO notifier (id, read) SELECT 1, coalesce(max(id), 0) FROM alert_log")
        .execute(&mut *connection)
        .await?;
    let (read, groups) = read::groups(connection).await?;
    Ok(Notifier {
        read,
        groups,
        pending: read::pending(connection).await?,
    })
}

pub(super) async fn save_notifier(
    connection: &mut SqliteConnection,
    lease: &Lease,
    work: &CheckedNotifierWork<'_>,
) -> Outcome<bool> {
    if !is_current(connection, lease).await? {
        return Ok(false);
    }
    if let Some(read) = work.read {
        sqlx::query("INSERT OR REPLACE INTO notifier (id, read) VALUES (1, ?1)")
            .bind(read)
            .execute(&mut *connection)
            .await?;
    }
    for (key, state) in &work.groups {
        let change = if state.is_empty() {
            sqlx::query("DELETE FROM notifier_group WHERE key = ?1").bind(*key)
        } else {
            sqlx::query("INSERT OR REPLACE INTO notifier_group (key, state) VALUES (?1, ?2)")
                .bind(*key)
                .bind(state.as_ref())
        };
        change.execute(&mut *connection).await?;
    }
    for delivery in work.deliveries.values() {
        put_delivery(connection, delivery).await?;
    }
    Ok(true)
}
