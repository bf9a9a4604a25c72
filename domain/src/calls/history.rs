//! Finding calls: by id, and as a list.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{CallId, ConversationId, Timestamp, call, call_party, member};
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect,
    RelationDef,
};

use crate::access::Membership;
use crate::db::in_list;
use crate::page::{End, Page, PageRequest};
use crate::{Cx, Result};

use super::{Call, store};

/// Calls of conversations the actor is in, by id; others are left out.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: &[CallId]) -> Result<HashMap<CallId, Arc<Call>>> {
    let actor = cx.signed_in()?.user.id;
    let rows = call::Entity::find()
        .filter(call::Column::Id.is_in(in_list(ids)))
        .join(JoinType::InnerJoin, membership())
        .filter(member::Column::UserId.eq(actor))
        .filter(member::Column::LeftAt.is_null())
        .all(cx.read())
        .await?;
    let calls = store::with_parties(cx.read(), rows).await?;
    Ok(calls
        .into_iter()
        .map(|call| (call.row.id, Arc::new(call)))
        .collect())
}

fn membership() -> RelationDef {
    call::Entity::belongs_to(member::Entity)
        .from(call::Column::ConversationId)
        .to(member::Column::ConversationId)
        .into()
}

/// Where a call stands in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartPosition {
    /// When it was started.
    pub started_at: Timestamp,
    /// Tells apart those started in the same millisecond.
    pub id: CallId,
}

impl StartPosition {
    /// The position of `call`.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        Self {
            started_at: call.row.started_at,
            id: call.row.id,
        }
    }
}

/// The calls the actor was a party of, in conversations the actor is in, newest first; in one
/// of them, if one is named.
///
/// # Errors
/// [`crate::Error::NotFound`] when the conversation named does not exist for the actor.
pub async fn list(
    cx: &Cx,
    conversation_id: Option<ConversationId>,
    request: &PageRequest<StartPosition>,
) -> Result<Page<Call>> {
    let actor = cx.signed_in()?.user.id;
    let mut select = call::Entity::find()
        .inner_join(call_party::Entity)
        .join(JoinType::InnerJoin, membership())
        .filter(call_party::Column::UserId.eq(actor))
        .filter(member::Column::UserId.eq(actor))
        .filter(member::Column::LeftAt.is_null());
    // The same instant and key, of the table whose index has them in order.
    let (started_at, id): (SimpleExpr, SimpleExpr) = match conversation_id {
        Some(conversation_id) => {
            Membership::prove(cx, conversation_id).await?;
            select = select.filter(call::Column::ConversationId.eq(conversation_id));
            (
                Expr::col((call::Entity, call::Column::StartedAt)),
                Expr::col((call::Entity, call::Column::Id)),
            )
        }
        None => (
            Expr::col((call_party::Entity, call_party::Column::StartedAt)),
            Expr::col((call_party::Entity, call_party::Column::CallId)),
        ),
    };
    if let Some(StartPosition {
        started_at: at,
        id: key,
    }) = request.after
    {
        let tie = started_at.clone().eq(at).and(id.clone().lt(key));
        let older = Condition::any().add(started_at.clone().lt(at)).add(tie);
        select = select.filter(older);
    }
    if let Some(StartPosition {
        started_at: at,
        id: key,
    }) = request.before
    {
        let tie = started_at.clone().eq(at).and(id.clone().gt(key));
        let newer = Condition::any().add(started_at.clone().gt(at)).add(tie);
        select = select.filter(newer);
    }
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    let rows = select
        .order_by(started_at, order.clone())
        .order_by(id, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    let page = request.page(rows);
    Ok(Page {
        items: store::with_parties(cx.read(), page.items).await?,
        has_next: page.has_next,
        has_previous: page.has_previous,
    })
}
