//! Conversations: making, finding and listing them.

mod changes;
mod deleting;
mod direct;
mod erasing;
mod list;
mod newest;
mod previews;
mod rooms;
mod slugs;
pub mod states;
pub mod tags;
mod terms;
mod updating;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backchannel_entities::{ConversationId, TemplateId, UserId, conversation, member, message};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DbErr, EntityTrait, FromQueryResult, JoinType,
    QueryFilter, QuerySelect, RelationDef, Select, Set,
};

use crate::access::Membership;
use crate::bots::Scope;
use crate::bus::UserNotice;
use crate::clock::new_id;
use crate::cx::{Handles, Tx};
use crate::db::in_list;
use crate::error::is_unique_violation;
use crate::members::{self, Role};
use crate::messages::hiding;
use crate::{Cx, Error, Result, access, blocks, limits, retention, templates, users};

pub use self::changes::changes;
pub use self::deleting::delete;
pub(crate) use self::direct::Pair;
pub(crate) use self::erasing::keep_erasing;
pub use self::list::{ActivityPosition, ConversationFilter, Which, count, list, list_pinned};
pub use self::newest::{last_messages, unread_mention_counts};
pub use self::previews::previews;
pub use self::rooms::{RoomPosition, RoomQuery, Tagged, list_rooms, popular_tags};
pub use self::updating::{ConversationChange, SettingsChange, archive, restore, update};
pub use backchannel_entities::conversation::{
    History, Kind as ConversationKind, Model as Conversation, Settings,
};

/// A conversation to make, checked.
pub struct NewConversation {
    kind: ConversationKind,
    members: Vec<UserId>,
    title: Option<String>,
    slug: Option<String>,
    tags: Option<Vec<String>>,
    template_id: Option<TemplateId>,
}

impl NewConversation {
    /// Checks a conversation to make. The actor need not be among the members.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        kind: ConversationKind,
        members: Vec<UserId>,
        title: Option<&str>,
        slug: Option<&str>,
    ) -> Result<Self> {
        let title = title
            .map(|title| limits::name("title", title))
            .transpose()?;
        let slug = slug.map(|slug| limits::slug("slug", slug)).transpose()?;
        if kind == ConversationKind::Direct && title.is_some() {
            return Err(Error::bad_input(
                "title",
                "a direct conversation has no title",
            ));
        }
        if kind != ConversationKind::Room && slug.is_some() {
            return Err(Error::bad_input("slug", "only a room has a slug"));
        }
        Ok(Self {
            kind,
            members: limits::ids("memberIds", members)?,
            title,
            slug,
            tags: None,
            template_id: None,
        })
    }

    /// Gives it tags.
    ///
    /// # Errors
    /// [`Error::BadInput`] for tags that are not acceptable, and for any of a direct conversation.
    pub fn tagged(self, tags: Vec<String>) -> Result<Self> {
        if self.kind == ConversationKind::Direct && !tags.is_empty() {
            return Err(Error::bad_input(
                "tags",
                "a direct conversation has no tags",
            ));
        }
        let tags = Some(limits::tags("tags", tags)?);
        Ok(Self { tags, ..self })
    }

    /// Takes from a template of the actor's what is not said otherwise.
    #[must_use]
    pub fn like(self, template_id: TemplateId) -> Self {
        Self {
            template_id: Some(template_id),
            ..self
        }
    }
}

/// Makes a conversation whose owner is the actor. For a pair that has a direct one already,
/// answers that.
///
/// # Errors
/// [`Error::NotFound`] when a member does not exist; [`Error::BadInput`] unless a direct
/// conversation names one other user; [`Error::Forbidden`] when that one must be asked first, or
/// when one of the members and the actor block each other; [`Error::Conflict`] for a slug that is
/// taken.
pub async fn create(cx: &Cx, new: NewConversation) -> Result<Conversation> {
    let owner = cx.signed_in()?.user.id;
    let NewConversation {
        kind,
        mut members,
        title,
        slug,
        tags,
        template_id,
    } = new;
    members.retain(|id| *id != owner);
    if kind == ConversationKind::Direct {
        return match members.as_slice() {
            [other] => direct::open(cx, *other).await,
            _ => Err(Error::bad_input(
                "memberIds",
                "a direct conversation names one other user",
            )),
        };
    }
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let mut founding = Founding {
                title,
                slug,
                tags: tags.clone().unwrap_or_default(),
                ..Founding::of(ConversationId(new_id()), kind)
            };
            if let Some(id) = template_id {
                let template = templates::get(tx, owner, id).await?;
                members.extend(founding.fill_in(template, tags.is_some())?);
                let mut seen = HashSet::from([owner]);
                members.retain(|id| seen.insert(*id));
            }
            if kind == ConversationKind::Room && founding.slug.is_none() {
                founding.slug = founding.title.as_deref().and_then(slugs::of_title);
            }
            users::require_all(tx, &members).await?;
            blocks::require_none(tx, owner, &members).await?;
            make(tx, founding, owner, &members).await
        })
    })
    .await
}

/// What a conversation is from its first moment.
struct Founding {
    id: ConversationId,
    kind: ConversationKind,
    title: Option<String>,
    description: Option<String>,
    avatar_url: Option<String>,
    slug: Option<String>,
    direct_key: Option<String>,
    settings: Settings,
    tags: Vec<String>,
}

impl Founding {
    /// One of which nothing else is known.
    fn of(id: ConversationId, kind: ConversationKind) -> Self {
        Self {
            id,
            kind,
            title: None,
            description: None,
            avatar_url: None,
            slug: None,
            direct_key: None,
            settings: Settings::default(),
            tags: Vec::new(),
        }
    }

    /// Takes from a template what was not said; answers the members it has.
    fn fill_in(&mut self, template: templates::Content, is_tagged: bool) -> Result<Vec<UserId>> {
        if template.kind != self.kind {
            return Err(Error::bad_input("kind", "must be the template's"));
        }
        self.title = self.title.take().or(template.title);
        self.description = template.description;
        self.avatar_url = template.avatar_url;
        self.settings = template.settings;
        if !is_tagged {
            self.tags = template.tags;
        }
        Ok(template.members)
    }
}

async fn make(
    tx: &mut Tx,
    founding: Founding,
    owner: UserId,
    others: &[UserId],
) -> Result<Conversation> {
    let now = tx.now();
    let row = conversation::ActiveModel {
        id: Set(founding.id),
        kind: Set(founding.kind),
        title: Set(founding.title),
        description: Set(founding.description),
        avatar_url: Set(founding.avatar_url),
        slug: Set(founding.slug),
        direct_key: Set(founding.direct_key),
        created_by: Set(owner),
        created_at: Set(now),
        last_seq: Set(0),
        last_active_at: Set(now),
        stamp: Set(tx.stamp().await?),
        members_seq: Set(0),
        is_blocked: Set(false),
        archived_at: Set(None),
        deleted_at: Set(None),
        is_guarded: Set(access::guards(&founding.settings)),
        settings: Set(founding.settings),
    };
    let conversation = row.insert(&tx.db).await.map_err(taken)?;
    if let Some(kept) = conversation.settings.retention_seconds {
        retention::set(tx, conversation.id, Some(kept)).await?;
    }
    terms::list(tx, &conversation).await?;
    tags::set(tx, &conversation, founding.tags).await?;
    found(tx, &conversation, owner, others).await?;
    Ok(conversation)
}

fn taken(error: DbErr) -> Error {
    if is_unique_violation(&error) {
        Error::Conflict {
            field: Some("slug"),
            message: "a conversation with this slug exists",
        }
    } else {
        error.into()
    }
}

/// Adds the founding members. They join with the conversation itself, not by events.
async fn found(
    tx: &mut Tx,
    conversation: &Conversation,
    owner: UserId,
    others: &[UserId],
) -> Result<()> {
    // Neither of two is above the other.
    let owners_role = match conversation.kind {
        ConversationKind::Direct => Role::Member,
        ConversationKind::Group | ConversationKind::Channel | ConversationKind::Room => Role::Owner,
    };
    let others = others.iter().map(|id| (*id, Role::Member));
    let founders: Vec<_> = std::iter::once((owner, owners_role))
        .chain(others)
        .collect();
    let rows = founders
        .iter()
        .map(|(user_id, role)| members::row(conversation, *user_id, *role, 0, conversation.stamp));
    member::Entity::insert_many(rows)
        .exec_without_returning(&tx.db)
        .await?;
    let count = i64::try_from(founders.len()).map_err(Error::internal)?;
    members::change_count(tx, conversation.id, count).await?;
    for (user_id, _) in founders {
        tx.tell(user_id, UserNotice::Memberships);
    }
    Ok(())
}

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
    // What cannot be a slug is nobody's; Postgres would not even take all of it.
    let slug = limits::slug("slug", slug).map_err(|_| Error::NotFound("conversation"))?;
    seen_by(actor)
        .filter(conversation::Column::Slug.eq(slug))
        .one(cx.read())
        .await?
        .ok_or(Error::NotFound("conversation"))
}

/// A room by its slug, locked; whether the actor is in it is for the caller to know.
pub(crate) async fn lock_room(tx: &Tx, slug: String) -> Result<Conversation> {
    let room: Option<ConversationId> = conversation::Entity::find()
        .select_only()
        .column(conversation::Column::Id)
        .filter(conversation::Column::Slug.eq(&slug))
        .filter(conversation::Column::Kind.eq(ConversationKind::Room))
        .into_tuple()
        .one(&tx.db)
        .await?;
    let room = tx
        .lock(room.ok_or(Error::NotFound("conversation"))?)
        .await?;
    // Deleted meanwhile, it has none.
    Some(room)
        .filter(|room| room.slug == Some(slug))
        .ok_or(Error::NotFound("conversation"))
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

/// How many messages of others the actor has not read, for each conversation the actor is
/// in. Messages that are deleted, or hidden by the actor, do not count.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn unread_counts(
    cx: &Cx,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, i64>> {
    #[derive(FromQueryResult)]
    struct Count {
        conversation_id: ConversationId,
        unread: i64,
    }
    let actor = cx.signed_in()?.user.id;
    let is_message_of_member = Expr::col((message::Entity, message::Column::ConversationId))
        .equals((member::Entity, member::Column::ConversationId))
        .and(
            Expr::col((message::Entity, message::Column::Seq))
                .gt(Expr::col((member::Entity, member::Column::ReadSeq))),
        );
    let select = Query::select()
        .column((member::Entity, member::Column::ConversationId))
        .expr_as(
            Expr::col((message::Entity, message::Column::Id)).count(),
            "unread",
        )
        .from(member::Entity)
        .inner_join(message::Entity, is_message_of_member)
        .and_where(member::Column::UserId.eq(actor))
        .and_where(member::Column::ConversationId.is_in(in_list(ids)))
        .and_where(member::Column::LeftAt.is_null())
        .and_where(message::Column::DeletedAt.is_null())
        .and_where(message::Column::SenderId.ne(actor))
        .and_where(hiding::is_shown(
            actor,
            Expr::col((message::Entity, message::Column::Id)),
        ))
        .group_by_col((member::Entity, member::Column::ConversationId))
        .take();
    let backend = cx.handles().db.backend();
    let counts = Count::find_by_statement(backend.build(&select))
        .all(cx.read())
        .await?;
    Ok(counts
        .into_iter()
        .map(|count| (count.conversation_id, count.unread))
        .collect())
}
