//! Sending: many at once, and one alone. Each send is acknowledged once it is durable.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use crate::Result;
use crate::closed_loop::{self, Load};
use crate::http::Client;
use crate::marker::{self, Marker};
use crate::node::Node;
use crate::seed::{SENDERS, World};
use crate::table::Outcome;

const SEND: &str = "mutation Send($c: ID!, $t: String!, $k: String!) {
    sendMessage(input: {conversationId: $c, text: $t, clientMessageId: $k}) {
        message { id seq createdAt }
    }
}";

/// Somebody who sends, on a connection of their own.
pub(crate) struct Sender {
    client: Client,
    /// A request up to its variables.
    request: String,
}

impl Sender {
    pub(crate) async fn connect(address: SocketAddr, token: &str) -> Result<Self> {
        let request = json!({ "query": SEND }).to_string();
        let (request, _) = request.split_at(request.len() - 1);
        Ok(Self {
            client: Client::connect(address, token).await?,
            request: format!("{request},\"variables\":"),
        })
    }

    /// Sends a message, and answers the position it was acknowledged at.
    pub(crate) async fn send(&mut self, conversation: &str, message: Marker) -> Result<u64> {
        let (request, number, text) = (&self.request, message.number, message.text());
        // Nothing in it needs escaping.
        let body = format!(
            r#"{request}{{"c":"{conversation}","t":"{text}","k":"{conversation}/{number}"}}}}"#
        );
        let answer = self.client.post(body).await?;
        Ok(marker::seq(&answer).ok_or("an acknowledgement lacks its seq")?)
    }
}

/// Many at once: all those who write, in any of their conversations.
pub(crate) async fn at_once(node: &Node, world: &World, window: Duration) -> Result<Outcome> {
    let load = load(node, world, window, SENDERS).await?;
    Ok(load.outcome("send, 64 at once", "message"))
}

/// One alone.
pub(crate) async fn alone(node: &Node, world: &World, window: Duration) -> Result<Outcome> {
    let load = load(node, world, window, 1).await?;
    Ok(load.outcome("send, one alone", "message"))
}

/// So many send. What was acknowledged must be there in the end, each at a position of its own.
async fn load(node: &Node, world: &World, window: Duration, senders: usize) -> Result<Load> {
    let before = positions(node, world).await?;
    let acknowledged = &Cell::new(0);
    let mut clients = Vec::new();
    for (n, person) in world.people.iter().enumerate().take(senders) {
        let mut sender = Sender::connect(node.address, &person.token).await?;
        let conversations = world.conversations_of(n);
        let mut number = 1_000_000 * (n as u64 + 1);
        clients.push(async move || {
            number += 1;
            let conversation = &conversations[any(number, conversations.len())];
            sender.send(conversation, Marker::now(number)).await?;
            acknowledged.set(acknowledged.get() + 1);
            Ok(())
        });
    }
    let load = closed_loop::run(node, clients, window).await?;
    let (acknowledged, written) = (acknowledged.get(), positions(node, world).await? - before);
    if written != acknowledged {
        return Err(format!("{acknowledged} were acknowledged, {written} are there").into());
    }
    Ok(load)
}

/// One of so many, by chance but alike in every run (the finalizer of SplitMix64).
fn any(number: u64, of: usize) -> usize {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed % of as u64) as usize
}

/// The sum of how far all conversations of ten have come.
async fn positions(node: &Node, world: &World) -> Result<u64> {
    const LAST: &str = "query($id: ID!) { conversation(id: $id) { lastSeq } }";
    let mut sum = 0;
    for conversation in &world.conversations {
        let member = &world.people[conversation.members[0]];
        let mut client = Client::connect(node.address, &member.token).await?;
        let found = client.ask(LAST, json!({ "id": conversation.id })).await?;
        let last = found["conversation"]["lastSeq"].as_u64();
        sum += last.ok_or("a conversation lacks its position")?;
    }
    Ok(sum)
}
