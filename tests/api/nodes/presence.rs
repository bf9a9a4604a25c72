//! Presence over several nodes: devices on different ones, nodes that die, stall or drain, and
//! Redis away.

use crate::harness::process::Process;

use super::*;

/// How soon the users of a node that was killed are offline elsewhere.
const BURIED: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_passes_between_nodes_and_one_device_on_two_of_them_does_not_flicker() {
    let cluster = Cluster::up().await;
    let [ann, bob, cleo] = cluster.a.people(["Ann", "Bob", "Cleo"]).await;
    let mut watching = cleo.on(&cluster.b).watches(&[&ann, &bob]).await;
    watching.shows(&ann, "OFFLINE").await;
    watching.shows(&bob, "OFFLINE").await;
    let anns = ann.opens_socket().await;
    watching.shows(&ann, "ONLINE").await;
    let bobs = bob.opens_socket().await;
    watching.shows(&bob, "ONLINE").await;
    // The same session, and then only there.
    let _anns = ann.on(&cluster.b).opens_socket().await;
    ann.on(&cluster.b)
        .sets_presence(json!({ "state": "BUSY" }))
        .await;
    watching.shows(&ann, "BUSY").await;
    drop((anns, bobs));
    // Both leases on A end in one transaction.
    watching.shows(&bob, "OFFLINE").await;
    let text = json!({ "state": "BUSY", "text": "no flicker" });
    ann.sets_presence(text).await;
    let seen = watching.shows(&ann, "BUSY").await;
    assert_eq!(seen["text"], "no flicker");
    drop(watching);
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn presence_passes_while_redis_is_dead_and_by_hint_when_it_is_back() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let mut watching = bob.on(&cluster.b).watches(&[&ann]).await;
    watching.shows(&ann, "OFFLINE").await;
    let mut took_on = async |ann: &Person, count: usize| {
        let mut took = Vec::new();
        for n in 0..count {
            // A watcher is woken ten times a second; this one has rested.
            sleep(Duration::from_millis(100)).await;
            let text = format!("{n}");
            let started = Instant::now();
            ann.sets_presence(json!({ "state": "ONLINE", "text": text }))
                .await;
            assert_eq!(watching.shows(ann, "ONLINE").await["text"], text);
            took.push(started.elapsed());
        }
        took.sort();
        println!(
            "median {:.1?}, max {:.1?}",
            took[count / 2],
            took[count - 1]
        );
        took
    };
    let hinted = took_on(&ann, 11).await;
    assert!(hinted[5] < HINTED, "{hinted:?}");
    // Nobody tells of what is done on this one.
    let unhinted = took_on(&ann.on(&silent), 3).await;
    assert!(unhinted[2] < UNHINTED, "{unhinted:?}");
    cluster.redis.kill();
    cluster.has_redis(false).await;
    let unhinted = took_on(&ann, 5).await;
    assert!(unhinted[4] < UNHINTED, "{unhinted:?}");
    cluster.redis.start().await;
    cluster.has_redis(true).await;
    let hinted = took_on(&ann, 11).await;
    assert!(hinted[5] < HINTED, "{hinted:?}");
    drop(watching);
    silent.finish().await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_node_drains_nobody_who_comes_back_elsewhere_seems_to_have_gone() {
    let Cluster {
        a,
        b,
        redis: _redis,
    } = Cluster::up().await;
    let [ann, bob, cleo] = a.people(["Ann", "Bob", "Cleo"]).await;
    let mut watching = cleo.on(&b).watches(&[&ann, &bob]).await;
    watching.shows(&ann, "OFFLINE").await;
    watching.shows(&bob, "OFFLINE").await;
    let mut sockets = Vec::new();
    for person in [&ann, &bob] {
        sockets.push(person.opens_socket().await);
        watching.shows(person, "ONLINE").await;
    }
    a.stop().await;
    drop(sockets);
    let bob = bob.on(&b);
    let _bobs = bob.opens_socket().await;
    let back = json!({ "state": "ONLINE", "text": "back" });
    bob.sets_presence(back).await;
    assert_eq!(watching.shows(&bob, "ONLINE").await["text"], "back");
    // Ann does not come back; the node goes on looking after the one that is gone.
    let aging = async {
        loop {
            b.advance(Duration::from_secs(5));
            sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        _ = watching.shows(&ann, "OFFLINE") => {}
        () = aging => {}
    }
    bob.sets_presence(json!({ "state": "ONLINE", "text": "still" }))
        .await;
    assert_eq!(watching.shows(&bob, "ONLINE").await["text"], "still");
    drop(watching);
    b.finish().await;
}

/// Three processes on one database.
async fn processes() -> (Vec<Process>, Redis) {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::own().await;
    let settings = [("DATABASE_URL", database), ("REDIS_URL", redis.url())];
    let settings = settings
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut nodes = [(); 3].map(|()| Process::new(&settings));
    for node in &mut nodes {
        node.start().await;
    }
    (nodes.into(), redis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn the_users_of_a_node_killed_hard_are_offline_elsewhere_and_no_others_flicker() {
    let (mut nodes, _redis) = processes().await;
    let [ann, bob, cleo] = ["Ann", "Bob", "Cleo"].map(|name| nodes[0].person(name));
    let (ann, bob, cleo) = tokio::join!(ann, bob, cleo);
    let _sockets = [
        ann.opens_socket().await,
        bob.opens_socket().await,
        bob.signs_in_again()
            .await
            .at(nodes[1].node())
            .opens_socket()
            .await,
    ];
    let mut watching = cleo.at(nodes[2].node()).watches(&[&ann, &bob]).await;
    for person in [&ann, &bob] {
        if watching.next().await["state"] == "OFFLINE" {
            watching.shows(person, "ONLINE").await;
        }
    }
    nodes[0].kill();
    let killed = Instant::now();
    let seen = watching.next_within(BURIED).await;
    let took = killed.elapsed();
    println!("offline elsewhere {took:.1?} after the kill");
    assert_eq!(
        (&seen["userId"], &seen["state"]),
        (&json!(ann.id), &json!("OFFLINE"))
    );
    // Nothing came of Bob, who has another device: this is the next of him.
    let bob = bob.at(nodes[1].node());
    bob.sets_presence(json!({ "state": "ONLINE", "text": "here all the time" }))
        .await;
    assert_eq!(
        watching.shows(&bob, "ONLINE").await["text"],
        "here all the time"
    );
    // And a new life of the node is as good as any.
    nodes[0].start().await;
    let _anns = ann.opens_socket().await;
    watching.shows(&ann, "ONLINE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_taken_for_dead_comes_back_with_its_devices() {
    let (nodes, _redis) = processes().await;
    let (ann, cleo) = tokio::join!(nodes[0].person("Ann"), nodes[1].person("Cleo"));
    let mut watching = cleo.watches(&[&ann]).await;
    watching.shows(&ann, "OFFLINE").await;
    let mut anns = ann.opens_socket().await;
    watching.shows(&ann, "ONLINE").await;
    nodes[0].signal("STOP");
    assert_eq!(watching.next_within(BURIED).await["state"], "OFFLINE");
    nodes[0].signal("CONT");
    watching.shows(&ann, "ONLINE").await;
    // By the socket that was open all the time.
    anns.send(&json!({ "type": "ping" })).await;
    assert_eq!(anns.next().await.expect("it is open")["type"], "pong");
}
