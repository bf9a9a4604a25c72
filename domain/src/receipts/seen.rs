//! Who has seen a message: members who have read up to it, and were there when it was sent.
//! The sender is not among them, nor who hides it; who hides it sees of nobody.

use std::collections::HashMap;

use backchannel_entities::{MessageId, UserId, member, message, user};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, Query};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, JoinType, QueryFilter, QuerySelect,
    RelationTrait as _, Select,
};

use crate::db::{in_list, page_of_each};
use crate::members::{JoinPosition, Member, page_of};
use crate::page::{Page, PageRequest};
use crate::{Cx, Result};

/// Those who have seen a message, as `viewer` may know; both tables are in the select.
fn seen(viewer: UserId) -> Select<member::Entity> {
    let message = |column: message::Column| Expr::col((message::Entity, column));
    let viewer_shows = Query::select()
        .expr(Expr::value(1))
        .from_as(user::Entity, "viewer")
        .and_where(Expr::col(("viewer", user::Column::Id)).eq(viewer))
        .and_where(Expr::col(("viewer", user::Column::ReadReceipts)).eq(true))
        .take();
    let read_seq = || Expr::col((member::Entity, member::Column::ReadSeq));
    // In a blocked conversation, what the other has read since is not shown.
    let held = Expr::col((member::Entity, member::Column::HeldReadSeq));
    let shown = Expr::from(Func::coalesce([held, read_seq()]));
    // In a room others see who is a member, and no more; and members nothing of what is hidden.
    let is_member = Query::select()
        .expr(Expr::value(1))
        .from_as(member::Entity, "own")
        .and_where(
            Expr::col(("own", member::Column::ConversationId))
                .equals((message::Entity, message::Column::ConversationId)),
        )
        .and_where(Expr::col(("own", member::Column::UserId)).eq(viewer))
        .and_where(Expr::col(("own", member::Column::LeftAt)).is_null())
        .and_where(
            Expr::col(("own", member::Column::VisibleAfter)).lt(message(message::Column::Seq)),
        )
        .take();
    let has_read = Condition::any()
        .add(shown.gte(message(message::Column::Seq)))
        .add(
            member::Column::UserId
                .eq(viewer)
                .and(read_seq().gte(message(message::Column::Seq))),
        );
    let is_not_the_senders = Condition::any()
        .add(message::Column::SenderId.is_null())
        .add(
            Expr::col((member::Entity, member::Column::UserId))
                .ne(message(message::Column::SenderId)),
        );
    let of_conversation = member::Entity::belongs_to(message::Entity)
        .from(member::Column::ConversationId)
        .to(message::Column::ConversationId);
    member::Entity::find()
        .join(JoinType::InnerJoin, of_conversation.into())
        .join(JoinType::InnerJoin, member::Relation::User.def())
        .filter(member::Column::LeftAt.is_null())
        .filter(has_read)
        .filter(
            Expr::col((member::Entity, member::Column::JoinedSeq))
                .lt(message(message::Column::Seq)),
        )
        .filter(is_not_the_senders)
        .filter(user::Column::ReadReceipts.eq(true))
        .filter(Expr::exists(viewer_shows))
        .filter(Expr::exists(is_member))
}

#[derive(FromQueryResult)]
struct Row {
    message_id: MessageId,
    #[sea_orm(nested)]
    member: Member,
}

/// A page of those who have seen each message, longest-standing first. The caller has found
/// the messages through the actor's own memberships.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn seen_by_pages(
    cx: &Cx,
    ids: &[MessageId],
    request: &PageRequest<JoinPosition>,
) -> Result<HashMap<MessageId, Page<Member>>> {
    let viewer = cx.signed_in()?.user.id;
    let page_of_one = |id: MessageId| {
        let select = seen(viewer)
            .column_as(message::Column::Id, "message_id")
            .filter(message::Column::Id.eq(id));
        page_of(select, request)
    };
    let rows: Vec<Row> = page_of_each(cx.read(), ids, page_of_one).await?;
    let pages = request.pages(rows, |row| row.message_id);
    Ok(pages
        .into_iter()
        .map(|(id, page)| (id, page.map(|row| row.member)))
        .collect())
}

/// How many have seen each message; those that nobody has are left out. The caller has found
/// the messages through the actor's own memberships.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn seen_by_counts(cx: &Cx, ids: &[MessageId]) -> Result<HashMap<MessageId, i64>> {
    let counts: Vec<(MessageId, i64)> = seen(cx.signed_in()?.user.id)
        .select_only()
        .column_as(message::Column::Id, "message_id")
        .column_as(member::Column::UserId.count(), "count")
        .filter(message::Column::Id.is_in(in_list(ids)))
        .group_by(message::Column::Id)
        .into_tuple()
        .all(cx.read())
        .await?;
    Ok(counts.into_iter().collect())
}
