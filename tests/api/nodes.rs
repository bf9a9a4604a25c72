//! Several nodes on one database: what happens on one is seen on the others, with Redis, without
//! it, and while it dies, freezes and comes back.

mod blocks;
mod calls;
mod claims;
mod endings;
mod governance;
mod outage;
mod presence;
mod privacy;
mod rates;
mod scheduled;
mod sending;
mod signals;
mod states;
mod tallies;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use crate::harness::clients::Ended;
use crate::harness::people::{Following, Room, SEND, Sent, seqs, text};
use crate::harness::servers::{Postgres, Redis};
use crate::harness::{App, Person, until};

/// What every node signs with: a token of one is good on all.
const SECRET: &str = "shared by every node of these tests";
/// How soon the end of a session or membership must be felt everywhere.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How soon an event must arrive when no hint of it does.
const UNHINTED: Duration = Duration::from_secs(3);
/// How soon, at the median of messages that each wait for the one before, an event arrives when
/// hints of it do. The sweep alone would take almost twice that, every time.
const HINTED: Duration = Duration::from_millis(250);
/// How soon a send must be acknowledged while Redis is out of order.
const ACKED: Duration = Duration::from_secs(2);
/// How long Redis stays out of order: longer than ten attempts to reach it.
const OUTAGE: Duration = Duration::from_secs(12);

const VIEWER: &str = "{ viewer { user { id } } }";

/// Two nodes on a Postgres database, and a Redis of their own to break.
struct Cluster {
    a: App,
    b: App,
    redis: Redis,
}

impl Cluster {
    async fn up() -> Self {
        Self::on(&Postgres::shared().await.fresh_database().await).await
    }

    /// And a third node, which gives no hints: one without Redis stands for one that dies between
    /// a commit and its hint.
    async fn with_a_silent_node() -> (Self, App) {
        let database = Postgres::shared().await.fresh_database().await;
        (Self::on(&database).await, node(&database, None).await)
    }

    async fn on(database: &str) -> Self {
        let redis = Redis::own().await;
        let (a, b) = (
            node(database, Some(&redis)).await,
            node(database, Some(&redis)).await,
        );
        let cluster = Self { a, b, redis };
        cluster.has_redis(true).await;
        cluster
    }

    /// Waits until both nodes know that Redis is there, or away.
    async fn has_redis(&self, there: bool) {
        let what = if there {
            "both nodes joined"
        } else {
            "both nodes miss Redis"
        };
        until(what, || async {
            [&self.a, &self.b].map(|node| node.domain.bus_connected()) == [Some(there); 2]
        })
        .await;
    }

    async fn down(self) {
        tokio::join!(self.a.finish(), self.b.finish());
    }
}

async fn node(database: &str, redis: Option<&Redis>) -> App {
    let redis = redis.map(Redis::url);
    let mut settings = vec![("DATABASE_URL", database), ("JWT_SECRET", SECRET)];
    settings.extend(redis.as_deref().map(|url| ("REDIS_URL", url)));
    App::with(&settings).await
}

/// How long each of `count` messages takes from its sending to its arrival; each is sent when the
/// one before has arrived.
async fn latencies(
    sender: &Person,
    room: &Room,
    stream: &mut Following,
    count: usize,
) -> Vec<Duration> {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        let sent = sender.sends(room, "how long?").await;
        assert_eq!(stream.next().await["seq"], sent.seq);
        took.push(started.elapsed());
    }
    took.sort();
    took
}

/// Proves that hints pass from the sender's node to the stream's.
#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn hints_pass(sender: &Person, room: &Room, stream: &mut Following) {
    let took = latencies(sender, room, stream, 21).await;
    let (median, max) = (took[took.len() / 2], took[took.len() - 1]);
    println!("by hint: median {median:.1?}, max {max:.1?}");
    assert!(median < HINTED, "sent to seen: {took:?}");
}

/// Answers what Redis says to a command: a line, or the text that a length announces.
async fn command(redis: &Redis, command: &str) -> String {
    let address = redis.url().replace("redis://", "");
    let stream = TcpStream::connect(address)
        .await
        .expect("Redis accepts connections");
    let mut stream = BufReader::new(stream);
    let command = format!("{command}\r\n");
    stream
        .write_all(command.as_bytes())
        .await
        .expect("Redis reads");
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("Redis answers");
    let Some(length) = line.strip_prefix('$') else {
        return line.trim_end().to_owned();
    };
    let mut body = vec![0; length.trim_end().parse().expect("a length")];
    stream
        .read_exact(&mut body)
        .await
        .expect("the answer arrives whole");
    String::from_utf8(body).expect("text")
}

async fn refresh(app: &App, refresh_token: &str) -> Value {
    let query = "mutation($input: RefreshSessionInput!) {
        refreshSession(input: $input) { accessToken refreshToken }
    }";
    let input = json!({ "refreshToken": refresh_token });
    app.anonymous(query, json!({ "input": input })).await
}

/// The first `count` positions.
fn first(count: usize) -> Vec<i64> {
    (1..).take(count).collect()
}

fn code(answer: &Value) -> &Value {
    &answer["errors"][0]["extensions"]["code"]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_on_one_node_reaches_followers_on_the_other_by_hint() {
    let cluster = Cluster::up().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Both ways", &[&bob]).await;
    let mut bobs = bob.on(&cluster.b).follows(&room, Some(0)).await;
    hints_pass(&ann, &room, &mut bobs).await;

    let mut anns = ann.follows(&room, Some(21)).await;
    hints_pass(&bob.on(&cluster.b), &room, &mut anns).await;

    drop((anns, bobs));
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_send_in_parallel_share_one_dense_sequence() {
    const EACH: usize = 60;
    let cluster = Cluster::up().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Parallel", &[&bob]).await;
    let mut on_a = ann.follows(&room, Some(0)).await;
    let mut on_b = bob.on(&cluster.b).follows(&room, Some(0)).await;
    let burst = |person: Person| {
        let room = &room;
        async move {
            for n in 0..EACH {
                person.sends(room, &format!("{} {n}", person.name)).await;
            }
        }
    };
    // Two senders a node.
    let senders = [
        ann.clone(),
        ann.on(&cluster.b),
        bob.clone(),
        bob.on(&cluster.b),
    ];
    let (_, seen_on_a, seen_on_b) = tokio::join!(
        join_all(senders.map(burst)),
        on_a.take(4 * EACH),
        on_b.take(4 * EACH),
    );
    assert_eq!(seqs(&seen_on_a), first(4 * EACH));
    assert_eq!(seen_on_a, seen_on_b, "the same events in the same order");
    drop((on_a, on_b));
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_sent_at_once_on_two_nodes_makes_one_message() {
    const ROUNDS: i64 = 20;
    let cluster = Cluster::up().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Once", &[&bob]).await;
    let mut stream = bob.on(&cluster.b).follows(&room, Some(0)).await;
    let devices = [
        ann.clone(),
        ann.on(&cluster.b),
        ann.clone(),
        ann.on(&cluster.b),
    ];
    for round in 1..=ROUNDS {
        let key = format!("key {round}");
        let answers = join_all(
            devices
                .iter()
                .map(|ann| ann.sends_with_key(&room, &key, &key)),
        )
        .await;
        assert!(
            answers.iter().all(|sent| sent.seq == round),
            "{round}: {answers:?}"
        );
        assert!(
            answers.iter().all(|sent| sent.id == answers[0].id),
            "{round}: {answers:?}"
        );
    }
    assert_eq!(ann.last_seq(&room).await, ROUNDS);
    for event in stream.take(20).await {
        assert_eq!(
            event["message"]["clientMessageId"],
            format!("key {}", event["seq"])
        );
    }
    drop(stream);
    cluster.down().await;
}

/// The loser's position goes back to its conversation: no hole is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_for_two_messages_at_once_on_two_nodes_is_a_conflict_for_one() {
    let cluster = Cluster::up().await;
    let ann = cluster.a.person("Ann").await;
    let rooms = [
        ann.makes_group("Here", &[]).await,
        ann.makes_group("There", &[]).await,
    ];
    let on_b = ann.on(&cluster.b);
    let mut won = [0_usize, 0];
    for round in 0..20 {
        let attempt = |person: Person, room: Room| async move {
            let input = json!({ "conversationId": room.id, "text": "mine", "clientMessageId": format!("{round}") });
            person.request(SEND, json!({ "input": input })).await.json()
        };
        let (here, there) = tokio::join!(
            attempt(ann.clone(), rooms[0].clone()),
            attempt(on_b.clone(), rooms[1].clone()),
        );
        let winner = usize::from(here["data"].is_null());
        won[winner] += 1;
        let (winner, loser) = if winner == 0 {
            (here, there)
        } else {
            (there, here)
        };
        assert!(Sent::of(&winner["data"]).seq > 0);
        assert_eq!(code(&loser), "CONFLICT", "{loser}");
    }
    for (room, won) in rooms.iter().zip(won) {
        let mut stream = on_b.follows(room, Some(0)).await;
        assert_eq!(seqs(&stream.take(won).await), first(won));
        assert_eq!(ann.last_seq(room).await, first(won).pop().unwrap_or(0));
    }
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_started_without_redis_serves_and_joins_later() {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::own().await;
    redis.kill();
    let (a, b) = (
        node(&database, Some(&redis)).await,
        node(&database, Some(&redis)).await,
    );
    let cluster = Cluster { a, b, redis };
    cluster.has_redis(false).await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Early", &[&bob]).await;
    let mut stream = bob.on(&cluster.b).follows(&room, Some(0)).await;
    let took = latencies(&ann, &room, &mut stream, 3).await;
    assert!(took.iter().all(|took| *took < UNHINTED), "{took:?}");

    cluster.redis.start().await;
    cluster.has_redis(true).await;
    hints_pass(&ann, &room, &mut stream).await;
    drop(stream);
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_but_never_hinted_arrives_all_the_same() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let [ann, bob] = silent.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Unhinted", &[&bob]).await;
    let mut stream = bob.on(&cluster.b).follows(&room, Some(0)).await;
    let took = latencies(&ann, &room, &mut stream, 5).await;
    assert!(took.iter().all(|took| *took < UNHINTED), "{took:?}");

    bob.asks("mutation { signOut { ok } }", json!({})).await;
    let answered = Instant::now();
    assert_eq!(stream.ends().await, Ended::Closed(4403));
    assert!(answered.elapsed() < AT_ONCE, "{:?}", answered.elapsed());
    silent.finish().await;
    cluster.down().await;
}

/// A second migration would fail on the tables of the first, and its node not start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_on_an_empty_database_migrate_it_once() {
    for _ in 0..5 {
        let database = Postgres::shared().await.fresh_database().await;
        let nodes = join_all([0; 3].map(|_| node(&database, None))).await;
        let ann = nodes[0].person("Ann").await;
        let room = ann.makes_group("New", &[]).await;
        for node in &nodes {
            ann.on(node).sends(&room, "hello").await;
        }
        assert_eq!(ann.last_seq(&room).await, 3);
        join_all(nodes.into_iter().map(App::finish)).await;
    }
}
