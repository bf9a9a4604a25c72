//! Conversations as those see them who are not in them.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, conversation};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use crate::db::in_list;
use crate::{Cx, Result};

use super::Conversation;

/// Conversations by id, for one who was invited to them, or asks to join: those that are deleted are
/// left out. The caller has found the ids through what the actor may see.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn previews(
    cx: &Cx,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, Arc<Conversation>>> {
    cx.signed_in()?;
    let found = conversation::Entity::find()
        .filter(conversation::Column::Id.is_in(in_list(ids)))
        .filter(conversation::Column::DeletedAt.is_null())
        .all(cx.read())
        .await?;
    let by_id = found.into_iter().map(|found| (found.id, Arc::new(found)));
    Ok(by_id.collect())
}
