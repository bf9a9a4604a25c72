//! What ends a session or a membership on one node ends its streams on all.

use super::*;
use crate::bots::{REVOKE_KEY, makes_bot};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_ends_the_session_on_every_node_within_a_second() {
    let cluster = Cluster::up().await;
    signing_out_ends_one_session_everywhere(&cluster).await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_out_ends_the_session_on_every_node_within_a_second_though_redis_is_dead() {
    let cluster = Cluster::up().await;
    cluster.redis.kill();
    cluster.has_redis(false).await;
    signing_out_ends_one_session_everywhere(&cluster).await;
    cluster.down().await;
}

#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn signing_out_ends_one_session_everywhere(cluster: &Cluster) {
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Devices", &[&bob]).await;
    ann.sends(&room, "one").await;
    // Up to a few tries, at different moments of the sweep.
    for round in 1..=5 {
        let laptop = bob.signs_in_again().await;
        let phone = bob.signs_in_again().await;
        let mut on_laptop = laptop.on(&cluster.b).follows(&room, Some(0)).await;
        let mut on_phone = phone.on(&cluster.b).follows(&room, Some(round - 1)).await;
        let body = json!({
            "query": crate::harness::people::EVENTS,
            "variables": { "id": room.id, "after": round - 1 },
        });
        let url = cluster.b.url("/graphql");
        let mut server_sent = cluster
            .b
            .http()
            .events(&url, Some(&laptop.token), &body)
            .await;
        on_laptop.next().await;
        assert_eq!(on_phone.next().await["seq"], round);
        let (name, _) = server_sent.next().await.expect("the replay");
        assert_eq!(name, "next");

        laptop.asks("mutation { signOut { ok } }", json!({})).await;
        let answered = Instant::now();
        assert_eq!(on_laptop.ends().await, Ended::Closed(4403));
        let socket_took = answered.elapsed();
        let (_, data) = server_sent.next().await.expect("the reason");
        let stream_took = answered.elapsed();
        assert_eq!(code(&data), "UNAUTHENTICATED", "{data}");
        assert_eq!(server_sent.next().await.expect("an end").0, "complete");
        println!("closed on the other node {socket_took:.1?} after the answer");
        assert!(
            socket_took < AT_ONCE && stream_took < AT_ONCE,
            "{socket_took:?}, {stream_took:?}"
        );
        for node in [&cluster.a, &cluster.b] {
            assert_eq!(
                laptop.on(node).is_refused(VIEWER, json!({})).await,
                "UNAUTHENTICATED"
            );
        }

        let sent = ann.sends(&room, "the other device goes on").await;
        assert_eq!(on_phone.next().await["seq"], sent.seq);
        phone.on(&cluster.b).asks(VIEWER, json!({})).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_key_ends_on_every_node_within_a_second() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let ann = cluster.a.person("Ann").await;
    // Told by a hint, and found by the sweep.
    for from in [&cluster.a, &silent] {
        let (bot, key) = makes_bot(&ann, "Bot", &["MESSAGES"]).await;
        let room = ann.makes_group("Bots", &[&bot]).await;
        let bot = bot.on(&cluster.b);
        let mut stream = bot.follows(&room, Some(0)).await;
        bot.sends(&room, "here").await;
        stream.next().await;
        let revoke = json!({ "input": { "apiKeyId": key } });
        ann.on(from).asks(REVOKE_KEY, revoke).await;
        let answered = Instant::now();
        assert_eq!(stream.ends().await, Ended::Closed(4403));
        let took = answered.elapsed();
        assert!(took < AT_ONCE, "{took:?}");
        assert_eq!(bot.is_refused(VIEWER, json!({})).await, "UNAUTHENTICATED");
    }
    silent.finish().await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_sessions_end_on_every_node_within_a_second() {
    let cluster = Cluster::up().await;
    revoked_sessions_end_everywhere(&cluster.a, &cluster.b).await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_sessions_end_on_every_node_within_a_second_though_their_hint_is_lost() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    revoked_sessions_end_everywhere(&silent, &cluster.b).await;
    silent.finish().await;
    cluster.down().await;
}

async fn revoked_sessions_end_everywhere(from: &App, on: &App) {
    const REVOKE_OTHERS: &str = "mutation { revokeOtherSessions { sessionCount } }";
    let [ann, bob] = from.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Devices", &[&bob]).await;
    ann.sends(&room, "one").await;
    let mut seq = 1;
    for round in 0..5 {
        let [phone, tablet, laptop] = [
            bob.signs_in_again().await,
            bob.signs_in_again().await,
            bob.signs_in_again().await,
        ];
        let mut streams = Vec::new();
        for device in [&phone, &tablet, &laptop] {
            let mut stream = device.on(on).follows(&room, Some(seq - 1)).await;
            assert_eq!(stream.next().await["seq"], seq);
            streams.push(stream);
        }
        let mut kept = streams.pop().expect("the laptop's");
        // The first is one more: the session by which Bob registered.
        let count = laptop.asks(REVOKE_OTHERS, json!({})).await;
        let answered = Instant::now();
        let expected = if round == 0 { 3 } else { 2 };
        assert_eq!(count["revokeOtherSessions"]["sessionCount"], expected);
        for stream in streams {
            assert_eq!(stream.ends().await, Ended::Closed(4403));
        }
        let took = answered.elapsed();
        assert!(took < AT_ONCE, "{took:?}");
        for device in [&phone, &tablet] {
            let refused = device.on(on).is_refused(VIEWER, json!({})).await;
            assert_eq!(refused, "UNAUTHENTICATED");
        }
        seq = ann.sends(&room, "the kept one goes on").await.seq;
        assert_eq!(kept.next().await["seq"], seq);
        laptop.asks(SIGN_OUT, json!({})).await;
    }
}

const SIGN_OUT: &str = "mutation { signOut { ok } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_in_use_is_refused_on_every_node_within_a_second() {
    let cluster = Cluster::up().await;
    a_session_in_use_is_refused(&cluster.a, &cluster.b).await;
    cluster.down().await;
}

/// Nobody tells, and nothing is open by which the node would look for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_in_use_is_refused_within_a_second_though_its_hint_is_lost() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    a_session_in_use_is_refused(&silent, &cluster.b).await;
    silent.finish().await;
    cluster.down().await;
}

async fn a_session_in_use_is_refused(from: &App, on: &App) {
    let ann = from.person("Ann").await;
    for tenth in 0..5 {
        let phone = ann.signs_in_again().await;
        let elsewhere = phone.on(on);
        elsewhere.asks(VIEWER, json!({})).await;
        // Each time at another moment since the session was last read there.
        sleep(Duration::from_millis(100 * tenth)).await;
        elsewhere.asks(VIEWER, json!({})).await;

        phone.asks("mutation { signOut { ok } }", json!({})).await;
        let answered = Instant::now();
        assert_eq!(phone.is_refused(VIEWER, json!({})).await, "UNAUTHENTICATED");
        loop {
            let began = answered.elapsed();
            let answer = elsewhere.request(VIEWER, json!({})).await.json();
            if answer["data"].is_null() {
                assert_eq!(code(&answer), "UNAUTHENTICATED");
                break;
            }
            assert!(began < AT_ONCE, "answered {began:?} after the end");
        }
        let still = elsewhere.is_refused(VIEWER, json!({})).await;
        assert_eq!(still, "UNAUTHENTICATED");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_removed_reads_nothing_more_on_every_node_within_a_second() {
    let cluster = Cluster::up().await;
    a_former_member_is_refused(&cluster.a, &cluster.b).await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_removed_reads_nothing_more_within_a_second_though_its_hint_is_lost() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    a_former_member_is_refused(&silent, &cluster.b).await;
    silent.finish().await;
    cluster.down().await;
}

async fn a_former_member_is_refused(from: &App, on: &App) {
    const PAGE: &str =
        "query($id: ID!) { conversation(id: $id) { messages(last: 1) { nodes { text } } } }";
    let [ann, bob] = from.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Removal", &[]).await;
    let page = || json!({ "id": room.id });
    let elsewhere = bob.on(on);
    for _ in 0..5 {
        ann.adds(&room, &[&bob]).await;
        // Just read there: the longest that it could be believed.
        elsewhere.asks(PAGE, page()).await;
        bob.asks(PAGE, page()).await;

        ann.removes(&room, &bob).await;
        let answered = Instant::now();
        assert_eq!(bob.is_refused(PAGE, page()).await, "NOT_FOUND");
        loop {
            let began = answered.elapsed();
            let answer = elsewhere.request(PAGE, page()).await.json();
            if answer["data"]["conversation"].is_null() {
                assert_eq!(code(&answer), "NOT_FOUND");
                break;
            }
            assert!(began < AT_ONCE, "answered {began:?} after the removal");
        }
        let still = elsewhere.is_refused(PAGE, page()).await;
        assert_eq!(still, "NOT_FOUND");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_refresh_token_used_late_ends_its_family_on_every_node() {
    let cluster = Cluster::up().await;
    a_stolen_family_ends_everywhere(&cluster).await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_refresh_token_used_late_ends_its_family_on_every_node_though_redis_is_dead() {
    let cluster = Cluster::up().await;
    cluster.redis.kill();
    cluster.has_redis(false).await;
    a_stolen_family_ends_everywhere(&cluster).await;
    cluster.down().await;
}

async fn a_stolen_family_ends_everywhere(cluster: &Cluster) {
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Stolen", &[&bob]).await;
    ann.sends(&room, "one").await;
    let other = bob.signs_in_again().await;
    let renewed = refresh(&cluster.a, &bob.refresh_token).await["data"]["refreshSession"].clone();
    let again = refresh(&cluster.b, &bob.refresh_token).await;
    text(&again["data"]["refreshSession"]["refreshToken"]);
    let mut streams = Vec::new();
    for node in [&cluster.a, &cluster.b] {
        let mut bob = bob.on(node);
        bob.token = text(&renewed["accessToken"]);
        let mut stream = bob.follows(&room, Some(0)).await;
        stream.next().await;
        streams.push(stream);
    }
    let mut others = other.on(&cluster.b).follows(&room, Some(0)).await;
    others.next().await;
    for node in [&cluster.a, &cluster.b] {
        node.advance(Duration::from_secs(31));
    }

    let refused = refresh(&cluster.a, &bob.refresh_token).await;
    let answered = Instant::now();
    assert_eq!(code(&refused), "UNAUTHENTICATED", "{refused}");
    for stream in streams {
        assert_eq!(stream.ends().await, Ended::Closed(4403));
    }
    let took = answered.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    for node in [&cluster.a, &cluster.b] {
        for token in [&renewed, &again["data"]["refreshSession"]] {
            let refused = refresh(node, &text(&token["refreshToken"])).await;
            assert_eq!(code(&refused), "UNAUTHENTICATED", "{refused}");
            let mut bob = bob.on(node);
            bob.token = text(&token["accessToken"]);
            assert_eq!(bob.is_refused(VIEWER, json!({})).await, "UNAUTHENTICATED");
        }
    }
    ann.sends(&room, "the other family goes on").await;
    assert_eq!(others.next().await["seq"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_ends_the_stream_on_the_other_node_within_a_second() {
    let cluster = Cluster::up().await;
    removal_ends_streams_everywhere(&cluster.a, &cluster.b).await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_ends_the_stream_on_the_other_node_within_a_second_though_redis_is_dead() {
    let cluster = Cluster::up().await;
    cluster.redis.kill();
    cluster.has_redis(false).await;
    removal_ends_streams_everywhere(&cluster.a, &cluster.b).await;
    cluster.down().await;
}

/// As while Redis is frozen and no node knows it yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_ends_the_stream_on_the_other_node_within_a_second_though_its_hint_is_lost() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    removal_ends_streams_everywhere(&silent, &cluster.b).await;
    silent.finish().await;
    cluster.down().await;
}

#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn removal_ends_streams_everywhere(from: &App, on: &App) {
    let [ann, bob, cleo] = from.people(["Ann", "Bob", "Cleo"]).await;
    let room = ann.makes_group("Removal", &[&cleo]).await;
    let mut seq = 0;
    for tenth in 0..10 {
        ann.adds(&room, &[&bob]).await;
        let mut bobs = bob.on(on).follows(&room, Some(seq)).await;
        let mut cleos = cleo.on(on).follows(&room, Some(seq)).await;
        assert_eq!(bobs.next().await["__typename"], "MemberJoined");
        // Each time at another moment between two looks at the database.
        sleep(Duration::from_millis(100 * tenth)).await;

        ann.removes(&room, &bob).await;
        let answered = Instant::now();
        ann.sends(&room, "not for Bob").await;

        assert_eq!(bobs.next().await["__typename"], "MemberLeft");
        bobs.completes().await;
        let took = answered.elapsed();
        println!("ended on the other node {took:.1?} after the answer");
        assert!(took < AT_ONCE, "{took:?}");
        seq += 3;
        let all = seqs(&cleos.take(3).await);
        assert_eq!(all, (seq - 2..=seq).collect::<Vec<_>>(), "the others go on");
    }
}
