//! Changing what was said: editing and deleting, and what messages were before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backchannel_entities::mention::EVERYONE;
use backchannel_entities::{ConversationId, MessageId, UserId, message, message_edit};
use sea_orm::sea_query::Order;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel as _, JoinType, QueryFilter,
    QueryOrder, QuerySelect, Set,
};

use crate::access::{self, Membership, Times};
use crate::bots::Scope;
use crate::cx::Tx;
use crate::db::page_of_each;
use crate::event::{Event, EventKind};
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::users::User;
use crate::{Cx, Error, Result, limits};

use super::content::{self, TextEntity};
use super::{Content, Message, MessageKind, details, erase};

pub use backchannel_entities::message_edit::Model as MessageEdit;

/// Most versions kept of a message; older ones are forgotten.
const EDITS_KEPT: u64 = 50;

/// Gives a message another text, and says what stretches of it are. What it has already is no change.
/// What it was is kept for [`pages_of_edits`].
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Forbidden`]
/// to anyone but the sender, when the time for it is over, and where one of two blocks the other;
/// [`Error::Conflict`] for a deleted message, a poll, and one that was forwarded;
/// [`Error::BadInput`] for a text that is not acceptable; [`Error::RateLimited`] when the actor has sent
/// or edited too many.
pub async fn edit(
    cx: &Cx,
    id: MessageId,
    text: String,
    entities: Vec<TextEntity>,
) -> Result<Arc<Message>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    let text = limits::text("text", text)?;
    let entities = content::checked_entities(&text, entities)?;
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let (membership, message) = lock(tx, actor.id, id).await?;
            membership.may_edit(message.sender_id, times(tx, &message))?;
            let before = details::find(tx, &message).await?.unwrap_or_default();
            can_be_edited(&message, &before)?;
            if content::mentioned(&entities).contains(&EVERYONE) {
                membership.may_mention_everyone()?;
            }
            if message.text.as_deref() == Some(&text) && before.entities == entities {
                return Ok(Arc::new(message));
            }
            change(
                tx,
                actor,
                message,
                Change::Edit(Box::new((text, before, entities))),
            )
            .await
        })
    })
    .await
}

/// Deletes a message for everyone: the text is erased, a tombstone stays. What others have done to it,
/// like reacting, goes with it. Deleting it again is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Forbidden`]
/// to one who may not delete it, or not any more; [`Error::RateLimited`] when the actor has done too
/// much.
pub async fn delete(cx: &Cx, id: MessageId) -> Result<Arc<Message>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let (membership, message) = lock(tx, actor.id, id).await?;
            membership.may_delete(message.sender_id, times(tx, &message))?;
            if message.deleted_at.is_some() {
                return Ok(Arc::new(message));
            }
            change(tx, actor, message, Change::Delete).await
        })
    })
    .await
}

fn times(tx: &Tx, message: &Message) -> Times {
    Times {
        sent_at: message.created_at,
        now: tx.now(),
    }
}

fn can_be_edited(message: &Message, content: &Content) -> Result<()> {
    let refused = |message| {
        Err(Error::Conflict {
            field: None,
            message,
        })
    };
    if message.deleted_at.is_some() {
        return refused("a deleted message cannot be edited");
    }
    if message.kind == MessageKind::Poll {
        return refused("a poll cannot be edited: some may have answered it");
    }
    if content.forwarded.is_some() {
        return refused("a forwarded message cannot be edited: it says who said that");
    }
    Ok(())
}

/// Finds a message and locks its conversation. To one who is no member of that, the message
/// does not exist.
pub(crate) async fn lock(tx: &Tx, user_id: UserId, id: MessageId) -> Result<(Membership, Message)> {
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
    let message = find().await?.ok_or(unknown.clone())?;
    if message.seq <= membership.member.visible_after {
        return Err(unknown);
    }
    Ok((membership, message))
}

enum Change {
    /// The text and the entities to be, and what there was between.
    Edit(Box<(String, Content, Vec<TextEntity>)>),
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
    let (message, kind): (Message, fn(_) -> _) = match change {
        Change::Edit(edit) => {
            let (text, before, entities) = *edit;
            let mut row = message.clone().into_active_model();
            keep_edit(tx, &message, before.clone(), conversation.last_seq).await?;
            if before.entities != entities {
                details::set_entities(tx, &message, entities).await?;
                row.has_details = Set(true);
            }
            row.text = Set(Some(text));
            row.edited_at = Set(Some(now));
            (row.update(&tx.db).await?, EventKind::MessageEdited)
        }
        Change::Delete => {
            let erased = std::slice::from_ref(&message);
            erase(tx, conversation.id, erased, now).await?;
            let tombstone = Message {
                text: None,
                deleted_at: Some(now),
                ..message
            };
            (tombstone, EventKind::MessageDeleted)
        }
    };
    let message = Arc::new(message);
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

/// Keeps what a message was before the edit at `seq`.
async fn keep_edit(tx: &Tx, message: &Message, content: Content, seq: i64) -> Result<()> {
    use message_edit::Column::{MessageId, Seq};
    let row = message_edit::ActiveModel {
        message_id: Set(message.id),
        seq: Set(seq),
        text: Set(message.text.clone()),
        content: Set(content),
        written_at: Set(message.edited_at.unwrap_or(message.created_at)),
    };
    message_edit::Entity::insert(row)
        .exec_without_returning(&tx.db)
        .await?;
    let oldest_kept: Option<i64> = message_edit::Entity::find()
        .select_only()
        .column(Seq)
        .filter(MessageId.eq(message.id))
        .order_by_desc(Seq)
        .offset(EDITS_KEPT - 1)
        .limit(1)
        .into_tuple()
        .one(&tx.db)
        .await?;
    if let Some(oldest_kept) = oldest_kept {
        message_edit::Entity::delete_many()
            .filter(MessageId.eq(message.id))
            .filter(Seq.lt(oldest_kept))
            .exec(&tx.db)
            .await?;
    }
    Ok(())
}

/// A page of what each message was before it was edited, oldest first; positions are seqs of the edits.
/// Where the conversation does not show it, nobody but the sender, owners and admins sees it: of
/// messages that the actor does not see so, there is none.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn pages_of_edits(
    cx: &Cx,
    messages: &[(MessageId, Option<UserId>, ConversationId)],
    request: &PageRequest<i64>,
) -> Result<HashMap<MessageId, Page<MessageEdit>>> {
    let actor = cx.signed_in()?.user.id;
    let order = match request.end {
        End::Start => Order::Asc,
        End::Finish => Order::Desc,
    };
    let mut conversations: Vec<ConversationId> = messages.iter().map(|(.., id)| *id).collect();
    conversations.sort_unstable();
    conversations.dedup();
    let memberships = Membership::find_many(cx, &conversations).await?;
    let shown: HashSet<ConversationId> = memberships
        .iter()
        .filter(|membership| membership.sees_edits())
        .map(|membership| membership.conversation.id)
        .collect();
    let ids: Vec<MessageId> = messages
        .iter()
        .filter(|(_, sender, conversation)| *sender == Some(actor) || shown.contains(conversation))
        .map(|(id, ..)| *id)
        .collect();
    let page_of_one = |id: MessageId| {
        use message_edit::Column::{MessageId, Seq};
        let of_message = message_edit::Entity::belongs_to(message::Entity)
            .from(MessageId)
            .to(message::Column::Id);
        let mut select = message_edit::Entity::find()
            .join(JoinType::InnerJoin, of_message.into())
            .filter(MessageId.eq(id))
            .filter(access::sees_message(actor));
        if let Some(after) = request.after {
            select = select.filter(Seq.gt(after));
        }
        if let Some(before) = request.before {
            select = select.filter(Seq.lt(before));
        }
        select.order_by(Seq, order.clone()).limit(request.rows())
    };
    let rows: Vec<MessageEdit> = page_of_each(cx.read(), &ids, page_of_one).await?;
    Ok(request.pages(rows, |edit| edit.message_id))
}
