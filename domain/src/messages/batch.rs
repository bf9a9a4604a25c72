//! Sends that commit together.
//!
//! 1. On Postgres they are one statement, for those that are text alone and that nothing speaks against
//!    ([`in_one_statement`]). What it leaves open, a transaction finds out.
//! 2. A transaction ([`together`]): lock, find out, decide, write, commit.
//! 3. After a failure they are tried together once more, and then each by itself, so that one bad
//!    send fails alone. A failure may have changed nothing or everything, and what was
//!    tried may still take effect. But a send has the id of its message from the start, and an id
//!    is inserted once: what is there already when it is tried again is the answer.
//! 4. Nobody is answered before the commit.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::mention::EVERYONE;
use backchannel_entities::{ConversationId, MessageId, Timestamp, UserId};
use sea_orm::QueryResult;
use tokio::time::Instant;
use uuid::Uuid;

use crate::access;
use crate::clock::new_id;
use crate::cx::{Handles, Tx};
use crate::event::{Event, EventKind};
use crate::users::User;
use crate::{Error, Result, limits, scheduled};

use super::pace::Guards;
use super::statements::{Found, Held, Place, Texts, find, find_by_id, lock, write};
use super::{Awaited, KEY_TAKEN, Message, MessageKind, NewMessage, details};

/// How long after the first try another one is begun.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// A message on its way.
pub(super) struct Outgoing {
    pub(super) id: MessageId,
    pub(super) sender: Arc<User>,
    pub(super) new: NewMessage,
    /// Tells a retry from another message under the same key; none without a key.
    pub(super) digest: Option<Vec<u8>>,
    /// By which claim of a scheduled message it is sent, if it is one.
    claim: Option<Uuid>,
}

impl Outgoing {
    pub(super) fn new(sender: Arc<User>, new: NewMessage) -> Self {
        let digest = new.digest();
        Self {
            id: MessageId(new_id()),
            sender,
            new,
            digest,
            claim: None,
        }
    }

    /// One that has waited.
    pub(super) fn awaited(sender: Arc<User>, awaited: Awaited) -> Self {
        let Awaited {
            id,
            claim,
            digest,
            new,
        } = awaited;
        // Of what it was before it was edited, if it was: a retry says that.
        let digest = digest.or_else(|| new.digest());
        Self {
            id,
            sender,
            new,
            digest,
            claim: Some(claim),
        }
    }

    /// Whether one statement can send it.
    fn is_plain(&self) -> bool {
        self.new.more.is_none() && self.claim.is_none()
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

    fn message(&self, place: Place, stamp: i64) -> Message {
        let more = self.new.more.as_deref();
        Message {
            id: self.id,
            conversation_id: self.new.conversation_id,
            seq: place.last_seq,
            sender_id: Some(self.sender.id),
            client_message_id: self.new.client_message_id.clone(),
            digest: self.digest.clone(),
            text: Some(self.new.text.clone()).filter(|text| !text.is_empty()),
            created_at: place.last_active_at,
            edited_at: None,
            deleted_at: None,
            stamp,
            kind: more.map_or(MessageKind::Text, |more| more.kind.into()),
            has_details: more.is_some(),
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
    let plain = sends.iter().filter(|send| send.is_plain());
    let plain: Vec<&Outgoing> = plain.collect();
    let (mut sent, tried) = match &handles.sends.texts {
        Some(texts) if !plain.is_empty() => match in_one_statement(handles, texts, &plain).await {
            Ok(sent) => (sent, Tried::Never),
            Err(error) => {
                tracing::debug!(%error, "sending in one statement failed; trying again");
                (HashMap::new(), Tried::Before)
            }
        },
        Some(_) | None => (HashMap::new(), Tried::Never),
    };
    let open = sends.iter().filter(|send| !sent.contains_key(&send.id));
    let open: Vec<&Outgoing> = open.collect();
    let id = |send: &Outgoing| send.new.conversation_id;
    let held = if sends.iter().all(|send| id(send) == id(&sends[0])) {
        Held::Wait
    } else {
        Held::PassOver
    };
    let settled = in_transactions(handles, &open, held, tried, until).await;
    let mut settled = settled.into_iter();
    let outcomes = sends.iter().map(|send| match sent.remove(&send.id) {
        Some(message) => Some(Outcome::Answer(Ok(message))),
        None => settled.next(),
    });
    outcomes.flatten().collect()
}

/// Whether a send was tried before, and its message may be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tried {
    Before,
    Never,
}

/// Sends what nothing speaks against: the senders' rights, keys that were used, conversations that
/// somebody else holds, or members who change meanwhile. Of the others there is nothing in the
/// answer.
async fn in_one_statement(
    handles: &Handles,
    texts: &Texts,
    sends: &[&Outgoing],
) -> Result<HashMap<MessageId, Arc<Message>>> {
    let now = handles.clock.now();
    let statement = match sends {
        [send] => texts.one(send, now),
        sends => texts.many(sends, now),
    };
    let made = |rows: &[QueryResult]| {
        let rows = rows.iter().map(|row| {
            let index: i64 = row.try_get("", "index")?;
            let index = usize::try_from(index).map_err(Error::internal)?;
            let place = Place {
                last_seq: row.try_get("", "seq")?,
                last_active_at: row.try_get("", "created_at")?,
            };
            let message = Arc::new(sends[index].message(place, row.try_get("", "stamp")?));
            let event = sends[index].event(&message);
            Ok(((message.id, message), event))
        });
        let made: Result<(HashMap<_, _>, Vec<_>)> = rows.collect();
        made
    };
    handles.write_in_one(statement, made).await
}

/// Sends what one statement could not, or not for sure.
async fn in_transactions(
    handles: &Handles,
    sends: &[&Outgoing],
    held: Held,
    tried: Tried,
    until: Instant,
) -> Vec<Outcome> {
    if sends.is_empty() {
        return Vec::new();
    }
    let error = match twice(handles, sends, held, tried).await {
        Ok(outcomes) => return outcomes,
        Err(error) => error,
    };
    let mut outcomes = Vec::with_capacity(sends.len());
    for send in sends {
        let settled = if sends.len() > 1 && Instant::now() < until {
            twice(handles, &[send], held, Tried::Before).await
        } else {
            Err(error.clone())
        };
        let failed = |error| vec![Outcome::Answer(Err(error))];
        outcomes.extend(settled.unwrap_or_else(failed));
    }
    outcomes
}

async fn twice(
    handles: &Handles,
    sends: &[&Outgoing],
    held: Held,
    tried: Tried,
) -> Result<Vec<Outcome>> {
    match together(handles, sends, held, tried).await {
        Ok(outcomes) => Ok(outcomes),
        Err(error) => {
            tracing::debug!(%error, "a batch of sends failed; trying again");
            together(handles, sends, held, Tried::Before).await
        }
    }
}

async fn together(
    handles: &Handles,
    sends: &[&Outgoing],
    held: Held,
    tried: Tried,
) -> Result<Vec<Outcome>> {
    let mut tx = Tx::begin(handles).await?;
    match append(&mut tx, handles, sends, held, tried).await {
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
            Err(error)
        }
    }
}

/// Answers with the outcomes, and whether there is anything to commit.
async fn append(
    tx: &mut Tx,
    handles: &Handles,
    sends: &[&Outgoing],
    held: Held,
    tried: Tried,
) -> Result<(Vec<Outcome>, bool)> {
    let mut ids: Vec<ConversationId> = sends.iter().map(|send| send.new.conversation_id).collect();
    ids.sort_unstable();
    ids.dedup();
    let locked = lock(tx, handles.sends.texts.as_ref(), ids, held).await?;
    let found = find(tx, sends).await?;
    let claims = sends
        .iter()
        .filter(|send| locked.contains(&send.new.conversation_id))
        .filter_map(|send| Some((send.id, send.claim?)));
    let claims: Vec<_> = claims.collect();
    let claimed = scheduled::hold(tx, &claims).await?;
    let is_guarded = |found: &Option<Found>| found.as_ref().is_some_and(|found| found.is_guarded);
    let guarded = sends.iter().zip(&found);
    let guarded: Vec<_> = guarded
        .filter(|(_, found)| is_guarded(found))
        .map(|(send, _)| (send.new.conversation_id, send.sender.id))
        .collect();
    let mut batch = Batch {
        sends,
        locked,
        claimed,
        guards: Guards::find(tx, &guarded).await?,
        now: tx.now(),
        places: HashMap::new(),
        keys: HashMap::new(),
        new: Vec::new(),
    };
    let mut there = HashMap::new();
    if tried == Tried::Before {
        there = find_by_id(tx, sends).await?;
    }
    let verdicts: Vec<_> = (0..)
        .zip(found)
        .map(|(n, found)| match there.remove(&sends[n].id) {
            Some(message) => Ok(Verdict::Known(Arc::new(message))),
            None => batch.decide(n, found),
        })
        .collect();
    let Batch {
        places,
        new,
        guards,
        claimed,
        ..
    } = batch;
    guards.write(tx).await?;
    let is_sent = |send: &&Outgoing, verdict: &Result<Verdict>| {
        let is_there = matches!(verdict, Ok(Verdict::New(_) | Verdict::Known(_)));
        is_there && claimed.contains(&send.id)
    };
    let awaited = sends.iter().zip(&verdicts);
    let awaited = awaited.filter(|(send, verdict)| is_sent(send, verdict));
    let awaited: Vec<MessageId> = awaited.map(|(send, _)| send.id).collect();
    if !awaited.is_empty() {
        scheduled::forget(tx, &awaited).await?;
    }
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
    let has_changed = !messages.is_empty() || !awaited.is_empty();
    Ok((outcomes.collect(), has_changed))
}

async fn insert(
    tx: &mut Tx,
    sends: &[&Outgoing],
    places: HashMap<ConversationId, Place>,
    new: Vec<(usize, Place)>,
) -> Result<Vec<Arc<Message>>> {
    let stamp = tx.stamp().await?;
    let mut rich = Vec::new();
    let (messages, events): (Vec<_>, Vec<_>) = new
        .into_iter()
        .map(|(index, place)| {
            let send = sends[index];
            let message = Arc::new(send.message(place, stamp));
            if send.new.more.is_some() {
                rich.push((Arc::clone(&message), &send.new));
            }
            let event = send.event(&message);
            (message, event)
        })
        .unzip();
    write(tx, &places, &messages).await?;
    details::insert(tx, &rich).await?;
    tx.record(events).await?;
    Ok(messages)
}

/// What has been decided about some of the sends.
struct Batch<'s> {
    sends: &'s [&'s Outgoing],
    locked: HashSet<ConversationId>,
    /// Scheduled messages that are still for this node to send.
    claimed: HashSet<MessageId>,
    guards: Guards,
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
        let send: &'s Outgoing = self.sends[index];
        let id = send.new.conversation_id;
        let found = found.ok_or(Error::NotFound("conversation"))?;
        if !self.locked.contains(&id) {
            return Ok(Verdict::PassedOver);
        }
        if send.claim.is_some() && !self.claimed.contains(&send.id) {
            return Err(scheduled::UNKNOWN);
        }
        // Before anything that may have changed since: a retry is answered with what was sent.
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
        if found.is_blocked {
            return Err(access::CLOSED);
        }
        access::may_send(found.kind, found.role)?;
        if send.new.mentioned().contains(&EVERYONE) {
            access::may_mention_everyone(found.kind, found.role)?;
        }
        if found.is_guarded {
            self.guards.admit(id, found.role)?;
        }
        send.new.is_in_time(self.now)?;
        let place = self.places.entry(id).or_insert(found.place);
        if place.last_seq >= limits::SEQ {
            return Err(Error::NotFound("conversation"));
        }
        let at = place.last_active_at.max(self.now);
        self.guards.take((id, send.sender.id), found.role, at)?;
        place.last_seq += 1;
        // Time must not run backwards over the sequence.
        place.last_active_at = at;
        let message = self.new.len();
        self.new.push((index, *place));
        if let Some(key) = send.key() {
            self.keys.insert((send.sender.id, key), (index, message));
        }
        Ok(Verdict::New(message))
    }
}
