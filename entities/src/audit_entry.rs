//! `audit_entries`: what was done that bears on security.

use sea_orm::entity::prelude::*;

use crate::{SessionId, Timestamp, UserId};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Act {
    /// An account was made.
    Registered,
    /// A session was opened.
    SignedIn,
    /// A password was wrong, or there was no such account.
    SignInRefused,
    /// A session was ended by the one it is of.
    SignedOut,
    /// A session was ended from another one.
    SessionRevoked,
    /// All sessions but one were ended.
    OtherSessionsRevoked,
    /// A refresh token came back long after it was spent, and its session was ended.
    RefreshTokenReused,
    /// A one-time code was wrong.
    CodeRefused,
    /// The password was changed by one who knew it, or set for the first time.
    PasswordChanged,
    /// The password was set anew by a code or a link.
    PasswordReset,
    /// An e-mail address or phone number was attached, or verified.
    IdentifierAttached,
    /// An account was taken over by the first to verify its address or number.
    AccountClaimed,
    /// A bot was made.
    BotMade,
    /// An API key was made.
    ApiKeyMade,
    /// An API key was revoked.
    ApiKeyRevoked,
    /// A user became an operator.
    OperatorGranted,
    /// A user is an operator no longer.
    OperatorRevoked,
}

/// An entry. None is ever changed.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_entries")]
pub struct Model {
    /// Position: 1, 2, 3 … dense.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What was done.
    pub act: Act,
    /// Who did it; none for strangers and for the operator's own commands.
    pub actor_id: Option<UserId>,
    /// To whose account, where it is one that is known.
    pub subject_id: Option<UserId>,
    /// By which session.
    pub session_id: Option<SessionId>,
    /// From which address.
    pub address: Option<String>,
    /// What else there is to say, which names nobody.
    pub detail: Option<String>,
    /// Of this entry and the hash of the one before.
    pub hash: Vec<u8>,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
