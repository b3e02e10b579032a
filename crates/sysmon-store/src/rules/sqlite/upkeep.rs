//! Removes what is old, a piece at a time.

use super::SqliteRules;
use crate::error::StoreError;
use crate::rules::check::{Kept, UPKEEP_ROWS};

pub(super) async fn maintain(rules: &SqliteRules, kept: Kept) -> Result<(), StoreError> {
    for (statement, from) in [
        (
            "DELETE FROM alert_log WHERE id IN (
                 SELECT id FROM alert_log WHERE at_unix_ms < ?1 ORDER BY at_unix_ms LIMIT ?2)",
            kept.log_from,
        ),
        (
            "DELETE FROM delivery WHERE id IN (
                 SELECT id FROM delivery WHERE state IN ('sent', 'dead', 'dropped') AND due_unix_ms < ?1 LIMIT ?2)",
            kept.finished_from,
        ),
        (
            "DELETE FROM silence WHERE id IN (SELECT id FROM silence WHERE until_unix_ms < ?1 LIMIT ?2)",
            kept.finished_from,
        ),
        (
            "DELETE FROM audit_log WHERE id IN (SELECT id FROM audit_log WHERE at_unix_ms < ?1 LIMIT ?2)",
            kept.audit_from,
        ),
        (
            "DELETE FROM alert_state WHERE machine IN (
                 SELECT machine FROM alert_state WHERE saved_unix_ms < ?1
                     AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.machine = alert_state.machine) LIMIT ?2)",
            kept.log_from,
        ),
        (
            "DELETE FROM acknowledgement WHERE (rule, machine, entity) IN (
                 SELECT rule, machine, entity FROM acknowledgement AS said WHERE at_unix_ms < ?1
                     AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.rule = said.rule
                         AND alert.machine = said.machine AND alert.entity = said.entity) LIMIT ?2)",
            kept.orphans_from,
        ),
    ] {
        // Each for itself: nobody who writes waits for all of it.
        sqlx::query(statement)
            .bind(from)
            .bind(UPKEEP_ROWS)
            .execute(&rules.pools.writer)
            .await
            .map_err(|error| rules.failed(error.into()))?;
    }
    Ok(())
}
