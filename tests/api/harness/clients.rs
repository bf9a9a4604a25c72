//! Clients for the three doors, no more than tests need.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::PATIENCE;

/// An HTTP client.
#[derive(Clone)]
pub(crate) struct Http(Client<HttpConnector, Full<Bytes>>);

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!(
                "not JSON ({error}): {}",
                String::from_utf8_lossy(&self.body)
            )
        })
    }

    pub(crate) fn content_type(&self) -> &str {
        self.headers
            .get(CONTENT_TYPE)
            .map_or("", |value| value.to_str().expect("text"))
    }
}

impl Http {
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// Any request.
    pub(crate) async fn request(&self, request: Request<Full<Bytes>>) -> Answer {
        let answered = async {
            let response = self.0.request(request).await.expect("the node answers");
            let (parts, body) = response.into_parts();
            let body = body
                .collect()
                .await
                .expect("the answer arrives whole")
                .to_bytes();
            Answer {
                status: parts.status,
                headers: parts.headers,
                body,
            }
        };
        timeout(PATIENCE, answered)
            .await
            .expect("the node answers in time")
    }

    /// A GraphQL request as most clients send it.
    pub(crate) async fn post(&self, url: &str, token: Option<&str>, body: &Value) -> Answer {
        self.request(graphql(url, token, "application/json", body))
            .await
    }

    /// Opens a stream of server-sent events.
    pub(crate) async fn events(&self, url: &str, token: Option<&str>, body: &Value) -> Events {
        let request = graphql(url, token, "text/event-stream", body);
        let response = timeout(PATIENCE, self.0.request(request)).await;
        let response = response
            .expect("the node answers in time")
            .expect("the node answers");
        assert_eq!(response.status(), StatusCode::OK);
        Events {
            body: response.into_body(),
            text: String::new(),
        }
    }
}

fn graphql(url: &str, token: Option<&str>, accept: &str, body: &Value) -> Request<Full<Bytes>> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, accept);
    let request = match token {
        Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
        None => request,
    };
    request
        .body(Full::from(body.to_string()))
        .expect("a valid request")
}

/// A stream of server-sent events.
pub(crate) struct Events {
    body: hyper::body::Incoming,
    text: String,
}

impl Events {
    /// The next event's name and data; none at the end of the stream. Comments are skipped.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some((event, rest)) = self.text.split_once("\n\n") {
                let fields: Vec<_> = event
                    .lines()
                    .filter_map(|line| line.split_once(':'))
                    .collect();
                let field = |name| {
                    fields
                        .iter()
                        .find(|(key, _)| *key == name)
                        .map(|(_, v)| v.trim())
                };
                let parsed = field("event").map(|name| {
                    let data = field("data").filter(|data| !data.is_empty());
                    let data = data.map_or(Value::Null, |data| {
                        serde_json::from_str(data).expect("JSON")
                    });
                    (name.to_owned(), data)
                });
                self.text = rest.to_owned();
                if parsed.is_some() {
                    return parsed;
                }
            }
            let frame = timeout(PATIENCE, self.body.frame())
                .await
                .expect("something arrives in time");
            let frame = frame?.ok()?;
            let data = frame.into_data().unwrap_or_default();
            self.text.push_str(str::from_utf8(&data).expect("UTF-8"));
        }
    }
}

/// A graphql-transport-ws socket.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// How a socket ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Closed(u16),
    Cut,
}

impl Socket {
    /// Connects and greets; fails the test if the greeting is refused.
    pub(crate) async fn open(url: &str, token: Option<&str>) -> Self {
        let mut socket = Self::connect(url).await;
        socket.greet(token).await;
        let ack = socket.next().await.expect("the greeting is accepted");
        assert_eq!(ack["type"], "connection_ack", "{ack}");
        socket
    }

    /// Connects and says nothing.
    pub(crate) async fn connect(url: &str) -> Self {
        Self::try_connect(url, &[]).await.expect("the socket opens")
    }

    /// Connects with further headers.
    pub(crate) async fn try_connect(
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, WsError> {
        let mut request = url.replacen("http", "ws", 1).into_client_request()?;
        let protocol = "graphql-transport-ws".parse().expect("a header value");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(*name, value.parse().expect("a header value"));
        }
        // Thousands of sockets of the default, 128 KiB, would be too much for us.
        let config = WebSocketConfig::default().read_buffer_size(4_096);
        let connecting = connect_async_with_config(request, Some(config), false);
        let connected = timeout(PATIENCE, connecting).await;
        connected
            .expect("the node answers in time")
            .map(|(socket, _)| Self(socket))
    }

    pub(crate) async fn greet(&mut self, token: Option<&str>) {
        let payload = token.map(|token| json!({ "authorization": format!("Bearer {token}") }));
        self.send(&json!({ "type": "connection_init", "payload": payload }))
            .await;
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str, variables: &Value) {
        let payload = json!({ "query": query, "variables": variables });
        self.send(&json!({ "type": "subscribe", "id": id, "payload": payload }))
            .await;
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.send_text(message.to_string()).await;
    }

    pub(crate) async fn send_text(&mut self, text: String) {
        self.0
            .send(Message::text(text))
            .await
            .expect("the socket is open");
    }

    /// Says goodbye, and takes what is still on its way.
    pub(crate) async fn close(mut self) {
        self.0.close(None).await.expect("the socket is open");
        self.ended().await;
    }

    /// The next message, or how the socket ended.
    pub(crate) async fn next(&mut self) -> Result<Value, Ended> {
        self.next_within(PATIENCE).await
    }

    /// The next message, or how the socket ended, for which more patience is needed.
    pub(crate) async fn next_within(&mut self, patience: Duration) -> Result<Value, Ended> {
        let next = timeout(patience, self.read()).await;
        next.expect("something arrives in time")
    }

    /// Nothing arrives for `a_while`.
    pub(crate) async fn stays_silent_for(&mut self, a_while: Duration) {
        if let Ok(message) = timeout(a_while, self.read()).await {
            panic!("something arrived: {message:?}");
        }
    }

    /// Reads to the end.
    pub(crate) async fn ended(&mut self) -> Ended {
        loop {
            if let Err(ended) = self.next().await {
                return ended;
            }
        }
    }

    async fn read(&mut self) -> Result<Value, Ended> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    return Ok(serde_json::from_str(&text).expect("messages are JSON"));
                }
                Some(Ok(Message::Close(frame))) => {
                    return Err(frame.map_or(Ended::Cut, |frame| Ended::Closed(frame.code.into())));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Ended::Cut),
            }
        }
    }
}
