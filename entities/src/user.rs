//! `users`: people with an account.

use sea_orm::entity::prelude::*;

use crate::{Timestamp, UserId};

/// To whom something is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Audience {
    /// To everyone.
    Everyone,
    /// To those whom the user has among their contacts.
    Contacts,
    /// To nobody.
    Nobody,
}

/// A user. At least one of `email`, `phone` and `owner_id` is set.
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
    /// When the user last proved that the e-mail address is theirs.
    pub email_verified_at: Option<Timestamp>,
    /// When the user last proved that the phone number is theirs.
    pub phone_verified_at: Option<Timestamp>,
    /// Who may find the user by the e-mail address.
    pub found_by_email: Audience,
    /// Who may find the user by the phone number.
    pub found_by_phone: Audience,
    /// Who may see when the user was last there.
    pub shows_last_seen: Audience,
    /// Who may see the picture.
    pub shows_avatar: Audience,
    /// Who may start a direct conversation without asking.
    pub chats_from: Audience,
    /// Whose bot it is; none for people.
    pub owner_id: Option<UserId>,
    /// Whether the user runs the server.
    pub is_operator: bool,
    /// Whether what others see of the user depends on who they are: by the settings above, or by
    /// blocks either way.
    pub is_selective: bool,
    /// Whether the words by which the user is found are in `user_terms`.
    pub is_listed: bool,
    /// Where the last change of profile or settings stands in the order of commits.
    pub stamp: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
