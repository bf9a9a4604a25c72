//! Conversations: finding one that the actor sees. What else is done with them has files of its own.

mod changes;
mod deleting;
mod direct;
mod erasing;
mod list;
mod making;
mod newest;
mod previews;
mod rooms;
mod slugs;
pub mod states;
pub mod tags;
mod terms;
mod updating;

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, UserId, conversation, member};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, JoinType, QueryFilter, QuerySelect, RelationDef, Select,
};

use crate::access::{self, Membership};
use crate::cx::{Handles, Tx};
use crate::db::in_list;
use crate::{Cx, Error, Result, limits};

pub use self::changes::changes;
pub use self::deleting::delete;
pub(crate) use self::direct::Pair;
pub(crate) use self::erasing::keep_erasing;
pub use self::list::{ActivityPosition, ConversationFilter, Which, count, list, list_pinned};
pub use self::making::{NewConversation, create};
pub use self::newest::{last_messages, unread_counts, unread_mention_counts};
pub use self::previews::previews;
pub use self::rooms::{RoomPosition, RoomQuery, Tagged, list_rooms, popular_tags};
pub use self::updating::{ConversationChange, SettingsChange, archive, restore, update};
pub use backchannel_entities::conversation::{
    History, Kind as ConversationKind, Model as Conversation, Settings,
};

/// A conversation that the actor sees: one they are in or were in a second ago at most, as it was
/// then, or a room. For whoever needs its id, its kind, and what is read by these.
///
/// # Errors
/// [`Error::NotFound`] for any other.
pub async fn get_lately(cx: &Cx, id: ConversationId) -> Result<Arc<Conversation>> {
    let claim = (id, cx.signed_in()?.user.id);
    let Handles { bus, clock, .. } = cx.handles();
    let (recent, uptime) = (bus.recent_memberships(), clock.uptime());
    if let Some(known) = recent.find(&claim, uptime) {
        return Ok(known);
    }
    let reading = recent.reading(uptime);
    let conversation = match Membership::prove(cx, id).await {
        Ok(membership) => Arc::new(membership.conversation),
        Err(Error::NotFound(what)) => {
            let found = find_many(cx, &[id]).await?.remove(&id);
            return found.ok_or(Error::NotFound(what));
        }
        Err(error) => return Err(error),
    };
    recent.keep(&reading, claim, Arc::clone(&conversation));
    Ok(conversation)
}

/// A conversation that the actor sees, by its slug.
///
/// # Errors
/// [`Error::NotFound`] for any other.
pub async fn get_by_slug(cx: &Cx, slug: &str) -> Result<Conversation> {
    let actor = cx.signed_in()?.user.id;
    // Postgres would not even take all of what cannot be a slug.
    let slug = limits::slug("slug", slug).map_err(|_| Error::NotFound("conversation"))?;
    seen_by(actor)
        .filter(conversation::Column::Slug.eq(slug))
        .one(cx.read())
        .await?
        .ok_or(Error::NotFound("conversation"))
}

/// How a room is named by one who is not in it.
#[derive(Clone, Debug)]
pub enum RoomName {
    /// By its identifier.
    Id(ConversationId),
    /// By its slug.
    Slug(String),
}

impl RoomName {
    /// A name that is a slug.
    ///
    /// # Errors
    /// [`Error::NotFound`] for what cannot be one: it is no room's.
    pub fn slug(slug: &str) -> Result<Self> {
        let slug = limits::slug("slug", slug).map_err(|_| Error::NotFound("conversation"))?;
        Ok(Self::Slug(slug))
    }
}

/// A room, locked; whether the actor is in it is for the caller to know.
pub(crate) async fn lock_room(tx: &Tx, name: RoomName) -> Result<Conversation> {
    use conversation::Column::{DeletedAt, Id, Kind, Slug};
    let is_named = match name {
        RoomName::Id(id) => Id.eq(id),
        RoomName::Slug(slug) => Slug.eq(slug),
    };
    let find = || {
        conversation::Entity::find()
            .filter(is_named.clone())
            .filter(Kind.eq(ConversationKind::Room))
            .filter(DeletedAt.is_null())
            .one(&tx.db)
    };
    let unknown = Error::NotFound("conversation");
    let room = find().await?.ok_or(unknown.clone())?;
    tx.lock(room.id).await?;
    // Read again: it may have been deleted meanwhile.
    find().await?.ok_or(unknown)
}

/// The conversations a user is in.
fn of_member(user_id: UserId) -> Select<conversation::Entity> {
    conversation::Entity::find().join(JoinType::InnerJoin, membership_of(user_id))
}

/// The conversations a user sees: those they are in, and rooms from which they are not banned.
fn seen_by(user_id: UserId) -> Select<conversation::Entity> {
    let id = Expr::col((conversation::Entity, conversation::Column::Id));
    let is_open_room = Condition::all()
        .add(conversation::Column::Kind.eq(ConversationKind::Room))
        .add(Expr::exists(access::ban_of(user_id, id)).not());
    let is_seen = Condition::any()
        .add(member::Column::UserId.is_not_null())
        .add(is_open_room);
    conversation::Entity::find()
        .join(JoinType::LeftJoin, membership_of(user_id))
        .filter(is_seen)
        .filter(conversation::Column::DeletedAt.is_null())
}

/// The way to the user's membership, if it goes on.
fn membership_of(user_id: UserId) -> RelationDef {
    conversation::Entity::belongs_to(member::Entity)
        .from(conversation::Column::Id)
        .to(member::Column::ConversationId)
        .on_condition(move |_, _| {
            Condition::all()
                .add(member::Column::UserId.eq(user_id))
                .add(member::Column::LeftAt.is_null())
        })
        .into()
}

/// Conversations that the actor sees, by id; others are left out.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(
    cx: &Cx,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, Arc<Conversation>>> {
    let actor = cx.signed_in()?.user.id;
    let found = seen_by(actor)
        .filter(conversation::Column::Id.is_in(in_list(ids)))
        .all(cx.read())
        .await?;
    Ok(found
        .into_iter()
        .map(|found| (found.id, Arc::new(found)))
        .collect())
}
