//! What becomes of messages that are deleted: tombstones. By a handful of statements, however many they
//! are.

use std::collections::HashMap;

use backchannel_entities::message_detail::Reactions;
use backchannel_entities::{
    ConversationId, MessageId, Timestamp, UserId, mention, message, message_detail, message_edit,
    poll, poll_vote, reaction, star,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait, QueryFilter as _, QuerySelect as _};
use serde_json::json;

use crate::Result;
use crate::cx::Tx;
use crate::db::in_list;

use super::details::{execute, key};
use super::{Content, Message, MessageKind};

/// Erases messages of a conversation, which is locked, and what they had besides; all but what others
/// have said to them.
pub(crate) async fn erase(
    tx: &Tx,
    id: ConversationId,
    messages: &[Message],
    at: Timestamp,
) -> Result<()> {
    let ids = of(messages, |_| true);
    star::Entity::delete_many()
        .filter(star::Column::MessageId.is_in(in_list(&ids)))
        .exec(&tx.db)
        .await?;
    let edited = of(messages, |message| message.edited_at.is_some());
    if !edited.is_empty() {
        message_edit::Entity::delete_many()
            .filter(message_edit::Column::MessageId.is_in(in_list(&edited)))
            .exec(&tx.db)
            .await?;
    }
    let polls = of(messages, |message| message.kind == MessageKind::Poll);
    if !polls.is_empty() {
        erase_polls(tx, &polls).await?;
    }
    let mut roots = HashMap::new();
    let detailed = messages.iter().filter(|message| message.has_details);
    let detailed: Vec<(MessageId, i64)> = detailed.map(|found| (found.id, found.seq)).collect();
    if !detailed.is_empty() {
        roots = erase_details(tx, id, &detailed).await?;
    }
    message::Entity::update_many()
        .col_expr(message::Column::Text, Expr::value(None::<String>))
        .col_expr(message::Column::DeletedAt, Expr::value(at))
        .filter(message::Column::Id.is_in(in_list(&ids)))
        .exec(&tx.db)
        .await?;
    // Only now are they no replies any more.
    take_replies(tx, roots).await
}

fn of(messages: &[Message], is: impl Fn(&Message) -> bool) -> Vec<MessageId> {
    let found = messages.iter().filter(|message| is(message));
    found.map(|message| message.id).collect()
}

async fn erase_polls(tx: &Tx, ids: &[MessageId]) -> Result<()> {
    poll_vote::Entity::delete_many()
        .filter(poll_vote::Column::MessageId.is_in(in_list(ids)))
        .exec(&tx.db)
        .await?;
    poll::Entity::delete_many()
        .filter(poll::Column::MessageId.is_in(in_list(ids)))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Answers how many of them were in which thread.
async fn erase_details(
    tx: &Tx,
    id: ConversationId,
    messages: &[(MessageId, i64)],
) -> Result<HashMap<MessageId, i64>> {
    use message_detail::Column;
    let (ids, seqs): (Vec<MessageId>, Vec<i64>) = messages.iter().copied().unzip();
    let ids = in_list(&ids);
    mention::Entity::delete_many()
        .filter(mention::Column::ConversationId.eq(id))
        .filter(mention::Column::Seq.is_in(in_list(&seqs)))
        .exec(&tx.db)
        .await?;
    reaction::Entity::delete_many()
        .filter(reaction::Column::MessageId.is_in(ids.clone()))
        .exec(&tx.db)
        .await?;
    message_detail::Entity::update_many()
        .col_expr(Column::Content, Expr::value(Content::default()))
        .col_expr(Column::Reactions, Expr::value(Reactions::default()))
        .col_expr(Column::PinnedAt, Expr::value(None::<Timestamp>))
        .col_expr(Column::PinnedBy, Expr::value(None::<UserId>))
        .filter(Column::MessageId.is_in(ids.clone()))
        .exec(&tx.db)
        .await?;
    let in_threads: Vec<MessageId> = message_detail::Entity::find()
        .select_only()
        .column(Column::RootId)
        .filter(Column::MessageId.is_in(ids))
        .filter(Column::RootId.is_not_null())
        .into_tuple()
        .all(&tx.db)
        .await?;
    let mut roots = HashMap::new();
    for root_id in in_threads {
        *roots.entry(root_id).or_default() += 1;
    }
    Ok(roots)
}

/// Takes replies that were deleted from the counts of their threads.
async fn take_replies(tx: &Tx, roots: HashMap<MessageId, i64>) -> Result<()> {
    if roots.is_empty() {
        return Ok(());
    }
    let roots = roots.into_iter();
    let roots = roots.map(|(root_id, gone)| json!([key(root_id.0), gone]));
    execute(tx, TAKE_POSTGRES, TAKE_SQLITE, roots.collect()).await
}

/// Each thread is looked up by itself, from its end.
const TAKE_POSTGRES: &str = r#"
UPDATE "message_details" r
SET "reply_count" = r."reply_count" - n."gone", "last_reply_id" = l."id", "last_reply_at" = l."created_at"
FROM (
    SELECT (d."value" ->> 0)::uuid AS "root_id", (d."value" ->> 1)::bigint AS "gone"
    FROM jsonb_array_elements($1) d("value")
) n
LEFT JOIN LATERAL (
    SELECT m."id", m."created_at" FROM "message_details" d JOIN "messages" m ON m."id" = d."message_id"
    WHERE d."root_id" = n."root_id" AND m."deleted_at" IS NULL
    ORDER BY d."seq" DESC LIMIT 1
) l ON true
WHERE r."message_id" = n."root_id"
"#;

/// The join is CROSS for SQLite, which then keeps its order.
const TAKE_SQLITE: &str = r#"
UPDATE "message_details"
SET "reply_count" = "reply_count" - (n."value" ->> 1), ("last_reply_id", "last_reply_at") = (
    SELECT m."id", m."created_at" FROM "message_details" d CROSS JOIN "messages" m
    WHERE d."root_id" = "message_details"."message_id" AND m."id" = d."message_id" AND m."deleted_at" IS NULL
    ORDER BY d."seq" DESC LIMIT 1
)
FROM json_each($1) n
WHERE "message_details"."message_id" = unhex(n."value" ->> 0)
"#;
