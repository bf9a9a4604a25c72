//! Who is at which row. A claim has an id; what is done by it is done on the condition that the row
//! still has that id. So it does not matter how long a node was away since: whoever has changed, taken
//! back or claimed the message meanwhile has come first.

use std::collections::HashSet;
use std::time::Duration;

use backchannel_entities::{ConversationId, MessageId, Timestamp, scheduled_message};
use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait as _,
};
use uuid::Uuid;

use crate::clock::new_id;
use crate::cx::Tx;
use crate::db::in_list;
use crate::upkeep::Found;
use crate::{Cx, Result};

use super::Scheduled;

/// How long rows are a node's own. If it dies, others wait so long.
const CLAIM: Duration = Duration::from_secs(3);

/// What is due, and nobody is at; of conversations other than those `but`.
fn due(now: Timestamp, but: &[ConversationId]) -> Condition {
    use scheduled_message::Column::{ClaimedUntil, ConversationId, IsWaiting, SendAt};
    let due = Condition::all()
        .add(IsWaiting.eq(true))
        .add(SendAt.lte(now))
        .add(ClaimedUntil.lte(now));
    if but.is_empty() {
        return due;
    }
    due.add(ConversationId.is_not_in(in_list(but)))
}

/// Most often nothing is due, and nobody must be kept from writing for that.
pub(super) async fn is_any_due(cx: &Cx, but: &[ConversationId]) -> Result<bool> {
    let any = scheduled_message::Entity::find()
        .filter(due(cx.handles().clock.now(), but))
        .limit(1)
        .one(cx.read())
        .await?;
    Ok(any.is_some())
}

/// Takes some of it, soonest first.
pub(super) async fn claim(cx: &Cx, but: &[ConversationId], most: u64) -> Result<Vec<Scheduled>> {
    use scheduled_message::Column::{Claim, ClaimedUntil, Id, SendAt};
    let now = cx.handles().clock.now();
    let (due, until, claim) = (due(now, but), now.plus(CLAIM), Some(new_id()));
    cx.write(move |tx| {
        Box::pin(async move {
            let some = scheduled_message::Entity::find()
                .select_only()
                .column(Id)
                .filter(due)
                .order_by_asc(SendAt)
                .order_by_asc(Id)
                .limit(most)
                .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                .into_query();
            let mut claimed = scheduled_message::Entity::update_many()
                .col_expr(ClaimedUntil, Expr::value(until))
                .col_expr(Claim, Expr::value(claim))
                .filter(Id.in_subquery(some))
                .exec_with_returning(&tx.db)
                .await?;
            claimed.sort_by_key(|row| (row.send_at, row.id));
            Ok(claimed)
        })
    })
    .await
}

/// Locks those of the rows that still have these claims, until the end of the transaction, which sends
/// them. All of them are of conversations that it has locked.
pub(crate) async fn hold(tx: &Tx, claims: &[(MessageId, Uuid)]) -> Result<HashSet<MessageId>> {
    use scheduled_message::Column::{Claim, Id};
    if claims.is_empty() {
        return Ok(HashSet::new());
    }
    let ids: Vec<MessageId> = claims.iter().map(|(id, _)| *id).collect();
    let rows: Vec<(MessageId, Option<Uuid>)> = scheduled_message::Entity::find()
        .select_only()
        .columns([Id, Claim])
        .filter(Id.is_in(in_list(&ids)))
        .order_by_asc(Id)
        .lock_exclusive()
        .into_tuple()
        .all(&tx.db)
        .await?;
    let is_own = |(id, claim): &(MessageId, Option<Uuid>)| {
        claim.is_some_and(|claim| claims.contains(&(*id, claim)))
    };
    Ok(rows.into_iter().filter(is_own).map(|(id, _)| id).collect())
}

/// Forgets rows that are held, in the transaction that sends them.
pub(crate) async fn forget(tx: &Tx, ids: &[MessageId]) -> Result<()> {
    scheduled_message::Entity::delete_many()
        .filter(scheduled_message::Column::Id.is_in(in_list(ids)))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Most rows cleared away by one transaction.
const CLEARED: u64 = 512;

/// Clears away some of what was to go to a conversation that is deleted.
pub(crate) async fn clear(tx: &Tx, id: ConversationId) -> Result<Found> {
    use scheduled_message::Column::{ConversationId, Id};
    // In the order in which they are locked to be sent.
    let ids: Vec<MessageId> = scheduled_message::Entity::find()
        .select_only()
        .column(Id)
        .filter(ConversationId.eq(id))
        .order_by_asc(Id)
        .limit(CLEARED)
        .lock_exclusive()
        .into_tuple()
        .all(&tx.db)
        .await?;
    if !ids.is_empty() {
        forget(tx, &ids).await?;
    }
    Ok(Found::of(ids.len(), CLEARED))
}

/// Notes why one could not be sent.
pub(super) async fn fail(cx: &Cx, id: MessageId, claim: Uuid, failure: String) -> Result<()> {
    use scheduled_message::Column::{Claim, Failure, Id, IsWaiting};
    cx.write(move |tx| {
        Box::pin(async move {
            scheduled_message::Entity::update_many()
                .col_expr(IsWaiting, Expr::value(false))
                .col_expr(Failure, Expr::value(failure))
                .col_expr(Claim, Expr::value(None::<Uuid>))
                .filter(Id.eq(id))
                .filter(Claim.eq(claim))
                .exec(&tx.db)
                .await?;
            Ok(())
        })
    })
    .await
}

/// Puts one off, and with it all that its sender has due there: the same would become of each.
pub(super) async fn put_off(cx: &Cx, row: &Scheduled, claim: Uuid, wait: Duration) -> Result<()> {
    use scheduled_message::Column::{
        Claim, ClaimedUntil, ConversationId, Id, IsWaiting, SendAt, SenderId,
    };
    let now = cx.handles().clock.now();
    let then = now.plus(wait);
    let is_free = Condition::any()
        .add(Claim.eq(claim))
        .add(ClaimedUntil.lte(now));
    let of_sender = scheduled_message::Entity::find()
        .select_only()
        .column(Id)
        .filter(SenderId.eq(row.sender_id))
        .filter(ConversationId.eq(row.conversation_id))
        .filter(IsWaiting.eq(true))
        .filter(SendAt.lte(now))
        .filter(is_free)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_query();
    cx.write(move |tx| {
        Box::pin(async move {
            scheduled_message::Entity::update_many()
                .col_expr(SendAt, Expr::value(then))
                .col_expr(ClaimedUntil, Expr::value(Timestamp(0)))
                .col_expr(Claim, Expr::value(None::<Uuid>))
                .filter(Id.in_subquery(of_sender))
                .exec(&tx.db)
                .await?;
            Ok(())
        })
    })
    .await
}
