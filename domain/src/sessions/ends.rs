//! Ending sessions: their tokens are refused and their streams closed, on every node within a
//! second.

use backchannel_entities::{SessionId, UserId, session, user};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::cx::Tx;
use crate::db::in_list;
use crate::{Result, presence};

use super::is_live;

/// Most sessions ended by one statement.
const AT_ONCE: u64 = 256;

/// Ends these sessions of a user.
pub(crate) async fn end(tx: &mut Tx, user_id: UserId, ids: &[SessionId]) -> Result<()> {
    presence::end_devices(tx, user_id, ids).await?;
    session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(tx.now()))
        .filter(session::Column::Id.is_in(in_list(ids)))
        .filter(session::Column::RevokedAt.is_null())
        .exec(&tx.db)
        .await?;
    for id in ids {
        tx.end_session(*id);
    }
    Ok(())
}

/// Ends all sessions of a user, but one that is to be kept; answers how many went on until then.
pub(crate) async fn end_all(tx: &mut Tx, user_id: UserId, kept: Option<SessionId>) -> Result<u64> {
    let mut count = 0;
    loop {
        let is_to_end =
            is_live(user_id, tx.now()).add_option(kept.map(|kept| session::Column::Id.ne(kept)));
        let ids: Vec<SessionId> = session::Entity::find()
            .select_only()
            .column(session::Column::Id)
            .filter(is_to_end)
            .limit(AT_ONCE)
            .into_tuple()
            .all(&tx.db)
            .await?;
        if ids.is_empty() {
            return Ok(count);
        }
        end(tx, user_id, &ids).await?;
        count += ids.len() as u64;
    }
}

/// Waits for others who are opening a session for the same user: each is to count those of the
/// ones before.
pub(super) async fn take_turn(tx: &Tx, user_id: UserId) -> Result<()> {
    user::Entity::find_by_id(user_id)
        .lock(LockType::NoKeyUpdate)
        .one(&tx.db)
        .await?;
    Ok(())
}

/// Ends the sessions that were used longest ago where one more would be more than `most`. To be
/// called in turn.
pub(super) async fn make_room(tx: &mut Tx, user_id: UserId, most: u64) -> Result<()> {
    let over: Vec<SessionId> = session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .filter(is_live(user_id, tx.now()))
        .order_by_desc(session::Column::LastUsedAt)
        .order_by_desc(session::Column::Id)
        .offset(most.saturating_sub(1))
        .limit(AT_ONCE)
        .into_tuple()
        .all(&tx.db)
        .await?;
    if over.is_empty() {
        return Ok(());
    }
    end(tx, user_id, &over).await
}
