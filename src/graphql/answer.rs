//! Requests that are refused before they are executed.

use std::time::Duration;

use async_graphql::Response as Outcome;
use axum::http::StatusCode;
use backchannel_domain::Error;
use backchannel_schema::{code, failure, refusal};

/// A request that cannot be read, or not be taken by this door.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) outcome: Box<Outcome>,
    /// When to come back, for one who asks too often.
    pub(super) retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => code::TOO_COMPLEX,
            _ => code::BAD_USER_INPUT,
        };
        Self::with_code(status, code, message)
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A failure that is not the client's fault.
    pub(super) fn internal() -> Self {
        Self::failed("something went wrong on the server")
    }

    /// The execution took longer than it may.
    pub(super) fn timed_out() -> Self {
        Self::failed("the request took too long")
    }

    /// Somebody asks too often, or there is no telling who asks.
    pub(super) fn of(error: Error) -> Self {
        let Error::RateLimited { retry_after } = error else {
            tracing::error!(%error, "counting a request failed");
            return Self::internal();
        };
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            outcome: Box::new(failure(error)),
            retry_after: Some(retry_after),
        }
    }

    fn failed(message: &str) -> Self {
        Self::with_code(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL, message)
    }

    fn with_code(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            outcome: Box::new(refusal(code, message, None)),
            retry_after: None,
        }
    }
}
