//! A client on a connection of its own, which it keeps.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::{PATIENCE, Result};

const JSON: &str = "application/json";

pub(crate) struct Client {
    connection: SendRequest<Full<Bytes>>,
    host: String,
    authorization: String,
}

impl Client {
    /// Connects, as nobody if the token is empty.
    pub(crate) async fn connect(address: SocketAddr, token: &str) -> Result<Self> {
        let connecting = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, crate::Failure>(handshake(TokioIo::new(stream)).await?)
        };
        let (sender, connection) = timeout(PATIENCE, connecting).await??;
        // It ends with the client, or else the next request tells.
        spawn_local(async { connection.await.ok() });
        Ok(Self {
            connection: sender,
            host: address.to_string(),
            authorization: if token.is_empty() {
                String::new()
            } else {
                format!("Bearer {token}")
            },
        })
    }

    /// The answer to a request that is written already, if it is one without errors.
    pub(crate) async fn post(&mut self, body: String) -> Result<Bytes> {
        let request = Request::post("/graphql")
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, JSON)
            .header(ACCEPT, JSON)
            .header(AUTHORIZATION, &self.authorization)
            .body(Full::from(body))?;
        let answering = async {
            self.connection.ready().await?;
            let response = self.connection.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            Ok::<_, hyper::Error>((status, body))
        };
        let (status, body) = timeout(PATIENCE, answering).await??;
        if status != StatusCode::OK || memmem::find(&body, b"\"errors\"").is_some() {
            let body = String::from_utf8_lossy(&body);
            return Err(format!("answered {status}: {body}").into());
        }
        Ok(body)
    }

    /// The data of the answer to a request.
    pub(crate) async fn ask(&mut self, query: &str, variables: Value) -> Result<Value> {
        let body = json!({ "query": query, "variables": variables });
        let answer = self.post(body.to_string()).await?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        Ok(answer["data"].take())
    }
}
