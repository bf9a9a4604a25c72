//! Messages that disappear: a conversation may be set to keep each for so long.
//!
//! Instants never fall over a conversation's sequence, so what is gone is a beginning of it. A row says
//! how far that reaches, and when to look again; every node looks for what is due, and whichever
//! comes first deletes it, each message by an event of its own.

use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{ConversationId, conversation, message, retention};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use crate::cx::Tx;
use crate::db::in_list;
use crate::error::Unauthenticated;
use crate::event::{Event, EventKind};
use crate::messages::{Message, MessageKind, details};
use crate::{Cx, Domain, Error, Result};

/// How often a node looks for what is due.
const TICK: Duration = Duration::from_secs(1);
/// Most conversations looked through in one go.
const CONVERSATIONS: u64 = 64;
/// Most messages deleted by one transaction.
const MESSAGES: u64 = 200;

/// Keeps the messages of a conversation for so long from now on, or for ever.
pub(crate) async fn set(tx: &Tx, id: ConversationId, seconds: Option<u32>) -> Result<()> {
    use retention::Column::{ConversationId, DueAt, Seconds};
    let Some(seconds) = seconds else {
        retention::Entity::delete_by_id(id).exec(&tx.db).await?;
        return Ok(());
    };
    let row = retention::ActiveModel {
        conversation_id: Set(id),
        seconds: Set(seconds.into()),
        gone_seq: Set(0),
        due_at: Set(tx.now()),
    };
    let anew = OnConflict::column(ConversationId)
        .update_columns([Seconds, DueAt])
        .to_owned();
    retention::Entity::insert(row)
        .on_conflict(anew)
        .exec_without_returning(&tx.db)
        .await?;
    Ok(())
}

/// Deletes what is due until the node stops.
pub(crate) async fn keep_deleting(domain: Domain) {
    let cx = domain.anonymous(Unauthenticated::NoToken);
    let stopping = cx.handles().bus.stopping().clone();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        if let Err(error) = delete_all_due(&cx).await {
            tracing::warn!(%error, "deleting messages that disappear failed; trying again");
        }
    }
}

async fn delete_all_due(cx: &Cx) -> Result<()> {
    let due: Vec<ConversationId> = retention::Entity::find()
        .select_only()
        .column(retention::Column::ConversationId)
        .filter(retention::Column::DueAt.lte(cx.handles().clock.now()))
        .order_by_asc(retention::Column::DueAt)
        .limit(CONVERSATIONS)
        .into_tuple()
        .all(cx.read())
        .await?;
    for id in due {
        cx.write(move |tx| Box::pin(async move { delete_due(tx, id).await }))
            .await?;
    }
    Ok(())
}

/// Deletes what is due of a conversation, unless somebody is at it: it is found again.
async fn delete_due(tx: &mut Tx, id: ConversationId) -> Result<()> {
    let locked = conversation::Entity::find_by_id(id)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(&tx.db)
        .await?;
    let row = retention::Entity::find_by_id(id).one(&tx.db).await?;
    let (Some(_), Some(row)) = (locked, row) else {
        return Ok(());
    };
    let kept = Duration::from_secs(u64::try_from(row.seconds).map_err(Error::internal)?);
    let now = tx.now();
    let found = message::Entity::find()
        .filter(message::Column::ConversationId.eq(id))
        .filter(message::Column::Seq.gt(row.gone_seq))
        .order_by_asc(message::Column::Seq)
        .limit(MESSAGES)
        .all(&tx.db)
        .await?;
    let is_over = |message: &Message| message.created_at.plus(kept) <= now;
    let over: Vec<Message> = found.iter().filter(|m| is_over(m)).cloned().collect();
    let gone_seq = over.last().map_or(row.gone_seq, |last| last.seq);
    let due_at = match found.iter().find(|message| !is_over(message)) {
        Some(next) => next.created_at.plus(kept),
        None if over.is_empty() => now.plus(kept),
        // There may be more.
        None => now,
    };
    retention::Entity::update_many()
        .col_expr(retention::Column::GoneSeq, Expr::value(gone_seq))
        .col_expr(retention::Column::DueAt, Expr::value(due_at))
        .filter(retention::Column::ConversationId.eq(id))
        .exec(&tx.db)
        .await?;
    let deletes =
        |message: &Message| message.deleted_at.is_none() && message.kind != MessageKind::System;
    let over: Vec<Message> = over.into_iter().filter(deletes).collect();
    if over.is_empty() {
        return Ok(());
    }
    delete(tx, id, over).await
}

async fn delete(tx: &mut Tx, id: ConversationId, over: Vec<Message>) -> Result<()> {
    let count = i64::try_from(over.len()).map_err(Error::internal)?;
    let conversation = tx.allocate(id, count).await?;
    let (at, stamp) = (conversation.last_active_at, tx.stamp().await?);
    for message in &over {
        if message.has_details || message.edited_at.is_some() {
            details::erase(tx, message).await?;
        }
    }
    let ids: Vec<_> = over.iter().map(|message| message.id).collect();
    message::Entity::update_many()
        .col_expr(message::Column::Text, Expr::value(None::<String>))
        .col_expr(message::Column::DeletedAt, Expr::value(at))
        .filter(message::Column::Id.is_in(in_list(&ids)))
        .exec(&tx.db)
        .await?;
    let seqs = conversation.last_seq - count + 1..;
    let events = over.into_iter().zip(seqs).map(|(message, seq)| Event {
        conversation_id: id,
        seq,
        at,
        actor_id: None,
        stamp,
        kind: EventKind::MessageDeleted(Arc::new(Message {
            text: None,
            deleted_at: Some(at),
            ..message
        })),
        users: Arc::default(),
    });
    tx.record(events.collect()).await
}
