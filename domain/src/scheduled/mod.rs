//! Messages that are sent later.
//!
//! 1. What is to be sent stands in a row, with its instant, under the id of the message it becomes.
//! 2. Every node looks for what is due ([`sending`]), takes some of it for a few seconds, and sends it as
//!    its sender would then: by the same queue, under the same rules.
//! 3. Each has an idempotency key, the client's or one of its own. So it is sent once, though a node died
//!    after sending it and another one sends it again: that is answered with the first.
//! 4. What is sent is forgotten. What could not be sent stays, with the reason, for its sender to see.

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
use crate::messages::{Content, MessageKind, NewMessage};
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result};

pub(crate) use self::sending::{keep_clearing, keep_sending};
pub use backchannel_entities::scheduled_message::Model as Scheduled;

/// Most messages of a user that wait, or could not be sent.
const MOST: u64 = 1_000;
/// How far ahead one may be scheduled.
const AHEAD: Duration = Duration::from_secs(366 * 24 * 60 * 60);

const UNKNOWN: Error = Error::NotFound("scheduled message");
const BEING_SENT: Error = Error::Conflict {
    field: None,
    message: "this message is being sent",
};

/// Schedules a message. The same key of the same sender again answers the first one, as long as that
/// waits; once it was sent, nothing is sent again.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor, or a message that is referred
/// to is not there; [`Error::Forbidden`] to one who may not send there now; [`Error::BadInput`] for an
/// instant that is past or too far ahead; [`Error::Conflict`] for a key that was used for another one,
/// and when too many wait.
pub async fn schedule(cx: &Cx, mut new: NewMessage, send_at: Timestamp) -> Result<Arc<Scheduled>> {
    let sender_id = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    check_instant(cx, send_at)?;
    let membership = Membership::prove(cx, new.conversation_id()).await?;
    membership.may_send()?;
    new.find_referred(cx).await?;
    let (text, parts) = new.stored()?;
    let row = Scheduled {
        id: MessageId(new_id()),
        sender_id,
        conversation_id: new.conversation_id(),
        text,
        parts,
        client_message_id: new.into_client_message_id(),
        send_at,
        created_at: cx.handles().clock.now(),
        claimed_until: Timestamp(0),
        is_waiting: true,
        failure: None,
    };
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move { insert(tx, row).await.map(Arc::new) })
    })
    .await
}

async fn insert(tx: &Tx, row: Scheduled) -> Result<Scheduled> {
    use scheduled_message::Column::{ClientMessageId, SenderId};
    if let Some(key) = &row.client_message_id {
        let first = scheduled_message::Entity::find()
            .filter(SenderId.eq(row.sender_id))
            .filter(ClientMessageId.eq(key));
        if let Some(first) = first.one(&tx.db).await? {
            let is_same = (&first.text, &first.parts, first.conversation_id)
                == (&row.text, &row.parts, row.conversation_id);
            return if is_same {
                Ok(first)
            } else {
                Err(Error::Conflict {
                    field: Some("clientMessageId"),
                    message: "this clientMessageId was used for another message",
                })
            };
        }
    }
    let there = scheduled_message::Entity::find().filter(SenderId.eq(row.sender_id));
    if there.count(&tx.db).await? >= MOST {
        return Err(Error::Conflict {
            field: None,
            message: "too many messages are scheduled already",
        });
    }
    Ok(row.into_active_model().reset_all().insert(&tx.db).await?)
}

fn check_instant(cx: &Cx, send_at: Timestamp) -> Result<()> {
    let now = cx.handles().clock.now();
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

/// Changes a message that waits, or tries once more one that could not be sent.
///
/// # Errors
/// [`Error::NotFound`] when the actor has scheduled no such message; [`Error::BadInput`] as for
/// [`schedule`], and where nothing is given; [`Error::Conflict`] while it is being sent.
pub async fn edit(cx: &Cx, id: MessageId, change: ScheduledChange) -> Result<Arc<Scheduled>> {
    let sender_id = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    if let Some(send_at) = change.send_at {
        check_instant(cx, send_at)?;
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
            Ok(Arc::new(row.reset_all().update(&tx.db).await?))
        })
    })
    .await
}

/// Takes back a message that waits, or forgets one that could not be sent.
///
/// # Errors
/// [`Error::NotFound`] when the actor has scheduled no such message; [`Error::Conflict`] while it is
/// being sent.
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

/// A scheduled message of the actor that nobody is sending.
async fn lock(tx: &Tx, id: MessageId, sender_id: crate::UserId) -> Result<Scheduled> {
    let found = scheduled_message::Entity::find_by_id(id)
        .filter(scheduled_message::Column::SenderId.eq(sender_id))
        .lock_exclusive()
        .one(&tx.db)
        .await?
        .ok_or(UNKNOWN)?;
    if found.is_waiting && found.claimed_until > tx.now() {
        return Err(BEING_SENT);
    }
    Ok(found)
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
