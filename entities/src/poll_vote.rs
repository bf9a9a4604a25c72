//! `poll_votes`: who has chosen what.

use sea_orm::entity::prelude::*;

use crate::{MessageId, Timestamp, UserId};

/// A vote for one option.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "poll_votes")]
pub struct Model {
    /// In the poll of which message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: MessageId,
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// The option's number, from 1 on.
    #[sea_orm(primary_key, auto_increment = false)]
    pub option: i32,
    /// When.
    pub created_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
