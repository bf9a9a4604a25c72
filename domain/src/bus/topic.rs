//! What nodes tell each other, and under which address. All of it may be lost, late or
//! doubled: whoever hears it compares with what is known, or reads the database.

use backchannel_entities::{ConversationId, MessageId, SessionId, Timestamp, UserId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::receipts::Advance;
use super::typing::TypingNotice;
use crate::presence::Presence;
use crate::proofs::Claim;

/// The channel of ended sessions, to which every node listens.
pub(super) const SESSIONS: &str = "backchannel:sessions";

/// The channel of memberships that have begun, ended or changed, to which every node listens.
pub(super) const MEMBERSHIPS: &str = "backchannel:memberships";

/// The channel on which a node says that it could not tell of marks, to which every node
/// listens.
pub(super) const MISSED: &str = "backchannel:missed";

const CONVERSATION: &str = "backchannel:conversation:";
const USER: &str = "backchannel:user:";

/// An address that a node listens to while its clients need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Topic {
    /// What happens in a conversation.
    Conversation(ConversationId),
    /// What concerns a user.
    User(UserId),
}

impl Topic {
    /// Its Redis channel.
    pub(super) fn channel(self) -> String {
        match self {
            Self::Conversation(id) => format!("{CONVERSATION}{id}"),
            Self::User(id) => format!("{USER}{id}"),
        }
    }
}

/// Told about a conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ConversationNotice {
    /// Events up to this seq exist.
    Seq(i64),
    /// These members have come so far.
    Receipts(Vec<Advance>),
    /// This member types, or does no longer.
    Typing(TypingNotice),
    /// Something has become of requests to join.
    JoinRequests,
}

/// Told about a user.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UserNotice {
    /// The user has joined conversations.
    Memberships,
    /// The user's presence has changed; of two, the one with more changes is the newer.
    Presence(Presence),
    /// Something has happened in the user's calls.
    Calls,
    /// The user has changed settings.
    Settings,
    /// Something has become of the user's chat requests.
    Requests,
    /// The user has made something of a conversation.
    States,
    /// The user has made something of this message.
    Message(MessageId),
}

/// A message from another node, or from this one by way of Redis.
pub(super) enum Told {
    Conversation(ConversationId, ConversationNotice),
    User(UserId, UserNotice),
    SessionEnded(SessionId),
    MembershipsChanged(Vec<Claim>),
    /// Marks from then on may not have been told.
    Missed(Timestamp),
}

impl Told {
    /// Reads a message. Anything malformed is not ours.
    pub(super) fn parse(channel: &str, payload: &[u8]) -> Option<Self> {
        fn read<T: DeserializeOwned>(id: &str, payload: &[u8]) -> Option<(Uuid, T)> {
            let id = Uuid::parse_str(id).ok()?;
            Some((id, serde_json::from_slice(payload).ok()?))
        }
        if channel == SESSIONS {
            let id = Uuid::try_parse_ascii(payload).ok()?;
            Some(Self::SessionEnded(SessionId(id)))
        } else if channel == MEMBERSHIPS {
            let claims = serde_json::from_slice(payload).ok();
            claims.map(Self::MembershipsChanged)
        } else if channel == MISSED {
            serde_json::from_slice(payload).ok().map(Self::Missed)
        } else if let Some(id) = channel.strip_prefix(CONVERSATION) {
            read(id, payload).map(|(id, told)| Self::Conversation(ConversationId(id), told))
        } else {
            let (id, told) = read(channel.strip_prefix(USER)?, payload)?;
            Some(Self::User(UserId(id), told))
        }
    }
}
