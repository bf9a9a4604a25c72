//! Lists, prepared, executed and encoded.

use divan::Bencher;
use serde_json::{Value, json};

use crate::node::{Node, Person, data, request};

const PEOPLE: [&str; 5] = ["Ann", "Bob", "Cleo", "Dan", "Eve"];
const MESSAGES: usize = 60;
const PAGE: usize = 50;

/// A conversation of five people with more than a page of messages, as the first of them reads it.
fn conversation(node: &Node) -> (Person, String) {
    let people = PEOPLE.map(|name| node.person(name));
    let others: Vec<_> = people[1..].iter().collect();
    let conversation = node.conversation(&people[0], &others);
    for n in 0..MESSAGES {
        node.send(&people[n % people.len()], &conversation);
    }
    let [ann, ..] = people;
    (ann, conversation)
}

/// Measures a page of messages, of which `select` is selected.
fn messages(bencher: Bencher, select: &str) {
    let node = Node::new();
    let (ann, id) = conversation(&node);
    let document = format!(
        "query($id: ID!) {{ conversation(id: $id) {{ messages(last: 50) {{ {select} }} }} }}"
    );
    let read = || {
        let request = request(document.as_str(), json!({ "id": id }));
        node.run(node.execute(ann.cx.clone(), request))
    };
    let page = &data(&read())["conversation"]["messages"]["nodes"];
    assert_eq!(page.as_array().map(Vec::len), Some(PAGE));
    assert!(page[0]["sender"]["displayName"].is_string(), "{page}");
    bencher.bench_local(read);
}

/// The page is written where it is resolved.
#[divan::bench]
fn messages_with_senders(bencher: Bencher) {
    messages(
        bencher,
        "nodes { id seq text createdAt sender { id displayName avatarUrl } }",
    );
}

/// A list in two places must be united, for which each of its fields is resolved by itself.
#[divan::bench]
fn messages_selected_twice(bencher: Bencher) {
    messages(
        bencher,
        "nodes { id seq text createdAt } nodes { sender { id displayName avatarUrl } }",
    );
}

#[divan::bench]
fn conversations_with_last_message_and_unread(bencher: Bencher) {
    const LIST: &str = "{ viewer { conversations(first: 50) { nodes {
        id title lastSeq unreadCount
        messages(last: 1) { nodes { id seq text createdAt sender { id displayName } } }
    } } } }";
    let node = Node::new();
    let [ann, bob] = ["Ann", "Bob"].map(|name| node.person(name));
    for _ in 0..PAGE {
        let conversation = node.conversation(&ann, &[&bob]);
        for _ in 0..3 {
            node.send(&bob, &conversation);
        }
    }
    let read = || node.run(node.execute(ann.cx.clone(), request(LIST, Value::Null)));
    let list = &data(&read())["viewer"]["conversations"]["nodes"];
    assert_eq!(list.as_array().map(Vec::len), Some(PAGE));
    assert_eq!(list[0]["unreadCount"], 3);
    assert_eq!(
        list[0]["messages"]["nodes"][0]["sender"]["displayName"],
        "Bob"
    );
    bencher.bench_local(read);
}
