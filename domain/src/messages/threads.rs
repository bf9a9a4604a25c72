//! Threads: the replies to a message, and how far they were read. A reply is a message of the
//! conversation like any other; what stands here is read beside that.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{
    MessageId, Timestamp, UserId, conversation, member, message, message_detail, thread_read, user,
};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait as _, DbBackend, EntityTrait, FromQueryResult,
    JoinType, QueryFilter, QueryOrder, QuerySelect, Set, Statement,
};

use crate::access::{self, Membership};
use crate::bots::Scope;
use crate::db::{asked, page_of_each};
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result};

use super::{Message, details, find_many, hiding};

pub use backchannel_entities::thread_read::Model as ThreadRead;

#[derive(FromQueryResult)]
struct Reply {
    root_id: MessageId,
    #[sea_orm(nested)]
    message: Message,
}

/// A page of the replies in the thread of each message, oldest first; positions are seqs. Those
/// that the actor hides are left out. The caller has found the messages through the actor's own
/// memberships.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    roots: &[MessageId],
    request: &PageRequest<i64>,
) -> Result<HashMap<MessageId, Page<Arc<Message>>>> {
    let viewer = cx.signed_in()?.user.id;
    let order = match request.end {
        End::Start => Order::Asc,
        End::Finish => Order::Desc,
    };
    let page_of_one = |root_id: MessageId| {
        use message_detail::Column::{MessageId, RootId, Seq};
        let id = Expr::col((message::Entity, message::Column::Id));
        let of_detail = message::Entity::belongs_to(message_detail::Entity)
            .from(message::Column::Id)
            .to(MessageId);
        let mut select = message::Entity::find()
            .column_as(RootId, "root_id")
            .join(JoinType::InnerJoin, of_detail.into())
            .filter(RootId.eq(root_id))
            .filter(access::sees_message(viewer))
            .filter(hiding::is_shown(viewer, id));
        if let Some(after) = request.after {
            select = select.filter(Seq.gt(after));
        }
        if let Some(before) = request.before {
            select = select.filter(Seq.lt(before));
        }
        select.order_by(Seq, order.clone()).limit(request.rows())
    };
    let rows: Vec<Reply> = page_of_each(cx.read(), roots, page_of_one).await?;
    let pages = request.pages(rows, |reply| reply.root_id);
    Ok(pages
        .into_iter()
        .map(|(root_id, page)| (root_id, page.map(|reply| Arc::new(reply.message))))
        .collect())
}

/// How a thread stands to the actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadStanding {
    /// How far the actor has read it; 0 for one who has never said so.
    pub read_seq: i64,
    /// Replies of others after that, and after the actor joined. Those that are deleted, or hidden by the
    /// actor, do not count.
    pub unread: i64,
}

/// How the threads of messages stand to the actor. The caller has found the messages through the actor's
/// own memberships.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn standings(cx: &Cx, roots: &[MessageId]) -> Result<HashMap<MessageId, ThreadStanding>> {
    #[derive(FromQueryResult)]
    struct Row {
        root_id: MessageId,
        read_seq: i64,
        unread: i64,
    }
    let actor = cx.signed_in()?.user.id;
    let db = cx.read();
    let backend = db.get_database_backend();
    let (list, rows, id) = asked(backend, roots.iter().map(|id| id.0), "$1");
    let is_postgres = backend == DbBackend::Postgres;
    let greatest = if is_postgres { "greatest" } else { "max" };
    let is_shown = hiding::is_shown_sql("x", "$2");
    // The joins are CROSS for SQLite, which then keeps their order. What is unread is counted by itself,
    // from where the actor has come to.
    let sql = format!(
        r#"
SELECT r."id" AS "root_id", coalesce(t."read_seq", 0) AS "read_seq", (
    SELECT count(*) FROM "message_details" d CROSS JOIN "messages" x
    WHERE d."root_id" = r."id" AND d."seq" > {greatest}(coalesce(t."read_seq", 0), m."joined_seq")
      AND x."id" = d."message_id" AND x."deleted_at" IS NULL AND x."sender_id" <> $2 AND {is_shown}
) AS "unread"
FROM {rows} CROSS JOIN "messages" r CROSS JOIN "members" m
LEFT JOIN "thread_reads" t ON t."root_id" = r."id" AND t."user_id" = m."user_id"
WHERE r."id" = {id} AND m."conversation_id" = r."conversation_id" AND m."user_id" = $2"#
    );
    let statement = Statement::from_sql_and_values(backend, sql, [list, actor.into()]);
    let rows = Row::find_by_statement(statement).all(db).await?;
    let standing = |row: Row| {
        let Row {
            root_id,
            read_seq,
            unread,
        } = row;
        (root_id, ThreadStanding { read_seq, unread })
    };
    Ok(rows.into_iter().map(standing).collect())
}

/// Notes that the actor has read a message's thread up to `seq`. It only ever moves forward: a smaller seq
/// changes nothing, and costs no more than to see that. Of a reply it is the thread that the reply is in;
/// a message without a thread has none to mark. Answers the message whose thread it is.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::BadInput`] for a seq that
/// is negative or past the conversation's last; [`Error::RateLimited`] when the actor has marked too often.
pub async fn mark_read(cx: &Cx, id: MessageId, seq: i64) -> Result<Arc<Message>> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Signal)?;
    let known = details::find_many(cx, &[id]).await?;
    let known = known.get(&id);
    let root_id = known.and_then(|known| known.root_id).unwrap_or(id);
    let found = find_many(cx, &[root_id]).await?;
    let root = found.get(&root_id).ok_or(Error::NotFound("message"))?;
    // Strangers to a room see it, and have nothing to mark.
    let membership = match Membership::prove(cx, root.conversation_id).await {
        Err(Error::NotFound(_)) => return Err(Error::NotFound("message")),
        membership => membership?,
    };
    let last_seq = membership.conversation.last_seq;
    if !(0..=last_seq).contains(&seq) {
        let message = format!("must be 0 to {last_seq}, the conversation's `lastSeq`");
        return Err(Error::bad_input("seq", message));
    }
    cx.may(Scope::Messages)?;
    let is_in_thread = known.is_some_and(|known| known.root_id.is_some() || known.reply_count > 0);
    if !is_in_thread {
        return Ok(Arc::clone(root));
    }
    let before = thread_read::Entity::find_by_id((root_id, actor));
    let before = before.one(cx.read()).await?;
    if before.is_some_and(|before| before.read_seq >= seq) {
        return Ok(Arc::clone(root));
    }
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let row = thread_read::ActiveModel {
                root_id: Set(root_id),
                user_id: Set(actor),
                read_seq: Set(seq),
                marked_at: Set(tx.now()),
            };
            thread_read::Entity::insert(row)
                .on_conflict(unless_further())
                .exec_without_returning(&tx.db)
                .await?;
            Ok(())
        })
    })
    .await?;
    Ok(Arc::clone(root))
}

fn unless_further() -> OnConflict {
    use thread_read::Column::{MarkedAt, ReadSeq, RootId, UserId};
    let known = Expr::col((thread_read::Entity, ReadSeq));
    let further = known.lt(Expr::col(("excluded", ReadSeq)));
    OnConflict::columns([RootId, UserId])
        .update_columns([ReadSeq, MarkedAt])
        .action_and_where(further)
        .to_owned()
}

/// Where a reader stands in a thread's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReaderPosition {
    /// When the reader last moved.
    pub marked_at: Timestamp,
    /// Tells apart those who did in the same millisecond.
    pub user_id: UserId,
}

impl ReaderPosition {
    /// The position of `read`.
    #[must_use]
    pub fn of(read: &ThreadRead) -> Self {
        Self {
            marked_at: read.marked_at,
            user_id: read.user_id,
        }
    }
}

/// A page of how far members have read the thread of each message, who moved first first. Who hides how
/// far they have read is not among them, and sees of nobody; in a blocked conversation nobody does.
/// The caller has found the messages through the actor's own memberships.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn reader_pages(
    cx: &Cx,
    roots: &[MessageId],
    request: &PageRequest<ReaderPosition>,
) -> Result<HashMap<MessageId, Page<ThreadRead>>> {
    let viewer = cx.signed_in()?.user.id;
    let page_of_one = |root_id| page_of_readers(root_id, viewer, request);
    let rows: Vec<ThreadRead> = page_of_each(cx.read(), roots, page_of_one).await?;
    Ok(request.pages(rows, |read| read.root_id))
}

fn page_of_readers(
    root_id: MessageId,
    viewer: UserId,
    request: &PageRequest<ReaderPosition>,
) -> sea_orm::Select<thread_read::Entity> {
    use thread_read::Column::{MarkedAt, RootId, UserId};
    let order = match request.end {
        End::Start => Order::Asc,
        End::Finish => Order::Desc,
    };
    let viewer_shows = Query::select()
        .expr(Expr::value(1))
        .from_as(user::Entity, "viewer")
        .and_where(Expr::col(("viewer", user::Column::Id)).eq(viewer))
        .and_where(Expr::col(("viewer", user::Column::ReadReceipts)).eq(true))
        .take();
    let mut select = thread_read::Entity::find()
        .join(
            JoinType::InnerJoin,
            thread_read::Entity::belongs_to(message::Entity)
                .from(RootId)
                .to(message::Column::Id)
                .into(),
        )
        .join(
            JoinType::InnerJoin,
            message::Entity::belongs_to(conversation::Entity)
                .from(message::Column::ConversationId)
                .to(conversation::Column::Id)
                .into(),
        )
        .join(
            JoinType::InnerJoin,
            thread_read::Entity::belongs_to(user::Entity)
                .from(UserId)
                .to(user::Column::Id)
                .into(),
        )
        .filter(RootId.eq(root_id))
        .filter(conversation::Column::IsBlocked.eq(false))
        .filter(user::Column::ReadReceipts.eq(true))
        .filter(Expr::exists(viewer_shows))
        .filter(Expr::exists(is_member(Expr::col((
            thread_read::Entity,
            UserId,
        )))))
        .filter(Expr::exists(is_member(Expr::value(viewer))));
    if let Some(after) = request.after {
        let tie = MarkedAt.eq(after.marked_at).and(UserId.gt(after.user_id));
        select = select.filter(Condition::any().add(MarkedAt.gt(after.marked_at)).add(tie));
    }
    if let Some(before) = request.before {
        let tie = MarkedAt.eq(before.marked_at).and(UserId.lt(before.user_id));
        select = select.filter(Condition::any().add(MarkedAt.lt(before.marked_at)).add(tie));
    }
    select
        .order_by(MarkedAt, order.clone())
        .order_by(UserId, order)
        .limit(request.rows())
}

/// That a user is a member.
fn is_member(user_id: SimpleExpr) -> sea_orm::sea_query::SelectStatement {
    Query::select()
        .expr(Expr::value(1))
        .from(member::Entity)
        .and_where(
            Expr::col((member::Entity, member::Column::ConversationId))
                .equals((message::Entity, message::Column::ConversationId)),
        )
        .and_where(Expr::col((member::Entity, member::Column::UserId)).eq(user_id))
        .and_where(member::Column::LeftAt.is_null())
        .take()
}
