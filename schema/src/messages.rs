//! Messages: their type.

mod writing;

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use backchannel_domain::MessageId;
use backchannel_domain::messages::{Message as Row, MessageDetail, MessageEdit as EditRow};
use backchannel_domain::page::End;

use crate::connection::{Connection, List, RawPageArgs, page_cost, parse_seq_cursor, seq_cursor};
use crate::content::{Forwarded, MessageContent, MessageKind, TextEntity};
use crate::conversations::Conversation;
use crate::edits::MessageEdit;
use crate::error::Result;
use crate::id::Global as _;
use crate::members::{MemberConnection, MemberList, parse_member_cursor};
use crate::polls::{self, Poll};
use crate::reactions::{self, Reaction};
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::sharing::per_viewer;
use crate::system::SystemContent;
use crate::threads::Thread;
use crate::users::User;

pub(crate) use self::writing::MessagesMutation;

#[derive(Clone)]
pub(crate) struct Message {
    scope: Scope,
    row: Arc<Row>,
}

impl Message {
    pub(crate) fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }

    async fn details(&self) -> Result<Option<Arc<MessageDetail>>> {
        Ok(self.scope.loaders().details(&self.row).await?)
    }

    /// Another message, if the viewer sees it.
    async fn other(&self, id: Option<MessageId>) -> Result<Option<Self>> {
        let Some(id) = id else { return Ok(None) };
        let row = self.scope.loaders().quoted(id).await?;
        Ok(row.map(|row| Self::new(&self.scope, row)))
    }
}

/// Something said in a conversation. A deleted one stays as a tombstone without its text.
#[Object]
impl Message {
    /// Global identifier.
    pub(crate) async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// Where it was said.
    async fn conversation(&self) -> Result<Conversation> {
        let row = self
            .scope
            .loaders()
            .conversation(self.row.conversation_id)
            .await?;
        Ok(Conversation::new(&self.scope, row))
    }

    /// Position in the conversation: 1, 2, 3 … dense and shared with its other durable
    /// events.
    async fn seq(&self) -> i32 {
        int(self.row.seq)
    }

    /// Who said it; null for a message of the system.
    async fn sender(&self) -> Result<Option<User>> {
        match self.row.sender_id {
            Some(id) => {
                let row = self.scope.loaders().user(id).await?;
                Ok(Some(User::new(&self.scope, row)))
            }
            None => Ok(None),
        }
    }

    /// What it is.
    async fn kind(&self) -> MessageKind {
        self.row.kind.into()
    }

    /// The present text; null once deleted, where there is none beside `content`, and in an event about
    /// a message that the viewer does not see. It is plain, never markup: `entities` says what
    /// stretches of it are.
    async fn text(&self) -> Option<&str> {
        self.row.text.as_deref()
    }

    /// What stretches of the text are, in order.
    async fn entities(&self) -> Result<Vec<TextEntity>> {
        let details = self.details().await?;
        let entities = details.iter().flat_map(|found| &found.content.entities);
        Ok(entities
            .map(|entity| TextEntity::new(&self.scope, entity))
            .collect())
    }

    /// What it is about beside its text, unless it is TEXT; null once deleted.
    async fn content(&self) -> Result<Option<MessageContent>> {
        let details = self.details().await?;
        let body = details
            .as_ref()
            .and_then(|found| found.content.body.as_ref());
        Ok(body.map(Into::into))
    }

    /// The message that it answers, as that is now; null also where the viewer does not see that one.
    async fn reply_to(&self) -> Result<Option<Message>> {
        let details = self.details().await?;
        self.other(details.and_then(|found| found.reply_to_id))
            .await
    }

    /// The message whose thread it is in; null also where the viewer does not see that one.
    async fn thread_root(&self) -> Result<Option<Message>> {
        let details = self.details().await?;
        self.other(details.and_then(|found| found.root_id)).await
    }

    /// The replies in its own thread; null while there are none.
    async fn thread(&self) -> Result<Option<Thread>> {
        let details = self.details().await?;
        Ok(details.and_then(|found| Thread::of(&self.scope, &self.row, found)))
    }

    /// Where it comes from, if it was forwarded; null once deleted.
    async fn forwarded(&self) -> Result<Option<Forwarded>> {
        let details = self.details().await?;
        let row = details.and_then(|found| found.content.forwarded.clone());
        let scope = self.scope.clone();
        Ok(row.map(|row| Forwarded { scope, row }))
    }

    /// What it was before it was edited, oldest first; at most the last 50 versions are kept, and none once it
    /// is deleted. Depends on the viewer: where the conversation does not show edits, nobody but the
    /// sender, owners and admins has any.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity)",
        directive = per_viewer::apply()
    )]
    async fn edits(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<MessageEdit>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        let cursor = |cursor: &str| parse_seq_cursor(List::Edits, cursor);
        let request = args.decode(cursor)?.check(End::Start)?;
        // Most messages were never edited.
        let page = match self.row.edited_at {
            Some(_) => self.scope.loaders().edit_page(&self.row, request).await?,
            None => Arc::default(),
        };
        Ok(Connection::of(
            &page,
            |row: &EditRow| seq_cursor(List::Edits, row.seq),
            |row| MessageEdit::new(&self.scope, row),
        ))
    }

    /// What a message of the system tells; null for all others.
    async fn system(&self) -> Result<Option<SystemContent>> {
        let details = self.details().await?;
        let told = details.and_then(|details| details.content.system.clone());
        Ok(told.map(|told| SystemContent::new(&self.scope, told)))
    }

    /// The sender's idempotency key, as it was given.
    async fn client_message_id(&self) -> Option<&str> {
        self.row.client_message_id.as_deref()
    }

    /// Members who have read up to it, longest-standing first: present ones, who joined before
    /// it was sent, and not its sender. Depends on the viewer: those who have switched read
    /// receipts off are left out, and all are if the viewer has.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity)",
        directive = per_viewer::apply()
    )]
    async fn seen_by(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<MemberConnection> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        let request = args.decode(parse_member_cursor)?.check(End::Start)?;
        let (id, selected) = (self.row.id, ctx.look_ahead());
        let is_listed = ["edges", "nodes", "pageInfo"]
            .iter()
            .any(|field| selected.field(field).exists());
        // Mostly it is only counted.
        let page = if is_listed {
            self.scope.loaders().seen_by_page(id, request).await?
        } else {
            Arc::default()
        };
        Ok(MemberConnection::new(
            &self.scope,
            MemberList::SeenBy(id),
            &page,
        ))
    }

    /// What users have reacted with, in the order of first use; nothing once deleted.
    #[graphql(complexity = "1 + reactions::MOST * child_complexity")]
    async fn reactions(&self) -> Result<Vec<Reaction>> {
        reactions::of_message(&self.scope, &self.row).await
    }

    /// When it was pinned, if it is.
    async fn pinned_at(&self) -> Result<Option<DateTime>> {
        let details = self.scope.loaders().details(&self.row).await?;
        Ok(details
            .and_then(|details| details.pinned_at)
            .map(Into::into))
    }

    /// Who pinned it, if it is pinned.
    async fn pinned_by(&self) -> Result<Option<User>> {
        let details = self.scope.loaders().details(&self.row).await?;
        match details.and_then(|details| details.pinned_by) {
            Some(id) => {
                let row = self.scope.loaders().user(id).await?;
                Ok(Some(User::new(&self.scope, row)))
            }
            None => Ok(None),
        }
    }

    /// What it asks, if its kind is POLL; null once deleted.
    async fn poll(&self) -> Result<Option<Poll>> {
        polls::of_message(&self.scope, &self.row).await
    }

    /// Whether it has a star of the viewer's. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn is_starred(&self) -> Result<bool> {
        Ok(self.scope.loaders().is_starred(self.row.id).await?)
    }

    /// Whether the viewer has hidden it, by `hideMessage`. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn is_hidden(&self) -> Result<bool> {
        Ok(self.scope.loaders().is_hidden(self.row.id).await?)
    }

    /// When it was sent.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// When it was last edited.
    async fn edited_at(&self) -> Option<DateTime> {
        self.row.edited_at.map(Into::into)
    }

    /// When it was deleted.
    async fn deleted_at(&self) -> Option<DateTime> {
        self.row.deleted_at.map(Into::into)
    }
}
