//! Bans: who may not come into a conversation, by whichever way: added, by a room's slug, an
//! invitation or a request. A member who is banned is removed with it.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, Timestamp, UserId, ban};
use sea_orm::sea_query::{ExprTrait as _, Order};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, Condition, EntityTrait, PaginatorTrait as _, QueryFilter,
    QueryOrder, QuerySelect, Select, Set,
};

use crate::access::{self, Membership};
use crate::bots::Scope;
use crate::conversations::Conversation;
use crate::cx::Tx;
use crate::db::{in_list, page_of_each};
use crate::messages::SystemAction;
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, join_requests, limits, members, users};

pub use backchannel_entities::ban::Model as Ban;

/// Most users banned from a conversation.
const MOST: u64 = 10_000;

/// A ban to make, checked.
pub struct NewBan {
    conversation_id: ConversationId,
    user_id: UserId,
    reason: Option<String>,
}

impl NewBan {
    /// Checks it.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a reason that is not acceptable.
    pub fn parse(
        conversation_id: ConversationId,
        user_id: UserId,
        reason: Option<&str>,
    ) -> Result<Self> {
        let reason = reason.map(|reason| limits::comment("reason", reason));
        Ok(Self {
            conversation_id,
            user_id,
            reason: reason.transpose()?.flatten(),
        })
    }
}

/// Bans a user, who is removed if they are a member. One who is banned already is no change.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor, or the user not at all;
/// [`Error::Forbidden`] to one who could not remove them; [`Error::BadInput`] for oneself;
/// [`Error::Conflict`] when very many are banned already.
pub async fn ban(cx: &Cx, new: NewBan) -> Result<Arc<Ban>> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let (id, user_id) = (new.conversation_id, new.user_id);
            let membership = Membership::lock(tx, actor, id).await?;
            let target = access::find(&tx.db, id, user_id).await?;
            let target = target.filter(|target| target.left_at.is_none());
            membership.may_ban(target.as_ref())?;
            if user_id == actor {
                return Err(Error::bad_input("userId", "is your own"));
            }
            users::require_all(tx, &[user_id]).await?;
            if let Some(known) = ban::Entity::find_by_id((id, user_id)).one(&tx.db).await? {
                return Ok(Arc::new(known));
            }
            let banned = ban::Entity::find().filter(ban::Column::ConversationId.eq(id));
            if banned.count(&tx.db).await? >= MOST {
                return Err(Error::Conflict {
                    field: None,
                    message: "as many are banned as there is room for",
                });
            }
            let row = ban::ActiveModel {
                conversation_id: Set(id),
                user_id: Set(user_id),
                banned_by: Set(actor),
                reason: Set(new.reason),
                created_at: Set(tx.now()),
            };
            let ban = row.insert(&tx.db).await?;
            join_requests::decline_all(tx, id, &[user_id]).await?;
            if let Some(target) = target {
                members::leave(tx, actor, target, SystemAction::Banned).await?;
            }
            Ok(Arc::new(ban))
        })
    })
    .await
}

/// Lifts a ban; the user may come back, or ask to, and is no member yet. One who is not banned is no change.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor, or the user not at all;
/// [`Error::Forbidden`] to plain members.
pub async fn unban(cx: &Cx, id: ConversationId, user_id: UserId) -> Result<Conversation> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor, id).await?;
            membership.may_unban()?;
            users::require_all(tx, &[user_id]).await?;
            ban::Entity::delete_by_id((id, user_id))
                .exec(&tx.db)
                .await?;
            join_requests::forgive(tx, id, user_id).await?;
            Ok(membership.conversation)
        })
    })
    .await
}

/// Fails with [`Error::Forbidden`] if one of these users is banned.
pub(crate) async fn require_none(tx: &Tx, id: ConversationId, user_ids: &[UserId]) -> Result<()> {
    let banned = ban::Entity::find()
        .filter(ban::Column::ConversationId.eq(id))
        .filter(ban::Column::UserId.is_in(in_list(user_ids)))
        .limit(1)
        .one(&tx.db)
        .await?;
    match banned {
        None => Ok(()),
        Some(_) => Err(BANNED),
    }
}

/// The same words for who is banned and for who would add them.
const BANNED: Error = Error::Forbidden("who is banned from this conversation cannot come in");

/// Whether the actor is banned, for what is only read.
pub(crate) async fn require_not(cx: &Cx, id: ConversationId) -> Result<()> {
    let actor = cx.signed_in()?.user.id;
    match ban::Entity::find_by_id((id, actor)).one(cx.read()).await? {
        None => Ok(()),
        Some(_) => Err(BANNED),
    }
}

/// To those who may not see who is banned.
pub const UNSEEN: Error = Error::Forbidden("only owners and admins see who is banned");

/// Where a ban stands in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BanPosition {
    /// Since when it is.
    pub created_at: Timestamp,
    /// Tells apart those of the same millisecond.
    pub user_id: UserId,
}

impl BanPosition {
    /// The position of `ban`.
    #[must_use]
    pub fn of(ban: &Ban) -> Self {
        Self {
            created_at: ban.created_at,
            user_id: ban.user_id,
        }
    }
}

/// A page of those who are banned from each conversation, the latest first. Conversations whose bans
/// the actor may not see are left out.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    ids: &[ConversationId],
    request: &PageRequest<BanPosition>,
) -> Result<HashMap<ConversationId, Page<Ban>>> {
    let memberships = Membership::find_many(cx, ids).await?;
    let seen = memberships
        .iter()
        .filter(|membership| membership.may_see_bans().is_ok());
    let seen: Vec<_> = seen.map(|membership| membership.conversation.id).collect();
    let rows: Vec<Ban> = page_of_each(cx.read(), &seen, |id| page_of(id, request)).await?;
    Ok(request.pages_of(&seen, rows, |ban| ban.conversation_id))
}

fn page_of(id: ConversationId, request: &PageRequest<BanPosition>) -> Select<ban::Entity> {
    use ban::Column::{ConversationId, CreatedAt, UserId};
    let mut select = ban::Entity::find().filter(ConversationId.eq(id));
    if let Some(after) = request.after {
        let tie = CreatedAt.eq(after.created_at).and(UserId.lt(after.user_id));
        let older = Condition::any().add(CreatedAt.lt(after.created_at));
        select = select.filter(older.add(tie));
    }
    if let Some(before) = request.before {
        let tie = CreatedAt
            .eq(before.created_at)
            .and(UserId.gt(before.user_id));
        let newer = Condition::any().add(CreatedAt.gt(before.created_at));
        select = select.filter(newer.add(tie));
    }
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    select
        .order_by(CreatedAt, order.clone())
        .order_by(UserId, order)
        .limit(request.rows())
}
