//! Errors as clients see them: a text, and a code in `extensions.code`.

use std::time::Duration;

use async_graphql::{ErrorExtensionValues, Pos, Response, ServerError, Value};
use backchannel_domain as domain;

/// The values of `extensions.code`.
pub mod code {
    /// Nobody is signed in.
    pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
    /// The actor may not do this.
    pub const FORBIDDEN: &str = "FORBIDDEN";
    /// There is no such thing, or the viewer may not see it.
    pub const NOT_FOUND: &str = "NOT_FOUND";
    /// An input is not acceptable; `extensions.field` names it where it is one input.
    pub const BAD_USER_INPUT: &str = "BAD_USER_INPUT";
    /// The request contradicts what is already so.
    pub const CONFLICT: &str = "CONFLICT";
    /// Too much at once; `extensions.retryAfter` tells the seconds to wait.
    pub const RATE_LIMITED: &str = "RATE_LIMITED";
    /// The request is larger than any client needs.
    pub const TOO_COMPLEX: &str = "TOO_COMPLEX";
    /// The server does not know the document of this hash, or does not know it any more:
    /// send the document with it.
    pub const PERSISTED_QUERY_NOT_FOUND: &str = "PERSISTED_QUERY_NOT_FOUND";
    /// The server runs the documents of its trusted list alone, and this is none of them.
    pub const PERSISTED_QUERY_NOT_IN_LIST: &str = "PERSISTED_QUERY_NOT_IN_LIST";
    /// Not the client's fault.
    pub const INTERNAL: &str = "INTERNAL";
}

/// What resolvers return. It has no `Display`, on purpose: async-graphql would turn any
/// displayable error into an answer, internal texts included.
pub(crate) struct ApiError(domain::Error);

pub(crate) type Result<T> = std::result::Result<T, ApiError>;

impl From<domain::Error> for ApiError {
    fn from(error: domain::Error) -> Self {
        Self(error)
    }
}

impl From<ApiError> for async_graphql::Error {
    fn from(ApiError(error): ApiError) -> Self {
        use domain::Error;
        let mut extensions = ErrorExtensionValues::default();
        let mut message = error.to_string();
        let code = match error {
            Error::Unauthenticated(_) => code::UNAUTHENTICATED,
            Error::Forbidden(_) => code::FORBIDDEN,
            Error::NotFound(_) => code::NOT_FOUND,
            Error::BadInput { field, .. } => {
                extensions.set("field", field);
                code::BAD_USER_INPUT
            }
            Error::Conflict { field, .. } => {
                if let Some(field) = field {
                    extensions.set("field", field);
                }
                code::CONFLICT
            }
            Error::RateLimited { retry_after } => {
                extensions.set("retryAfter", whole_seconds(retry_after).max(1));
                code::RATE_LIMITED
            }
            Error::Internal(cause) => {
                tracing::error!(%cause, "a request failed");
                message = INTERNAL_TEXT.to_owned();
                code::INTERNAL
            }
        };
        extensions.set("code", code);
        Self {
            message,
            source: None,
            extensions: Some(extensions),
        }
    }
}

/// A time to wait, in seconds: a part of one is one more.
#[must_use]
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_millis()
        .div_ceil(1_000)
        .try_into()
        .unwrap_or(u64::MAX)
}

const INTERNAL_TEXT: &str = "something went wrong on the server";

/// Most errors of a request that was refused, most locations of each, and longest text, in
/// bytes.
const ERRORS: usize = 5;
const LOCATIONS: usize = 2;
const TEXT_BYTES: usize = 200;

/// `text`, cut if it is too long. Of the parser's, which shows the line it stopped at, the
/// end is what tells.
fn bounded(text: String) -> String {
    if text.len() <= TEXT_BYTES {
        return text;
    }
    let mut text = match text.rsplit_once("\n  = ") {
        Some((_, expected)) => expected.to_owned(),
        None => text,
    };
    if text.len() > TEXT_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_BYTES));
        text.push('…');
    }
    text
}

/// async-graphql's text for an operation past its complexity limit; a test holds the two
/// together.
const TOO_COMPLEX_TEXT: &str = "Query is too complex.";

/// A request error: no part of the request was executed.
#[must_use]
pub fn refusal(code: &'static str, message: impl Into<String>, at: Option<Pos>) -> Response {
    let mut error = ServerError::new(bounded(message.into()), at);
    set_code(&mut error, code);
    Response::from_errors(vec![error])
}

/// The answer to a request whose actor could not be learned.
#[must_use]
pub fn failure(error: domain::Error) -> Response {
    let error = async_graphql::Error::from(ApiError(error));
    let mut told = ServerError::new(error.message, None);
    told.extensions = error.extensions;
    Response::from_errors(vec![told])
}

fn set_code(error: &mut ServerError, code: &'static str) {
    error.extensions.get_or_insert_default().set("code", code);
}

/// Gives a code to the errors of async-graphql itself, and hides the text of any error that
/// came past [`ApiError`].
///
/// A refusal is bounded: the texts repeat what was sent, and one request can hold thousands
/// of mistakes.
pub(crate) fn finish(mut response: Response) -> Response {
    if response.errors.iter().all(|error| error.path.is_empty()) {
        response.errors.truncate(ERRORS);
    }
    for error in &mut response.errors {
        error.message = bounded(std::mem::take(&mut error.message));
        error.locations.truncate(LOCATIONS);
        let has_code = matches!(
            error
                .extensions
                .as_ref()
                .and_then(|extensions| extensions.get("code")),
            Some(Value::String(_))
        );
        if has_code {
            continue;
        }
        if error.source.is_some() {
            tracing::error!(cause = %error.message, "a resolver failed");
            INTERNAL_TEXT.clone_into(&mut error.message);
            set_code(error, code::INTERNAL);
        } else if error.message == TOO_COMPLEX_TEXT {
            error.message = format!(
                "the operation comes to more than {} fields",
                crate::COMPLEXITY
            );
            set_code(error, code::TOO_COMPLEX);
        } else {
            set_code(error, code::BAD_USER_INPUT);
        }
    }
    response
}
