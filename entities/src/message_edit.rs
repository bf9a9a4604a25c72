//! `message_edits`: what messages were before they were edited.

use sea_orm::entity::prelude::*;

use crate::message_detail::Content;
use crate::{MessageId, Timestamp};

/// What a message was for a while.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "message_edits")]
pub struct Model {
    /// Which message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: MessageId,
    /// Position of the edit that replaced it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// The text that was replaced.
    pub text: Option<String>,
    /// What went with it.
    pub content: Content,
    /// When that was written.
    pub written_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
