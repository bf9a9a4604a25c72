//! Bots and their API keys.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use backchannel_domain::UserId;
use backchannel_domain::bots::{self, ApiKey as Row, NewBot, NewKey, Scope, Scopes};

use crate::error::Result;
use crate::id::{ApiKeyId, Global as _};
use crate::scalars::DateTime;
use crate::scope;
use crate::users::User;

/// What an API key may do besides reading what its bot may read.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Scope")]
enum ApiScope {
    /// Send, schedule, forward, edit, delete, hide, mark, pin and star messages, react, ask and vote,
    /// and say that somebody types.
    Messages,
    /// Make, join, change, archive and delete conversations; add, invite, let in, remove and ban
    /// members, give them roles; hide, mute, pin and mark conversations, keep drafts and templates.
    Conversations,
}

#[derive(Clone)]
pub(crate) struct ApiKey {
    scope: scope::Scope,
    row: Arc<Row>,
}

impl ApiKey {
    pub(crate) fn new(scope: &scope::Scope, row: Row) -> Self {
        Self {
            scope: scope.clone(),
            row: Arc::new(row),
        }
    }
}

/// A key by which a program acts as a bot. Only the bot's owner sees it.
#[Object]
impl ApiKey {
    /// Identifier.
    async fn id(&self) -> ID {
        ApiKeyId(self.row.session.id).global()
    }

    /// What it is called.
    async fn name(&self) -> &str {
        self.row.session.device_name.as_deref().unwrap_or_default()
    }

    /// What it may do besides reading.
    async fn scopes(&self) -> Vec<ApiScope> {
        self.row.scopes.iter().map(Into::into).collect()
    }

    /// The bot that acts by it.
    async fn bot(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.session.user_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.row.session.created_at.into()
    }

    /// When it was last used, to a minute or so.
    async fn last_used_at(&self) -> DateTime {
        self.row.session.last_used_at.into()
    }

    /// The IP address from which it was last used; null before that.
    async fn address(&self) -> Option<&str> {
        self.row.session.address.as_deref()
    }

    /// When it ends by itself; null for never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.row.expires_at().map(Into::into)
    }
}

/// A bot to make. The viewer owns it.
#[derive(InputObject)]
struct CreateBotInput {
    /// The name shown to others, 1 to 100 characters.
    display_name: String,
    /// A name that nobody else has, as in `updateProfile`.
    username: Option<String>,
    /// Absolute http or https URL of the picture.
    avatar_url: Option<String>,
    /// What the bot is for, 1 to 500 characters.
    bio: Option<String>,
}

/// The answer to `createBot`.
#[derive(SimpleObject)]
struct CreateBotPayload {
    /// The bot. Add it to conversations as any user.
    bot: User,
}

/// A key to make.
#[derive(InputObject)]
struct CreateApiKeyInput {
    /// One of the viewer's bots.
    bot_id: ID,
    /// What it is called, 1 to 100 characters.
    name: String,
    /// What it may do besides reading.
    scopes: Vec<ApiScope>,
    /// When it ends by itself; never, where that is left out.
    expires_at: Option<DateTime>,
}

/// The answer to `createApiKey`.
#[derive(SimpleObject)]
struct CreateApiKeyPayload {
    /// The key.
    api_key: ApiKey,
    /// What the program sends as `Authorization: Bearer …`, or in the payload of
    /// `connection_init`. It is told this once, and kept nowhere.
    secret: String,
}

/// Which key to end.
#[derive(InputObject)]
struct RevokeApiKeyInput {
    /// A key of one of the viewer's bots.
    api_key_id: ID,
}

/// The answer to `revokeApiKey`.
#[derive(SimpleObject)]
struct RevokeApiKeyPayload {
    /// True.
    ok: bool,
}

#[derive(Default)]
pub(crate) struct BotsMutation;

#[Object]
impl BotsMutation {
    /// Makes a bot: an account by which a program takes part. A user has at most 20; one more is
    /// CONFLICT.
    async fn create_bot(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The bot to make.")] input: CreateBotInput,
    ) -> Result<CreateBotPayload> {
        let scope = scope::Scope::of(ctx);
        let new = NewBot::parse(
            &input.display_name,
            input.username,
            input.avatar_url,
            input.bio,
        )?;
        let row = bots::create(scope.cx(), new).await?;
        Ok(CreateBotPayload {
            bot: User::new(scope, row),
        })
    }

    /// Makes an API key for a bot. A bot has at most 20 that go on; one more is CONFLICT.
    async fn create_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key to make.")] input: CreateApiKeyInput,
    ) -> Result<CreateApiKeyPayload> {
        let scope = scope::Scope::of(ctx);
        scope.cx().signed_in()?;
        let scopes: Vec<Scope> = input.scopes.into_iter().map(Into::into).collect();
        let new = NewKey::parse(
            UserId::parse(&input.bot_id)?,
            &input.name,
            Scopes::of(&scopes),
            input.expires_at.map(|DateTime(at)| at),
        )?;
        let (row, secret) = bots::create_key(scope.cx(), new).await?;
        Ok(CreateApiKeyPayload {
            api_key: ApiKey::new(scope, row),
            secret,
        })
    }

    /// Ends an API key: it is refused, and what is open by it closed, within a second.
    async fn revoke_api_key(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which key.")] input: RevokeApiKeyInput,
    ) -> Result<RevokeApiKeyPayload> {
        let scope = scope::Scope::of(ctx);
        scope.cx().signed_in()?;
        let ApiKeyId(id): ApiKeyId = ApiKeyId::parse(&input.api_key_id)?;
        bots::revoke_key(scope.cx(), id).await?;
        Ok(RevokeApiKeyPayload { ok: true })
    }
}
