//! What conversations are about, in single words; and how many rooms have which.

use std::collections::{BTreeSet, HashMap};

use backchannel_entities::{ConversationId, conversation_tag, room_tag};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, Set, Statement,
};

use crate::cx::Tx;
use crate::db::{asked, in_list};
use crate::{Cx, Result, access};

use super::{Conversation, ConversationKind};

/// The tags of conversations that the actor sees, in order; other conversations are left out.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(
    cx: &Cx,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, Vec<String>>> {
    let actor = cx.signed_in()?.user.id;
    let db = cx.read();
    let backend = db.get_database_backend();
    let (list, rows, id) = asked(backend, ids.iter().map(|id| id.0), "$1");
    let is_seen = access::is_seen(&id, "$2");
    let sql = format!(
        r#"
SELECT {id}, t."tag" FROM {rows} LEFT JOIN "conversation_tags" t ON t."conversation_id" = {id}
WHERE {is_seen}
ORDER BY 1, t."tag""#
    );
    let statement = Statement::from_sql_and_values(backend, sql, [list, actor.into()]);
    let mut tags: HashMap<ConversationId, Vec<String>> = HashMap::new();
    for row in db.query_all_raw(statement).await? {
        let id = row.try_get_by_index(0)?;
        let tag: Option<String> = row.try_get_by_index(1)?;
        tags.entry(id).or_default().extend(tag);
    }
    // A list of ids may repeat one.
    for tags in tags.values_mut() {
        tags.dedup();
    }
    Ok(tags)
}

/// The tags of a conversation that is locked.
pub(crate) async fn of(tx: &Tx, id: ConversationId) -> Result<BTreeSet<String>> {
    let rows = conversation_tag::Entity::find()
        .filter(conversation_tag::Column::ConversationId.eq(id))
        .all(&tx.db)
        .await?;
    Ok(rows.into_iter().map(|row| row.tag).collect())
}

/// Gives a conversation that is locked, or was made just now, these tags and no others. Answers
/// whether that makes a difference.
pub(crate) async fn set(tx: &Tx, conversation: &Conversation, tags: Vec<String>) -> Result<bool> {
    let before = of(tx, conversation.id).await?;
    let after: BTreeSet<String> = tags.into_iter().collect();
    let gone: Vec<&str> = before.difference(&after).map(String::as_str).collect();
    let new: Vec<&str> = after.difference(&before).map(String::as_str).collect();
    if !gone.is_empty() {
        conversation_tag::Entity::delete_many()
            .filter(conversation_tag::Column::ConversationId.eq(conversation.id))
            .filter(conversation_tag::Column::Tag.is_in(in_list(&gone)))
            .exec(&tx.db)
            .await?;
    }
    if !new.is_empty() {
        let rows = new.iter().map(|tag| conversation_tag::ActiveModel {
            tag: Set((*tag).to_owned()),
            conversation_id: Set(conversation.id),
        });
        conversation_tag::Entity::insert_many(rows)
            .exec_without_returning(&tx.db)
            .await?;
    }
    if conversation.kind == ConversationKind::Room {
        let changes = gone.iter().map(|tag| (*tag, -1));
        let changes = changes.chain(new.iter().map(|tag| (*tag, 1)));
        count(tx, changes.collect()).await?;
    }
    Ok(!gone.is_empty() || !new.is_empty())
}

/// Counts rooms. The rows are locked in the order of tags, whoever comes.
async fn count(tx: &Tx, mut changes: Vec<(&str, i64)>) -> Result<()> {
    changes.sort_unstable();
    for (tag, change) in changes {
        let known = Expr::col((room_tag::Entity, room_tag::Column::Rooms));
        let row = room_tag::ActiveModel {
            tag: Set(tag.to_owned()),
            rooms: Set(change),
        };
        room_tag::Entity::insert(row)
            .on_conflict(
                OnConflict::column(room_tag::Column::Tag)
                    .value(room_tag::Column::Rooms, known.add(change))
                    .to_owned(),
            )
            .exec_without_returning(&tx.db)
            .await?;
    }
    Ok(())
}
