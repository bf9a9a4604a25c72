//! `join_requests`: who would like to come into which conversation.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, JoinRequestId, Timestamp, UserId};

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum State {
    /// It waits for an answer.
    Pending,
    /// The user came in.
    Approved,
    /// The user is not wanted.
    Declined,
    /// The user does not want to any more.
    Withdrawn,
}

/// A request to join. There is one of a user in a conversation at most.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "join_requests")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JoinRequestId,
    /// To which conversation; unique with the user.
    pub conversation_id: ConversationId,
    /// Who asks.
    pub user_id: UserId,
    /// How far it has come.
    pub state: State,
    /// When it was asked last.
    pub asked_at: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
    /// When it is forgotten.
    pub expires_at: Timestamp,
    /// Where its last change stands in the order of commits.
    pub stamp: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
