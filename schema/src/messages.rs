//! Messages: their type, sending, editing and deleting.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::messages::{self, Message as Row, NewMessage};
use backchannel_domain::page::End;
use backchannel_domain::{ConversationId, MessageId};

use crate::connection::{RawPageArgs, page_cost};
use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::Global as _;
use crate::members::{MemberConnection, MemberList, parse_member_cursor};
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::sharing::per_viewer;
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

    /// The present text; null once deleted.
    async fn text(&self) -> Option<&str> {
        self.row.text.as_deref()
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
    /// What: 1 to 4,000 characters, not blank, without NUL.
    text: Option<String>,
    /// The sender's own key for this message, 1 to 128 bytes: repeat it to retry safely.
    client_message_id: Option<String>,
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
}

/// The answer to `editMessage`.
#[derive(SimpleObject)]
struct EditMessagePayload {
    /// The message with its new text.
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
        let id = ConversationId::parse(&input.conversation_id)?;
        let new = NewMessage::parse(id, input.text, input.client_message_id)?;
        let row = messages::send(scope.cx(), new).await?;
        Ok(SendMessagePayload {
            message: Message::new(scope, row),
        })
    }

    /// Gives one's own message another text. The text it has already is no change; a
    /// deleted message is CONFLICT.
    async fn edit_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message, and its new text.")] input: EditMessageInput,
    ) -> Result<EditMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = MessageId::parse(&input.message_id)?;
        let row = messages::edit(scope.cx(), id, input.text).await?;
        Ok(EditMessagePayload {
            message: Message::new(scope, row),
        })
    }

    /// Deletes a message for everyone: one's own, or, except in a DIRECT conversation, any
    /// as OWNER or ADMIN. Deleting it again is no change.
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
