//! The one error of the domain. Each door matches on it exhaustively.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DbErr, SqlErr};

/// What use cases return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was refused or failed. Everything but [`Error::Internal`] is meant to
/// be read by the client's developer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is signed in, or the credentials given are not good.
    #[error("{0}")]
    Unauthenticated(Unauthenticated),
    /// The actor sees the thing but may not do this to it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is no such thing, or the actor may not see it: the two are answered alike.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// An input is not acceptable.
    #[error("{message}")]
    BadInput {
        /// The input's name as clients spell it.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// The request contradicts what is already so.
    #[error("{message}")]
    Conflict {
        /// The input that contradicts, where it is one.
        field: Option<&'static str>,
        /// What it contradicts.
        message: &'static str,
    },
    /// Too much at once; the same request may pass later.
    #[error("too many requests; try again later")]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Not the client's fault. The text is for logs only.
    #[error("{0}")]
    Internal(Arc<dyn std::error::Error + Send + Sync>),
}

/// Why an actor counts as nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// No access token was given.
    #[error("sign in first: no access token was given")]
    NoToken,
    /// The token is not one of ours.
    #[error("the access token is not valid")]
    InvalidToken,
    /// The token's time is over.
    #[error("the access token has expired")]
    ExpiredToken,
    /// The session was ended.
    #[error("the session has ended")]
    EndedSession,
    /// Unknown account or wrong password: never told apart.
    #[error("no account matches these credentials")]
    WrongCredentials,
    /// Unknown, expired or spent.
    #[error("the refresh token is not valid any more")]
    InvalidRefreshToken,
}

impl Error {
    /// An input that is not acceptable.
    pub fn bad_input(field: &'static str, message: impl Into<String>) -> Self {
        Self::BadInput {
            field,
            message: message.into(),
        }
    }

    /// A failure that is not the client's fault.
    pub fn internal(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Internal(Arc::new(source))
    }
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::internal(error)
    }
}

/// Whether `error` is a unique constraint speaking; each use case maps its own beside
/// the statement that can hit it.
pub(crate) fn is_unique_violation(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}
