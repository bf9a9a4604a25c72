//! Finding requests: by id, and as lists.

use std::collections::HashMap;

use backchannel_entities::{ConversationId, JoinRequestId, Timestamp, join_request};
use sea_orm::sea_query::{ExprTrait as _, Order};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::access::Membership;
use crate::db::page_of_each;
use crate::page::{End, Page, PageRequest};
use crate::{Cx, Error, Result};

use super::{JoinRequest, JoinRequestState};

/// To those who answer no requests, and see none.
pub const UNSEEN: Error = Error::Forbidden("only owners and admins see who asks to join");

/// Where a request stands in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JoinAskPosition {
    /// When it was asked.
    pub asked_at: Timestamp,
    /// Tells apart those asked in the same millisecond.
    pub id: JoinRequestId,
}

impl JoinAskPosition {
    /// The position of `request`.
    #[must_use]
    pub fn of(request: &JoinRequest) -> Self {
        Self {
            asked_at: request.asked_at,
            id: request.id,
        }
    }
}

/// A page of the pending requests to join each conversation, the one asked last first. Conversations
/// whose requests the actor may not see are left out.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    ids: &[ConversationId],
    request: &PageRequest<JoinAskPosition>,
) -> Result<HashMap<ConversationId, Page<JoinRequest>>> {
    let seen = answerable(cx, ids).await?;
    let page_of_one = |id: ConversationId| page_of(pending(id), request);
    let rows: Vec<JoinRequest> = page_of_each(cx.read(), &seen, page_of_one).await?;
    Ok(request.pages_of(&seen, rows, |row| row.conversation_id))
}

/// Those of these conversations whose requests the actor answers.
async fn answerable(cx: &Cx, ids: &[ConversationId]) -> Result<Vec<ConversationId>> {
    let memberships = Membership::find_many(cx, ids).await?;
    let answers = memberships
        .iter()
        .filter(|membership| membership.may_answer_requests().is_ok());
    Ok(answers
        .map(|membership| membership.conversation.id)
        .collect())
}

pub(super) fn pending(id: ConversationId) -> Select<join_request::Entity> {
    join_request::Entity::find()
        .filter(join_request::Column::ConversationId.eq(id))
        .filter(join_request::Column::State.eq(JoinRequestState::Pending))
}

/// The actor's own requests that are not forgotten yet, the one asked last first.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn list(cx: &Cx, request: &PageRequest<JoinAskPosition>) -> Result<Page<JoinRequest>> {
    let actor = cx.signed_in()?.user.id;
    let own = join_request::Entity::find().filter(join_request::Column::UserId.eq(actor));
    let rows = page_of(own, request).all(cx.read()).await?;
    Ok(request.page(rows))
}

fn page_of(
    mut select: Select<join_request::Entity>,
    request: &PageRequest<JoinAskPosition>,
) -> Select<join_request::Entity> {
    use join_request::Column::{AskedAt, Id};
    if let Some(JoinAskPosition { asked_at, id }) = request.after {
        let tie = AskedAt.eq(asked_at).and(Id.lt(id));
        select = select.filter(Condition::any().add(AskedAt.lt(asked_at)).add(tie));
    }
    if let Some(JoinAskPosition { asked_at, id }) = request.before {
        let tie = AskedAt.eq(asked_at).and(Id.gt(id));
        select = select.filter(Condition::any().add(AskedAt.gt(asked_at)).add(tie));
    }
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    select
        .order_by(AskedAt, order.clone())
        .order_by(Id, order)
        .limit(request.rows())
}
