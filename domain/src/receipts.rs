//! How far a member has come: delivered and read, as high-water marks.

use std::sync::Arc;

use backchannel_entities::{ConversationId, member};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::access::Membership;
use crate::cx::Tx;
use crate::members::Member;
use crate::{Cx, Error, Result};

/// What has come how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It reached one of the member's devices.
    Delivered,
    /// The member read it, and so it was delivered too.
    Read,
}

/// Moves the actor's marks up to `seq`. They only ever move forward: a smaller seq changes
/// nothing.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor;
/// [`Error::BadInput`] for a seq that is negative or past the conversation's last.
pub async fn mark(cx: &Cx, id: ConversationId, seq: i64, mark: Mark) -> Result<Arc<Member>> {
    let membership = Membership::prove(cx, id).await?;
    let last_seq = membership.conversation.last_seq;
    if !(0..=last_seq).contains(&seq) {
        let message = format!("must be 0 to {last_seq}, the conversation's `lastSeq`");
        return Err(Error::bad_input("seq", message));
    }
    let member = membership.member;
    let is_news = member.delivered_seq < seq || (mark == Mark::Read && member.read_seq < seq);
    if !is_news {
        return Ok(Arc::new(member));
    }
    cx.write(move |tx| {
        Box::pin(async move {
            if mark == Mark::Read {
                raise(tx, &member, member::Column::ReadSeq, seq).await?;
            }
            raise(tx, &member, member::Column::DeliveredSeq, seq).await
        })
    })
    .await?;
    Ok(Arc::new(Membership::prove(cx, id).await?.member))
}

async fn raise(tx: &Tx, member: &Member, column: member::Column, seq: i64) -> Result<()> {
    member::Entity::update_many()
        .col_expr(column, Expr::value(seq))
        .filter(member::Column::ConversationId.eq(member.conversation_id))
        .filter(member::Column::UserId.eq(member.user_id))
        .filter(member::Column::LeftAt.is_null())
        .filter(column.lt(seq))
        .exec(&tx.db)
        .await?;
    Ok(())
}
