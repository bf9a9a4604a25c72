//! `conversations`: direct, group, channel or room.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, Timestamp, UserId};

/// What a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Kind {
    /// Exactly two people; one such conversation a pair.
    Direct,
    /// Several people.
    Group,
    /// Few write, many read.
    Channel,
    /// Found by its slug.
    Room,
}

/// A conversation. Its row is the lock under which `last_seq` is allocated.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversations")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConversationId,
    /// What it is.
    pub kind: Kind,
    /// Title; direct conversations have none.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Absolute URL of its picture.
    pub avatar_url: Option<String>,
    /// Name in addresses; unique.
    pub slug: Option<String>,
    /// Both members' ids of a direct conversation, smaller first; unique.
    pub direct_key: Option<String>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Position of the newest durable event; 0 while there is none.
    pub last_seq: i64,
    /// When something durable last happened; the order of a viewer's list.
    pub last_active_at: Timestamp,
    /// Where its newest durable event stands in the order of commits; see
    /// `domain::stamps`.
    pub stamp: i64,
    /// Position of the newest event that changed who is a member or what members may do; 0
    /// while there is none.
    pub members_seq: i64,
    /// Whether one of the two members of a direct conversation blocks the other: nothing passes.
    pub is_blocked: bool,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
