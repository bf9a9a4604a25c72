//! Results as bytes.

use async_graphql::Response as Outcome;
use axum::http::StatusCode;
use backchannel_schema::{code, refusal};
use serde::Serialize;

/// Whether nothing of the request was executed: a *request error* in the words of the
/// GraphQL specification, section 7.1. An error that happened while executing has a path.
pub(super) fn is_request_error(outcome: &Outcome) -> bool {
    !outcome.errors.is_empty()
        && matches!(outcome.data, async_graphql::Value::Null)
        && outcome.errors.iter().all(|error| error.path.is_empty())
}

/// A result as JSON. After a request error it has no `data`, not even null.
pub(super) fn to_json(outcome: &Outcome) -> String {
    #[derive(Serialize)]
    struct RequestError<'a> {
        errors: &'a [async_graphql::ServerError],
    }
    let json = if is_request_error(outcome) {
        serde_json::to_string(&RequestError {
            errors: &outcome.errors,
        })
    } else {
        serde_json::to_string(outcome)
    };
    json.unwrap_or_else(|error| {
        tracing::error!(%error, "a result could not be encoded");
        r#"{"errors":[{"message":"something went wrong on the server","extensions":{"code":"INTERNAL"}}]}"#.to_owned()
    })
}

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
