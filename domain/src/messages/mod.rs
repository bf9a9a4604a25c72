//! What is said: sending, editing, deleting and reading messages.
//!
//! Sending goes through the node's [`queue`], which lets sends that meet commit together: as a
//! [`batch`], by a few [`statements`].

mod batch;
pub mod content;
pub mod details;
mod editing;
mod erasing;
mod forwarding;
pub mod hiding;
mod keys;
mod new;
pub(crate) mod pace;
mod pages;
pub mod pins;
mod queue;
mod statements;
pub mod states;
pub mod threads;

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, MessageId, message};
use sea_orm::{ActiveModelTrait as _, ConnectionTrait as _, EntityTrait, Statement};
use uuid::Uuid;

use crate::bots::Scope;
use crate::clock::new_id;
use crate::conversations::Conversation;
use crate::cx::Tx;
use crate::db::asked;
use crate::event::{Event, EventKind};
use crate::rates::{self, Action};
use crate::users::User;
use crate::{Cx, Error, Result, access};

use self::batch::Outgoing;

pub(crate) use self::editing::lock;
pub use self::editing::{MessageEdit, delete, edit, pages_of_edits};
pub(crate) use self::erasing::erase;
pub use self::forwarding::forward;
pub(crate) use self::keys::{KEY_TAKEN, find_by_key};
pub use self::new::{Kind as NewMessageKind, NewMessage, Parts};
pub use self::pages::{MessagePage, MessagesRequest, Of, Sender, pages};
pub(crate) use self::queue::SendQueue;
pub use backchannel_entities::message::{Kind as MessageKind, Model as Message};
pub use backchannel_entities::message_detail::{
    Content, Model as MessageDetail, SystemAction, SystemContent,
};

/// Sends a message; answers once it is durable. The same key of the same sender again, on
/// any node, answers the first message and sends nothing.
///
/// # Errors
/// [`crate::Error::NotFound`] when the conversation does not exist for the actor, or a message that is
/// referred to is not there; [`crate::Error::Forbidden`] to one who may not send there; [`crate::Error::Conflict`] when the key was used
/// for other content; [`crate::Error::RateLimited`] when the sender has sent too many, too many wait already,
/// or this one has waited too long; [`crate::Error::Internal`] also when it is not known whether it was sent.
pub async fn send(cx: &Cx, mut new: NewMessage) -> Result<Arc<Message>> {
    let sender = Arc::clone(&cx.signed_in()?.user);
    cx.may(Scope::Messages)?;
    rates::count(cx, Action::Send)?;
    match new.find_referred(cx).await {
        Ok(()) => {}
        Err(refusal @ Error::NotFound(_)) => {
            return keys::find_sent_with(cx, &mut new).await?.ok_or(refusal);
        }
        Err(refusal) => return Err(refusal),
    }
    SendQueue::send(cx.domain(), Outgoing::new(sender, new)).await
}

/// A message that has waited, and by which claim it is sent.
pub(crate) struct Awaited {
    /// The id that it was given at first.
    pub(crate) id: MessageId,
    pub(crate) claim: Uuid,
    /// What tells it from others, if it was kept.
    pub(crate) digest: Option<Vec<u8>>,
    pub(crate) new: NewMessage,
}

/// Sends a message for somebody who has said so before. It is not found if it was changed, taken back or
/// claimed by another node since.
pub(crate) async fn send_for(cx: &Cx, sender: Arc<User>, awaited: Awaited) -> Result<Arc<Message>> {
    SendQueue::send(cx.domain(), Outgoing::awaited(sender, awaited)).await
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

/// Messages that the actor sees, by id; others are left out.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: &[MessageId]) -> Result<HashMap<MessageId, Arc<Message>>> {
    let actor = cx.signed_in()?.user.id;
    let db = cx.read();
    let backend = db.get_database_backend();
    let (list, rows, id) = asked(backend, ids.iter().map(|id| id.0), "$1");
    let hidden = access::hidden_upto(r#"m."conversation_id""#, "$2");
    let sql = format!(
        r#"
SELECT m.* FROM {rows} CROSS JOIN "messages" m
WHERE m."id" = {id} AND m."seq" > {hidden}"#
    );
    let statement = Statement::from_sql_and_values(backend, sql, [list, actor.into()]);
    let found = message::Entity::find().from_raw_sql(statement);
    let messages = found.all(db).await?.into_iter();
    Ok(messages
        .map(|message| (message.id, Arc::new(message)))
        .collect())
}
