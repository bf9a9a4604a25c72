//! Messages: their type, sending, editing and deleting.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::messages::{
    self, Message as Row, MessageDetail, MessageEdit as EditRow, NewMessage, Parts,
};
use backchannel_domain::page::End;
use backchannel_domain::{ConversationId, MessageId};

use crate::connection::{Connection, List, RawPageArgs, page_cost, parse_seq_cursor, seq_cursor};
use crate::content::{
    Forwarded, MessageContent, MessageContentInput, MessageKind, TextEntity, TextEntityInput,
    parse_entities,
};
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

    /// The present text; null once deleted, and where there is none beside `content`. It is plain, never
    /// markup: `entities` says what stretches of it are.
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

    /// The message that it answers, as that is now.
    async fn reply_to(&self) -> Result<Option<Message>> {
        let details = self.details().await?;
        self.other(details.and_then(|found| found.reply_to_id))
            .await
    }

    /// The message whose thread it is in.
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

/// A message to send.
#[derive(InputObject)]
struct SendMessageInput {
    /// Where.
    conversation_id: ID,
    /// What: 1 to 4,000 characters, not blank, without NUL. Where `content` is given it may be left out.
    text: Option<String>,
    /// The sender's own key for this message, 1 to 128 bytes: repeat it to retry safely.
    client_message_id: Option<String>,
    /// What it is about besides, and so of which kind it is.
    content: Option<MessageContentInput>,
    /// What stretches of the text are, at most 100.
    entities: Option<Vec<TextEntityInput>>,
    /// The message that it answers, in the same conversation.
    reply_to_id: Option<ID>,
    /// The message to whose thread it goes, or any in that thread.
    thread_id: Option<ID>,
}

impl SendMessageInput {
    fn parse(self) -> Result<NewMessage> {
        let id = ConversationId::parse(&self.conversation_id)?;
        let parts = Parts {
            body: self.content.map(Into::into),
            entities: parse_entities(self.entities)?,
            reply_to_id: self
                .reply_to_id
                .as_ref()
                .map(MessageId::parse)
                .transpose()?,
            thread_id: self.thread_id.as_ref().map(MessageId::parse).transpose()?,
        };
        Ok(NewMessage::parse(
            id,
            self.text,
            self.client_message_id,
            parts,
        )?)
    }
}

/// The answer to `sendMessage`.
#[derive(SimpleObject)]
struct SendMessagePayload {
    /// The message; to a retry, the one that was sent first.
    message: Message,
}

/// Another text for a message.
#[derive(InputObject)]
struct EditMessageInput {
    /// Which message.
    message_id: ID,
    /// The new text: 1 to 4,000 characters, not blank, without NUL.
    text: String,
    /// What stretches of it are, at most 100; none if left out.
    entities: Option<Vec<TextEntityInput>>,
}

/// The answer to `editMessage`.
#[derive(SimpleObject)]
struct EditMessagePayload {
    /// The message with its new text.
    message: Message,
}

/// A message to say elsewhere.
#[derive(InputObject)]
struct ForwardMessageInput {
    /// Which message.
    message_id: ID,
    /// Where to.
    conversation_id: ID,
    /// The sender's own key for the new message, 1 to 128 bytes: repeat it to retry safely.
    client_message_id: Option<String>,
}

/// The answer to `forwardMessage`.
#[derive(SimpleObject)]
struct ForwardMessagePayload {
    /// The new message; to a retry, the one that was sent first.
    message: Message,
}

/// A message to delete.
#[derive(InputObject)]
struct DeleteMessageInput {
    /// Which message.
    message_id: ID,
}

/// The answer to `deleteMessage`.
#[derive(SimpleObject)]
struct DeleteMessagePayload {
    /// The tombstone.
    message: Message,
}

#[derive(Default)]
pub(crate) struct MessagesMutation;

#[Object]
impl MessagesMutation {
    /// Answers once the message is durable. The same (sender, clientMessageId) again
    /// returns the first message; with other content it is CONFLICT.
    async fn send_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, and what.")] input: SendMessageInput,
    ) -> Result<SendMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = messages::send(scope.cx(), input.parse()?).await?;
        Ok(SendMessagePayload {
            message: Message::new(scope, row),
        })
    }

    /// Sends a message made of another one: with its text, its content and its entities but mentions, and
    /// `forwarded` saying where it comes from. The same (sender, clientMessageId) again returns the first
    /// message. Notes of calls, polls and messages of the system are FORBIDDEN, a deleted one is CONFLICT.
    async fn forward_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message, and where to.")] input: ForwardMessageInput,
    ) -> Result<ForwardMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = MessageId::parse(&input.message_id)?;
        let to = ConversationId::parse(&input.conversation_id)?;
        let row = messages::forward(scope.cx(), id, to, input.client_message_id).await?;
        Ok(ForwardMessagePayload {
            message: Message::new(scope, row),
        })
    }

    /// Gives one's own message another text, and says what stretches of it are; what it was stays in `edits`.
    /// What it has already is no change; a deleted message is CONFLICT, and so is a poll. FORBIDDEN once
    /// the conversation's time for it is over.
    async fn edit_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message, and its new text.")] input: EditMessageInput,
    ) -> Result<EditMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = MessageId::parse(&input.message_id)?;
        let entities = parse_entities(input.entities)?;
        let row = messages::edit(scope.cx(), id, input.text, entities).await?;
        Ok(EditMessagePayload {
            message: Message::new(scope, row),
        })
    }

    /// Deletes a message for everyone: one's own, while the conversation's time for it lasts, or, except
    /// in a DIRECT conversation, any as OWNER or ADMIN. Its reactions, pin, stars and poll go with it.
    /// Deleting it again is no change. To delete it for the viewer alone there is `hideMessage`.
    async fn delete_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message.")] input: DeleteMessageInput,
    ) -> Result<DeleteMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = messages::delete(scope.cx(), MessageId::parse(&input.message_id)?).await?;
        Ok(DeleteMessagePayload {
            message: Message::new(scope, row),
        })
    }
}
