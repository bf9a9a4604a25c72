//! Calls over several nodes.

use crate::calls::{ANSWER, HANG_UP, Phone, on_call};
use crate::harness::process::Process;

use super::*;

/// Ann on one node, Bob on the other, both listening.
async fn listening(cluster: &Cluster) -> (Person, Person, Room, Phone, Phone) {
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let bob = bob.on(&cluster.b);
    let room = ann.makes_direct(&bob).await;
    let (anns, bobs) = (ann.listens().await, bob.listens().await);
    (ann, bob, room, anns, bobs)
}

/// A call from ringing to hanging up, with something said in both directions. Answers how long
/// the slowest signal took.
async fn talk(
    ann: &Person,
    bob: &Person,
    room: &Room,
    anns: &mut Phone,
    bobs: &mut Phone,
) -> Duration {
    let mut slowest = Duration::ZERO;
    let mut took = |started: Instant| slowest = slowest.max(started.elapsed());
    let id = text(&ann.calls(room).await["id"]);
    let started = Instant::now();
    bobs.is_told("RINGING", &id).await;
    took(started);
    bob.does(ANSWER, &id).await;
    let started = Instant::now();
    anns.is_told("ANSWERED", &id).await;
    took(started);
    bobs.is_told("ANSWERED", &id).await;
    for (from, to, phone) in [(ann, "OFFER", &mut *bobs), (bob, "ANSWER", &mut *anns)] {
        from.says(&id, to, "sdp").await;
        let started = Instant::now();
        phone.is_told(to, &id).await;
        took(started);
    }
    ann.does(HANG_UP, &id).await;
    let started = Instant::now();
    bobs.is_told("ENDED", &id).await;
    took(started);
    anns.is_told("ENDED", &id).await;
    slowest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn calls_pass_between_nodes_by_notice_and_without_redis() {
    let cluster = Cluster::up().await;
    let (ann, bob, room, mut anns, mut bobs) = listening(&cluster).await;
    let noticed = talk(&ann, &bob, &room, &mut anns, &mut bobs).await;
    cluster.redis.kill();
    cluster.has_redis(false).await;
    let swept = talk(&ann, &bob, &room, &mut anns, &mut bobs).await;
    println!("slowest signal: by notice {noticed:.1?}, without Redis {swept:.1?}");
    assert!(swept < UNHINTED, "{swept:?}");
    cluster.redis.start().await;
    cluster.has_redis(true).await;
    talk(&ann, &bob, &room, &mut anns, &mut bobs).await;
    assert_eq!(ann.last_seq(&room).await, 3);
    drop((anns, bobs));
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_ring_each_other_at_once_on_two_nodes_are_in_one_call() {
    const ROUNDS: i64 = 10;
    let cluster = Cluster::up().await;
    let (ann, bob, room, mut anns, mut bobs) = listening(&cluster).await;
    for _ in 0..ROUNDS {
        let (of_ann, of_bob) = tokio::join!(ann.calls(&room), bob.calls(&room));
        assert_eq!(of_ann["id"], of_bob["id"]);
        let id = text(&of_ann["id"]);
        let (caller, answerer) = if of_ann["caller"]["id"] == ann.id {
            (&mut anns, &mut bobs)
        } else {
            (&mut bobs, &mut anns)
        };
        answerer.is_told("RINGING", &id).await;
        answerer.is_told("ANSWERED", &id).await;
        caller.is_told("ANSWERED", &id).await;
        // Both hang up at once, too.
        tokio::join!(ann.does(HANG_UP, &id), bob.does(HANG_UP, &id));
        caller.is_told("ENDED", &id).await;
        answerer.is_told("ENDED", &id).await;
    }
    assert_eq!(ann.last_seq(&room).await, ROUNDS, "one event each");
    drop((anns, bobs));
    cluster.down().await;
}

/// Each of three calls both of the others: nobody is in two calls, nobody waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_ring_each_other_at_once_nobody_is_in_two_calls() {
    let cluster = Cluster::up().await;
    let people = cluster.a.people(["Ann", "Bob", "Cleo"]).await;
    let mut rings = Vec::new();
    for n in 0..3 {
        let (one, other) = (&people[n], &people[(n + 1) % 3]);
        let room = one.makes_direct(other).await;
        rings.push((one.clone(), room.clone()));
        rings.push((other.on(&cluster.b), room));
    }
    for _ in 0..5 {
        let calls = join_all(rings.iter().map(|(person, room)| person.calls(room))).await;
        let mut live: Vec<&Value> = calls
            .iter()
            .filter(|call| call["state"] != "ENDED")
            .collect();
        live.dedup_by_key(|call| &call["id"]);
        assert!(!live.is_empty(), "somebody was first: {calls:?}");
        let first = &live[0]["id"];
        assert!(
            live.iter().all(|call| call["id"] == *first),
            "one call of three people: {live:?}"
        );
        for person in &people {
            let request = person.request(HANG_UP, on_call(&text(first))).await.json();
            assert!(
                request["data"].is_object() || code(&request) == "NOT_FOUND",
                "{request}"
            );
        }
    }
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_missed_in_time_though_its_node_died() {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::own().await;
    let url = redis.url();
    let mut dying = Process::new(&[
        ("DATABASE_URL", &database),
        ("REDIS_URL", &url),
        ("JWT_SECRET", SECRET),
    ]);
    dying.start().await;
    let left = node(&database, Some(&redis)).await;
    let ann = dying.person("Ann").await;
    let bob = left.person("Bob").await;
    let room = ann.makes_direct(&bob).await;
    let mut bobs = bob.listens().await;
    let mut events = bob.follows(&room, Some(0)).await;
    let id = text(&ann.calls(&room).await["id"]);
    bobs.is_told("RINGING", &id).await;
    dying.kill();
    left.advance(Duration::from_secs(41));
    let ended = bobs.is_told("ENDED", &id).await;
    assert_eq!(ended["call"]["outcome"], "MISSED");
    assert_eq!(events.next().await["__typename"], "CallEnded");
    assert_eq!(bob.last_seq(&room).await, 1);
    drop((bobs, events));
    left.finish().await;
}

/// All nodes look for what is due; each call is ended by one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_done_once_by_however_many_nodes() {
    let database = Postgres::shared().await.fresh_database().await;
    let nodes = join_all([0; 3].map(|_| node(&database, None))).await;
    let mut rooms = Vec::new();
    for n in 0..10 {
        let [one, other] = [format!("One {n}"), format!("Other {n}")];
        let (one, other) = (nodes[0].person(&one).await, nodes[1].person(&other).await);
        let room = one.makes_direct(&other).await;
        one.calls(&room).await;
        rooms.push((one, room));
    }
    for node in &nodes {
        node.advance(Duration::from_secs(41));
    }
    for (one, room) in &rooms {
        until("the call has ended", || async {
            one.last_seq(room).await > 0
        })
        .await;
    }
    // Long enough for every node to have looked once more.
    nodes
        .iter()
        .for_each(|node| node.advance(Duration::from_secs(121)));
    sleep(Duration::from_millis(2_500)).await;
    for (one, room) in &rooms {
        assert_eq!(one.last_seq(room).await, 1);
    }
    join_all(nodes.into_iter().map(App::finish)).await;
}
