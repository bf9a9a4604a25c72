//! Reading: the newest messages of a conversation, and the list of conversations.

use std::rc::Rc;
use std::time::Duration;

use memchr::memmem;
use serde_json::{Value, json};

use crate::Result;
use crate::closed_loop;
use crate::http::Client;
use crate::marker::Marker;
use crate::node::Node;
use crate::seed::{Person, World};
use crate::table::Outcome;

const CLIENTS: usize = 16;
/// Items of a page.
const PAGE: usize = 50;

const MESSAGES: &str = "query Page($c: ID!) { conversation(id: $c) { messages(last: 50) {
    nodes { id seq text createdAt sender { id displayName avatarUrl } }
} } }";

const CONVERSATIONS: &str = "{ viewer { conversations(first: 50) { nodes {
    id title lastSeq unreadCount
    messages(last: 1) { nodes { id seq text createdAt sender { id displayName } } }
} } } }";

/// The newest 50 of some thousand messages, with their senders.
pub(crate) async fn of_messages(node: &Node, world: &World, window: Duration) -> Result<Outcome> {
    let readers = &world.people[..CLIENTS];
    let variables = json!({ "c": world.history });
    let checked = "\"avatarUrl\":";
    let load = read(node, readers, (MESSAGES, variables), checked, window).await?;
    Ok(load.outcome("page of 50 messages", "page"))
}

/// 50 conversations, each with its last message, that one's sender, and how much is unread.
pub(crate) async fn of_conversations(
    node: &Node,
    world: &World,
    window: Duration,
) -> Result<Outcome> {
    let request = (CONVERSATIONS, Value::Null);
    let checked = "\"unreadCount\":2,";
    let load = read(node, world.readers(), request, checked, window).await?;
    Ok(load.outcome("list of 50 conversations", "list"))
}

/// Has each reader ask the same again and again. Each item has a message, and says what is checked.
async fn read(
    node: &Node,
    readers: &[Rc<Person>],
    (query, variables): (&str, Value),
    checked: &'static str,
    window: Duration,
) -> Result<closed_loop::Load> {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let body = &body;
    let mut clients = Vec::new();
    for reader in readers {
        let mut client = Client::connect(node.address, &reader.token).await?;
        clients.push(async move || {
            let answer = client.post(body.clone()).await?;
            let said = memmem::find_iter(&answer, checked).count();
            let messages = Marker::count(&answer);
            if (messages, said) != (PAGE, PAGE) {
                return Err(format!("{messages} messages; {said} times {checked}").into());
            }
            Ok(())
        });
    }
    closed_loop::run(node, clients, window).await
}
