//! Who is in a conversation: adding, removing and listing members, and their [`roles`].

mod notes;
mod roles;

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, Timestamp, UserId, conversation, member, user};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait as _, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Select, Set,
};

use crate::access::{self, Membership};
use crate::bots::Scope;
use crate::bus::UserNotice;
use crate::conversations::{self, Conversation, RoomName};
use crate::cx::Tx;
use crate::db::{in_list, page_of_each};
use crate::join_requests::{self, JoinRequest};
use crate::messages::{SystemAction, SystemContent};
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::users::User;
use crate::{Cx, Error, Result, bans, blocks, invitations, limits, users};

use self::notes::record;

pub use self::roles::set_role;
pub use backchannel_entities::member::{Model as Member, Role};

/// A new member's row in a conversation just made or just changed. Nothing from before
/// joining counts as unread.
pub(crate) fn row(
    conversation: &Conversation,
    user_id: UserId,
    role: Role,
    joined_seq: i64,
    stamp: i64,
) -> member::ActiveModel {
    member::ActiveModel {
        conversation_id: Set(conversation.id),
        user_id: Set(user_id),
        role: Set(role),
        joined_at: Set(conversation.last_active_at),
        joined_seq: Set(joined_seq),
        left_at: Set(None),
        left_seq: Set(None),
        delivered_seq: Set(joined_seq),
        read_seq: Set(joined_seq),
        marked_at: Set(Timestamp(0)),
        held_delivered_seq: Set(None),
        held_read_seq: Set(None),
        visible_after: Set(access::hidden_from_newcomer(conversation, joined_seq)),
        stamp: Set(stamp),
    }
}

/// Adds members, each by an event of its own. Those who are members already stay as they
/// are.
///
/// # Errors
/// [`Error::NotFound`] when the conversation or a user does not exist for the actor;
/// [`Error::Forbidden`] when the actor may not add members, when one of them and the actor block
/// each other, or one of them is banned; [`Error::RateLimited`] when the actor has changed too much.
pub async fn add(cx: &Cx, id: ConversationId, user_ids: Vec<UserId>) -> Result<Conversation> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    let user_ids = limits::ids("userIds", user_ids)?;
    rates::count(cx, Action::Membership)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor.id, id).await?;
            membership.may_add_members()?;
            let users = users::require_all(tx, &user_ids).await?;
            let known = find_known(tx, id, &user_ids).await?;
            let joining: Vec<UserId> = user_ids
                .into_iter()
                .filter(|user_id| {
                    known
                        .get(user_id)
                        .is_none_or(|known| known.left_at.is_some())
                })
                .collect();
            if joining.is_empty() {
                return Ok(membership.conversation);
            }
            blocks::require_none(tx, actor.id, &joining).await?;
            bans::require_none(tx, id, &joining).await?;
            join(tx, id, &actor, joining, Role::Member, &users).await
        })
    })
    .await
}

/// What became of it that somebody wanted to come in.
pub enum Entry {
    /// They are a member.
    In(Arc<Conversation>),
    /// They have asked to be let in.
    Asked(Arc<JoinRequest>),
}

/// Joins a room, or asks to where that is how it is set. One who is a member already stays as they
/// are; the first in a room that everybody has left is its owner.
///
/// # Errors
/// [`Error::NotFound`] when there is no such room; [`Error::Forbidden`] when it is archived, the actor is
/// banned, or was declined lately; [`Error::RateLimited`] when the actor has come and gone too often.
pub async fn join_room(cx: &Cx, room: RoomName) -> Result<Entry> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Membership)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let room = conversations::lock_room(tx, room).await?;
            let known = access::find(&tx.db, room.id, actor.id).await?;
            if known.is_some_and(|known| known.left_at.is_none()) {
                return Ok(Entry::In(Arc::new(room)));
            }
            bans::require_none(tx, room.id, &[actor.id]).await?;
            if !has_members(tx, room.id).await? {
                // Also an archived one: nobody else could restore it.
                let joined = enter(tx, room.id, &actor, Role::Owner).await?;
                return Ok(Entry::In(Arc::new(joined)));
            }
            access::takes_members(&room)?;
            if room.settings.joins_by_request {
                let (request, _) = join_requests::ask(tx, room.id, actor.id).await?;
                return Ok(Entry::Asked(request));
            }
            let joined = enter(tx, room.id, &actor, Role::Member).await?;
            Ok(Entry::In(Arc::new(joined)))
        })
    })
    .await
}

async fn has_members(tx: &Tx, id: ConversationId) -> Result<bool> {
    let any = member::Entity::find()
        .filter(member::Column::ConversationId.eq(id))
        .filter(member::Column::LeftAt.is_null())
        .limit(1)
        .one(&tx.db)
        .await?;
    Ok(any.is_some())
}

/// The actor comes into a conversation that is locked.
pub(crate) async fn enter(
    tx: &mut Tx,
    id: ConversationId,
    actor: &Arc<User>,
    role: Role,
) -> Result<Conversation> {
    let users = HashMap::from([(actor.id, Arc::clone(actor))]);
    join(tx, id, actor, vec![actor.id], role, &users).await
}

async fn find_known(
    tx: &Tx,
    id: ConversationId,
    user_ids: &[UserId],
) -> Result<HashMap<UserId, Member>> {
    let known = member::Entity::find()
        .filter(member::Column::ConversationId.eq(id))
        .filter(member::Column::UserId.is_in(in_list(user_ids)))
        .all(&tx.db)
        .await?;
    Ok(known
        .into_iter()
        .map(|member| (member.user_id, member))
        .collect())
}

/// Makes users members of a conversation that is locked, by the actor.
pub(crate) async fn join(
    tx: &mut Tx,
    id: ConversationId,
    actor: &Arc<User>,
    joining: Vec<UserId>,
    role: Role,
    users: &HashMap<UserId, Arc<User>>,
) -> Result<Conversation> {
    let count = i64::try_from(joining.len()).map_err(Error::internal)?;
    let conversation = tx.allocate(id, count).await?;
    let stamp = tx.stamp().await?;
    let positions = conversation.last_seq - count + 1..;
    let rows = joining
        .iter()
        .zip(positions)
        .map(|(user_id, seq)| row(&conversation, *user_id, role, seq, stamp));
    // Who was here before comes back as a new member.
    member::Entity::insert_many(rows)
        .on_conflict(rejoin())
        .exec_without_returning(&tx.db)
        .await?;
    join_requests::approve_all(tx, id, &joining).await?;
    let note = |user_id: &UserId| SystemContent {
        action: SystemAction::Joined,
        actor_id: actor.id,
        user_id: *user_id,
        role: (role != Role::Member).then_some(role),
    };
    let notes = joining.iter().map(note).collect();
    let actor = (actor.id, Arc::clone(actor));
    let users = users.iter().map(|(id, user)| (*id, Arc::clone(user)));
    record(tx, &conversation, notes, &users.chain([actor]).collect()).await?;
    for user_id in joining {
        tx.tell(user_id, UserNotice::Memberships);
    }
    Ok(conversation)
}

fn rejoin() -> OnConflict {
    use member::Column::{
        ConversationId, DeliveredSeq, JoinedAt, JoinedSeq, LeftAt, LeftSeq, ReadSeq, Role, Stamp,
        UserId, VisibleAfter,
    };
    OnConflict::columns([ConversationId, UserId])
        .update_columns([
            Role,
            JoinedAt,
            JoinedSeq,
            LeftAt,
            LeftSeq,
            DeliveredSeq,
            ReadSeq,
            VisibleAfter,
            Stamp,
        ])
        .to_owned()
}

/// Removes a member, or lets the actor leave. When the owner leaves, the admin, else the
/// member, who has been there longest inherits. Removing one who has left already changes
/// nothing.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor, or the user was
/// never in it; [`Error::Forbidden`] when the actor may not remove this member;
/// [`Error::RateLimited`] when the actor has changed too much.
pub async fn remove(cx: &Cx, id: ConversationId, user_id: UserId) -> Result<Conversation> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Membership)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor.id, id).await?;
            let target = access::find(&tx.db, id, user_id)
                .await?
                .ok_or(Error::NotFound("member"))?;
            membership.may_remove(&target)?;
            if target.left_at.is_some() {
                return Ok(membership.conversation);
            }
            let how = if target.user_id == actor.id {
                SystemAction::Left
            } else {
                SystemAction::Removed
            };
            leave(tx, actor.id, target, how).await
        })
    })
    .await
}

/// Ends a membership in a conversation that is locked, and what goes with it.
pub(crate) async fn leave(
    tx: &mut Tx,
    actor_id: UserId,
    target: Member,
    how: SystemAction,
) -> Result<Conversation> {
    let (id, user_id) = (target.conversation_id, target.user_id);
    let heir = match target.role {
        Role::Owner => find_heir(tx, &target).await?,
        Role::Admin | Role::Member => None,
    };
    let conversation = tx.allocate(id, if heir.is_some() { 2 } else { 1 }).await?;
    let (now, stamp) = (conversation.last_active_at, tx.stamp().await?);
    let seq = conversation.last_seq - i64::from(heir.is_some());
    let mut row: member::ActiveModel = target.into();
    row.left_at = Set(Some(now));
    row.left_seq = Set(Some(seq));
    row.role = Set(Role::Member);
    row.stamp = Set(stamp);
    row.update(&tx.db).await?;
    invitations::end(tx, id, user_id, &[Role::Admin, Role::Member]).await?;
    conversations::states::forget(tx, id, user_id).await?;
    let note = |action, user_id, role| SystemContent {
        action,
        actor_id,
        user_id,
        role,
    };
    let mut notes = vec![note(how, user_id, None)];
    if let Some(heir) = heir {
        let action = SystemAction::OwnerChanged;
        notes.push(note(action, heir.user_id, Some(Role::Owner)));
        let mut row: member::ActiveModel = heir.into();
        row.role = Set(Role::Owner);
        row.update(&tx.db).await?;
    }
    let named = users::read_many(&tx.db, notes::named(&notes)).await?;
    record(tx, &conversation, notes, &named).await?;
    Ok(conversation)
}

/// The longest-standing admin, else member, beside the owner who leaves; a bot, where there are no
/// people.
async fn find_heir(tx: &Tx, owner: &Member) -> Result<Option<Member>> {
    let is_bot = Query::select()
        .expr(Expr::value(1))
        .from(user::Entity)
        .and_where(
            Expr::col((user::Entity, user::Column::Id))
                .equals((member::Entity, member::Column::UserId)),
        )
        .and_where(user::Column::OwnerId.is_not_null())
        .take();
    let is_bot = Expr::exists(is_bot);
    for (role, kind) in [
        (Role::Admin, is_bot.clone().not()),
        (Role::Member, is_bot.clone().not()),
        (Role::Admin, is_bot.clone()),
        (Role::Member, is_bot),
    ] {
        let heir = member::Entity::find()
            .filter(member::Column::ConversationId.eq(owner.conversation_id))
            .filter(member::Column::LeftAt.is_null())
            .filter(member::Column::Role.eq(role))
            .filter(kind)
            .order_by_asc(member::Column::JoinedAt)
            .order_by_asc(member::Column::UserId)
            .one(&tx.db)
            .await?;
        if heir.is_some() {
            return Ok(heir);
        }
    }
    Ok(None)
}

/// Where a member stands in a conversation's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JoinPosition {
    /// When the member joined.
    pub joined_at: Timestamp,
    /// Tells apart those who joined in the same millisecond.
    pub user_id: UserId,
}

impl JoinPosition {
    /// The position of `member`.
    #[must_use]
    pub fn of(member: &Member) -> Self {
        Self {
            joined_at: member.joined_at,
            user_id: member.user_id,
        }
    }
}

/// A page of the members of each conversation, longest-standing first. The caller has
/// found the conversations through the actor's own memberships.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    ids: &[ConversationId],
    request: &PageRequest<JoinPosition>,
) -> Result<HashMap<ConversationId, Page<Member>>> {
    cx.signed_in()?;
    let page_of_one = |id: ConversationId| {
        let select = member::Entity::find()
            .filter(member::Column::ConversationId.eq(id))
            .filter(member::Column::LeftAt.is_null());
        page_of(select, request)
    };
    let rows: Vec<Member> = page_of_each(cx.read(), ids, page_of_one).await?;
    Ok(request.pages(rows, |member| member.conversation_id))
}

/// The rows of a page of some members, longest-standing first.
pub(crate) fn page_of(
    mut select: Select<member::Entity>,
    request: &PageRequest<JoinPosition>,
) -> Select<member::Entity> {
    use member::Column::{JoinedAt, UserId};
    let order = match request.end {
        End::Start => Order::Asc,
        End::Finish => Order::Desc,
    };
    if let Some(after) = request.after {
        let tie = JoinedAt.eq(after.joined_at).and(UserId.gt(after.user_id));
        select = select.filter(Condition::any().add(JoinedAt.gt(after.joined_at)).add(tie));
    }
    if let Some(before) = request.before {
        let tie = JoinedAt.eq(before.joined_at).and(UserId.lt(before.user_id));
        select = select.filter(Condition::any().add(JoinedAt.lt(before.joined_at)).add(tie));
    }
    select
        .order_by(JoinedAt, order.clone())
        .order_by(UserId, order)
        .limit(request.rows())
}

/// How many members each conversation has: counted as they come and go, so that to know it costs
/// nothing more where there are many.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn counts(cx: &Cx, ids: &[ConversationId]) -> Result<HashMap<ConversationId, i64>> {
    cx.signed_in()?;
    let counts: Vec<(ConversationId, i64)> = conversation::Entity::find()
        .select_only()
        .column(conversation::Column::Id)
        .expr_as(Expr::col(COUNT), "member_count")
        .filter(conversation::Column::Id.is_in(in_list(ids)))
        .into_tuple()
        .all(cx.read())
        .await?;
    Ok(counts.into_iter().collect())
}

/// The column of `conversations` with the number of members. It is no part of the model: nobody
/// needs it who reads a conversation.
const COUNT: &str = "member_count";

/// Counts members who have come, or gone.
pub(crate) async fn change_count(tx: &Tx, id: ConversationId, by: i64) -> Result<()> {
    let update = Query::update()
        .table(conversation::Entity)
        .value(COUNT, Expr::col(COUNT).add(by))
        .and_where(conversation::Column::Id.eq(id))
        .take();
    tx.db.execute(&update).await?;
    Ok(())
}

/// A member by conversation and user, present or past.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(
    cx: &Cx,
    keys: &[(ConversationId, UserId)],
) -> Result<HashMap<(ConversationId, UserId), Arc<Member>>> {
    use member::Column::{ConversationId, UserId};
    cx.signed_in()?;
    let mut any = Condition::any();
    for (conversation_id, user_id) in in_list(keys) {
        any = any.add(ConversationId.eq(conversation_id).and(UserId.eq(user_id)));
    }
    let members = member::Entity::find().filter(any).all(cx.read()).await?;
    Ok(members
        .into_iter()
        .map(|m| ((m.conversation_id, m.user_id), Arc::new(m)))
        .collect())
}
