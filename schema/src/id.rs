//! Global object identifiers (Relay): opaque to clients, URL-safe, at most 64 characters.
//!
//! A prefix for the type and the key in base64url: what is passed in the wrong place is
//! seen to be wrong, by people too.

use async_graphql::ID;
use backchannel_domain::{
    CallId, ChatRequestId, CodeId, ConversationId, Error, InvitationId, JoinRequestId, MessageId,
    SessionId, TemplateId, UserId,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

/// What a global id can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GlobalId {
    /// A user.
    User(UserId),
    /// A conversation.
    Conversation(ConversationId),
    /// A message.
    Message(MessageId),
    /// A call.
    Call(CallId),
    /// A session.
    Session(SessionId),
    /// An API key.
    ApiKey(ApiKeyId),
    /// A chat request.
    ChatRequest(ChatRequestId),
    /// A template.
    Template(TemplateId),
    /// An invitation.
    Invitation(InvitationId),
    /// A request to join a conversation.
    JoinRequest(JoinRequestId),
    /// A request for a code: a secret of whoever has made it, and no object.
    Code(CodeId),
}

impl GlobalId {
    /// Reads an id. One that is malformed names nothing.
    #[must_use]
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (prefix, key) = id.split_at_checked(PREFIX)?;
        let key = BASE64_URL_SAFE_NO_PAD.decode(key).ok()?;
        let key = Uuid::from_slice(&key).ok()?;
        match prefix {
            UserId::PREFIX => Some(Self::User(UserId(key))),
            ConversationId::PREFIX => Some(Self::Conversation(ConversationId(key))),
            MessageId::PREFIX => Some(Self::Message(MessageId(key))),
            CallId::PREFIX => Some(Self::Call(CallId(key))),
            SessionId::PREFIX => Some(Self::Session(SessionId(key))),
            ApiKeyId::PREFIX => Some(Self::ApiKey(ApiKeyId(SessionId(key)))),
            ChatRequestId::PREFIX => Some(Self::ChatRequest(ChatRequestId(key))),
            TemplateId::PREFIX => Some(Self::Template(TemplateId(key))),
            InvitationId::PREFIX => Some(Self::Invitation(InvitationId(key))),
            JoinRequestId::PREFIX => Some(Self::JoinRequest(JoinRequestId(key))),
            CodeId::PREFIX => Some(Self::Code(CodeId(key))),
            _ => None,
        }
    }
}

/// Length of every prefix.
const PREFIX: usize = 4;

/// Length of a key in base64url.
const KEY: usize = 22;

/// A key that has a global form.
pub(crate) trait Global: Sized {
    const PREFIX: &'static str;
    /// What is not found when there is none.
    const NAME: &'static str;

    fn key(&self) -> Uuid;
    fn of(id: GlobalId) -> Option<Self>;

    fn global(&self) -> ID {
        ID(format!(
            "{}{}",
            Self::PREFIX,
            BASE64_URL_SAFE_NO_PAD.encode(self.key())
        ))
    }

    /// Writes the id as JSON.
    fn write_global(&self, out: &mut Vec<u8>) {
        let mut key = [0; KEY];
        let encoded = BASE64_URL_SAFE_NO_PAD.encode_slice(self.key(), &mut key);
        encoded.expect("a key has 16 bytes, which come to 22 letters");
        out.push(b'"');
        out.extend_from_slice(Self::PREFIX.as_bytes());
        out.extend_from_slice(&key);
        out.push(b'"');
    }

    /// Reads an id of this type. Any other is answered like one that does not exist.
    fn parse(id: &ID) -> Result<Self, Error> {
        GlobalId::parse(id)
            .and_then(Self::of)
            .ok_or(Error::NotFound(Self::NAME))
    }
}

macro_rules! global {
    ($key:ident, $variant:ident, $prefix:literal, $name:literal) => {
        impl Global for $key {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = $name;

            fn key(&self) -> Uuid {
                self.0
            }

            fn of(id: GlobalId) -> Option<Self> {
                if let GlobalId::$variant(key) = id {
                    Some(key)
                } else {
                    None
                }
            }
        }
    };
}

global!(UserId, User, "usr_", "user");
global!(ConversationId, Conversation, "cnv_", "conversation");
global!(MessageId, Message, "msg_", "message");
global!(CallId, Call, "cll_", "call");
global!(SessionId, Session, "ses_", "session");
global!(ChatRequestId, ChatRequest, "req_", "chat request");
global!(TemplateId, Template, "tpl_", "template");
global!(InvitationId, Invitation, "inv_", "invitation");
global!(JoinRequestId, JoinRequest, "jrq_", "join request");
global!(CodeId, Code, "cod_", "request for a code");

/// An API key: the session that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ApiKeyId(pub(crate) SessionId);

impl Global for ApiKeyId {
    const PREFIX: &'static str = "key_";
    const NAME: &'static str = "API key";

    fn key(&self) -> Uuid {
        self.0.0
    }

    fn of(id: GlobalId) -> Option<Self> {
        if let GlobalId::ApiKey(key) = id {
            Some(key)
        } else {
            None
        }
    }
}

/// Ids of a list, all of one type.
pub(crate) fn parse_all<T: Global>(ids: &[ID]) -> Result<Vec<T>, Error> {
    ids.iter().map(T::parse).collect()
}
