//! `call_parties`: who takes part in a call, and with which device.

use sea_orm::entity::prelude::*;

use crate::{CallId, SessionId, Timestamp, UserId};

/// How a user stands to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum State {
    /// Is being rung.
    Ringing,
    /// Is in it, the caller from the beginning.
    Joined,
    /// Turned it down.
    Declined,
    /// Was in it.
    Left,
    /// Did not answer.
    Missed,
    /// Was in another call.
    Busy,
}

/// A user in a call.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "call_parties")]
pub struct Model {
    /// Which call.
    #[sea_orm(primary_key, auto_increment = false)]
    pub call_id: CallId,
    /// Who.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// The device that takes part: the caller's, or the one that answered.
    pub session_id: Option<SessionId>,
    /// How the user stands to the call.
    pub state: State,
    /// Whether that is ringing or joined. A user is so in one call at most: there is a unique
    /// index on those who are.
    pub live: bool,
    /// Since when the device has been out of reach.
    pub absent_since: Option<Timestamp>,
    /// When the call was started; kept here too, for a user's list of calls.
    pub started_at: Timestamp,
}

/// What it belongs to.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// By `call_id`.
    #[sea_orm(
        belongs_to = "crate::call::Entity",
        from = "Column::CallId",
        to = "crate::call::Column::Id"
    )]
    Call,
}

impl Related<crate::call::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Call.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
