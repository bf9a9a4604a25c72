//! `stars`: messages that users wish to find again.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, MessageId, Timestamp, UserId};

/// A message that a user wishes to find again.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stars")]
pub struct Model {
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Which.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: MessageId,
    /// Where that is.
    pub conversation_id: ConversationId,
    /// Since when.
    pub created_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
