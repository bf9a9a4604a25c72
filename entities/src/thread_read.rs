//! `thread_reads`: how far members have read threads.

use sea_orm::entity::prelude::*;

use crate::{MessageId, Timestamp, UserId};

/// How far a user has read a thread.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "thread_reads")]
pub struct Model {
    /// The message whose thread it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub root_id: MessageId,
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Every reply up to and including this position.
    pub read_seq: i64,
    /// When that last moved.
    pub marked_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
