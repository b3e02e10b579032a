//! Moments as PostgreSQL's `timestamptz`.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};
use sysmon_core::UnixMillis;

/// PostgreSQL counts microseconds from the start of 2000.
const START_UNIX_MS: i64 = 946_684_800_000;

/// As far as our own times reach; PostgreSQL's go on for some thousand years.
const MAXIMUM_UNIX_MS: i64 = 8_640_000_000_000_000;

/// A moment to the millisecond. The types' numbers never change (`pg_type.dat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timestamp(pub(super) i64);

impl Timestamp {
    /// What lies before PostgreSQL's times counts as their beginning.
    pub(crate) const MINIMUM_UNIX_MS: i64 = -210_866_803_200_000;
}

impl From<UnixMillis> for Timestamp {
    fn from(at: UnixMillis) -> Self {
        Self(at.0)
    }
}

impl From<Timestamp> for UnixMillis {
    fn from(at: Timestamp) -> Self {
        Self(at.0)
    }
}

impl Type<Postgres> for Timestamp {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgHasArrayType for Timestamp {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl Encode<'_, Postgres> for Timestamp {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let within = self.0.clamp(Self::MINIMUM_UNIX_MS, MAXIMUM_UNIX_MS);
        let microseconds = (within - START_UNIX_MS) * 1_000;
        buffer.extend(&microseconds.to_be_bytes());
        Ok(IsNull::No)
    }

    fn size_hint(&self) -> usize {
        8
    }
}

impl Decode<'_, Postgres> for Timestamp {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let microseconds = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        Ok(Self(microseconds.div_euclid(1_000).saturating_add(START_UNIX_MS)))
    }
}
