//! One socket, from greeting to close.

use std::collections::HashMap;
use std::time::Duration;

use async_graphql::Response as Outcome;
use axum::extract::ws::{Message, WebSocket};
use backchannel_domain::bus::SessionWatch;
use backchannel_domain::error::Unauthenticated;
use backchannel_domain::{Cx, Error};
use backchannel_schema::{GraphQlRequest, code, refusal};
use futures_util::stream::{AbortHandle, Abortable, BoxStream, SelectAll};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

use crate::auth;
use crate::graphql::ending::{Ending, Reason};
use crate::graphql::results;
use crate::state::State;

use super::protocol::{self, Close, Incoming, MESSAGE_BYTES};

/// How long the greeting may take.
const INIT: Duration = Duration::from_secs(10);
/// How often a peer is pinged, and how many pings it may leave unanswered: a dead one is
/// gone after at most a minute.
const PING: Duration = Duration::from_secs(20);
const UNANSWERED: u32 = 2;
/// How long a write may wait for a peer that does not read.
const WRITE: Duration = Duration::from_secs(10);
/// How long a peer has to answer a close.
const GOODBYE: Duration = Duration::from_secs(2);
/// Most operations at a time.
const OPERATIONS: usize = 50;
/// Most messages written in one go.
const FLUSH: usize = 64;

/// Why serving stopped.
enum Stop {
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
pub(super) async fn serve(mut socket: WebSocket, state: State) {
    let stopped = async {
        // Boxed, so that what only the beginning needs is not kept to the end.
        let (cx, session) = Box::pin(greet(&mut socket, &state)).await?;
        let ending = Ending::of(&state, &cx, session);
        Box::pin(Serving::new(&mut socket, state, cx).run(&ending)).await
    };
    let Err(stop) = stopped.await;
    if let Stop::Close(close) = stop {
        Box::pin(close_with(socket, close)).await;
    }
}

/// Tells a client that speaks something else.
pub(super) async fn refuse_subprotocol(socket: WebSocket) {
    close_with(socket, Close::SubprotocolNotAcceptable).await;
}

/// Closes, and takes what is still on its way: a connection cut with unread bytes in it
/// loses the close frame.
async fn close_with(mut socket: WebSocket, close: Close) {
    let goodbye = async {
        let frame = Message::Close(Some(close.frame()));
        if socket.send(frame).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = timeout(GOODBYE, goodbye).await;
}

/// Waits for `connection_init` and learns who it is.
async fn greet(socket: &mut WebSocket, state: &State) -> Result<(Cx, Option<SessionWatch>), Stop> {
    let deadline = Instant::now() + INIT;
    let draining = state.draining();
    loop {
        let received = tokio::select! {
            () = draining.cancelled() => return Err(Close::Restarting.into()),
            received = timeout_at(deadline, socket.recv()) => received,
        };
        let received = received.map_err(|_| Close::InitTimeout)?;
        match incoming(received)? {
            None | Some(Incoming::Pong | Incoming::Complete { .. }) => {}
            Some(Incoming::Ping { payload }) => {
                write(socket, protocol::pong(payload.as_deref())).await?;
            }
            Some(Incoming::Subscribe { .. }) => return Err(Close::Unauthorized.into()),
            Some(Incoming::Init { token }) => {
                let known = authenticate(state, token.as_deref()).await?;
                write(socket, protocol::ack()).await?;
                return Ok(known);
            }
        }
    }
}

async fn authenticate(
    state: &State,
    token: Option<&str>,
) -> Result<(Cx, Option<SessionWatch>), Stop> {
    let Some(token) = token else {
        return Ok((state.domain().anonymous(Unauthenticated::NoToken), None));
    };
    match state
        .domain()
        .authenticate_and_watch(auth::strip_scheme(token))
        .await
    {
        Ok((cx, watch)) => Ok((cx, Some(watch))),
        Err(Error::Unauthenticated(_)) => Err(Close::Forbidden("Forbidden").into()),
        Err(error) => {
            tracing::error!(%error, "authenticating a socket failed");
            Err(Close::TryAgainLater.into())
        }
    }
}

/// What a frame says, if it is a message of the protocol.
fn incoming(received: Option<Result<Message, axum::Error>>) -> Result<Option<Incoming>, Stop> {
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

async fn write(socket: &mut WebSocket, message: Message) -> Result<(), Stop> {
    match timeout(WRITE, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Stop::Gone),
        Err(_) => Err(Close::TryAgainLater.into()),
    }
}

/// What an operation has to say, and whether that was the last of it.
struct Output {
    id: Option<String>,
    message: Message,
}

type Outputs = Abortable<BoxStream<'static, Output>>;

/// A greeted socket.
struct Serving<'a> {
    socket: &'a mut WebSocket,
    state: State,
    cx: Cx,
    outputs: SelectAll<Outputs>,
    running: HashMap<String, AbortHandle>,
    /// Pings sent since the peer was last heard of.
    unanswered: u32,
}

impl<'a> Serving<'a> {
    fn new(socket: &'a mut WebSocket, state: State, cx: Cx) -> Self {
        let (outputs, running) = (SelectAll::new(), HashMap::new());
        Self {
            socket,
            state,
            cx,
            outputs,
            running,
            unanswered: 0,
        }
    }

    /// Serves until something stops it.
    async fn run(mut self, ending: &Ending) -> Result<std::convert::Infallible, Stop> {
        let ended = ending.ended();
        tokio::pin!(ended);
        let mut ping = interval(PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        loop {
            tokio::select! {
                biased;
                reason = &mut ended => return Err(close_for(reason).into()),
                received = self.socket.recv() => {
                    self.unanswered = 0;
                    if let Some(message) = incoming(received)? {
                        let answer = self.obey(message)?;
                        if let Some(answer) = answer {
                            self.write_while_alive(vec![answer], &mut ended).await?;
                        }
                    }
                }
                Some(output) = self.outputs.next(), if !self.outputs.is_empty() => {
                    let messages = self.gather(output);
                    self.write_while_alive(messages, &mut ended).await?;
                }
                _ = ping.tick() => {
                    if self.unanswered == UNANSWERED {
                        return Err(Stop::Gone);
                    }
                    self.unanswered += 1;
                    let ping = vec![Message::Ping(axum::body::Bytes::new())];
                    self.write_while_alive(ping, &mut ended).await?;
                }
            }
        }
    }

    /// This output and all others that are ready, for one flush.
    fn gather(&mut self, first: Output) -> Vec<Message> {
        let mut messages = Vec::with_capacity(1);
        let mut next = Some(first);
        while let Some(output) = next {
            messages.push(output.message);
            if let Some(id) = output.id {
                self.running.remove(&id);
            }
            next = if messages.len() < FLUSH {
                self.outputs.next().now_or_never().flatten()
            } else {
                None
            };
        }
        messages
    }

    /// Writes, unless the socket's end comes first: a peer that does not read must not be
    /// able to outlive its session.
    async fn write_while_alive(
        &mut self,
        messages: Vec<Message>,
        ended: &mut (impl Future<Output = Reason> + Unpin),
    ) -> Result<(), Stop> {
        let write = async {
            for message in messages {
                self.socket.feed(message).await?;
            }
            self.socket.flush().await
        };
        tokio::select! {
            biased;
            written = timeout(WRITE, write) => match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(Stop::Gone),
                Err(_) => Err(Close::TryAgainLater.into()),
            },
            reason = ended => Err(close_for(reason).into()),
        }
    }

    /// Does what a message says; answers it if there is something to answer at once.
    fn obey(&mut self, message: Incoming) -> Result<Option<Message>, Close> {
        match message {
            Incoming::Init { .. } => Err(Close::TooManyInits),
            Incoming::Ping { payload } => Ok(Some(protocol::pong(payload.as_deref()))),
            Incoming::Pong => Ok(None),
            Incoming::Complete { id } => {
                // Its stream is dropped when it is next looked at, and says nothing more.
                if let Some(handle) = self.running.remove(&id) {
                    handle.abort();
                }
                Ok(None)
            }
            Incoming::Subscribe { id, request } => self.subscribe(id, request),
        }
    }

    fn subscribe(&mut self, id: String, request: GraphQlRequest) -> Result<Option<Message>, Close> {
        if self.running.contains_key(&id) {
            return Err(Close::SubscriberExists);
        }
        if self.running.len() >= OPERATIONS {
            let message = format!("a socket runs at most {OPERATIONS} operations at a time");
            let refusal = refusal(code::TOO_COMPLEX, message, None);
            return Ok(Some(protocol::result(&id, &refusal).0));
        }
        let operation = match self.state.api().prepare(request) {
            Ok(operation) => operation,
            Err(refusal) => return Ok(Some(protocol::result(&id, &refusal).0)),
        };
        let outcomes = results(&self.state, operation, self.cx.clone());
        let (handle, registration) = AbortHandle::new_pair();
        self.running.insert(id.clone(), handle);
        self.outputs
            .push(Abortable::new(outputs(id, outcomes), registration));
        Ok(None)
    }
}

fn close_for(reason: Reason) -> Close {
    match reason {
        Reason::SessionEnded => Close::Forbidden("The session has ended"),
        Reason::TokenExpired => Close::Forbidden("The access token has expired"),
        Reason::Draining => Close::Restarting,
    }
}

/// An operation's results as messages; `complete` follows unless an `error` ended it.
fn outputs(id: String, outcomes: BoxStream<'static, Outcome>) -> BoxStream<'static, Output> {
    stream::unfold(Some((id, outcomes)), |operation| async move {
        let (id, mut outcomes) = operation?;
        match outcomes.next().await {
            Some(outcome) => {
                let (message, last) = protocol::result(&id, &outcome);
                if last {
                    Some((
                        Output {
                            id: Some(id),
                            message,
                        },
                        None,
                    ))
                } else {
                    Some((Output { id: None, message }, Some((id, outcomes))))
                }
            }
            None => {
                let message = protocol::complete(&id);
                Some((
                    Output {
                        id: Some(id),
                        message,
                    },
                    None,
                ))
            }
        }
    })
    .boxed()
}
