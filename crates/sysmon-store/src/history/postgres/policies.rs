//! TimescaleDB's background work, by the settings: what is compressed, rolled up and forgotten when.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::failure::Failure;
use super::maintain::{LATE_MS, kinds, roll_ups};
use super::settings;
use crate::history::Retention;

/// Changed whenever what follows is, so that existing databases get it.
const VERSION: u32 = 1;
/// Under which name it is remembered which policies a database has.
const NAME: &str = "policies";
const HOUR_MS: u64 = 3_600_000;
/// Serialises starters; `sysmon` and 3.
const LOCK: i64 = 0x7379_736d_6f6e_0003;

/// Gives the database the policies of these settings, unless it has them.
pub(super) async fn apply(connection: &mut PgConnection, retention: &Retention) -> Result<(), Failure> {
    let wanted = format!(
        "{VERSION} {} {} {}",
        retention.raw_ms, retention.minute_ms, retention.hour_ms
    );
    let mut transaction = connection.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await?;
    if settings::text(&mut transaction, NAME).await?.as_deref() == Some(&wanted) {
        transaction.rollback().await?;
        return Ok(());
    }
    sqlx::raw_sql(AssertSqlSafe(script(retention)))
        .execute(&mut *transaction)
        .await?;
    settings::set_text(&mut transaction, NAME, &wanted).await?;
    transaction.commit().await?;
    Ok(())
}

fn script(retention: &Retention) -> String {
    let mut script = String::new();
    let interval = |ms: u64| format!("INTERVAL '{} seconds'", ms / 1_000);
    let mut relation = |name: &str, kept_ms: u64, compress_after_ms: u64| {
        let _ = write!(
            script,
            "SELECT remove_retention_policy('{name}', if_exists => true);
             SELECT add_retention_policy('{name}', drop_after => {});
             SELECT remove_compression_policy('{name}', if_exists => true);
             SELECT add_compression_policy('{name}', compress_after => {});",
            interval(kept_ms.max(HOUR_MS)),
            interval(compress_after_ms),
        );
    };
    // Roll-ups are only compressed once no late sample can change them.
    let late_ms = LATE_MS.cast_unsigned();
    for kind in kinds() {
        relation(&format!("{kind}_sample"), retention.raw_ms, 12 * HOUR_MS);
    }
    for table in roll_ups("minute") {
        relation(&table, retention.minute_ms, late_ms + 24 * HOUR_MS);
    }
    for table in roll_ups("hour") {
        relation(&table, retention.hour_ms, late_ms + 31 * 24 * HOUR_MS);
    }
    // Never where samples are forgotten already: that would forget their roll-ups too.
    let reach_ms = late_ms
        .min(retention.raw_ms.saturating_sub(6 * HOUR_MS))
        .max(4 * HOUR_MS);
    for (tier, end_ms, every_ms) in [("minute", 60_000, 300_000), ("hour", HOUR_MS, 1_800_000)] {
        for table in roll_ups(tier) {
            let _ = write!(
                script,
                "SELECT remove_continuous_aggregate_policy('{table}', if_exists => true);
                 SELECT add_continuous_aggregate_policy('{table}', start_offset => {},
                     end_offset => {}, schedule_interval => {});",
                interval(reach_ms),
                interval(end_ms),
                interval(every_ms),
            );
        }
    }
    script
}
