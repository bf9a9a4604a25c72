//! Messages that disappear: a conversation may be set to keep each for so long.
//!
//! Instants never fall over a conversation's sequence, so what is gone is a beginning of it. A row says
//! how far that reaches, and when to look again; every node looks for what is due, and whichever
//! comes first deletes it, each message by an event of its own. Much of one conversation goes by turns
//! with the others, so that nobody waits long for a lock, nor for those who have more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{ConversationId, Timestamp, conversation, message, retention};
use sea_orm::sea_query::{Expr, LockBehavior, LockType, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};

use crate::cx::Tx;
use crate::db::in_list;
use crate::error::Unauthenticated;
use crate::event::{Event, EventKind};
use crate::messages::{self, Message, MessageKind};
use crate::upkeep::Found;
use crate::{Cx, Domain, Error, Result};

/// How often a node looks for what is due.
const TICK: Duration = Duration::from_secs(1);
/// Pause where there is more to do, in which others get their turn.
const BREATH: Duration = Duration::from_millis(50);
/// Most conversations of a round.
const CONVERSATIONS: u64 = 512;
/// Most messages deleted by one transaction.
const MESSAGES: u64 = 200;
/// How often a conversation is passed over, because somebody holds it, before it is waited for.
const PASSED_OVER: u32 = 3;
/// How long one is left alone after a failure.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// When what is kept for ever is due.
const NEVER: Timestamp = Timestamp(i64::MAX);

/// Keeps the messages of a conversation for so long from now on, or for ever. How far it has come stays,
/// in case that changes again.
pub(crate) async fn set(tx: &Tx, id: ConversationId, seconds: Option<u32>) -> Result<()> {
    use retention::Column::{ConversationId, DueAt, Seconds};
    let Some(seconds) = seconds else {
        retention::Entity::update_many()
            .col_expr(DueAt, Expr::value(NEVER))
            .filter(ConversationId.eq(id))
            .exec(&tx.db)
            .await?;
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

/// Forgets a conversation, which is being deleted.
pub(crate) async fn forget(tx: &Tx, id: ConversationId) -> Result<()> {
    retention::Entity::delete_by_id(id).exec(&tx.db).await?;
    Ok(())
}

/// Deletes what is due until the node stops.
pub(crate) async fn keep_deleting(domain: Domain) {
    let cx = domain.anonymous(Unauthenticated::NoToken);
    let stopping = cx.handles().bus.stopping().clone();
    let mut rounds = Rounds::default();
    let mut pause = TICK;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match rounds.go(&cx).await {
            Ok(Found::Enough) => BREATH,
            Ok(Found::TheLast) => TICK,
            Err(error) => {
                tracing::warn!(%error, "deleting messages that disappear failed; trying again");
                TICK
            }
        };
    }
}

/// What a node goes by from round to round.
#[derive(Default)]
struct Rounds {
    /// How often in a row each was passed over.
    passed_over: HashMap<ConversationId, u32>,
    /// Until when each is left alone, by the time that the node is up.
    failed: HashMap<ConversationId, Duration>,
}

/// What is done about a conversation that somebody else has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    PassOver,
    Wait,
}

/// What a transaction has come to.
enum Come {
    To(Found),
    PassedOver,
}

impl Rounds {
    /// Deletes some of each conversation where anything is due; those that are waited for come last.
    async fn go(&mut self, cx: &Cx) -> Result<Found> {
        let uptime = cx.handles().clock.uptime();
        self.failed.retain(|_, until| *until > uptime);
        let due = self.due(cx).await?;
        self.passed_over.retain(|id, _| due.contains(id));
        let is_held = |id: &ConversationId| self.passed_over.get(id) >= Some(&PASSED_OVER);
        let (held, free): (Vec<ConversationId>, Vec<ConversationId>) =
            due.iter().copied().partition(is_held);
        let free = free.into_iter().map(|id| (id, Held::PassOver));
        let held = held.into_iter().map(|id| (id, Held::Wait));
        let mut found = Found::TheLast;
        for (id, held) in free.chain(held) {
            if self.try_one(cx, id, held).await == Found::Enough {
                found = Found::Enough;
            }
        }
        Ok(found)
    }

    async fn due(&self, cx: &Cx) -> Result<Vec<ConversationId>> {
        use retention::Column::{ConversationId as Id, DueAt};
        let mut select = retention::Entity::find()
            .select_only()
            .column(Id)
            .filter(DueAt.lte(cx.handles().clock.now()))
            .order_by_asc(DueAt)
            .order_by_asc(Id)
            .limit(CONVERSATIONS);
        if !self.failed.is_empty() {
            let failed: Vec<ConversationId> = self.failed.keys().copied().collect();
            select = select.filter(Id.is_not_in(in_list(&failed)));
        }
        Ok(select.into_tuple().all(cx.read()).await?)
    }

    /// Deletes some of one. Of a failure nobody else is to suffer.
    async fn try_one(&mut self, cx: &Cx, id: ConversationId, held: Held) -> Found {
        let come = cx
            .write(move |tx| Box::pin(async move { delete_due(tx, id, held).await }))
            .await;
        match come {
            Ok(Come::To(found)) => {
                self.passed_over.remove(&id);
                found
            }
            Ok(Come::PassedOver) => {
                *self.passed_over.entry(id).or_default() += 1;
                Found::TheLast
            }
            Err(error) => {
                tracing::warn!(%error, conversation.id = %id, "messages did not disappear; trying again");
                let until = cx.handles().clock.uptime() + LEFT_ALONE;
                self.passed_over.remove(&id);
                self.failed.insert(id, until);
                Found::TheLast
            }
        }
    }
}

/// Deletes some of what is due of a conversation.
async fn delete_due(tx: &mut Tx, id: ConversationId, held: Held) -> Result<Come> {
    let select = conversation::Entity::find_by_id(id);
    let select = match held {
        Held::PassOver => {
            select.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        }
        Held::Wait => select.lock(LockType::NoKeyUpdate),
    };
    if select.one(&tx.db).await?.is_none() {
        return Ok(Come::PassedOver);
    }
    let Some(row) = retention::Entity::find_by_id(id).one(&tx.db).await? else {
        return Ok(Come::To(Found::TheLast));
    };
    let now = tx.now();
    if row.due_at > now {
        return Ok(Come::To(Found::TheLast));
    }
    let kept = Duration::from_secs(u64::try_from(row.seconds).map_err(Error::internal)?);
    let found = message::Entity::find()
        .filter(message::Column::ConversationId.eq(id))
        .filter(message::Column::Seq.gt(row.gone_seq))
        .order_by_asc(message::Column::Seq)
        .limit(MESSAGES)
        .all(&tx.db)
        .await?;
    let is_over = |message: &Message| message.created_at.plus(kept) <= now;
    let over = found.iter().take_while(|message| is_over(message)).count();
    let gone_seq = found[..over].last().map_or(row.gone_seq, |last| last.seq);
    let come = Found::of(over, MESSAGES);
    let due_at = match (found.get(over), come) {
        (Some(next), _) => next.created_at.plus(kept),
        (None, Found::Enough) => now,
        // Whatever is sent from now on is kept so long.
        (None, Found::TheLast) => now.plus(kept),
    };
    retention::Entity::update_many()
        .col_expr(retention::Column::GoneSeq, Expr::value(gone_seq))
        .col_expr(retention::Column::DueAt, Expr::value(due_at))
        .filter(retention::Column::ConversationId.eq(id))
        .exec(&tx.db)
        .await?;
    let deletes =
        |message: &Message| message.deleted_at.is_none() && message.kind != MessageKind::System;
    let over: Vec<Message> = found.into_iter().take(over).filter(deletes).collect();
    if !over.is_empty() {
        delete(tx, id, over).await?;
    }
    Ok(Come::To(come))
}

async fn delete(tx: &mut Tx, id: ConversationId, over: Vec<Message>) -> Result<()> {
    let count = i64::try_from(over.len()).map_err(Error::internal)?;
    let conversation = tx.allocate(id, count).await?;
    let (at, stamp) = (conversation.last_active_at, tx.stamp().await?);
    messages::erase(tx, id, &over, at).await?;
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
