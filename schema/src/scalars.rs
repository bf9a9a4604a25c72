//! Scalars of our own.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use backchannel_domain::Timestamp;
use chrono::{DateTime as Chrono, SecondsFormat, Utc};

#[derive(Clone, Copy)]
pub(crate) struct DateTime(pub(crate) Timestamp);

/// An instant: RFC 3339, UTC, milliseconds, like "2026-11-20T08:30:00.123Z".
#[Scalar(
    name = "DateTime",
    specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339"
)]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        let instant = Chrono::parse_from_rfc3339(text).map_err(|_| "expected RFC 3339")?;
        Ok(Self(Timestamp(instant.timestamp_millis())))
    }

    fn to_value(&self) -> Value {
        Value::String(rfc3339(self.0))
    }
}

/// An instant as clients read it.
#[must_use]
pub fn rfc3339(instant: Timestamp) -> String {
    // The range of a 64-bit count of milliseconds is wider than the calendar's.
    let instant = Chrono::<Utc>::from_timestamp_millis(instant.0);
    let instant = instant.unwrap_or(Chrono::<Utc>::MAX_UTC);
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Where a stream stands.
#[derive(Clone)]
pub(crate) struct Cursor(pub(crate) String);

/// Where a stream stands: opaque and URL-safe. It says what has been delivered, and stays
/// valid across restarts and nodes.
#[Scalar(name = "Cursor")]
impl ScalarType for Cursor {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = value else {
            return Err(InputValueError::expected_type(value));
        };
        Ok(Self(text))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

impl From<Timestamp> for DateTime {
    fn from(instant: Timestamp) -> Self {
        Self(instant)
    }
}

/// A position as GraphQL's 32-bit `Int`. The domain never allocates a larger one.
pub(crate) fn int(seq: i64) -> i32 {
    i32::try_from(seq).unwrap_or(i32::MAX)
}
