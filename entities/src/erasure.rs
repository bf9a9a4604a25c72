//! `erasures`: deleted conversations whose contents are still to be erased.

use sea_orm::entity::prelude::*;

use crate::ConversationId;

/// How far the contents of a conversation are erased.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "erasures")]
pub struct Model {
    /// Of which.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// Everything up to and including this seq is.
    pub erased_seq: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
