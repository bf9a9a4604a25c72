//! Pinned messages: what a conversation wishes to find again.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, MessageId, Timestamp, UserId, message, message_detail};
use sea_orm::sea_query::{Expr, ExprTrait as _, Order};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, Condition, EntityTrait, FromQueryResult,
    IntoActiveModel as _, JoinType, PaginatorTrait as _, QueryFilter, QueryOrder, QuerySelect, Set,
};

use crate::bots::Scope;
use crate::cx::Tx;
use crate::db::page_of_each;
use crate::event::{Event, EventKind};
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::users::User;
use crate::{Cx, Error, Result, access};

use super::{Message, MessageKind, details, hiding, lock};

/// Most pinned messages of a conversation.
const MOST: u64 = 50;

/// Pins a message. One that is pinned is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Forbidden`] to one who
/// may not pin; [`Error::Conflict`] for one that cannot be pinned, or when there is no room;
/// [`Error::RateLimited`] when the actor has done too much.
pub async fn pin(cx: &Cx, id: MessageId) -> Result<Arc<Message>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let (membership, mut message) = lock(tx, actor.id, id).await?;
            membership.may_pin()?;
            can_be_pinned(&message)?;
            let detail = details::of(tx, &message).await?;
            message.has_details = true;
            if detail.pinned_at.is_some() {
                return Ok(Arc::new(message));
            }
            let pinned = message_detail::Entity::find()
                .filter(message_detail::Column::ConversationId.eq(message.conversation_id))
                .filter(message_detail::Column::PinnedAt.is_not_null());
            if pinned.count(&tx.db).await? >= MOST {
                return Err(conflict("as many messages are pinned as there is room for"));
            }
            let pin = Some(actor.id);
            change(tx, actor, message, detail, pin).await
        })
    })
    .await
}

/// Unpins a message. One that is not pinned is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Forbidden`] to one who
/// may not unpin; [`Error::RateLimited`] when the actor has done too much.
pub async fn unpin(cx: &Cx, id: MessageId) -> Result<Arc<Message>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let (membership, message) = lock(tx, actor.id, id).await?;
            membership.may_unpin()?;
            if !message.has_details {
                return Ok(Arc::new(message));
            }
            let detail = details::of(tx, &message).await?;
            if detail.pinned_at.is_none() {
                return Ok(Arc::new(message));
            }
            change(tx, actor, message, detail, None).await
        })
    })
    .await
}

fn can_be_pinned(message: &Message) -> Result<()> {
    if message.deleted_at.is_some() {
        return Err(conflict("a deleted message cannot be pinned"));
    }
    if message.kind == MessageKind::System {
        return Err(conflict("a message of the system cannot be pinned"));
    }
    Ok(())
}

fn conflict(message: &'static str) -> Error {
    Error::Conflict {
        field: None,
        message,
    }
}

/// Pins a message for somebody, or for nobody.
async fn change(
    tx: &mut Tx,
    actor: Arc<User>,
    message: Message,
    detail: message_detail::Model,
    pinned_by: Option<UserId>,
) -> Result<Arc<Message>> {
    let conversation = tx.allocate(message.conversation_id, 1).await?;
    let now = conversation.last_active_at;
    let mut row = detail.into_active_model();
    row.pinned_at = Set(pinned_by.map(|_| now));
    row.pinned_by = Set(pinned_by);
    row.update(&tx.db).await?;
    let message = Arc::new(message);
    let kind = match pinned_by {
        Some(_) => EventKind::MessagePinned,
        None => EventKind::MessageUnpinned,
    };
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

/// A pinned message, and where it stands in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromQueryResult)]
pub struct Pin {
    /// Where.
    pub conversation_id: ConversationId,
    /// Since when.
    pub pinned_at: Timestamp,
    /// Which.
    pub message_id: MessageId,
}

/// Where a message stands in the list of those that are pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PinPosition {
    /// Since when it is.
    pub at: Timestamp,
    /// Tells apart those of the same millisecond.
    pub id: MessageId,
}

/// The pinned messages of each conversation, as far as the actor sees them and has not hidden them, the
/// one pinned last first.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    ids: &[ConversationId],
    request: &PageRequest<PinPosition>,
) -> Result<HashMap<ConversationId, Page<Pin>>> {
    use message_detail::Column::{ConversationId as Conversation, MessageId as Id, PinnedAt};
    let actor = cx.signed_in()?.user.id;
    let page_of_one = |id: ConversationId| {
        let of_message = message_detail::Entity::belongs_to(message::Entity)
            .from(Id)
            .to(message::Column::Id);
        let mut select = message_detail::Entity::find()
            .select_only()
            .columns([Conversation, PinnedAt, Id])
            .join(JoinType::InnerJoin, of_message.into())
            .filter(access::sees_message(actor))
            .filter(hiding::is_shown(
                actor,
                Expr::col((message_detail::Entity, Id)),
            ))
            .filter(Conversation.eq(id))
            .filter(PinnedAt.is_not_null());
        if let Some(PinPosition { at, id }) = request.after {
            let tie = PinnedAt.eq(at).and(Id.lt(id));
            select = select.filter(Condition::any().add(PinnedAt.lt(at)).add(tie));
        }
        if let Some(PinPosition { at, id }) = request.before {
            let tie = PinnedAt.eq(at).and(Id.gt(id));
            select = select.filter(Condition::any().add(PinnedAt.gt(at)).add(tie));
        }
        let order = match request.end {
            End::Start => Order::Desc,
            End::Finish => Order::Asc,
        };
        select
            .order_by(PinnedAt, order.clone())
            .order_by(Id, order)
            .limit(request.rows())
    };
    let rows: Vec<Pin> = page_of_each(cx.read(), ids, page_of_one).await?;
    Ok(request.pages(rows, |pin| pin.conversation_id))
}
