//! What alert services keep: leases, shards, the notifier.

use sqlx::{Connection as _, PgConnection};
use sysmon_core::alert::{Alert, AlertKey, Transition};

use super::{Outcome, read};
use crate::history::postgres::timestamp::Timestamp;
use crate::rules::check::{CheckedNotifierWork, CheckedWork};
use crate::rules::lease::Request;
use crate::rules::words::{Detail, to_json, work_name, work_of};
use crate::rules::{Delivery, Lease, Notifier, Work};

/// Held by who adds to the log until the end of its transaction: an entry never appears after a higher one did. `sysmon` in
/// ASCII and a number.
const LOG_LOCK: i64 = 0x73_7973_6d6f_6e02;

/// States of machines that go into one statement: with the largest ones it has 32 MiB.
const STATES_AT_ONCE: usize = 32;
/// Deliveries that go into one statement.
const DELIVERIES_AT_ONCE: usize = 32;

/// Renewing changes only until when a lease lasts, so it does not wait for what is being saved under it
/// (`FOR KEY SHARE`). A take-over does: a lease that something is being saved under is left alone for now.
pub(super) async fn lease(connection: &mut PgConnection, request: Request<'_>) -> Outcome<Vec<Lease>> {
    let lease_ms = i64::try_from(request.lease_ms).unwrap_or(i64::MAX);
    let names: Vec<String> = request.wanted.iter().map(|work| work_name(*work)).collect();
    let mut transaction = connection.begin().await?;
    let renewed: Vec<(String, i64)> = sqlx::query_as(
        "UPDATE alert_lease SET until_at = now() + $2 * INTERVAL '1 millisecond' WHERE holder = $1
         RETURNING work, fence",
    )
    .bind(request.holder)
    .bind(lease_ms)
    .fetch_all(&mut *transaction)
    .await?;
    let room = request.most.saturating_sub(renewed.len());
    let mut own = renewed;
    if room > 0 && !names.is_empty() {
        let taken = take(&mut transaction, request.holder, lease_ms, &names, room).await?;
        own.extend(taken);
    }
    transaction.commit().await?;
    let mut leases: Vec<Lease> = own
        .into_iter()
        .filter_map(|(work, fence)| {
            Some(Lease {
                work: work_of(&work)?,
                fence,
            })
        })
        .collect();
    leases.sort_by_key(|lease| lease.work);
    Ok(leases)
}

async fn take(
    connection: &mut PgConnection,
    holder: &str,
    lease_ms: i64,
    names: &[String],
    room: usize,
) -> Outcome<Vec<(String, i64)>> {
    sqlx::query(
        "INSERT INTO alert_lease (work)
         SELECT DISTINCT work FROM unnest($1::text[]) AS wanted (work)
         WHERE NOT EXISTS (SELECT FROM alert_lease WHERE alert_lease.work = wanted.work)
         ORDER BY work
         ON CONFLICT (work) DO NOTHING",
    )
    .bind(names)
    .execute(&mut *connection)
    .await?;
    let taken = sqlx::query_as(
        "WITH free AS (
             SELECT work FROM alert_lease
             WHERE work = ANY($3) AND (holder IS NULL OR until_at <= now()) AND holder IS DISTINCT FROM $1
             ORDER BY array_position($3, work)
             LIMIT $4
             FOR UPDATE SKIP LOCKED
         )
         UPDATE alert_lease SET holder = $1, fence = fence + 1, until_at = now() + $2 * INTERVAL '1 millisecond'
         FROM free WHERE alert_lease.work = free.work
         RETURNING alert_lease.work, alert_lease.fence",
    )
    .bind(holder)
    .bind(lease_ms)
    .bind(names)
    .bind(i64::try_from(room).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    Ok(taken)
}

pub(super) async fn holders(connection: &mut PgConnection) -> Outcome<Vec<(Work, String)>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT work, holder FROM alert_lease WHERE holder IS NOT NULL AND until_at > now()")
            .fetch_all(connection)
            .await?;
    let known = rows
        .into_iter()
        .filter_map(|(work, holder)| Some((work_of(&work)?, holder)));
    let mut holders: Vec<(Work, String)> = known.collect();
    holders.sort();
    Ok(holders)
}

pub(super) async fn release(connection: &mut PgConnection, leases: &[Lease]) -> Outcome<()> {
    let works: Vec<String> = leases.iter().map(|lease| work_name(lease.work)).collect();
    let fences: Vec<i64> = leases.iter().map(|lease| lease.fence).collect();
    sqlx::query(
        "UPDATE alert_lease SET holder = NULL
         FROM unnest($1::text[], $2::bigint[]) AS given (work, fence)
         WHERE alert_lease.work = given.work AND alert_lease.fence = given.fence",
    )
    .bind(works)
    .bind(fences)
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a lease is still its holder's; if so it stays it until the end of the transaction.
async fn is_current(connection: &mut PgConnection, lease: &Lease) -> Outcome<bool> {
    let row = sqlx::query("SELECT FROM alert_lease WHERE work = $1 AND fence = $2 FOR KEY SHARE")
        .bind(work_name(lease.work))
        .bind(lease.fence)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

pub(super) async fn save_shard(
    connection: &mut PgConnection,
    lease: &Lease,
    work: &CheckedWork<'_>,
) -> Outcome<bool> {
    let mut transaction = connection.begin().await?;
    if !is_current(&mut transaction, lease).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    let gone: Vec<&AlertKey> = work.gone.iter().copied().collect();
    if !gone.is_empty() {
        forget_alerts(&mut transaction, &gone).await?;
    }
    let alerts: Vec<&Alert> = work.alerts.values().copied().collect();
    if !alerts.is_empty() {
        put_alerts(&mut transaction, work.shard, &alerts).await?;
    }
    save_states(&mut transaction, work).await?;
    // Last, because others who log wait until this one is through.
    if !work.transitions.is_empty() {
        log(&mut transaction, work.transitions).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

fn key_columns<'a>(keys: &[&'a AlertKey]) -> [Vec<&'a str>; 3] {
    [
        keys.iter().map(|key| key.rule.as_str()).collect(),
        keys.iter().map(|key| key.machine.as_str()).collect(),
        keys.iter().map(|key| &*key.entity).collect(),
    ]
}

async fn forget_alerts(connection: &mut PgConnection, keys: &[&AlertKey]) -> Outcome<()> {
    let [rules, machines, entities] = key_columns(keys);
    for statement in [
        "DELETE FROM alert USING unnest($1::text[], $2::text[], $3::text[]) AS gone (rule, machine, entity)
         WHERE (alert.rule, alert.machine, alert.entity) = (gone.rule, gone.machine, gone.entity)",
        "DELETE FROM acknowledgement said
         USING unnest($1::text[], $2::text[], $3::text[]) AS gone (rule, machine, entity)
         WHERE (said.rule, said.machine, said.entity) = (gone.rule, gone.machine, gone.entity)",
    ] {
        sqlx::query(statement)
            .bind(&rules)
            .bind(&machines)
            .bind(&entities)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

async fn put_alerts(connection: &mut PgConnection, shard: u32, alerts: &[&Alert]) -> Outcome<()> {
    let keys: Vec<&AlertKey> = alerts.iter().map(|alert| &alert.key).collect();
    let [rules, machines, entities] = key_columns(&keys);
    let detail = |alert: &&Alert| {
        to_json(&Detail {
            acknowledged: alert.acknowledged.clone(),
            culprits: alert.culprits.clone(),
        })
    };
    let details = alerts.iter().map(detail).collect::<Result<Vec<String>, _>>()?;
    sqlx::query(
        "INSERT INTO alert (rule, machine, entity, shard, phase, severity, since_at, fired_at, value, threshold, peak,
             flapping, inhibited, silence_id, detail)
         SELECT rule, machine, entity, $1::bigint, phase, severity, since_at, fired_at, value, threshold, peak,
             flapping, inhibited, silence_id, detail::jsonb
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
             $9::float8[], $10::float8[], $11::float8[], $12::bool[], $13::bool[], $14::bigint[], $15::text[])
             AS new (rule, machine, entity, phase, severity, since_at, fired_at, value, threshold, peak, flapping,
             inhibited, silence_id, detail)
         ON CONFLICT (rule, machine, entity) DO UPDATE SET shard = excluded.shard, phase = excluded.phase,
             severity = excluded.severity, since_at = excluded.since_at, fired_at = excluded.fired_at,
             value = excluded.value, threshold = excluded.threshold, peak = excluded.peak, flapping = excluded.flapping,
             inhibited = excluded.inhibited, silence_id = excluded.silence_id, detail = excluded.detail",
    )
    .bind(i64::from(shard))
    .bind(rules)
    .bind(machines)
    .bind(entities)
    .bind(column(alerts, |alert| alert.phase.word()))
    .bind(column(alerts, |alert| alert.severity.word()))
    .bind(column(alerts, |alert| Timestamp::from(alert.since)))
    .bind(column(alerts, |alert| alert.fired.map(Timestamp::from)))
    .bind(column(alerts, |alert| alert.value))
    .bind(column(alerts, |alert| alert.threshold))
    .bind(column(alerts, |alert| alert.peak))
    .bind(column(alerts, |alert| alert.flapping))
    .bind(column(alerts, |alert| alert.inhibited))
    .bind(column(alerts, |alert| alert.silenced.map(|silence| silence.0)))
    .bind(details)
    .execute(connection)
    .await?;
    Ok(())
}

fn column<R, T>(rows: &[&R], value: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}

async fn save_states(connection: &mut PgConnection, work: &CheckedWork<'_>) -> Outcome<()> {
    if !work.forgotten.is_empty() {
        let machines: Vec<&str> = work.forgotten.iter().map(|machine| machine.as_str()).collect();
        sqlx::query("DELETE FROM alert_state WHERE machine = ANY($1)")
            .bind(machines)
            .execute(&mut *connection)
            .await?;
    }
    let states: Vec<(&str, &[u8])> = work
        .states
        .iter()
        .map(|(machine, state)| (machine.as_str(), state.as_ref()))
        .collect();
    for some in states.chunks(STATES_AT_ONCE) {
        let (machines, states): (Vec<&str>, Vec<&[u8]>) = some.iter().copied().unzip();
        sqlx::query(
            "INSERT INTO alert_state (machine, shard, state, saved_at)
             SELECT machine, $1::bigint, state, now() FROM unnest($2::text[], $3::bytea[]) AS new (machine, state)
             ON CONFLICT (machine) DO UPDATE SET shard = excluded.shard, state = excluded.state,
                 saved_at = excluded.saved_at",
        )
        .bind(i64::from(work.shard))
        .bind(machines)
        .bind(states)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn log(connection: &mut PgConnection, transitions: &[Transition]) -> Outcome<()> {
    let steps: Vec<&Transition> = transitions.iter().collect();
    let keys: Vec<&AlertKey> = steps.iter().map(|step| &step.key).collect();
    let [rules, machines, entities] = key_columns(&keys);
    let detail = |step: &&Transition| {
        to_json(&Detail {
            acknowledged: None,
            culprits: step.culprits.clone(),
        })
    };
    let details = steps.iter().map(detail).collect::<Result<Vec<String>, _>>()?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOG_LOCK)
        .execute(&mut *connection)
        .await?;
    // A step that is there already is dropped, and the rest gets numbers in the order of the work.
    sqlx::query(
        "INSERT INTO alert_log (rule, machine, entity, at, from_phase, to_phase, severity_before, severity, cause, value,
             threshold, fired_at, detail)
         SELECT rule, machine, entity, at, from_phase, to_phase, severity_before, severity, cause, value, threshold,
             fired_at, detail::jsonb
         FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[],
             $8::text[], $9::text[], $10::float8[], $11::float8[], $12::timestamptz[], $13::text[]) WITH ORDINALITY
             AS new (rule, machine, entity, at, from_phase, to_phase, severity_before, severity, cause, value, threshold,
             fired_at, detail, place)
         ORDER BY place
         ON CONFLICT (rule, machine, entity, at, to_phase, severity) DO NOTHING",
    )
    .bind(rules)
    .bind(machines)
    .bind(entities)
    .bind(column(&steps, |step| Timestamp::from(step.at)))
    .bind(column(&steps, |step| step.from.word()))
    .bind(column(&steps, |step| step.to.word()))
    .bind(column(&steps, |step| step.severity_before.word()))
    .bind(column(&steps, |step| step.severity.word()))
    .bind(column(&steps, |step| step.cause.word()))
    .bind(column(&steps, |step| step.value))
    .bind(column(&steps, |step| step.threshold))
    .bind(column(&steps, |step| step.fired.map(Timestamp::from)))
    .bind(details)
    .execute(connection)
    .await?;
    Ok(())
}

/// What the notifier needs. The first time settles where it begins, so that it misses nothing if it ends at once.
pub(super) async fn notifier(connection: &mut PgConnection) -> Outcome<Notifier> {
    sqlx::query(
        "INSERT INTO notifier (id, read) SELECT 1, coalesce(max(id), 0) FROM alert_log
         HAVING NOT EXISTS (SELECT FROM notifier)
         ON CONFLICT (id) DO NOTHING",
    )
    .execute(&mut *connection)
    .await?;
    let mut look = super::look(connection).await?;
    let (read, groups) = read::groups(&mut look).await?;
    let pending = read::pending(&mut look).await?;
    look.commit().await?;
    Ok(Notifier {
        read,
        groups,
        pending,
    })
}

pub(super) async fn save_notifier(
    connection: &mut PgConnection,
    lease: &Lease,
    work: &CheckedNotifierWork<'_>,
) -> Outcome<bool> {
    let mut transaction = connection.begin().await?;
    if !is_current(&mut transaction, lease).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    if let Some(read) = work.read {
        sqlx::query(
            "INSERT INTO notifier (id, read) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET read = excluded.read",
        )
        .bind(read)
        .execute(&mut *transaction)
        .await?;
    }
    for (key, state) in &work.groups {
        let change = if state.is_empty() {
            sqlx::query("DELETE FROM notifier_group WHERE key = $1").bind(*key)
        } else {
            sqlx::query(
                "INSERT INTO notifier_group (key, state) VALUES ($1, $2)
                 ON CONFLICT (key) DO UPDATE SET state = excluded.state",
            )
            .bind(*key)
            .bind(state.as_ref())
        };
        change.execute(&mut *transaction).await?;
    }
    let deliveries: Vec<&Delivery> = work.deliveries.values().copied().collect();
    for some in deliveries.chunks(DELIVERIES_AT_ONCE) {
        put_deliveries(&mut transaction, some).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

pub(super) async fn put_deliveries(connection: &mut PgConnection, deliveries: &[&Delivery]) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO delivery (id, receiver, content, created_at, state, attempts, due_at, problem)
         SELECT id, receiver, content::json, created_at, state, attempts, due_at, problem
         FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::bigint[], $7::timestamptz[],
             $8::text[]) AS new (id, receiver, content, created_at, state, attempts, due_at, problem)
         ON CONFLICT (id) DO UPDATE SET receiver = excluded.receiver, content = excluded.content,
             created_at = excluded.created_at, state = excluded.state, attempts = excluded.attempts,
             due_at = excluded.due_at, problem = excluded.problem",
    )
    .bind(column(deliveries, |delivery| delivery.id.clone()))
    .bind(column(deliveries, |delivery| delivery.receiver.clone()))
    .bind(column(deliveries, |delivery| delivery.content.clone()))
    .bind(column(deliveries, |delivery| Timestamp::from(delivery.created)))
    .bind(column(deliveries, |delivery| delivery.state.word()))
    .bind(column(deliveries, |delivery| i64::from(delivery.attempts)))
    .bind(column(deliveries, |delivery| Timestamp::from(delivery.due)))
    .bind(column(deliveries, |delivery| delivery.problem.clone()))
    .execute(connection)
    .await?;
    Ok(())
}
