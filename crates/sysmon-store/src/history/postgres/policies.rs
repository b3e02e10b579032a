//! TimescaleDB's background work, by the settings: what is compressed, rolled up and forgotten when.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::failure::Failure;
use super::late::TIMESCALE_DELAY_MS;
use super::maintain::{LATE_MS, kinds, roll_ups};
use super::settings;
use crate::history::Retention;

/// Changed whenever what follows is, so that existing databases get it.
const VERSION: u32 = 2;
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
    let interval = |ms: u64| format!("INTERVAL '{} seconds'", ms / 1_000);
    // Never where samples are forgotten already: that would forget their roll-ups too.
    let late_ms = LATE_MS.cast_unsigned();
    let reach_ms = late_ms
        .min(retention.raw_ms.saturating_sub(6 * HOUR_MS))
        .max(4 * HOUR_MS);
    // What is removed and made in which order is what TimescaleDB insists on.
    let mut script = String::new();
    let mut relation = |name: &str, kept_ms: u64, compress_after_ms: u64, refresh: Option<(u64, u64)>| {
        let _ = write!(
            script,
            "SELECT remove_retention_policy('{name}', if_exists => true);
             SELECT remove_compression_policy('{name}', if_exists => true);"
        );
        if let Some((end_ms, every_ms)) = refresh {
            let _ = write!(
                script,
                "SELECT remove_continuous_aggregate_policy('{name}', if_exists => true);
                 SELECT add_continuous_aggregate_policy('{name}', start_offset => {},
                     end_offset => {}, schedule_interval => {});",
                interval(reach_ms),
                interval(end_ms),
                interval(every_ms),
            );
        }
        let _ = write!(
            script,
            "SELECT add_compression_policy('{name}', compress_after => {});
             SELECT add_retention_policy('{name}', drop_after => {});",
            interval(compress_after_ms),
            interval(kept_ms.max(HOUR_MS)),
        );
    };
    for kind in kinds() {
        relation(&format!("{kind}_sample"), retention.raw_ms, 12 * HOUR_MS, None);
    }
    // Roll-ups are only compressed once no late sample can change them.
    let day_ms = 24 * HOUR_MS;
    for table in roll_ups("minute") {
        let refresh = Some((TIMESCALE_DELAY_MS.cast_unsigned(), 300_000));
        relation(&table, retention.minute_ms, late_ms + day_ms, refresh);
    }
    for table in roll_ups("five_minutes") {
        let refresh = Some((TIMESCALE_DELAY_MS.cast_unsigned(), 300_000));
        relation(&table, retention.minute_ms, late_ms + 2 * day_ms, refresh);
    }
    for table in roll_ups("hour") {
        let refresh = Some((HOUR_MS, HOUR_MS / 2));
        relation(&table, retention.hour_ms, late_ms + 31 * day_ms, refresh);
    }
    script
}
