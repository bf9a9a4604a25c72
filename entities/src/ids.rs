//! Typed keys. All are UUIDv7 (RFC 9562), so that they sort by time of creation and
//! index inserts stay at the end of the tree.

use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
            DeriveValueType, Serialize, Deserialize,
        )]
        pub struct $name(pub Uuid);

        // sea-orm asks this of every primary key; only integer keys can answer it.
        impl TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A person with an account.
    UserId
}
id! {
    /// A conversation of any kind.
    ConversationId
}
id! {
    /// A message.
    MessageId
}
id! {
    /// One login of a user on one device; also the family of its refresh tokens.
    SessionId
}
id! {
    /// A call.
    CallId
}
id! {
    /// One life of a server process, as far as it keeps leases of devices.
    NodeId
}
id! {
    /// A request for a direct conversation; of one that was accepted, also the key of the conversation.
    ChatRequestId
}
id! {
    /// An invitation to a conversation.
    InvitationId
}
id! {
    /// A request to join a conversation.
    JoinRequestId
}
id! {
    /// A report.
    ReportId
}
id! {
    /// A request for a one-time code.
    CodeId
}
id! {
    /// A conversation that was saved, to make others like it.
    TemplateId
}
