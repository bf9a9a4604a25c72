//! `nodes`: processes that keep leases of devices.

use sea_orm::entity::prelude::*;

use crate::NodeId;

/// A node that keeps leases, for as long as others see it beat.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub struct Model {
    /// Key; a node that was declared dead comes back under another.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: NodeId,
    /// Raised by the node itself; negative once it has been declared dead.
    pub beat: i64,
}

/// None is needed.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
