//! Rooms, which anyone who is signed in finds: those with most members first. The order does not
//! depend on what is sent, because no send is to change an index for it.

use backchannel_entities::{ConversationId, UserId, room_tag};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbErr, EntityTrait as _, FromQueryResult,
    QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect as _, Statement, Value,
};

use crate::db::in_list;
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::{Cx, Result, access, directory, limits};

use super::Conversation;

pub use backchannel_entities::room_tag::Model as Tagged;

/// Which rooms, checked: all, where nothing is said.
#[derive(Clone, Debug, Default)]
pub struct RoomQuery {
    words: Vec<String>,
    tag: Option<String>,
}

impl RoomQuery {
    /// Checks it.
    ///
    /// # Errors
    /// [`crate::Error::BadInput`] for a query that is too short, too long or of too many words, and
    /// for what is no tag.
    pub fn parse(query: Option<&str>, tag: Option<&str>) -> Result<Self> {
        let words = match query {
            Some(query) => directory::words_of(limits::query("query", query)?)?,
            None => Vec::new(),
        };
        let tag = match tag {
            Some(tag) => limits::tags("tag", vec![tag.to_owned()])?.pop(),
            None => None,
        };
        Ok(Self { words, tag })
    }
}

/// Where a room stands among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomPosition {
    /// How many members it has.
    pub member_count: i64,
    /// Tells apart those with as many.
    pub id: ConversationId,
}

/// A room, and where it stands.
struct Found {
    room: Conversation,
    place: RoomPosition,
}

impl FromQueryResult for Found {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        let room = Conversation::from_query_result(row, prefix)?;
        Ok(Self {
            place: RoomPosition {
                member_count: row.try_get(prefix, "member_count")?,
                id: room.id,
            },
            room,
        })
    }
}

/// Rooms that are neither archived nor deleted, and do not ban the actor, those with most members first.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in; [`crate::Error::RateLimited`] when the
/// actor has searched too often.
pub async fn list_rooms(
    cx: &Cx,
    query: &RoomQuery,
    request: &PageRequest<RoomPosition>,
) -> Result<Page<(RoomPosition, Conversation)>> {
    let actor = cx.signed_in()?.user.id;
    if !query.words.is_empty() {
        rates::count(cx, Action::Search)?;
    }
    let db = cx.read();
    let (sql, values) = sql(actor, query, request);
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let rows = Found::find_by_statement(statement).all(db).await?;
    let page = request.page(rows);
    Ok(page.map(|Found { room, place }| (place, room)))
}

/// What is named narrows first: the longest word, else the tag. Everything else is looked up by
/// itself (that is what OFFSET 0 says).
fn sql(
    actor: UserId,
    query: &RoomQuery,
    request: &PageRequest<RoomPosition>,
) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = vec![request.rows().into(), actor.into()];
    let is_banned = access::is_banned(r#"c."id""#, "$2");
    let mut value = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let (mut from, mut conditions) = (String::new(), String::new());
    if let Some((first, others)) = query.words.split_first() {
        let (word, end) = (
            value(first.as_str().into()),
            value(directory::end_of(first).into()),
        );
        from += r#""conversation_terms" t CROSS JOIN "#;
        conditions += &format!(
            r#"
AND c."id" = t."conversation_id" AND t."term" >= {word} AND t."term" < {end}
AND NOT EXISTS (SELECT 1 FROM "conversation_terms" f WHERE f."conversation_id" = t."conversation_id"
    AND f."term" >= {word} AND f."term" < t."term" LIMIT 1 OFFSET 0)"#
        );
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        for other in in_list(&others) {
            let (word, end) = (value(other.into()), value(directory::end_of(other).into()));
            conditions += &format!(
                r#"
AND EXISTS (SELECT 1 FROM "conversation_terms" o WHERE o."conversation_id" = c."id"
    AND o."term" >= {word} AND o."term" < {end} LIMIT 1 OFFSET 0)"#
            );
        }
    }
    if let Some(tag) = &query.tag {
        let tag = value(tag.as_str().into());
        if query.words.is_empty() {
            from += r#""conversation_tags" k CROSS JOIN "#;
            conditions += &format!(r#" AND c."id" = k."conversation_id" AND k."tag" = {tag}"#);
        } else {
            conditions += &format!(
                r#"
AND EXISTS (SELECT 1 FROM "conversation_tags" k WHERE k."conversation_id" = c."id"
    AND k."tag" = {tag} LIMIT 1 OFFSET 0)"#
            );
        }
    }
    for (side, place) in [("<", request.after), (">", request.before)] {
        if let Some(RoomPosition { member_count, id }) = place {
            let (count, id) = (value(member_count.into()), value(id.into()));
            conditions += &format!(r#" AND (c."member_count", c."id") {side} ({count}, {id})"#);
        }
    }
    let order = match request.end {
        End::Start => "DESC",
        End::Finish => "ASC",
    };
    let sql = format!(
        r#"
SELECT c.* FROM {from}"conversations" c
WHERE c."kind" = 'room' AND c."deleted_at" IS NULL AND c."archived_at" IS NULL AND NOT {is_banned}{conditions}
ORDER BY c."member_count" {order}, c."id" {order} LIMIT $1"#
    );
    (sql, values)
}

/// The tags of most rooms, so many at most.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn popular_tags(cx: &Cx, most: u32) -> Result<Vec<Tagged>> {
    cx.signed_in()?;
    let tags = room_tag::Entity::find()
        .filter(room_tag::Column::Rooms.gt(0))
        .order_by_desc(room_tag::Column::Rooms)
        .order_by_desc(room_tag::Column::Tag)
        .limit(u64::from(most));
    Ok(tags.all(cx.read()).await?)
}
