//! A greeted socket: messages in, results out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use async_stream::stream;
use axum::extract::ws::{Message, WebSocket};
use backchannel_domain::Cx;
use backchannel_schema::{Answer, GraphQlRequest, code, failure, refusal};
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::{AbortHandle, Abortable, BoxStream, FuturesUnordered, SelectAll};
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio::time::sleep;

use crate::graphql::answers;
use crate::graphql::ending::{Ending, Reason};
use crate::state::State;

use super::connection::{Stop, incoming, write};
use super::greeting::renew;
use super::pace::Pace;
use super::protocol::{self, About, Close, Incoming};
use super::socket::Socket;

/// How often a peer is pinged, and how many pings it may leave unanswered: a dead one is
/// gone after at most a minute.
const PING: Duration = Duration::from_secs(20);
const UNANSWERED: u32 = 2;
/// Most operations at a time.
const OPERATIONS: usize = 50;
/// Most messages written in one go.
const FLUSH: usize = 64;

/// What an operation has to say, and whether that was the last of it.
struct Output {
    id: Option<String>,
    message: Message,
}

type Outputs = Abortable<BoxStream<'static, Output>>;

/// A greeted socket.
pub(super) struct Serving<'a> {
    socket: Socket<'a>,
    state: State,
    cx: Cx,
    outputs: SelectAll<Outputs>,
    running: HashMap<String, AbortHandle>,
    pace: Pace,
    /// A new token that is being looked at. Nothing is read meanwhile, so that messages are
    /// obeyed in their order; results are written.
    renewal: Option<BoxFuture<'static, Result<Option<Cx>, Close>>>,
    /// Pings sent since the peer was last heard of.
    unanswered: u32,
}

impl<'a> Serving<'a> {
    pub(super) fn new(socket: &'a mut WebSocket, state: State, cx: Cx, pace: Pace) -> Self {
        let (outputs, running) = (SelectAll::new(), HashMap::new());
        Self {
            socket: Socket::new(socket),
            state,
            cx,
            outputs,
            running,
            pace,
            renewal: None,
            unanswered: 0,
        }
    }

    /// Serves until something stops it.
    pub(super) async fn run(mut self, ending: &Ending) -> Result<Infallible, Stop> {
        // In a set, which looks at what it holds only when that was woken: all this is gone through
        // for every event.
        let ended = ending.ended().map(Alarm::Ended);
        let mut alarms = FuturesUnordered::from_iter([ended.left_future()]);
        alarms.push(ping_is_due().right_future());
        loop {
            let next = async {
                self.socket.may_have_come().await;
                self.pace.keep().await;
                self.socket.recv().await
            };
            let messages = tokio::select! {
                biased;
                Some(alarm) = alarms.next() => match alarm {
                    Alarm::Ended(reason) => return Err(close_for(reason).into()),
                    Alarm::PingIsDue => {
                        alarms.push(ping_is_due().right_future());
                        vec![self.ping()?]
                    }
                },
                Some(renewed) = OptionFuture::from(self.renewal.as_mut()) => {
                    self.renewal = None;
                    vec![self.renewed(renewed?, ending)]
                }
                received = next, if self.renewal.is_none() => {
                    self.pace.count();
                    self.unanswered = 0;
                    match incoming(received)? {
                        Some(message) => self.obey(message)?.into_iter().collect(),
                        None => continue,
                    }
                }
                Some(output) = self.outputs.next(), if !self.outputs.is_empty() => {
                    self.gather(output)
                }
            };
            if !messages.is_empty() {
                self.write_while_alive(messages, ending).await?;
            }
        }
    }

    /// Asks the peer whether it is there, unless it has left that open too often. One that is
    /// not being read cannot be heard.
    fn ping(&mut self) -> Result<Message, Stop> {
        if self.unanswered == UNANSWERED {
            return Err(Stop::Gone);
        }
        let is_read = self.renewal.is_none() && self.pace.resumes().is_none();
        self.unanswered += u32::from(is_read);
        Ok(Message::Ping(axum::body::Bytes::new()))
    }

    /// Goes on under a new token, or without one as before, and tells for how long.
    fn renewed(&mut self, cx: Option<Cx>, ending: &Ending) -> Message {
        if let Some(cx) = cx {
            ending.renew(&cx);
            self.cx = cx;
        }
        protocol::lives_until(ending.expires_at())
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
        ending: &Ending,
    ) -> Result<(), Stop> {
        let ended = async {
            // Boxed, as most writes end at once.
            Box::pin(ending.ended()).await
        };
        tokio::select! {
            biased;
            written = write(self.socket.inner, messages) => written,
            reason = ended => Err(close_for(reason).into()),
        }
    }

    /// Does what a message says; answers it if there is something to answer at once.
    fn obey(&mut self, message: Incoming) -> Result<Option<Message>, Close> {
        match message {
            Incoming::Init { .. } => Err(Close::TooManyInits),
            Incoming::Ping { payload } => Ok(Some(protocol::pong(payload.as_deref()))),
            Incoming::Renew { token } => {
                // Nobody's socket cannot become somebody's.
                if self.cx.signed_in().is_err() {
                    return Err(Close::Forbidden("Nobody is signed in"));
                }
                let renewal = renew(self.state.clone(), self.cx.clone(), token);
                self.renewal = Some(renewal.boxed());
                Ok(None)
            }
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
            return Ok(Some(About::new(&id).refused(&refusal)));
        }
        let allowance = match self.state.domain().count_requests(&self.cx.payer(), 1) {
            Ok(allowance) => allowance,
            Err(error) => return Ok(Some(About::new(&id).refused(&failure(error)))),
        };
        let operation = match self.state.api().prepare(request) {
            Ok(operation) => operation,
            Err(refusal) => return Ok(Some(About::new(&id).refused(&refusal))),
        };
        let answers = answers(&self.state, operation, self.cx.clone(), allowance);
        let (handle, registration) = AbortHandle::new_pair();
        self.running.insert(id.clone(), handle);
        self.outputs
            .push(Abortable::new(outputs(id, answers), registration));
        Ok(None)
    }
}

/// What comes at its time, whatever peer and operations do.
enum Alarm {
    Ended(Reason),
    PingIsDue,
}

async fn ping_is_due() -> Alarm {
    sleep(PING).await;
    Alarm::PingIsDue
}

fn close_for(reason: Reason) -> Close {
    match reason {
        Reason::SessionEnded => Close::Forbidden("The session has ended"),
        Reason::TokenExpired => Close::Forbidden("The access token has expired"),
        Reason::Draining => Close::Restarting,
    }
}

/// What an operation has to say, as messages; `complete` follows unless an `error` ended it.
fn outputs(
    id: String,
    answers: impl Stream<Item = Answer> + Send + 'static,
) -> BoxStream<'static, Output> {
    let about = About::new(&id);
    // All in one place of memory: it is gone through for every event.
    let outputs = stream! {
        tokio::pin!(answers);
        loop {
            let (message, last) = match answers.next().await {
                Some(answer) => about.answer(&answer),
                None => (about.complete(), true),
            };
            if last {
                yield Output { id: Some(id), message };
                return;
            }
            yield Output { id: None, message };
        }
    };
    outputs.boxed()
}
