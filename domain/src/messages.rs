//! What is said: sending, editing, deleting and reading messages.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, MessageId, UserId, member, message};
use sea_orm::sea_query::Order;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect,
    Set, TryInsertResult,
};
use sha2::{Digest, Sha256};

use crate::access::Membership;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::db::{in_list, page_of_each};
use crate::event::{Event, EventKind};
use crate::page::{End, Page, PageRequest};
use crate::users::User;
use crate::{Cx, Error, Result, limits};

pub use backchannel_entities::message::Model as Message;

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

    /// Tells a retry from another message under the same key. Salted with the key, so that
    /// equal texts do not show as equal rows.
    fn digest(&self) -> Option<Vec<u8>> {
        let key = self.client_message_id.as_ref()?;
        let mut digest = Sha256::new();
        digest.update(self.conversation_id.0.as_bytes());
        // Lengths keep the fields apart.
        digest.update(u64::try_from(key.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(key.as_bytes());
        digest.update(self.text.as_bytes());
        Some(digest.finalize().to_vec())
    }
}

/// Sends a message; answers once it is durable. The same key of the same sender again, on
/// any node, answers the first message and sends nothing.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor;
/// [`Error::Conflict`] when the key was used for other content.
pub async fn send(cx: &Cx, new: NewMessage) -> Result<Arc<Message>> {
    let sender = Arc::clone(&cx.signed_in()?.user);
    let (sender_id, digest) = (sender.id, new.digest());
    let retry = new.client_message_id.clone().zip(digest.clone());
    let sent = cx.write(move |tx| Box::pin(async move { append(tx, sender, new, digest).await }));
    match (sent.await, retry) {
        // Rolled back, and with it the position that was taken.
        (Err(Error::Conflict { .. }), Some((key, digest))) => {
            find_first(cx, sender_id, key, digest).await
        }
        (sent, _) => sent,
    }
}

const KEY_TAKEN: Error = Error::Conflict {
    field: Some("clientMessageId"),
    message: "this clientMessageId was used for another message",
};

/// Appends the message at the conversation's next position; [`KEY_TAKEN`] when the sender
/// has used the key before.
async fn append(
    tx: &mut Tx,
    sender: Arc<User>,
    new: NewMessage,
    digest: Option<Vec<u8>>,
) -> Result<Arc<Message>> {
    // Taking the position also takes the lock, under which membership is then proved.
    let conversation = tx.allocate(new.conversation_id, 1).await?;
    let membership = Membership::of_locked(tx, sender.id, conversation).await?;
    membership.may_send()?;
    let message = Message {
        id: MessageId(new_id()),
        conversation_id: new.conversation_id,
        seq: membership.conversation.last_seq,
        sender_id: Some(sender.id),
        client_message_id: new.client_message_id,
        digest,
        text: Some(new.text),
        created_at: membership.conversation.last_active_at,
        edited_at: None,
        deleted_at: None,
        stamp: tx.stamp().await?,
    };
    let row = message::ActiveModel::from(message.clone()).reset_all();
    let key = [message::Column::SenderId, message::Column::ClientMessageId];
    let inserted = message::Entity::insert(row)
        .on_conflict_do_nothing_on(key)
        .exec_without_returning(&tx.db)
        .await?;
    match inserted {
        TryInsertResult::Inserted(1..) => {}
        TryInsertResult::Inserted(0) | TryInsertResult::Empty | TryInsertResult::Conflicted => {
            return Err(KEY_TAKEN);
        }
    }
    let message = Arc::new(message);
    let event = Event {
        conversation_id: message.conversation_id,
        seq: message.seq,
        at: message.created_at,
        actor_id: message.sender_id,
        stamp: message.stamp,
        kind: EventKind::MessageSent(Arc::clone(&message)),
        users: [sender].into(),
    };
    tx.record(vec![event]).await?;
    Ok(message)
}

async fn find_first(
    cx: &Cx,
    sender_id: UserId,
    key: String,
    digest: Vec<u8>,
) -> Result<Arc<Message>> {
    let first = message::Entity::find()
        .filter(message::Column::SenderId.eq(sender_id))
        .filter(message::Column::ClientMessageId.eq(key))
        .one(cx.read())
        .await?
        .ok_or(Error::NotFound("message"))?;
    if first.digest.as_ref() == Some(&digest) {
        Ok(Arc::new(first))
    } else {
        Err(KEY_TAKEN)
    }
}

/// Gives a message another text. The text it has already is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Forbidden`]
/// to anyone but the sender; [`Error::Conflict`] for a deleted message;
/// [`Error::BadInput`] for a text that is not acceptable.
pub async fn edit(cx: &Cx, id: MessageId, text: String) -> Result<Arc<Message>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    let text = limits::text("text", text)?;
    cx.write(move |tx| {
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
    cx.write(move |tx| {
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

/// A page of the messages of each conversation, oldest first; positions are seqs. The
/// caller has found the conversations through the actor's own memberships.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    ids: &[ConversationId],
    request: &PageRequest<i64>,
) -> Result<HashMap<ConversationId, Page<Message>>> {
    use message::Column::{ConversationId, Seq};
    cx.signed_in()?;
    let order = match request.end {
        End::Start => Order::Asc,
        End::Finish => Order::Desc,
    };
    let page_of_one = |id: backchannel_entities::ConversationId| {
        let mut select = message::Entity::find().filter(ConversationId.eq(id));
        if let Some(after) = request.after {
            select = select.filter(Seq.gt(after));
        }
        if let Some(before) = request.before {
            select = select.filter(Seq.lt(before));
        }
        select.order_by(Seq, order.clone()).limit(request.rows())
    };
    let rows: Vec<Message> = page_of_each(cx.read(), ids, page_of_one).await?;
    Ok(request.pages(rows, |message| message.conversation_id))
}
