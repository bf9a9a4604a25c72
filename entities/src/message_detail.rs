//! `message_details`: what a message is besides its text. Most messages have no such row.

use sea_orm::FromJsonQueryResult;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

use crate::member::Role;
use crate::{ConversationId, MessageId, Timestamp, UserId};

/// The details of a message, where `has_details` says so.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "message_details")]
pub struct Model {
    /// Of which message.
    #[sea_orm(primary_key, auto_increment = false)]
    pub message_id: MessageId,
    /// Where that is.
    pub conversation_id: ConversationId,
    /// The message's position.
    pub seq: i64,
    /// The message it answers.
    pub reply_to_id: Option<MessageId>,
    /// The message whose thread it is in.
    pub root_id: Option<MessageId>,
    /// What it holds; nothing once deleted.
    pub content: Content,
    /// How many replies its own thread has; deleted ones do not count.
    pub reply_count: i64,
    /// The newest of these.
    pub last_reply_id: Option<MessageId>,
    /// When that was sent.
    pub last_reply_at: Option<Timestamp>,
    /// How often it was reacted to, with what, in the order of first use; nothing once deleted.
    pub reactions: Reactions,
    /// When it was pinned, if it is.
    pub pinned_at: Option<Timestamp>,
    /// By whom.
    pub pinned_by: Option<UserId>,
}

/// What a message holds besides its text. What is not there is not written, so that what is added here
/// changes nothing of what was written before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(default, rename_all = "camelCase")]
pub struct Content {
    /// What it is about, beside or instead of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// What stretches of the text are, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<TextEntity>,
    /// Where it comes from, if it was forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<Forwarded>,
    /// What a message of the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemContent>,
}

/// What a message is about, beside or instead of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Body {
    /// A picture, a file, something spoken, or a film: the message's kind says which.
    Media(Media),
    /// A place.
    Location(Location),
    /// A note of a call.
    Call(CallNote),
}

/// Something that is loaded from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Media {
    /// Absolute URL.
    pub url: String,
    /// What the file is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Media type (RFC 6838).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// In bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i32>,
    /// In pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<i32>,
    /// In pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<i32>,
    /// In milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<i32>,
    /// Absolute URL of a small picture of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// How loud it is, evenly over its duration: 0 to 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waveform: Vec<i32>,
}

/// A place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    /// In degrees, north is positive (WGS 84).
    pub latitude: f64,
    /// In degrees, east is positive.
    pub longitude: f64,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A note of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallNote {
    /// What was sent in it.
    pub kind: crate::call::Kind,
    /// What became of it.
    pub outcome: crate::call::Outcome,
    /// How long it took, in seconds.
    pub duration: i32,
}

/// What a stretch of a text is. Offsets and lengths count UTF-16 code units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TextEntity {
    /// What it is.
    pub kind: EntityKind,
    /// Where it begins.
    pub offset: i32,
    /// How long it is.
    pub length: i32,
    /// Where a link leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Of which language code is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Who is mentioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
}

/// What a stretch of a text can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntityKind {
    /// Bold.
    Bold,
    /// Italic.
    Italic,
    /// Underlined.
    Underline,
    /// Struck through.
    Strikethrough,
    /// Hidden until it is asked for.
    Spoiler,
    /// Code within a line.
    Code,
    /// Code on lines of its own.
    Pre,
    /// Quoted from elsewhere.
    Quote,
    /// A link.
    Link,
    /// The mention of a user.
    Mention,
    /// The mention of everyone.
    MentionEveryone,
}

/// Where a message that was forwarded comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Forwarded {
    /// Who sent it first; none for the system.
    pub sender_id: Option<UserId>,
    /// When.
    pub sent_at: Timestamp,
    /// How often it was forwarded since.
    pub hops: i32,
}

/// What a message of the system tells: what somebody did to a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemContent {
    /// What.
    pub action: SystemAction,
    /// Who did it.
    pub actor_id: UserId,
    /// To whom; perhaps to themselves.
    pub user_id: UserId,
    /// The role that the member has from then on, where that is what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// What happened to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemAction {
    /// The user came in, or was added.
    Joined,
    /// The member left.
    Left,
    /// The member was removed.
    Removed,
    /// The member was removed, and may not come back.
    Banned,
    /// The member has another role.
    RoleChanged,
    /// The member is the owner from then on.
    OwnerChanged,
}

/// How often a message was reacted to, with what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Reactions(pub Vec<ReactionCount>);

/// How often with one emoji.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionCount {
    /// Which.
    pub emoji: String,
    /// By how many users; at least one.
    pub count: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
