//! Making conversations.

use std::collections::HashSet;

use backchannel_entities::{ConversationId, TemplateId, UserId, conversation, member};
use sea_orm::{ActiveModelTrait, DbErr, EntityTrait, Set};

use crate::access;
use crate::bots::Scope;
use crate::bus::UserNotice;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::error::is_unique_violation;
use crate::members::{self, Role};
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, blocks, limits, retention, templates, users};

use super::{Conversation, ConversationKind, Settings, direct, slugs, tags, terms};

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
/// taken; [`Error::RateLimited`] when the actor has made too many.
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
    rates::count(cx, Action::Membership)?;
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
pub(super) struct Founding {
    pub(super) id: ConversationId,
    pub(super) kind: ConversationKind,
    pub(super) title: Option<String>,
    pub(super) description: Option<String>,
    pub(super) avatar_url: Option<String>,
    pub(super) slug: Option<String>,
    pub(super) direct_key: Option<String>,
    pub(super) settings: Settings,
    pub(super) tags: Vec<String>,
}

impl Founding {
    /// One of which nothing else is known.
    pub(super) fn of(id: ConversationId, kind: ConversationKind) -> Self {
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

/// Makes it, with its members.
pub(super) async fn make(
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
