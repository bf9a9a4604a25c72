//! `templates`: what users make conversations from.

use sea_orm::FromJsonQueryResult;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::conversation::{Kind, Settings};
use crate::{TemplateId, UserId};

/// A conversation that was saved, to make others like it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "templates")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: TemplateId,
    /// Whose.
    pub user_id: UserId,
    /// What the user calls it.
    pub name: String,
    /// What was saved.
    pub content: Content,
}

/// What a template has of the conversation that was saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// What it is.
    pub kind: Kind,
    /// Title.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Absolute URL of its picture.
    pub avatar_url: Option<String>,
    /// How it is set.
    pub settings: Settings,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its members besides whoever saved it, where they were saved too.
    pub members: Vec<UserId>,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
