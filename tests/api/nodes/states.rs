//! What somebody makes of a conversation on one node is heard of on the others.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_of_a_conversation_is_heard_of_on_other_nodes_with_redis_and_without() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let ann = cluster.a.person("Ann").await;
    let room = ann.makes_group("Room", &[]).await;
    let mut live = ann.on(&cluster.b).follows_states(&cluster.b).await;
    for node in [&cluster.a, &silent] {
        for (mutation, expected) in [("pinConversation", true), ("unpinConversation", false)] {
            let made = Instant::now();
            ann.on(node).makes_of(&room, mutation, json!({})).await;
            assert_eq!(live.next().await.1["isPinned"], expected);
            assert!(made.elapsed() < UNHINTED, "{:?}", made.elapsed());
        }
    }
    drop(live);
    silent.finish().await;
    cluster.down().await;
}
