//! Connections: accepting them, bounding them, and letting them go.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::client::Peer;
use crate::shutdown::DRAIN;

/// Connections the kernel keeps while they wait to be accepted: thousands of clients come
/// back at once after a restart.
const BACKLOG: u32 = 4_096;
/// How long a client may take to send the head of a request, and sit idle between two.
const HEAD: Duration = Duration::from_secs(30);
/// Longest head of a request, in bytes; a GET carries its document there.
const HEAD_BYTES: usize = 64 * 1_024;
/// How long sent bytes may stay unacknowledged, or a full window stay closed, before the
/// kernel gives the peer up (RFC 5482). It bounds every write, whoever waits for it.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Pause after the machine ran out of sockets.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A connection's share of the limit. A WebSocket keeps it when the connection it came in
/// by is done.
#[derive(Clone)]
pub(crate) struct Place(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// A connection that was accepted.
struct Arrival {
    stream: TcpStream,
    peer: Peer,
    place: Place,
}

/// A bound port.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    places: Arc<Semaphore>,
}

impl Listener {
    /// Binds `port` on `host`; without one on all interfaces, IPv6 and IPv4.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn bind(host: Option<IpAddr>, port: u16, max_connections: usize) -> io::Result<Self> {
        let listener = match host {
            Some(host) => listen(SocketAddr::new(host, port)),
            // A machine without IPv6 has no such address.
            None => listen(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port))
                .or_else(|_| listen(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))),
        }?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            places: Arc::new(Semaphore::new(max_connections)),
        })
    }

    /// Where it is bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` completes. Then `draining` is cancelled, and connections and
    /// `streams` have [`DRAIN`] to finish.
    pub(crate) async fn serve(
        self,
        router: Router,
        stop: impl Future<Output = ()>,
        draining: CancellationToken,
        streams: &TaskTracker,
    ) {
        let connections = TaskTracker::new();
        tokio::pin!(stop);
        loop {
            let arrival = tokio::select! {
                () = &mut stop => break,
                accepted = self.accept() => accepted,
            };
            connections.spawn(connection(arrival, router.clone(), draining.clone()));
        }
        drop(self);
        draining.cancel();
        let finished = async {
            connections.close();
            connections.wait().await;
            streams.close();
            streams.wait().await;
        };
        if tokio::time::timeout(DRAIN, finished).await.is_err() {
            tracing::warn!("connections were cut because they did not finish in time");
        }
    }

    /// The next connection. At the limit it waits, and the kernel's queue fills.
    async fn accept(&self) -> Arrival {
        loop {
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
                std::future::pending().await
            };
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    if let Err(error) = prepare(&stream) {
                        tracing::debug!(%error, "a connection was gone before it was served");
                        continue;
                    }
                    return Arrival {
                        stream,
                        peer: Peer(address.ip()),
                        place: Place(Arc::new(place)),
                    };
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() {
        TcpSocket::new_v6()?
    } else {
        TcpSocket::new_v4()?
    };
    // A restarted node finds its port in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Elsewhere the write time-outs of the sockets themselves must do.
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

/// One connection, until it closes or is upgraded.
async fn connection(arrival: Arrival, router: Router, draining: CancellationToken) {
    let Arrival {
        stream,
        peer,
        place,
    } = arrival;
    let service = router.map_request(move |mut request: Request<Incoming>| {
        let extensions = request.extensions_mut();
        extensions.insert(peer);
        extensions.insert(place.clone());
        request
    });
    let connection = http1()
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    // Peers that go away in the middle of something are not news.
    if let Err(error) = served {
        tracing::debug!(%error, "a connection failed");
    }
}

fn http1() -> hyper::server::conn::http1::Builder {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES);
    builder
}
