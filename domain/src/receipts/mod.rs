//! How far a member has come: delivered and read, as high-water marks.
//!
//! 1. Marks only rise. Read implies delivered; what a member has is the most that one of the
//!    member's devices has.
//! 2. Who hides how far they have read ([`hiding`]) shows others that nothing was, and sees
//!    nothing of others either.
//! 3. In a blocked conversation neither sees what the other has read since ([`crate::blocks`]).
//! 4. Who has [`seen`] a message follows from the marks; nothing is kept for each message.
//! 5. Streams ([`mod@advances`]) tell of marks as they move, many of them together.

mod advances;
mod hiding;
mod seen;

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{
    ConversationId, SessionId, UserId, conversation, conversation_state, delivery, member, user,
};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, LockType, OnConflict, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait as _, EntityTrait, FromQueryResult, JoinType,
    QueryFilter, QuerySelect, QueryTrait as _, RelationTrait as _, Set,
};

use crate::access::Membership;
use crate::bots::Scope;
use crate::bus::Advance;
use crate::conversations::states;
use crate::cx::Tx;
use crate::db::in_list;
use crate::members::Member;
use crate::{Cx, Error, Result};

pub use self::advances::{Receipt, advances};
pub use self::hiding::{ReadReceipts, Shown, set_read_receipts, shown, who_show_reads};
pub use self::seen::{seen_by_counts, seen_by_pages};

/// What has come how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It reached one of the member's devices.
    Delivered,
    /// The member read it, and so it was delivered too.
    Read,
}

/// Moves the actor's marks up to `seq`, the delivered one of this device among them. They only
/// ever move forward: a smaller seq changes nothing, and costs no more than to see that.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor;
/// [`Error::BadInput`] for a seq that is negative or past the conversation's last.
pub async fn mark(cx: &Cx, id: ConversationId, seq: i64, mark: Mark) -> Result<Arc<Member>> {
    let signed_in = cx.signed_in()?;
    let (user_id, session_id) = (signed_in.user.id, signed_in.session_id);
    let standing = Standing::read(cx, id).await?;
    let last_seq = standing.last_seq;
    if !(0..=last_seq).contains(&seq) {
        let message = format!("must be 0 to {last_seq}, the conversation's `lastSeq`");
        return Err(Error::bad_input("seq", message));
    }
    let (is_news, is_news_here) = (standing.is_short_of(seq, mark), standing.here() < seq);
    let clears = mark == Mark::Read && standing.is_marked_unread == Some(true);
    if !is_news && !is_news_here && !clears {
        return Ok(Arc::new(standing.member));
    }
    let known = standing.member.clone();
    let moved = cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let moved = if is_news {
                raise(tx, &standing, seq, mark).await?
            } else {
                None
            };
            if is_news_here {
                deliver(tx, session_id, id, seq).await?;
            }
            if clears {
                states::read(tx, user_id, id).await?;
            }
            Ok(moved)
        })
    });
    match moved.await? {
        Some(moved) => Ok(Arc::new(moved)),
        None if !is_news => Ok(Arc::new(known)),
        // Another device was faster, or the member is none any more.
        None => Ok(Arc::new(Membership::prove(cx, id).await?.member)),
    }
}

/// Where the actor stands in a conversation: all that marks need, in one statement.
#[derive(FromQueryResult)]
struct Standing {
    #[sea_orm(nested)]
    member: Member,
    last_seq: i64,
    read_receipts: bool,
    /// What the device has said to have.
    said_here: Option<i64>,
    is_marked_unread: Option<bool>,
}

impl Standing {
    async fn read(cx: &Cx, id: ConversationId) -> Result<Self> {
        let signed_in = cx.signed_in()?;
        let said_here = delivery::Entity::find_by_id((signed_in.session_id, id))
            .select_only()
            .column(delivery::Column::DeliveredSeq)
            .into_query();
        let is_marked_unread = conversation_state::Entity::find_by_id((signed_in.user.id, id))
            .select_only()
            .column(conversation_state::Column::IsMarkedUnread)
            .into_query();
        member::Entity::find_by_id((id, signed_in.user.id))
            .filter(member::Column::LeftAt.is_null())
            .column(conversation::Column::LastSeq)
            .column(user::Column::ReadReceipts)
            .expr_as(
                Expr::SubQuery(None, Box::new(said_here.into())),
                "said_here",
            )
            .expr_as(
                Expr::SubQuery(None, Box::new(is_marked_unread.into())),
                "is_marked_unread",
            )
            .join(JoinType::InnerJoin, member::Relation::Conversation.def())
            .join(JoinType::InnerJoin, member::Relation::User.def())
            .into_model()
            .one(cx.read())
            .await?
            .ok_or(Error::NotFound("conversation"))
    }

    fn is_short_of(&self, seq: i64, mark: Mark) -> bool {
        let member = &self.member;
        member.delivered_seq < seq || (mark == Mark::Read && member.read_seq < seq)
    }

    /// What the device has: what came before its user joined is not missing.
    fn here(&self) -> i64 {
        Ord::max(self.said_here.unwrap_or(0), self.member.joined_seq)
    }
}

/// Raises a member's marks, if they are not there yet.
async fn raise(tx: &mut Tx, standing: &Standing, seq: i64, mark: Mark) -> Result<Option<Member>> {
    use member::Column::{ConversationId, DeliveredSeq, LeftAt, MarkedAt, ReadSeq, UserId};
    let greatest = |column: member::Column, value: i64| {
        Func::greatest([Expr::col(column), Expr::value(value)]).into()
    };
    let mut update = member::Entity::update_many()
        .col_expr(DeliveredSeq, greatest(DeliveredSeq, seq))
        .col_expr(MarkedAt, greatest(MarkedAt, tx.now().0))
        .filter(ConversationId.eq(standing.member.conversation_id))
        .filter(UserId.eq(standing.member.user_id))
        .filter(LeftAt.is_null());
    let mut is_short = Condition::any().add(DeliveredSeq.lt(seq));
    if mark == Mark::Read {
        update = update.col_expr(ReadSeq, greatest(ReadSeq, seq));
        is_short = is_short.add(ReadSeq.lt(seq));
    }
    let moved = update
        .filter(is_short)
        .exec_with_returning(&tx.db)
        .await?
        .pop();
    if let Some(moved) = &moved {
        tell(tx, moved, standing.last_seq, standing.read_receipts);
    }
    Ok(moved)
}

/// Notes what a device has.
async fn deliver(tx: &Tx, session_id: SessionId, id: ConversationId, seq: i64) -> Result<()> {
    let row = delivery::ActiveModel {
        session_id: Set(session_id),
        conversation_id: Set(id),
        delivered_seq: Set(seq),
    };
    delivery::Entity::insert(row)
        .on_conflict(unless_further())
        .exec_without_returning(&tx.db)
        .await?;
    Ok(())
}

fn unless_further() -> OnConflict {
    use delivery::Column::{ConversationId, DeliveredSeq, SessionId};
    let known = Expr::col((delivery::Entity, DeliveredSeq));
    let further = known.lt(Expr::col(("excluded", DeliveredSeq)));
    OnConflict::columns([SessionId, ConversationId])
        .update_column(DeliveredSeq)
        .action_and_where(further)
        .to_owned()
}

fn tell(tx: &mut Tx, moved: &Member, last_seq: i64, shows_reads: bool) {
    let advance = Advance {
        user_id: moved.user_id,
        delivered_seq: moved.delivered_seq,
        read_seq: moved.read_seq,
        at: moved.marked_at,
        shows_reads,
        last_seq,
    };
    tx.advance(moved.conversation_id, advance);
}

/// Marks everything as read in all the actor's conversations. Answers in how many of them
/// there was anything to mark.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn mark_all_read(cx: &Cx) -> Result<usize> {
    let signed_in = cx.signed_in()?;
    let (user_id, session_id) = (signed_in.user.id, signed_in.session_id);
    let shows_reads = hiding::shows_reads(cx, user_id).await?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let moved = raise_all(tx, user_id).await?;
            deliver_all(tx, user_id, session_id).await?;
            states::read_all(tx, user_id).await?;
            for member in &moved {
                // It is the conversation's last seq that was read up to.
                tell(tx, member, member.read_seq, shows_reads);
            }
            Ok(moved.len())
        })
    })
    .await
}

async fn raise_all(tx: &Tx, id: UserId) -> Result<Vec<Member>> {
    use member::Column::{ConversationId, DeliveredSeq, LeftAt, MarkedAt, ReadSeq, UserId};
    let last_seq = || {
        let of_member = Expr::col((conversation::Entity, conversation::Column::Id))
            .equals((member::Entity, ConversationId));
        let last_seq = Query::select()
            .column(conversation::Column::LastSeq)
            .from(conversation::Entity)
            .and_where(of_member)
            .take();
        Expr::SubQuery(None, Box::new(last_seq.into()))
    };
    let greatest = |column: member::Column, other| Func::greatest([Expr::col(column), other]);
    // Locked in the order of conversations: two devices that do this at once must not wait
    // for each other.
    let unread = member::Entity::find()
        .select_only()
        .column(ConversationId)
        .join(JoinType::InnerJoin, member::Relation::Conversation.def())
        .filter(UserId.eq(id))
        .filter(LeftAt.is_null())
        .filter(Expr::col((member::Entity, ReadSeq)).lt(Expr::col((
            conversation::Entity,
            conversation::Column::LastSeq,
        ))))
        .into_query()
        .order_by((member::Entity, ConversationId), sea_orm::Order::Asc)
        .lock_with_tables(LockType::Update, [member::Entity])
        .take();
    let moved = member::Entity::update_many()
        .col_expr(DeliveredSeq, greatest(DeliveredSeq, last_seq()).into())
        .col_expr(ReadSeq, greatest(ReadSeq, last_seq()).into())
        .col_expr(MarkedAt, greatest(MarkedAt, Expr::value(tx.now())).into())
        .filter(UserId.eq(id))
        .filter(LeftAt.is_null())
        .filter(ConversationId.in_subquery(unread))
        .exec_with_returning(&tx.db)
        .await?;
    Ok(moved)
}

/// Notes that a device has all that its user has read.
async fn deliver_all(tx: &Tx, user_id: UserId, session_id: SessionId) -> Result<()> {
    use delivery::Column::{ConversationId, DeliveredSeq, SessionId};
    let is_the_devices = Condition::all()
        .add(
            Expr::col((delivery::Entity, ConversationId))
                .equals((member::Entity, member::Column::ConversationId)),
        )
        .add(SessionId.eq(session_id));
    let here = Func::coalesce([
        Expr::col((delivery::Entity, DeliveredSeq)),
        Expr::col((member::Entity, member::Column::JoinedSeq)),
    ]);
    let short = Query::select()
        .expr(Expr::value(session_id))
        .column((member::Entity, member::Column::ConversationId))
        .column((member::Entity, member::Column::ReadSeq))
        .from(member::Entity)
        .left_join(delivery::Entity, is_the_devices)
        .and_where(member::Column::UserId.eq(user_id))
        .and_where(member::Column::LeftAt.is_null())
        .and_where(Expr::from(here).lt(Expr::col((member::Entity, member::Column::ReadSeq))))
        .take();
    let insert = Query::insert()
        .into_table(delivery::Entity)
        .columns([SessionId, ConversationId, DeliveredSeq])
        .select_from(short)
        .map_err(Error::internal)?
        .on_conflict(unless_further())
        .take();
    tx.db.execute(&insert).await?;
    Ok(())
}

/// How much of each conversation the actor's device has.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn delivered_here(
    cx: &Cx,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, i64>> {
    let signed_in = cx.signed_in()?;
    let said: Vec<(ConversationId, i64, Option<i64>)> = member::Entity::find()
        .select_only()
        .column(member::Column::ConversationId)
        .column(member::Column::JoinedSeq)
        .column(delivery::Column::DeliveredSeq)
        .join(
            JoinType::LeftJoin,
            member::Entity::belongs_to(delivery::Entity)
                .from(member::Column::ConversationId)
                .to(delivery::Column::ConversationId)
                .on_condition({
                    let session_id = signed_in.session_id;
                    move |_, _| Condition::all().add(delivery::Column::SessionId.eq(session_id))
                })
                .into(),
        )
        .filter(member::Column::UserId.eq(signed_in.user.id))
        .filter(member::Column::ConversationId.is_in(in_list(ids)))
        .into_tuple()
        .all(cx.read())
        .await?;
    Ok(said
        .into_iter()
        .map(|(id, joined_seq, said)| {
            (
                id,
                said.map_or(joined_seq, |said| Ord::max(said, joined_seq)),
            )
        })
        .collect())
}
