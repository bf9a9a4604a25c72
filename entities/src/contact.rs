//! `contacts`: whom users know.

use sea_orm::entity::prelude::*;

use crate::{Timestamp, UserId};

/// A user whom a user knows.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contacts")]
pub struct Model {
    /// Whose contact it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: UserId,
    /// Who it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub contact_id: UserId,
    /// When it was added.
    pub created_at: Timestamp,
    /// What the user calls it.
    pub name: Option<String>,
    /// Whether the user does not wish to see it in lists.
    pub is_hidden: bool,
    /// Where it stands in lists, by name.
    pub sort_key: String,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
