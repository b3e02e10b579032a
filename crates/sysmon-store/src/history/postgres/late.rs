//! Samples that come after their hour was rolled up: answers read them from the samples until it is rolled up again.
//!
//! Without TimescaleDB whoever commits reads how far the roll-ups are while it holds a shared lock to its end; whoever rolls
//! up moves that mark under the exclusive lock first and reads the samples afterwards. So every sample is either seen there
//! or noted here. TimescaleDB keeps such a list of its own to roll up by; but its answers lack what is on it until then.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use sysmon_core::UnixMillis;

use super::failure::Failure;
use super::migrate::Flavour;
use super::settings::{self, Setting};
use super::timestamp::Timestamp;

const HOUR_MS: i64 = 3_600_000;

/// `sysmon` and 1.
const LOCK: i64 = 0x7379_736d_6f6e_0001;

/// How long TimescaleDB leaves the newest samples out of the roll-ups: what comes within it is not late.
pub(super) const TIMESCALE_DELAY_MS: i64 = 600_000;

/// Notes the hours of those samples that the roll-ups have gone past.
pub(super) async fn note(
    connection: &mut PgConnection,
    flavour: Flavour,
    stored: &[(i32, UnixMillis)],
) -> Result<(), Failure> {
    let claimed = match flavour {
        Flavour::Plain => {
            sqlx::query("SELECT pg_advisory_xact_lock_shared($1)")
                .bind(LOCK)
                .execute(&mut *connection)
                .await?;
            settings::get(connection, Setting::MinuteClaimed).await?
        }
        Flavour::Timescale => {
            let now: Timestamp = sqlx::query_scalar("SELECT clock_timestamp()")
                .fetch_one(&mut *connection)
                .await?;
            let done = settings::get(connection, Setting::MinuteDone).await?;
            done.max(Some(now.0 - TIMESCALE_DELAY_MS))
        }
    };
    let Some(claimed) = claimed else {
        return Ok(());
    };
    // Sorted, so that two of these never wait for each other in a circle.
    let hours: BTreeSet<(i32, i64)> = stored
        .iter()
        .filter(|(_, at)| at.0 < claimed)
        .map(|(machine_key, at)| (*machine_key, at.0.div_euclid(HOUR_MS) * HOUR_MS))
        .collect();
    if hours.is_empty() {
        return Ok(());
    }
    let machine_keys: Vec<i32> = hours.iter().map(|(machine_key, _)| *machine_key).collect();
    let hours: Vec<Timestamp> = hours.iter().map(|(_, hour)| Timestamp(*hour)).collect();
    sqlx::query(
        "INSERT INTO rollup_late (machine_key, hour) SELECT * FROM unnest($1::integer[], $2::timestamptz[])
         ON CONFLICT (machine_key, hour) DO UPDATE SET taken = false WHERE rollup_late.taken",
    )
    .bind(machine_keys)
    .bind(hours)
    .execute(connection)
    .await?;
    Ok(())
}

/// Waits for all commits under way that may not have seen the mark, until the end of the transaction.
pub(super) async fn exclude(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(connection)
        .await?;
    Ok(())
}
