//! Leases as rows. Every change here makes out anew what the users are in, in the same
//! transaction.

use std::collections::HashSet;

use backchannel_entities::session::DeviceState;
use backchannel_entities::{NodeId, SessionId, UserId, lease, session};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait as _, IntoActiveModel, PaginatorTrait,
    QueryFilter,
};

use crate::cx::Tx;
use crate::db::in_list;
use crate::error::Unauthenticated;
use crate::sessions::SignedIn;
use crate::{Error, Result, calls};

use super::devices::{Batch, Devices};
use super::{NewPresence, Presence, nodes, outcome};

/// Writes what has begun and ended. Answers whether the node may keep leases; if not, what
/// has begun is not written.
pub(super) async fn write(tx: &mut Tx, node_id: NodeId, batch: &Batch) -> Result<bool> {
    let all = batch.begun.iter().chain(&batch.ended);
    let users = outcome::lock(tx, all.map(|(_, user_id)| *user_id).collect()).await?;
    delete(tx, node_id, &batch.ended).await?;
    let lives = nodes::lives(tx, node_id).await?;
    if lives {
        insert(tx, node_id, &batch.begun).await?;
        tell_back(tx, &batch.begun).await?;
    }
    let outcome = users.settle(tx, None).await?;
    tell_gone(tx, &batch.ended, &outcome.devices).await?;
    Ok(lives)
}

/// Ends leases of another node.
pub(super) async fn end_all(
    tx: &mut Tx,
    node_id: NodeId,
    ended: &[(SessionId, UserId)],
) -> Result<()> {
    let users = outcome::lock(tx, ended.iter().map(|(_, user_id)| *user_id).collect()).await?;
    delete(tx, node_id, ended).await?;
    let outcome = users.settle(tx, None).await?;
    tell_gone(tx, ended, &outcome.devices).await
}

/// Ends the leases of a user's sessions on every node.
pub(super) async fn end_everywhere(tx: &mut Tx, user_id: UserId, ids: &[SessionId]) -> Result<()> {
    let users = outcome::lock(tx, vec![user_id]).await?;
    lease::Entity::delete_many()
        .filter(lease::Column::UserId.eq(user_id))
        .filter(lease::Column::SessionId.is_in(in_list(ids)))
        .exec(&tx.db)
        .await?;
    let outcome = users.settle(tx, None).await?;
    let ended: Vec<_> = ids.iter().map(|id| (*id, user_id)).collect();
    tell_gone(tx, &ended, &outcome.devices).await
}

/// Writes what a device says of itself, and a lease for one without. None when the node may
/// not keep leases any more.
pub(super) async fn write_own(
    tx: &mut Tx,
    devices: &Devices,
    node_id: NodeId,
    signed_in: &SignedIn,
    new: &NewPresence,
) -> Result<Option<Presence>> {
    let own = (signed_in.session_id, signed_in.user.id);
    let users = outcome::lock(tx, vec![own.1]).await?;
    let elsewhere = lease::Entity::find()
        .filter(lease::Column::UserId.eq(own.1))
        .filter(lease::Column::SessionId.eq(own.0))
        .filter(lease::Column::NodeId.ne(node_id))
        .count(&tx.db)
        .await?;
    if elsewhere == 0 {
        if !nodes::lives(tx, node_id).await? {
            return Ok(None);
        }
        insert(tx, node_id, &[own]).await?;
        // Whatever becomes of the transaction: the device was here just now.
        devices.lend(own.0, own.1);
        tell_back(tx, &[own]).await?;
    }
    say(tx, own.0, new).await?;
    let outcome = users.settle(tx, new.text.clone()).await?;
    Ok(outcome.presences.into_iter().next())
}

/// Writes what a device says of itself.
async fn say(tx: &Tx, id: SessionId, new: &NewPresence) -> Result<()> {
    let session = session::Entity::find_by_id(id)
        .filter(session::Column::RevokedAt.is_null())
        .one(&tx.db)
        .await?
        .ok_or(Error::Unauthenticated(Unauthenticated::EndedSession))?;
    session::Entity::update_many()
        .col_expr(
            session::Column::DeviceState,
            Expr::value(new.applied_to(session.device_state)),
        )
        .filter(session::Column::Id.eq(id))
        .exec(&tx.db)
        .await?;
    Ok(())
}

async fn insert(tx: &Tx, node_id: NodeId, begun: &[(SessionId, UserId)]) -> Result<()> {
    if begun.is_empty() {
        return Ok(());
    }
    wake_idle(tx, begun).await?;
    let row = |(session_id, user_id)| {
        lease::Model {
            node_id,
            session_id,
            user_id,
        }
        .into_active_model()
    };
    lease::Entity::insert_many(in_list(begun).into_iter().map(row))
        .on_conflict_do_nothing_on([lease::Column::NodeId, lease::Column::SessionId])
        .exec_without_returning(&tx.db)
        .await?;
    Ok(())
}

/// A device that was idle when it went is in use when it comes back.
async fn wake_idle(tx: &Tx, begun: &[(SessionId, UserId)]) -> Result<()> {
    use lease::Column;
    let ids: Vec<SessionId> = begun.iter().map(|(id, _)| *id).collect();
    let own = Condition::all()
        .add(
            Expr::col((lease::Entity, Column::UserId))
                .equals((session::Entity, session::Column::UserId)),
        )
        .add(
            Expr::col((lease::Entity, Column::SessionId))
                .equals((session::Entity, session::Column::Id)),
        );
    let leases = Query::select()
        .expr(Expr::value(1))
        .from(lease::Entity)
        .cond_where(own)
        .take();
    session::Entity::update_many()
        .col_expr(
            session::Column::DeviceState,
            Expr::value(DeviceState::Online),
        )
        .filter(session::Column::Id.is_in(in_list(&ids)))
        .filter(session::Column::DeviceState.eq(DeviceState::Idle))
        .filter(Expr::exists(leases).not())
        .exec(&tx.db)
        .await?;
    Ok(())
}

async fn delete(tx: &Tx, node_id: NodeId, ended: &[(SessionId, UserId)]) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<SessionId> = ended.iter().map(|(id, _)| *id).collect();
    lease::Entity::delete_many()
        .filter(lease::Column::NodeId.eq(node_id))
        .filter(lease::Column::SessionId.is_in(in_list(&ids)))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Says, in the same transaction, which devices are there on no node any more: those of
/// `ended` that are not among the `present` ones.
async fn tell_gone(tx: &Tx, ended: &[(SessionId, UserId)], present: &[SessionId]) -> Result<()> {
    let present: HashSet<&SessionId> = present.iter().collect();
    let ended = ended.iter().map(|(id, _)| *id);
    let gone: Vec<SessionId> = ended.filter(|id| !present.contains(id)).collect();
    calls::devices_gone(tx, &gone).await
}

/// Says, in the same transaction, which devices are there, perhaps again.
async fn tell_back(tx: &Tx, begun: &[(SessionId, UserId)]) -> Result<()> {
    let back: Vec<SessionId> = begun.iter().map(|(id, _)| *id).collect();
    calls::devices_back(tx, &back).await
}
