//! What a node and its idle sockets weigh, as a real process.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use serde_json::json;
use tokio::time::sleep;

use crate::harness::clients::Socket;
use crate::harness::people::{EVENTS, Person, Room};
use crate::harness::process::Process;

pub(crate) const MEGABYTE: u64 = 1_024 * 1_024;
const SOCKETS: usize = 1_000;
/// What a node may weigh that has just started, most of it the program itself, which is twice as large
/// without optimisation.
const IDLE: u64 = if cfg!(debug_assertions) { 75 } else { 35 } * MEGABYTE;
/// What the sockets may weigh together. Without optimisation futures are larger.
const WEIGHT: u64 = if cfg!(debug_assertions) { 20 } else { 15 } * MEGABYTE;
/// How many sockets are opened at a time.
const OPENING: usize = 50;
/// How long the node is left alone before it is weighed.
const REST: Duration = Duration::from_secs(3);
/// What a node may keep of its sockets' memory when they have gone.
pub(crate) const KEPT: u64 = 10 * MEGABYTE;
/// How long the allocator may take to give the rest back, in seconds.
const RETURN: u32 = 30;

/// What a node weighs, in bytes of resident memory.
pub(crate) struct Weight {
    pub(crate) sockets: usize,
    pub(crate) rooms: usize,
    /// Just started.
    pub(crate) idle: u64,
    /// With its people and conversations.
    pub(crate) before: u64,
    /// With all sockets open, each subscribed and each having brought one event.
    pub(crate) open: u64,
    /// When all of them have been closed.
    pub(crate) after: u64,
}

/// Weighs a node with so many sockets, spread over so many conversations.
pub(crate) async fn weigh(sockets: usize, rooms: usize) -> Weight {
    let mut node = Process::new(&[("MAX_SOCKETS_PER_USER", "100000")]);
    node.start().await;
    let idle = node.resident_bytes();
    let ann = node.person("Ann").await;
    let rooms: Vec<Room> = stream::iter(0..rooms)
        .map(|_| ann.makes_group("Weight", &[]))
        .buffered(OPENING)
        .collect()
        .await;
    sleep(REST).await;
    let before = node.resident_bytes();
    let mut open: Vec<Socket> = stream::iter(0..sockets)
        .map(|n| subscribed(&ann, &rooms[n % rooms.len()]))
        .buffered(OPENING)
        .collect()
        .await;
    // Once each has brought an event, each is subscribed.
    for room in &rooms {
        ann.sends(room, "hello").await;
    }
    for message in join_all(open.iter_mut().map(Socket::next)).await {
        let message = message.expect("an event");
        assert_eq!(message["type"], "next", "{message}");
    }
    sleep(REST).await;
    let weight = node.resident_bytes();
    drop(open);
    let mut after = weight;
    for _ in 0..RETURN {
        if after < before + KEPT {
            break;
        }
        sleep(Duration::from_secs(1)).await;
        after = node.resident_bytes();
    }
    Weight {
        sockets,
        rooms: rooms.len(),
        idle,
        before,
        open: weight,
        after,
    }
}

async fn subscribed(ann: &Person, room: &Room) -> Socket {
    let mut socket = ann.opens_socket().await;
    socket
        .subscribe("1", EVENTS, &json!({ "id": room.id, "after": 0 }))
        .await;
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "the figures are of interest")]
async fn a_node_and_a_thousand_subscribed_sockets_are_light() {
    let weight = weigh(SOCKETS, 1).await;
    let Weight { idle, .. } = weight;
    let grown = weight.open - weight.before;
    println!(
        "idle: {:.1} MB; a subscribed socket: {:.1} kB; {:.1} MB more than before when all are closed",
        idle as f64 / MEGABYTE as f64,
        grown as f64 / 1_024.0 / SOCKETS as f64,
        weight.after.saturating_sub(weight.before) as f64 / MEGABYTE as f64,
    );
    assert!(idle < IDLE, "{idle} bytes idle");
    assert!(grown < WEIGHT, "{grown} bytes for {SOCKETS} sockets");
}
