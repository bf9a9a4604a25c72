//! Reading the log: messages and other events, united in the order of their seq.
//!
//! Streams do not read by themselves but ask the node's one [`Reader`]. Its few workers take
//! all that is asked for by then and read it in one statement, the same stretch once. So when
//! thousands of clients come back at once they neither run a statement each nor take the
//! connections that senders need; what only one stream can use is read in turns. A read never begins before it was asked for: what it shows
//! is the present.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{
    ConversationId, MessageId, Timestamp, UserId, conversation, conversation_event,
};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter,
    QueryResult, Statement,
};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;

use crate::conversations::Conversation;
use crate::db::Connections;
use crate::db::in_list;
use crate::event::{Event, EventKind};
use crate::messages::Message;
use crate::users::{self, User};
use crate::{Error, Result};

/// Events read at once of one conversation. Seqs are dense, so this is also the width of the
/// range.
pub(crate) const BATCH: i64 = 200;
/// Ranges read in one statement.
const RANGES: usize = 32;
/// Statements at a time.
const WORKERS: usize = 2;
/// Questions that may wait; whoever comes then waits to ask.
const QUEUE: usize = 1_024;
/// How long after a stream began to read others wait to begin together.
const ROUND: Duration = Duration::from_millis(50);
/// Streams that may read for themselves at a time, what no other stream needs.
const TURNS: usize = 4;

/// A stretch of a conversation's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    /// Of which.
    pub(crate) conversation_id: ConversationId,
    /// Exclusive.
    pub(crate) after: i64,
    /// Inclusive; at most [`BATCH`] further on.
    pub(crate) upto: i64,
}

impl Range {
    /// The next events after `after`.
    pub(crate) fn after(conversation_id: ConversationId, after: i64) -> Self {
        Self {
            conversation_id,
            after,
            upto: after.saturating_add(BATCH),
        }
    }

    fn contains(&self, event: &Event) -> bool {
        event.conversation_id == self.conversation_id
            && (self.after + 1..=self.upto).contains(&event.seq)
    }

    /// Whether the two can be read as one; `later` begins no earlier.
    fn joins(&self, later: &Self) -> bool {
        self.conversation_id == later.conversation_id
            && later.after <= self.upto
            && later.upto - self.after <= BATCH
    }
}

/// The node's reader of the log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reader {
    questions: mpsc::Sender<Question>,
    turns: Arc<Semaphore>,
    next_round: Arc<std::sync::Mutex<Instant>>,
}

struct Question {
    ranges: Vec<Range>,
    answer: oneshot::Sender<Result<Vec<Arc<Event>>>>,
}

impl Reader {
    /// Starts the workers. They stop when the last handle is gone.
    pub(crate) fn start(db: Connections) -> Self {
        let (questions, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WORKERS {
            tokio::spawn(work(db.clone(), Arc::clone(&queue)));
        }
        Self {
            questions,
            turns: Arc::new(Semaphore::new(TURNS)),
            next_round: Arc::new(std::sync::Mutex::new(Instant::now())),
        }
    }

    /// Waits to begin with others, for a stream that is about to read for the first time: one
    /// goes at once, those who come soon after it together. Of a crowd that comes back, most
    /// have missed the same.
    pub(crate) async fn round(&self) {
        let next = {
            let mut next = self.next_round.lock().expect("no holder panics");
            let now = Instant::now();
            if *next <= now {
                *next = now + ROUND;
                return;
            }
            *next
        };
        tokio::time::sleep_until(next).await;
    }

    /// Waits for the turn to read something for one stream alone, and holds it until dropped.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    /// The events of a range, in order; fewer than it is wide if they do not exist yet.
    pub(crate) async fn read(&self, range: Range) -> Result<Vec<Arc<Event>>> {
        self.read_all(vec![range]).await
    }

    /// The events of several ranges, in the order of their conversations and seqs.
    pub(crate) async fn read_all(&self, ranges: Vec<Range>) -> Result<Vec<Arc<Event>>> {
        let (answer, answered) = oneshot::channel();
        let question = Question { ranges, answer };
        self.questions.send(question).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    Error::internal(std::io::Error::other("the reader has stopped"))
}

async fn work(db: Connections, queue: Arc<Mutex<mpsc::Receiver<Question>>>) {
    let mut questions = Vec::new();
    loop {
        let asked = queue.lock().await.recv_many(&mut questions, QUEUE).await;
        if asked == 0 {
            return;
        }
        let ranges = united(questions.iter().flat_map(|question| &question.ranges));
        match read_united(&db, &ranges).await {
            Ok(events) => {
                for question in questions.drain(..) {
                    let of_question = events.iter().filter(|event| {
                        let mut ranges = question.ranges.iter();
                        ranges.any(|range| range.contains(event))
                    });
                    // Whoever asked may be gone.
                    let _ = question.answer.send(Ok(of_question.cloned().collect()));
                }
            }
            Err(error) => {
                for question in questions.drain(..) {
                    let _ = question.answer.send(Err(error.clone()));
                }
            }
        }
    }
}

/// The same events in as few ranges as it takes.
fn united<'r>(ranges: impl Iterator<Item = &'r Range>) -> Vec<Range> {
    let mut ranges: Vec<Range> = ranges.copied().collect();
    ranges.sort_unstable();
    let mut united: Vec<Range> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match united.last_mut() {
            Some(last) if last.joins(&range) => last.upto = last.upto.max(range.upto),
            Some(_) | None => united.push(range),
        }
    }
    united
}

async fn read_united(db: &Connections, ranges: &[Range]) -> Result<Vec<Arc<Event>>> {
    let mut events = Vec::new();
    for ranges in ranges.chunks(RANGES) {
        let ranges = in_list(ranges);
        let values = ranges.iter().flat_map(|range| {
            let Range {
                conversation_id,
                after,
                upto,
            } = *range;
            [conversation_id.into(), after.into(), upto.into()]
        });
        let statement =
            Statement::from_sql_and_values(db.get_database_backend(), sql(ranges.len()), values);
        let rows = db.query_all_raw(statement).await?;
        let start = events.len();
        let updated = updated_conversations(db, &rows).await?;
        for row in &rows {
            events.push(event(row, &updated)?);
        }
        attach_users(db, &mut events[start..]).await?;
    }
    // Ranges may overlap, and the last one is repeated up to a power of two.
    let place = |event: &Event| (event.conversation_id, event.seq);
    events.sort_by_key(place);
    events.dedup_by_key(|event| place(event));
    Ok(events.into_iter().map(Arc::new).collect())
}

/// One statement, hence one snapshot: a seq cannot be missing between the two halves.
/// Messages are joined as they are now, so that an edited-away text does not come back; those of the
/// system are told of by the events at whose seq they stand. The
/// joins are CROSS for SQLite, which then keeps their order.
fn sql(ranges: usize) -> String {
    let wanted: Vec<String> = (0..ranges)
        .map(|n| format!("(${}, ${}, ${})", 3 * n + 1, 3 * n + 2, 3 * n + 3))
        .collect();
    format!(
        r#"
WITH wanted("conversation_id", "after", "upto") AS (VALUES {wanted})
SELECT e."conversation_id" AS "conversation_id", e."seq" AS "seq", e."kind" AS "kind", e."at" AS "at",
       e."actor_id" AS "actor_id", e."user_id" AS "user_id", e."call_id" AS "call_id", e."stamp" AS "stamp",
       m."id" AS "m_id", m."conversation_id" AS "m_conversation_id", m."seq" AS "m_seq",
       m."sender_id" AS "m_sender_id", m."client_message_id" AS "m_client_message_id",
       m."digest" AS "m_digest", m."text" AS "m_text", m."created_at" AS "m_created_at",
       m."edited_at" AS "m_edited_at", m."deleted_at" AS "m_deleted_at", m."stamp" AS "m_stamp",
       m."kind" AS "m_kind", m."has_details" AS "m_has_details"
FROM wanted w CROSS JOIN "conversation_events" e LEFT JOIN "messages" m ON m."id" = e."message_id"
WHERE e."conversation_id" = w."conversation_id" AND e."seq" > w."after" AND e."seq" <= w."upto"
UNION ALL
SELECT m."conversation_id", m."seq", 'message_sent', m."created_at", m."sender_id", NULL, NULL, m."stamp",
       m."id", m."conversation_id", m."seq", m."sender_id", m."client_message_id",
       m."digest", m."text", m."created_at", m."edited_at", m."deleted_at", m."stamp", m."kind", m."has_details"
FROM wanted w CROSS JOIN "messages" m
WHERE m."conversation_id" = w."conversation_id" AND m."seq" > w."after" AND m."seq" <= w."upto"
  AND m."kind" <> 'system'
ORDER BY 1, 2
"#,
        wanted = wanted.join(", ")
    )
}

/// The conversations that events say have changed, as they are now. Few do, so they are read by
/// themselves.
async fn updated_conversations(
    db: &Connections,
    rows: &[QueryResult],
) -> Result<HashMap<ConversationId, Arc<Conversation>>> {
    let changed = conversation_event::Kind::ConversationUpdated.to_value();
    let mut ids: Vec<ConversationId> = Vec::new();
    for row in rows {
        if row.try_get::<String>("", "kind")? == changed {
            ids.push(row.try_get("", "conversation_id")?);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = conversation::Entity::find()
        .filter(conversation::Column::Id.is_in(in_list(&ids)))
        .all(db)
        .await?;
    let by_id = found.into_iter().map(|found| (found.id, Arc::new(found)));
    Ok(by_id.collect())
}

fn event(
    row: &QueryResult,
    updated: &HashMap<ConversationId, Arc<Conversation>>,
) -> Result<Event, DbErr> {
    let message = || -> Result<Arc<Message>, DbErr> {
        row.try_get::<MessageId>("", "m_id")?;
        Message::from_query_result(row, "m_").map(Arc::new)
    };
    let user_id = || row.try_get::<UserId>("", "user_id");
    let kind: String = row.try_get("", "kind")?;
    let kind = if kind == "message_sent" {
        EventKind::MessageSent(message()?)
    } else {
        use conversation_event::Kind;
        match Kind::try_from_value(&kind)? {
            Kind::MessageEdited => EventKind::MessageEdited(message()?),
            Kind::MessageDeleted => EventKind::MessageDeleted(message()?),
            Kind::MemberJoined => EventKind::MemberJoined(user_id()?),
            Kind::MemberLeft => EventKind::MemberLeft(user_id()?),
            Kind::MemberRoleChanged => EventKind::MemberRoleChanged(user_id()?),
            Kind::CallEnded => EventKind::CallEnded(row.try_get("", "call_id")?),
            Kind::ConversationUpdated => {
                let id: ConversationId = row.try_get("", "conversation_id")?;
                let there = updated.get(&id).map(Arc::clone);
                let missing = || DbErr::RecordNotFound("an event's conversation".to_owned());
                EventKind::ConversationUpdated(there.ok_or_else(missing)?)
            }
            Kind::ConversationDeleted => EventKind::ConversationDeleted,
            Kind::MessageReactionsChanged => EventKind::MessageReactionsChanged(message()?),
            Kind::MessagePinned => EventKind::MessagePinned(message()?),
            Kind::MessageUnpinned => EventKind::MessageUnpinned(message()?),
            Kind::PollChanged => EventKind::PollChanged(message()?),
        }
    };
    Ok(Event {
        conversation_id: row.try_get("", "conversation_id")?,
        seq: row.try_get("", "seq")?,
        at: row.try_get::<Timestamp>("", "at")?,
        actor_id: row.try_get("", "actor_id")?,
        stamp: row.try_get("", "stamp")?,
        kind,
        users: Arc::default(),
    })
}

/// Reads every user the events name, in one statement for all of them.
async fn attach_users(db: &Connections, events: &mut [Event]) -> Result<()> {
    let ids = events.iter().flat_map(named).collect();
    let users: HashMap<UserId, Arc<User>> = users::read_many(db, ids).await?;
    for event in events {
        event.users = named(event)
            .filter_map(|id| users.get(&id).cloned())
            .collect();
    }
    Ok(())
}

fn named(event: &Event) -> impl Iterator<Item = UserId> + use<> {
    let subject = match &event.kind {
        EventKind::MemberJoined(user_id)
        | EventKind::MemberLeft(user_id)
        | EventKind::MemberRoleChanged(user_id) => Some(*user_id),
        EventKind::MessageSent(message)
        | EventKind::MessageEdited(message)
        | EventKind::MessageDeleted(message)
        | EventKind::MessageReactionsChanged(message)
        | EventKind::MessagePinned(message)
        | EventKind::MessageUnpinned(message)
        | EventKind::PollChanged(message) => message.sender_id,
        EventKind::CallEnded(_)
        | EventKind::ConversationUpdated(_)
        | EventKind::ConversationDeleted => None,
    };
    let subject = subject.filter(|subject| Some(*subject) != event.actor_id);
    event.actor_id.into_iter().chain(subject)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn ranges_that_touch_are_read_as_one_unless_they_grow_too_wide() {
        let range = |n: u128, after, upto| Range {
            conversation_id: ConversationId(Uuid::from_u128(n)),
            after,
            upto,
        };
        let asked = [
            range(2, 0, 10),
            range(1, 5, 20),
            range(1, 0, 10),
            range(1, 20, 30),
            range(1, 40, 50),
            range(1, 0, 10),
            range(2, 5, 205),
        ];
        let expected = [
            range(1, 0, 30),
            range(1, 40, 50),
            range(2, 0, 10),
            range(2, 5, 205),
        ];
        assert_eq!(united(asked.iter()), expected);
    }
}
