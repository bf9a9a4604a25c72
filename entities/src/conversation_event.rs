//! `conversation_events`: every durable event that is not a message being sent.

use sea_orm::entity::prelude::*;

use crate::{CallId, ConversationId, MessageId, Timestamp, UserId};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Kind {
    /// `message_id` got another text.
    MessageEdited,
    /// `message_id` was deleted for everyone.
    MessageDeleted,
    /// `user_id` became a member.
    MemberJoined,
    /// `user_id` stopped being a member.
    MemberLeft,
    /// `user_id` has another role.
    MemberRoleChanged,
    /// `call_id` is over.
    CallEnded,
    /// Title, description or picture are others.
    ConversationUpdated,
    /// It was deleted, and nobody is a member any more.
    ConversationDeleted,
    /// `message_id` was reacted to otherwise.
    MessageReactionsChanged,
    /// `message_id` was pinned.
    MessagePinned,
    /// `message_id` was unpinned.
    MessageUnpinned,
    /// The poll of `message_id` stands otherwise.
    PollChanged,
}

/// An event. It names what it is about and carries no payload: readers are shown the
/// present state, so an edited-away text cannot come back from here.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "conversation_events")]
pub struct Model {
    /// Where.
    #[sea_orm(primary_key, auto_increment = false)]
    pub conversation_id: ConversationId,
    /// Position in the conversation, shared with its messages.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    /// What happened.
    pub kind: Kind,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor_id: Option<UserId>,
    /// The message concerned, for events about one.
    pub message_id: Option<MessageId>,
    /// The user concerned, for events about membership.
    pub user_id: Option<UserId>,
    /// The call concerned, for events about one.
    pub call_id: Option<CallId>,
    /// Where it stands in the order of commits.
    pub stamp: i64,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
