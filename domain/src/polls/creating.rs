//! Asking.

use std::collections::HashSet;
use std::sync::Arc;

use backchannel_entities::poll::{Options, PollOption};
use backchannel_entities::{ConversationId, MessageId, Timestamp, UserId, message, poll};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::access::Membership;
use crate::bots::Scope;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::error::is_unique_violation;
use crate::event::{Event, EventKind};
use crate::messages::{KEY_TAKEN, Message, MessageKind};
use crate::rates::{self, Action};
use crate::users::User;
use crate::{Cx, Error, Result, limits};

/// Fewest and most options of a poll.
const OPTIONS: std::ops::RangeInclusive<usize> = 2..=12;
/// Longest question, in characters.
const QUESTION_CHARS: usize = 300;

/// What there is to choose from, and how.
pub struct Ballot {
    /// The options, in order.
    pub options: Vec<String>,
    /// Whether one may choose several.
    pub allows_multiple: bool,
    /// Whether nobody is told who chose what.
    pub is_anonymous: bool,
    /// When it closes by itself, if it does.
    pub closes_at: Option<Timestamp>,
}

/// A poll to send, checked.
pub struct NewPoll {
    conversation_id: ConversationId,
    question: String,
    ballot: Ballot,
    client_message_id: Option<String>,
}

impl NewPoll {
    /// Checks a poll to send.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        conversation_id: ConversationId,
        question: String,
        ballot: Ballot,
        client_message_id: Option<String>,
    ) -> Result<Self> {
        let question = limits::text("question", question)?;
        if question.chars().count() > QUESTION_CHARS {
            let message = format!("must have at most {QUESTION_CHARS} characters");
            return Err(Error::bad_input("question", message));
        }
        if !OPTIONS.contains(&ballot.options.len()) {
            let message = format!("must be {} to {}", OPTIONS.start(), OPTIONS.end());
            return Err(Error::bad_input("options", message));
        }
        let options = ballot.options.iter();
        let options: Vec<String> = options
            .map(|option| limits::name("options", option))
            .collect::<Result<_>>()?;
        let different: HashSet<&String> = options.iter().collect();
        if different.len() < options.len() {
            return Err(Error::bad_input("options", "must differ from each other"));
        }
        let client_message_id = client_message_id
            .map(|id| limits::client_message_id("clientMessageId", id))
            .transpose()?;
        Ok(Self {
            conversation_id,
            question,
            ballot: Ballot { options, ..ballot },
            client_message_id,
        })
    }

    /// Tells a retry from another message under the same key; none without a key. Salted with the key,
    /// so that equal polls do not show as equal rows.
    fn digest(&self) -> Option<Vec<u8>> {
        let key = self.client_message_id.as_ref()?;
        let ballot = &self.ballot;
        let asked = json!([
            "poll",
            self.conversation_id,
            key,
            self.question,
            ballot.options,
            ballot.allows_multiple,
            ballot.is_anonymous,
            ballot.closes_at.map(|at| at.0),
        ]);
        Some(Sha256::digest(asked.to_string()).to_vec())
    }

    fn message(&self, sender: UserId) -> Message {
        Message {
            id: MessageId(new_id()),
            conversation_id: self.conversation_id,
            seq: 0,
            sender_id: Some(sender),
            client_message_id: self.client_message_id.clone(),
            digest: self.digest(),
            text: Some(self.question.clone()),
            created_at: Timestamp(0),
            edited_at: None,
            deleted_at: None,
            stamp: 0,
            kind: MessageKind::Poll,
            has_details: false,
        }
    }
}

/// Sends a poll; answers once it is durable. The same key of the same sender again answers the first
/// message and sends nothing.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor; [`Error::Forbidden`] to one
/// who may not send there; [`Error::BadInput`] when it would be closed already; [`Error::Conflict`]
/// when the key was used for other content; [`Error::RateLimited`] when the sender has sent too much.
pub async fn create(cx: &Cx, new: NewPoll) -> Result<Arc<Message>> {
    let sender = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, sender.id, new.conversation_id).await?;
            membership.may_send()?;
            let message = new.message(sender.id);
            if let Some(first) = first(tx, &message).await? {
                return if first.digest == message.digest {
                    Ok(Arc::new(first))
                } else {
                    Err(KEY_TAKEN)
                };
            }
            if new.ballot.closes_at.is_some_and(|at| at <= tx.now()) {
                return Err(Error::bad_input("closesAt", "must be in the future"));
            }
            send(tx, sender, message, new.ballot).await
        })
    })
    .await
}

/// What the sender sent first under the same key.
async fn first(tx: &Tx, message: &Message) -> Result<Option<Message>> {
    let Some(key) = &message.client_message_id else {
        return Ok(None);
    };
    let first = message::Entity::find()
        .filter(message::Column::SenderId.eq(message.sender_id))
        .filter(message::Column::ClientMessageId.eq(key.as_str()));
    Ok(first.one(&tx.db).await?)
}

async fn send(
    tx: &mut Tx,
    sender: Arc<User>,
    message: Message,
    ballot: Ballot,
) -> Result<Arc<Message>> {
    let conversation = tx.allocate(message.conversation_id, 1).await?;
    let message = Arc::new(Message {
        seq: conversation.last_seq,
        created_at: conversation.last_active_at,
        stamp: tx.stamp().await?,
        ..message
    });
    let row = message::ActiveModel::from(Message::clone(&message));
    message::Entity::insert(row.reset_all())
        .exec_without_returning(&tx.db)
        .await
        .map_err(taken)?;
    let options = ballot.options.into_iter();
    let row = poll::ActiveModel::from(poll::Model {
        message_id: message.id,
        options: Options(options.map(|text| PollOption { text, count: 0 }).collect()),
        allows_multiple: ballot.allows_multiple,
        is_anonymous: ballot.is_anonymous,
        closes_at: ballot.closes_at,
        closed_at: None,
        voter_count: 0,
    });
    poll::Entity::insert(row.reset_all())
        .exec_without_returning(&tx.db)
        .await?;
    let event = Event {
        conversation_id: message.conversation_id,
        seq: message.seq,
        at: message.created_at,
        actor_id: message.sender_id,
        stamp: message.stamp,
        kind: EventKind::MessageSent(Arc::clone(&message)),
        users: [sender].into(),
    };
    tx.record(vec![event]).await?;
    Ok(message)
}

/// Under the lock, only a message of another conversation can have taken the key meanwhile.
fn taken(error: DbErr) -> Error {
    if is_unique_violation(&error) {
        KEY_TAKEN
    } else {
        error.into()
    }
}
