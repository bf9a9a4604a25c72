//! Subscribers of a conversation, each on a WebSocket of its own, who hear every event once and in
//! order, or else say so.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::marker::{self, Marker};
use crate::{PATIENCE, Result};

const EVENTS: &str = "subscription On($c: ID!, $a: Int) {
    conversationEvents(conversationId: $c, after: $a) {
        seq at ... on MessageSent { message { id text createdAt sender { id displayName } } }
    }
}";
/// What is read at once.
const READ_BYTES: usize = 8_192;

/// A socket that has subscribed, and has read nothing since.
pub(crate) struct Subscription {
    socket: WebSocketStream<TcpStream>,
    /// The last position known.
    last: Option<u64>,
}

/// What subscribers had to complain of.
#[derive(Default)]
pub(crate) struct Complaints {
    lost: Cell<u64>,
    repeated: Cell<u64>,
    other: RefCell<Option<String>>,
}

/// A socket that is read. Dropping it cuts the connection.
pub(crate) struct Listener {
    reading: AbortHandle,
    last: Rc<Cell<Option<u64>>>,
}

impl Complaints {
    /// Fails if there are any.
    pub(crate) fn check(&self) -> Result<()> {
        let (lost, repeated) = (self.lost.get(), self.repeated.get());
        match self.other.take() {
            Some(other) => Err(format!("a subscriber was told {other}").into()),
            None if (lost, repeated) == (0, 0) => Ok(()),
            None => Err(format!("{lost} events were lost, {repeated} repeated").into()),
        }
    }
}

impl Subscription {
    /// Connects, greets and subscribes; `after` is the last position seen.
    pub(crate) async fn open(
        address: SocketAddr,
        token: &str,
        conversation: &str,
        after: Option<u64>,
    ) -> Result<Self> {
        Self::over(TcpSocket::new_v4()?, address, token, conversation, after).await
    }

    /// The same with little room for what is not read. Left alone, the kernel takes megabytes for
    /// somebody on the same machine, because it reckons in segments and lets them be large.
    pub(crate) async fn open_narrow(
        address: SocketAddr,
        token: &str,
        conversation: &str,
    ) -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_tcp_mss(536)?;
        socket.set_recv_buffer_size(4_096)?;
        socket.set_nonblocking(true)?;
        let socket = TcpSocket::from_std_stream(socket.into());
        Self::over(socket, address, token, conversation, None).await
    }

    async fn over(
        socket: TcpSocket,
        address: SocketAddr,
        token: &str,
        conversation: &str,
        after: Option<u64>,
    ) -> Result<Self> {
        let opening = async {
            let stream = socket.connect(address).await?;
            stream.set_nodelay(true)?;
            let mut request = format!("ws://{address}/graphql").into_client_request()?;
            let protocol = "graphql-transport-ws".parse()?;
            let headers = request.headers_mut();
            headers.insert("sec-websocket-protocol", protocol);
            let config = WebSocketConfig::default()
                .read_buffer_size(READ_BYTES)
                .write_buffer_size(0);
            let connected = client_async_with_config(request, stream, Some(config)).await;
            let (mut socket, _) = connected?;
            let payload = json!({ "authorization": format!("Bearer {token}") });
            send(
                &mut socket,
                &json!({ "type": "connection_init", "payload": payload }),
            )
            .await?;
            let ack = socket
                .next()
                .await
                .ok_or("the greeting was not answered")??;
            if !ack.to_text()?.contains("\"connection_ack\"") {
                return Err(format!("the greeting was answered by {ack}").into());
            }
            let variables = json!({ "c": conversation, "a": after });
            let payload = json!({ "query": EVENTS, "variables": variables });
            let subscribe = json!({ "id": "1", "type": "subscribe", "payload": payload });
            send(&mut socket, &subscribe).await?;
            Ok(Self {
                socket,
                last: after,
            })
        };
        timeout(PATIENCE, opening).await?
    }

    /// Reads what there is until the node has given it up, as it must with one that has read
    /// nothing for so long: fails if everything up to `last` is there.
    pub(crate) async fn was_given_up(mut self, last: u64) -> Result<()> {
        let reading = async {
            while let Some(Ok(message)) = self.socket.next().await {
                if marker::seq(&message.into_data()) == Some(last) {
                    return Err("the slow subscriber was not slow: it has everything".into());
                }
            }
            Ok(())
        };
        let given_up = timeout(PATIENCE, reading).await;
        given_up.map_err(|_| "the slow subscriber was not given up")?
    }

    /// Reads from now on, and calls `hears` for each message.
    pub(crate) fn listen(
        mut self,
        complaints: &Rc<Complaints>,
        hears: impl Fn(Marker) + 'static,
    ) -> Listener {
        let last = Rc::new(Cell::new(self.last));
        let (own, complaints) = (Rc::clone(&last), Rc::clone(complaints));
        let reading = spawn_local(async move {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let Some(seq) = marker::seq(text.as_bytes()) else {
                            complaints.other.replace(Some(text.to_string()));
                            return;
                        };
                        complaints.count(own.replace(Some(seq)), seq);
                        if let Some(marker) = Marker::find(text.as_bytes()) {
                            hears(marker);
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    ended => {
                        complaints
                            .other
                            .replace(Some(format!("goodbye: {ended:?}")));
                        return;
                    }
                }
            }
        });
        Listener {
            reading: reading.abort_handle(),
            last,
        }
    }
}

impl Complaints {
    /// Counts what is missing or too many between the last position and the next.
    fn count(&self, last: Option<u64>, seq: u64) {
        let Some(last) = last else {
            return;
        };
        if seq <= last {
            self.repeated.set(self.repeated.get() + 1);
        } else {
            self.lost.set(self.lost.get() + (seq - last - 1));
        }
    }
}

impl Listener {
    /// The last position that was heard of.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last.get()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn send(socket: &mut WebSocketStream<TcpStream>, message: &Value) -> Result<()> {
    Ok(socket.send(Message::text(message.to_string())).await?)
}
