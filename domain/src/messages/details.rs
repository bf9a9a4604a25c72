//! What messages are besides their text. Few have any of it: a plain message is its row alone.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::message_detail::Reactions;
use backchannel_entities::{MessageId, UserId, mention, message, message_detail};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, Set,
    Statement,
};
use serde_json::json;
use uuid::Uuid;

use crate::cx::Tx;
use crate::db::asked;
use crate::{Cx, Error, Result, access, polls};

use super::content::{self, TextEntity};
use super::{Content, Message, MessageDetail, NewMessage};

/// The details of messages that the actor sees, by the messages' ids; others, and those that have
/// none, are left out.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(
    cx: &Cx,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, Arc<MessageDetail>>> {
    let actor = cx.signed_in()?.user.id;
    let db = cx.read();
    let backend = db.get_database_backend();
    let (list, rows, id) = asked(backend, ids.iter().map(|id| id.0), "$1");
    let hidden = access::hidden_upto(r#"m."conversation_id""#, "$2");
    let sql = format!(
        r#"
SELECT m.* FROM {rows} CROSS JOIN "message_details" m
WHERE m."message_id" = {id} AND m."seq" > {hidden}"#
    );
    let statement = Statement::from_sql_and_values(backend, sql, [list, actor.into()]);
    let found = message_detail::Entity::find().from_raw_sql(statement);
    let by_id = found.all(db).await?.into_iter();
    Ok(by_id
        .map(|found| (found.message_id, Arc::new(found)))
        .collect())
}

/// What a message holds besides its text, if anything, within a transaction.
pub(crate) async fn find(tx: &Tx, message: &Message) -> Result<Option<Content>> {
    if !message.has_details {
        return Ok(None);
    }
    let found = message_detail::Entity::find_by_id(message.id);
    Ok(found.one(&tx.db).await?.map(|found| found.content))
}

/// The details of a message, to be changed under its conversation's lock; made where there are none.
pub(crate) async fn of(tx: &Tx, message: &Message) -> Result<MessageDetail> {
    let found = message_detail::Entity::find_by_id(message.id);
    if let Some(found) = found.one(&tx.db).await? {
        return Ok(found);
    }
    let made = message_detail::ActiveModel {
        message_id: Set(message.id),
        conversation_id: Set(message.conversation_id),
        seq: Set(message.seq),
        reply_to_id: Set(None),
        root_id: Set(None),
        content: Set(Content::default()),
        reply_count: Set(0),
        last_reply_id: Set(None),
        last_reply_at: Set(None),
        reactions: Set(Reactions::default()),
        pinned_at: Set(None),
        pinned_by: Set(None),
    };
    let made = made.insert(&tx.db).await?;
    message::Entity::update_many()
        .col_expr(message::Column::HasDetails, Expr::value(true))
        .filter(message::Column::Id.eq(message.id))
        .exec(&tx.db)
        .await?;
    Ok(made)
}

/// Keeps what messages just inserted have besides their text, under their conversations' locks.
pub(super) async fn insert(tx: &Tx, sent: &[(Arc<Message>, &NewMessage)]) -> Result<()> {
    if sent.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(sent.len());
    let mut mentions = Vec::new();
    for (message, new) in sent {
        let Some(more) = &new.more else { continue };
        let (id, place) = (key(message.id.0), key(message.conversation_id.0));
        let reply_to = more.reply_to_id.map(|id| key(id.0));
        let root = more.root_id.map(|id| key(id.0));
        let content = serde_json::to_value(&more.content).map_err(Error::internal)?;
        rows.push(json!([id, place, message.seq, reply_to, root, content]));
        for user_id in mentioned_by(message, &more.content) {
            mentions.push(json!([place, key(user_id.0), message.seq]));
        }
        if let Some(ballot) = &more.ballot {
            polls::insert(tx, message.id, ballot).await?;
        }
        if let Some(root_id) = more.root_id {
            add_reply(tx, root_id, message).await?;
        }
    }
    execute(tx, INSERT_POSTGRES, INSERT_SQLITE, rows).await?;
    insert_mentions(tx, mentions).await
}

/// An id in JSON: Postgres reads it as it is, SQLite as the hexadecimal digits of its bytes.
pub(super) fn key(id: Uuid) -> String {
    id.simple().to_string()
}

/// Whom a message mentions besides its sender.
fn mentioned_by(message: &Message, content: &Content) -> Vec<UserId> {
    let mut mentioned = content::mentioned(&content.entities);
    mentioned.retain(|id| Some(*id) != message.sender_id);
    mentioned
}

/// Runs a statement that reads `rows` as JSON.
pub(super) async fn execute(
    tx: &Tx,
    postgres: &str,
    sqlite: &str,
    rows: Vec<serde_json::Value>,
) -> Result<()> {
    let backend = tx.db.get_database_backend();
    let rows = serde_json::Value::Array(rows);
    let statement = if backend == DbBackend::Postgres {
        Statement::from_sql_and_values(backend, postgres, [rows.into()])
    } else {
        Statement::from_sql_and_values(backend, sqlite, [rows.to_string().into()])
    };
    tx.db.execute_raw(statement).await?;
    Ok(())
}

/// Of those mentioned, members are told; others are only named.
async fn insert_mentions(tx: &Tx, mentions: Vec<serde_json::Value>) -> Result<()> {
    if mentions.is_empty() {
        return Ok(());
    }
    execute(tx, MENTION_POSTGRES, MENTION_SQLITE, mentions).await
}

/// Counts a reply to the thread of `root_id`.
async fn add_reply(tx: &Tx, root_id: MessageId, reply: &Message) -> Result<()> {
    let values = [root_id.into(), reply.id.into(), reply.created_at.into()];
    let backend = tx.db.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, ADD_REPLY, values);
    tx.db.execute_raw(statement).await?;
    message::Entity::update_many()
        .col_expr(message::Column::HasDetails, Expr::value(true))
        .filter(message::Column::Id.eq(root_id))
        .filter(message::Column::HasDetails.eq(false))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Gives a message other entities, and mentions accordingly.
pub(super) async fn set_entities(
    tx: &Tx,
    message: &Message,
    entities: Vec<TextEntity>,
) -> Result<()> {
    let found = of(tx, message).await?;
    let content = Content {
        entities,
        ..found.content
    };
    let mentions = mentioned_by(message, &content)
        .into_iter()
        .map(|user_id| json!([key(message.conversation_id.0), key(user_id.0), message.seq]));
    let mentions = mentions.collect();
    message_detail::Entity::update_many()
        .col_expr(message_detail::Column::Content, Expr::value(content))
        .filter(message_detail::Column::MessageId.eq(message.id))
        .exec(&tx.db)
        .await?;
    forget_mentions(tx, message).await?;
    insert_mentions(tx, mentions).await
}

async fn forget_mentions(tx: &Tx, message: &Message) -> Result<()> {
    mention::Entity::delete_many()
        .filter(mention::Column::ConversationId.eq(message.conversation_id))
        .filter(mention::Column::Seq.eq(message.seq))
        .exec(&tx.db)
        .await?;
    Ok(())
}

const INSERT_POSTGRES: &str = r#"
INSERT INTO "message_details" ("message_id", "conversation_id", "seq", "reply_to_id", "root_id", "content")
SELECT (d."value" ->> 0)::uuid, (d."value" ->> 1)::uuid, (d."value" ->> 2)::bigint, (d."value" ->> 3)::uuid,
       (d."value" ->> 4)::uuid, d."value" -> 5
FROM jsonb_array_elements($1) d("value")
"#;

const INSERT_SQLITE: &str = r#"
INSERT INTO "message_details" ("message_id", "conversation_id", "seq", "reply_to_id", "root_id", "content")
SELECT unhex(d."value" ->> 0), unhex(d."value" ->> 1), d."value" ->> 2, unhex(d."value" ->> 3),
       unhex(d."value" ->> 4), d."value" -> 5
FROM json_each($1) d
"#;

const MENTION_POSTGRES: &str = r#"
INSERT INTO "mentions" ("conversation_id", "user_id", "seq")
SELECT a."conversation_id", a."user_id", a."seq"
FROM (
    SELECT (d."value" ->> 0)::uuid AS "conversation_id", (d."value" ->> 1)::uuid AS "user_id", (d."value" ->> 2)::bigint AS "seq"
    FROM jsonb_array_elements($1) d("value")
) a
WHERE a."user_id" = '00000000-0000-0000-0000-000000000000' OR EXISTS (
    SELECT FROM "members" m
    WHERE m."conversation_id" = a."conversation_id" AND m."user_id" = a."user_id" AND m."left_at" IS NULL
)
"#;

const MENTION_SQLITE: &str = r#"
INSERT INTO "mentions" ("conversation_id", "user_id", "seq")
SELECT a."conversation_id", a."user_id", a."seq"
FROM (
    SELECT unhex(d."value" ->> 0) AS "conversation_id", unhex(d."value" ->> 1) AS "user_id", d."value" ->> 2 AS "seq"
    FROM json_each($1) d
) a
WHERE a."user_id" = zeroblob(16) OR EXISTS (
    SELECT 1 FROM "members" m
    WHERE m."conversation_id" = a."conversation_id" AND m."user_id" = a."user_id" AND m."left_at" IS NULL
)
"#;

const ADD_REPLY: &str = r#"
INSERT INTO "message_details" ("message_id", "conversation_id", "seq", "reply_count", "last_reply_id", "last_reply_at")
SELECT m."id", m."conversation_id", m."seq", 1, $2, $3 FROM "messages" m WHERE m."id" = $1
ON CONFLICT ("message_id") DO UPDATE
SET "reply_count" = "message_details"."reply_count" + 1, "last_reply_id" = excluded."last_reply_id",
    "last_reply_at" = excluded."last_reply_at"
"#;
