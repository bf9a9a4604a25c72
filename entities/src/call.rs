//! `calls`: who rang whom, and what became of it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{CallId, ConversationId, Timestamp, UserId};

/// What is sent in a call.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Sound and picture.
    Video,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum State {
    /// Nobody has answered yet.
    Ringing,
    /// Somebody has.
    Answered,
    /// It is over, for good.
    Ended,
}

/// What became of a call that is over.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Outcome {
    /// It was answered.
    Completed,
    /// Nobody answered in time.
    Missed,
    /// It was turned down.
    Declined,
    /// The caller gave up first.
    Cancelled,
    /// Somebody was in another call; it never rang.
    Busy,
}

/// A call. It stays as a record once it is over.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "calls")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CallId,
    /// Whose members it is between.
    pub conversation_id: ConversationId,
    /// What is sent.
    pub kind: Kind,
    /// How far it has come.
    pub state: State,
    /// Who started it.
    pub caller_id: UserId,
    /// When.
    pub started_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// What became of it, once it is over.
    pub outcome: Option<Outcome>,
    /// When something is to happen to it though nobody does anything.
    pub due_at: Option<Timestamp>,
    /// The highest position given out in its log of signals.
    pub last_signal: i64,
    /// Where its last change stands in the order of commits.
    pub stamp: i64,
}

/// What belongs to it, and what it belongs to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// By `conversation_id`.
    #[sea_orm(
        belongs_to = "crate::conversation::Entity",
        from = "Column::ConversationId",
        to = "crate::conversation::Column::Id"
    )]
    Conversation,
    /// By their `call_id`.
    #[sea_orm(has_many = "crate::call_party::Entity")]
    Parties,
}

impl Related<crate::conversation::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Conversation.def()
    }
}

impl Related<crate::call_party::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Parties.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
