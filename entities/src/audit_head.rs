//! `audit_heads`: where the chain of the audit log ends. One row.

use sea_orm::entity::prelude::*;

/// The end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_heads")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// Position of the last entry; 0 where there is none.
    pub seq: i64,
    /// Its hash; empty where there is none.
    pub hash: Vec<u8>,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
