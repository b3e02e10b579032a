//! Removes what is old, a piece at a time.

use sqlx::PgConnection;
use sysmon_core::UnixMillis;

use super::Outcome;
use crate::history::postgres::timestamp::Timestamp;
use crate::rules::check::{Kept, UPKEEP_ROWS};

pub(super) async fn maintain(connection: &mut PgConnection, kept: Kept) -> Outcome<()> {
    for (statement, from) in [
        (
            "DELETE FROM alert_log WHERE id IN (SELECT id FROM alert_log WHERE at < $1 ORDER BY at LIMIT $2)",
            kept.log_from,
        ),
        (
            "DELETE FROM delivery WHERE id IN (
                 SELECT id FROM delivery WHERE state IN ('sent', 'dead', 'dropped') AND due_at < $1 LIMIT $2)",
            kept.finished_from,
        ),
        (
            "DELETE FROM silence WHERE id IN (SELECT id FROM silence WHERE until_at < $1 LIMIT $2)",
            kept.finished_from,
        ),
        (
            "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at < $1 LIMIT $2)",
            kept.audit_from,
        ),
        (
            // Somebody may be saving one of them at this moment.
            "DELETE FROM alert_state WHERE machine IN (
                 SELECT machine FROM alert_state WHERE saved_at < $1
                     AND NOT EXISTS (SELECT FROM alert WHERE alert.machine = alert_state.machine)
                 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            kept.log_from,
        ),
        (
            "DELETE FROM acknowledgement WHERE (rule, machine, entity) IN (
                 SELECT said.rule, said.machine, said.entity FROM acknowledgement said WHERE said.at < $1
                     AND NOT EXISTS (SELECT FROM alert
                         WHERE (alert.rule, alert.machine, alert.entity) = (said.rule, said.machine, said.entity))
                 LIMIT $2 FOR UPDATE SKIP LOCKED)",
            kept.orphans_from,
        ),
    ] {
        // Each for itself: nobody who writes waits for all of it.
        sqlx::query(statement)
            .bind(Timestamp::from(UnixMillis(from)))
            .bind(UPKEEP_ROWS)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
