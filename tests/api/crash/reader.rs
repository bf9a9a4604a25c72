//! Those who follow a conversation, and come back to it.

use std::sync::atomic::Ordering;

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::harness::PATIENCE;
use crate::harness::people::{EVENTS, text};

use super::caller::{ANSWER, Caller, Cut, RETRY, World};

/// What a reader keeps of an event: all but what may change until it is read again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) seq: i64,
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) message_seq: i64,
}

impl Seen {
    pub(super) fn of(event: &Value) -> Self {
        Self {
            seq: event["seq"].as_i64().expect("a number"),
            kind: text(&event["__typename"]),
            message: text(&event["message"]["id"]),
            message_seq: event["message"]["seq"].as_i64().expect("a number"),
        }
    }
}

pub(super) struct Reader {
    pub(super) room: usize,
    pub(super) caller: Caller,
    pub(super) seen: Vec<Seen>,
    /// The text that each of `seen` came with.
    pub(super) texts: Vec<Option<String>>,
}

/// How a reader is connected.
enum Connection {
    WebSocket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    ServerSent(Incoming, Vec<u8>),
}

impl Reader {
    pub(super) fn new(room: usize, caller: Caller) -> Self {
        Self {
            room,
            caller,
            seen: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// Reads until it has seen up to the end that it is told, once it is; or for a while longer.
    pub(super) async fn read(
        mut self,
        by_socket: bool,
        mut end: watch::Receiver<Option<Vec<i64>>>,
    ) -> Self {
        let mut told = end.clone();
        let too_late = async {
            let told = told.wait_for(Option::is_some).await;
            drop(told.expect("the end is told"));
            sleep(PATIENCE).await;
        };
        tokio::select! {
            () = self.read_to(&mut end, by_socket) => {}
            () = too_late => {}
        }
        self
    }

    async fn read_to(&mut self, end: &mut watch::Receiver<Option<Vec<i64>>>, by_socket: bool) {
        while !self.is_at(end) {
            let Ok(mut connection) = self.connect(by_socket).await else {
                sleep(RETRY).await;
                continue;
            };
            self.caller
                .world
                .connections
                .fetch_add(1, Ordering::Relaxed);
            while !self.is_at(end) {
                tokio::select! {
                    event = connection.next(&self.caller.world) => match event {
                        Ok(event) => self.note(&event),
                        Err(Cut) => break,
                    },
                    told = end.changed() => told.expect("the end is told"),
                }
            }
        }
    }

    fn last(&self) -> i64 {
        self.seen.last().map_or(0, |seen| seen.seq)
    }

    fn is_at(&self, end: &watch::Receiver<Option<Vec<i64>>>) -> bool {
        end.borrow()
            .as_ref()
            .is_some_and(|end| self.last() >= end[self.room])
    }

    fn note(&mut self, event: &Value) {
        let seen = Seen::of(event);
        if seen.seq != self.last() + 1 {
            let what = if seen.seq <= self.last() {
                "repeated"
            } else {
                "a hole"
            };
            let fault = format!("{what}: {} after {}", seen.seq, self.last());
            self.caller.world.fault(fault);
        }
        self.caller.world.events.fetch_add(1, Ordering::Relaxed);
        self.seen.push(seen);
        let text = event["message"]["text"].as_str();
        self.texts.push(text.map(str::to_owned));
    }

    async fn connect(&self, by_socket: bool) -> Result<Connection, Cut> {
        let room = &self.caller.world.rooms[self.room];
        let variables = json!({ "id": room, "after": self.last() });
        let opening = async {
            if by_socket {
                self.open_socket(&variables).await
            } else {
                let response = self
                    .caller
                    .open("text/event-stream", EVENTS, &variables)
                    .await?;
                Ok(Connection::ServerSent(response.into_body(), Vec::new()))
            }
        };
        timeout(ANSWER, opening).await.unwrap_or_else(|_| {
            let fault = format!("a stream did not open: {variables}");
            self.caller.world.fault(fault);
            Err(Cut)
        })
    }

    async fn open_socket(&self, variables: &Value) -> Result<Connection, Cut> {
        let url = self.caller.url.replacen("http", "ws", 1);
        let mut request = url.into_client_request().expect("a valid request");
        let protocol = "graphql-transport-ws".parse().expect("a header value");
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", protocol);
        let connected = tokio_tungstenite::connect_async(request).await;
        let (mut socket, _) = connected.map_err(|_| Cut)?;
        let token = self.caller.token.as_deref().expect("signed in");
        let greeting = json!({ "type": "connection_init", "payload": { "authorization": token } });
        let payload = json!({ "query": EVENTS, "variables": variables });
        let subscription = json!({ "type": "subscribe", "id": "1", "payload": payload });
        send(&mut socket, &greeting).await?;
        let ack = receive(&mut socket).await?;
        assert_eq!(ack["type"], "connection_ack", "{ack}");
        send(&mut socket, &subscription).await?;
        Ok(Connection::WebSocket(Box::new(socket)))
    }
}

async fn send(
    socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>,
    message: &Value,
) -> Result<(), Cut> {
    let message = Message::text(message.to_string());
    socket.send(message).await.map_err(|_| Cut)
}

async fn receive(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Result<Value, Cut> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return Ok(serde_json::from_str(&text).expect("messages are JSON"));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            // A close frame, or the end of the connection without one.
            Some(Ok(_) | Err(_)) | None => return Err(Cut),
        }
    }
}

impl Connection {
    /// The next event, until the connection is cut.
    async fn next(&mut self, world: &World) -> Result<Value, Cut> {
        let mut payload = match self {
            Self::WebSocket(socket) => {
                let mut message = receive(socket).await?;
                if message["type"] == "error" {
                    world.check(&message["payload"])?;
                }
                assert_eq!(message["type"], "next", "{message}");
                message["payload"].take()
            }
            Self::ServerSent(body, buffer) => next_server_sent(body, buffer).await?,
        };
        world.check(&payload["errors"])?;
        Ok(payload["data"]["conversationEvents"].take())
    }
}

async fn next_server_sent(body: &mut Incoming, buffer: &mut Vec<u8>) -> Result<Value, Cut> {
    loop {
        if let Some(end) = buffer.windows(2).position(|two| two == b"\n\n") {
            let event: Vec<u8> = buffer.drain(..end + 2).collect();
            let event = String::from_utf8(event).expect("UTF-8");
            if let Some((_, data)) = event.split_once("data: ") {
                return Ok(serde_json::from_str(data).expect("JSON"));
            }
            // A comment, which keeps the stream alive.
            continue;
        }
        let frame = body.frame().await.ok_or(Cut)?.map_err(|_| Cut)?;
        buffer.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
}
