//! Requests to join: where a conversation is set so, or an invitation is made so, one asks instead of
//! coming in.
//!
//! 1. There is one of a user in a conversation at most. Who asks again while it is pending is
//!    answered with it; who was declined cannot ask again until that is forgotten.
//! 2. Whoever comes in by another way has thereby been approved, and whoever is banned declined.
//! 3. Owners and admins see those that are pending, as a list and [live](received()); the one who asks
//!    sees what became of it.
//! 4. All that is done to one is done under the lock of its conversation.

mod list;
mod received;

use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{ConversationId, JoinRequestId, UserId, join_request};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait as _, ColumnTrait, EntityTrait, QueryFilter};

use crate::access::{self, Membership};
use crate::bots::Scope;
use crate::clock::new_id;
use crate::conversations::{self, RoomName};
use crate::cx::Tx;
use crate::db::in_list;
use crate::members::{self, Role};
use crate::rates::{self, Action};
use crate::upkeep::{self, Found};
use crate::{Cx, Domain, Error, Result, bans, users};

pub use backchannel_entities::join_request::{Model as JoinRequest, State as JoinRequestState};

pub use self::list::{JoinAskPosition, UNSEEN, list, pages};
pub use self::received::received;

/// How long one stays that is pending, and one that something came of.
const PENDING: Duration = Duration::from_hours(90 * 24);
const SETTLED: Duration = Duration::from_hours(30 * 24);

const UNKNOWN: Error = Error::NotFound("join request");

/// Whether a request was there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Before,
    Now,
}

/// Asks to join a room. One that is pending is the answer to whoever asks again.
///
/// # Errors
/// [`Error::NotFound`] when there is no such room; [`Error::Conflict`] for a member, and where anyone
/// comes in without asking; [`Error::Forbidden`] when it is archived, the actor is banned, or was
/// declined lately; [`Error::RateLimited`] when the actor has asked too much.
pub async fn ask_room(cx: &Cx, room: RoomName) -> Result<Arc<JoinRequest>> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Search)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let room = conversations::lock_room(tx, room).await?;
            let known = access::find(&tx.db, room.id, actor).await?;
            if known.is_some_and(|known| known.left_at.is_none()) {
                return Err(Error::Conflict {
                    field: None,
                    message: "you are a member already",
                });
            }
            bans::require_none(tx, room.id, &[actor]).await?;
            if !room.settings.joins_by_request {
                return Err(Error::Conflict {
                    field: None,
                    message: "nobody asks to join this room: join it, by joinRoom",
                });
            }
            access::takes_members(&room)?;
            let (request, _) = ask(tx, room.id, actor).await?;
            Ok(request)
        })
    })
    .await
}

/// Asks to join a conversation that is locked, for one who is no member and not banned.
pub(crate) async fn ask(
    tx: &mut Tx,
    id: ConversationId,
    user_id: UserId,
) -> Result<(Arc<JoinRequest>, Asked)> {
    let known = join_request::Entity::find()
        .filter(join_request::Column::ConversationId.eq(id))
        .filter(join_request::Column::UserId.eq(user_id))
        .one(&tx.db)
        .await?;
    let now = tx.now();
    let request = match known {
        None => JoinRequest {
            id: JoinRequestId(new_id()),
            conversation_id: id,
            user_id,
            state: JoinRequestState::Pending,
            asked_at: now,
            changed_at: now,
            expires_at: now,
            stamp: 0,
        },
        Some(known) => match known.state {
            JoinRequestState::Pending => return Ok((Arc::new(known), Asked::Before)),
            JoinRequestState::Declined => {
                return Err(Error::Forbidden("the request to join was declined lately"));
            }
            JoinRequestState::Approved | JoinRequestState::Withdrawn => JoinRequest {
                asked_at: now,
                ..known
            },
        },
    };
    let request = write(tx, request, JoinRequestState::Pending).await?;
    Ok((request, Asked::Now))
}

/// Writes what has become of a request, and tells those who wait for such.
async fn write(
    tx: &mut Tx,
    request: JoinRequest,
    state: JoinRequestState,
) -> Result<Arc<JoinRequest>> {
    let now = tx.now();
    let is_new = request.stamp == 0;
    let stays = match state {
        JoinRequestState::Pending => PENDING,
        JoinRequestState::Approved | JoinRequestState::Declined | JoinRequestState::Withdrawn => {
            SETTLED
        }
    };
    let request = JoinRequest {
        state,
        changed_at: now,
        expires_at: now.plus(stays),
        stamp: tx.stamp().await?,
        ..request
    };
    let row = join_request::ActiveModel::from(request.clone()).reset_all();
    if is_new {
        let insert = join_request::Entity::insert(row);
        insert.exec_without_returning(&tx.db).await?;
    } else {
        join_request::Entity::update(row).exec(&tx.db).await?;
    }
    tx.asked_to_join(request.conversation_id);
    Ok(Arc::new(request))
}

/// Says that these users, who come into a conversation that is locked, were approved if they had
/// asked.
pub(crate) async fn approve_all(tx: &Tx, id: ConversationId, user_ids: &[UserId]) -> Result<()> {
    settle_all(tx, id, user_ids, JoinRequestState::Approved).await
}

/// Says that these users, who may not come in, were declined if they had asked.
pub(crate) async fn decline_all(tx: &Tx, id: ConversationId, user_ids: &[UserId]) -> Result<()> {
    settle_all(tx, id, user_ids, JoinRequestState::Declined).await
}

/// Forgets that a user was declined, who may ask again.
pub(crate) async fn forgive(tx: &Tx, id: ConversationId, user_id: UserId) -> Result<()> {
    join_request::Entity::delete_many()
        .filter(join_request::Column::ConversationId.eq(id))
        .filter(join_request::Column::UserId.eq(user_id))
        .filter(join_request::Column::State.eq(JoinRequestState::Declined))
        .exec(&tx.db)
        .await?;
    Ok(())
}

async fn settle_all(
    tx: &Tx,
    id: ConversationId,
    user_ids: &[UserId],
    state: JoinRequestState,
) -> Result<()> {
    use join_request::Column::{ChangedAt, ConversationId, ExpiresAt, Stamp, State, UserId};
    let now = tx.now();
    join_request::Entity::update_many()
        .col_expr(State, Expr::value(state))
        .col_expr(ChangedAt, Expr::value(now))
        .col_expr(ExpiresAt, Expr::value(now.plus(SETTLED)))
        .col_expr(Stamp, Expr::value(tx.stamp().await?))
        .filter(ConversationId.eq(id))
        .filter(UserId.is_in(in_list(user_ids)))
        .filter(State.eq(JoinRequestState::Pending))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Lets somebody in, by a MemberJoined event. Once more, it is no change.
///
/// # Errors
/// [`Error::NotFound`] when the request does not exist for the actor; [`Error::Forbidden`] when the
/// conversation is archived; [`Error::Conflict`] when it was declined or withdrawn.
pub async fn approve(cx: &Cx, id: JoinRequestId) -> Result<Arc<JoinRequest>> {
    answer(cx, id, JoinRequestState::Approved).await
}

/// Does not let somebody in. Once more, it is no change.
///
/// # Errors
/// [`Error::NotFound`] when the request does not exist for the actor; [`Error::Conflict`] when it was
/// approved or withdrawn.
pub async fn decline(cx: &Cx, id: JoinRequestId) -> Result<Arc<JoinRequest>> {
    answer(cx, id, JoinRequestState::Declined).await
}

/// Takes the actor's own request back. Once more, it is no change.
///
/// # Errors
/// [`Error::NotFound`] for any other; [`Error::Conflict`] when it was approved or declined.
pub async fn withdraw(cx: &Cx, id: JoinRequestId) -> Result<Arc<JoinRequest>> {
    answer(cx, id, JoinRequestState::Withdrawn).await
}

async fn answer(cx: &Cx, id: JoinRequestId, state: JoinRequestState) -> Result<Arc<JoinRequest>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let find = || join_request::Entity::find_by_id(id).one(&tx.db);
            let known = find().await?.ok_or(UNKNOWN)?;
            let there = known.conversation_id;
            if state == JoinRequestState::Withdrawn {
                if known.user_id != actor.id {
                    return Err(UNKNOWN);
                }
                tx.lock(there).await?;
            } else {
                let membership = Membership::lock(tx, actor.id, there).await;
                let membership = membership.map_err(unknown)?;
                // To whom they do not show there are none.
                membership.may_answer_requests().map_err(|_| UNKNOWN)?;
                if state == JoinRequestState::Approved {
                    access::takes_members(&membership.conversation)?;
                }
            }
            // Read again: only under the lock does it stay as it is.
            let request = find().await?.ok_or(UNKNOWN)?;
            if request.state == state {
                return Ok(Arc::new(request));
            }
            if request.state != JoinRequestState::Pending {
                return Err(Error::Conflict {
                    field: None,
                    message: "the request was answered or taken back before",
                });
            }
            let user_id = request.user_id;
            let request = write(tx, request, state).await?;
            if state == JoinRequestState::Approved {
                let mut users = users::require_all(tx, &[user_id]).await?;
                users.insert(actor.id, Arc::clone(&actor));
                members::join(tx, there, &actor, vec![user_id], Role::Member, &users).await?;
            }
            Ok(request)
        })
    })
    .await
}

fn unknown(error: Error) -> Error {
    if let Error::NotFound(_) = error {
        UNKNOWN
    } else {
        error
    }
}

/// Clears away what is forgotten, until the node stops.
pub(crate) async fn keep_clearing(domain: Domain) {
    upkeep::keep_doing(domain, "clearing requests to join away", clear_some).await;
}

fn clear_some(cx: &Cx) -> BoxFuture<'_, Result<Found>> {
    use join_request::Column::{ExpiresAt, Id};
    let now = cx.handles().clock.now();
    upkeep::clear_before::<join_request::Entity>(cx, Id, ExpiresAt, now).boxed()
}
