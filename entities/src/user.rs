//! `users`: people with an account.

use sea_orm::entity::prelude::*;

use crate::{Timestamp, UserId};

/// A user. At least one of `email` and `phone` is set.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// E-mail address in lower case; unique.
    pub email: Option<String>,
    /// Phone number, `+` and digits; unique.
    pub phone: Option<String>,
    /// PHC string of the password's argon2id hash; none for users without a password.
    pub password_hash: Option<String>,
    /// Name shown to others.
    pub display_name: String,
    /// Absolute URL of the picture.
    pub avatar_url: Option<String>,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Whether others may see how far the user has read.
    pub read_receipts: bool,
    /// Where the last change of settings stands in the order of commits.
    pub stamp: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
