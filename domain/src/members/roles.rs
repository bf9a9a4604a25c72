//! Who is what: promoting, demoting, and handing a conversation over.

use std::sync::Arc;

use backchannel_entities::{ConversationId, UserId, member};
use sea_orm::{ActiveModelTrait as _, Set};

use crate::access::{self, Membership};
use crate::bots::Scope;
use crate::cx::Tx;
use crate::event::EventKind;
use crate::users::User;
use crate::{Cx, Error, Result};

use super::{Member, Role, record};

/// Gives a member another role. A conversation has one owner: whoever makes another one the owner
/// is an admin from then on. The role that a member has already is no change.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor, or the user is no member;
/// [`Error::Forbidden`] when the actor may not give this role to this member.
pub async fn set_role(
    cx: &Cx,
    id: ConversationId,
    user_id: UserId,
    role: Role,
) -> Result<Arc<Member>> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor.id, id).await?;
            let target = access::find(&tx.db, id, user_id).await?;
            let target = target
                .filter(|target| target.left_at.is_none())
                .ok_or(Error::NotFound("member"))?;
            membership.may_set_role(&target, role)?;
            if target.role == role {
                return Ok(Arc::new(target));
            }
            change(tx, actor, membership, target, role).await
        })
    })
    .await
}

async fn change(
    tx: &mut Tx,
    actor: Arc<User>,
    membership: Membership,
    target: Member,
    role: Role,
) -> Result<Arc<Member>> {
    // Nobody but the owner makes an owner.
    let before = (role == Role::Owner).then_some(membership.member);
    let id = target.conversation_id;
    let mut kinds = vec![EventKind::MemberRoleChanged(target.user_id)];
    let named = vec![actor.id, target.user_id];
    let mut row = member::ActiveModel::from(target);
    row.role = Set(role);
    let changed = row.update(&tx.db).await?;
    if let Some(before) = before {
        kinds.push(EventKind::MemberRoleChanged(before.user_id));
        let mut row = member::ActiveModel::from(before);
        row.role = Set(Role::Admin);
        row.update(&tx.db).await?;
    }
    let count = i64::try_from(kinds.len()).map_err(Error::internal)?;
    let conversation = tx.allocate(id, count).await?;
    record(tx, &conversation, actor.id, kinds, named).await?;
    Ok(Arc::new(changed))
}
