//! Finding requests: by id, and as lists.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ChatRequestId, Timestamp, UserId, chat_request};
use sea_orm::sea_query::{ExprTrait as _, Order};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::db::in_list;
use crate::page::{End, Page, PageRequest};
use crate::{Cx, Result};

use super::{ChatRequest, ChatRequestState};

/// Whose requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Those of others to the actor.
    Incoming,
    /// The actor's own.
    Outgoing,
}

/// Where a request stands in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskPosition {
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Tells apart those asked in the same millisecond.
    pub id: ChatRequestId,
}

impl AskPosition {
    /// The position of `request`.
    #[must_use]
    pub fn of(request: &ChatRequest) -> Self {
        Self {
            asked_at: request.asked_at,
            id: request.id,
        }
    }
}

/// What a user sees of requests.
pub(super) fn is_seen_by(user_id: UserId) -> Condition {
    use chat_request::Column::{FromId, IsHidden, ToId};
    let incoming = Condition::all()
        .add(ToId.eq(user_id))
        .add(IsHidden.eq(false));
    Condition::any().add(FromId.eq(user_id)).add(incoming)
}

/// The actor's requests in one direction and state, the one asked last first.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn list(
    cx: &Cx,
    direction: Direction,
    state: ChatRequestState,
    request: &PageRequest<AskPosition>,
) -> Result<Page<ChatRequest>> {
    use chat_request::Column::{AskedAt, FromId, Id, IsHidden, State, ToId};
    let actor = cx.signed_in()?.user.id;
    let mut select = chat_request::Entity::find().filter(State.eq(state));
    select = match direction {
        Direction::Incoming => select.filter(ToId.eq(actor)).filter(IsHidden.eq(false)),
        Direction::Outgoing => select.filter(FromId.eq(actor)),
    };
    if let Some(AskPosition { asked_at, id }) = request.after {
        let tie = AskedAt.eq(asked_at).and(Id.lt(id));
        select = select.filter(Condition::any().add(AskedAt.lt(asked_at)).add(tie));
    }
    if let Some(AskPosition { asked_at, id }) = request.before {
        let tie = AskedAt.eq(asked_at).and(Id.gt(id));
        select = select.filter(Condition::any().add(AskedAt.gt(asked_at)).add(tie));
    }
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    let rows = select
        .order_by(AskedAt, order.clone())
        .order_by(Id, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}

/// Those of these requests that the actor sees.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(
    cx: &Cx,
    ids: &[ChatRequestId],
) -> Result<HashMap<ChatRequestId, Arc<ChatRequest>>> {
    let actor = cx.signed_in()?.user.id;
    let rows = chat_request::Entity::find()
        .filter(chat_request::Column::Id.is_in(in_list(ids)))
        .filter(is_seen_by(actor))
        .all(cx.read())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, Arc::new(row)))
        .collect())
}
