//! Sends that commit together, and one that has nobody to commit with.
//!
//! 1. One alone is one statement on Postgres, if nothing speaks against it ([`alone`]). What
//!    that statement leaves open, a transaction finds out.
//! 2. Several are one transaction ([`together`]): lock, find out, decide, write, commit.
//! 3. A failure before COMMIT has changed nothing. They are tried together once more, and then
//!    each by itself, so that one bad send fails alone.
//! 4. A failure of COMMIT itself, or of the one statement, may have changed everything. A send
//!    with a key is tried again: if it is there already, or comes to be while we try, the unique
//!    key makes that the answer. One without a key gets an error, for a second try could send it
//!    twice.
//! 5. Nobody is answered before the commit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{ConversationId, MessageId, Timestamp, UserId};
use sea_orm::QueryResult;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::access;
use crate::clock::new_id;
use crate::cx::{Failure, Handles, Tx};
use crate::event::{Event, EventKind};
use crate::users::User;
use crate::{Error, Result, limits};

use super::statements::{Found, Place, Texts, find, lock, write};
use super::{Message, NewMessage};

/// How long after the first try another one is begun.
const TRY_AGAIN: Duration = Duration::from_secs(5);

const KEY_TAKEN: Error = Error::Conflict {
    field: Some("clientMessageId"),
    message: "this clientMessageId was used for another message",
};

/// A message on its way.
pub(super) struct Outgoing {
    pub(super) sender: Arc<User>,
    pub(super) new: NewMessage,
    /// Tells a retry from another message under the same key; none without a key.
    pub(super) digest: Option<Vec<u8>>,
}

impl Outgoing {
    pub(super) fn new(sender: Arc<User>, new: NewMessage) -> Self {
        let digest = digest(&new);
        Self {
            sender,
            new,
            digest,
        }
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.new.client_message_id.as_deref()
    }

    /// `first`, if what was sent with it under the same key was the same.
    fn or_conflict(&self, digest: Option<&Vec<u8>>, first: Verdict) -> Result<Verdict> {
        if self.digest.as_ref() == digest {
            Ok(first)
        } else {
            Err(KEY_TAKEN)
        }
    }

    fn message(&self, id: MessageId, place: Place, stamp: i64) -> Message {
        Message {
            id,
            conversation_id: self.new.conversation_id,
            seq: place.last_seq,
            sender_id: Some(self.sender.id),
            client_message_id: self.new.client_message_id.clone(),
            digest: self.digest.clone(),
            text: Some(self.new.text.clone()),
            created_at: place.last_active_at,
            edited_at: None,
            deleted_at: None,
            stamp,
        }
    }

    fn event(&self, message: &Arc<Message>) -> Event {
        Event {
            conversation_id: message.conversation_id,
            seq: message.seq,
            at: message.created_at,
            actor_id: message.sender_id,
            stamp: message.stamp,
            kind: EventKind::MessageSent(Arc::clone(message)),
            users: [Arc::clone(&self.sender)].into(),
        }
    }
}

/// Salted with the key, so that equal texts do not show as equal rows.
fn digest(new: &NewMessage) -> Option<Vec<u8>> {
    let key = new.client_message_id.as_ref()?;
    let mut digest = Sha256::new();
    digest.update(new.conversation_id.0.as_bytes());
    // Lengths keep the fields apart.
    digest.update(u64::try_from(key.len()).unwrap_or(u64::MAX).to_be_bytes());
    digest.update(key.as_bytes());
    digest.update(new.text.as_bytes());
    Some(digest.finalize().to_vec())
}

/// What became of a send.
#[derive(Debug)]
pub(super) enum Outcome {
    /// To be told to whoever sent it.
    Answer(Result<Arc<Message>>),
    /// Somebody else holds the conversation: another time.
    PassedOver,
}

/// Sends messages; the outcomes are in their order.
pub(super) async fn settle(handles: &Handles, sends: &[Outgoing]) -> Vec<Outcome> {
    let until = Instant::now() + TRY_AGAIN;
    if let [send] = sends {
        return vec![Outcome::Answer(alone(handles, send, until).await)];
    }
    let mut settled = together(handles, sends).await;
    if let Err(Failure::RolledBack(error)) = &settled {
        tracing::debug!(%error, "a batch of sends failed; trying again");
        settled = together(handles, sends).await;
    }
    let failure = match settled {
        Ok(outcomes) => return outcomes,
        Err(failure) => failure,
    };
    let mut outcomes = Vec::with_capacity(sends.len());
    for send in sends {
        let answer = if may_repeat(send, &failure, until) {
            alone(handles, send, until).await
        } else {
            Err(failure.clone().into())
        };
        outcomes.push(Outcome::Answer(answer));
    }
    outcomes
}

/// Whether a send that failed may be tried again: in time, and without the danger of being sent
/// twice.
fn may_repeat(send: &Outgoing, failure: &Failure, until: Instant) -> bool {
    let is_safe = match failure {
        Failure::RolledBack(_) => true,
        Failure::Unknown(_) => send.key().is_some(),
    };
    is_safe && Instant::now() < until
}

async fn alone(handles: &Handles, send: &Outgoing, until: Instant) -> Result<Arc<Message>> {
    if let Some(texts) = &handles.sends.texts {
        match in_one_statement(handles, texts, send).await {
            Ok(Some(message)) => return Ok(message),
            Ok(None) => {}
            Err(error) if send.key().is_none() => return Err(error),
            Err(error) => tracing::debug!(%error, "sending in one statement failed; asking"),
        }
    }
    let sends = std::slice::from_ref(send);
    let mut outcomes = together(handles, sends).await;
    if let Err(failure) = &outcomes
        && may_repeat(send, failure, until)
    {
        outcomes = together(handles, sends).await;
    }
    match outcomes?.pop() {
        Some(Outcome::Answer(answer)) => answer,
        // One alone waits for its conversation, if there is one.
        Some(Outcome::PassedOver) | None => Err(Error::NotFound("conversation")),
    }
}

/// None where anything speaks against it: no right, no such conversation, a key that was used,
/// or members who changed meanwhile.
async fn in_one_statement(
    handles: &Handles,
    texts: &Texts,
    send: &Outgoing,
) -> Result<Option<Arc<Message>>> {
    let id = MessageId(new_id());
    let statement = texts.one(id, send, handles.clock.now());
    let made = |row: &QueryResult| {
        let place = Place {
            last_seq: row.try_get("", "seq")?,
            last_active_at: row.try_get("", "created_at")?,
        };
        let message = send.message(id, place, row.try_get("", "stamp")?);
        Ok(send.event(&Arc::new(message)))
    };
    let event = handles.write_in_one(statement, made).await?;
    Ok(event.and_then(|event| match &event.kind {
        EventKind::MessageSent(message) => Some(Arc::clone(message)),
        EventKind::MessageEdited(_)
        | EventKind::MessageDeleted(_)
        | EventKind::MemberJoined(_)
        | EventKind::MemberLeft(_)
        | EventKind::MemberRoleChanged(_)
        | EventKind::CallEnded(_) => None,
    }))
}

async fn together(handles: &Handles, sends: &[Outgoing]) -> Result<Vec<Outcome>, Failure> {
    let mut tx = Tx::begin(handles).await?;
    match append(&mut tx, handles, sends).await {
        Ok((outcomes, true)) => {
            tx.commit(handles).await?;
            Ok(outcomes)
        }
        Ok((outcomes, false)) => {
            tx.roll_back().await;
            Ok(outcomes)
        }
        Err(error) => {
            tx.roll_back().await;
            Err(error.into())
        }
    }
}

/// Answers with the outcomes, and whether there is anything to commit.
async fn append(
    tx: &mut Tx,
    handles: &Handles,
    sends: &[Outgoing],
) -> Result<(Vec<Outcome>, bool)> {
    let mut ids: Vec<ConversationId> = sends.iter().map(|send| send.new.conversation_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut batch = Batch {
        sends,
        locked: lock(tx, handles.sends.texts.as_ref(), ids).await?,
        now: tx.now(),
        places: HashMap::new(),
        keys: HashMap::new(),
        new: Vec::new(),
    };
    let found = find(tx, sends).await?;
    let verdicts: Vec<_> = (0..)
        .zip(found)
        .map(|(n, found)| batch.decide(n, found))
        .collect();
    let Batch { places, new, .. } = batch;
    let messages = if new.is_empty() {
        Vec::new()
    } else {
        insert(tx, sends, places, new).await?
    };
    let outcomes = verdicts.into_iter().map(|verdict| match verdict {
        Ok(Verdict::New(index)) => Outcome::Answer(Ok(Arc::clone(&messages[index]))),
        Ok(Verdict::Known(message)) => Outcome::Answer(Ok(message)),
        Ok(Verdict::PassedOver) => Outcome::PassedOver,
        Err(refusal) => Outcome::Answer(Err(refusal)),
    });
    Ok((outcomes.collect(), !messages.is_empty()))
}

async fn insert(
    tx: &mut Tx,
    sends: &[Outgoing],
    places: HashMap<ConversationId, Place>,
    new: Vec<(usize, Place)>,
) -> Result<Vec<Arc<Message>>> {
    let stamp = tx.stamp().await?;
    let (messages, events): (Vec<_>, Vec<_>) = new
        .into_iter()
        .map(|(index, place)| {
            let send = &sends[index];
            let message = Arc::new(send.message(MessageId(new_id()), place, stamp));
            let event = send.event(&message);
            (message, event)
        })
        .unzip();
    write(tx, &places, &messages).await?;
    tx.record(events).await?;
    Ok(messages)
}

/// What has been decided about some of the sends.
struct Batch<'s> {
    sends: &'s [Outgoing],
    locked: HashSet<ConversationId>,
    now: Timestamp,
    /// Where each conversation has come to by that.
    places: HashMap<ConversationId, Place>,
    /// Which send it was that first had a key, and which of the new messages it became.
    keys: HashMap<(UserId, &'s str), (usize, usize)>,
    /// Of which send, and where.
    new: Vec<(usize, Place)>,
}

enum Verdict {
    /// One of the new messages.
    New(usize),
    /// It was sent before.
    Known(Arc<Message>),
    PassedOver,
}

impl<'s> Batch<'s> {
    /// Decides about the next send. A position is taken by nothing but a message that will be
    /// inserted, so that the sequence stays dense.
    fn decide(&mut self, index: usize, found: Option<Found>) -> Result<Verdict> {
        let send: &'s Outgoing = &self.sends[index];
        let id = send.new.conversation_id;
        let found = found.ok_or(Error::NotFound("conversation"))?;
        if !self.locked.contains(&id) {
            return Ok(Verdict::PassedOver);
        }
        access::may_send(found.kind, found.role)?;
        if let Some(first) = found.first {
            let digest = first.digest.clone();
            return send.or_conflict(digest.as_ref(), Verdict::Known(Arc::new(first)));
        }
        let known = send
            .key()
            .and_then(|key| self.keys.get(&(send.sender.id, key)));
        if let Some((first, message)) = known {
            let digest = self.sends[*first].digest.as_ref();
            return send.or_conflict(digest, Verdict::New(*message));
        }
        let place = self.places.entry(id).or_insert(found.place);
        if place.last_seq >= limits::SEQ {
            return Err(Error::NotFound("conversation"));
        }
        place.last_seq += 1;
        // Time must not run backwards over the sequence.
        place.last_active_at = place.last_active_at.max(self.now);
        let message = self.new.len();
        self.new.push((index, *place));
        if let Some(key) = send.key() {
            self.keys.insert((send.sender.id, key), (index, message));
        }
        Ok(Verdict::New(message))
    }
}
