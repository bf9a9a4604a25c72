//! Requests and blocks across nodes, also where nobody tells of them.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_reach_both_sides_on_every_node_also_unhinted() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let mut anns = ann.on(&cluster.b).follows_requests().await;
    let mut bobs = bob.follows_requests().await;
    for node in [&cluster.a, &silent, &cluster.b] {
        let (ann, bob) = (ann.on(node), bob.on(node));
        let started = Instant::now();
        let id = ann.asks_for_chat(json!({ "userId": bob.id })).await["id"].clone();
        anns.shows(&id, "PENDING").await;
        bobs.shows(&id, "PENDING").await;
        ann.answers(crate::requests::CANCEL, &id).await;
        anns.shows(&id, "CANCELLED").await;
        bobs.shows(&id, "CANCELLED").await;
        assert!(started.elapsed() < UNHINTED, "{:?}", started.elapsed());
    }
    drop((anns, bobs));
    silent.finish().await;
    cluster.down().await;
}

/// What is open on other nodes goes by the block within a second, and what is sent there at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_holds_on_every_node_also_unhinted() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_direct(&bob).await;
    ann.sends(&room, "one").await;
    let there = ann.on(&cluster.b);
    let mut receipts = there.follows_receipts(&cluster.b, &room).await;
    let mut typing = there.follows_typing(&cluster.b, &room).await;
    let bobs = bob.on(&cluster.b);
    bobs.types(&room, true).await;
    assert_eq!(typing.next().await["typing"], true);
    let input = json!({ "input": { "conversationId": room.id, "text": "hi" } });

    ann.on(&silent).blocks(&bob).await;

    assert_eq!(bobs.is_refused(SEND, input).await, "FORBIDDEN");
    let blocked = Instant::now();
    let ended = typing.next().await;
    assert_eq!(ended["typing"], false, "as far as Ann sees");
    assert!(blocked.elapsed() < AT_ONCE, "{:?}", blocked.elapsed());
    bobs.reads(&room, 1).await;
    there.reads(&room, 1).await;
    assert_eq!(
        receipts.next().await["userId"],
        ann.id.as_str(),
        "and not Bob's"
    );
    drop((receipts, typing));
    silent.finish().await;
    cluster.down().await;
}
