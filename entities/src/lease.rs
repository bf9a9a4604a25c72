//! `leases`: which devices are there, and which node says so.

use sea_orm::entity::prelude::*;

use crate::{NodeId, SessionId, UserId};

/// A device that is there, as far as one node knows.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "leases")]
pub struct Model {
    /// The node that keeps it, and with which it goes.
    #[sea_orm(primary_key, auto_increment = false)]
    pub node_id: NodeId,
    /// The device.
    #[sea_orm(primary_key, auto_increment = false)]
    pub session_id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
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
