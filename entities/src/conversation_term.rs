//! `conversation_terms`: words by whose beginnings conversations are found.

use sea_orm::entity::prelude::*;

use crate::ConversationId;

/// A word of a conversation's title, or of its slug.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversation_terms")]
pub struct Model {
    /// The word, folded.
    #[sea_orm(primary_key, auto_increment = false)]
    pub term: String,
    /// Of which.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
}

/// None is needed.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
