//! Reading the log: messages and other events, united in the order of their seq.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, MessageId, Timestamp, UserId, conversation_event};
use sea_orm::{
    ActiveEnum, ConnectionTrait, DatabaseConnection, DbErr, FromQueryResult, QueryResult, Statement,
};

use crate::Result;
use crate::event::{Event, EventKind};
use crate::messages::Message;
use crate::users::{self, User};

/// Events read at once. Positions are dense, so this is also the width of the range.
const BATCH: i64 = 200;

/// One statement, hence one snapshot: a position cannot be missing between the two halves.
/// Messages are joined as they are now, so that an edited-away text does not come back.
const SQL: &str = r#"
SELECT e."seq", e."kind", e."at", e."actor_id", e."user_id",
       m."id" AS "m_id", m."conversation_id" AS "m_conversation_id", m."seq" AS "m_seq",
       m."sender_id" AS "m_sender_id", m."client_message_id" AS "m_client_message_id",
       m."digest" AS "m_digest", m."text" AS "m_text", m."created_at" AS "m_created_at",
       m."edited_at" AS "m_edited_at", m."deleted_at" AS "m_deleted_at"
FROM "conversation_events" e LEFT JOIN "messages" m ON m."id" = e."message_id"
WHERE e."conversation_id" = $1 AND e."seq" > $2 AND e."seq" <= $3
UNION ALL
SELECT m."seq", 'message_sent', m."created_at", m."sender_id", NULL,
       m."id", m."conversation_id", m."seq", m."sender_id", m."client_message_id",
       m."digest", m."text", m."created_at", m."edited_at", m."deleted_at"
FROM "messages" m
WHERE m."conversation_id" = $1 AND m."seq" > $2 AND m."seq" <= $3
ORDER BY 1
"#;

/// The next events after `after`, in order; empty when there are none.
pub(crate) async fn read(
    db: &DatabaseConnection,
    id: ConversationId,
    after: i64,
) -> Result<Vec<Event>> {
    let values = [id.into(), after.into(), after.saturating_add(BATCH).into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), SQL, values);
    let rows = db.query_all_raw(statement).await?;
    let mut events = rows
        .iter()
        .map(|row| event(id, row))
        .collect::<Result<Vec<_>, DbErr>>()?;
    attach_users(db, &mut events).await?;
    Ok(events)
}

fn event(conversation_id: ConversationId, row: &QueryResult) -> Result<Event, DbErr> {
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
        }
    };
    Ok(Event {
        conversation_id,
        seq: row.try_get("", "seq")?,
        at: row.try_get::<Timestamp>("", "at")?,
        actor_id: row.try_get("", "actor_id")?,
        kind,
        users: Arc::default(),
    })
}

/// Reads every user the events name, in one statement for all of them.
async fn attach_users(db: &DatabaseConnection, events: &mut [Event]) -> Result<()> {
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
        EventKind::MemberJoined(user_id) | EventKind::MemberLeft(user_id) => Some(*user_id),
        EventKind::MessageSent(message)
        | EventKind::MessageEdited(message)
        | EventKind::MessageDeleted(message) => message.sender_id,
    };
    let subject = subject.filter(|subject| Some(*subject) != event.actor_id);
    event.actor_id.into_iter().chain(subject)
}
