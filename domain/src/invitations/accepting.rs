//! Coming in by an invitation.

use std::sync::Arc;

use backchannel_entities::{Timestamp, invitation};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use crate::access::{self, Membership};
use crate::bots::Scope;
use crate::conversations::Conversation;
use crate::cx::Tx;
use crate::join_requests::{self, Asked};
use crate::members::{self, Entry, Role};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, bans};

use super::{Invitation, UNKNOWN, hash_of};

/// What an invitation leads to, for whoever was given its code.
#[derive(Clone)]
pub struct Preview {
    /// The invitation.
    pub invitation: Arc<Invitation>,
    /// The conversation.
    pub conversation: Arc<Conversation>,
    /// Whether one asks to join by it.
    pub asks: bool,
}

/// What an invitation leads to. Whoever has the code may see it.
///
/// # Errors
/// [`crate::Error::NotFound`] for a code of none, or of one that is over;
/// [`crate::Error::Forbidden`] to one who is banned; [`crate::Error::RateLimited`] when the actor has tried
/// too many.
pub async fn preview(cx: &Cx, code: &str) -> Result<Preview> {
    cx.signed_in()?;
    rates::count(cx, Action::Search)?;
    let now = cx.handles().clock.now();
    let invitation = live(hash_of(code)?, now).one(cx.read()).await?;
    let invitation = invitation.ok_or(UNKNOWN)?;
    let inviter = inviter(cx.read(), &invitation).await?;
    bans::require_not(cx, invitation.conversation_id).await?;
    Ok(Preview {
        asks: asks(&inviter, &invitation),
        conversation: Arc::new(inviter.conversation),
        invitation: Arc::new(invitation),
    })
}

/// Comes in by an invitation, or asks to. To a member it is no change, and no use.
///
/// # Errors
/// [`crate::Error::NotFound`] for a code of none, or of one that is over;
/// [`crate::Error::Forbidden`] to one who is banned, or was declined lately;
/// [`crate::Error::RateLimited`] when the actor has tried too many.
pub async fn accept(cx: &Cx, code: &str) -> Result<Entry> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Search)?;
    let hash = hash_of(code)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let find = || live(hash.clone(), tx.now()).one(&tx.db);
            let there = find().await?.ok_or(UNKNOWN)?.conversation_id;
            let conversation = tx.lock(there).await?;
            // Read again: only under the lock does it stay as it is.
            let invitation = find().await?.ok_or(UNKNOWN)?;
            let known = access::find(&tx.db, there, actor.id).await?;
            if known.is_some_and(|known| known.left_at.is_none()) {
                return Ok(Entry::In(Arc::new(conversation)));
            }
            let inviter = inviter(&tx.db, &invitation).await?;
            bans::require_none(tx, there, &[actor.id]).await?;
            if asks(&inviter, &invitation) {
                let (request, asked) = join_requests::ask(tx, there, actor.id).await?;
                if asked == Asked::Now {
                    use_once(tx, &invitation).await?;
                }
                return Ok(Entry::Asked(request));
            }
            use_once(tx, &invitation).await?;
            let joined = members::enter(tx, there, &actor, invitation.role).await?;
            Ok(Entry::In(Arc::new(joined)))
        })
    })
    .await
}

/// An invitation that goes on, by what is kept of its code.
fn live(hash: Vec<u8>, now: Timestamp) -> sea_orm::Select<invitation::Entity> {
    invitation::Entity::find()
        .filter(invitation::Column::CodeHash.eq(hash))
        .filter(invitation::Column::ExpiresAt.gt(now))
}

/// Whoever made it, if they still might.
async fn inviter(db: &impl ConnectionTrait, invitation: &Invitation) -> Result<Membership> {
    let there = invitation.conversation_id;
    let inviter = match Membership::of(db, invitation.inviter_id, there).await {
        Err(Error::NotFound(_)) => return Err(UNKNOWN),
        inviter => inviter?,
    };
    inviter.may_invite(invitation.role).map_err(|_| UNKNOWN)?;
    Ok(inviter)
}

/// Whether one asks to join by it: a plain member's cannot approve where approval is needed.
fn asks(inviter: &Membership, invitation: &Invitation) -> bool {
    let approves = inviter.member.role != Role::Member;
    invitation.asks_first || (inviter.conversation.settings.joins_by_request && !approves)
}

async fn use_once(tx: &Tx, invitation: &Invitation) -> Result<()> {
    use invitation::Column::{ExpiresAt, Id, Uses};
    let mut update = invitation::Entity::update_many()
        .col_expr(Uses, Expr::col(Uses).add(1))
        .filter(Id.eq(invitation.id));
    if invitation.max_uses == Some(invitation.uses + 1) {
        update = update.col_expr(ExpiresAt, Expr::value(tx.now()));
    }
    update.exec(&tx.db).await?;
    Ok(())
}
