//! Logins: signing in, staying in, signing out.
//!
//! A session is also the family of its refresh tokens. A refresh token is spent by its
//! first use; for a grace period it is honoured again, because the answer to that use may
//! have been lost. Later use means that two hold it: the session is ended.

use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{SessionId, Timestamp, UserId, refresh_token, session, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, Set};

use crate::bus::SessionWatch;
use crate::client::Client;
use crate::clock::new_id;
use crate::cx::{Actor, Tx};
use crate::error::Unauthenticated;
use crate::tokens::{AccessToken, new_refresh_token, refresh_token_hash};
use crate::users::{self, Identifier, User};
use crate::{Cx, Domain, Error, Result, presence};

/// Longest refresh token worth hashing, in bytes; ours have 43.
const REFRESH_TOKEN_BYTES: usize = 128;

/// A user who acts, and by which login.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub user: Arc<User>,
    /// By which session.
    pub session_id: SessionId,
    /// When the access token, or before it the session, expires.
    pub expires_at: Timestamp,
}

/// A session that was not ended when it was read, and its user.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) user: Arc<User>,
    expires_at: Timestamp,
}

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

impl Domain {
    /// Who holds this access token. A bad token makes an anonymous context that knows why:
    /// whoever renews a session sends the expired token along.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn authenticate(
        &self,
        access_token: Option<&str>,
        client: Arc<Client>,
    ) -> Result<Cx> {
        self.acting(self.actor(access_token).await, client)
    }

    fn acting(&self, signed_in: Result<SignedIn>, client: Arc<Client>) -> Result<Cx> {
        let actor = match signed_in {
            Ok(signed_in) => Actor::User(Arc::new(signed_in)),
            Err(Error::Unauthenticated(because)) => Actor::Anonymous(because),
            Err(error) => return Err(error),
        };
        Ok(Cx {
            domain: self.clone(),
            actor,
            client,
        })
    }

    async fn actor(&self, access_token: Option<&str>) -> Result<SignedIn> {
        let token = access_token.ok_or(Error::Unauthenticated(Unauthenticated::NoToken))?;
        let token = self.0.access_tokens.check(token, self.0.clock.now());
        let token = token.map_err(Error::Unauthenticated)?;
        let known = self.known(&token).await?;
        Ok(signed_in(&token, known))
    }

    /// A token's session, if it was read a moment ago; else as it is.
    async fn known(&self, token: &AccessToken) -> Result<Known> {
        let (now, uptime) = (self.0.clock.now(), self.0.clock.uptime());
        let known = self.0.bus.recent_sessions().find(&token.session_id, uptime);
        match known {
            Some(known) if known.user.id == token.user_id && known.expires_at > now => Ok(known),
            Some(_) | None => self.read_session(token).await,
        }
    }

    async fn read_session(&self, token: &AccessToken) -> Result<Known> {
        let recent = self.0.bus.recent_sessions();
        let reading = recent.reading(self.0.clock.uptime());
        let (session, user) = session::Entity::find_by_id(token.session_id)
            .filter(session::Column::UserId.eq(token.user_id))
            .filter(session::Column::RevokedAt.is_null())
            .filter(session::Column::ExpiresAt.gt(self.0.clock.now()))
            .find_both_related(user::Entity)
            .one(&self.0.db.reader)
            .await?
            .ok_or(Error::Unauthenticated(Unauthenticated::EndedSession))?;
        let known = Known {
            user: Arc::new(user),
            expires_at: session.expires_at,
        };
        recent.keep(&reading, token.session_id, known.clone());
        Ok(known)
    }

    /// The same actor with what is known of the user now: whoever stays connected may have
    /// changed since. Nobody, if the session has ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renewed(&self, cx: Cx) -> Result<Cx> {
        let Actor::User(before) = &cx.actor else {
            return Ok(cx);
        };
        let token = AccessToken {
            user_id: before.user.id,
            session_id: before.session_id,
            expires_at: before.expires_at,
        };
        let known = self.known(&token).await;
        let signed_in = known.map(|known| signed_in(&token, known));
        self.acting(signed_in, Arc::clone(cx.client()))
    }

    /// Like [`Domain::authenticate`], for something that stays open: the watch tells when
    /// the session ends. It is set before the session is looked up, so that no end can fall
    /// between the two.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] for a bad token; or when the database fails.
    pub async fn authenticate_and_watch(
        &self,
        access_token: &str,
        client: Arc<Client>,
    ) -> Result<(Cx, SessionWatch)> {
        let token = self.0.access_tokens.check(access_token, self.0.clock.now());
        let token = token.map_err(Error::Unauthenticated)?;
        let watch = self.0.bus.watch_session(token.session_id);
        // Read in any case: the watch tells of no end that came before it.
        let known = self.read_session(&token).await?;
        let actor = Actor::User(Arc::new(signed_in(&token, known)));
        Ok((
            Cx {
                domain: self.clone(),
                actor,
                client,
            },
            watch,
        ))
    }
}

fn signed_in(token: &AccessToken, known: Known) -> SignedIn {
    SignedIn {
        user: known.user,
        session_id: token.session_id,
        expires_at: token.expires_at.min(known.expires_at),
    }
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
        let identifier = match (email, phone) {
            (Some(email), None) => Identifier::Email(users::parse_email(email)?),
            (None, Some(phone)) => Identifier::Phone(users::parse_phone(domain, phone)?),
            (None, None) | (Some(_), Some(_)) => {
                return Err(Error::bad_input(
                    "email",
                    "give an e-mail address or a phone number",
                ));
            }
        };
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
/// [`Error::Unauthenticated`]; [`Error::RateLimited`] when too many passwords wait to be
/// checked.
pub async fn sign_in(cx: &Cx, credentials: Credentials) -> Result<NewSession> {
    let user = users::find_by_identifier(cx, &credentials.identifier).await?;
    let hash = user.as_ref().and_then(|user| user.password_hash.clone());
    let matches = cx
        .handles()
        .passwords
        .verify(credentials.password, hash)
        .await?;
    let Some(user) = user.filter(|_| matches) else {
        return Err(Error::Unauthenticated(Unauthenticated::WrongCredentials));
    };
    let issuer = Issuer::of(cx);
    let user = Arc::new(user);
    cx.write(move |tx| Box::pin(async move { issuer.open(tx, user).await }))
        .await?
        .signed_in(cx)
}

/// Renews a session.
///
/// # Errors
/// [`Error::Unauthenticated`] for a token that is unknown, expired, of an ended session, or
/// spent and past its grace; the last ends the session.
pub async fn refresh(cx: &Cx, refresh_token: &str) -> Result<NewSession> {
    let refused = || Error::Unauthenticated(Unauthenticated::InvalidRefreshToken);
    if refresh_token.len() > REFRESH_TOKEN_BYTES {
        return Err(refused());
    }
    let hash = refresh_token_hash(refresh_token);
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
    cx.write(move |tx| Box::pin(async move { end(tx, user_id, id).await }))
        .await
}

async fn end(tx: &mut Tx, user_id: UserId, id: SessionId) -> Result<()> {
    presence::end_device(tx, user_id, id).await?;
    session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(tx.now()))
        .filter(session::Column::Id.eq(id))
        .filter(session::Column::RevokedAt.is_null())
        .exec(&tx.db)
        .await?;
    tx.end_session(id);
    Ok(())
}

/// Makes the rows of sessions and refresh tokens.
#[derive(Clone, Copy)]
pub(crate) struct Issuer {
    lifetime: Duration,
    grace: Duration,
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
        }
    }

    /// Opens a session for `user`.
    pub(crate) async fn open(self, tx: &Tx, user: Arc<User>) -> Result<Issued> {
        let now = tx.now();
        let session_id = SessionId(new_id());
        let row = session::ActiveModel {
            id: Set(session_id),
            user_id: Set(user.id),
            created_at: Set(now),
            last_used_at: Set(now),
            expires_at: Set(now.plus(self.lifetime)),
            revoked_at: Set(None),
            device_state: Set(session::DeviceState::Online),
        };
        row.insert(&tx.db).await?;
        let refresh_token = self.add_token(tx, session_id).await?;
        Ok(Issued {
            user,
            session_id,
            refresh_token,
        })
    }

    async fn add_token(self, tx: &Tx, session_id: SessionId) -> Result<String> {
        let token = new_refresh_token();
        let row = refresh_token::ActiveModel {
            token_hash: Set(refresh_token_hash(&token)),
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
            end(tx, session.user_id, session.id).await?;
            tracing::warn!(session.id = %session.id, "a spent refresh token came back; session ended");
            return Ok(None);
        }
        let refresh_token = self.add_token(tx, session.id).await?;
        let (session_id, user_id) = (session.id, session.user_id);
        touch(tx, session_id, now, now.plus(self.lifetime)).await?;
        let user = find_user(tx, user_id).await?;
        Ok(Some(Issued {
            user,
            session_id,
            refresh_token,
        }))
    }

    /// Marks the token as spent; answers whether it may still be used.
    async fn spend(self, tx: &Tx, token: &refresh_token::Model, now: Timestamp) -> Result<bool> {
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
}

async fn touch(tx: &Tx, id: SessionId, now: Timestamp, expires_at: Timestamp) -> Result<()> {
    session::Entity::update_many()
        .col_expr(session::Column::LastUsedAt, Expr::value(now))
        .col_expr(session::Column::ExpiresAt, Expr::value(expires_at))
        .filter(session::Column::Id.eq(id))
        .exec(&tx.db)
        .await?;
    Ok(())
}

async fn find_user(tx: &Tx, id: UserId) -> Result<Arc<User>> {
    let user = user::Entity::find_by_id(id).one(&tx.db).await?;
    user.map(Arc::new)
        .ok_or(Error::Unauthenticated(Unauthenticated::InvalidRefreshToken))
}
