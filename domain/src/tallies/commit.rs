//! Committing what many do to one message.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{MessageId, UserId, message};
use futures_util::FutureExt as _;
use sea_orm::EntityTrait as _;
use tokio::time::timeout;

use crate::access::Membership;
use crate::cx::Tx;
use crate::event::Event;
use crate::messages::Message;
use crate::users::User;
use crate::{Domain, Error, Result};

use super::{Applied, Asked, TOO_MANY, Tally, WAIT, Waiting};

/// No commit takes longer than this: the database does not answer.
const GIVE_UP: Duration = Duration::from_secs(30);

const UNKNOWN: Error = Error::NotFound("message");

/// Commits together, and answers everybody.
pub(super) async fn commit<T: Tally>(domain: &Domain, id: MessageId, batch: Vec<Waiting<T>>) {
    let mut asked = Vec::with_capacity(batch.len());
    let mut answers = Vec::with_capacity(batch.len());
    for waiting in batch {
        if waiting.since.elapsed() < WAIT {
            asked.push(waiting.asked);
            answers.push(waiting.answer);
        } else {
            // Whoever asked may be gone.
            let _ = waiting.answer.send(Err(TOO_MANY));
        }
    }
    if asked.is_empty() {
        return;
    }
    // A commit that panics must not leave the lane to itself for ever. Then, and when it is given up,
    // the answers are dropped, which tells whoever waits for them.
    let settled = AssertUnwindSafe(settle(domain, id, &asked)).catch_unwind();
    let Ok(Ok(outcomes)) = timeout(GIVE_UP, settled).await else {
        return;
    };
    for (answer, outcome) in answers.into_iter().zip(outcomes) {
        let _ = answer.send(outcome);
    }
}

/// The outcomes, in order. What failed is tried once more: it says how things shall be, so it does not
/// matter whether it took effect.
async fn settle<T: Tally>(
    domain: &Domain,
    id: MessageId,
    asked: &[Asked<T>],
) -> Vec<Result<Arc<Message>>> {
    let error = match together(domain, id, asked).await {
        Ok(outcomes) => return outcomes,
        Err(error) => error,
    };
    tracing::debug!(%error, "a tally failed; trying again");
    match together(domain, id, asked).await {
        Ok(outcomes) => outcomes,
        Err(error) => asked.iter().map(|_| Err(error.clone())).collect(),
    }
}

async fn together<T: Tally>(
    domain: &Domain,
    id: MessageId,
    asked: &[Asked<T>],
) -> Result<Vec<Result<Arc<Message>>>> {
    let mut tx = Tx::begin(&domain.0).await?;
    match apply(&mut tx, id, asked).await {
        Ok((outcomes, true)) => {
            tx.commit(&domain.0).await?;
            Ok(outcomes)
        }
        Ok((outcomes, false)) => {
            tx.roll_back().await;
            Ok(outcomes)
        }
        Err(error) => {
            tx.roll_back().await;
            Err(error)
        }
    }
}

/// Answers with the outcomes, and whether there is anything to commit.
async fn apply<T: Tally>(
    tx: &mut Tx,
    id: MessageId,
    asked: &[Asked<T>],
) -> Result<(Vec<Result<Arc<Message>>>, bool)> {
    let Some((mut message, members)) = lock(tx, id, asked).await? else {
        return Ok((asked.iter().map(|_| Err(UNKNOWN)).collect(), false));
    };
    let Applied {
        outcomes,
        changed_by,
        is_anonymous,
    } = T::apply(tx, &mut message, &members, asked).await?;
    let message = Arc::new(message);
    let is_changed = !changed_by.is_empty();
    if is_changed {
        let actor = (!is_anonymous).then(|| only(changed_by)).flatten();
        record::<T>(tx, &message, actor).await?;
    }
    let outcomes = outcomes
        .into_iter()
        .map(|outcome| outcome.map(|()| Arc::clone(&message)));
    Ok((outcomes.collect(), is_changed))
}

/// The message, and the members who see it, under the lock of its conversation. None where there is no
/// such message.
async fn lock<T>(
    tx: &Tx,
    id: MessageId,
    asked: &[Asked<T>],
) -> Result<Option<(Message, HashMap<UserId, Membership>)>> {
    let find = || message::Entity::find_by_id(id).one(&tx.db);
    let Some(message) = find().await? else {
        return Ok(None);
    };
    let mut users: Vec<UserId> = asked.iter().map(|asked| asked.user.id).collect();
    users.sort_unstable();
    users.dedup();
    let mut members = Membership::lock_all(tx, &users, message.conversation_id).await?;
    members.retain(|_, membership| message.seq > membership.member.visible_after);
    // Read again: only under the lock does it stay as it is.
    Ok(find().await?.map(|message| (message, members)))
}

/// The user, where they are all the same one.
fn only(users: Vec<Arc<User>>) -> Option<Arc<User>> {
    let mut users = users.into_iter();
    let first = users.next()?;
    users.all(|user| user.id == first.id).then_some(first)
}

async fn record<T: Tally>(
    tx: &mut Tx,
    message: &Arc<Message>,
    actor: Option<Arc<User>>,
) -> Result<()> {
    let conversation = tx.allocate(message.conversation_id, 1).await?;
    let event = Event {
        conversation_id: conversation.id,
        seq: conversation.last_seq,
        at: conversation.last_active_at,
        actor_id: actor.as_ref().map(|actor| actor.id),
        stamp: tx.stamp().await?,
        kind: T::event(Arc::clone(message)),
        users: actor.into_iter().collect(),
    };
    tx.record(vec![event]).await
}
