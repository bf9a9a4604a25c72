//! A subscription that may be cut at any time.

use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::caller::{ANSWER, Caller, Cut, World};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How a subscriber is connected.
pub(crate) enum Connection {
    WebSocket(Box<Socket>),
    ServerSent(Incoming, Vec<u8>),
}

impl Connection {
    /// Subscribes on the node that `caller` is on.
    pub(crate) async fn open(
        caller: &Caller,
        by_socket: bool,
        query: &str,
        variables: &Value,
    ) -> Result<Self, Cut> {
        let opening = async {
            if by_socket {
                let socket = open_socket(caller, query, variables).await?;
                Ok(Self::WebSocket(Box::new(socket)))
            } else {
                let response = caller.open("text/event-stream", query, variables).await?;
                Ok(Self::ServerSent(response.into_body(), Vec::new()))
            }
        };
        timeout(ANSWER, opening).await.unwrap_or_else(|_| {
            let fault = format!("a stream did not open: {variables}");
            caller.world.fault(fault);
            Err(Cut)
        })
    }

    /// The data of the next result, until the connection is cut.
    pub(crate) async fn next(&mut self, world: &World) -> Result<Value, Cut> {
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
        Ok(payload["data"].take())
    }
}

async fn open_socket(caller: &Caller, query: &str, variables: &Value) -> Result<Socket, Cut> {
    let url = caller.url().replacen("http", "ws", 1);
    let mut request = url.into_client_request().expect("a valid request");
    let protocol = "graphql-transport-ws".parse().expect("a header value");
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", protocol);
    let connected = tokio_tungstenite::connect_async(request).await;
    let (mut socket, _) = connected.map_err(|_| Cut)?;
    let token = caller.token.as_deref().expect("signed in");
    let greeting = json!({ "type": "connection_init", "payload": { "authorization": token } });
    let payload = json!({ "query": query, "variables": variables });
    let subscription = json!({ "type": "subscribe", "id": "1", "payload": payload });
    send(&mut socket, &greeting).await?;
    let ack = receive(&mut socket).await?;
    assert_eq!(ack["type"], "connection_ack", "{ack}");
    send(&mut socket, &subscription).await?;
    Ok(socket)
}

async fn send(socket: &mut Socket, message: &Value) -> Result<(), Cut> {
    let message = Message::text(message.to_string());
    socket.send(message).await.map_err(|_| Cut)
}

async fn receive(socket: &mut Socket) -> Result<Value, Cut> {
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
