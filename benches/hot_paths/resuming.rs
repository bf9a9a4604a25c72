//! Clients that come back: a stream is opened, and what was missed is brought. A node reads in
//! rounds, so that a crowd shares them; each sample here begins when the round before is long over.
//! Of a crowd the first is read for at once and all others together, 50 ms later.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

use crate::node::{Answers, Node, take, text};

/// How many messages each client has missed.
const MISSED: usize = 20;
/// How many conversations somebody is in who follows everything.
const CONVERSATIONS: usize = 100;

/// Longer than a round.
const PAUSE: Duration = Duration::from_millis(100);

const CONVERSATION: &str = "subscription($id: ID!, $after: Int) {
    conversationEvents(conversationId: $id, after: $after) {
        seq at ... on MessageSent { message { id text createdAt sender { id displayName } } }
    }
}";
const EVERYTHING: &str = "subscription($after: Cursor) { viewerEvents(after: $after) {
    cursor event {
        conversationId seq at
        ... on MessageSent { message { id text createdAt sender { id displayName } } }
    }
} }";

/// What a stream brings, up to so many events.
async fn bring(mut answers: Answers, events: usize) -> String {
    let mut text = String::new();
    for _ in 0..events {
        take(&mut answers, &mut text).await;
    }
    text
}

/// So many clients at once.
#[divan::bench(args = [1, 100], sample_size = 1, sample_count = 30)]
fn one_conversation(bencher: Bencher, clients: usize) {
    let node = Node::new();
    let [ann, bob] = ["Ann", "Bob"].map(|name| node.person(name));
    let id = node.conversation(&ann, &[&bob]);
    for _ in 0..=MISSED {
        node.send(&ann, &id);
    }
    let resume = || {
        let request = || crate::node::request(CONVERSATION, json!({ "id": id, "after": 1 }));
        let streams = (0..clients).map(|_| node.subscribe(&bob, request()));
        node.run(join_all(streams.map(|stream| bring(stream, MISSED))))
    };
    for brought in resume() {
        assert!(
            brought.contains(r#""seq":2,"#),
            "begins behind the last one seen"
        );
        assert!(brought.contains(&format!(r#""seq":{},"#, MISSED + 1)));
    }
    bencher
        .counter(ItemsCount::new(clients * MISSED))
        .with_inputs(|| node.run(async { sleep(PAUSE).await }))
        .bench_local_values(|()| resume());
}

/// One message was missed in each conversation.
#[divan::bench(sample_size = 1, sample_count = 30)]
fn everything(bencher: Bencher) {
    let node = Node::new();
    let [ann, bob] = ["Ann", "Bob"].map(|name| node.person(name));
    let conversations: Vec<_> = (0..CONVERSATIONS)
        .map(|_| node.conversation(&ann, &[&bob]))
        .collect();
    let viewer = node.ask(&bob, "{ viewer { eventCursor } }", json!({}));
    let cursor = text(&viewer["viewer"]["eventCursor"]);
    for conversation in &conversations {
        node.send(&ann, conversation);
    }
    let resume = || {
        let request = crate::node::request(EVERYTHING, json!({ "after": cursor }));
        node.run(bring(node.subscribe(&bob, request), CONVERSATIONS))
    };
    let brought = resume();
    for conversation in &conversations {
        assert_eq!(brought.matches(conversation.as_str()).count(), 1);
    }
    bencher
        .counter(ItemsCount::new(CONVERSATIONS))
        .with_inputs(|| node.run(async { sleep(PAUSE).await }))
        .bench_local_values(|()| resume());
}
