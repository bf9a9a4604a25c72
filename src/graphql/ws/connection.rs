//! One socket, from greeting to close.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use backchannel_domain::client::Client;
use backchannel_domain::presence;
use futures_util::SinkExt as _;
use tokio::time::timeout;

use crate::state::State;

use super::greeting::{Greeted, greet};
use super::protocol::{Close, Incoming, MESSAGE_BYTES};
use super::serving::Serving;

/// How long a write may wait for a peer that does not read.
const WRITE: Duration = Duration::from_secs(10);
/// How long a peer has to answer a close.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why serving stopped.
pub(super) enum Stop {
    /// We close, for a reason.
    Close(Close),
    /// The peer closed, or is gone.
    Gone,
}

impl From<Close> for Stop {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// Serves a socket to its end.
pub(super) async fn serve(mut socket: Box<WebSocket>, state: State, client: Arc<Client>) {
    let stopped = async {
        // Boxed, so that what only the beginning needs is not kept to the end.
        let greeted = Box::pin(greet(&mut socket, &state, client)).await?;
        // The seat is given back before the goodbye: who is let go may come back meanwhile.
        let Greeted {
            cx,
            ending,
            pace,
            seat: _seat,
        } = greeted;
        let _device = presence::hold(&cx);
        let serving = Serving::new(&mut socket, state, cx, pace);
        Box::pin(serving.run(&ending)).await
    };
    let Err(stop) = stopped.await;
    if let Stop::Close(close) = stop {
        Box::pin(close_with(socket, close)).await;
    }
}

/// Tells a client that speaks something else.
pub(super) async fn refuse_subprotocol(socket: Box<WebSocket>) {
    close_with(socket, Close::SubprotocolNotAcceptable).await;
}

/// Closes, and takes what is still on its way: a connection cut with unread bytes in it
/// loses the close frame.
async fn close_with(mut socket: Box<WebSocket>, close: Close) {
    let goodbye = async {
        let frame = Message::Close(Some(close.frame()));
        if socket.send(frame).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = timeout(GOODBYE, goodbye).await;
}

/// What a frame says, if it is a message of the protocol.
pub(super) fn incoming(
    received: Option<Result<Message, axum::Error>>,
) -> Result<Option<Incoming>, Stop> {
    match received {
        None => Err(Stop::Gone),
        Some(Err(error)) => Err(broken(&error)),
        Some(Ok(Message::Text(text))) if text.len() > MESSAGE_BYTES => Err(Close::TooLarge.into()),
        Some(Ok(Message::Text(text))) => Ok(Some(Incoming::parse(&text)?)),
        Some(Ok(Message::Binary(_))) => Err(Close::BadRequest("Messages are text").into()),
        Some(Ok(Message::Close(_))) => Err(Stop::Gone),
        // Pings of the WebSocket protocol itself are answered below us.
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
    }
}

/// Tells a message that was too large to be read from a connection that broke.
fn broken(error: &axum::Error) -> Stop {
    if error.to_string().contains("too long") {
        Close::TooLarge.into()
    } else {
        Stop::Gone
    }
}

/// Writes messages in one flush.
pub(super) async fn write(socket: &mut WebSocket, messages: Vec<Message>) -> Result<(), Stop> {
    let write = async {
        for message in messages {
            socket.feed(message).await?;
        }
        socket.flush().await
    };
    match timeout(WRITE, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Stop::Gone),
        Err(_) => Err(Close::TryAgainLater.into()),
    }
}
