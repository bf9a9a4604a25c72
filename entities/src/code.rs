//! `codes`: one-time codes that were sent to somebody.

use sea_orm::entity::prelude::*;

use crate::{CodeId, Timestamp, UserId};

/// What a code is for. One for one purpose is none for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Purpose {
    /// To make an account.
    Register,
    /// To sign in.
    SignIn,
    /// To attach an e-mail address or phone number to the account of whoever asked, or to verify
    /// the one that is there.
    Attach,
    /// To set a new password.
    ResetPassword,
}

/// A code, and the request for it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "codes")]
pub struct Model {
    /// Key; whoever asked for the code names it, and nobody else can.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CodeId,
    /// What it is for.
    pub purpose: Purpose,
    /// E-mail address or phone number it was sent to.
    pub recipient: String,
    /// Who asked, where that matters.
    pub user_id: Option<UserId>,
    /// MAC of the code.
    pub code_mac: Vec<u8>,
    /// Hash of the secret in the link that went along with the code, if one did.
    pub link_hash: Option<Vec<u8>>,
    /// Wrong tries so far.
    pub tries: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when the code is good; the link is for longer.
    pub expires_at: Timestamp,
    /// When it was used, or another one in its place.
    pub used_at: Option<Timestamp>,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
