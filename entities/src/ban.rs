//! `bans`: who may not come into which conversation.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, Timestamp, UserId};

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bans")]
pub struct Model {
    /// From which conversation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// By whom.
    pub banned_by: UserId,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// Since when.
    pub created_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
