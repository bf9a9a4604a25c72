//! Who is what: promoting, demoting, and handing a conversation over.

use std::sync::Arc;

use backchannel_entities::{ConversationId, UserId, member};
use sea_orm::{ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, QueryFilter as _, Set};

use crate::access::{self, Membership};
use crate::bots::Scope;
use crate::conversations::Conversation;
use crate::cx::Tx;
use crate::messages::{SystemAction, SystemContent};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, invitations, users};

use super::notes::{named, record};
use super::{Member, Role};

/// Gives a member another role. A conversation has one owner: with another one, the one before is an
/// admin from then on. The role that a member has already is no change. What is nobody's, as the first
/// room is, is in the hands of the operators who are in it.
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
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Membership)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor.id, id).await?;
            let target = access::find(&tx.db, id, user_id).await?;
            let target = target
                .filter(|target| target.left_at.is_none())
                .ok_or(Error::NotFound("member"))?;
            let nobody = if actor.is_operator {
                nobody_who_owns(tx, id).await?
            } else {
                None
            };
            match &nobody {
                Some(nobody) if nobody.user_id != target.user_id => {}
                Some(_) | None => membership.may_set_role(&target, role)?,
            }
            if target.role == role {
                return Ok(Arc::new(target));
            }
            let owner = nobody.unwrap_or(membership.member);
            change(tx, actor.id, &membership.conversation, owner, target, role).await
        })
    })
    .await
}

/// The owner, where that is nobody: no user who could ever act.
async fn nobody_who_owns(tx: &Tx, id: ConversationId) -> Result<Option<Member>> {
    let owner = member::Entity::find()
        .filter(member::Column::ConversationId.eq(id))
        .filter(member::Column::LeftAt.is_null())
        .filter(member::Column::Role.eq(Role::Owner))
        .one(&tx.db)
        .await?;
    let Some(owner) = owner else { return Ok(None) };
    let users = users::read_many(&tx.db, vec![owner.user_id]).await?;
    let is_nobody = users.values().all(|user| !users::is_somebody(user));
    Ok(Some(owner).filter(|_| is_nobody))
}

/// Gives `target` a role; `owner` is who hands the conversation over, if that is it.
async fn change(
    tx: &mut Tx,
    actor_id: UserId,
    conversation: &Conversation,
    owner: Member,
    target: Member,
    role: Role,
) -> Result<Arc<Member>> {
    let before = (role == Role::Owner).then_some(owner);
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
    end_invitations(tx, conversation, &changed).await?;
    if let Some(before) = before {
        notes.push(note(before.user_id, Role::Admin));
        let mut row = member::ActiveModel::from(before);
        row.role = Set(Role::Admin);
        let before = row.update(&tx.db).await?;
        end_invitations(tx, conversation, &before).await?;
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
