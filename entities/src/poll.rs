//! `polls`: the questions of messages of the kind `poll`. The question is the message's text.

use sea_orm::FromJsonQueryResult;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{MessageId, Timestamp};

/// A poll; gone once its message is deleted.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "polls")]
pub struct Model {
    /// Of which message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: MessageId,
    /// What there is to choose from, and how often each was.
    pub options: Options,
    /// Whether one may choose several.
    pub allows_multiple: bool,
    /// Whether nobody is told who chose what.
    pub is_anonymous: bool,
    /// When it closes by itself, if it does.
    pub closes_at: Option<Timestamp>,
    /// When it was closed before that.
    pub closed_at: Option<Timestamp>,
    /// How many have voted.
    pub voter_count: i64,
}

/// What there is to choose from, in order; each is known by its number, from 1 on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Options(pub Vec<PollOption>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollOption {
    /// What it says.
    pub text: String,
    /// How many have chosen it.
    pub count: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
