//! What a list shows of each conversation beside its name: the newest message, and what the viewer
//! has missed.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::mention::EVERYONE;
use backchannel_entities::{ConversationId, member, message};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult, Statement,
};

use crate::db::{asked, in_list};
use crate::messages::{Message, hiding};
use crate::{Cx, Result, access};

/// The newest message of each conversation that the actor sees any of, lines of the system and what the
/// actor hides left out: of a deleted one, the tombstone.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn last_messages(
    cx: &Cx,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, Arc<Message>>> {
    let actor = cx.signed_in()?.user.id;
    let db = cx.read();
    let backend = db.get_database_backend();
    let (list, rows, id) = asked(backend, ids.iter().map(|id| id.0), "$1");
    let hidden = access::hidden_upto(&id, "$2");
    let is_shown = hiding::is_shown_sql("x", "$2");
    let sql = format!(
        r#"
SELECT m.* FROM {rows} CROSS JOIN "messages" m
WHERE m."conversation_id" = {id} AND m."seq" = (
    SELECT x."seq" FROM "messages" x
    WHERE x."conversation_id" = {id} AND x."kind" <> 'system' AND x."seq" > {hidden} AND {is_shown}
    ORDER BY x."seq" DESC LIMIT 1)"#
    );
    let statement = Statement::from_sql_and_values(backend, sql, [list, actor.into()]);
    let newest = message::Entity::find().from_raw_sql(statement).all(db);
    let newest = newest.await?.into_iter();
    Ok(newest
        .map(|message| (message.conversation_id, Arc::new(message)))
        .collect())
}

/// How many messages of others the actor has not read, for each conversation the actor is
/// in. Messages that are deleted, or hidden by the actor, do not count.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn unread_counts(
    cx: &Cx,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, i64>> {
    #[derive(FromQueryResult)]
    struct Count {
        conversation_id: ConversationId,
        unread: i64,
    }
    let actor = cx.signed_in()?.user.id;
    let is_message_of_member = Expr::col((message::Entity, message::Column::ConversationId))
        .equals((member::Entity, member::Column::ConversationId))
        .and(
            Expr::col((message::Entity, message::Column::Seq))
                .gt(Expr::col((member::Entity, member::Column::ReadSeq))),
        );
    let select = Query::select()
        .column((member::Entity, member::Column::ConversationId))
        .expr_as(
            Expr::col((message::Entity, message::Column::Id)).count(),
            "unread",
        )
        .from(member::Entity)
        .inner_join(message::Entity, is_message_of_member)
        .and_where(member::Column::UserId.eq(actor))
        .and_where(member::Column::ConversationId.is_in(in_list(ids)))
        .and_where(member::Column::LeftAt.is_null())
        .and_where(message::Column::DeletedAt.is_null())
        .and_where(message::Column::SenderId.ne(actor))
        .and_where(hiding::is_shown(
            actor,
            Expr::col((message::Entity, message::Column::Id)),
        ))
        .group_by_col((member::Entity, member::Column::ConversationId))
        .take();
    let backend = cx.handles().db.backend();
    let counts = Count::find_by_statement(backend.build(&select))
        .all(cx.read())
        .await?;
    Ok(counts
        .into_iter()
        .map(|count| (count.conversation_id, count.unread))
        .collect())
}

/// How many messages of others that the actor has not read mention the actor, or everyone; for each
/// conversation the actor is in. Messages that are deleted, or hidden by the actor, do not count.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn unread_mention_counts(
    cx: &Cx,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, i64>> {
    let actor = cx.signed_in()?.user.id;
    let db = cx.read();
    let backend = db.get_database_backend();
    let (list, rows, id) = asked(backend, ids.iter().map(|id| id.0), "$1");
    let is_shown = hiding::is_shown_sql("x", "$2");
    // Who is mentioned by name and with everyone is mentioned once.
    let sql = format!(
        r#"
SELECT m."conversation_id", count(DISTINCT x."seq") AS "mentions"
FROM {rows} CROSS JOIN "members" m CROSS JOIN "mentions" k CROSS JOIN "messages" x
WHERE m."conversation_id" = {id} AND m."user_id" = $2 AND m."left_at" IS NULL
  AND k."conversation_id" = m."conversation_id" AND k."user_id" IN ($2, $3) AND k."seq" > m."read_seq"
  AND x."conversation_id" = k."conversation_id" AND x."seq" = k."seq"
  AND x."deleted_at" IS NULL AND x."sender_id" <> $2 AND {is_shown}
GROUP BY m."conversation_id""#
    );
    let values = [list, actor.into(), EVERYONE.into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, sql, values));
    let mut counts = HashMap::new();
    for row in rows.await? {
        counts.insert(row.try_get_by_index(0)?, row.try_get_by_index(1)?);
    }
    Ok(counts)
}
