//! `mentions`: whom messages mention.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

use crate::{ConversationId, UserId};

/// Who is named where everyone is mentioned: nobody has this id.
pub const EVERYONE: UserId = UserId(Uuid::nil());

/// A mention in a message.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mentions")]
pub struct Model {
    /// Where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// Who, or [`EVERYONE`].
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Position of the message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
