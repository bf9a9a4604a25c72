//! The messages and close codes of graphql-transport-ws.

use async_graphql::Response;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use backchannel_domain::Timestamp;
use backchannel_schema::{Answer, Encoded, GraphQlRequest, rfc3339};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The one subprotocol spoken.
pub(super) const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Largest message accepted, in bytes.
pub(super) const MESSAGE_BYTES: usize = 64 * 1_024;
/// Longest operation id, in bytes.
const ID_BYTES: usize = 128;

/// Why a socket is closed. Clients of graphql-ws take 4400, 4401, 4406, 4409 and 4429 for
/// mistakes of their own and do not come back; after the others they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The node is stopping.
    Restarting,
    /// The client does not take what it asked for, or the node has more to do than it can.
    TryAgainLater,
    /// The user has as many sockets open as anybody may.
    TooManySockets,
    /// A message was larger than accepted.
    TooLarge,
    /// A message makes no sense.
    BadRequest(&'static str),
    /// A subscription came before the greeting was done.
    Unauthorized,
    /// The token is bad, has expired, or its session has ended.
    Forbidden(&'static str),
    /// The client speaks another subprotocol.
    SubprotocolNotAcceptable,
    /// No greeting came.
    InitTimeout,
    /// An operation of this id is running.
    SubscriberExists,
    /// Greeted twice.
    TooManyInits,
}

impl Close {
    pub(super) fn frame(self) -> CloseFrame {
        let (code, reason) = match self {
            Self::Restarting => (1012, "Service restart"),
            Self::TryAgainLater => (1013, "Try again later"),
            Self::TooManySockets => (1013, "Too many sockets of this user"),
            Self::TooLarge => (1009, "Message too big"),
            Self::BadRequest(reason) => (4400, reason),
            Self::Unauthorized => (4401, "Unauthorized"),
            Self::Forbidden(reason) => (4403, reason),
            Self::SubprotocolNotAcceptable => (4406, "Subprotocol not acceptable"),
            Self::InitTimeout => (4408, "Connection initialisation timeout"),
            Self::SubscriberExists => (4409, "Subscriber for this id already exists"),
            Self::TooManyInits => (4429, "Too many initialisation requests"),
        };
        CloseFrame {
            code,
            reason: Utf8Bytes::from_static(reason),
        }
    }
}

/// What clients say.
pub(super) enum Incoming {
    /// The greeting, and the token in it.
    Init { token: Option<String> },
    /// Are you there?
    Ping { payload: Option<Box<RawValue>> },
    /// A ping that brings a new token.
    Renew { token: String },
    /// Yes.
    Pong,
    /// Run this.
    Subscribe { id: String, request: GraphQlRequest },
    /// Stop that.
    Complete { id: String },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    r#type: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default, borrow)]
    payload: Option<&'a RawValue>,
}

impl Incoming {
    /// Reads a message that is not too large.
    pub(super) fn parse(text: &str) -> Result<Self, Close> {
        let envelope: Envelope<'_> =
            serde_json::from_str(text).map_err(|_| Close::BadRequest("Invalid message"))?;
        let Envelope {
            r#type,
            id,
            payload,
        } = envelope;
        let id = || match id {
            Some(id) if (1..=ID_BYTES).contains(&id.len()) => Ok(id),
            Some(_) | None => Err(Close::BadRequest("Invalid id")),
        };
        match r#type.as_str() {
            "connection_init" => Ok(Self::Init {
                token: payload.map_or(Ok(None), greeting_token)?,
            }),
            "ping" => match payload.map_or(Ok(None), ping_token)? {
                Some(token) => Ok(Self::Renew { token }),
                None => Ok(Self::Ping {
                    payload: payload.map(ToOwned::to_owned),
                }),
            },
            "pong" => Ok(Self::Pong),
            "complete" => Ok(Self::Complete { id: id()? }),
            "subscribe" => {
                let payload = payload.ok_or(Close::BadRequest("Missing payload"))?;
                let request = serde_json::from_str(payload.get())
                    .map_err(|_| Close::BadRequest("Invalid payload"))?;
                Ok(Self::Subscribe { id: id()?, request })
            }
            _ => Err(Close::BadRequest("Unknown type")),
        }
    }
}

/// The names under which clients send their token, the preferred first.
const TOKEN: [&str; 4] = ["authorization", "Authorization", "accessToken", "token"];

/// The token of a greeting, if there is one.
fn greeting_token(payload: &RawValue) -> Result<Option<String>, Close> {
    let payload = serde_json::from_str(payload.get());
    token(payload.map_err(|_| Close::BadRequest("Invalid payload of connection_init"))?)
}

/// The token of a ping, if there is one: what else is in it is the client's own affair.
fn ping_token(payload: &RawValue) -> Result<Option<String>, Close> {
    let payload = serde_json::from_str(payload.get());
    payload.map_or(Ok(None), token)
}

type Payload = serde_json::Map<String, serde_json::Value>;

fn token(mut payload: Payload) -> Result<Option<String>, Close> {
    let mut named = TOKEN.into_iter().filter_map(|name| payload.remove(name));
    match named.find(|value| !value.is_null()) {
        None => Ok(None),
        Some(serde_json::Value::String(token)) => Ok(Some(token)),
        Some(_) => Err(Close::BadRequest("The token is not a string")),
    }
}

pub(super) fn ack() -> Message {
    Message::Text(Utf8Bytes::from_static(r#"{"type":"connection_ack"}"#))
}

pub(super) fn pong(payload: Option<&RawValue>) -> Message {
    Message::text(match payload {
        Some(payload) => format!(r#"{{"type":"pong","payload":{payload}}}"#),
        None => r#"{"type":"pong"}"#.to_owned(),
    })
}

/// The answer to a renewal.
pub(super) fn lives_until(expires_at: Timestamp) -> Message {
    let expires_at = rfc3339(expires_at);
    Message::text(format!(
        r#"{{"type":"pong","payload":{{"expiresAt":"{expires_at}"}}}}"#
    ))
}

/// Names an operation in the messages about it.
pub(super) struct About {
    /// The id as JSON.
    id: Box<str>,
}

impl About {
    pub(super) fn new(id: &str) -> Self {
        let id = serde_json::Value::from(id).to_string();
        Self { id: id.into() }
    }

    /// What it has to say, as `next`; where nothing was executed, as `error`, which also ends the
    /// operation.
    pub(super) fn answer(&self, answer: &Answer) -> (Message, bool) {
        match answer {
            Answer::Refused(response) => (self.refused(response), true),
            Answer::Result(result) => (self.next(result), false),
        }
    }

    pub(super) fn refused(&self, response: &Response) -> Message {
        let id = &self.id;
        let errors = serde_json::to_string(&response.errors).unwrap_or_else(|_| "[]".to_owned());
        Message::text(format!(
            r#"{{"type":"error","id":{id},"payload":{errors}}}"#
        ))
    }

    fn next(&self, result: &Encoded) -> Message {
        let pieces = [r#"{"type":"next","id":"#, &self.id, r#","payload":"#];
        let length = pieces.iter().map(|piece| piece.len()).sum::<usize>() + result.len() + 1;
        let mut text = String::with_capacity(length);
        text.extend(pieces);
        result.append_to(&mut text);
        text.push('}');
        Message::text(text)
    }

    pub(super) fn complete(&self) -> Message {
        Message::text(format!(r#"{{"type":"complete","id":{}}}"#, self.id))
    }
}
