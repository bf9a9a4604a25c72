//! Conversations: their type, and how they are found.

mod changes;

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};
use backchannel_domain::conversations::{self, Conversation as Row, ConversationKind as RowKind};
use backchannel_domain::messages::{MessagesRequest, Of};
use backchannel_domain::page::End;
use backchannel_domain::{ConversationId, Error, Timestamp};

use crate::bans::Ban;
use crate::connection::{Connection, List, RawPageArgs, page_cost, parse_seq_cursor};
use crate::error::Result;
use crate::id::Global as _;
use crate::invitations::Invitation;
use crate::join_requests::JoinRequest;
use crate::members::{Member, MemberConnection, MemberList, parse_member_cursor};
use crate::message_page::MessageConnection;
use crate::messages::Message;
use crate::pins;
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::settings::ConversationSettings;
use crate::sharing::per_viewer;
use crate::states::Draft;

pub(crate) use self::changes::{ConversationsMutation, entered};

/// What a conversation is.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowKind")]
pub(crate) enum ConversationKind {
    /// Exactly two people; one such conversation a pair.
    Direct,
    /// Several people.
    Group,
    /// Few write, many read.
    Channel,
    /// Public: listed by `rooms`, found by its slug, read by anyone who is signed in and not banned
    /// from it, and joined by them.
    Room,
}

#[derive(Clone)]
pub(crate) struct Conversation {
    scope: Scope,
    row: Arc<Row>,
}

impl Conversation {
    /// Wraps a conversation that the scope's actor sees.
    pub(crate) fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// Fields for which it does not matter how old the row is: they never change, or are read by
/// themselves.
const LASTING: [&str; 19] = [
    "__typename",
    "id",
    "kind",
    "unreadCount",
    "deliveredSeqHere",
    "members",
    "messages",
    "memberCount",
    "tags",
    "lastMessage",
    "unreadMentionCount",
    "viewerMembership",
    "isHidden",
    "mutedUntil",
    "isPinned",
    "pinnedAt",
    "isMarkedUnread",
    "draft",
    "pinnedMessages",
];

/// People talking: direct, group, channel or room.
#[Object]
impl Conversation {
    /// Global identifier.
    pub(crate) async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// What it is.
    async fn kind(&self) -> ConversationKind {
        self.row.kind.into()
    }

    /// Title; null for direct conversations and where none was given.
    async fn title(&self) -> Option<&str> {
        self.row.title.as_deref()
    }

    /// What it is about, if anything is said.
    async fn description(&self) -> Option<&str> {
        self.row.description.as_deref()
    }

    /// Absolute URL of its picture, if it has one.
    async fn avatar_url(&self) -> Option<&str> {
        self.row.avatar_url.as_deref()
    }

    /// Name in addresses, for rooms that have one.
    async fn slug(&self) -> Option<&str> {
        self.row.slug.as_deref()
    }

    /// How it is set.
    async fn settings(&self) -> ConversationSettings {
        ConversationSettings::of(&self.row.settings)
    }

    /// When it was archived, if it is: it can be read and left, and nothing can be added to it.
    async fn archived_at(&self) -> Option<DateTime> {
        self.row.archived_at.map(Into::into)
    }

    /// The position of the newest durable event; 0 for a conversation with none.
    async fn last_seq(&self) -> i32 {
        int(self.row.last_seq)
    }

    /// How many messages of others the viewer has not read. Deleted ones, and those that the viewer has
    /// hidden, do not count. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn unread_count(&self) -> Result<i32> {
        Ok(int(self.scope.loaders().unread_count(self.row.id).await?))
    }

    /// How many messages of others that the viewer has not read mention the viewer, or everyone.
    /// Deleted ones, and those that the viewer has hidden, do not count. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn unread_mention_count(&self) -> Result<i32> {
        let loaders = self.scope.loaders();
        Ok(int(loaders.unread_mention_count(self.row.id).await?))
    }

    /// The newest message that the viewer sees and has not hidden, or its tombstone; null where there
    /// is none. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn last_message(&self) -> Result<Option<Message>> {
        let row = self.scope.loaders().last_message(self.row.id).await?;
        Ok(row.map(|row| Message::new(&self.scope, row)))
    }

    /// The viewer as a member; null in a ROOM that the viewer is not in. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn viewer_membership(&self) -> Result<Option<Member>> {
        let row = self.scope.loaders().viewer_membership(self.row.id).await?;
        Ok(row.map(|row| Member::new(&self.scope, row)))
    }

    /// How many members it has.
    async fn member_count(&self) -> Result<i32> {
        Ok(int(self.scope.loaders().member_count(self.row.id).await?))
    }

    /// What it is about, in single words, in order; 10 at most.
    async fn tags(&self) -> Result<Vec<String>> {
        Ok(self.scope.loaders().tags(self.row.id).await?)
    }

    /// Whether the viewer has hidden it, and no message was sent since. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn is_hidden(&self) -> Result<bool> {
        let state = self.scope.loaders().state(self.row.id).await?;
        Ok(state.is_some_and(|state| state.is_hidden()))
    }

    /// Until when the viewer does not want to be notified of it; null for notified as usual. Depends on
    /// the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn muted_until(&self) -> Result<Option<DateTime>> {
        let state = self.scope.loaders().state(self.row.id).await?;
        let now = self.scope.cx().domain().clock().now();
        Ok(state
            .and_then(|state| state.muted_until(now))
            .map(Into::into))
    }

    /// Whether the viewer has pinned it. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn is_pinned(&self) -> Result<bool> {
        Ok(self.pinned().await?.is_some())
    }

    /// When the viewer pinned it, if it is: the order of pinning. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn pinned_at(&self) -> Result<Option<DateTime>> {
        Ok(self.pinned().await?.map(Into::into))
    }

    /// Whether the viewer wants it to look unread. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn is_marked_unread(&self) -> Result<bool> {
        let state = self.scope.loaders().state(self.row.id).await?;
        Ok(state.is_some_and(|state| state.is_marked_unread()))
    }

    /// What the viewer has begun to write, if anything. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn draft(&self) -> Result<Option<Draft>> {
        let state = self.scope.loaders().state(self.row.id).await?;
        Ok(state.and_then(|state| state.draft()).map(Into::into))
    }

    /// Everything up to and including this position has reached the device that asks: the
    /// session's own. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn delivered_seq_here(&self) -> Result<i32> {
        Ok(int(self
            .scope
            .loaders()
            .delivered_here(self.row.id)
            .await?))
    }

    /// Its members, longest-standing first.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn members(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<MemberConnection> {
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(parse_member_cursor)?
        .check(End::Start)?;
        let page = self
            .scope
            .loaders()
            .member_page(self.row.id, request)
            .await?;
        let list = MemberList::All(self.row.id);
        Ok(MemberConnection::new(&self.scope, list, &page))
    }

    /// The messages that are pinned, the one pinned last first; 50 at most. Depends on the viewer: those
    /// that the viewer does not see are left out.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity)",
        directive = per_viewer::apply()
    )]
    async fn pinned_messages(
        &self,
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
        pins::page(&self.scope, self.row.id, args).await
    }

    /// Its messages, deleted ones as tombstones: oldest first within a page; `last: 50` is
    /// the newest page, and what is answered where no page is asked for. 1 to 200 a page. With
    /// `system`, those that tell of changes of members are among them: each has the `seq` of the event
    /// that it tells of. Depends on the viewer: who joined while newcomers saw nothing of what was before
    /// them sees nothing of that, and those that the viewer has hidden are left out.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity)",
        directive = per_viewer::apply()
    )]
    async fn messages(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200.")] first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200, 50 by default.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
        #[graphql(
            desc = "Whether messages of the system are among them.",
            default = false
        )]
        system: bool,
    ) -> Result<MessageConnection> {
        let page = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| parse_seq_cursor(List::Messages, cursor))?
        .check(End::Finish)?;
        let of = if system { Of::All } else { Of::Members };
        let request = MessagesRequest { page, of };
        let page = self
            .scope
            .loaders()
            .message_page(self.row.id, request)
            .await?;
        Ok(MessageConnection::new(&self.scope, page))
    }

    /// Who is banned from it, the latest first; for owners and admins. Depends on the viewer.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity)",
        directive = per_viewer::apply()
    )]
    async fn bans(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Ban>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        Ban::page(&self.scope, self.row.id, args).await
    }

    /// The invitations to it that go on, the newest first; for those who may make some. Depends on the
    /// viewer.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity)",
        directive = per_viewer::apply()
    )]
    async fn invitations(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Invitation>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        Invitation::page(&self.scope, self.row.id, args).await
    }

    /// The requests to join it that wait for an answer, the one asked last first; for owners and
    /// admins. Depends on the viewer.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity)",
        directive = per_viewer::apply()
    )]
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
        JoinRequest::page(&self.scope, self.row.id, args).await
    }
}

impl Conversation {
    async fn pinned(&self) -> Result<Option<Timestamp>> {
        let state = self.scope.loaders().state(self.row.id).await?;
        Ok(state.and_then(|state| state.pinned_at()))
    }
}

#[derive(Default)]
pub(crate) struct ConversationsQuery;

#[Object]
impl ConversationsQuery {
    /// A conversation of the viewer, or a ROOM from which the viewer is not banned, by id, or by slug
    /// for rooms that have one. NOT_FOUND for any other.
    async fn conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: Option<ID>,
        #[graphql(desc = "Its slug.")] slug: Option<String>,
    ) -> Result<Option<Conversation>> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = match (id, slug) {
            (Some(id), None) => {
                let id = ConversationId::parse(&id)?;
                let asked = ctx.field();
                let mut selected = asked.selection_set();
                if selected.all(|field| LASTING.contains(&field.name())) {
                    conversations::get_lately(scope.cx(), id).await?
                } else {
                    scope.loaders().conversation(id).await?
                }
            }
            (None, Some(slug)) => Arc::new(conversations::get_by_slug(scope.cx(), &slug).await?),
            (None, None) | (Some(_), Some(_)) => {
                return Err(Error::bad_input("id", "give `id` or `slug`").into());
            }
        };
        Ok(Some(Conversation::new(scope, row)))
    }
}
