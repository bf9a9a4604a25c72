//! The rules of Backchannel: what may happen, in which order, and who hears of it.
//!
//! How a change travels, in order:
//!
//! 1. A door (GraphQL, and later REST and Socket.IO) parses its bytes into a request
//!    struct of this crate, such as [`messages::NewMessage`]: checked once, valid from
//!    then on.
//! 2. It calls one use case, a free function named for the verb, with a [`Cx`]: the
//!    actor and the handles ([`cx`]).
//! 3. The use case opens the one transaction through `Cx::write`, proves that the actor
//!    may act ([`access`]) and locks what it changes. Sending a [message](messages) has a way
//!    of its own, on which many commit together.
//! 4. It records what happened ([`event::Event`]) in that transaction. There is no other
//!    way to make an event.
//! 5. After the commit, and only then, the transaction hands its events to the [`bus`]:
//!    to the streams of this node at once, to other nodes as a hint through Redis.
//! 6. Each stream ([`feed`]) yields every event once and in order, reading the database
//!    wherever a hint was lost, late or out of turn.
//!
//! One file a noun; nothing here knows HTTP, GraphQL or JSON.

pub mod access;
pub mod admission;
pub mod audit;
pub mod bans;
pub mod blocks;
pub mod bots;
pub mod bus;
pub mod calls;
pub mod client;
pub mod clock;
pub mod codes;
pub mod contacts;
pub mod conversations;
pub mod couriers;
pub mod cx;
pub mod db;
pub mod directory;
pub mod error;
pub mod event;
pub mod feed;
mod identifiers;
pub mod invitations;
pub mod join_requests;
pub mod limits;
pub mod members;
pub mod messages;
pub mod operators;
pub mod page;
mod passwords;
pub mod phones;
pub mod polls;
pub mod preferences;
pub mod presence;
pub mod privacy;
pub mod profiles;
mod proofs;
pub mod rates;
pub mod reactions;
pub mod receipts;
mod recent;
pub mod reports;
pub mod requests;
mod retention;
pub mod scheduled;
pub mod sessions;
mod stamps;
pub mod stars;
pub mod tallies;
pub mod templates;
pub mod ties;
mod tokens;
pub mod typing;
mod upkeep;
pub mod users;

pub use backchannel_entities::{
    CallId, ChatRequestId, CodeId, ConversationId, InvitationId, JoinRequestId, MessageId,
    SessionId, TemplateId, Timestamp, UserId,
};
pub use cx::{Cx, Domain, Settings};
pub use db::{Plan, RanFor, StatementLog};
pub use error::{Error, Result};
