//! Durable events: what happened in a conversation, at which position.

use std::sync::Arc;

use backchannel_entities::{
    CallId, ConversationId, MessageId, Timestamp, UserId, conversation_event,
};
use sea_orm::Set;

use crate::conversations::Conversation;
use crate::messages::Message;
use crate::users::User;

/// One durable event. `seq` is dense within the conversation: every position from 1 to
/// the conversation's `last_seq` is exactly one event.
#[derive(Clone, Debug)]
pub struct Event {
    /// Where.
    pub conversation_id: ConversationId,
    /// Position.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// Who did it; none for the system.
    pub actor_id: Option<UserId>,
    /// Where it stands in the order of commits; see [`crate::stamps`].
    pub(crate) stamp: i64,
    /// What.
    pub kind: EventKind,
    /// Users the event names, as far as whoever made it had them at hand: readers need
    /// not fetch these again.
    pub users: Arc<[Arc<User>]>,
}

/// What happened. Messages are carried as they were when the event was read, which is
/// at or after the event itself.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// The message was sent; the event's seq is the message's own.
    MessageSent(Arc<Message>),
    /// The message got another text.
    MessageEdited(Arc<Message>),
    /// The message was deleted for everyone.
    MessageDeleted(Arc<Message>),
    /// The user became a member.
    MemberJoined(UserId),
    /// The user stopped being a member.
    MemberLeft(UserId),
    /// The member has another role.
    MemberRoleChanged(UserId),
    /// The call is over.
    CallEnded(CallId),
    /// The conversation has another title, description or picture; it is carried as it was when the
    /// event was read.
    ConversationUpdated(Arc<Conversation>),
    /// The conversation was deleted, and nobody is a member any more.
    ConversationDeleted,
    /// Somebody reacted to the message, or took a reaction back.
    MessageReactionsChanged(Arc<Message>),
    /// The message was pinned.
    MessagePinned(Arc<Message>),
    /// The message was unpinned.
    MessageUnpinned(Arc<Message>),
    /// The message's poll stands otherwise: by votes, or by its end.
    PollChanged(Arc<Message>),
}

impl Event {
    /// Whose membership began, ended or changed by it.
    pub(crate) fn changed_member(&self) -> Option<UserId> {
        match self.kind {
            EventKind::MemberJoined(user_id)
            | EventKind::MemberLeft(user_id)
            | EventKind::MemberRoleChanged(user_id) => Some(user_id),
            EventKind::MessageSent(_)
            | EventKind::MessageEdited(_)
            | EventKind::MessageDeleted(_)
            | EventKind::CallEnded(_)
            | EventKind::ConversationUpdated(_)
            | EventKind::ConversationDeleted
            | EventKind::MessageReactionsChanged(_)
            | EventKind::MessagePinned(_)
            | EventKind::MessageUnpinned(_)
            | EventKind::PollChanged(_) => None,
        }
    }

    /// How many members more there are by it.
    pub(crate) fn members_more(&self) -> i64 {
        match self.kind {
            EventKind::MemberJoined(_) => 1,
            EventKind::MemberLeft(_) => -1,
            EventKind::MemberRoleChanged(_)
            | EventKind::MessageSent(_)
            | EventKind::MessageEdited(_)
            | EventKind::MessageDeleted(_)
            | EventKind::CallEnded(_)
            | EventKind::ConversationUpdated(_)
            | EventKind::ConversationDeleted
            | EventKind::MessageReactionsChanged(_)
            | EventKind::MessagePinned(_)
            | EventKind::MessageUnpinned(_)
            | EventKind::PollChanged(_) => 0,
        }
    }

    /// The event as it is for one from whom everything up to a seq is hidden: what was said by then
    /// is none of theirs, though something happens to it now.
    pub(crate) fn seen_behind(self: Arc<Self>, hidden_upto: i64) -> Arc<Self> {
        let hide = |message: &Arc<Message>| {
            if message.seq <= hidden_upto {
                return Some(Arc::new(Message {
                    client_message_id: None,
                    text: None,
                    has_details: false,
                    ..(**message).clone()
                }));
            }
            // What it answers may be hidden. Executions are shared by those who have the same event,
            // and this is to be another.
            let answers = hidden_upto > 0 && message.has_details;
            answers.then(|| Arc::clone(message))
        };
        let kind = match &self.kind {
            EventKind::MessageSent(message) => hide(message).map(EventKind::MessageSent),
            EventKind::MessageEdited(message) => hide(message).map(EventKind::MessageEdited),
            EventKind::MessageDeleted(message) => hide(message).map(EventKind::MessageDeleted),
            EventKind::MessageReactionsChanged(message) => {
                hide(message).map(EventKind::MessageReactionsChanged)
            }
            EventKind::MessagePinned(message) => hide(message).map(EventKind::MessagePinned),
            EventKind::MessageUnpinned(message) => hide(message).map(EventKind::MessageUnpinned),
            EventKind::PollChanged(message) => hide(message).map(EventKind::PollChanged),
            EventKind::MemberJoined(_)
            | EventKind::MemberLeft(_)
            | EventKind::MemberRoleChanged(_)
            | EventKind::CallEnded(_)
            | EventKind::ConversationUpdated(_)
            | EventKind::ConversationDeleted => None,
        };
        match kind {
            Some(kind) => Arc::new(Self {
                kind,
                ..(*self).clone()
            }),
            None => self,
        }
    }

    /// Whether somebody's membership began, ended or changed by it.
    pub(crate) fn changes_members(&self) -> bool {
        matches!(self.kind, EventKind::ConversationDeleted) || self.changed_member().is_some()
    }

    /// Its row in the event table; a sent message is its own row.
    pub(crate) fn row(&self) -> Option<conversation_event::ActiveModel> {
        use conversation_event::Kind;
        type About = (Kind, Option<MessageId>, Option<UserId>, Option<CallId>);
        let (kind, message_id, user_id, call_id): About = match &self.kind {
            EventKind::MessageSent(_) => return None,
            EventKind::MessageEdited(about) => (Kind::MessageEdited, Some(about.id), None, None),
            EventKind::MessageDeleted(about) => (Kind::MessageDeleted, Some(about.id), None, None),
            EventKind::MemberJoined(about) => (Kind::MemberJoined, None, Some(*about), None),
            EventKind::MemberLeft(about) => (Kind::MemberLeft, None, Some(*about), None),
            EventKind::MemberRoleChanged(about) => {
                (Kind::MemberRoleChanged, None, Some(*about), None)
            }
            EventKind::CallEnded(about) => (Kind::CallEnded, None, None, Some(*about)),
            EventKind::ConversationUpdated(_) => (Kind::ConversationUpdated, None, None, None),
            EventKind::ConversationDeleted => (Kind::ConversationDeleted, None, None, None),
            EventKind::MessageReactionsChanged(about) => {
                (Kind::MessageReactionsChanged, Some(about.id), None, None)
            }
            EventKind::MessagePinned(about) => (Kind::MessagePinned, Some(about.id), None, None),
            EventKind::MessageUnpinned(about) => {
                (Kind::MessageUnpinned, Some(about.id), None, None)
            }
            EventKind::PollChanged(about) => (Kind::PollChanged, Some(about.id), None, None),
        };
        Some(conversation_event::ActiveModel {
            conversation_id: Set(self.conversation_id),
            seq: Set(self.seq),
            kind: Set(kind),
            at: Set(self.at),
            actor_id: Set(self.actor_id),
            message_id: Set(message_id),
            user_id: Set(user_id),
            call_id: Set(call_id),
            stamp: Set(self.stamp),
        })
    }
}
