//! Erasing what was in deleted conversations, and what waits to be sent there, some at a time, by one node
//! each. Messages stay as tombstones: whoever was away still comes past them, to the deletion.

use backchannel_entities::{
    ConversationId, conversation, conversation_state, erasure, hidden_message, mention, message,
    message_detail, message_edit, poll, poll_vote, reaction, star, thread_read,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::{Expr, Func, LockBehavior, LockType, Query, SelectStatement};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, EntityTrait, ModelTrait as _,
    QueryFilter as _, QuerySelect as _, Select, Set,
};
use uuid::Uuid;

use crate::cx::Tx;
use crate::upkeep::{self, Found};
use crate::{Cx, Domain, Result, scheduled};

/// Positions erased by one transaction.
const ERASED: i64 = 500;

/// Erases what is to be, until the node stops.
pub(crate) async fn keep_erasing(domain: Domain) {
    upkeep::keep_doing(domain, "erasing deleted conversations", erase_some).await;
}

fn erase_some(cx: &Cx) -> BoxFuture<'_, Result<Found>> {
    async {
        // Most often there is nothing, and nobody must be kept from writing for that.
        if next().one(cx.read()).await?.is_none() {
            return Ok(Found::TheLast);
        }
        cx.write(|tx| Box::pin(erase_stretch(tx))).await
    }
    .boxed()
}

/// What is to be erased, found by its key.
fn next() -> Select<erasure::Entity> {
    erasure::Entity::find()
        .filter(erasure::Column::ConversationId.gt(Uuid::nil()))
        .limit(1)
}

async fn erase_stretch(tx: &Tx) -> Result<Found> {
    let erasure = next()
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(&tx.db)
        .await?;
    let Some(erasure) = erasure else {
        return Ok(Found::TheLast);
    };
    let id = erasure.conversation_id;
    if scheduled::clear(tx, id).await? == Found::Enough {
        return Ok(Found::Enough);
    }
    let last_seq: Option<i64> = conversation::Entity::find_by_id(id)
        .select_only()
        .column(conversation::Column::LastSeq)
        .into_tuple()
        .one(&tx.db)
        .await?;
    let upto = erasure.erased_seq + ERASED;
    erase(tx, id, (erasure.erased_seq, upto)).await?;
    if last_seq.is_none_or(|last_seq| last_seq <= upto) {
        // Drafts among them.
        conversation_state::Entity::delete_many()
            .filter(conversation_state::Column::ConversationId.eq(id))
            .exec(&tx.db)
            .await?;
        erasure.delete(&tx.db).await?;
    } else {
        let mut row = erasure::ActiveModel::from(erasure);
        row.erased_seq = Set(upto);
        row.update(&tx.db).await?;
    }
    Ok(Found::Enough)
}

/// Erases what is behind the first position, up to the second.
async fn erase(tx: &Tx, id: ConversationId, (after, upto): (i64, i64)) -> Result<()> {
    use message::Column::{ConversationId, DeletedAt, Digest, Id, Seq, Text};
    let stretch = Condition::all()
        .add(ConversationId.eq(id))
        .add(Seq.gt(after))
        .add(Seq.lte(upto));
    let messages = Query::select()
        .column(Id)
        .from(message::Entity)
        .cond_where(stretch.clone())
        .take();
    erase_tallies(tx, &messages).await?;
    message_detail::Entity::delete_many()
        .filter(message_detail::Column::MessageId.in_subquery(messages.clone()))
        .exec(&tx.db)
        .await?;
    message_edit::Entity::delete_many()
        .filter(message_edit::Column::MessageId.in_subquery(messages.clone()))
        .exec(&tx.db)
        .await?;
    thread_read::Entity::delete_many()
        .filter(thread_read::Column::RootId.in_subquery(messages.clone()))
        .exec(&tx.db)
        .await?;
    let deleted_at = Func::coalesce([Expr::col(DeletedAt), Expr::value(tx.now())]);
    message::Entity::update_many()
        .col_expr(Text, Expr::value(None::<String>))
        .col_expr(Digest, Expr::value(None::<Vec<u8>>))
        .col_expr(DeletedAt, deleted_at.into())
        .filter(stretch)
        .exec(&tx.db)
        .await?;
    mention::Entity::delete_many()
        .filter(mention::Column::ConversationId.eq(id))
        .filter(mention::Column::Seq.gt(after))
        .filter(mention::Column::Seq.lte(upto))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Erases what people have done to messages.
async fn erase_tallies(tx: &Tx, messages: &SelectStatement) -> Result<()> {
    reaction::Entity::delete_many()
        .filter(reaction::Column::MessageId.in_subquery(messages.clone()))
        .exec(&tx.db)
        .await?;
    poll_vote::Entity::delete_many()
        .filter(poll_vote::Column::MessageId.in_subquery(messages.clone()))
        .exec(&tx.db)
        .await?;
    poll::Entity::delete_many()
        .filter(poll::Column::MessageId.in_subquery(messages.clone()))
        .exec(&tx.db)
        .await?;
    star::Entity::delete_many()
        .filter(star::Column::MessageId.in_subquery(messages.clone()))
        .exec(&tx.db)
        .await?;
    hidden_message::Entity::delete_many()
        .filter(hidden_message::Column::MessageId.in_subquery(messages.clone()))
        .exec(&tx.db)
        .await?;
    Ok(())
}
