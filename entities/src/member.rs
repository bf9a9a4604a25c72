//! `members`: who is, or was, in which conversation.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ConversationId, Timestamp, UserId};

/// What a member may do; see `domain::access`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Made it, or inherited it.
    Owner,
    /// Runs it for the owner.
    Admin,
    /// Takes part.
    Member,
}

/// A user in a conversation. The row stays when the user leaves, because events of the
/// past still name the member; `left_at` tells the two apart.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "members")]
pub struct Model {
    /// In which conversation.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// With which role.
    pub role: Role,
    /// When the present (or, for one who left, the last) membership began.
    pub joined_at: Timestamp,
    /// The position of that beginning: the seq of `MemberJoined`, 0 for founding members.
    pub joined_seq: i64,
    /// When it ended, if it has.
    pub left_at: Option<Timestamp>,
    /// The seq of `MemberLeft`, if it has ended.
    pub left_seq: Option<i64>,
    /// Everything up to and including this seq has reached one of the member's devices.
    pub delivered_seq: i64,
    /// Everything up to and including this seq has been read.
    pub read_seq: i64,
    /// When one of the two last moved by a mark.
    pub marked_at: Timestamp,
    /// While the conversation is blocked: what the other is shown of `delivered_seq`.
    pub held_delivered_seq: Option<i64>,
    /// The same of `read_seq`.
    pub held_read_seq: Option<i64>,
    /// Everything up to and including this seq is hidden from the member.
    pub visible_after: i64,
    /// Where the last change of membership stands in the order of commits.
    pub stamp: i64,
}

/// What it belongs to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// By `conversation_id`.
    #[sea_orm(
        belongs_to = "crate::conversation::Entity",
        from = "Column::ConversationId",
        to = "crate::conversation::Column::Id"
    )]
    Conversation,
    /// By `user_id`.
    #[sea_orm(
        belongs_to = "crate::user::Entity",
        from = "Column::UserId",
        to = "crate::user::Column::Id"
    )]
    User,
}

impl Related<crate::conversation::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Conversation.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
