//! Pages of messages are written in one go where that can be, and resolved field by field where
//! not. Nobody can tell which it was.

use serde_json::{Value, json};

use crate::harness::clients::Socket;
use crate::harness::{App, Person, Room, on_both};

/// All that is plain of a message.
const PLAIN: &str = "__typename id seq text clientMessageId createdAt editedAt deletedAt
    sender { __typename id displayName avatarUrl }";

async fn page(person: &Person, room: &Room, selected: &str) -> Value {
    let query = format!("query($id: ID!) {{ conversation(id: $id) {{ {selected} }} }}");
    person.asks(&query, json!({ "id": room.id })).await["conversation"].clone()
}

/// A conversation with a message of each kind.
async fn conversation(app: &App) -> (Person, Room) {
    let [ann, bob] = app.people(["Ann \"A\"", "Bob 💬"]).await;
    let room = ann.makes_group("Kinds", &[&bob]).await;
    ann.sends_with_key(&room, "with a key", "key \\ 1").await;
    let edited = bob.sends(&room, "first").await;
    bob.edits(&edited, "edited, \"quoted\"\n\t\u{7f}\u{1} ü 💬")
        .await;
    let deleted = ann.sends(&room, "to be deleted").await;
    ann.deletes(&deleted).await;
    (ann, room)
}

on_both! {
    async fn what_is_written_is_what_would_have_been_resolved(app) {
        let (ann, room) = conversation(app).await;
        let written = page(&ann, &room, &format!("messages {{ nodes {{ {PLAIN} }} }}")).await;
        let nodes = written["messages"]["nodes"].as_array().expect("a list");
        let texts: Vec<_> = nodes.iter().map(|node| &node["text"]).collect();
        assert_eq!(texts, [&json!("with a key"), &json!("edited, \"quoted\"\n\t\u{7f}\u{1} ü 💬"), &Value::Null]);
        assert_eq!(nodes[0]["sender"]["displayName"], "Ann \"A\"");
        // A field that must wait, or a directive, and nothing is written.
        let resolved = page(&ann, &room, &format!("messages {{ nodes {{ {PLAIN} conversation {{ id }} }} }}")).await;
        for (written, resolved) in nodes.iter().zip(resolved["messages"]["nodes"].as_array().expect("a list")) {
            let mut resolved = resolved.clone();
            assert_eq!(resolved["conversation"]["id"], room.id);
            resolved.as_object_mut().expect("an object").remove("conversation");
            assert_eq!(*written, resolved);
        }
        let directive = page(&ann, &room, &format!("messages {{ nodes @include(if: true) {{ {PLAIN} id @skip(if: true) }} }}")).await;
        assert_eq!(directive["messages"]["nodes"][1]["sender"], nodes[1]["sender"]);
    }

    async fn edges_fragments_and_other_names_are_written_too(app) {
        let (ann, room) = conversation(app).await;
        let query = "query($id: ID!) { conversation(id: $id) { page: messages { pageInfo { endCursor } edges { at: cursor ...Edge } } } }
            fragment Edge on MessageEdge { kind: __typename node { ...Message ... on Message { who: sender { ...User } } } }
            fragment Message on Message { number: seq ... { text } }
            fragment User on User { name: displayName }";
        let found = ann.asks(query, json!({ "id": room.id })).await;
        let page = &found["conversation"]["page"];
        let edges = page["edges"].as_array().expect("a list");
        let first = json!({ "at": edges[0]["at"], "kind": "MessageEdge",
            "node": { "number": 1, "text": "with a key", "who": { "name": "Ann \"A\"" } } });
        assert_eq!(edges[0], first);
        assert_eq!(edges[2]["at"], page["pageInfo"]["endCursor"]);
    }

    async fn what_is_selected_in_several_places_is_united(app) {
        let (ann, room) = conversation(app).await;
        let expected = page(&ann, &room, "messages { nodes { seq text sender { id displayName } } }").await;
        for selected in [
            "messages { nodes { seq } nodes { text } ... { nodes { sender { id displayName } } } }",
            "messages { nodes { seq text } } messages { nodes { sender { id displayName } } }",
            "messages { nodes { seq text sender { id } sender { displayName } } }",
            "messages { nodes { seq seq text sender { id displayName } } }",
        ] {
            assert_eq!(page(&ann, &room, selected).await, expected, "{selected}");
        }
        let query = "query($id: ID!) { conversation(id: $id) { messages { nodes { seq text } } } ...More }
            fragment More on Query { conversation(id: $id) { messages { nodes { sender { id displayName } } } } }";
        let united = ann.asks(query, json!({ "id": room.id })).await;
        assert_eq!(united["conversation"], expected);
    }

    async fn a_page_within_an_event_is_the_same_over_every_door(app) {
        let (ann, room) = conversation(app).await;
        let expected = page(&ann, &room, "messages { nodes { seq text } }").await;
        let query = "subscription($id: ID!) { conversationEvents(conversationId: $id, after: 0) {
            ... on MessageSent { message { conversation { messages { nodes { seq text } } } } } } }";
        let mut socket = Socket::open(&app.url("/graphql"), Some(&ann.token)).await;
        socket.subscribe("1", query, &json!({ "id": room.id })).await;
        let event = socket.next().await.expect("an event");
        assert_eq!(event["payload"]["data"]["conversationEvents"]["message"]["conversation"], expected);
        socket.close().await;
        let body = json!({ "query": query, "variables": { "id": room.id } });
        let mut events = app.http().events(&app.url("/graphql"), Some(&ann.token), &body).await;
        let (_, event) = events.next().await.expect("an event");
        assert_eq!(event["data"]["conversationEvents"]["message"]["conversation"], expected);
    }

    async fn a_failure_elsewhere_leaves_what_is_written_as_it_is(app) {
        let (ann, room) = conversation(app).await;
        let query = "query($id: ID!) { good: conversation(id: $id) { messages { nodes { seq } } } bad: conversation(id: \"x\") { id } }";
        let answer = ann.request(query, json!({ "id": room.id })).await.json();
        let nodes = json!([{ "seq": 1 }, { "seq": 2 }, { "seq": 4 }]);
        assert_eq!(answer["data"], json!({ "good": { "messages": { "nodes": nodes } }, "bad": null }));
        assert_eq!(answer["errors"][0]["path"], json!(["bad"]));
    }
}
