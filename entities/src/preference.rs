//! `preferences`: what clients keep for their users.

use sea_orm::entity::prelude::*;

use crate::UserId;

/// What one client keeps for one user.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "preferences")]
pub struct Model {
    /// Whose it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Which client's, by the name it gives itself.
    #[sea_orm(primary_key, auto_increment = false)]
    pub client: String,
    /// JSON.
    pub value: String,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
