//! Receipts and typing between nodes, with Redis and without.

use super::*;

/// How soon receipts arrive of which no notice comes, after both clocks are moved.
const READ_AGAIN: Duration = Duration::from_secs(16);

fn marks(of: &Value) -> (i64, i64) {
    let seq = |name: &str| of[name].as_i64().expect("a number");
    (seq("deliveredSeq"), seq("readSeq"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_and_typing_reach_the_other_node() {
    let cluster = Cluster::up().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Signals", &[&bob]).await;
    let mut receipts = ann.follows_receipts(&cluster.b, &room).await;
    let mut typing = ann.follows_typing(&cluster.b, &room).await;
    let mut took = Vec::new();
    for _ in 0..7 {
        let seq = ann.sends(&room, "read this").await.seq;
        let begun = Instant::now();
        bob.reads(&room, seq).await;
        assert_eq!(marks(&receipts.next().await), (seq, seq));
        took.push(begun.elapsed());
    }
    took.sort();
    // A tick at most, and the way.
    assert!(took[3] < Duration::from_millis(250) + HINTED, "{took:?}");
    bob.types(&room, true).await;
    assert_eq!(typing.next().await["typing"], true);
    bob.sends(&room, "done").await;
    assert_eq!(typing.next().await["typing"], false, "its message ends it");

    // On another node than that on which they began.
    cluster.a.advance(Duration::from_secs(2));
    bob.types(&room, true).await;
    assert_eq!(typing.next().await["typing"], true);
    bob.on(&cluster.b).types(&room, false).await;
    assert_eq!(typing.next().await["typing"], false);
    drop((receipts, typing));
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_dead_receipts_arrive_and_typing_stays_on_its_node() {
    let cluster = Cluster::up().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Outage", &[&bob]).await;
    let mut receipts = ann.follows_receipts(&cluster.b, &room).await;
    let mut near = ann.follows_typing(&cluster.a, &room).await;
    let mut far = ann.follows_typing(&cluster.b, &room).await;
    cluster.redis.kill();
    cluster.has_redis(false).await;

    for _ in 0..3 {
        let seq = ann.sends(&room, "read this").await.seq;
        bob.reads(&room, seq).await;
        let answered = Instant::now();
        assert_eq!(marks(&receipts.next().await), (seq, seq));
        assert!(answered.elapsed() < UNHINTED, "{:?}", answered.elapsed());
    }
    bob.types(&room, true).await;
    assert_eq!(near.next().await["userId"], bob.id);

    cluster.redis.start().await;
    cluster.has_redis(true).await;
    let seq = ann.sends(&room, "read this").await.seq;
    bob.reads(&room, seq).await;
    assert_eq!(marks(&receipts.next().await), (seq, seq));
    ann.types(&room, true).await;
    assert_eq!(far.next().await["userId"], ann.id, "of Bob nothing came");
    drop((receipts, near, far));
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_could_not_tell_is_read_when_it_is_back() {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::own().await;
    let of_a = "ACL SETUSER a on >pw ~* &* +@all";
    assert_eq!(command(&redis, of_a).await, "+OK");
    let url = redis.url().replace("redis://", "redis://a:pw@");
    let settings = [
        ("DATABASE_URL", &*database),
        ("JWT_SECRET", SECRET),
        ("REDIS_URL", &url),
    ];
    let (a, b) = (
        App::with(&settings).await,
        node(&database, Some(&redis)).await,
    );
    let cluster = Cluster { a, b, redis };
    cluster.has_redis(true).await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Asymmetric", &[&bob]).await;
    let mut receipts = ann.follows_receipts(&cluster.b, &room).await;
    for _ in 0..2 {
        assert_eq!(command(&cluster.redis, "ACL SETUSER a off").await, "+OK");
        command(&cluster.redis, "CLIENT KILL USER a").await;
        until("the one node misses Redis", || async {
            cluster.a.domain.bus_connected() == Some(false)
        })
        .await;
        assert_eq!(cluster.b.domain.bus_connected(), Some(true));
        let seq = ann.sends(&room, "read this").await.seq;
        bob.reads(&room, seq).await;
        assert_eq!(command(&cluster.redis, "ACL SETUSER a on").await, "+OK");
        cluster.has_redis(true).await;
        let back = Instant::now();
        assert_eq!(marks(&receipts.next().await), (seq, seq));
        assert!(back.elapsed() < UNHINTED, "{:?}", back.elapsed());
    }
    drop(receipts);
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receipts_that_were_never_told_arrive_all_the_same() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let [ann, bob] = silent.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Untold", &[&bob]).await;
    let mut receipts = ann.follows_receipts(&cluster.b, &room).await;
    for _ in 0..2 {
        let seq = ann.sends(&room, "read this").await.seq;
        bob.reads(&room, seq).await;
        cluster.b.advance(READ_AGAIN);
        let moved = Instant::now();
        assert_eq!(marks(&receipts.next().await), (seq, seq));
        assert!(moved.elapsed() < UNHINTED, "{:?}", moved.elapsed());
    }
    drop(receipts);
    silent.finish().await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_of_read_receipts_is_felt_on_the_other_node_though_redis_is_dead() {
    let cluster = Cluster::up().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Switch", &[&bob]).await;
    let mut receipts = ann.follows_receipts(&cluster.b, &room).await;
    for redis in [true, false] {
        if !redis {
            cluster.redis.kill();
            cluster.has_redis(false).await;
        }
        ann.sets_read_receipts(false).await;
        // Until it is felt, what is read still shows.
        let mut heard = (0, 1);
        while heard.1 != 0 {
            let seq = ann.sends(&room, "read this").await.seq;
            bob.reads(&room, seq).await;
            heard = marks(&receipts.next().await);
            assert_eq!(heard.0, seq);
        }
        ann.sets_read_receipts(true).await;
        while heard.1 == 0 {
            let seq = ann.sends(&room, "read this").await.seq;
            bob.reads(&room, seq).await;
            heard = marks(&receipts.next().await);
            assert_eq!(heard.0, seq);
        }
    }
    drop(receipts);
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_ends_signals_on_the_other_node_within_a_second() {
    let cluster = Cluster::up().await;
    removal_ends_signals_before_anything_later(&cluster).await;
    cluster.redis.kill();
    cluster.has_redis(false).await;
    removal_ends_signals_before_anything_later(&cluster).await;
    cluster.down().await;
}

async fn removal_ends_signals_before_anything_later(cluster: &Cluster) {
    let mut names = ["Ann", "Bob", "Cleo"].map(str::to_owned);
    if cluster.a.domain.bus_connected() == Some(false) {
        names = names.map(|name| format!("{name} again"));
    }
    let [ann, bob, cleo] = cluster.a.people(names.each_ref().map(String::as_str)).await;
    let room = ann.makes_group("Removal", &[&cleo]).await;
    for tenth in 0..5 {
        ann.adds(&room, &[&bob]).await;
        let mut receipts = bob.follows_receipts(&cluster.b, &room).await;
        let mut typing = bob.follows_typing(&cluster.b, &room).await;
        // Each time at another moment between two looks at the database.
        sleep(Duration::from_millis(100 * tenth)).await;
        ann.removes(&room, &bob).await;
        let answered = Instant::now();
        // On the very node of the streams, which may not have heard of the removal yet.
        let cleo = cleo.on(&cluster.b);
        cleo.types(&room, true).await;
        cleo.reads(&room, ann.last_seq(&room).await).await;
        receipts.completes().await;
        typing.completes().await;
        assert!(answered.elapsed() < AT_ONCE, "{:?}", answered.elapsed());
        until("they are closed", || async {
            cluster.b.domain.open_signal_streams() == 0
        })
        .await;
        // Whoever comes next must not be shown that Cleo is still typing.
        cluster.b.advance(Duration::from_secs(6));
    }
}

/// Who reads one message at about the same time.
const CROWD: usize = 200;

/// However slow this machine: what they did is learnt at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crowd_has_read_is_one_event_with_the_others() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let ann = silent.person("Ann").await;
    let register = |n| {
        let silent = &silent;
        async move { silent.person(&format!("P {n}")).await }
    };
    let mut crowd = Vec::new();
    for some in 0..CROWD / 10 {
        crowd.extend(join_all((0..10).map(|n| register(10 * some + n))).await);
    }
    let room = ann
        .makes_group("Crowd", &crowd.iter().collect::<Vec<_>>())
        .await;
    let seq = ann.sends(&room, "read this").await.seq;
    let mut receipts = ann.follows_receipts(&cluster.b, &room).await;
    let mut heard = std::collections::HashSet::new();
    let mut events = 0;
    for some in crowd.chunks(10) {
        join_all(some.iter().map(|person| person.reads(&room, seq))).await;
    }
    cluster.b.advance(READ_AGAIN);
    while heard.len() < CROWD {
        let event = receipts.next().await;
        let others = event["others"].as_array().expect("a list");
        for receipt in others.iter().chain([&event]) {
            assert_eq!(marks(receipt), (seq, seq));
            assert!(heard.insert(text(&receipt["userId"])), "each once");
        }
        events += 1;
    }
    // One, unless it was looked meanwhile.
    assert!(events <= 3, "{events}");
    drop(receipts);
    silent.finish().await;
    cluster.down().await;
}
