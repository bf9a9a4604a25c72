//! `message_details`: what a message is besides its text. Most messages have no such row.

use sea_orm::FromJsonQueryResult;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ConversationId, MessageId, Timestamp, UserId};

/// The details of a message, where `has_details` says so.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "message_details")]
pub struct Model {
    /// Of which message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: MessageId,
    /// Where that is.
    pub conversation_id: ConversationId,
    /// The message's position.
    pub seq: i64,
    /// The message it answers.
    pub reply_to_id: Option<MessageId>,
    /// The message whose thread it is in.
    pub root_id: Option<MessageId>,
    /// What it holds; nothing once deleted.
    pub content: Content,
    /// How many replies its own thread has; deleted ones do not count.
    pub reply_count: i64,
    /// The newest of these.
    pub last_reply_id: Option<MessageId>,
    /// When that was sent.
    pub last_reply_at: Option<Timestamp>,
    /// How often it was reacted to, with what, in the order of first use; nothing once deleted.
    pub reactions: Reactions,
    /// When it was pinned, if it is.
    pub pinned_at: Option<Timestamp>,
    /// By whom.
    pub pinned_by: Option<UserId>,
}

/// What a message holds besides its text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(default, rename_all = "camelCase")]
pub struct Content {}

/// How often a message was reacted to, with what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Reactions(pub Vec<ReactionCount>);

/// How often with one emoji.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionCount {
    /// Which.
    pub emoji: String,
    /// By how many users; at least one.
    pub count: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
