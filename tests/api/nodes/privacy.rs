//! What somebody hides on one node disappears on the others.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn what_is_hidden_on_one_node_disappears_on_the_others_with_redis_and_without() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let picture = json!("https://example.com/ann.png");
    ann.updates_profile(json!({ "avatarUrl": picture })).await;
    ann.sets_presence(json!({ "state": "BUSY" })).await;
    let mut watching = bob.on(&cluster.b).watches(&[&ann]).await;
    assert!(watching.shows(&ann, "BUSY").await["lastSeenAt"].is_string());
    let mut profiles = bob.on(&cluster.b).watches_profiles(&[&ann]).await;
    assert_eq!(profiles.next().await["avatarUrl"], picture);
    for node in [&cluster.a, &silent] {
        for audience in ["NOBODY", "EVERYONE"] {
            let is_shown = audience == "EVERYONE";
            let change = json!({ "lastSeen": audience, "avatar": audience });
            ann.on(node).updates_privacy(change).await;
            let changed = Instant::now();
            let seen = watching.shows(&ann, "BUSY").await;
            assert_eq!(seen["lastSeenAt"].is_string(), is_shown, "{seen}");
            let seen = profiles.next().await;
            assert_eq!(seen["avatarUrl"] == picture, is_shown, "{seen}");
            let took = changed.elapsed();
            println!("{audience}: {took:.1?}");
            assert!(took < UNHINTED, "{took:?}");
        }
    }
    drop((watching, profiles));
    silent.finish().await;
    cluster.down().await;
}
