//! What the program remembers about a database in the table `store_setting`.

use sqlx::{PgConnection, Row as _};

use super::failure::Failure;
use crate::history::plan::TIME_LIMIT_MS;

/// A remembered moment, in Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Samples before this are forgotten, or about to be.
    RawKept,
    /// Roll-ups of a minute before this are forgotten, or about to be.
    MinuteKept,
    /// Minutes before this are rolled up, or are being so.
    MinuteClaimed,
    /// Minutes before this are rolled up.
    MinuteDone,
    /// Roll-ups of five minutes before this are made; [`FIVES_FILLED`] where the server makes them.
    FiveMinutesDone,
    /// Hours before this are rolled up.
    HourDone,
}

/// Later than all samples: since roll-ups of five minutes came, those of everything before have been made too, and the
/// server makes what follows.
pub(crate) const FIVES_FILLED: i64 = TIME_LIMIT_MS;

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Self::RawKept => "raw_kept_from_unix_ms",
            Self::MinuteKept => "minute_kept_from_unix_ms",
            Self::MinuteClaimed => "minute_claimed_to_unix_ms",
            Self::MinuteDone => "minute_done_to_unix_ms",
            Self::FiveMinutesDone => "five_minutes_done_to_unix_ms",
            Self::HourDone => "hour_done_to_unix_ms",
        }
    }
}

/// All moments at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    values: Vec<(String, String)>,
}

impl Settings {
    pub(crate) async fn read(connection: &mut PgConnection) -> Result<Self, Failure> {
        let rows = sqlx::query("SELECT name, value FROM store_setting")
            .fetch_all(connection)
            .await?;
        let value = |row: &sqlx::postgres::PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
        Ok(Self {
            values: rows.iter().map(value).collect::<Result<_, sqlx::Error>>()?,
        })
    }

    pub(crate) fn get(&self, setting: Setting) -> Option<i64> {
        let known = self.values.iter().find(|(name, _)| name == setting.name());
        known.and_then(|(_, value)| value.parse().ok())
    }
}

/// One moment.
pub(crate) async fn get(connection: &mut PgConnection, setting: Setting) -> Result<Option<i64>, Failure> {
    let value: Option<String> = sqlx::query_scalar("SELECT value FROM store_setting WHERE name = $1")
        .bind(setting.name())
        .fetch_optional(connection)
        .await?;
    Ok(value.and_then(|value| value.parse().ok()))
}

/// Moves a moment forward; never back, whoever's clock is behind.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    setting: Setting,
    unix_ms: i64,
) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO store_setting (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value
         WHERE store_setting.value::bigint < excluded.value::bigint",
    )
    .bind(setting.name())
    .bind(unix_ms.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

/// A remembered text.
pub(crate) async fn text(connection: &mut PgConnection, name: &str) -> Result<Option<String>, Failure> {
    let value = sqlx::query_scalar("SELECT value FROM store_setting WHERE name = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(value)
}

/// Remembers a text.
pub(crate) async fn set_text(connection: &mut PgConnection, name: &str, value: &str) -> Result<(), Failure> {
    sqlx::query(
        "INSERT INTO store_setting (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(connection)
    .await?;
    Ok(())
}
