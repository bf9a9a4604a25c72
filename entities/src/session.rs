//! `sessions`: logins.

use sea_orm::entity::prelude::*;

use crate::{SessionId, Timestamp, UserId};

/// What a device says of itself; what the user is follows from all of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum DeviceState {
    /// In use, for all that is known.
    Online,
    /// Not in use just now, as the client noticed; nobody chose it.
    Idle,
    /// Chosen: away.
    Away,
    /// Chosen: do not disturb.
    Busy,
    /// Chosen: does not count.
    Offline,
}

/// One login. Access tokens name it, refresh tokens belong to it, ending it ends both.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    /// Key; the `sid` claim of access tokens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    /// Who signed in.
    pub user_id: UserId,
    /// When.
    pub created_at: Timestamp,
    /// When it was last used, as far as it was worth writing down.
    pub last_used_at: Timestamp,
    /// When it ends by itself unless refreshed before; that of a legacy token, with the token.
    pub expires_at: Timestamp,
    /// When it was ended, by a user or because a spent refresh token came back.
    pub revoked_at: Option<Timestamp>,
    /// What its device says of itself, while it is there.
    pub device_state: DeviceState,
    /// What the device is called.
    pub device_name: Option<String>,
    /// What the program called itself that last used it.
    pub user_agent: Option<String>,
    /// Where it was last used.
    pub address: Option<String>,
    /// Hash of the API key that it is, if it is one.
    pub key_hash: Option<Vec<u8>>,
    /// What the key may do, separated by spaces.
    pub scopes: Option<String>,
}

/// What it belongs to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// By `user_id`.
    #[sea_orm(
        belongs_to = "crate::user::Entity",
        from = "Column::UserId",
        to = "crate::user::Column::Id"
    )]
    User,
}

impl Related<crate::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
