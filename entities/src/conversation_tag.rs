//! `conversation_tags`: what conversations are about, in single words.

use sea_orm::entity::prelude::*;

use crate::ConversationId;

/// A tag of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversation_tags")]
pub struct Model {
    /// The tag.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tag: String,
    /// Of which.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
}

/// None is needed.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
