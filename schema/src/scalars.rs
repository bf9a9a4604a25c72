//! Scalars of our own.

use async_graphql::{InputValueError, InputValueResult, MaybeUndefined, Scalar, ScalarType, Value};
use backchannel_domain as domain;
use backchannel_domain::Timestamp;
use chrono::{DateTime as Chrono, NaiveDate, SecondsFormat, Utc};

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

#[derive(Clone, Copy)]
pub(crate) struct Date(pub(crate) NaiveDate);

/// A calendar date (RFC 3339, full-date), like "1998-02-28".
#[Scalar(
    name = "Date",
    specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339#section-5.6"
)]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        Ok(Self::read(text).ok_or("expected a date like 1998-02-28")?)
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

impl Date {
    pub(crate) fn read(text: &str) -> Option<Self> {
        // Other calendars' years have other lengths.
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        (text.len() == 10).then_some(Self(date))
    }
}

pub(crate) struct Json(Value);

/// Anything that JSON can say.
#[Scalar(
    name = "JSON",
    specified_by_url = "https://datatracker.ietf.org/doc/html/rfc8259"
)]
impl ScalarType for Json {
    fn parse(value: Value) -> InputValueResult<Self> {
        Ok(Self(value))
    }

    fn to_value(&self) -> Value {
        self.0.clone()
    }
}

impl Json {
    pub(crate) fn to_text(&self) -> domain::Result<String> {
        serde_json::to_string(&self.0).map_err(domain::Error::internal)
    }

    pub(crate) fn read(text: &str) -> domain::Result<Self> {
        let value = serde_json::from_str(text).map_err(domain::Error::internal)?;
        Ok(Self(value))
    }
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

/// What an input says of a thing: none leaves it as it is, none within takes it away.
pub(crate) fn change<T>(input: MaybeUndefined<T>) -> Option<Option<T>> {
    match input {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}
