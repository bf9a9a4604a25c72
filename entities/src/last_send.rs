//! `last_sends`: when members last sent to a conversation in slow mode.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, Timestamp, UserId};

/// A member's last message, while slow mode is on.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "last_sends")]
pub struct Model {
    /// Where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// When.
    pub sent_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
