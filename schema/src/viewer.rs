//! The signed-in user's own view.

use std::sync::Arc;

use async_graphql::{Context, ID, Lookahead, Object};
use backchannel_domain::blocks::{self, BlockPosition};
use backchannel_domain::contacts::{self, Which};
use backchannel_domain::conversations::{self, ActivityPosition};
use backchannel_domain::page::End;
use backchannel_domain::requests::{self, AskPosition};
use backchannel_domain::sessions::{self, UsePosition};
use backchannel_domain::templates;
use backchannel_domain::{
    ChatRequestId, ConversationId, SessionId, TemplateId, UserId, bots, feed, limits, preferences,
};

use crate::blocks::BlockedUser;
use crate::bots::ApiKey;
use crate::connection::{
    Connection, List, RawPageArgs, key_cursor, page_cost, parse_key_cursor, parse_time_cursor,
    parse_word_cursor, stream_cursor, time_cursor, word_cursor,
};
use crate::contacts::Contact;
use crate::conversations::Conversation;
use crate::error::Result;
use crate::filters::{ConversationFilter, checked};
use crate::id::Global as _;
use crate::join_requests::JoinRequest;
use crate::message_states;
use crate::messages::Message;
use crate::privacy::PrivacySettings;
use crate::requests::{ChatRequest, ChatRequestDirection, ChatRequestState};
use crate::scalars::{Cursor, Date, DateTime, Json, int};
use crate::scheduled::{self, ScheduledMessage};
use crate::scope::Scope;
use crate::sessions::Session;
use crate::templates::Template;
use crate::users::User;

pub(crate) struct Viewer {
    scope: Scope,
    /// Read before all else of the viewer, where it was asked for.
    event_cursor: Option<Cursor>,
}

impl Viewer {
    /// The viewer in the answer to a request, ready for the fields selected of it there.
    pub(crate) async fn load(scope: Scope, selected: Lookahead<'_>) -> Result<Self> {
        let event_cursor = if selected.field("eventCursor").exists() {
            Some(stream_cursor(&feed::cursor_now(scope.cx()).await?))
        } else {
            None
        };
        Ok(Self {
            scope,
            event_cursor,
        })
    }
}

/// The signed-in user, and what only that user sees.
#[Object]
impl Viewer {
    /// The user as others see them.
    async fn user(&self) -> Result<User> {
        let row = Arc::clone(&self.scope.cx().signed_in()?.user);
        Ok(User::new(&self.scope, row))
    }

    /// E-mail address, if there is one.
    async fn email(&self) -> Result<Option<String>> {
        Ok(self.scope.cx().signed_in()?.user.email.clone())
    }

    /// Phone number in E.164, if there is one.
    async fn phone(&self) -> Result<Option<String>> {
        Ok(self.scope.cx().signed_in()?.user.phone.clone())
    }

    /// The viewer's bots, the oldest first; 20 at most.
    #[graphql(complexity = "1 + bots::BOTS as usize * child_complexity")]
    async fn bots(&self) -> Result<Vec<User>> {
        let rows = bots::list(self.scope.cx()).await?;
        let bots = rows.into_iter().map(|row| User::new(&self.scope, row));
        Ok(bots.collect())
    }

    /// The API keys of one of the viewer's bots that go on, the newest first; 20 at most. NOT_FOUND for
    /// any other bot.
    #[graphql(complexity = "1 + bots::KEYS as usize * child_complexity")]
    async fn api_keys(&self, #[graphql(desc = "Which bot.")] bot_id: ID) -> Result<Vec<ApiKey>> {
        let rows = bots::list_keys(self.scope.cx(), UserId::parse(&bot_id)?).await?;
        let keys = rows.into_iter().map(|row| ApiKey::new(&self.scope, row));
        Ok(keys.collect())
    }

    /// When the viewer last proved that the e-mail address is theirs.
    async fn email_verified_at(&self) -> Result<Option<DateTime>> {
        let user = &self.scope.cx().signed_in()?.user;
        Ok(user.email_verified_at.map(Into::into))
    }

    /// When the viewer last proved that the phone number is theirs.
    async fn phone_verified_at(&self) -> Result<Option<DateTime>> {
        let user = &self.scope.cx().signed_in()?.user;
        Ok(user.phone_verified_at.map(Into::into))
    }

    /// Whether the viewer can sign in by a password.
    async fn has_password(&self) -> Result<bool> {
        Ok(self.scope.cx().signed_in()?.user.password_hash.is_some())
    }

    /// Whether the viewer runs the server, and may read `auditLog`.
    async fn is_operator(&self) -> Result<bool> {
        Ok(self.scope.cx().signed_in()?.user.is_operator)
    }

    /// Language tag of the viewer's choice, if there is one.
    async fn locale(&self) -> Result<Option<String>> {
        Ok(self.scope.cx().signed_in()?.user.locale.clone())
    }

    /// Date of birth, if it is known.
    async fn date_of_birth(&self) -> Result<Option<Date>> {
        let user = &self.scope.cx().signed_in()?.user;
        Ok(user.date_of_birth.as_deref().and_then(Date::read))
    }

    /// Whether a client has led the viewer through its first steps.
    async fn has_completed_onboarding(&self) -> Result<bool> {
        Ok(self.scope.cx().signed_in()?.user.is_onboarded)
    }

    /// What a client keeps for the viewer, by `setPreferences`; null for nothing.
    async fn preferences(
        &self,
        #[graphql(desc = "The name of the client.")] client: String,
    ) -> Result<Option<Json>> {
        let kept = preferences::get(self.scope.cx(), &client).await?;
        Ok(kept.as_deref().map(Json::read).transpose()?)
    }

    /// Whether others see how far the viewer has read, and the viewer how far others have.
    async fn read_receipts(&self) -> Result<bool> {
        let id = self.scope.cx().signed_in()?.user.id;
        Ok(self.scope.loaders().user(id).await?.read_receipts)
    }

    /// To whom the viewer is open.
    async fn privacy(&self) -> Result<PrivacySettings> {
        Ok(PrivacySettings::of(&self.scope.cx().signed_in()?.user))
    }

    /// Where `viewerEvents` stands now. It is older than anything else selected of the viewer
    /// with it: applying the events after it to that leaves nothing out.
    async fn event_cursor(&self) -> Result<Cursor> {
        match &self.event_cursor {
            Some(cursor) => Ok(cursor.clone()),
            None => Ok(stream_cursor(&feed::cursor_now(self.scope.cx()).await?)),
        }
    }

    /// The viewer's conversations, most recently active first; those that are hidden or archived only
    /// where the filter asks for them.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn conversations(
        &self,
        #[graphql(desc = "Which; all that are neither hidden nor archived by default.")]
        filter: Option<ConversationFilter>,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Conversation>> {
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| {
            let (last_active_at, id) = parse_time_cursor(List::Conversations, cursor)?;
            Some(ActivityPosition {
                last_active_at,
                id: ConversationId(id),
            })
        })?
        .check(End::Start)?;
        let filter = checked(filter)?;
        let page = conversations::list(self.scope.cx(), &filter, &request).await?;
        let cursor = |row: &conversations::Conversation| {
            let position = ActivityPosition::of(row);
            time_cursor(List::Conversations, position.last_active_at, position.id.0)
        };
        Ok(Connection::of(&page, cursor, |row| {
            Conversation::new(&self.scope, Arc::new(row.clone()))
        }))
    }

    /// What the viewer has scheduled, soonest first: what waits, and what could not be sent.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn scheduled_messages(
        &self,
        #[graphql(desc = "In which conversation; in all if left out.")] conversation_id: Option<ID>,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<ScheduledMessage>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        scheduled::page(&self.scope, conversation_id, args).await
    }

    /// How many of the viewer's conversations there are.
    async fn conversation_count(
        &self,
        #[graphql(desc = "Which; all that are neither hidden nor archived by default.")]
        filter: Option<ConversationFilter>,
    ) -> Result<i32> {
        let count = conversations::count(self.scope.cx(), &checked(filter)?).await?;
        Ok(int(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// How many of the viewer's conversations, hidden and archived ones left out, have messages of
    /// others that the viewer has not read, or are marked unread.
    async fn unread_conversation_count(&self) -> Result<i32> {
        let unread = conversations::Which {
            unread: Some(true),
            ..conversations::Which::default()
        };
        let count = conversations::count(self.scope.cx(), &unread.into()).await?;
        Ok(int(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// The conversations that the viewer has pinned, in the order of pinning; 20 at most.
    #[graphql(complexity = "1 + limits::PINNED as usize * child_complexity")]
    async fn pinned_conversations(&self) -> Result<Vec<Conversation>> {
        let rows = conversations::list_pinned(self.scope.cx()).await?;
        let pinned = rows.into_iter().map(Arc::new);
        Ok(pinned
            .map(|row| Conversation::new(&self.scope, row))
            .collect())
    }

    /// What the viewer has saved to make conversations from, the newest first; 50 at most.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn templates(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Template>> {
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| parse_key_cursor(List::Templates, cursor).map(TemplateId))?
        .check(End::Start)?;
        let page = templates::list(self.scope.cx(), &request).await?;
        let cursor = |row: &templates::Template| key_cursor(List::Templates, row.id.0);
        Ok(Connection::of(&page, cursor, |row| {
            Template::new(Arc::new(row.clone()))
        }))
    }

    /// Whom the viewer knows, by name: the viewer's own for them, else the one they had when they
    /// were added.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn contacts(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
        #[graphql(
            desc = "Whether those who are hidden are listed too.",
            default_with = "Some(false)"
        )]
        include_hidden: Option<bool>,
    ) -> Result<Connection<Contact>> {
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| {
            let (sort_key, id) = parse_word_cursor(List::Contacts, cursor)?;
            let id = UserId(id);
            Some(contacts::Place { sort_key, id })
        })?
        .check(End::Start)?;
        let which = if include_hidden == Some(true) {
            Which::All
        } else {
            Which::Shown
        };
        let page = contacts::list(self.scope.cx(), which, &request).await?;
        let cursor = |row: &contacts::Contact| {
            let place = contacts::Place::of(row);
            word_cursor(List::Contacts, &place.sort_key, place.id.0)
        };
        Ok(Connection::of(&page, cursor, |row| {
            Contact::new(&self.scope, row.clone())
        }))
    }

    /// The viewer's logins that go on, the one used last first.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn sessions(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Session>> {
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| {
            let (last_used_at, id) = parse_time_cursor(List::Sessions, cursor)?;
            Some(UsePosition {
                last_used_at,
                id: SessionId(id),
            })
        })?
        .check(End::Start)?;
        let page = sessions::list(self.scope.cx(), &request).await?;
        let cursor = |row: &sessions::Session| {
            let position = UsePosition::of(row);
            time_cursor(List::Sessions, position.last_used_at, position.id.0)
        };
        Ok(Connection::of(&page, cursor, |row| {
            Session::new(&self.scope, Arc::new(row.clone()))
        }))
    }

    /// The viewer's chat requests of one direction and state, the one asked last first.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an argument of the field"
    )]
    async fn chat_requests(
        &self,
        #[graphql(desc = "Those to the viewer, or the viewer's own.")]
        direction: ChatRequestDirection,
        #[graphql(
            desc = "How far they have come.",
            default_with = "ChatRequestState::Pending"
        )]
        state: ChatRequestState,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<ChatRequest>> {
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| {
            let (asked_at, id) = parse_time_cursor(List::ChatRequests, cursor)?;
            Some(AskPosition {
                asked_at,
                id: ChatRequestId(id),
            })
        })?
        .check(End::Start)?;
        let (direction, state) = (direction.into(), state.into());
        let page = requests::list(self.scope.cx(), direction, state, &request).await?;
        let cursor = |row: &requests::ChatRequest| {
            let position = AskPosition::of(row);
            time_cursor(List::ChatRequests, position.asked_at, position.id.0)
        };
        Ok(Connection::of(&page, cursor, |row| {
            ChatRequest::new(&self.scope, Arc::new(row.clone()))
        }))
    }

    /// The viewer's requests to join conversations that are not forgotten yet, the one asked last first.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn join_requests(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<JoinRequest>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        JoinRequest::own_page(&self.scope, args).await
    }

    /// The messages with a star of the viewer's, the latest star first. Those that the viewer does not see
    /// any more are left out. NOT_FOUND for a conversation the viewer is not in.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn starred_messages(
        &self,
        #[graphql(desc = "Those of one conversation alone.")] conversation_id: Option<ID>,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Message>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        message_states::starred(&self.scope, conversation_id, args).await
    }

    /// Whom the viewer blocks, the latest first.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn blocked_users(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<BlockedUser>> {
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| {
            let (created_at, id) = parse_time_cursor(List::Blocks, cursor)?;
            Some(BlockPosition {
                created_at,
                blocked_id: UserId(id),
            })
        })?
        .check(End::Start)?;
        let page = blocks::list(self.scope.cx(), &request).await?;
        let cursor = |row: &blocks::Block| {
            let position = BlockPosition::of(row);
            time_cursor(List::Blocks, position.created_at, position.blocked_id.0)
        };
        Ok(Connection::of(&page, cursor, |row| {
            BlockedUser::new(&self.scope, Arc::new(row.clone()))
        }))
    }
}

#[derive(Default)]
pub(crate) struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// The signed-in user; UNAUTHENTICATED without a valid access token.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        Viewer::load(scope.clone(), ctx.look_ahead()).await
    }
}
