//! The words by whose beginnings conversations are found: those of the title, and the slug.

use backchannel_entities::{ConversationId, conversation_term};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, Set};

use crate::cx::Tx;
use crate::{Result, directory};

use super::Conversation;

/// Writes the words of a conversation that has none yet.
pub(super) async fn list(tx: &Tx, conversation: &Conversation) -> Result<()> {
    let Conversation { title, slug, .. } = conversation;
    let mut terms = directory::of_name(title.as_deref().unwrap_or_default());
    terms.extend(directory::of_name(slug.as_deref().unwrap_or_default()));
    if terms.is_empty() {
        return Ok(());
    }
    let rows = terms
        .into_iter()
        .map(|term| conversation_term::ActiveModel {
            term: Set(term),
            conversation_id: Set(conversation.id),
        });
    conversation_term::Entity::insert_many(rows)
        .exec_without_returning(&tx.db)
        .await?;
    Ok(())
}

/// Writes the words of a conversation whose title has changed.
pub(super) async fn list_anew(tx: &Tx, conversation: &Conversation) -> Result<()> {
    forget(tx, conversation.id).await?;
    list(tx, conversation).await
}

/// Takes the words of a conversation away.
pub(super) async fn forget(tx: &Tx, id: ConversationId) -> Result<()> {
    conversation_term::Entity::delete_many()
        .filter(conversation_term::Column::ConversationId.eq(id))
        .exec(&tx.db)
        .await?;
    Ok(())
}
