//! `conversations`: direct, group, channel or room.

use sea_orm::FromJsonQueryResult;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{ConversationId, Timestamp, UserId};

/// What a conversation is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Kind {
    /// Exactly two people; one such conversation a pair.
    Direct,
    /// Several people.
    Group,
    /// Few write, many read.
    Channel,
    /// Found by its slug.
    Room,
}

/// A conversation. Its row is the lock under which `last_seq` is allocated.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversations")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConversationId,
    /// What it is.
    pub kind: Kind,
    /// Title; direct conversations have none.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
    /// Absolute URL of its picture.
    pub avatar_url: Option<String>,
    /// Name in addresses; unique.
    pub slug: Option<String>,
    /// Both members' ids of a direct conversation, smaller first; unique.
    pub direct_key: Option<String>,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Timestamp,
    /// Position of the newest durable event; 0 while there is none.
    pub last_seq: i64,
    /// When something durable last happened; the order of a viewer's list.
    pub last_active_at: Timestamp,
    /// Where its newest durable event stands in the order of commits; see
    /// `domain::stamps`.
    pub stamp: i64,
    /// Position of the newest event that changed who is a member or what members may do; 0
    /// while there is none.
    pub members_seq: i64,
    /// Whether one of the two members of a direct conversation blocks the other: nothing passes.
    pub is_blocked: bool,
    /// When it was archived, if it is: nothing is added to it then.
    pub archived_at: Option<Timestamp>,
    /// When it was deleted, if it was: nobody is a member then.
    pub deleted_at: Option<Timestamp>,
    /// How it is set.
    pub settings: Settings,
    /// Whether more decides about a send than its kind and the sender's role: what it is set to, or
    /// that it is archived.
    pub is_guarded: bool,
}

/// How a conversation is set. What a row does not name is as by [`Settings::default`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(default, rename_all = "camelCase")]
pub struct Settings {
    /// Plain members do not send.
    pub only_admins_send: bool,
    /// Plain members do not add members.
    pub only_admins_add: bool,
    /// How long a plain member waits between two messages; 0 is not at all.
    pub slow_mode_seconds: u32,
    /// How long messages are kept, in seconds; for ever if none.
    pub retention_seconds: Option<u32>,
    /// Members may react to messages.
    pub allows_reactions: bool,
    /// What new members see of what was before them.
    pub history: History,
    /// Who is not added by a member asks to join.
    pub joins_by_request: bool,
    /// Members see what a message was before it was edited.
    pub shows_edits: bool,
    /// How long the sender may edit a message; none is for ever.
    pub edit_window_seconds: Option<u32>,
    /// How long the sender may delete a message for everyone; none is for ever. Owners and admins may
    /// in any case.
    pub delete_window_seconds: Option<u32>,
}

/// What new members see of what was before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// All of it.
    #[default]
    All,
    /// Nothing.
    Joining,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            only_admins_send: false,
            only_admins_add: false,
            slow_mode_seconds: 0,
            retention_seconds: None,
            allows_reactions: true,
            history: History::All,
            joins_by_request: false,
            shows_edits: true,
            edit_window_seconds: None,
            delete_window_seconds: None,
        }
    }
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
