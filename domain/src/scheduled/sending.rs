//! Sending what is due.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{MessageId, scheduled_message};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait as _,
};

use crate::db::in_list;
use crate::error::Unauthenticated;
use crate::messages::{self, NewMessage};
use crate::upkeep;
use crate::users::{self, User};
use crate::{Cx, Domain, Error, Result, UserId};

use super::Scheduled;

/// How often a node looks for what is due.
const TICK: Duration = Duration::from_millis(250);
/// Most messages taken at once.
const BATCH: u64 = 64;
/// How long those are a node's own. If it dies, others wait so long.
const CLAIM: Duration = Duration::from_secs(3);
/// How long one that could not be sent is kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Sends what is due until the node stops.
pub(crate) async fn keep_sending(domain: Domain) {
    let cx = domain.anonymous(Unauthenticated::NoToken);
    let stopping = cx.handles().bus.stopping().clone();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        if let Err(error) = send_all_due(&cx).await {
            tracing::warn!(%error, "sending scheduled messages failed; trying again");
        }
    }
}

/// Clears away what could not be sent and was left lying.
pub(crate) async fn keep_clearing(domain: Domain) {
    upkeep::keep_doing(domain, "clearing scheduled messages away", |cx| {
        use scheduled_message::Column::{Id, SendAt};
        let before = cx.handles().clock.now().minus(KEPT);
        upkeep::clear_before::<scheduled_message::Entity>(cx, Id, SendAt, before).boxed()
    })
    .await;
}

async fn send_all_due(cx: &Cx) -> Result<()> {
    while is_any_due(cx).await? {
        let claimed = claim(cx).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let ids = claimed.iter().map(|row| row.sender_id).collect();
        let senders = users::read_many(cx.read(), ids).await?;
        let sent = claimed.into_iter().map(|row| send(cx, row, &senders));
        settle(cx, join_all(sent).await).await?;
    }
    Ok(())
}

/// What is due, and nobody is at.
fn due(cx: &Cx) -> Condition {
    use scheduled_message::Column::{ClaimedUntil, IsWaiting, SendAt};
    let now = cx.handles().clock.now();
    Condition::all()
        .add(IsWaiting.eq(true))
        .add(SendAt.lte(now))
        .add(ClaimedUntil.lte(now))
}

/// Most often nothing is, and nobody must be kept from writing for that.
async fn is_any_due(cx: &Cx) -> Result<bool> {
    let any = scheduled_message::Entity::find()
        .filter(due(cx))
        .limit(1)
        .one(cx.read())
        .await?;
    Ok(any.is_some())
}

/// Takes some of it, soonest first.
async fn claim(cx: &Cx) -> Result<Vec<Scheduled>> {
    use scheduled_message::Column::{ClaimedUntil, Id, SendAt};
    let (due, until) = (due(cx), cx.handles().clock.now().plus(CLAIM));
    cx.write(move |tx| {
        Box::pin(async move {
            let some = scheduled_message::Entity::find()
                .select_only()
                .column(Id)
                .filter(due)
                .order_by_asc(SendAt)
                .order_by_asc(Id)
                .limit(BATCH)
                .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                .into_query();
            let mut claimed = scheduled_message::Entity::update_many()
                .col_expr(ClaimedUntil, Expr::value(until))
                .filter(Id.in_subquery(some))
                .exec_with_returning(&tx.db)
                .await?;
            claimed.sort_by_key(|row| (row.send_at, row.id));
            Ok(claimed)
        })
    })
    .await
}

/// What became of one.
enum Outcome {
    /// It is a message.
    Sent,
    /// It never will be, for a reason.
    Failed(String),
    /// Another time.
    Open,
}

async fn send(
    cx: &Cx,
    row: Scheduled,
    senders: &HashMap<UserId, Arc<User>>,
) -> (MessageId, Outcome) {
    let id = row.id;
    let Some(sender) = senders.get(&row.sender_id) else {
        return (id, Outcome::Failed("there is no such user".to_owned()));
    };
    let sent = match NewMessage::scheduled(row) {
        Ok(new) => messages::send_for(cx, id, Arc::clone(sender), new).await,
        Err(error) => Err(error),
    };
    let outcome = match sent {
        Ok(_) => Outcome::Sent,
        Err(Error::RateLimited { .. }) => Outcome::Open,
        Err(Error::Internal(error)) => {
            tracing::warn!(%error, message.id = %id, "a scheduled message was not sent; trying again");
            Outcome::Open
        }
        Err(
            error @ (Error::NotFound(_)
            | Error::Forbidden(_)
            | Error::BadInput { .. }
            | Error::Conflict { .. }
            | Error::Unauthenticated(_)),
        ) => Outcome::Failed(error.to_string()),
    };
    (id, outcome)
}

/// Forgets what was sent, and notes what could not be.
async fn settle(cx: &Cx, outcomes: Vec<(MessageId, Outcome)>) -> Result<()> {
    use scheduled_message::Column::{Failure, Id, IsWaiting};
    cx.write(move |tx| {
        Box::pin(async move {
            let mut sent = Vec::new();
            for (id, outcome) in outcomes {
                match outcome {
                    Outcome::Sent => sent.push(id),
                    Outcome::Open => {}
                    Outcome::Failed(failure) => {
                        scheduled_message::Entity::update_many()
                            .col_expr(IsWaiting, Expr::value(false))
                            .col_expr(Failure, Expr::value(failure))
                            .filter(Id.eq(id))
                            .exec(&tx.db)
                            .await?;
                    }
                }
            }
            if !sent.is_empty() {
                scheduled_message::Entity::delete_many()
                    .filter(Id.is_in(in_list(&sent)))
                    .exec(&tx.db)
                    .await?;
            }
            Ok(())
        })
    })
    .await
}
