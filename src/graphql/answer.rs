//! Requests that are refused before they are executed.

use async_graphql::Response as Outcome;
use axum::http::StatusCode;
use backchannel_schema::{code, refusal};

/// A request that cannot be read, or not be taken by this door.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => code::TOO_COMPLEX,
            _ => code::BAD_USER_INPUT,
        };
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A failure that is not the client's fault.
    pub(super) fn internal() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            code: code::INTERNAL,
            message: "something went wrong on the server".to_owned(),
        }
    }

    /// The execution took longer than it may.
    pub(super) fn timed_out() -> Self {
        Self {
            message: "the request took too long".to_owned(),
            ..Self::internal()
        }
    }

    pub(super) fn into_outcome(self) -> Outcome {
        refusal(self.code, self.message, None)
    }
}
