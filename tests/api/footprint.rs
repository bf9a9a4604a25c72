//! What a node and its idle sockets weigh, as a real process.

use serde_json::json;

use crate::harness::clients::Socket;
use crate::harness::people::EVENTS;
use crate::harness::process::Process;

const MEGABYTE: u64 = 1_024 * 1_024;
const SOCKETS: u64 = 1_000;
/// What the sockets may weigh together. Without optimisation futures are larger.
const WEIGHT: u64 = if cfg!(debug_assertions) { 40 } else { 25 } * MEGABYTE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the figures are of interest")]
async fn a_node_and_a_thousand_subscribed_sockets_are_light() {
    let mut node = Process::new(&[("MAX_SOCKETS_PER_USER", "1000")]);
    node.start().await;
    let idle = node.resident_bytes();
    let ann = node.person("Ann").await;
    let room = ann.makes_group("Weight", &[]).await;
    let started = node.resident_bytes();
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let mut socket = Socket::open(&node.url("/graphql"), Some(&ann.token)).await;
        socket
            .subscribe("1", EVENTS, &json!({ "id": room.id, "after": 0 }))
            .await;
        sockets.push(socket);
    }
    // Once each has brought an event, each is subscribed.
    ann.sends(&room, "hello").await;
    for socket in &mut sockets {
        let message = socket.next().await.expect("an event");
        assert_eq!(message["type"], "next", "{message}");
    }
    let grown = node.resident_bytes() - started;
    println!(
        "idle: {:.1} MB; a subscribed socket: {:.1} kB",
        idle as f64 / MEGABYTE as f64,
        grown as f64 / 1_024.0 / SOCKETS as f64
    );
    assert!(idle < 40 * MEGABYTE, "{idle} bytes idle");
    assert!(grown < WEIGHT, "{grown} bytes for {SOCKETS} sockets");
}
