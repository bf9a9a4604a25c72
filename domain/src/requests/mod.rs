//! Requests for a direct conversation, for those who are not let in without asking.
//!
//! 1. While a request is pending there is no conversation, so there is nothing that could pass. Its
//!    first message is kept with it.
//! 2. There is one of a pair at most. Whoever asks again turns it back to pending, whichever of the
//!    two asked before; two who ask each other have accepted.
//! 3. The conversation that comes of it has its key, and begins with its first message.
//! 4. Of somebody who is blocked it is pending for ever, and shown to nobody but them.
//! 5. All that is done to one is done under the lock of its [`Pair`].

mod changes;
mod list;

use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{ChatRequestId, ConversationId, UserId, chat_request};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sea_orm::{ActiveModelTrait as _, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::bus::UserNotice;
use crate::clock::new_id;
use crate::conversations::{Conversation, Pair};
use crate::cx::Tx;
use crate::identifiers::Identifier;
use crate::rates::{self, Guarded};
use crate::ties::{self, Tie};
use crate::upkeep::{self, Found};
use crate::users;
use crate::{Cx, Domain, Error, Result, blocks, limits, messages};

pub use backchannel_entities::chat_request::{Model as ChatRequest, State as ChatRequestState};

pub use self::changes::changes;
pub use self::list::{AskPosition, Direction, find_many, list};

/// How often one may be declined by the same user before asking is over.
const DECLINES: i32 = 3;
/// How long a request stays that nothing came of.
const STAY: Duration = Duration::from_hours(365 * 24);

const UNKNOWN: Error = Error::NotFound("chat request");

/// A request to make, checked.
pub struct NewChatRequest {
    whom: Whom,
    text: Option<String>,
}

enum Whom {
    User(UserId),
    Account(Identifier),
}

impl NewChatRequest {
    /// Checks it. One of user, e-mail address and phone number is to be given.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        domain: &Domain,
        user_id: Option<UserId>,
        [email, phone]: [Option<&str>; 2],
        text: Option<String>,
    ) -> Result<Self> {
        let whom = match (user_id, email, phone) {
            (Some(id), None, None) => Whom::User(id),
            (None, Some(_), None) | (None, None, Some(_)) => {
                Whom::Account(Identifier::parse(domain, email, phone)?)
            }
            (None, None, None) | (Some(_), _, _) | (None, Some(_), Some(_)) => {
                return Err(Error::bad_input(
                    "userId",
                    "give a user, an e-mail address or a phone number",
                ));
            }
        };
        let text = text.map(|text| limits::text("text", text)).transpose()?;
        Ok(Self { whom, text })
    }
}

/// Asks somebody for a direct conversation. Where there is one, where they have asked the actor, or
/// where the actor's own request is pending, that is the answer.
///
/// # Errors
/// [`Error::NotFound`] for nobody, and alike for whoever may not be found so;
/// [`Error::BadInput`] for oneself; [`Error::Forbidden`] for one whom the actor blocks, or who
/// has declined too often; [`Error::RateLimited`] when the actor has asked too often.
pub async fn ask(cx: &Cx, new: NewChatRequest) -> Result<Arc<ChatRequest>> {
    let actor = cx.signed_in()?.user.id;
    rates::count_guarded(cx, Guarded::ChatRequest, None).await?;
    let NewChatRequest { whom, text } = new;
    let other = match whom {
        Whom::User(id) => id,
        Whom::Account(identifier) => found(cx, &identifier).await?,
    };
    if other == actor {
        return Err(Error::bad_input("userId", "is your own"));
    }
    cx.write(move |tx| {
        Box::pin(async move {
            let pair = Pair::lock(tx, actor, other).await?;
            let is_blocked = pair.tie(tx).await?.is_blocked;
            if is_blocked && blocks::find(tx, actor, other).await?.is_some() {
                return Err(Error::Forbidden("you block this user: unblock them first"));
            }
            ask_locked(tx, &pair, text, is_blocked).await
        })
    })
    .await
}

/// Whose account it is, if they may be found so. Whether they block the actor makes no difference: the
/// actor is not to learn of it.
async fn found(cx: &Cx, identifier: &Identifier) -> Result<UserId> {
    let actor = cx.signed_in()?.user.id;
    let user = users::find_by_identifier(cx, identifier).await?;
    // Asked for nobody too, so that it takes as long.
    let id = user.as_ref().map_or(actor, |user| user.id);
    let mut ties = ties::find_many(cx.read(), actor, &[id]).await?;
    let tie = Tie {
        is_blocked: false,
        ..ties.remove(&id).unwrap_or_default()
    };
    let found = user.filter(|user| {
        let audience = match identifier {
            Identifier::Email(_) => user.found_by_email,
            Identifier::Phone(_) => user.found_by_phone,
        };
        user.id == actor || tie.admits(audience)
    });
    found.map(|user| user.id).ok_or(Error::NotFound("user"))
}

async fn ask_locked(
    tx: &mut Tx,
    pair: &Pair,
    text: Option<String>,
    is_hidden: bool,
) -> Result<Arc<ChatRequest>> {
    let (actor, other) = (pair.actor.id, pair.other.id);
    let known = lock_of(tx, pair).await?;
    let conversation = pair.conversation(tx).await?;
    let mut request = match known {
        Some(known) => known,
        None => new(tx, pair, conversation.as_ref().map(|there| there.id)),
    };
    if conversation.is_some() {
        if request.state == ChatRequestState::Accepted {
            return Ok(Arc::new(request));
        }
        request.is_hidden |= is_hidden && request.from_id == actor;
        return write(tx, request, ChatRequestState::Accepted).await;
    }
    match request.state {
        ChatRequestState::Pending if request.to_id == actor => {
            let id = request.id;
            let conversation = settle(tx, pair, request).await?;
            if let Some(text) = text {
                let actor = Arc::clone(&pair.actor);
                messages::send_in(tx, conversation.id, actor, text).await?;
            }
            let accepted = chat_request::Entity::find_by_id(id).one(&tx.db).await?;
            accepted.map(Arc::new).ok_or(UNKNOWN)
        }
        ChatRequestState::Pending if request.stamp > 0 && request.is_hidden == is_hidden => {
            Ok(Arc::new(request))
        }
        ChatRequestState::Pending
        | ChatRequestState::Declined
        | ChatRequestState::Cancelled
        | ChatRequestState::Accepted => {
            if request.from_id != actor {
                request.declines = 0;
            }
            if request.declines >= DECLINES {
                return Err(Error::Forbidden("this user has declined too often"));
            }
            (request.from_id, request.to_id) = (actor, other);
            request.text = text;
            request.is_hidden = is_hidden;
            request.asked_at = tx.now();
            write(tx, request, ChatRequestState::Pending).await
        }
    }
}

/// A request by the actor, not written yet; of those who have a conversation, with its key.
fn new(tx: &Tx, pair: &Pair, there: Option<ConversationId>) -> ChatRequest {
    let now = tx.now();
    ChatRequest {
        id: ChatRequestId(there.map_or_else(new_id, |there| there.0)),
        direct_key: pair.key.clone(),
        from_id: pair.actor.id,
        to_id: pair.other.id,
        state: ChatRequestState::Pending,
        text: None,
        asked_at: now,
        changed_at: now,
        expires_at: None,
        declines: 0,
        is_hidden: false,
        stamp: 0,
    }
}

/// Writes what has become of a request, and tells those who see it.
async fn write(
    tx: &mut Tx,
    mut request: ChatRequest,
    state: ChatRequestState,
) -> Result<Arc<ChatRequest>> {
    let is_new = request.stamp == 0;
    let now = tx.now();
    request.changed_at = now;
    request.state = state;
    request.stamp = tx.stamp().await?;
    request.expires_at = match state {
        ChatRequestState::Accepted => None,
        ChatRequestState::Pending | ChatRequestState::Declined | ChatRequestState::Cancelled => {
            Some(now.plus(STAY))
        }
    };
    // Afterwards it is in the conversation, where it can be changed and deleted, or was taken back.
    if state != ChatRequestState::Pending {
        request.text = None;
    }
    let row = chat_request::ActiveModel::from(request.clone()).reset_all();
    if is_new {
        let insert = chat_request::Entity::insert(row);
        insert.exec_without_returning(&tx.db).await?;
    } else {
        chat_request::Entity::update(row).exec(&tx.db).await?;
    }
    tx.tell(request.from_id, UserNotice::Requests);
    if !request.is_hidden {
        tx.tell(request.to_id, UserNotice::Requests);
    }
    Ok(Arc::new(request))
}

/// The request of a pair, locked against being cleared away.
pub(crate) async fn lock_of(tx: &Tx, pair: &Pair) -> Result<Option<ChatRequest>> {
    let request = chat_request::Entity::find()
        .filter(chat_request::Column::DirectKey.eq(&pair.key))
        .lock_exclusive();
    Ok(request.one(&tx.db).await?)
}

/// Whether it is for this user to accept it.
pub(crate) fn waits_for(request: &ChatRequest, user_id: UserId) -> bool {
    request.state == ChatRequestState::Pending && request.to_id == user_id && !request.is_hidden
}

/// Makes the conversation of a request, with the first message of one that was pending, and says
/// that it is accepted. Answers the conversation.
pub(crate) async fn settle(
    tx: &mut Tx,
    pair: &Pair,
    mut request: ChatRequest,
) -> Result<Conversation> {
    let mut conversation = pair.make(tx, ConversationId(request.id.0)).await?;
    let text = request.text.take();
    if let Some(text) = text.filter(|_| request.state == ChatRequestState::Pending) {
        let asker = if request.from_id == pair.actor.id {
            &pair.actor
        } else {
            &pair.other
        };
        conversation = messages::send_in(tx, conversation.id, Arc::clone(asker), text).await?;
    }
    request.is_hidden = false;
    write(tx, request, ChatRequestState::Accepted).await?;
    Ok(conversation)
}

/// What the actor may do to a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accept,
    Decline,
    Cancel,
}

impl Answer {
    fn state(self) -> ChatRequestState {
        match self {
            Self::Accept => ChatRequestState::Accepted,
            Self::Decline => ChatRequestState::Declined,
            Self::Cancel => ChatRequestState::Cancelled,
        }
    }

    /// Whether it is for the actor to do.
    fn is_for(self, request: &ChatRequest, actor: UserId) -> Result<()> {
        let (whose, message) = match self {
            Self::Accept => (request.to_id, "only the one who is asked can accept"),
            Self::Decline => (request.to_id, "only the one who is asked can decline"),
            Self::Cancel => (request.from_id, "only the one who asked can cancel"),
        };
        if whose == actor {
            Ok(())
        } else {
            Err(Error::Forbidden(message))
        }
    }
}

/// Accepts a request: the conversation is there, and begins with the first message. Once more, it
/// is no change.
///
/// # Errors
/// [`Error::NotFound`] when the request does not exist for the actor; [`Error::Forbidden`] to the
/// one who asked; [`Error::Conflict`] when it was declined or cancelled.
pub async fn accept(cx: &Cx, id: ChatRequestId) -> Result<Arc<ChatRequest>> {
    answer(cx, id, Answer::Accept).await
}

/// Declines a request. Once more, it is no change.
///
/// # Errors
/// As [`accept`]; [`Error::Conflict`] when it was accepted or cancelled.
pub async fn decline(cx: &Cx, id: ChatRequestId) -> Result<Arc<ChatRequest>> {
    answer(cx, id, Answer::Decline).await
}

/// Takes the actor's own request back. Once more, it is no change.
///
/// # Errors
/// [`Error::NotFound`] when the request does not exist for the actor; [`Error::Forbidden`] to the
/// one who is asked; [`Error::Conflict`] when it was accepted or declined.
pub async fn cancel(cx: &Cx, id: ChatRequestId) -> Result<Arc<ChatRequest>> {
    answer(cx, id, Answer::Cancel).await
}

async fn answer(cx: &Cx, id: ChatRequestId, answer: Answer) -> Result<Arc<ChatRequest>> {
    let actor = cx.signed_in()?.user.id;
    let known = find_many(cx, &[id]).await?.remove(&id).ok_or(UNKNOWN)?;
    let other = if known.from_id == actor {
        known.to_id
    } else {
        known.from_id
    };
    cx.write(move |tx| {
        Box::pin(async move {
            let pair = Pair::lock(tx, actor, other).await?;
            // Read again: only under the lock does it stay as it is.
            let request = lock_of(tx, &pair).await?;
            let sees = |request: &ChatRequest| request.from_id == actor || !request.is_hidden;
            let mut request = request.filter(sees).ok_or(UNKNOWN)?;
            answer.is_for(&request, actor)?;
            if request.state == answer.state() {
                return Ok(Arc::new(request));
            }
            if request.state != ChatRequestState::Pending {
                return Err(Error::Conflict {
                    field: None,
                    message: "the request was answered or taken back before",
                });
            }
            match answer {
                Answer::Accept => {
                    settle(tx, &pair, request).await?;
                    let accepted = chat_request::Entity::find_by_id(id).one(&tx.db).await?;
                    accepted.map(Arc::new).ok_or(UNKNOWN)
                }
                Answer::Decline => {
                    request.declines += 1;
                    write(tx, request, ChatRequestState::Declined).await
                }
                Answer::Cancel => write(tx, request, ChatRequestState::Cancelled).await,
            }
        })
    })
    .await
}

/// What a block does to a pending request of the pair: the actor's own is taken back, and the
/// other's goes out of the actor's sight. To the other, nothing happens to that.
pub(crate) async fn block(tx: &mut Tx, pair: &Pair) -> Result<()> {
    let Some(mut request) = lock_of(tx, pair).await? else {
        return Ok(());
    };
    if request.state != ChatRequestState::Pending {
        return Ok(());
    }
    if request.from_id == pair.actor.id {
        write(tx, request, ChatRequestState::Cancelled).await?;
    } else {
        request.is_hidden = true;
        let row = chat_request::ActiveModel::from(request).reset_all();
        chat_request::Entity::update(row).exec(&tx.db).await?;
    }
    Ok(())
}

/// Clears away what nothing came of, until the node stops.
pub(crate) async fn keep_clearing(domain: Domain) {
    upkeep::keep_doing(domain, "clearing chat requests away", clear_some).await;
}

fn clear_some(cx: &Cx) -> BoxFuture<'_, Result<Found>> {
    use chat_request::Column::{ExpiresAt, Id};
    let now = cx.handles().clock.now();
    upkeep::clear_before::<chat_request::Entity>(cx, Id, ExpiresAt, now).boxed()
}
