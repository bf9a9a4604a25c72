//! `retentions`: conversations whose messages disappear.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, Timestamp};

/// How long a conversation keeps its messages.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "retentions")]
pub struct Model {
    /// Which conversation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// How long, in seconds from their sending.
    pub seconds: i64,
    /// Everything up to and including this seq is gone.
    pub gone_seq: i64,
    /// When it is to be looked through next.
    pub due_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
