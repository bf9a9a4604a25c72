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
    /// Phone number in E.164; unique.
    pub phone: Option<String>,
    /// PHC string of the password's argon2id hash; none for users without a password.
    pub password_hash: Option<String>,
    /// Name shown to others.
    pub display_name: String,
    /// Absolute URL of the picture.
    pub avatar_url: Option<String>,
    /// A name in lower case that nobody else has.
    pub username: Option<String>,
    /// What the user says about themselves.
    pub bio: Option<String>,
    /// Language tag (BCP 47) of the user's choice.
    pub locale: Option<String>,
    /// Calendar date, YYYY-MM-DD.
    pub date_of_birth: Option<String>,
    /// Whether a client has led the user through the first steps.
    pub is_onboarded: bool,
    /// When the account was made.
    pub created_at: Timestamp,
    /// Whether others may see how far the user has read.
    pub read_receipts: bool,
    /// Where the last change of profile or settings stands in the order of commits.
    pub stamp: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
