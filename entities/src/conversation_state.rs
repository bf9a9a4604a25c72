//! `conversation_states`: what each member has made of a conversation for themselves.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, Timestamp, UserId};

/// What a user has made of a conversation. There is no row where that is nothing yet.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversation_states")]
pub struct Model {
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Of which.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// The user has hidden it: it is, as long as no message was sent behind this seq.
    pub hidden_upto: Option<i64>,
    /// Until when the user does not want to be notified.
    pub muted_until: Option<Timestamp>,
    /// When the user pinned it, if it is.
    pub pinned_at: Option<Timestamp>,
    /// Whether the user wants it to look unread.
    pub is_marked_unread: bool,
    /// What the user has begun to write.
    pub draft: Option<String>,
    /// When the draft last changed.
    pub drafted_at: Option<Timestamp>,
    /// Where the last change stands in the order of commits.
    pub stamp: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
