//! How messages are sent, forwarded, edited and deleted.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::messages::{self, NewMessage, Parts};
use backchannel_domain::{ConversationId, MessageId};

use crate::content::{MessageContentInput, TextEntityInput, parse_entities};
use crate::error::Result;
use crate::id::Global as _;
use crate::scope::Scope;

use super::Message;

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
    /// What stretches of the text are: at most 100, which mention at most 50 users, with URLs of at most
    /// 8 KiB in all.
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
    /// What stretches of it are: at most 100, which mention at most 50 users, with URLs of at most
    /// 8 KiB in all; none if left out.
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
    /// What it has already is no change; a deleted message is CONFLICT, and so are a poll and a forwarded
    /// message. FORBIDDEN once the conversation's time for it is over.
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
