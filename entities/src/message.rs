//! `messages`: what was said. A message is its own `MessageSent` event.

use sea_orm::entity::prelude::*;

use crate::{ConversationId, MessageId, Timestamp, UserId};

/// A message. Deleting it erases the text and keeps the row as a tombstone, so that the
/// conversation's sequence stays dense.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "messages")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: MessageId,
    /// Where.
    pub conversation_id: ConversationId,
    /// Position in the conversation; unique there.
    pub seq: i64,
    /// Who sent it; none for a message of the system.
    pub sender_id: Option<UserId>,
    /// The sender's idempotency key; unique with the sender, for ever.
    pub client_message_id: Option<String>,
    /// SHA-256 over what was first sent, which tells a retry from another message under
    /// the same key even after the text was edited or erased.
    pub digest: Option<Vec<u8>>,
    /// The present text; none once deleted.
    pub text: Option<String>,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When it was last edited.
    pub edited_at: Option<Timestamp>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// Where its sending stands in the order of commits.
    pub stamp: i64,
    /// What it is.
    pub kind: Kind,
    /// Whether there is more of it in `message_details`.
    pub has_details: bool,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Kind {
    /// Text and nothing else.
    Text,
    /// A picture.
    Image,
    /// A file of any other type.
    File,
    /// Something spoken.
    Voice,
    /// A film.
    Video,
    /// A note of a call.
    Call,
    /// A line about what happened to members. It has no event of its own: it stands at the seq of
    /// the event that it tells of.
    System,
    /// A place.
    Location,
    /// A question with options.
    Poll,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
