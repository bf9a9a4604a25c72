//! Messages that are sent later.
//!
//! 1. What is to be sent stands in a row, with its instant, under the id of the message it becomes.
//! 2. Every node looks for what is due ([`sending`]), claims some of it for a few seconds, and sends it
//!    as its sender would then: by the same queue, under the same rules.
//! 3. The transaction that sends it deletes the row, which must still have that claim ([`claims`]). So it
//!    is sent once, and what was changed or taken back before is not sent.
//! 4. What could not be sent stays, with the reason, for its sender to see.

mod claims;
mod sending;

use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{ConversationId, MessageId, Timestamp, scheduled_message};
use sea_orm::sea_query::{ExprTrait as _, Order};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel as _,
    PaginatorTrait as _, QueryFilter, QueryOrder, QuerySelect, Set,
};

use crate::access::Membership;
use crate::bots::Scope;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::messages::content::TextEntity;
use crate::messages::{self, Content, KEY_TAKEN, MessageKind, NewMessage};
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, users};

pub(crate) use self::claims::{clear, forget, hold};
pub(crate) use self::sending::{keep_clearing, keep_sending};
pub use backchannel_entities::scheduled_message::Model as Scheduled;

/// Most messages of a user that wait, or could not be sent.
const MOST: u64 = 1_000;
/// How far ahead one may be scheduled.
const AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const SCHEDULED: &str = "scheduled message";
/// There is none, or it was sent, or somebody else is at it.
pub(crate) const UNKNOWN: Error = Error::NotFound(SCHEDULED);

/// Schedules a message. The same key of the same sender again answers the first one: while that waits,
/// and once it was sent, what it became.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor, or a message that is referred
/// to is not there; [`Error::Forbidden`] to one who may not send there now; [`Error::BadInput`] for an
/// instant that is past or too far ahead; [`Error::Conflict`] for a key that was used for another one,
/// and when too many wait.
pub async fn schedule(cx: &Cx, mut new: NewMessage, send_at: Timestamp) -> Result<Arc<Scheduled>> {
    let sender_id = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    Membership::prove(cx, new.conversation_id()).await?;
    new.find_referred(cx).await?;
    let (text, parts) = new.stored()?;
    let row = Scheduled {
        id: MessageId(new_id()),
        sender_id,
        conversation_id: new.conversation_id(),
        text,
        parts,
        digest: new.digest(),
        client_message_id: new.into_client_message_id(),
        send_at,
        created_at: cx.handles().clock.now(),
        claimed_until: Timestamp(0),
        is_waiting: true,
        failure: None,
        claim: None,
    };
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move { insert(tx, row).await.map(Arc::new) })
    })
    .await
}

/// Under the lock of the sender, so that of several at once the later sees the earlier; and of the
/// conversation, so that none is left behind where that is being deleted.
async fn insert(tx: &Tx, row: Scheduled) -> Result<Scheduled> {
    users::lock(tx, row.sender_id).await?;
    if let Some(first) = find_first(tx, &row).await? {
        return Ok(first);
    }
    let membership = Membership::lock(tx, row.sender_id, row.conversation_id).await?;
    check_instant(tx.now(), row.send_at)?;
    membership.may_send()?;
    let there = scheduled_message::Entity::find()
        .filter(scheduled_message::Column::SenderId.eq(row.sender_id));
    if there.count(&tx.db).await? >= MOST {
        return Err(Error::Conflict {
            field: None,
            message: "too many messages are scheduled already",
        });
    }
    Ok(row.into_active_model().reset_all().insert(&tx.db).await?)
}

/// What was scheduled first under the key of `row`, or sent. A row goes in the transaction that sends
/// it: who does not find the one in the first statement finds the other in the second.
async fn find_first(tx: &Tx, row: &Scheduled) -> Result<Option<Scheduled>> {
    use scheduled_message::Column::{ClientMessageId, SenderId};
    let Some(key) = &row.client_message_id else {
        return Ok(None);
    };
    let waiting = scheduled_message::Entity::find()
        .filter(SenderId.eq(row.sender_id))
        .filter(ClientMessageId.eq(key));
    if let Some(first) = waiting.one(&tx.db).await? {
        let is_same = match &first.digest {
            Some(digest) => Some(digest) == row.digest.as_ref(),
            // It was scheduled before there were any.
            None => {
                (&first.text, &first.parts, first.conversation_id)
                    == (&row.text, &row.parts, row.conversation_id)
            }
        };
        return if is_same {
            Ok(Some(first))
        } else {
            Err(KEY_TAKEN)
        };
    }
    let Some(sent) = messages::find_by_key(&tx.db, row.sender_id, key).await? else {
        return Ok(None);
    };
    if sent.digest != row.digest {
        return Err(KEY_TAKEN);
    }
    let (text, parts) = NewMessage::of_sent(tx, &sent).await?.stored()?;
    Ok(Some(Scheduled {
        id: sent.id,
        text,
        parts,
        send_at: sent.created_at,
        is_waiting: false,
        ..row.clone()
    }))
}

fn check_instant(now: Timestamp, send_at: Timestamp) -> Result<()> {
    if send_at <= now {
        return Err(Error::bad_input("sendAt", "must be in the future"));
    }
    if send_at > now.plus(AHEAD) {
        return Err(Error::bad_input("sendAt", "must be within a year"));
    }
    Ok(())
}

/// What is to change of a scheduled message.
pub struct ScheduledChange {
    /// Another text, and what stretches of it are.
    pub text: Option<(String, Vec<TextEntity>)>,
    /// Another instant.
    pub send_at: Option<Timestamp>,
}

/// Changes a message that waits, or tries once more one that could not be sent. Who is about to send it
/// loses the claim by that.
///
/// # Errors
/// [`Error::NotFound`] when the actor has scheduled no such message, or it was sent; [`Error::BadInput`]
/// as for [`schedule`], and where nothing is given.
pub async fn edit(cx: &Cx, id: MessageId, change: ScheduledChange) -> Result<Arc<Scheduled>> {
    let sender_id = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    if let Some(send_at) = change.send_at {
        check_instant(cx.handles().clock.now(), send_at)?;
    }
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let found = lock(tx, id, sender_id).await?;
            if !found.is_waiting && change.send_at.is_none() {
                let message = "say when a message that could not be sent is to be sent";
                return Err(Error::bad_input("sendAt", message));
            }
            let stored = match change.text {
                Some((text, entities)) => {
                    Some(NewMessage::with_other_text(&found, text, entities)?.stored()?)
                }
                None => None,
            };
            let mut row = found.into_active_model();
            if let Some((text, parts)) = stored {
                row.text = Set(text);
                row.parts = Set(parts);
            }
            if let Some(send_at) = change.send_at {
                row.send_at = Set(send_at);
            }
            row.is_waiting = Set(true);
            row.failure = Set(None);
            row.claim = Set(None);
            row.claimed_until = Set(Timestamp(0));
            Ok(Arc::new(row.reset_all().update(&tx.db).await?))
        })
    })
    .await
}

/// Takes back a message that waits, or forgets one that could not be sent.
///
/// # Errors
/// [`Error::NotFound`] when the actor has scheduled no such message, or it was sent.
pub async fn cancel(cx: &Cx, id: MessageId) -> Result<()> {
    let sender_id = cx.signed_in()?.user.id;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            lock(tx, id, sender_id).await?;
            scheduled_message::Entity::delete_by_id(id)
                .exec(&tx.db)
                .await?;
            Ok(())
        })
    })
    .await
}

/// A scheduled message of the actor. While it is being sent, this waits for that.
async fn lock(tx: &Tx, id: MessageId, sender_id: crate::UserId) -> Result<Scheduled> {
    scheduled_message::Entity::find_by_id(id)
        .filter(scheduled_message::Column::SenderId.eq(sender_id))
        .lock_exclusive()
        .one(&tx.db)
        .await?
        .ok_or(UNKNOWN)
}

/// What a scheduled message will be, and what it will hold besides its text.
#[must_use]
pub fn parts(scheduled: &Scheduled) -> (MessageKind, Content) {
    NewMessage::scheduled(scheduled.clone())
        .map(NewMessage::into_parts)
        .unwrap_or((MessageKind::Text, Content::default()))
}

/// Where a message stands in a list of scheduled ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScheduledPosition {
    /// When it is to be sent.
    pub send_at: Timestamp,
    /// Tells apart those of the same millisecond.
    pub id: MessageId,
}

impl ScheduledPosition {
    /// The position of `scheduled`.
    #[must_use]
    pub fn of(scheduled: &Scheduled) -> Self {
        Self {
            send_at: scheduled.send_at,
            id: scheduled.id,
        }
    }
}

/// What the actor has scheduled, in all or in one conversation, soonest first.
///
/// # Errors
/// [`Error::NotFound`] for a conversation that does not exist for the actor.
pub async fn list(
    cx: &Cx,
    conversation_id: Option<ConversationId>,
    request: &PageRequest<ScheduledPosition>,
) -> Result<Page<Scheduled>> {
    use scheduled_message::Column::{ConversationId, Id, SendAt, SenderId};
    let actor = cx.signed_in()?.user.id;
    let order = match request.end {
        End::Start => Order::Asc,
        End::Finish => Order::Desc,
    };
    let mut select = scheduled_message::Entity::find().filter(SenderId.eq(actor));
    if let Some(id) = conversation_id {
        Membership::prove(cx, id).await?;
        select = select.filter(ConversationId.eq(id));
    }
    if let Some(after) = request.after {
        let tie = SendAt.eq(after.send_at).and(Id.gt(after.id));
        select = select.filter(Condition::any().add(SendAt.gt(after.send_at)).add(tie));
    }
    if let Some(before) = request.before {
        let tie = SendAt.eq(before.send_at).and(Id.lt(before.id));
        select = select.filter(Condition::any().add(SendAt.lt(before.send_at)).add(tie));
    }
    let rows = select
        .order_by(SendAt, order.clone())
        .order_by(Id, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}
