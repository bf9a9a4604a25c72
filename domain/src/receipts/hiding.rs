//! Who shows others how far they have read.

use std::collections::HashSet;

use backchannel_entities::{UserId, user};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::bus::UserNotice;
use crate::db::in_list;
use crate::members::Member;
use crate::{Cx, Result};

/// Whether others see how far a user has read, and the user how far others have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadReceipts {
    /// They do.
    Shown,
    /// Neither does.
    Hidden,
}

/// Sets it for the actor, in all conversations.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn set_read_receipts(cx: &Cx, read_receipts: ReadReceipts) -> Result<()> {
    let id = cx.signed_in()?.user.id;
    let shown = read_receipts == ReadReceipts::Shown;
    cx.write(move |tx| {
        Box::pin(async move {
            let changed = user::Entity::update_many()
                .col_expr(user::Column::ReadReceipts, Expr::value(shown))
                .col_expr(user::Column::Stamp, Expr::value(tx.stamp().await?))
                .filter(user::Column::Id.eq(id))
                .filter(user::Column::ReadReceipts.ne(shown))
                .exec(&tx.db)
                .await?;
            if changed.rows_affected > 0 {
                tx.tell(id, UserNotice::Settings);
            }
            Ok(())
        })
    })
    .await
}

/// Of these users, those whose reading the actor may see; the actor's own always.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn who_show_reads(cx: &Cx, ids: &[UserId]) -> Result<HashSet<UserId>> {
    let actor = cx.signed_in()?.user.id;
    if ids.iter().all(|id| *id == actor) {
        return Ok(HashSet::from([actor]));
    }
    let asked = [ids, &[actor]].concat();
    let shown: Vec<UserId> = user::Entity::find()
        .select_only()
        .column(user::Column::Id)
        .filter(user::Column::Id.is_in(in_list(&asked)))
        .filter(user::Column::ReadReceipts.eq(true))
        .into_tuple()
        .all(cx.read())
        .await?;
    let mut shown: HashSet<UserId> = shown.into_iter().collect();
    if !shown.contains(&actor) {
        shown = HashSet::from([actor]);
    }
    Ok(shown)
}

/// How far a member has come, as far as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Everything up to and including it has reached one of the member's devices.
    pub delivered_seq: i64,
    /// Everything up to and including it has been read.
    pub read_seq: i64,
}

/// What the actor is shown of a member: their own marks as they are, and those of another in a blocked
/// conversation as they were when it was blocked. Whether the other shows reading at all is
/// another matter ([`who_show_reads`]).
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub fn shown(cx: &Cx, member: &Member) -> Result<Shown> {
    let is_own = cx.signed_in()?.user.id == member.user_id;
    let held = |held: Option<i64>| held.filter(|_| !is_own);
    Ok(Shown {
        delivered_seq: held(member.held_delivered_seq).unwrap_or(member.delivered_seq),
        read_seq: held(member.held_read_seq).unwrap_or(member.read_seq),
    })
}

/// Whether a user shows it. Asked anew: whoever has been signed in on a socket for long may
/// have changed it elsewhere.
pub(super) async fn shows_reads(cx: &Cx, id: UserId) -> Result<bool> {
    let shows: Option<bool> = user::Entity::find_by_id(id)
        .select_only()
        .column(user::Column::ReadReceipts)
        .into_tuple()
        .one(cx.read())
        .await?;
    Ok(shows.unwrap_or_default())
}
