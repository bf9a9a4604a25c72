//! The statements of sending. Each has one text however many messages it is for, because every
//! text is a statement of its own to the connections' caches: lists come as arrays on Postgres,
//! as JSON on SQLite.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backchannel_entities::{ConversationId, MessageId, Timestamp, message};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter,
    QueryResult, Statement, Value,
};
use serde_json::json;

use crate::access;
use crate::conversations::ConversationKind;
use crate::cx::Tx;
use crate::db::{in_list, json_list, uuids};
use crate::members::Role;
use crate::stamps::Stamps;
use crate::{Error, Result, limits};

use super::Message;
use super::batch::Outgoing;

/// Those texts that are made when a node starts.
#[derive(Debug)]
pub(super) struct Texts {
    one: String,
    many: String,
    lock: String,
}

/// What is known of a send under the lock, if its sender is a member.
pub(super) struct Found {
    pub(super) kind: ConversationKind,
    pub(super) role: Role,
    pub(super) is_blocked: bool,
    pub(super) is_guarded: bool,
    /// Where the conversation has come to.
    pub(super) place: Place,
    /// What was sent first under the same key.
    pub(super) first: Option<Message>,
}

/// A position in a conversation, and when it was taken.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) last_seq: i64,
    pub(super) last_active_at: Timestamp,
}

impl Texts {
    /// None on SQLite: its one writer does with constants.
    pub(super) fn new(stamps: Stamps) -> Option<Self> {
        let stamp = stamps.sql()?;
        Some(Self {
            one: one(&stamp),
            many: many(&stamp),
            lock: format!(
                r#"
SELECT "id", {stamp} AS "stamp" FROM "conversations"
WHERE "id" = ANY($1) ORDER BY "id" FOR NO KEY UPDATE"#
            ),
        })
    }

    /// Sends a message if everything speaks for it; no row if anything does not.
    pub(super) fn one(&self, send: &Outgoing, now: Timestamp) -> Statement {
        let new = &send.new;
        let values = [
            new.conversation_id.into(),
            send.sender.id.into(),
            new.client_message_id.clone().into(),
            send.id.into(),
            send.digest.clone().into(),
            new.text.as_str().into(),
            now.into(),
        ];
        Statement::from_sql_and_values(DbBackend::Postgres, &self.one, values)
    }

    /// Sends those of several that everything speaks for; no row of the others. Of those with the
    /// same key, the first.
    pub(super) fn many(&self, sends: &[&Outgoing], now: Timestamp) -> Statement {
        let mut keys = HashSet::with_capacity(sends.len());
        let firsts = (0..).zip(sends).filter(|(_, send)| {
            let key = send.key();
            key.is_none_or(|key| keys.insert((send.sender.id, key)))
        });
        let (indexes, sends): (Vec<i64>, Vec<&Outgoing>) =
            firsts.map(|(index, send)| (index, *send)).unzip();
        let ids = sends.iter().map(|send| send.new.conversation_id.0);
        let texts = sends.iter().map(|send| send.new.text.clone());
        let values = [
            uuids(ids),
            uuids(sends.iter().map(|send| send.sender.id.0)),
            keys_of(&sends).into(),
            uuids(sends.iter().map(|send| send.id.0)),
            digests(sends.iter().map(|send| send.digest.as_ref())),
            texts.collect::<Vec<_>>().into(),
            indexes.into(),
            now.into(),
        ];
        Statement::from_sql_and_values(DbBackend::Postgres, &self.many, values)
    }
}

/// Under READ COMMITTED a statement sees what was committed when it began, and of a row that it
/// then had to wait for, what is committed now. So it sees a membership as it was, though
/// somebody was removed while it waited for the conversation. `members_seq` tells: the one that
/// was seen with the membership must still be that of the row once it is locked. If it is not,
/// no row comes back, nothing is changed, and a transaction finds out. Whether it is blocked, or guarded
/// by what only a transaction decides, stands in the row itself.
fn one(stamp: &str) -> String {
    let (allowed, most) = (allowed(), limits::SEQ);
    format!(
        r#"
WITH allowed AS MATERIALIZED (
    SELECT c."members_seq" FROM "conversations" c
    JOIN "members" m ON m."conversation_id" = c."id"
    WHERE c."id" = $1 AND m."user_id" = $2 AND m."left_at" IS NULL
      AND (c."kind", m."role") IN ({allowed}) AND NOT c."is_blocked" AND NOT c."is_guarded"
      AND NOT EXISTS (SELECT FROM "messages" f WHERE f."sender_id" = $2 AND f."client_message_id" = $3)
), place AS (
    UPDATE "conversations" c
    SET "last_seq" = c."last_seq" + 1, "last_active_at" = greatest(c."last_active_at", $7),
        "stamp" = greatest(c."stamp", {stamp})
    FROM allowed
    WHERE c."id" = $1 AND c."members_seq" = allowed."members_seq" AND NOT c."is_blocked" AND NOT c."is_guarded"
      AND c."last_seq" < {most}
    RETURNING c."last_seq", c."last_active_at", {stamp} AS "stamp"
)
INSERT INTO "messages" ("id", "conversation_id", "seq", "sender_id", "client_message_id", "digest", "text", "created_at", "stamp")
SELECT $4, $1, place."last_seq", $2, $3, $5, $6, place."last_active_at", place."stamp" FROM place
RETURNING 0::bigint AS "index", "seq", "created_at", "stamp"
"#
    )
}

/// The same for several. Nobody waits for a lock while holding another, so that neither can nodes
/// deadlock, nor does a conversation that is stuck hold up the rest: it is left out. Each send is
/// looked up by itself (that is what OFFSET 0 says): a join could be planned while the tables are
/// small, by reading them whole, and be kept when they are not. No message has an empty key, which
/// stands for none, nor an empty digest.
fn many(stamp: &str) -> String {
    let (allowed, most) = (allowed(), limits::SEQ);
    format!(
        r#"
WITH sends AS MATERIALIZED (
    SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7)
        AS s("conversation_id", "sender_id", "key", "id", "digest", "text", "index")
), locked AS MATERIALIZED (
    SELECT "id", "members_seq", "is_blocked", "is_guarded", "last_seq", "last_active_at" FROM "conversations"
    WHERE "id" = ANY($1) ORDER BY "id" FOR NO KEY UPDATE SKIP LOCKED
), new AS MATERIALIZED (
    SELECT s.*, greatest(l."last_active_at", $8) AS "at",
        l."last_seq" + row_number() OVER (PARTITION BY s."conversation_id" ORDER BY s."index") AS "seq"
    FROM sends s JOIN locked l ON l."id" = s."conversation_id"
    CROSS JOIN LATERAL (
        SELECT FROM "conversations" c JOIN "members" m ON m."conversation_id" = c."id"
        WHERE c."id" = s."conversation_id" AND m."user_id" = s."sender_id" AND m."left_at" IS NULL
          AND (c."kind", m."role") IN ({allowed}) AND c."members_seq" = l."members_seq"
        OFFSET 0
    ) p
    WHERE l."last_seq" < {most} - cardinality($1) AND NOT l."is_blocked" AND NOT l."is_guarded"
      AND NOT EXISTS (SELECT FROM "messages" f WHERE f."sender_id" = s."sender_id" AND f."client_message_id" = s."key")
), moved AS (
    UPDATE "conversations" c
    SET "last_seq" = p."last_seq", "last_active_at" = p."at", "stamp" = greatest(c."stamp", {stamp})
    FROM (
        SELECT "conversation_id", max("seq") AS "last_seq", max("at") AS "at" FROM new GROUP BY "conversation_id"
    ) p
    WHERE c."id" = p."conversation_id"
), sent AS (
    INSERT INTO "messages" ("id", "conversation_id", "seq", "sender_id", "client_message_id", "digest", "text", "created_at", "stamp")
    SELECT "id", "conversation_id", "seq", "sender_id", nullif("key", ''), nullif("digest", ''), "text", "at", {stamp}
    FROM new
)
SELECT "index", "seq", "at" AS "created_at", {stamp} AS "stamp" FROM new ORDER BY "index"
"#
    )
}

/// Every kind of conversation with every role that may send to it, as a list of pairs.
fn allowed() -> String {
    let allowed = access::senders()
        .map(|(kind, role)| format!("('{}', '{}')", kind.to_value(), role.to_value()));
    allowed.collect::<Vec<_>>().join(", ")
}

/// What is done about conversations that somebody else has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// They are waited for: there is but one.
    Wait,
    /// They are left out; see [`many`].
    PassOver,
}

/// Locks conversations in the order of their ids. SQLite has locked everything already.
pub(super) async fn lock(
    tx: &Tx,
    texts: Option<&Texts>,
    ids: Vec<ConversationId>,
    held: Held,
) -> Result<HashSet<ConversationId>> {
    let Some(Texts { lock, .. }) = texts else {
        return Ok(ids.into_iter().collect());
    };
    let wait = match held {
        Held::Wait => "",
        Held::PassOver => " SKIP LOCKED",
    };
    let statement = Statement::from_sql_and_values(
        DbBackend::Postgres,
        format!("{lock}{wait}"),
        [uuids(ids.iter().map(|id| id.0))],
    );
    let rows = tx.db.query_all_raw(statement).await?;
    let mut locked = HashSet::with_capacity(rows.len());
    for row in &rows {
        locked.insert(row.try_get("", "id")?);
        tx.know_stamp(row.try_get("", "stamp")?);
    }
    Ok(locked)
}

/// Finds out what decides about each send: membership, the conversation's place, and what was
/// sent under the same key. Not in the statement that locks, which would see what was before.
pub(super) async fn find(tx: &Tx, sends: &[&Outgoing]) -> Result<Vec<Option<Found>>> {
    let ids = sends.iter().map(|send| send.new.conversation_id.0);
    let senders = sends.iter().map(|send| send.sender.id.0);
    let backend = tx.db.get_database_backend();
    let statement = if backend == DbBackend::Postgres {
        let values = [uuids(ids), uuids(senders), keys_of(sends).into()];
        Statement::from_sql_and_values(backend, FIND_POSTGRES, values)
    } else {
        let keys = sends.iter().map(|send| send.key().unwrap_or_default());
        let asked = ids.zip(senders).zip(keys);
        let asked = asked.map(|((id, sender), key)| json!([id.simple(), sender.simple(), key]));
        Statement::from_sql_and_values(backend, FIND_SQLITE, [json_list(asked)])
    };
    let rows = tx.db.query_all_raw(statement).await?;
    let mut all: Vec<_> = sends.iter().map(|_| None).collect();
    for row in &rows {
        let index: i64 = row.try_get("", "index")?;
        all[usize::try_from(index).map_err(Error::internal)?] = Some(found(row)?);
    }
    Ok(all)
}

/// Those of the sends' messages that are there, by an earlier try of the same sends.
pub(super) async fn find_by_id(
    tx: &Tx,
    sends: &[&Outgoing],
) -> Result<HashMap<MessageId, Message>> {
    let ids: Vec<MessageId> = sends.iter().map(|send| send.id).collect();
    let there = message::Entity::find().filter(message::Column::Id.is_in(in_list(&ids)));
    let there = there.all(&tx.db).await?;
    Ok(there
        .into_iter()
        .map(|message| (message.id, message))
        .collect())
}

fn found(row: &QueryResult) -> Result<Found> {
    let first: Option<MessageId> = row.try_get("", "f_id")?;
    Ok(Found {
        kind: row.try_get("", "kind")?,
        role: row.try_get("", "role")?,
        is_blocked: row.try_get("", "is_blocked")?,
        is_guarded: row.try_get("", "is_guarded")?,
        place: Place {
            last_seq: row.try_get("", "last_seq")?,
            last_active_at: row.try_get("", "last_active_at")?,
        },
        first: first
            .map(|_| Message::from_query_result(row, "f_"))
            .transpose()?,
    })
}

/// Moves conversations to their new places and inserts the messages that lie between.
pub(super) async fn write(
    tx: &Tx,
    places: &HashMap<ConversationId, Place>,
    messages: &[Arc<Message>],
) -> Result<()> {
    let backend = tx.db.get_database_backend();
    let stamp = tx.stamp().await?;
    let inserted = if backend == DbBackend::Postgres {
        let mut values = columns_of_places(places);
        values.push(stamp.into());
        values.extend(columns_of_messages(messages));
        let statement = Statement::from_sql_and_values(backend, WRITE_POSTGRES, values);
        tx.db.execute_raw(statement).await?
    } else {
        let moved = places
            .iter()
            .map(|(id, place)| json!([id.0.simple(), place.last_seq, place.last_active_at]));
        let moved = [json_list(moved), stamp.into()];
        let statement = Statement::from_sql_and_values(backend, MOVE_SQLITE, moved);
        tx.db.execute_raw(statement).await?;
        let rows = [
            json_list(messages.iter().map(|message| row(message))),
            stamp.into(),
        ];
        let statement = Statement::from_sql_and_values(backend, INSERT_SQLITE, rows);
        tx.db.execute_raw(statement).await?
    };
    if usize::try_from(inserted.rows_affected()) == Ok(messages.len()) {
        Ok(())
    } else {
        let message = "not every message of a batch was inserted";
        Err(Error::internal(std::io::Error::other(message)))
    }
}

fn columns_of_places(places: &HashMap<ConversationId, Place>) -> Vec<Value> {
    let seqs = places.values().map(|place| place.last_seq);
    let times = places.values().map(|place| place.last_active_at.0);
    vec![
        uuids(places.keys().map(|id| id.0)),
        seqs.collect::<Vec<i64>>().into(),
        times.collect::<Vec<i64>>().into(),
    ]
}

/// In the order of [`WRITE_POSTGRES`]. What is none is empty, which no key, no digest and no text is:
/// arrays with holes are more than sea-orm can pass.
fn columns_of_messages(messages: &[Arc<Message>]) -> [Value; 10] {
    let seqs = messages.iter().map(|message| message.seq);
    let times = messages.iter().map(|message| message.created_at.0);
    let senders = messages.iter().filter_map(|message| message.sender_id);
    let keys = messages.iter().map(|m| m.client_message_id.clone());
    let texts = messages.iter().map(|message| message.text.clone());
    let kinds = messages.iter().map(|message| message.kind.to_value());
    let detailed = messages.iter().map(|message| message.has_details);
    [
        uuids(messages.iter().map(|message| message.id.0)),
        uuids(messages.iter().map(|message| message.conversation_id.0)),
        seqs.collect::<Vec<i64>>().into(),
        uuids(senders.map(|id| id.0)),
        keys.map(Option::unwrap_or_default)
            .collect::<Vec<_>>()
            .into(),
        digests(messages.iter().map(|message| message.digest.as_ref())),
        texts
            .map(Option::unwrap_or_default)
            .collect::<Vec<_>>()
            .into(),
        times.collect::<Vec<i64>>().into(),
        kinds.collect::<Vec<_>>().into(),
        detailed.collect::<Vec<_>>().into(),
    ]
}

/// In the order of [`INSERT_SQLITE`].
fn row(message: &Message) -> serde_json::Value {
    let digest = message.digest.as_ref();
    json!([
        message.id.0.simple(),
        message.conversation_id.0.simple(),
        message.seq,
        message.sender_id.map(|id| id.0.simple()),
        message.client_message_id,
        digest.map(|digest| hex(digest)),
        message.text,
        message.created_at,
        message.kind.to_value(),
        message.has_details,
    ])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digests<'d>(digests: impl Iterator<Item = Option<&'d Vec<u8>>>) -> Value {
    let digests = digests.map(|digest| digest.cloned().unwrap_or_default());
    digests.collect::<Vec<_>>().into()
}

fn keys_of(sends: &[&Outgoing]) -> Vec<String> {
    let keys = sends.iter().map(|send| send.key().unwrap_or_default());
    keys.map(str::to_owned).collect()
}

/// Each send is looked up by itself (that is what OFFSET 0 says): a join could be planned while
/// the tables are small, by reading them whole, and be kept when they are not. No message has an
/// empty key, which stands for none.
const FIND_POSTGRES: &str = r#"
SELECT s."n" - 1 AS "index", p."kind", p."role", p."is_blocked", p."is_guarded", p."last_seq", p."last_active_at",
       f."id" AS "f_id", f."conversation_id" AS "f_conversation_id", f."seq" AS "f_seq",
       f."sender_id" AS "f_sender_id", f."client_message_id" AS "f_client_message_id",
       f."digest" AS "f_digest", f."text" AS "f_text", f."created_at" AS "f_created_at",
       f."edited_at" AS "f_edited_at", f."deleted_at" AS "f_deleted_at", f."stamp" AS "f_stamp",
       f."kind" AS "f_kind", f."has_details" AS "f_has_details"
FROM unnest($1, $2, $3) WITH ORDINALITY AS s("conversation_id", "sender_id", "key", "n")
CROSS JOIN LATERAL (
    SELECT c."kind", m."role", c."is_blocked", c."is_guarded", c."last_seq", c."last_active_at"
    FROM "conversations" c JOIN "members" m ON m."conversation_id" = c."id"
    WHERE c."id" = s."conversation_id" AND m."user_id" = s."sender_id" AND m."left_at" IS NULL
    OFFSET 0
) p
LEFT JOIN LATERAL (
    SELECT * FROM "messages" f
    WHERE f."sender_id" = s."sender_id" AND f."client_message_id" = s."key"
    OFFSET 0
) f ON true
"#;

/// The joins are CROSS for SQLite, which then keeps their order.
const FIND_SQLITE: &str = r#"
SELECT s."key" AS "index", c."kind", m."role", c."is_blocked", c."is_guarded", c."last_seq", c."last_active_at",
       f."id" AS "f_id", f."conversation_id" AS "f_conversation_id", f."seq" AS "f_seq",
       f."sender_id" AS "f_sender_id", f."client_message_id" AS "f_client_message_id",
       f."digest" AS "f_digest", f."text" AS "f_text", f."created_at" AS "f_created_at",
       f."edited_at" AS "f_edited_at", f."deleted_at" AS "f_deleted_at", f."stamp" AS "f_stamp",
       f."kind" AS "f_kind", f."has_details" AS "f_has_details"
FROM json_each($1) s CROSS JOIN "conversations" c CROSS JOIN "members" m
LEFT JOIN "messages" f ON f."sender_id" = m."user_id" AND f."client_message_id" = s."value" ->> 2
WHERE c."id" = unhex(s."value" ->> 0) AND m."conversation_id" = c."id"
  AND m."user_id" = unhex(s."value" ->> 1) AND m."left_at" IS NULL
"#;

const WRITE_POSTGRES: &str = r#"
WITH moved AS (
    UPDATE "conversations" c
    SET "last_seq" = p."last_seq", "last_active_at" = p."last_active_at",
        "stamp" = greatest(c."stamp", $4)
    FROM unnest($1, $2, $3) AS p("id", "last_seq", "last_active_at")
    WHERE c."id" = p."id"
)
INSERT INTO "messages" ("id", "conversation_id", "seq", "sender_id", "client_message_id", "digest", "text", "created_at", "stamp", "kind", "has_details")
SELECT m."id", m."conversation_id", m."seq", m."sender_id", nullif(m."key", ''), nullif(m."digest", ''), nullif(m."text", ''), m."at", $4,
       m."kind", m."has_details"
FROM unnest($5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
  AS m("id", "conversation_id", "seq", "sender_id", "key", "digest", "text", "at", "kind", "has_details")
"#;

const MOVE_SQLITE: &str = r#"
UPDATE "conversations"
SET "last_seq" = p."value" ->> 1, "last_active_at" = p."value" ->> 2, "stamp" = max("stamp", $2)
FROM json_each($1) p
WHERE "conversations"."id" = unhex(p."value" ->> 0)
"#;

const INSERT_SQLITE: &str = r#"
INSERT INTO "messages" ("id", "conversation_id", "seq", "sender_id", "client_message_id", "digest", "text", "created_at", "stamp", "kind", "has_details")
SELECT unhex(n."value" ->> 0), unhex(n."value" ->> 1), n."value" ->> 2, unhex(n."value" ->> 3), n."value" ->> 4,
       unhex(n."value" ->> 5), n."value" ->> 6, n."value" ->> 7, $2, n."value" ->> 8, n."value" ->> 9
FROM json_each($1) n
"#;
