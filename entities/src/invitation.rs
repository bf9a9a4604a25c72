//! `invitations`: links by which others come into a conversation.

use sea_orm::entity::prelude::*;

use crate::member::Role;
use crate::{ConversationId, InvitationId, Timestamp, UserId};

/// An invitation. Its code is known to whoever was given it; here is what it hashes to.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "invitations")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: InvitationId,
    /// To which conversation.
    pub conversation_id: ConversationId,
    /// Who made it.
    pub inviter_id: UserId,
    /// SHA-256 of the code; unique.
    pub code_hash: Vec<u8>,
    /// With which role one comes in.
    pub role: Role,
    /// Whether one asks to join by it, instead of coming in.
    pub asks_first: bool,
    /// How often it can be used, if that is limited.
    pub max_uses: Option<i32>,
    /// How often it was.
    pub uses: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is over: as it was made, when it was revoked, or when it was used up.
    pub expires_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
