//! Messages that are sent later.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::messages::{Content, NewMessage, Parts};
use backchannel_domain::page::End;
use backchannel_domain::scheduled::{self, Scheduled as Row, ScheduledChange, ScheduledPosition};
use backchannel_domain::{ConversationId, MessageId};

use crate::connection::{Connection, List, RawPageArgs, parse_time_cursor, time_cursor};
use crate::content::{
    MessageContent, MessageContentInput, MessageKind, TextEntity, TextEntityInput, parse_entities,
};
use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;

#[derive(Clone)]
pub(crate) struct ScheduledMessage {
    scope: Scope,
    row: Arc<Row>,
    kind: MessageKind,
    content: Content,
}

impl ScheduledMessage {
    pub(crate) fn new(scope: &Scope, row: Arc<Row>) -> Self {
        let (kind, content) = scheduled::parts(&row);
        Self {
            scope: scope.clone(),
            row,
            kind: kind.into(),
            content,
        }
    }
}

/// A message of the viewer that waits to be sent, or that could not be sent.
#[Object]
impl ScheduledMessage {
    /// The id of the message it becomes.
    async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// Where it is to go; null once the viewer is no member any more.
    async fn conversation(&self) -> Result<Option<Conversation>> {
        let loaders = self.scope.loaders();
        let row = loaders.find_conversation(self.row.conversation_id).await?;
        Ok(row.map(|row| Conversation::new(&self.scope, row)))
    }

    /// What it will be.
    async fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Its text.
    async fn text(&self) -> Option<&str> {
        self.row.text.as_deref()
    }

    /// What stretches of the text are, in order.
    async fn entities(&self) -> Vec<TextEntity> {
        let entities = self.content.entities.iter();
        entities
            .map(|entity| TextEntity::new(&self.scope, entity))
            .collect()
    }

    /// What it is about beside its text.
    async fn content(&self) -> Option<MessageContent> {
        self.content.body.as_ref().map(Into::into)
    }

    /// When it is to be sent.
    async fn send_at(&self) -> DateTime {
        self.row.send_at.into()
    }

    /// When it was scheduled.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// Why it was not sent, if it was tried, in words for developers: it stays until it is edited or
    /// cancelled, for 30 days.
    async fn failure(&self) -> Option<&str> {
        self.row.failure.as_deref()
    }
}

/// A message to send later.
#[derive(InputObject)]
struct ScheduleMessageInput {
    /// Where.
    conversation_id: ID,
    /// When: in the future, within a year.
    send_at: DateTime,
    /// What: 1 to 4,000 characters, not blank, without NUL. Where `content` is given it may be left out.
    text: Option<String>,
    /// The sender's own key for this message, 1 to 128 bytes: repeat it to retry safely.
    client_message_id: Option<String>,
    /// What it is about besides, and so of which kind it is.
    content: Option<MessageContentInput>,
    /// What stretches of the text are: at most 100, which mention at most 50 users, with URLs of at most
    /// 8 KiB in all.
    entities: Option<Vec<TextEntityInput>>,
    /// The message that it answers, in the same conversation.
    reply_to_id: Option<ID>,
    /// The message to whose thread it goes, or any in that thread.
    thread_id: Option<ID>,
}

/// The answer to `scheduleMessage`.
#[derive(SimpleObject)]
struct ScheduleMessagePayload {
    /// What waits; to a retry after it was sent, what that became, with `sendAt` saying when.
    scheduled_message: ScheduledMessage,
}

/// What is to change of a message that waits. What is left out stays as it is.
#[derive(InputObject)]
struct EditScheduledMessageInput {
    /// Which.
    scheduled_message_id: ID,
    /// Another instant: in the future, within a year. It is needed where the message could not be sent.
    send_at: Option<DateTime>,
    /// Another text: 1 to 4,000 characters, not blank, without NUL.
    text: Option<String>,
    /// What stretches of that text are: at most 100, which mention at most 50 users, with URLs of at most
    /// 8 KiB in all; none if left out.
    entities: Option<Vec<TextEntityInput>>,
}

/// The answer to `editScheduledMessage`.
#[derive(SimpleObject)]
struct EditScheduledMessagePayload {
    /// What waits.
    scheduled_message: ScheduledMessage,
}

/// A message not to send after all.
#[derive(InputObject)]
struct CancelScheduledMessageInput {
    /// Which.
    scheduled_message_id: ID,
}

/// The answer to `cancelScheduledMessage`.
#[derive(SimpleObject)]
struct CancelScheduledMessagePayload {
    /// Always true: where that cannot be, there is an error.
    ok: bool,
}

/// A page of what the viewer has scheduled.
pub(crate) async fn page(
    scope: &Scope,
    conversation_id: Option<ID>,
    args: RawPageArgs,
) -> Result<Connection<ScheduledMessage>> {
    let cursor = |cursor: &str| {
        let (send_at, id) = parse_time_cursor(List::Scheduled, cursor)?;
        let id = MessageId(id);
        Some(ScheduledPosition { send_at, id })
    };
    let request = args.decode(cursor)?.check(End::Start)?;
    let id = conversation_id
        .as_ref()
        .map(ConversationId::parse)
        .transpose()?;
    let page = scheduled::list(scope.cx(), id, &request).await?;
    let cursor = |row: &Row| {
        let ScheduledPosition { send_at, id } = ScheduledPosition::of(row);
        time_cursor(List::Scheduled, send_at, id.0)
    };
    Ok(Connection::of(&page, cursor, |row| {
        ScheduledMessage::new(scope, Arc::new(row.clone()))
    }))
}

#[derive(Default)]
pub(crate) struct ScheduledMutation;

#[Object]
impl ScheduledMutation {
    /// Sends a message later: once, at `sendAt` or a few seconds after, if the viewer may send it then.
    /// At most 1,000 of a user wait or could not be sent; one more is CONFLICT. Where slow mode makes it
    /// wait, `sendAt` moves to when it is its turn. The same (sender, clientMessageId) again returns the
    /// first, as what it became once it was sent; with other content it is CONFLICT.
    async fn schedule_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, when, and what.")] input: ScheduleMessageInput,
    ) -> Result<ScheduleMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let message = |id: &Option<ID>| id.as_ref().map(MessageId::parse).transpose();
        let parts = Parts {
            body: input.content.map(Into::into),
            entities: parse_entities(input.entities)?,
            reply_to_id: message(&input.reply_to_id)?,
            thread_id: message(&input.thread_id)?,
        };
        let new = NewMessage::parse(id, input.text, input.client_message_id, parts)?;
        let row = scheduled::schedule(scope.cx(), new, input.send_at.0).await?;
        Ok(ScheduleMessagePayload {
            scheduled_message: ScheduledMessage::new(scope, row),
        })
    }

    /// Changes a message that waits, or tries one again that could not be sent. What is answered will be sent
    /// so; NOT_FOUND once it was sent.
    async fn edit_scheduled_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which, and what is to change.")] input: EditScheduledMessageInput,
    ) -> Result<EditScheduledMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = MessageId::parse(&input.scheduled_message_id)?;
        let entities = parse_entities(input.entities)?;
        let change = ScheduledChange {
            text: input.text.map(|text| (text, entities)),
            send_at: input.send_at.map(|at| at.0),
        };
        let row = scheduled::edit(scope.cx(), id, change).await?;
        Ok(EditScheduledMessagePayload {
            scheduled_message: ScheduledMessage::new(scope, row),
        })
    }

    /// Takes back a message that waits, or forgets one that could not be sent. Once it is answered, it will not
    /// be sent; NOT_FOUND once it was.
    async fn cancel_scheduled_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: CancelScheduledMessageInput,
    ) -> Result<CancelScheduledMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = MessageId::parse(&input.scheduled_message_id)?;
        scheduled::cancel(scope.cx(), id).await?;
        Ok(CancelScheduledMessagePayload { ok: true })
    }
}
