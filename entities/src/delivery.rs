//! `deliveries`: what has reached which device.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, SessionId};

/// How much of a conversation a device has. The greatest of a member's devices is the
/// member's own `delivered_seq`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deliveries")]
pub struct Model {
    /// The device: a session.
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: SessionId,
    /// Of which conversation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// Everything up to and including this seq has reached the device.
    pub delivered_seq: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
