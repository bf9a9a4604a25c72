//! Between nodes: hints through Redis pub/sub.
//!
//! One task owns the connection (RESP3, so that publishing and subscribing share it). It
//! notices within two seconds that Redis is gone or stuck, comes back by itself, renews
//! every subscription and then has the database swept for what was missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use backchannel_entities::{SessionId, Timestamp};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisResult, Value};
use serde::Serialize;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::proofs::Claim;
use crate::{Error, Result};

use super::local::Local;
use super::topic::{MEMBERSHIPS, MISSED, SESSIONS, Told, Topic};

/// Hints and changes of interest waiting for the connection. Hints beyond are dropped:
/// the sweep makes up for them.
const QUEUE: usize = 8_192;
/// Hints sent in one go.
const BATCH: usize = 256;
/// Longest wait for any answer of Redis, and between heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Pauses between attempts to connect, doubling from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// A handle on the connection's task. Cheap to clone.
#[derive(Clone)]
pub(super) struct Redis {
    orders: mpsc::Sender<Order>,
    connected: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
}

enum Order {
    /// Tell other nodes.
    Publish { channel: String, payload: String },
    /// Subscribe or unsubscribe, whichever is needed by then. So an unsubscription can never
    /// overtake the subscription of a newer hub.
    Interest {
        topics: Vec<Topic>,
        done: Option<oneshot::Sender<()>>,
    },
}

impl Redis {
    /// Connects, and stays connected; `reconnected` is notified each time that it is so.
    pub(super) fn start(
        url: &str,
        local: Arc<Local>,
        reconnected: Arc<Notify>,
        stopping: CancellationToken,
    ) -> Result<Self> {
        let resp3 = if url.contains('?') {
            "&protocol=resp3"
        } else {
            "?protocol=resp3"
        };
        let client = Client::open(format!("{url}{resp3}")).map_err(|_| {
            // Not the cause, which may quote the URL and a password in it.
            Error::internal(std::io::Error::other(
                "REDIS_URL is not a URL that Redis accepts",
            ))
        })?;
        let (orders, queue) = mpsc::channel(QUEUE);
        let connected = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicU64::new(0));
        let carrier = Carrier {
            client,
            local,
            reconnected,
            queue,
            connected: Arc::clone(&connected),
            connections: Arc::clone(&connections),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = carrier.run() => {}
            }
        });
        Ok(Self {
            orders,
            connected,
            connections,
        })
    }

    pub(super) fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// How often it has been connected: it was away in between.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Tells the other nodes. Answers whether it is on its way.
    pub(super) fn tell(&self, topic: Topic, notice: &impl Serialize) -> bool {
        let payload = serde_json::to_string(notice);
        payload.is_ok_and(|payload| self.publish(topic.channel(), payload))
    }

    pub(super) fn tell_session_ended(&self, id: SessionId) {
        self.publish(SESSIONS.to_owned(), id.to_string());
    }

    pub(super) fn tell_memberships_changed(&self, claims: &[Claim]) {
        // One that goes past a node is believed there for a second at most.
        if !claims.is_empty()
            && let Ok(payload) = serde_json::to_string(claims)
        {
            self.publish(MEMBERSHIPS.to_owned(), payload);
        }
    }

    /// Asks all nodes to read the marks made since then.
    pub(super) fn tell_missed(&self, since: Timestamp) -> bool {
        self.publish(MISSED.to_owned(), since.0.to_string())
    }

    fn publish(&self, channel: String, payload: String) -> bool {
        // A full queue is a slow Redis; the sweep brings what is dropped here.
        self.connected()
            && self
                .orders
                .try_send(Order::Publish { channel, payload })
                .is_ok()
    }

    /// Subscribes to what is told under these topics. Returns when Redis has confirmed it, or when
    /// it cannot: then the sweep stands in until it can.
    pub(super) async fn subscribe(&self, topics: Vec<Topic>) {
        let (done, confirmed) = oneshot::channel();
        let order = Order::Interest {
            topics,
            done: Some(done),
        };
        let ask = async {
            if self.orders.send(order).await.is_ok() {
                let _ = confirmed.await;
            }
        };
        let _ = tokio::time::timeout(HEARTBEAT, ask).await;
    }

    /// Says that a topic is perhaps not needed any more.
    pub(super) fn interest_changed(&self, topic: Topic) {
        let topics = vec![topic];
        // Lost on a full queue, this leaves a subscription too many until the next reconnect.
        let _ = self.orders.try_send(Order::Interest { topics, done: None });
    }
}

struct Carrier {
    client: Client,
    local: Arc<Local>,
    reconnected: Arc<Notify>,
    queue: mpsc::Receiver<Order>,
    connected: Arc<AtomicBool>,
    connections: Arc<AtomicU64>,
}

impl Carrier {
    async fn run(mut self) {
        let mut pause = RETRY.0;
        let mut told = false;
        loop {
            let lost = match self.connect().await {
                Ok((connection, dropped)) => {
                    tracing::info!("connected to redis");
                    (pause, told) = (RETRY.0, false);
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    self.connected.store(true, Ordering::Relaxed);
                    // Whatever was said while nobody listened is in the database.
                    self.reconnected.notify_one();
                    self.carry(connection, dropped).await
                }
                Err(error) => Err(error),
            };
            self.connected.store(false, Ordering::Relaxed);
            let Err(error) = lost else { return };
            // Once an outage: the rest of it is the same news.
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(%error, "redis is away; reading the database until it is back");
            }
            if !self.turn_away_for(pause).await {
                return;
            }
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// A connection that is subscribed to all that this node follows.
    async fn connect(&self) -> RedisResult<(MultiplexedConnection, CancellationToken)> {
        let (local, dropped) = (Arc::clone(&self.local), CancellationToken::new());
        let on_drop = dropped.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(HEARTBEAT))
            .set_response_timeout(Some(HEARTBEAT))
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    on_drop.cancel();
                } else {
                    take(&local, &push);
                }
                Ok::<(), redis::aio::SendError>(())
            });
        let mut connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        connection
            .subscribe(&[SESSIONS, MEMBERSHIPS, MISSED])
            .await?;
        for topics in self.local.topics().chunks(BATCH) {
            connection.subscribe(channels(topics.iter())).await?;
        }
        Ok((connection, dropped))
    }

    /// Works until the connection fails, or (`Ok`) until nobody can give orders any more.
    async fn carry(
        &mut self,
        mut connection: MultiplexedConnection,
        dropped: CancellationToken,
    ) -> RedisResult<()> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let mut orders = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = dropped.cancelled() => {
                    return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
                }
                _ = heartbeat.tick() => {
                    redis::cmd("PING").query_async::<()>(&mut connection).await?;
                }
                received = self.queue.recv_many(&mut orders, BATCH) => {
                    if received == 0 {
                        return Ok(());
                    }
                    self.obey(&mut connection, &mut orders).await?;
                }
            }
        }
    }

    async fn obey(
        &self,
        connection: &mut MultiplexedConnection,
        orders: &mut Vec<Order>,
    ) -> RedisResult<()> {
        let mut hints = redis::pipe();
        for order in orders.drain(..) {
            match order {
                Order::Publish { channel, payload } => {
                    hints.publish(channel, payload).ignore();
                }
                Order::Interest { topics, done } => {
                    let (needed, unneeded): (Vec<_>, Vec<_>) =
                        topics.iter().partition(|topic| self.local.needs(**topic));
                    for topics in needed.chunks(BATCH) {
                        connection
                            .subscribe(channels(topics.iter().copied()))
                            .await?;
                    }
                    for topics in unneeded.chunks(BATCH) {
                        connection
                            .unsubscribe(channels(topics.iter().copied()))
                            .await?;
                    }
                    drop(done);
                }
            }
        }
        if hints.is_empty() {
            return Ok(());
        }
        hints.query_async::<()>(connection).await
    }

    /// Refuses all orders for a while. Answers whether there may be more later.
    async fn turn_away_for(&mut self, pause: Duration) -> bool {
        let until = tokio::time::sleep(pause);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => return true,
                order = self.queue.recv() => if order.is_none() { return false },
            }
        }
    }
}

fn channels<'t>(topics: impl Iterator<Item = &'t Topic>) -> Vec<String> {
    topics.map(|topic| topic.channel()).collect()
}

/// Acts on what another node said. Anything malformed is not ours.
fn take(local: &Local, push: &PushInfo) {
    let (PushKind::Message, [Value::BulkString(channel), Value::BulkString(payload)]) =
        (&push.kind, push.data.as_slice())
    else {
        return;
    };
    if let Some(told) = str::from_utf8(channel)
        .ok()
        .and_then(|channel| Told::parse(channel, payload))
    {
        local.take(told);
    }
}
