//! Changing what a conversation is called and looks like.

use std::sync::Arc;

use backchannel_entities::{ConversationId, conversation};
use sea_orm::{ActiveModelTrait as _, Set};

use crate::access::Membership;
use crate::bots::Scope;
use crate::cx::Tx;
use crate::event::{Event, EventKind};
use crate::rates::{self, Action};
use crate::users::User;
use crate::{Cx, Result, limits};

use super::{Conversation, tags, terms};

/// What is to change: none leaves a thing as it is, none within takes it away.
#[derive(Default)]
pub struct ConversationChange {
    title: Option<Option<String>>,
    description: Option<Option<String>>,
    avatar_url: Option<Option<String>>,
    tags: Option<Vec<String>>,
}

impl ConversationChange {
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

    /// What the conversation is afterwards.
    fn applied_to(self, conversation: &Conversation) -> Conversation {
        let before = conversation.clone();
        Conversation {
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
            membership.may_update()?;
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
            write(tx, actor, changed).await
        })
    })
    .await
}

async fn write(tx: &mut Tx, actor: Arc<User>, changed: Conversation) -> Result<Conversation> {
    let row = conversation::ActiveModel {
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
