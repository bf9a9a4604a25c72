//! Polls: messages that ask something, and count who answers what.
//!
//! 1. A poll is sent like any message ([`create`]); its question is the text, and what there is to choose
//!    from comes beside it.
//! 2. Votes come many at once ([`voting`]); how many there are for each option stands in the poll.
//! 3. It closes by its sender or by itself. For the latter nothing has to happen: everybody goes by the
//!    clock.

mod asking;
mod voting;

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{MessageId, Timestamp, message, poll, poll_vote};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, JoinType, QueryFilter,
    QuerySelect, Set,
};

use crate::bots::Scope;
use crate::db::{in_list, page_of_each};
use crate::event::{Event, EventKind};
use crate::messages::{self, Message};
use crate::page::{Page, PageRequest};
use crate::rates::{self, Action};
use crate::tallies::{TallyPosition, page_of};
use crate::{Cx, Result, access};

pub(crate) use self::asking::insert;
pub use self::asking::{Ballot, create};
pub(crate) use self::voting::Vote;
pub use self::voting::vote;
pub use backchannel_entities::poll::{Model as Poll, PollOption};

/// Whether no votes are taken any more.
#[must_use]
pub fn is_closed(poll: &Poll, now: Timestamp) -> bool {
    poll.closed_at.is_some() || poll.closes_at.is_some_and(|at| at <= now)
}

/// Closes a poll. One that is closed is no change.
///
/// # Errors
/// [`crate::Error::NotFound`] when the message does not exist for the actor; [`crate::Error::BadInput`]
/// for one that is no poll; [`crate::Error::Forbidden`] to one who may not close it;
/// [`crate::Error::RateLimited`] when the actor has done too much.
pub async fn close(cx: &Cx, id: MessageId) -> Result<Arc<Message>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let (membership, message) = messages::lock(tx, actor.id, id).await?;
            let message = Arc::new(message);
            membership.may_close_poll(message.sender_id)?;
            let poll = voting::of(tx, id).await?;
            if is_closed(&poll, tx.now()) {
                return Ok(message);
            }
            let conversation = tx.allocate(message.conversation_id, 1).await?;
            let mut row = poll.into_active_model();
            row.closed_at = Set(Some(conversation.last_active_at));
            row.update(&tx.db).await?;
            let event = Event {
                conversation_id: conversation.id,
                seq: conversation.last_seq,
                at: conversation.last_active_at,
                actor_id: Some(actor.id),
                stamp: tx.stamp().await?,
                kind: EventKind::PollChanged(Arc::clone(&message)),
                users: [actor].into(),
            };
            tx.record(vec![event]).await?;
            Ok(message)
        })
    })
    .await
}

/// Polls, by their messages; none of those that the actor does not see.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: &[MessageId]) -> Result<HashMap<MessageId, Arc<Poll>>> {
    let actor = cx.signed_in()?.user.id;
    let of_message = poll::Entity::belongs_to(message::Entity)
        .from(poll::Column::MessageId)
        .to(message::Column::Id);
    let found = poll::Entity::find()
        .join(JoinType::InnerJoin, of_message.into())
        .filter(poll::Column::MessageId.is_in(in_list(ids)))
        .filter(access::sees_message(actor))
        .all(cx.read())
        .await?;
    let by_id = found
        .into_iter()
        .map(|poll| (poll.message_id, Arc::new(poll)));
    Ok(by_id.collect())
}

/// The numbers of the options that the actor has chosen, by message.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn of_actor(cx: &Cx, ids: &[MessageId]) -> Result<HashMap<MessageId, Arc<Vec<i32>>>> {
    let actor = cx.signed_in()?.user.id;
    let rows = poll_vote::Entity::find()
        .filter(poll_vote::Column::MessageId.is_in(in_list(ids)))
        .filter(poll_vote::Column::UserId.eq(actor))
        .all(cx.read())
        .await?;
    let mut by_id: HashMap<MessageId, Vec<i32>> = HashMap::new();
    for row in rows {
        by_id.entry(row.message_id).or_default().push(row.option);
    }
    let sorted = by_id.into_iter().map(|(id, mut options)| {
        options.sort_unstable();
        (id, Arc::new(options))
    });
    Ok(sorted.collect())
}

/// The number of an option of a poll.
pub type OptionKey = (MessageId, i32);

/// A page of those who have chosen each option, each who did first first; of anonymous polls nobody.
/// The caller has found the polls by [`find_many`].
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    keys: &[OptionKey],
    request: &PageRequest<TallyPosition>,
) -> Result<HashMap<OptionKey, Page<TallyPosition>>> {
    cx.signed_in()?;
    let page_of_one = |(id, option): OptionKey| {
        let poll = poll_vote::Entity::belongs_to(poll::Entity)
            .from(poll_vote::Column::MessageId)
            .to(poll::Column::MessageId)
            .into();
        let select = poll_vote::Entity::find()
            .join(JoinType::InnerJoin, poll)
            .filter(poll::Column::IsAnonymous.eq(false))
            .filter(poll_vote::Column::MessageId.eq(id))
            .filter(poll_vote::Column::Option.eq(option));
        let order = [poll_vote::Column::CreatedAt, poll_vote::Column::UserId];
        page_of(select, order, request)
    };
    let rows: Vec<poll_vote::Model> = page_of_each(cx.read(), keys, page_of_one).await?;
    let pages = request.pages(rows, |row| (row.message_id, row.option));
    let position = |row: poll_vote::Model| TallyPosition {
        at: row.created_at,
        user_id: row.user_id,
    };
    Ok(pages
        .into_iter()
        .map(|(key, page)| (key, page.map(position)))
        .collect())
}
