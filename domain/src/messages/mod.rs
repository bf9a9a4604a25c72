//! What is said: sending, editing, deleting and reading messages.
//!
//! Sending goes through the node's [`queue`], which lets sends that meet commit together: as a
//! [`batch`], by a few [`statements`].

mod batch;
pub mod details;
mod pages;
mod queue;
mod statements;

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, MessageId, UserId, member, message};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, Set,
};

use crate::access::Membership;
use crate::bots::Scope;
use crate::clock::new_id;
use crate::conversations::Conversation;
use crate::cx::Tx;
use crate::db::in_list;
use crate::event::{Event, EventKind};
use crate::rates::{self, Action};
use crate::users::User;
use crate::{Cx, Error, Result, limits};

use self::batch::Outgoing;

pub use self::pages::{MessagePage, Sender, pages};
pub(crate) use self::queue::SendQueue;
pub use backchannel_entities::message::{Kind as MessageKind, Model as Message};
pub use backchannel_entities::message_detail::{Content, Model as MessageDetail};

/// A message to send, checked.
pub struct NewMessage {
    conversation_id: ConversationId,
    text: String,
    client_message_id: Option<String>,
}

impl NewMessage {
    /// Checks a message to send.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        conversation_id: ConversationId,
        text: Option<String>,
        client_message_id: Option<String>,
    ) -> Result<Self> {
        let text = limits::text("text", text.unwrap_or_default())?;
        let client_message_id = client_message_id
            .map(|id| limits::client_message_id("clientMessageId", id))
            .transpose()?;
        Ok(Self {
            conversation_id,
            text,
            client_message_id,
        })
    }
}

/// Sends a message; answers once it is durable. The same key of the same sender again, on
/// any node, answers the first message and sends nothing.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor;
/// [`Error::Forbidden`] to one who may not send there; [`Error::Conflict`] when the key was used
/// for other content; [`Error::RateLimited`] when the sender has sent too many, too many wait already,
/// or this one has waited too long; [`Error::Internal`] also when it is not known whether it was sent.
pub async fn send(cx: &Cx, new: NewMessage) -> Result<Arc<Message>> {
    let sender = Arc::clone(&cx.signed_in()?.user);
    cx.may(Scope::Messages)?;
    rates::count(cx, Action::Send)?;
    SendQueue::send(cx.domain(), Outgoing::new(sender, new)).await
}

/// Sends a message in a transaction that has locked or made the conversation, whose members are for
/// the caller to know. Answers the conversation as it is then.
pub(crate) async fn send_in(
    tx: &mut Tx,
    id: ConversationId,
    sender: Arc<User>,
    text: String,
) -> Result<Conversation> {
    let conversation = tx.allocate(id, 1).await?;
    let message = Message {
        id: MessageId(new_id()),
        conversation_id: id,
        seq: conversation.last_seq,
        sender_id: Some(sender.id),
        client_message_id: None,
        digest: None,
        text: Some(text),
        created_at: conversation.last_active_at,
        edited_at: None,
        deleted_at: None,
        stamp: tx.stamp().await?,
        kind: MessageKind::Text,
        has_details: false,
    };
    message::Entity::insert(message::ActiveModel::from(message.clone()).reset_all())
        .exec_without_returning(&tx.db)
        .await?;
    let event = Event {
        conversation_id: id,
        seq: message.seq,
        at: message.created_at,
        actor_id: message.sender_id,
        stamp: message.stamp,
        kind: EventKind::MessageSent(Arc::new(message)),
        users: [sender].into(),
    };
    tx.record(vec![event]).await?;
    Ok(conversation)
}

/// Gives a message another text. The text it has already is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Forbidden`]
/// to anyone but the sender, and where one of two blocks the other; [`Error::Conflict`] for a deleted
/// message;
/// [`Error::BadInput`] for a text that is not acceptable; [`Error::RateLimited`] when the actor has sent
/// or edited too many.
pub async fn edit(cx: &Cx, id: MessageId, text: String) -> Result<Arc<Message>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    let text = limits::text("text", text)?;
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let (membership, message) = lock(tx, actor.id, id).await?;
            membership.may_edit(message.sender_id)?;
            if message.deleted_at.is_some() {
                let message = "a deleted message cannot be edited";
                return Err(Error::Conflict {
                    field: None,
                    message,
                });
            }
            if message.text.as_deref() == Some(&text) {
                return Ok(Arc::new(message));
            }
            change(tx, actor, message, Change::Edit(text)).await
        })
    })
    .await
}

/// Deletes a message for everyone: the text is erased, a tombstone stays. Deleting it again
/// is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Forbidden`]
/// to one who may not delete it.
pub async fn delete(cx: &Cx, id: MessageId) -> Result<Arc<Message>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let (membership, message) = lock(tx, actor.id, id).await?;
            membership.may_delete(message.sender_id)?;
            if message.deleted_at.is_some() {
                return Ok(Arc::new(message));
            }
            change(tx, actor, message, Change::Delete).await
        })
    })
    .await
}

/// Finds a message and locks its conversation. To one who is no member of that, the message
/// does not exist.
async fn lock(tx: &Tx, user_id: UserId, id: MessageId) -> Result<(Membership, Message)> {
    let find = || message::Entity::find_by_id(id).one(&tx.db);
    let unknown = Error::NotFound("message");
    let Some(message) = find().await? else {
        return Err(unknown);
    };
    let membership = match Membership::lock(tx, user_id, message.conversation_id).await {
        Err(Error::NotFound(_)) => return Err(unknown),
        membership => membership?,
    };
    // Read again: only under the lock does it stay as it is.
    let message = find().await?.ok_or(unknown)?;
    Ok((membership, message))
}

enum Change {
    Edit(String),
    Delete,
}

async fn change(
    tx: &mut Tx,
    actor: Arc<User>,
    message: Message,
    change: Change,
) -> Result<Arc<Message>> {
    let conversation = tx.allocate(message.conversation_id, 1).await?;
    let now = conversation.last_active_at;
    let mut row: message::ActiveModel = message.into();
    let kind = match change {
        Change::Edit(text) => {
            row.text = Set(Some(text));
            row.edited_at = Set(Some(now));
            EventKind::MessageEdited
        }
        Change::Delete => {
            row.text = Set(None);
            row.deleted_at = Set(Some(now));
            EventKind::MessageDeleted
        }
    };
    let message = Arc::new(row.update(&tx.db).await?);
    let event = Event {
        conversation_id: conversation.id,
        seq: conversation.last_seq,
        at: now,
        actor_id: Some(actor.id),
        stamp: tx.stamp().await?,
        kind: kind(Arc::clone(&message)),
        users: [actor].into(),
    };
    tx.record(vec![event]).await?;
    Ok(message)
}

/// Messages in conversations the actor is in, by id; others are left out.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: &[MessageId]) -> Result<HashMap<MessageId, Arc<Message>>> {
    let actor = cx.signed_in()?.user.id;
    let membership = message::Entity::belongs_to(member::Entity)
        .from(message::Column::ConversationId)
        .to(member::Column::ConversationId)
        .into();
    let messages = message::Entity::find()
        .filter(message::Column::Id.is_in(in_list(ids)))
        .join(JoinType::InnerJoin, membership)
        .filter(member::Column::UserId.eq(actor))
        .filter(member::Column::LeftAt.is_null())
        .all(cx.read())
        .await?;
    Ok(messages
        .into_iter()
        .map(|message| (message.id, Arc::new(message)))
        .collect())
}
