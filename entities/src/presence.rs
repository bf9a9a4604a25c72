//! `presences`: who is there, as others see it.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Timestamp, UserId};

/// Whether a user is there.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// On some device.
    Online,
    /// On devices that are all away or idle.
    Away,
    /// Chosen on some device.
    Busy,
    /// On none that counts.
    Offline,
}

/// What a user's devices come to. Written whenever it changes; a user who never was there
/// has no row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, DeriveEntityModel)]
#[sea_orm(table_name = "presences")]
pub struct Model {
    /// Whose.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// The strongest state of the user's devices.
    pub state: State,
    /// What the user says to it.
    pub text: Option<String>,
    /// When the user last was not offline; for one who is not now, the last change.
    pub last_seen_at: Option<Timestamp>,
    /// How many changes there have been: of two versions, the one with more is the newer.
    pub changes: i64,
    /// Where the last change stands in the order of commits.
    pub stamp: i64,
}

/// None is needed.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
