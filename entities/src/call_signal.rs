//! `call_signals`: what a call's devices are to be told, in order. Rows go soon after the call.

use sea_orm::entity::prelude::*;

use crate::{CallId, SessionId, Timestamp, UserId};

/// What a device is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Kind {
    /// It rings.
    Ringing,
    /// The call was answered: by the other side, or by this very device.
    Answered,
    /// Another device of the user answered.
    AnsweredElsewhere,
    /// Another device of the user turned the call down.
    DeclinedElsewhere,
    /// A WebRTC offer.
    Offer,
    /// The answer to one.
    Answer,
    /// An ICE candidate.
    Candidate,
    /// The call is over.
    Ended,
}

/// A signal to one or several devices of a user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "call_signals")]
pub struct Model {
    /// Of which call.
    #[sea_orm(primary_key, auto_increment = false)]
    pub call_id: CallId,
    /// Position in the call's log: rising, with holes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub n: i64,
    /// What is told.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// Who caused it; none for the clock.
    pub from_user: Option<UserId>,
    /// Who is told; none while that is yet to turn out: it waits for whoever answers.
    pub to_user: Option<UserId>,
    /// The one device that is told; none for all of the user's.
    pub to_session: Option<SessionId>,
    /// The one device that is not told.
    pub except_session: Option<SessionId>,
    /// What the sender gave: opaque.
    pub payload: Option<String>,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
