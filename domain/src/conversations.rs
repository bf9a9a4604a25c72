//! Conversations: making, finding and listing them.

mod deleting;
mod direct;
mod erasing;
mod previews;
mod updating;

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, Timestamp, UserId, conversation, member, message};
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DbErr, EntityTrait, FromQueryResult, JoinType,
    QueryFilter, QueryOrder, QuerySelect, Select, Set,
};

use crate::access::Membership;
use crate::bots::Scope;
use crate::bus::UserNotice;
use crate::clock::new_id;
use crate::cx::{Handles, Tx};
use crate::db::in_list;
use crate::error::is_unique_violation;
use crate::members::{self, Role};
use crate::page::{End, Page, PageRequest};
use crate::{Cx, Error, Result, blocks, limits, users};

pub use self::deleting::delete;
pub(crate) use self::direct::Pair;
pub(crate) use self::erasing::keep_erasing;
pub use self::previews::previews;
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
        })
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
            users::require_all(tx, &members).await?;
            blocks::require_none(tx, owner, &members).await?;
            let founding = Founding {
                id: ConversationId(new_id()),
                kind,
                title,
                slug,
                direct_key: None,
            };
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
    slug: Option<String>,
    direct_key: Option<String>,
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
        description: Set(None),
        avatar_url: Set(None),
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
        settings: Set(Settings::default()),
        is_guarded: Set(false),
    };
    let conversation = row.insert(&tx.db).await.map_err(taken)?;
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
    for (user_id, _) in founders {
        tx.tell(user_id, UserNotice::Memberships);
    }
    Ok(())
}

/// A conversation the actor is in or was in a second ago at most, and as it was then. For
/// whoever needs its id, its kind, and what is read by these.
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
    let conversation = Arc::new(Membership::prove(cx, id).await?.conversation);
    recent.keep(&reading, claim, Arc::clone(&conversation));
    Ok(conversation)
}

/// A conversation the actor is in, by its slug.
///
/// # Errors
/// [`Error::NotFound`] for any other.
pub async fn get_by_slug(cx: &Cx, slug: &str) -> Result<Conversation> {
    let actor = cx.signed_in()?.user.id;
    // What cannot be a slug is nobody's; Postgres would not even take all of it.
    let slug = limits::slug("slug", slug).map_err(|_| Error::NotFound("conversation"))?;
    of_member(actor)
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
    let membership = conversation::Entity::belongs_to(member::Entity)
        .from(conversation::Column::Id)
        .to(member::Column::ConversationId)
        .into();
    conversation::Entity::find()
        .join(JoinType::InnerJoin, membership)
        .filter(member::Column::UserId.eq(user_id))
        .filter(member::Column::LeftAt.is_null())
}

/// Conversations the actor is in, by id; others are left out.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(
    cx: &Cx,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, Arc<Conversation>>> {
    let actor = cx.signed_in()?.user.id;
    let found = of_member(actor)
        .filter(member::Column::ConversationId.is_in(in_list(ids)))
        .all(cx.read())
        .await?;
    Ok(found
        .into_iter()
        .map(|found| (found.id, Arc::new(found)))
        .collect())
}

/// Where a conversation stands in a viewer's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivityPosition {
    /// When something last happened in it.
    pub last_active_at: Timestamp,
    /// Tells apart what happened in the same millisecond.
    pub id: ConversationId,
}

impl ActivityPosition {
    /// The position of `conversation`.
    #[must_use]
    pub fn of(conversation: &Conversation) -> Self {
        Self {
            last_active_at: conversation.last_active_at,
            id: conversation.id,
        }
    }

    /// What stands on one side of this position.
    fn on_side(self, side: Side) -> Condition {
        use conversation::Column::{Id, LastActiveAt};
        let at = self.last_active_at;
        let (beyond, tie) = match side {
            Side::Newer => (LastActiveAt.gt(at), Id.gt(self.id)),
            Side::Older => (LastActiveAt.lt(at), Id.lt(self.id)),
        };
        Condition::any()
            .add(beyond)
            .add(LastActiveAt.eq(at).and(tie))
    }
}

#[derive(Clone, Copy)]
enum Side {
    Newer,
    Older,
}

/// The actor's conversations, most recently active first.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn list(cx: &Cx, request: &PageRequest<ActivityPosition>) -> Result<Page<Conversation>> {
    let actor = cx.signed_in()?.user.id;
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    let mut select = of_member(actor);
    if let Some(after) = request.after {
        select = select.filter(after.on_side(Side::Older));
    }
    if let Some(before) = request.before {
        select = select.filter(before.on_side(Side::Newer));
    }
    let rows = select
        .order_by(conversation::Column::LastActiveAt, order.clone())
        .order_by(conversation::Column::Id, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}

/// How many messages of others the actor has not read, for each conversation the actor is
/// in. Deleted messages do not count.
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
