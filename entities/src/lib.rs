//! Rows: one sea-orm model a table, and the newtypes of their keys and columns.
//!
//! 1. A table is made in `migration/`, and only there; a model here mirrors it.
//! 2. A model holds no decision and knows no wire format: rules live in `domain/`,
//!    GraphQL shapes in `schema/`.
//! 3. Ids are distinct types ([`ids`]), so that a user's id cannot be passed where a
//!    conversation's is meant; instants are [`Timestamp`], milliseconds everywhere.

pub mod audit_entry;
pub mod audit_head;
pub mod ban;
pub mod block;
pub mod call;
pub mod call_party;
pub mod call_signal;
pub mod chat_request;
pub mod code;
pub mod contact;
pub mod conversation;
pub mod conversation_event;
pub mod conversation_state;
pub mod conversation_tag;
pub mod conversation_term;
pub mod delivery;
pub mod erasure;
pub mod hidden_message;
pub mod ids;
pub mod invitation;
pub mod join_request;
pub mod last_send;
pub mod lease;
pub mod legacy_user;
pub mod member;
pub mod mention;
pub mod message;
pub mod message_detail;
pub mod message_edit;
pub mod node;
pub mod poll;
pub mod poll_vote;
pub mod preference;
pub mod presence;
pub mod rate;
pub mod reaction;
pub mod refresh_token;
pub mod report;
pub mod retention;
pub mod room_tag;
pub mod scheduled_message;
pub mod session;
pub mod star;
pub mod template;
pub mod thread_read;
mod timestamp;
pub mod user;
pub mod user_term;

pub use ids::{
    CallId, ChatRequestId, CodeId, ConversationId, InvitationId, JoinRequestId, MessageId, NodeId,
    ReportId, SessionId, TemplateId, UserId,
};
pub use timestamp::Timestamp;
