//! `refresh_tokens`: the rotating secrets of a session.

use sea_orm::entity::prelude::*;

use crate::{SessionId, Timestamp};

/// One refresh token, kept only as a hash.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    /// SHA-256 of the token. The token has 256 random bits, so a plain hash suffices.
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_hash: Vec<u8>,
    /// The session it renews.
    pub session_id: SessionId,
    /// When it was handed out.
    pub created_at: Timestamp,
    /// When it stops being accepted.
    pub expires_at: Timestamp,
    /// When it was first used; from then on only the grace period honours it.
    pub spent_at: Option<Timestamp>,
}

/// What it belongs to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// By `session_id`.
    #[sea_orm(
        belongs_to = "crate::session::Entity",
        from = "Column::SessionId",
        to = "crate::session::Column::Id"
    )]
    Session,
}

impl Related<crate::session::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Session.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
