//! Logins: signing in, staying in, signing out.
//!
//! A session is also the family of its refresh tokens. A refresh token is spent by its
//! first use; for a grace period it is honoured again, because the answer to that use may
//! have been lost. Later use means that two hold it: the session is ended.
//!
//! 1. Here a session is opened and renewed.
//! 2. [`actor`] says whose an access token is, for each request and socket. A token of the
//!    servers that came before opens a session when it is first seen ([`legacy`]).
//! 3. [`list`](mod@list) is what users see of their own sessions and may do with them; [`ends`]
//!    is how a session ends.
//! 4. The node by itself writes down which sessions are used ([`uses`]), and clears away what is
//!    over ([`clearing`]).

mod actor;
mod clearing;
mod ends;
mod legacy;
mod list;
mod uses;

use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{SessionId, Timestamp, UserId, refresh_token, session, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, Condition, EntityTrait, QueryFilter, Set};

use crate::audit::Act;
use crate::client::Client;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::error::Unauthenticated;
use crate::identifiers::Identifier;
use crate::rates::{self, Action, Guarded};
use crate::tokens::{new_secret, secret_hash};
use crate::users::{self, User};
use crate::{Cx, Domain, Error, Result};

pub(crate) use self::actor::Known;
pub(crate) use self::clearing::keep_clearing;
pub(crate) use self::ends::{end, end_all};
pub(crate) use self::uses::{Uses, keep_uses};

pub use self::actor::SignedIn;
pub use self::list::{UsePosition, find_many, list, rename, revoke, revoke_others};
pub use backchannel_entities::session::Model as Session;

/// Longest refresh token worth hashing, in bytes; ours have 43.
const REFRESH_TOKEN_BYTES: usize = 128;

/// The secrets of a session that was opened or renewed, and a context to go on in.
pub struct NewSession {
    /// Sent with every request; short-lived.
    pub access_token: String,
    /// Renews the session, once.
    pub refresh_token: String,
    /// When the access token expires.
    pub expires_at: Timestamp,
    /// The user, acting.
    pub cx: Cx,
}

/// A sign-in, checked.
pub struct Credentials {
    identifier: Identifier,
    password: String,
}

impl Credentials {
    /// Checks a sign-in.
    ///
    /// # Errors
    /// [`Error::BadInput`] unless exactly one well-formed identifier is given.
    pub fn parse(
        domain: &Domain,
        email: Option<&str>,
        phone: Option<&str>,
        password: String,
    ) -> Result<Self> {
        let identifier = Identifier::parse(domain, email, phone)?;
        Ok(Self {
            identifier,
            password,
        })
    }
}

/// Opens a session. An unknown account gets the same answer, after the same work, as a
/// wrong password.
///
/// # Errors
/// [`Error::Unauthenticated`]; [`Error::RateLimited`] when there were too many from there, or too many
/// wrong passwords for this account, or when too many passwords wait to be checked.
pub async fn sign_in(cx: &Cx, credentials: Credentials) -> Result<NewSession> {
    rates::count(cx, Action::SignIn)?;
    // Counted as wrong until it is known to be right: those that come at once count too.
    let identifier = Some(credentials.identifier.as_str());
    let attempt = rates::count_guarded(cx, Guarded::WrongPassword, identifier).await?;
    let user = users::find_by_identifier(cx, &credentials.identifier).await?;
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let verified = (cx.handles().passwords).verify(credentials.password, hash);
    let matches = match verified.await {
        Ok(matches) => matches,
        Err(error) => {
            // It was not even looked at.
            attempt.undo(cx).await?;
            return Err(error);
        }
    };
    if !matches {
        // Whether or not there is an account: both are to take the same time.
        let known = user.as_ref().map(|user| user.id);
        let noted = cx.write(move |tx| {
            Box::pin(async move {
                tx.audit(Act::SignInRefused, known);
                Ok(())
            })
        });
        noted.await?;
    }
    let Some(user) = user.filter(|_| matches) else {
        return Err(Error::Unauthenticated(Unauthenticated::WrongCredentials));
    };
    let issuer = Issuer::of(cx);
    let user = Arc::new(user);
    cx.write(move |tx| {
        Box::pin(async move {
            attempt.give_back(tx).await?;
            issuer.open_one_more(tx, user).await
        })
    })
    .await?
    .signed_in(cx)
}

/// Renews a session.
///
/// # Errors
/// [`Error::Unauthenticated`] for a token that is unknown, expired, of an ended session, or
/// spent and past its grace; the last ends the session. [`Error::RateLimited`] when there were too
/// many from there.
pub async fn refresh(cx: &Cx, refresh_token: &str) -> Result<NewSession> {
    rates::count(cx, Action::SignIn)?;
    let refused = || Error::Unauthenticated(Unauthenticated::InvalidRefreshToken);
    if refresh_token.len() > REFRESH_TOKEN_BYTES {
        return Err(refused());
    }
    let hash = secret_hash(refresh_token);
    let issuer = Issuer::of(cx);
    cx.write(move |tx| Box::pin(async move { issuer.renew(tx, hash).await }))
        .await?
        .ok_or_else(refused)?
        .signed_in(cx)
}

/// Ends the actor's session: its tokens are refused and its streams closed, on every node
/// within a second.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn sign_out(cx: &Cx) -> Result<()> {
    let signed_in = cx.signed_in()?;
    let (user_id, id) = (signed_in.user.id, signed_in.session_id);
    cx.write(move |tx| {
        Box::pin(async move {
            tx.audit(Act::SignedOut, user_id);
            end(tx, user_id, &[id]).await
        })
    })
    .await
}

/// A user's sessions that go on.
pub(crate) fn is_live(user_id: UserId, now: Timestamp) -> Condition {
    Condition::all()
        .add(session::Column::UserId.eq(user_id))
        .add(session::Column::RevokedAt.is_null())
        .add(session::Column::ExpiresAt.gt(now))
}

/// Makes the rows of sessions and refresh tokens.
pub(crate) struct Issuer {
    lifetime: Duration,
    grace: Duration,
    /// The most sessions of a user.
    most: u64,
    client: Arc<Client>,
}

/// A session whose rows are written and whose access token is still to be made.
pub(crate) struct Issued {
    user: Arc<User>,
    session_id: SessionId,
    refresh_token: String,
}

impl Issued {
    /// Completes it, after the commit.
    pub(crate) fn signed_in(self, cx: &Cx) -> Result<NewSession> {
        let Self {
            user,
            session_id,
            refresh_token,
        } = self;
        let handles = cx.handles();
        let (access_token, expires_at) =
            handles
                .access_tokens
                .issue(user.id, session_id, handles.clock.now())?;
        let signed_in = SignedIn {
            user,
            session_id,
            expires_at,
            scopes: None,
        };
        Ok(NewSession {
            access_token,
            refresh_token,
            expires_at,
            cx: cx.acting_as(signed_in),
        })
    }
}

impl Issuer {
    pub(crate) fn of(cx: &Cx) -> Self {
        let settings = &cx.handles().settings;
        Self {
            lifetime: settings.refresh_token_lifetime,
            grace: settings.refresh_grace,
            most: settings.sessions_per_user,
            client: Arc::clone(cx.client()),
        }
    }

    /// Opens a session for `user`, who may have others; of too many, the one used longest ago
    /// is ended.
    pub(crate) async fn open_one_more(self, tx: &mut Tx, user: Arc<User>) -> Result<Issued> {
        ends::take_turn(tx, user.id).await?;
        ends::make_room(tx, user.id, self.most).await?;
        tx.audit(Act::SignedIn, user.id);
        self.open(tx, user).await
    }

    /// Opens the first session of `user`.
    pub(crate) async fn open(self, tx: &Tx, user: Arc<User>) -> Result<Issued> {
        let session_id = SessionId(new_id());
        let expires_at = tx.now().plus(self.lifetime);
        self.insert(tx, (session_id, user.id), expires_at).await?;
        let refresh_token = self.add_token(tx, session_id).await?;
        Ok(Issued {
            user,
            session_id,
            refresh_token,
        })
    }

    async fn insert(
        &self,
        tx: &Tx,
        (id, user_id): (SessionId, UserId),
        expires_at: Timestamp,
    ) -> Result<()> {
        let row = session::ActiveModel {
            id: Set(id),
            user_id: Set(user_id),
            created_at: Set(tx.now()),
            last_used_at: Set(tx.now()),
            expires_at: Set(expires_at),
            revoked_at: Set(None),
            device_state: Set(session::DeviceState::Online),
            device_name: Set(self.client.device_name.clone()),
            user_agent: Set(self.client.user_agent.clone()),
            address: Set(uses::address(&self.client)),
            key_hash: Set(None),
            scopes: Set(None),
        };
        row.insert(&tx.db).await?;
        Ok(())
    }

    async fn add_token(&self, tx: &Tx, session_id: SessionId) -> Result<String> {
        let token = new_secret();
        let row = refresh_token::ActiveModel {
            token_hash: Set(secret_hash(&token)),
            session_id: Set(session_id),
            created_at: Set(tx.now()),
            expires_at: Set(tx.now().plus(self.lifetime)),
            spent_at: Set(None),
        };
        row.insert(&tx.db).await?;
        Ok(token)
    }

    /// Spends a token and hands out the next; none when it is refused. Refusing a token
    /// that was spent long ago also ends its session, hence no error here: that would roll
    /// the ending back.
    async fn renew(self, tx: &mut Tx, hash: Vec<u8>) -> Result<Option<Issued>> {
        let Some((token, session)) = refresh_token::Entity::find_by_id(hash)
            .find_both_related(session::Entity)
            .one(&tx.db)
            .await?
        else {
            return Ok(None);
        };
        let now = tx.now();
        if session.revoked_at.is_some() || token.expires_at <= now {
            return Ok(None);
        }
        if !self.spend(tx, &token, now).await? {
            end(tx, session.user_id, &[session.id]).await?;
            tx.audit(Act::RefreshTokenReused, session.user_id);
            tracing::warn!(session.id = %session.id, "a spent refresh token came back; session ended");
            return Ok(None);
        }
        let refresh_token = self.add_token(tx, session.id).await?;
        let (session_id, user_id) = (session.id, session.user_id);
        self.prolong(tx, session_id).await?;
        let user = find_user(tx, user_id).await?;
        Ok(Some(Issued {
            user,
            session_id,
            refresh_token,
        }))
    }

    /// Marks the token as spent; answers whether it may still be used.
    async fn spend(&self, tx: &Tx, token: &refresh_token::Model, now: Timestamp) -> Result<bool> {
        if let Some(spent_at) = token.spent_at {
            return Ok(now <= spent_at.plus(self.grace));
        }
        // Two may spend it at once; the second finds it spent just now, within the grace.
        refresh_token::Entity::update_many()
            .col_expr(refresh_token::Column::SpentAt, Expr::value(now))
            .filter(refresh_token::Column::TokenHash.eq(token.token_hash.clone()))
            .filter(refresh_token::Column::SpentAt.is_null())
            .exec(&tx.db)
            .await?;
        Ok(true)
    }

    async fn prolong(&self, tx: &Tx, id: SessionId) -> Result<()> {
        use session::Column;
        let agent = self.client.user_agent.clone();
        session::Entity::update_many()
            .col_expr(Column::LastUsedAt, Expr::value(tx.now()))
            .col_expr(Column::ExpiresAt, Expr::value(tx.now().plus(self.lifetime)))
            .col_expr(Column::UserAgent, Expr::value(agent))
            .col_expr(Column::Address, Expr::value(uses::address(&self.client)))
            .filter(Column::Id.eq(id))
            .exec(&tx.db)
            .await?;
        Ok(())
    }
}

async fn find_user(tx: &Tx, id: UserId) -> Result<Arc<User>> {
    let user = user::Entity::find_by_id(id).one(&tx.db).await?;
    user.map(Arc::new)
        .ok_or(Error::Unauthenticated(Unauthenticated::InvalidRefreshToken))
}
