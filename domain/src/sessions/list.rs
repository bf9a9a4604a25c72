//! The actor's own sessions: listed, named and ended.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{SessionId, Timestamp, session};
use sea_orm::sea_query::{Expr, Order};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::audit::Act;
use crate::db::in_list;
use crate::page::{End, Page, PageRequest};
use crate::{Cx, Error, Result, limits};

use super::{Session, ends, is_live};

/// Where a session stands in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsePosition {
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// Tells apart those used in the same millisecond.
    pub id: SessionId,
}

impl UsePosition {
    /// The position of `session`.
    #[must_use]
    pub fn of(session: &Session) -> Self {
        Self {
            last_used_at: session.last_used_at,
            id: session.id,
        }
    }
}

/// The actor's sessions that go on, the one used last first.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn list(cx: &Cx, request: &PageRequest<UsePosition>) -> Result<Page<Session>> {
    use session::Column::{Id, LastUsedAt};
    let actor = cx.signed_in()?.user.id;
    let mut select = session::Entity::find().filter(is_live(actor, cx.handles().clock.now()));
    if let Some(UsePosition { last_used_at, id }) = request.after {
        let tie = Condition::all()
            .add(LastUsedAt.eq(last_used_at))
            .add(Id.lt(id));
        let older = Condition::any().add(LastUsedAt.lt(last_used_at)).add(tie);
        select = select.filter(older);
    }
    if let Some(UsePosition { last_used_at, id }) = request.before {
        let tie = Condition::all()
            .add(LastUsedAt.eq(last_used_at))
            .add(Id.gt(id));
        let newer = Condition::any().add(LastUsedAt.gt(last_used_at)).add(tie);
        select = select.filter(newer);
    }
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    let rows = select
        .order_by(LastUsedAt, order.clone())
        .order_by(Id, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}

/// Those of these sessions that are the actor's own and go on.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: &[SessionId]) -> Result<HashMap<SessionId, Arc<Session>>> {
    let actor = cx.signed_in()?.user.id;
    let rows = session::Entity::find()
        .filter(session::Column::Id.is_in(in_list(ids)))
        .filter(is_live(actor, cx.handles().clock.now()))
        .all(cx.read())
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, Arc::new(row)))
        .collect())
}

/// Gives the device of one of the actor's sessions another name.
///
/// # Errors
/// [`Error::BadInput`] for a name that is not acceptable; [`Error::NotFound`].
pub async fn rename(cx: &Cx, id: SessionId, device_name: &str) -> Result<Arc<Session>> {
    let actor = cx.signed_in()?.user.id;
    let name = limits::name("deviceName", device_name)?;
    cx.write(move |tx| {
        Box::pin(async move {
            let renamed = session::Entity::update_many()
                .col_expr(session::Column::DeviceName, Expr::value(name))
                .filter(session::Column::Id.eq(id))
                .filter(is_live(actor, tx.now()))
                .exec_with_returning(&tx.db)
                .await?;
            let renamed = renamed.into_iter().next().map(Arc::new);
            renamed.ok_or(Error::NotFound("session"))
        })
    })
    .await
}

/// Ends one of the actor's sessions, perhaps the very one by which they act.
///
/// # Errors
/// [`Error::NotFound`], alike for one that is over, somebody else's or nobody's.
pub async fn revoke(cx: &Cx, id: SessionId) -> Result<()> {
    let actor = cx.signed_in()?.user.id;
    cx.write(move |tx| {
        Box::pin(async move {
            let found = session::Entity::find_by_id(id)
                .filter(is_live(actor, tx.now()))
                .one(&tx.db)
                .await?;
            found.ok_or(Error::NotFound("session"))?;
            tx.audit(Act::SessionRevoked, actor);
            ends::end(tx, actor, &[id]).await
        })
    })
    .await
}

/// Ends all sessions of the actor but the one by which they act; answers how many.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn revoke_others(cx: &Cx) -> Result<u64> {
    let signed_in = cx.signed_in()?;
    let (actor, own) = (signed_in.user.id, signed_in.session_id);
    cx.write(move |tx| {
        Box::pin(async move {
            tx.audit(Act::OtherSessionsRevoked, actor);
            ends::end_all(tx, actor, Some(own)).await
        })
    })
    .await
}
