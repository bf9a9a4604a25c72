//! Nodes that keep leases, and what becomes of the leases of one that dies.
//!
//! 1. A node that keeps leases has a row, whose beat it raises every few seconds. One that
//!    keeps none has no row and writes nothing.
//! 2. Each node looks at the beats of all. Clocks are not compared: a beat that stood still
//!    over several looks of a reader, at the reader's own pace, is that of a dead node.
//! 3. Who finds that marks the row, which a living node then notices: it comes back under
//!    another id, with all its leases. The marked row is buried, leases first.

use std::collections::HashMap;
use std::time::Duration;

use backchannel_entities::{NodeId, SessionId, UserId, lease, node};
use sea_orm::sea_query::{Expr, ExprTrait as _, LockType};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};

use crate::clock::new_id;
use crate::cx::Tx;
use crate::error::Unauthenticated;
use crate::{Cx, Domain, Result};

use super::{devices, leases};

/// How often a node beats, and looks at the others.
const BEAT: Duration = Duration::from_secs(5);
/// How often a node looks whether it is time to; tests move the clock.
const WAKE: Duration = Duration::from_millis(250);
/// Looks over which a beat must stand still.
const STILL: u32 = 4;
/// The beat of a node that was declared dead.
const DEAD: i64 = -1;

/// Beats and looks until the node stops.
pub(crate) async fn keep_beating(domain: Domain) {
    // Nobody acts: the node itself does.
    let cx = domain.anonymous(Unauthenticated::NoToken);
    let mut seen = HashMap::new();
    let mut due = Duration::ZERO;
    while devices::wait(&cx, WAKE).await {
        let now = cx.handles().clock.uptime();
        if now < due {
            continue;
        }
        due = now + BEAT;
        if let Err(error) = beat(&cx).await {
            tracing::warn!(%error, "telling that this node lives failed; trying again");
        }
        if let Err(error) = look(&cx, &mut seen).await {
            tracing::warn!(%error, "looking after the other nodes failed; trying again");
        }
    }
}

/// The id under which this node keeps leases; it is entered if it has none.
pub(super) async fn own(cx: &Cx) -> Result<NodeId> {
    let mut own = cx.handles().devices.node_id().await;
    if let Some(id) = *own {
        return Ok(id);
    }
    let id = NodeId(new_id());
    let row = node::ActiveModel {
        id: Set(id),
        beat: Set(0),
    };
    cx.write(move |tx| Box::pin(async move { Ok(row.insert(&tx.db).await?) }))
        .await?;
    *own = Some(id);
    Ok(id)
}

/// Acts on the news that `id` is not this node any more: all leases are to be taken anew.
pub(super) async fn lose(cx: &Cx, id: NodeId) {
    let devices = &cx.handles().devices;
    let mut own = devices.node_id().await;
    if *own == Some(id) {
        tracing::warn!(node.id = %id, "this node was taken for dead; it comes back under another id");
        *own = None;
        devices.take_all_anew();
    }
}

/// Whether a node may still keep leases. Holds the answer true until the end of the
/// transaction, though not against being declared dead: its leases are then buried later.
pub(super) async fn lives(tx: &Tx, id: NodeId) -> Result<bool> {
    let row = node::Entity::find_by_id(id)
        .lock(LockType::KeyShare)
        .one(&tx.db)
        .await?;
    Ok(row.is_some_and(|row| row.beat != DEAD))
}

async fn beat(cx: &Cx) -> Result<()> {
    let mut own = cx.handles().devices.node_id().await;
    let Some(id) = *own else { return Ok(()) };
    if cx.handles().devices.is_empty() {
        let delete = node::Entity::delete_by_id(id);
        cx.write(move |tx| Box::pin(async move { Ok(delete.exec(&tx.db).await?) }))
            .await?;
        *own = None;
        return Ok(());
    }
    drop(own);
    let raise = node::Entity::update_many()
        .col_expr(node::Column::Beat, Expr::col(node::Column::Beat).add(1))
        .filter(node::Column::Id.eq(id))
        .filter(node::Column::Beat.ne(DEAD));
    let raised = cx
        .write(move |tx| Box::pin(async move { Ok(raise.exec(&tx.db).await?) }))
        .await?;
    if raised.rows_affected == 0 {
        lose(cx, id).await;
    }
    Ok(())
}

/// The beat a node had when it was last looked at, and how many looks it has stood still.
type Seen = HashMap<NodeId, (i64, u32)>;

async fn look(cx: &Cx, seen: &mut Seen) -> Result<()> {
    let nodes = node::Entity::find()
        .order_by_asc(node::Column::Id)
        .all(cx.read())
        .await?;
    let own = *cx.handles().devices.node_id().await;
    let before = std::mem::take(seen);
    for node::Model { id, beat } in nodes {
        if own == Some(id) {
            continue;
        }
        let still = match before.get(&id) {
            Some((last, still)) if *last == beat => still + 1,
            Some(_) | None => 0,
        };
        seen.insert(id, (beat, still));
        if beat == DEAD || (still >= STILL && declare_dead(cx, id, beat).await?) {
            bury(cx, id).await?;
        }
    }
    Ok(())
}

/// Marks a node as dead, unless it has beaten meanwhile or somebody else did.
async fn declare_dead(cx: &Cx, id: NodeId, beat: i64) -> Result<bool> {
    let mark = node::Entity::update_many()
        .col_expr(node::Column::Beat, Expr::value(DEAD))
        .filter(node::Column::Id.eq(id))
        .filter(node::Column::Beat.eq(beat));
    let marked = cx
        .write(move |tx| Box::pin(async move { Ok(mark.exec(&tx.db).await?) }))
        .await?;
    if marked.rows_affected == 1 {
        tracing::warn!(node.id = %id, "a node is dead; its devices are not there any more");
    }
    Ok(marked.rows_affected == 1)
}

/// Ends the leases of a dead node, so many in a transaction, and removes the node.
async fn bury(cx: &Cx, id: NodeId) -> Result<()> {
    loop {
        let left: Vec<(SessionId, UserId)> = lease::Entity::find()
            .select_only()
            .columns([lease::Column::SessionId, lease::Column::UserId])
            .filter(lease::Column::NodeId.eq(id))
            .limit(devices::AT_ONCE as u64)
            .into_tuple()
            .all(cx.read())
            .await?;
        if left.is_empty() {
            let delete = node::Entity::delete_by_id(id);
            cx.write(move |tx| Box::pin(async move { Ok(delete.exec(&tx.db).await?) }))
                .await?;
            return Ok(());
        }
        cx.write(move |tx| Box::pin(async move { leases::end_all(tx, id, &left).await }))
            .await?;
    }
}
