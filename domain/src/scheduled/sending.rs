//! Sending what is due. What goes to one conversation at the same time is a batch; a conversation has
//! one at a time, and those that are stuck hold up no others.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{ConversationId, scheduled_message};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::task::{Id, JoinSet};
use uuid::Uuid;

use crate::db::as_upkeep;
use crate::error::Unauthenticated;
use crate::messages::{self, Awaited, NewMessage};
use crate::upkeep;
use crate::users::{self, User};
use crate::{Cx, Domain, Error, Result};

use super::Scheduled;
use super::claims::{claim, fail, is_any_due, put_off};

/// How often a node looks for what is due.
const TICK: Duration = Duration::from_millis(250);
/// Most messages taken at once, and under way.
const BATCH: usize = 64;
const UNDER_WAY: usize = 512;
/// How long one that could not be sent is kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Sends what is due until the node stops.
pub(crate) async fn keep_sending(domain: Domain) {
    let cx = domain.anonymous(Unauthenticated::NoToken);
    let stopping = cx.handles().bus.stopping().clone();
    let mut under_way = UnderWay::default();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
            () = under_way.finish_some(), if !under_way.batches.is_empty() => {}
        }
        if let Err(error) = send_due(&cx, &mut under_way).await {
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

/// The batches that this node is sending.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<()>,
    /// Where each goes, and of how many messages it is.
    batches: HashMap<Id, (ConversationId, usize)>,
}

impl UnderWay {
    fn conversations(&self) -> Vec<ConversationId> {
        let mut ids: Vec<_> = self.batches.values().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// For how many messages there is room.
    fn room(&self) -> usize {
        let count: usize = self.batches.values().map(|(_, count)| count).sum();
        UNDER_WAY.saturating_sub(count).min(BATCH)
    }

    fn begin(&mut self, cx: &Cx, id: ConversationId, batch: Vec<Due>) {
        let count = batch.len();
        let task = self.tasks.spawn(as_upkeep(send_batch(cx.clone(), batch)));
        self.batches.insert(task.id(), (id, count));
    }

    /// Waits for a batch that is done, and takes out all that are.
    async fn finish_some(&mut self) {
        let mut done = self.tasks.join_next_with_id().await;
        while let Some(finished) = done {
            let id = match finished {
                Ok((id, ())) => id,
                Err(error) => {
                    tracing::error!(%error, "sending scheduled messages failed");
                    error.id()
                }
            };
            self.batches.remove(&id);
            done = self.tasks.try_join_next_with_id();
        }
    }
}

/// A message that this node has claimed, and who sends it.
struct Due {
    row: Scheduled,
    claim: Uuid,
    sender: Option<Arc<User>>,
}

/// Begins to send as much as there is room for.
async fn send_due(cx: &Cx, under_way: &mut UnderWay) -> Result<()> {
    loop {
        let (but, room) = (under_way.conversations(), under_way.room());
        if room == 0 || !is_any_due(cx, &but).await? {
            return Ok(());
        }
        let claimed = claim(cx, &but, room as u64).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let senders = claimed.iter().map(|row| row.sender_id).collect();
        let senders = users::read_many(cx.read(), senders).await?;
        let mut batches: HashMap<ConversationId, Vec<Due>> = HashMap::new();
        for row in claimed {
            let Some(claim) = row.claim else { continue };
            let sender = senders.get(&row.sender_id).cloned();
            let batch = batches.entry(row.conversation_id).or_default();
            batch.push(Due { row, claim, sender });
        }
        for (id, batch) in batches {
            under_way.begin(cx, id, batch);
        }
    }
}

/// Sends them in their order, and settles each as it comes.
async fn send_batch(cx: Cx, batch: Vec<Due>) {
    join_all(batch.into_iter().map(|due| send(&cx, due))).await;
}

/// What became of one.
enum Outcome {
    /// It is a message, and the row is gone; or it is for somebody else to send.
    Settled,
    /// It never will be, for a reason.
    Failed(String),
    /// Not before so long.
    Later(Duration),
    /// Another time.
    Open,
}

async fn send(cx: &Cx, due: Due) {
    let Due { row, claim, sender } = due;
    let settled = match outcome(cx, &row, claim, sender).await {
        Outcome::Settled | Outcome::Open => Ok(()),
        Outcome::Failed(failure) => fail(cx, row.id, claim, failure).await,
        Outcome::Later(wait) => put_off(cx, &row, claim, wait).await,
    };
    if let Err(error) = settled {
        tracing::warn!(%error, message.id = %row.id, "a scheduled message was not settled");
    }
}

async fn outcome(cx: &Cx, row: &Scheduled, claim: Uuid, sender: Option<Arc<User>>) -> Outcome {
    let Some(sender) = sender else {
        return Outcome::Failed("there is no such user".to_owned());
    };
    let sent = match NewMessage::scheduled(row.clone()) {
        Ok(new) => {
            let awaited = Awaited {
                id: row.id,
                claim,
                digest: row.digest.clone(),
                new,
            };
            messages::send_for(cx, sender, awaited).await
        }
        Err(error) => Err(error),
    };
    match sent {
        Ok(_) | Err(Error::NotFound(super::SCHEDULED)) => Outcome::Settled,
        Err(Error::RateLimited { retry_after }) => Outcome::Later(retry_after),
        Err(Error::Internal(error)) => {
            tracing::warn!(%error, message.id = %row.id, "a scheduled message was not sent; trying again");
            Outcome::Open
        }
        Err(
            error @ (Error::NotFound(_)
            | Error::Forbidden(_)
            | Error::BadInput { .. }
            | Error::Conflict { .. }
            | Error::Unauthenticated(_)),
        ) => Outcome::Failed(error.to_string()),
    }
}
