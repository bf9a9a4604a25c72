//! `legacy_users`: who is who of the servers that came before.

use sea_orm::entity::prelude::*;

use crate::UserId;

/// A user, as an old server called them.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "legacy_users")]
pub struct Model {
    /// The old id, as it stands in old tokens.
    #[sea_orm(primary_key, auto_increment = false)]
    pub legacy_id: String,
    /// Who that is.
    pub user_id: UserId,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
