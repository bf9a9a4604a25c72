//! `hidden_messages`: messages that users have deleted for themselves.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, MessageId, UserId};

/// A message that a user does not wish to see.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hidden_messages")]
pub struct Model {
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Where it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// Its position there.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// Which.
    pub message_id: MessageId,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
