//! Bots: accounts by which programs take part, each with an owner; and the API keys by which they
//! act.
//!
//! 1. A bot is a user like others. It has no address, number or password, and signs in by
//!    nothing but a key.
//! 2. A key is a session of the bot's that a secret opens: it is found, watched and ended as
//!    every session is, within a second on every node. It is shown once, and kept as a hash.
//! 3. A key may read what the bot may. What it may do besides, its [`Scopes`] say; what no
//!    use case has a scope for, no key may do ([`Cx::write`]).

use std::sync::Arc;

use backchannel_entities::{SessionId, Timestamp, UserId, session, user};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Set,
};

use crate::audit::Act;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::profiles::{self, ProfileChange, ProfileInput};
use crate::sessions::{self, Session};
use crate::tokens::new_key;
use crate::users::{self, NewAccountRow, User};
use crate::{Cx, Error, Result, limits};

/// Most bots of a user, and most keys of a bot that go on.
pub const BOTS: u64 = 20;
/// See [`BOTS`].
pub const KEYS: u64 = 20;
/// When a key ends that has no end: the last day a date can be written of with four digits of year.
const NEVER: Timestamp = Timestamp(253_402_300_799_000);

/// What a key may do besides reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Send, schedule, forward, edit, delete, hide, mark, pin and star messages, react, ask and vote,
    /// and say that somebody types.
    Messages,
    /// Make, join, change, archive and delete conversations; add, invite, let in, remove and ban
    /// members, give them roles; hide, mute, pin and mark conversations, keep drafts and templates.
    Conversations,
}

/// All that one key may do besides reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    messages: bool,
    conversations: bool,
}

impl Scopes {
    /// Whether `scope` is among them.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Messages => self.messages,
            Scope::Conversations => self.conversations,
        }
    }

    /// Those of a list.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Self {
        Self {
            messages: scopes.contains(&Scope::Messages),
            conversations: scopes.contains(&Scope::Conversations),
        }
    }

    /// As a list.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        let all = [Scope::Messages, Scope::Conversations];
        all.into_iter().filter(move |scope| self.has(*scope))
    }

    /// As they are kept.
    fn to_text(self) -> String {
        let words = self.iter().map(Scope::word);
        words.collect::<Vec<_>>().join(" ")
    }

    /// Reads what is kept.
    pub(crate) fn read(text: &str) -> Self {
        let has = |scope: Scope| text.split(' ').any(|word| word == scope.word());
        Self {
            messages: has(Scope::Messages),
            conversations: has(Scope::Conversations),
        }
    }
}

impl Scope {
    fn word(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Conversations => "conversations",
        }
    }
}

/// A bot to make, checked.
pub struct NewBot {
    display_name: String,
    profile: ProfileChange,
}

impl NewBot {
    /// Checks it.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        display_name: &str,
        username: Option<String>,
        avatar_url: Option<String>,
        bio: Option<String>,
    ) -> Result<Self> {
        let profile = ProfileInput {
            username: username.map(Some),
            avatar_url: avatar_url.map(Some),
            bio: bio.map(Some),
            ..ProfileInput::default()
        };
        Ok(Self {
            display_name: limits::name("displayName", display_name)?,
            profile: ProfileChange::parse(profile)?,
        })
    }
}

/// Makes a bot whose owner is the actor.
///
/// # Errors
/// [`Error::Conflict`] for a username that somebody has, and for too many bots;
/// [`Error::Forbidden`] to keys.
pub async fn create(cx: &Cx, new: NewBot) -> Result<Arc<User>> {
    let owner = cx.signed_in()?.user.id;
    let NewBot {
        display_name,
        profile,
    } = new;
    cx.write(move |tx| {
        Box::pin(async move {
            // The lock, so that two cannot both be the last for whom there is room.
            users::lock(tx, owner).await?;
            let bots = user::Entity::find().filter(user::Column::OwnerId.eq(owner));
            if bots.count(&tx.db).await? >= BOTS {
                return Err(Error::Conflict {
                    field: None,
                    message: "this user has as many bots as there may be",
                });
            }
            let new = NewAccountRow {
                email: None,
                email_verified_at: None,
                phone: None,
                phone_verified_at: None,
                password_hash: None,
                display_name,
                owner_id: Some(owner),
            };
            let bot = users::insert(tx, new).await?;
            let bot = profiles::apply(tx, bot, profile).await?;
            tx.audit(Act::BotMade, bot.id);
            Ok(bot)
        })
    })
    .await
}

/// The actor's bots, the oldest first; [`BOTS`] at most.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn list(cx: &Cx) -> Result<Vec<Arc<User>>> {
    let owner = cx.signed_in()?.user.id;
    let bots = user::Entity::find()
        .filter(user::Column::OwnerId.eq(owner))
        .order_by_asc(user::Column::Id)
        .limit(BOTS)
        .all(cx.read())
        .await?;
    Ok(bots.into_iter().map(Arc::new).collect())
}

/// A key to make, checked.
pub struct NewKey {
    bot_id: UserId,
    name: String,
    scopes: Scopes,
    expires_at: Option<Timestamp>,
}

impl NewKey {
    /// Checks it.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        bot_id: UserId,
        name: &str,
        scopes: Scopes,
        expires_at: Option<Timestamp>,
    ) -> Result<Self> {
        Ok(Self {
            bot_id,
            name: limits::name("name", name)?,
            scopes,
            expires_at,
        })
    }
}

/// An API key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its session, which has its name.
    pub session: Session,
    /// What it may do besides reading.
    pub scopes: Scopes,
}

impl ApiKey {
    fn of(session: Session) -> Self {
        Self {
            scopes: Scopes::read(session.scopes.as_deref().unwrap_or_default()),
            session,
        }
    }

    /// When it ends by itself, if it does.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        Some(self.session.expires_at).filter(|at| *at != NEVER)
    }
}

/// Makes a key; answers its secret too, which nobody learns again.
///
/// # Errors
/// [`Error::NotFound`] unless the bot is the actor's; [`Error::BadInput`] for an end that has come;
/// [`Error::Conflict`] for too many keys; [`Error::Forbidden`] to keys.
pub async fn create_key(cx: &Cx, new: NewKey) -> Result<(ApiKey, String)> {
    let owner = cx.signed_in()?.user.id;
    let NewKey {
        bot_id,
        name,
        scopes,
        expires_at,
    } = new;
    cx.write(move |tx| {
        Box::pin(async move {
            let bot = lock_own(tx, owner, bot_id).await?;
            let now = tx.now();
            if expires_at.is_some_and(|at| at <= now) {
                return Err(Error::bad_input("expiresAt", "must be in the future"));
            }
            let keys = session::Entity::find().filter(sessions::is_live(bot.id, now));
            if keys.count(&tx.db).await? >= KEYS {
                return Err(Error::Conflict {
                    field: None,
                    message: "this bot has as many keys as there may be",
                });
            }
            let id = SessionId(new_id());
            let (secret, hash) = new_key(id);
            let row = session::ActiveModel {
                id: Set(id),
                user_id: Set(bot.id),
                created_at: Set(now),
                last_used_at: Set(now),
                expires_at: Set(expires_at.unwrap_or(NEVER).min(NEVER)),
                revoked_at: Set(None),
                device_state: Set(session::DeviceState::Online),
                device_name: Set(Some(name)),
                user_agent: Set(None),
                address: Set(None),
                key_hash: Set(Some(hash.to_vec())),
                scopes: Set(Some(scopes.to_text())),
            };
            let key = ApiKey::of(row.insert(&tx.db).await?);
            tx.audit(Act::ApiKeyMade, bot.id);
            Ok((key, secret))
        })
    })
    .await
}

/// A bot of the actor's own, locked until the end of the transaction.
async fn lock_own(tx: &Tx, owner: UserId, id: UserId) -> Result<User> {
    let bot = user::Entity::find_by_id(id)
        .filter(user::Column::OwnerId.eq(owner))
        .lock_exclusive()
        .one(&tx.db)
        .await?;
    bot.ok_or(Error::NotFound("bot"))
}

/// The keys of one of the actor's bots that go on, the newest first; [`KEYS`] at most.
///
/// # Errors
/// [`Error::NotFound`] unless the bot is the actor's.
pub async fn list_keys(cx: &Cx, bot_id: UserId) -> Result<Vec<ApiKey>> {
    let owner = cx.signed_in()?.user.id;
    let bot = users::read_many(cx.read(), vec![bot_id]).await?;
    bot.get(&bot_id)
        .filter(|bot| bot.owner_id == Some(owner))
        .ok_or(Error::NotFound("bot"))?;
    let keys = session::Entity::find()
        .filter(sessions::is_live(bot_id, cx.handles().clock.now()))
        .order_by_desc(session::Column::Id)
        .limit(KEYS)
        .all(cx.read())
        .await?;
    Ok(keys.into_iter().map(ApiKey::of).collect())
}

/// Ends a key: it is refused, and what is open by it closed, on every node within a second.
///
/// # Errors
/// [`Error::NotFound`] unless it is of a bot of the actor's and goes on; [`Error::Forbidden`] to
/// keys.
pub async fn revoke_key(cx: &Cx, id: SessionId) -> Result<()> {
    let owner = cx.signed_in()?.user.id;
    cx.write(move |tx| {
        Box::pin(async move {
            let found = session::Entity::find_by_id(id)
                .find_both_related(user::Entity)
                .filter(user::Column::OwnerId.eq(owner))
                .filter(session::Column::KeyHash.is_not_null())
                .filter(session::Column::RevokedAt.is_null())
                .filter(session::Column::ExpiresAt.gt(tx.now()))
                .one(&tx.db)
                .await?;
            let (_, bot) = found.ok_or(Error::NotFound("API key"))?;
            tx.audit(Act::ApiKeyRevoked, bot.id);
            sessions::end(tx, bot.id, &[id]).await?;
            // Its row need not stay until then: without it the answer is the same.
            session::Entity::update_many()
                .col_expr(session::Column::ExpiresAt, Expr::value(tx.now()))
                .filter(session::Column::Id.eq(id))
                .exec(&tx.db)
                .await?;
            Ok(())
        })
    })
    .await
}
