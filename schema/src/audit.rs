//! The audit log, for operators.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};
use backchannel_domain::UserId;
use backchannel_domain::audit::{self, Act, Entry as Row, Filter};
use backchannel_domain::page::End;

use crate::connection::{Connection, List, RawPageArgs, page_cost, parse_seq_cursor, seq_cursor};
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::users::User;

/// What was done that bears on security.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Act")]
enum AuditAct {
    /// An account was made.
    Registered,
    /// A session was opened, by a password or a code.
    SignedIn,
    /// A password was wrong, or there was no such account.
    SignInRefused,
    /// A session was ended by itself.
    SignedOut,
    /// A session was ended from another one.
    SessionRevoked,
    /// All sessions but one were ended.
    OtherSessionsRevoked,
    /// A refresh token came back long after it was spent; its session was ended.
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

#[derive(Clone)]
pub(crate) struct AuditEntry {
    scope: Scope,
    row: Arc<Row>,
}

/// An entry of the audit log. None is ever changed.
#[Object]
impl AuditEntry {
    /// Position in the log: 1, 2, 3 … dense.
    async fn seq(&self) -> i32 {
        i32::try_from(self.row.seq).unwrap_or(i32::MAX)
    }

    /// When it was done.
    async fn at(&self) -> DateTime {
        self.row.at.into()
    }

    /// What was done.
    async fn act(&self) -> AuditAct {
        self.row.act.into()
    }

    /// Who did it. Null for strangers, and for commands of operators.
    async fn actor(&self) -> Result<Option<User>> {
        self.user(self.row.actor_id).await
    }

    /// To whose account, where it is a known one.
    async fn subject(&self) -> Result<Option<User>> {
        self.user(self.row.subject_id).await
    }

    /// By which session.
    async fn session_id(&self) -> Option<ID> {
        self.row.session_id.map(|id| id.global())
    }

    /// From which IP address.
    async fn address(&self) -> Option<&str> {
        self.row.address.as_deref()
    }

    /// What else there is to say: of IDENTIFIER_ATTACHED, `email` or `phone`.
    async fn detail(&self) -> Option<&str> {
        self.row.detail.as_deref()
    }

    /// SHA-256, in hexadecimal digits, of this entry and the hash of the one before.
    async fn hash(&self) -> String {
        self.row.hash.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl AuditEntry {
    async fn user(&self, id: Option<UserId>) -> Result<Option<User>> {
        let Some(id) = id else {
            return Ok(None);
        };
        let row = self.scope.loaders().find_user(id).await?;
        Ok(row.map(|row| User::new(&self.scope, row)))
    }
}

#[derive(Default)]
pub(crate) struct AuditQuery;

#[Object]
impl AuditQuery {
    /// What was done that bears on security, the newest first. For operators only; others get
    /// FORBIDDEN.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    #[expect(
        clippy::too_many_arguments,
        reason = "a page of a list that can be narrowed"
    )]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only acts of this kind.")] act: Option<AuditAct>,
        #[graphql(desc = "Only acts by this user.")] actor_id: Option<ID>,
        #[graphql(desc = "Only acts on this user's account.")] subject_id: Option<ID>,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<AuditEntry>> {
        let scope = Scope::of(ctx);
        scope.cx().operator()?;
        let filter = Filter {
            act: act.map(Into::into),
            actor_id: actor_id.as_ref().map(UserId::parse).transpose()?,
            subject_id: subject_id.as_ref().map(UserId::parse).transpose()?,
        };
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| parse_seq_cursor(List::Audit, cursor))?
        .check(End::Start)?;
        let page = audit::list(scope.cx(), filter, &request).await?;
        let cursor = |row: &Row| seq_cursor(List::Audit, row.seq);
        Ok(Connection::of(&page, cursor, |row| AuditEntry {
            scope: scope.clone(),
            row: Arc::new(row.clone()),
        }))
    }
}
