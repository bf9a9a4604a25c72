//! Changing what a conversation is called and looks like, and how it is set; archiving it.

use std::sync::Arc;

use backchannel_entities::{ConversationId, conversation};
use sea_orm::{ActiveModelTrait as _, Set};

use crate::access::{self, Membership};
use crate::bots::Scope;
use crate::cx::Tx;
use crate::event::{Event, EventKind};
use crate::messages::pace;
use crate::rates::{self, Action};
use crate::users::User;
use crate::{Cx, Result, limits, retention};

use super::{Conversation, History, Settings, tags, terms};

/// What is to change: none leaves a thing as it is, none within takes it away.
#[derive(Default)]
pub struct ConversationChange {
    title: Option<Option<String>>,
    description: Option<Option<String>>,
    avatar_url: Option<Option<String>>,
    tags: Option<Vec<String>>,
    settings: Option<SettingsChange>,
}

/// What is to change of the settings: none leaves a thing as it is.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// Whether plain members do not send.
    pub only_admins_send: Option<bool>,
    /// Whether plain members do not add others.
    pub only_admins_add: Option<bool>,
    /// How long a plain member waits between two messages.
    pub slow_mode_seconds: Option<i32>,
    /// Whether members may react to messages.
    pub allows_reactions: Option<bool>,
    /// What new members see of what was before them.
    pub history: Option<History>,
    /// Whether one asks to join.
    pub joins_by_request: Option<bool>,
    /// Whether members see what a message was before.
    pub shows_edits: Option<bool>,
    /// How long messages are kept; for ever if none within.
    pub retention_seconds: Option<Option<i32>>,
    /// How long after sending a message it can be edited; for ever if none within.
    pub edit_window_seconds: Option<Option<i32>>,
    /// The same of deleting it.
    pub delete_window_seconds: Option<Option<i32>>,
}

impl SettingsChange {
    fn applied_to(self, before: &Settings) -> Settings {
        let seconds = self.slow_mode_seconds.and_then(|n| u32::try_from(n).ok());
        let of = |change: Option<Option<i32>>, before: Option<u32>| match change {
            Some(seconds) => seconds.and_then(|n| u32::try_from(n).ok()),
            None => before,
        };
        Settings {
            only_admins_send: self.only_admins_send.unwrap_or(before.only_admins_send),
            only_admins_add: self.only_admins_add.unwrap_or(before.only_admins_add),
            slow_mode_seconds: seconds.unwrap_or(before.slow_mode_seconds),
            allows_reactions: self.allows_reactions.unwrap_or(before.allows_reactions),
            history: self.history.unwrap_or(before.history),
            joins_by_request: self.joins_by_request.unwrap_or(before.joins_by_request),
            shows_edits: self.shows_edits.unwrap_or(before.shows_edits),
            retention_seconds: of(self.retention_seconds, before.retention_seconds),
            edit_window_seconds: of(self.edit_window_seconds, before.edit_window_seconds),
            delete_window_seconds: of(self.delete_window_seconds, before.delete_window_seconds),
        }
    }
}

impl ConversationChange {
    /// And this of the settings.
    ///
    /// # Errors
    /// [`crate::Error::BadInput`] for times out of bounds.
    pub fn with_settings(self, settings: Option<SettingsChange>) -> Result<Self> {
        let given = settings.unwrap_or_default();
        limits::seconds(
            "slowModeSeconds",
            given.slow_mode_seconds,
            limits::SLOW_MODE_SECONDS,
        )?;
        let kept = given.retention_seconds.flatten();
        limits::seconds("retentionSeconds", kept, limits::RETENTION_SECONDS)?;
        for (field, window) in [
            ("editWindowSeconds", given.edit_window_seconds),
            ("deleteWindowSeconds", given.delete_window_seconds),
        ] {
            limits::seconds(field, window.flatten(), limits::WINDOW_SECONDS)?;
        }
        Ok(Self { settings, ..self })
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`crate::Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        title: Option<Option<String>>,
        description: Option<Option<String>>,
        avatar_url: Option<Option<String>>,
    ) -> Result<Self> {
        let checked = |new: Option<Option<String>>, check: &dyn Fn(&str) -> Result<String>| {
            new.map(|new| new.as_deref().map(check).transpose())
                .transpose()
        };
        Ok(Self {
            title: checked(title, &|title| limits::name("title", title))?,
            description: checked(description, &|text| limits::paragraph("description", text))?,
            avatar_url: checked(avatar_url, &|url| limits::web_url("avatarUrl", url))?,
            tags: None,
            settings: None,
        })
    }

    /// These tags from now on, where any are given.
    ///
    /// # Errors
    /// [`crate::Error::BadInput`] for tags that are not acceptable.
    pub fn tagged(self, tags: Option<Vec<String>>) -> Result<Self> {
        let tags = tags.map(|tags| limits::tags("tags", tags)).transpose()?;
        Ok(Self { tags, ..self })
    }

    /// Whether nothing is to change but how long messages are kept.
    fn is_of_retention_alone(&self) -> bool {
        let alone = |settings: &SettingsChange| SettingsChange {
            retention_seconds: settings.retention_seconds,
            ..SettingsChange::default()
        };
        let is_alone = |settings: &SettingsChange| {
            settings.retention_seconds.is_some() && *settings == alone(settings)
        };
        let Self {
            title,
            description,
            avatar_url,
            tags,
            settings,
        } = self;
        title.is_none()
            && description.is_none()
            && avatar_url.is_none()
            && tags.is_none()
            && settings.as_ref().is_some_and(is_alone)
    }

    /// What the conversation is afterwards.
    fn applied_to(self, conversation: &Conversation) -> Conversation {
        let before = conversation.clone();
        let settings = self
            .settings
            .map(|change| change.applied_to(&before.settings));
        Conversation {
            settings: settings.unwrap_or(before.settings),
            title: self.title.unwrap_or(before.title),
            description: self.description.unwrap_or(before.description),
            avatar_url: self.avatar_url.unwrap_or(before.avatar_url),
            ..before
        }
    }
}

/// Changes a conversation; all members hear of it. What makes no difference is no event.
///
/// # Errors
/// [`crate::Error::NotFound`] when the conversation does not exist for the actor;
/// [`crate::Error::Forbidden`] to one who may not change it; [`crate::Error::RateLimited`] when the
/// actor has sent or changed too much.
pub async fn update(
    cx: &Cx,
    id: ConversationId,
    change: ConversationChange,
) -> Result<Conversation> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor.id, id).await?;
            if change.is_of_retention_alone() {
                membership.may_set_retention()?;
            } else {
                membership.may_update()?;
                if change.settings.is_some() {
                    membership.may_change_settings()?;
                }
            }
            let before = membership.conversation;
            let retagged = match change.tags.clone() {
                Some(tags) => tags::set(tx, &before, tags).await?,
                None => false,
            };
            let changed = change.applied_to(&before);
            if changed == before && !retagged {
                return Ok(before);
            }
            if changed.title != before.title {
                terms::list_anew(tx, &changed).await?;
            }
            let kept = changed.settings.retention_seconds;
            if kept != before.settings.retention_seconds {
                retention::set(tx, id, kept).await?;
            }
            write(tx, actor, changed).await
        })
    })
    .await
}

/// Archives a conversation: everything in it stays, and nothing is added until it is restored. One
/// that is archived already is no change.
///
/// # Errors
/// [`crate::Error::NotFound`] when the conversation does not exist for the actor; [`crate::Error::Forbidden`] to plain
/// members, and in a direct conversation; [`crate::Error::RateLimited`] when the actor has changed too much.
pub async fn archive(cx: &Cx, id: ConversationId) -> Result<Conversation> {
    set_archived(cx, id, Archived::Yes).await
}

/// Lets a conversation go on that was archived. One that is not is no change.
///
/// # Errors
/// As [`archive`].
pub async fn restore(cx: &Cx, id: ConversationId) -> Result<Conversation> {
    set_archived(cx, id, Archived::No).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Archived {
    Yes,
    No,
}

async fn set_archived(cx: &Cx, id: ConversationId, archived: Archived) -> Result<Conversation> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor.id, id).await?;
            membership.may_archive()?;
            let before = membership.conversation;
            if before.archived_at.is_some() == (archived == Archived::Yes) {
                return Ok(before);
            }
            let archived_at = (archived == Archived::Yes).then(|| tx.now());
            let changed = Conversation {
                archived_at,
                ..before
            };
            write(tx, actor, changed).await
        })
    })
    .await
}

async fn write(tx: &mut Tx, actor: Arc<User>, changed: Conversation) -> Result<Conversation> {
    if changed.settings.slow_mode_seconds == 0 {
        pace::forget(tx, changed.id).await?;
    }
    let row = conversation::ActiveModel {
        is_guarded: Set(access::is_guarded(&changed)),
        archived_at: Set(changed.archived_at),
        settings: Set(changed.settings),
        id: Set(changed.id),
        title: Set(changed.title),
        description: Set(changed.description),
        avatar_url: Set(changed.avatar_url),
        ..Default::default()
    };
    row.update(&tx.db).await?;
    // Read again with it: the row as it is now.
    let conversation = tx.allocate(changed.id, 1).await?;
    let event = Event {
        conversation_id: conversation.id,
        seq: conversation.last_seq,
        at: conversation.last_active_at,
        actor_id: Some(actor.id),
        stamp: tx.stamp().await?,
        kind: EventKind::ConversationUpdated(Arc::new(conversation.clone())),
        users: [actor].into(),
    };
    tx.record(vec![event]).await?;
    Ok(conversation)
}
