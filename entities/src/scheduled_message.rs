//! `scheduled_messages`: messages that wait to be sent.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, MessageId, Timestamp, UserId};

/// A message that waits, or that could not be sent. Its key is that of the message it becomes.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "scheduled_messages")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MessageId,
    /// Who sends it.
    pub sender_id: UserId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Its text, if it has one.
    pub text: Option<String>,
    /// What it has besides, as JSON of the domain's.
    pub parts: Option<Json>,
    /// The sender's idempotency key, if one was given.
    pub client_message_id: Option<String>,
    /// When it is to be sent.
    pub send_at: Timestamp,
    /// When it was first scheduled.
    pub created_at: Timestamp,
    /// Until when a node is at it.
    pub claimed_until: Timestamp,
    /// Whether it is still to be sent.
    pub is_waiting: bool,
    /// Why it was not, if it was tried.
    pub failure: Option<String>,
    /// Tells the claim of the node that is at it from all others.
    pub claim: Option<Uuid>,
    /// Tells a retry from another message under the same key; none without a key.
    pub digest: Option<Vec<u8>>,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
