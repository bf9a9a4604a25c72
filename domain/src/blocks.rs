//! Blocking: between two users of whom one blocks the other nothing passes, either way.
//!
//! 1. Their direct conversation is closed (`conversations.is_blocked`): nothing is sent, edited or
//!    called there. It stays to be read.
//! 2. What each has read since then is kept, and shown to themselves alone.
//! 3. Nobody is told. Who is blocked finds what is closed for any reason.
//! 4. In groups both stay what they are: the others' conversation is not theirs to close.

use std::sync::Arc;

use backchannel_entities::{ConversationId, Timestamp, UserId, block, conversation, member};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait as _, QueryFilter, QueryOrder, QuerySelect,
    Set,
};

use crate::conversations::Pair;
use crate::cx::Tx;
use crate::page::{End, Page, PageRequest};
use crate::users::User;
use crate::{Cx, Error, Result, calls, requests, ties, users};

pub use backchannel_entities::block::Model as Block;

/// Most users whom a user blocks.
const MOST: u64 = 10_000;

/// Blocks a user. A call between the two ends. Blocking them again is no change.
///
/// # Errors
/// [`Error::NotFound`] for nobody; [`Error::BadInput`] for oneself; [`Error::Conflict`] when the actor
/// blocks very many already.
pub async fn block(cx: &Cx, other: UserId) -> Result<Arc<User>> {
    let acting = calls::Acting::of(cx)?;
    let actor = acting.user.id;
    if other == actor {
        return Err(Error::bad_input("userId", "is your own"));
    }
    cx.write(move |tx| {
        Box::pin(async move {
            let pair = Pair::lock(tx, actor, other).await?;
            if find(tx, actor, other).await?.is_some() {
                return Ok(pair.other);
            }
            let blocked = block::Entity::find().filter(block::Column::UserId.eq(actor));
            if blocked.count(&tx.db).await? >= MOST {
                return Err(Error::Conflict {
                    field: None,
                    message: "you block as many users as there is room for",
                });
            }
            let row = block::ActiveModel {
                user_id: Set(actor),
                blocked_id: Set(other),
                created_at: Set(tx.now()),
            };
            block::Entity::insert(row)
                .on_conflict(OnConflict::new().do_nothing().to_owned())
                .exec_without_returning(&tx.db)
                .await?;
            if let Some(there) = pair.conversation(tx).await? {
                let there = tx.lock(there.id).await?;
                calls::end_in(tx, acting, there.id).await?;
                if !there.is_blocked {
                    close(tx, there.id).await?;
                }
            }
            requests::block(tx, &pair).await?;
            users::touch(tx, vec![actor, other]).await?;
            Ok(pair.other)
        })
    })
    .await
}

/// Lets a user through again, unless they block the actor. One who is not blocked is no change.
///
/// # Errors
/// [`Error::NotFound`] for nobody, and for oneself.
pub async fn unblock(cx: &Cx, other: UserId) -> Result<Arc<User>> {
    let actor = cx.signed_in()?.user.id;
    cx.write(move |tx| {
        Box::pin(async move {
            let pair = Pair::lock(tx, actor, other).await?;
            let gone = block::Entity::delete_by_id((actor, other));
            if gone.exec(&tx.db).await?.rows_affected == 0 {
                return Ok(pair.other);
            }
            if find(tx, other, actor).await?.is_none()
                && let Some(there) = pair.conversation(tx).await?
            {
                let there = tx.lock(there.id).await?;
                reopen(tx, there.id).await?;
            }
            users::touch(tx, vec![actor, other]).await?;
            Ok(pair.other)
        })
    })
    .await
}

/// Closes a conversation that is locked; what each has read so far is what is shown from then on.
async fn close(tx: &Tx, id: ConversationId) -> Result<()> {
    let so_far = |column| Expr::col(column);
    hold(
        tx,
        id,
        so_far(member::Column::DeliveredSeq),
        so_far(member::Column::ReadSeq),
    )
    .await?;
    set_blocked(tx, id, true).await
}

async fn reopen(tx: &Tx, id: ConversationId) -> Result<()> {
    let nothing = || Expr::value(None::<i64>);
    hold(tx, id, nothing(), nothing()).await?;
    set_blocked(tx, id, false).await
}

async fn hold(
    tx: &Tx,
    id: ConversationId,
    delivered_seq: SimpleExpr,
    read_seq: SimpleExpr,
) -> Result<()> {
    member::Entity::update_many()
        .col_expr(member::Column::HeldDeliveredSeq, delivered_seq)
        .col_expr(member::Column::HeldReadSeq, read_seq)
        .filter(member::Column::ConversationId.eq(id))
        .exec(&tx.db)
        .await?;
    Ok(())
}

async fn set_blocked(tx: &Tx, id: ConversationId, is_blocked: bool) -> Result<()> {
    conversation::Entity::update_many()
        .col_expr(conversation::Column::IsBlocked, Expr::value(is_blocked))
        .filter(conversation::Column::Id.eq(id))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// The block of one user by another.
pub(crate) async fn find(tx: &Tx, by: UserId, whom: UserId) -> Result<Option<Block>> {
    Ok(block::Entity::find_by_id((by, whom)).one(&tx.db).await?)
}

/// Fails with [`Error::Forbidden`] if one of these users blocks the actor or is blocked by them.
pub(crate) async fn require_none(tx: &Tx, actor: UserId, others: &[UserId]) -> Result<()> {
    let ties = ties::find_many(&tx.db, actor, others).await?;
    if ties.values().any(|tie| tie.is_blocked) {
        return Err(Error::Forbidden("one of these users cannot be added"));
    }
    Ok(())
}

/// Whether a conversation is closed.
pub(crate) async fn closes(cx: &Cx, id: ConversationId) -> Result<bool> {
    let closed: Option<bool> = conversation::Entity::find_by_id(id)
        .select_only()
        .column(conversation::Column::IsBlocked)
        .into_tuple()
        .one(cx.read())
        .await?;
    Ok(closed.unwrap_or(true))
}

/// Where a blocked user stands in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPosition {
    /// Since when they are.
    pub created_at: Timestamp,
    /// Tells apart those of the same millisecond.
    pub blocked_id: UserId,
}

impl BlockPosition {
    /// The position of `block`.
    #[must_use]
    pub fn of(block: &Block) -> Self {
        Self {
            created_at: block.created_at,
            blocked_id: block.blocked_id,
        }
    }
}

/// Whom the actor blocks, the latest first.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn list(cx: &Cx, request: &PageRequest<BlockPosition>) -> Result<Page<Block>> {
    use block::Column::{BlockedId, CreatedAt, UserId};
    let actor = cx.signed_in()?.user.id;
    let mut select = block::Entity::find().filter(UserId.eq(actor));
    if let Some(after) = request.after {
        let tie = CreatedAt
            .eq(after.created_at)
            .and(BlockedId.lt(after.blocked_id));
        let older = Condition::any().add(CreatedAt.lt(after.created_at));
        select = select.filter(older.add(tie));
    }
    if let Some(before) = request.before {
        let tie = CreatedAt
            .eq(before.created_at)
            .and(BlockedId.gt(before.blocked_id));
        let newer = Condition::any().add(CreatedAt.gt(before.created_at));
        select = select.filter(newer.add(tie));
    }
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    let rows = select
        .order_by(CreatedAt, order.clone())
        .order_by(BlockedId, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}
