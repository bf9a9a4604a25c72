//! The invitations to a conversation.

use std::collections::HashMap;

use backchannel_entities::{ConversationId, InvitationId, Timestamp, invitation};
use sea_orm::sea_query::{ExprTrait as _, Order};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use crate::access::Membership;
use crate::db::page_of_each;
use crate::page::{End, Page, PageRequest};
use crate::{Cx, Error, Result};

use super::Invitation;

/// To those who may not invite others, and see no invitations.
pub const UNSEEN: Error = Error::Forbidden("you may not invite others here");

/// Where an invitation stands in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InvitationPosition {
    /// When it was made.
    pub created_at: Timestamp,
    /// Tells apart those made in the same millisecond.
    pub id: InvitationId,
}

impl InvitationPosition {
    /// The position of `invitation`.
    #[must_use]
    pub fn of(invitation: &Invitation) -> Self {
        Self {
            created_at: invitation.created_at,
            id: invitation.id,
        }
    }
}

/// A page of the invitations to each conversation that go on, the newest first. Conversations to which
/// the actor may not invite others are left out.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    ids: &[ConversationId],
    request: &PageRequest<InvitationPosition>,
) -> Result<HashMap<ConversationId, Page<Invitation>>> {
    let memberships = Membership::find_many(cx, ids).await?;
    let seen = memberships
        .iter()
        .filter(|membership| membership.may_see_invitations().is_ok());
    let seen: Vec<_> = seen.map(|membership| membership.conversation.id).collect();
    let now = cx.handles().clock.now();
    let page_of_one = |id: ConversationId| page_of(id, now, request);
    let rows: Vec<Invitation> = page_of_each(cx.read(), &seen, page_of_one).await?;
    Ok(request.pages_of(&seen, rows, |row| row.conversation_id))
}

fn page_of(
    id: ConversationId,
    now: Timestamp,
    request: &PageRequest<InvitationPosition>,
) -> Select<invitation::Entity> {
    use invitation::Column::{ConversationId, CreatedAt, ExpiresAt, Id};
    let mut select = invitation::Entity::find()
        .filter(ConversationId.eq(id))
        .filter(ExpiresAt.gt(now));
    if let Some(InvitationPosition { created_at, id }) = request.after {
        let tie = CreatedAt.eq(created_at).and(Id.lt(id));
        select = select.filter(Condition::any().add(CreatedAt.lt(created_at)).add(tie));
    }
    if let Some(InvitationPosition { created_at, id }) = request.before {
        let tie = CreatedAt.eq(created_at).and(Id.gt(id));
        select = select.filter(Condition::any().add(CreatedAt.gt(created_at)).add(tie));
    }
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    select
        .order_by(CreatedAt, order.clone())
        .order_by(Id, order)
        .limit(request.rows())
}
