//! `chat_requests`: who would like to talk with whom.

use sea_orm::entity::prelude::*;

use crate::{ChatRequestId, Timestamp, UserId};

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum State {
    /// It waits for an answer.
    Pending,
    /// The conversation is there.
    Accepted,
    /// The one who was asked does not want to.
    Declined,
    /// The one who asked does not want to any more.
    Cancelled,
}

/// A request for a direct conversation. There is one of a pair at most: whoever asks again turns it
/// back to pending.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "chat_requests")]
pub struct Model {
    /// Key. The conversation that comes of it has the same.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChatRequestId,
    /// As of the conversation: both ids, the smaller first; unique.
    pub direct_key: String,
    /// Who asked last.
    pub from_id: UserId,
    /// Who was asked.
    pub to_id: UserId,
    /// How far it has come.
    pub state: State,
    /// The first message, if the one who asked wrote one.
    pub text: Option<String>,
    /// When it was asked last.
    pub asked_at: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
    /// When it is forgotten; none once it was accepted.
    pub expires_at: Option<Timestamp>,
    /// How often the one who asks has been declined so far.
    pub declines: i32,
    /// Whether the one who is asked blocked the other: they do not see it.
    pub is_hidden: bool,
    /// Where its last change stands in the order of commits.
    pub stamp: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
