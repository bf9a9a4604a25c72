//! `rates`: what is counted in the database.

use sea_orm::entity::prelude::*;

use crate::Timestamp;

/// What somebody has done of something, until it is paid off.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rates")]
pub struct Model {
    /// SHA-256 of what is counted, and of whose it is.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: Vec<u8>,
    /// Each time takes up some time, one after the other: this far.
    pub paid_until: Timestamp,
}

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
