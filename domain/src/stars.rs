//! Stars: messages that a user wishes to find again. Nobody else sees them.

use std::collections::HashSet;
use std::sync::Arc;

use backchannel_entities::{ConversationId, MessageId, Timestamp, member, message, star};
use sea_orm::sea_query::{Expr, ExprTrait as _, Order};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, JoinType, PaginatorTrait as _, QueryFilter, QueryOrder,
    QuerySelect, Set,
};

use crate::access::Membership;
use crate::bots::Scope;
use crate::bus::UserNotice;
use crate::db::in_list;
use crate::messages::{self, Message, hiding};
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, users};

pub use backchannel_entities::star::Model as Star;

/// Most stars of a user.
const MOST: u64 = 10_000;

/// Gives a message a star of the actor's own. One that has it is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Conflict`] for a deleted
/// one, and when the actor has very many already; [`Error::RateLimited`] when the actor has done too
/// much.
pub async fn star(cx: &Cx, id: MessageId) -> Result<Arc<Message>> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            // Before the conversation: stars of one user are counted one after another.
            users::lock(tx, actor).await?;
            let (_, message) = messages::lock(tx, actor, id).await?;
            let refused = |message| {
                Err(Error::Conflict {
                    field: None,
                    message,
                })
            };
            if message.deleted_at.is_some() {
                return refused("a deleted message takes no star");
            }
            let known = star::Entity::find_by_id((actor, id)).one(&tx.db).await?;
            if known.is_some() {
                return Ok(Arc::new(message));
            }
            let there = star::Entity::find().filter(star::Column::UserId.eq(actor));
            if there.count(&tx.db).await? >= MOST {
                return refused("you have as many stars as there is room for");
            }
            let row = star::ActiveModel {
                user_id: Set(actor),
                message_id: Set(message.id),
                conversation_id: Set(message.conversation_id),
                created_at: Set(tx.now()),
            };
            star::Entity::insert(row)
                .exec_without_returning(&tx.db)
                .await?;
            tx.tell(actor, UserNotice::Message(message.id));
            Ok(Arc::new(message))
        })
    })
    .await
}

/// Takes the actor's star from a message. One that has none is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::RateLimited`] when the
/// actor has done too much.
pub async fn unstar(cx: &Cx, id: MessageId) -> Result<Arc<Message>> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let (_, message) = messages::lock(tx, actor, id).await?;
            let gone = star::Entity::delete_by_id((actor, id)).exec(&tx.db).await?;
            if gone.rows_affected > 0 {
                tx.tell(actor, UserNotice::Message(message.id));
            }
            Ok(Arc::new(message))
        })
    })
    .await
}

/// Those of the messages that have a star of the actor's.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn of_actor(cx: &Cx, ids: &[MessageId]) -> Result<HashSet<MessageId>> {
    let actor = cx.signed_in()?.user.id;
    let starred: Vec<MessageId> = star::Entity::find()
        .select_only()
        .column(star::Column::MessageId)
        .filter(star::Column::UserId.eq(actor))
        .filter(star::Column::MessageId.is_in(in_list(ids)))
        .into_tuple()
        .all(cx.read())
        .await?;
    Ok(starred.into_iter().collect())
}

/// Where a message stands in the list of those with a star.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StarPosition {
    /// Since when it has it.
    pub at: Timestamp,
    /// Tells apart those of the same millisecond.
    pub id: MessageId,
}

impl StarPosition {
    /// The position of `star`.
    #[must_use]
    pub fn of(star: &Star) -> Self {
        Self {
            at: star.created_at,
            id: star.message_id,
        }
    }
}

/// The actor's stars, the latest first, of one conversation or of all. Those of messages that the actor
/// does not see any more are left out.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in; [`Error::NotFound`] for a conversation that does
/// not exist for the actor.
pub async fn list(
    cx: &Cx,
    of: Option<ConversationId>,
    request: &PageRequest<StarPosition>,
) -> Result<Page<Star>> {
    use star::Column::{ConversationId as Conversation, CreatedAt, MessageId as Id, UserId};
    let actor = cx.signed_in()?.user.id;
    let membership = star::Entity::belongs_to(member::Entity)
        .from((Conversation, UserId))
        .to((member::Column::ConversationId, member::Column::UserId))
        .into();
    let message = star::Entity::belongs_to(message::Entity)
        .from(Id)
        .to(message::Column::Id)
        .into();
    let is_visible = Expr::col((message::Entity, message::Column::Seq))
        .gt(Expr::col((member::Entity, member::Column::VisibleAfter)));
    let mut select = star::Entity::find()
        .join(JoinType::InnerJoin, membership)
        .join(JoinType::InnerJoin, message)
        .filter(UserId.eq(actor))
        .filter(member::Column::LeftAt.is_null())
        .filter(is_visible)
        .filter(hiding::is_shown(actor, Expr::col((star::Entity, Id))));
    if let Some(id) = of {
        Membership::prove(cx, id).await?;
        select = select.filter(Conversation.eq(id));
    }
    if let Some(StarPosition { at, id }) = request.after {
        let tie = CreatedAt.eq(at).and(Id.lt(id));
        select = select.filter(Condition::any().add(CreatedAt.lt(at)).add(tie));
    }
    if let Some(StarPosition { at, id }) = request.before {
        let tie = CreatedAt.eq(at).and(Id.gt(id));
        select = select.filter(Condition::any().add(CreatedAt.gt(at)).add(tie));
    }
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    let rows = select
        .order_by(CreatedAt, order.clone())
        .order_by(Id, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}
