//! A node that has just restarted: all its clients come back at once, and somebody else only
//! wants to write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::Person;
use crate::harness::clients::{Ended, Socket};
use crate::harness::people::{EVENTS, Room, viewer_events};
use crate::harness::process::Process;
use crate::harness::servers::{Postgres, Redis};

/// Clients that come back, and how many of them are one person's devices.
const CLIENTS: usize = 800;
const DEVICES: usize = 80;
/// What each has missed.
const MISSED: i64 = 5;
/// How long a client that was told to come back later stays away.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the calm is measured that the storm is compared with.
const CALM: Duration = Duration::from_secs(2);

/// What a client was following, and has to catch up with.
#[derive(Clone)]
enum Followed {
    Room(String),
    Everything(String),
}

/// Comes back: connects, greets, subscribes, and reads what it has missed. Told to come back
/// later, it does, as clients do.
async fn comes_back(url: String, token: String, followed: Followed) -> Duration {
    let began = Instant::now();
    let mut socket = loop {
        let mut socket = Socket::connect(&url).await;
        socket.greet(Some(&token)).await;
        match socket.next().await {
            Ok(_) => break socket,
            Err(ended) => assert_eq!(ended, Ended::Closed(1013)),
        }
        tokio::time::sleep(PAUSE).await;
    };
    let (query, variables, path) = match followed {
        Followed::Room(id) => (
            EVENTS.to_owned(),
            json!({ "id": id, "after": 0 }),
            "/conversationEvents/seq",
        ),
        Followed::Everything(cursor) => (
            viewer_events(),
            json!({ "after": cursor }),
            "/viewerEvents/event/seq",
        ),
    };
    socket.subscribe("1", &query, &variables).await;
    for seq in 1..=MISSED {
        let message = socket.next().await.expect("the replay");
        let found = message["payload"]["data"].pointer(path);
        assert_eq!(found, Some(&json!(seq)), "{message}");
    }
    began.elapsed()
}

/// Somebody who writes one message after the other until told to stop, on a thread of their
/// own: what is measured is the node, not the crowd beside them.
fn writes_until(
    stop: Arc<AtomicBool>,
    person: Person,
    room: Room,
) -> std::thread::JoinHandle<Vec<(Instant, Duration)>> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let person = person.with_connections_of_their_own();
            let mut took = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let began = Instant::now();
                person.sends(&room, "meanwhile").await;
                took.push((began, began.elapsed()));
            }
            took
        })
    })
}

/// How it went.
pub(crate) struct Storm {
    pub(crate) clients: usize,
    /// Until all were back.
    pub(crate) took: Duration,
    /// How long each was on its way.
    pub(crate) each: Vec<Duration>,
    /// What the bystander's sends took before, and meanwhile.
    pub(crate) calm: Vec<Duration>,
    pub(crate) meanwhile: Vec<Duration>,
}

/// So many clients come back to a node at once. Panics if they miss anything, or if the bystander does.
pub(crate) async fn storm(settings: &[(&str, &str)], clients: usize) -> Storm {
    let mut node = Process::new(&[settings, &[("MAX_SOCKETS_PER_USER", "1000")]].concat());
    node.start().await;
    let mut people = Vec::new();
    for n in 0..clients / DEVICES {
        let person = node.person(&format!("Person {n}")).await;
        let room = person.makes_group("Devices", &[]).await;
        let cursor = person.event_cursor().await;
        for n in 1..=MISSED {
            person.sends(&room, &format!("missed {n}")).await;
        }
        people.push((
            person,
            [Followed::Room(room.id), Followed::Everything(cursor)],
        ));
    }
    let bystander = node.person("Bystander").await;
    let room = bystander.makes_group("Elsewhere", &[]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = writes_until(Arc::clone(&stop), bystander.clone(), room.clone());
    tokio::time::sleep(CALM).await;

    let began = Instant::now();
    let back = (0..clients).map(|n| {
        let (person, followed) = &people[n % people.len()];
        let followed = followed[n / people.len() % 2].clone();
        let client = comes_back(node.url("/graphql"), person.token.clone(), followed);
        tokio::spawn(client)
    });
    let back = join_all(back.collect::<Vec<_>>()).await;
    let took = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let writes = tokio::task::spawn_blocking(|| writing.join().expect("every write succeeds"));
    let writes = writes.await.expect("joined");
    // Nothing of the bystander's was lost or turned away either.
    let mut reader = bystander.follows(&room, Some(0)).await;
    for seq in 1..=writes.len() {
        assert_eq!(reader.next().await["seq"], seq);
    }
    let (calm, meanwhile) = writes
        .into_iter()
        .partition::<Vec<_>, _>(|(at, _)| *at < began);
    let times =
        |writes: Vec<(Instant, Duration)>| writes.into_iter().map(|(_, took)| took).collect();
    Storm {
        clients,
        took,
        each: back
            .into_iter()
            .map(|took| took.expect("is back"))
            .collect(),
        calm: times(calm),
        meanwhile: times(meanwhile),
    }
}

/// Median, 99th percentile and maximum.
fn spread(mut times: Vec<Duration>) -> [Duration; 3] {
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    [at(50), at(99), at(100)]
}

#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn a_storm(settings: &[(&str, &str)]) {
    let Storm {
        clients,
        took,
        each,
        calm,
        meanwhile,
    } = storm(settings, CLIENTS).await;
    let (calm, meanwhile) = (spread(calm), spread(meanwhile));
    println!(
        "{clients} clients back in {took:.1?}, each in {:.1?} (p50, p99, max)",
        spread(each)
    );
    println!("a bystander's send took {calm:.1?} before, {meanwhile:.1?} meanwhile");
    // Without turns, each would wait for a third of the crowd or more.
    assert!(meanwhile[1] < took / 5, "{meanwhile:?} of {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_back_at_once_leave_room_for_others_on_sqlite() {
    a_storm(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_come_back_at_once_leave_room_for_others_on_postgres() {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::shared().await.url();
    a_storm(&[("DATABASE_URL", &database), ("REDIS_URL", &redis)]).await;
}
