//! Who is what: promoting, demoting, and handing a conversation over.

use std::sync::Arc;

use backchannel_entities::{ConversationId, UserId, member};
use sea_orm::{ActiveModelTrait as _, Set};

use crate::access::{self, Membership};
use crate::bots::Scope;
use crate::conversations::Conversation;
use crate::cx::Tx;
use crate::messages::{SystemAction, SystemContent};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, invitations, users};

use super::notes::{named, record};
use super::{Member, Role};

/// Gives a member another role. A conversation has one owner: whoever makes another one the owner
/// is an admin from then on. The role that a member has already is no change.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor, or the user is no member;
/// [`Error::Forbidden`] when the actor may not give this role to this member;
/// [`Error::RateLimited`] when the actor has changed too much.
pub async fn set_role(
    cx: &Cx,
    id: ConversationId,
    user_id: UserId,
    role: Role,
) -> Result<Arc<Member>> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Membership)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor, id).await?;
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
    actor_id: UserId,
    membership: Membership,
    target: Member,
    role: Role,
) -> Result<Arc<Member>> {
    // Nobody but the owner makes an owner.
    let before = (role == Role::Owner).then(|| membership.member.clone());
    let id = target.conversation_id;
    let note = |user_id, role| SystemContent {
        action: match role {
            Role::Owner => SystemAction::OwnerChanged,
            Role::Admin | Role::Member => SystemAction::RoleChanged,
        },
        actor_id,
        user_id,
        role: Some(role),
    };
    let mut notes = vec![note(target.user_id, role)];
    let mut row = member::ActiveModel::from(target);
    row.role = Set(role);
    let changed = row.update(&tx.db).await?;
    end_invitations(tx, &membership.conversation, &changed).await?;
    if let Some(before) = before {
        notes.push(note(before.user_id, Role::Admin));
        let mut row = member::ActiveModel::from(before);
        row.role = Set(Role::Admin);
        let before = row.update(&tx.db).await?;
        end_invitations(tx, &membership.conversation, &before).await?;
    }
    let count = i64::try_from(notes.len()).map_err(Error::internal)?;
    let conversation = tx.allocate(id, count).await?;
    let users = users::read_many(&tx.db, named(&notes)).await?;
    record(tx, &conversation, notes, &users).await?;
    Ok(Arc::new(changed))
}

/// Ends those invitations of a member that they may make no longer.
async fn end_invitations(tx: &Tx, conversation: &Conversation, member: &Member) -> Result<()> {
    let roles = [Role::Admin, Role::Member];
    let refused = roles
        .into_iter()
        .filter(|role| access::may_invite(conversation, member.role, *role).is_err());
    let refused: Vec<Role> = refused.collect();
    invitations::end(tx, conversation.id, member.user_id, &refused).await
}
