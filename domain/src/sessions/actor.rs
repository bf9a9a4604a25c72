//! Whose an access token is, and whether its session goes on.

use std::sync::Arc;

use backchannel_entities::{SessionId, Timestamp, session, user};
use sea_orm::EntityTrait;

use crate::bots::Scopes;
use crate::bus::SessionWatch;
use crate::client::Client;
use crate::cx::Actor;
use crate::error::Unauthenticated;
use crate::tokens::{AccessToken, Holder};
use crate::users::User;
use crate::{Cx, Domain, Error, Result};

use super::{Session, legacy};

/// A user who acts, and by which login.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub user: Arc<User>,
    /// By which session.
    pub session_id: SessionId,
    /// When the access token, or before it the session, expires.
    pub expires_at: Timestamp,
    /// What the API key may do besides reading; none for people, who may do all that they may.
    pub scopes: Option<Scopes>,
}

/// A session that was not ended when it was read, and its user.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) user: Arc<User>,
    expires_at: Timestamp,
    /// The key that it is, if it is one.
    key: Option<(Vec<u8>, Scopes)>,
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
        self.acting(self.actor(access_token, &client).await, client)
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

    async fn actor(&self, access_token: Option<&str>, client: &Arc<Client>) -> Result<SignedIn> {
        let token = access_token.ok_or(Error::Unauthenticated(Unauthenticated::NoToken))?;
        let token = self.0.access_tokens.check(token, self.0.clock.now());
        let token = token.map_err(Error::Unauthenticated)?;
        let known = self.known(&token, client).await?;
        Ok(signed_in(&token, known))
    }

    /// A token's session, if it was read a moment ago; else as it is.
    async fn known(&self, token: &AccessToken, client: &Arc<Client>) -> Result<Known> {
        let (now, uptime) = (self.0.clock.now(), self.0.clock.uptime());
        let known = self.0.bus.recent_sessions().find(&token.session_id, uptime);
        match known {
            Some(known) if token.may_be_of(&known) && known.expires_at > now => Ok(known),
            Some(_) | None => self.read_session(token, client).await,
        }
    }

    async fn read_session(&self, token: &AccessToken, client: &Arc<Client>) -> Result<Known> {
        let recent = self.0.bus.recent_sessions();
        let reading = recent.reading(self.0.clock.uptime());
        let found = match (self.find_session(token.session_id).await?, &token.holder) {
            (None, Holder::Legacy(legacy_id)) => {
                legacy::open(self, token, legacy_id, client).await?;
                self.find_session(token.session_id).await?
            }
            (found, Holder::User(_) | Holder::Legacy(_) | Holder::Key(_)) => found,
        };
        let now = self.0.clock.now();
        let ended = Error::Unauthenticated(Unauthenticated::EndedSession);
        let Some((session, user)) = found else {
            return Err(ended);
        };
        let scopes = session.scopes.as_deref().unwrap_or_default();
        let scopes = Scopes::read(scopes);
        let known = Known {
            user: Arc::new(user),
            expires_at: session.expires_at,
            key: session.key_hash.clone().map(|hash| (hash, scopes)),
        };
        let goes_on = session.revoked_at.is_none() && session.expires_at > now;
        if !goes_on || !token.may_be_of(&known) {
            return Err(ended);
        }
        self.0.uses.note(&session, client, now);
        recent.keep(&reading, token.session_id, known.clone());
        Ok(known)
    }

    /// Whether a key is known to be one. Nothing is looked up for that.
    pub(crate) fn is_known_key(&self, token: &AccessToken) -> bool {
        let uptime = self.0.clock.uptime();
        let known = self.0.bus.recent_sessions().find(&token.session_id, uptime);
        known.is_some_and(|known| token.may_be_of(&known))
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
            holder: Holder::User(before.user.id),
            session_id: before.session_id,
            expires_at: before.expires_at,
        };
        let known = self.known(&token, cx.client()).await;
        let signed_in = known.map(|known| signed_in(&token, known));
        self.acting(signed_in, Arc::clone(cx.client()))
    }

    async fn find_session(&self, id: SessionId) -> Result<Option<(Session, User)>> {
        let found = session::Entity::find_by_id(id)
            .find_both_related(user::Entity)
            .one(&self.0.db.reader)
            .await?;
        Ok(found)
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
        let known = self.read_session(&token, &client).await?;
        let actor = Actor::User(Arc::new(signed_in(&token, known)));
        let cx = Cx {
            domain: self.clone(),
            actor,
            client,
        };
        Ok((cx, watch))
    }
}

impl AccessToken {
    /// Whether the token says nothing against this session. An old token's session is its own, and
    /// knows the user; a key's has the hash.
    fn may_be_of(&self, known: &Known) -> bool {
        match &self.holder {
            Holder::User(id) => *id == known.user.id,
            Holder::Legacy(_) => true,
            Holder::Key(own) => known.key.as_ref().is_some_and(|(hash, _)| own == &**hash),
        }
    }
}

fn signed_in(token: &AccessToken, known: Known) -> SignedIn {
    SignedIn {
        user: known.user,
        session_id: token.session_id,
        expires_at: token.expires_at.min(known.expires_at),
        scopes: known.key.map(|(_, scopes)| scopes),
    }
}
