//! `reactions`: who has reacted to a message, with what.

use sea_orm::entity::prelude::*;

use crate::{MessageId, Timestamp, UserId};

/// A reaction. How often there is each of a message stands in `message_details` too.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reactions")]
pub struct Model {
    /// To which message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: MessageId,
    /// By whom.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// With what: one emoji.
    #[sea_orm(primary_key, auto_increment = false)]
    pub emoji: String,
    /// When.
    pub created_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
