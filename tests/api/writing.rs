//! What messages hold besides their text: typed content, entities and mentions, what they answer, the
//! threads they are in, where they come from, and what they were before they were edited.

pub(crate) mod edits;
pub(crate) mod forwarding;
pub(crate) mod threads;

use serde_json::{Value, json};

use crate::harness::people::{Room, SEND, Sent, text};
use crate::harness::{Person, on_both};

/// All that a message can hold.
pub(crate) const WRITTEN: &str = "query($id: ID!) { node(id: $id) { ...Written } }
fragment Written on Message {
    id seq kind text
    content {
        __typename
        ... on MediaContent { url name mimeType size width height durationMs thumbnailUrl waveform }
        ... on LocationContent { latitude longitude name address }
        ... on CallContent { kind outcome durationSeconds }
    }
    entities { kind offset length url language user { id } }
    replyTo { id text deletedAt }
    threadRoot { id }
    thread { replyCount lastReplyAt lastReply { id } }
    forwarded { sender { id } sentAt hops }
}";

impl Person {
    /// Sends a message of any kind.
    pub(crate) async fn writes(&self, room: &Room, message: Value) -> Sent {
        let mut input = message;
        input["conversationId"] = json!(room.id);
        Sent::of(&self.asks(SEND, json!({ "input": input })).await)
    }

    /// A message with all it holds, as this person sees it.
    pub(crate) async fn looks_at(&self, message: &Sent) -> Value {
        let mut found = self.asks(WRITTEN, json!({ "id": message.id })).await;
        found["node"].take()
    }
}

/// The field that is to blame for the refusal of a message.
async fn blamed(person: &Person, room: &Room, message: Value) -> String {
    let mut input = message;
    input["conversationId"] = json!(room.id);
    let refusal = person
        .is_refused_with(SEND, json!({ "input": input }))
        .await;
    assert_eq!(refusal["code"], "BAD_USER_INPUT", "{refusal}");
    text(&refusal["field"])
}

fn entity(kind: &str, offset: i32, length: i32) -> Value {
    json!({ "kind": kind, "offset": offset, "length": length })
}

on_both! {
    async fn a_message_of_each_kind_holds_what_it_was_given(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Kinds", &[bob]).await;
        let media = json!({
            "url": "https://files.example.com/1.png", "name": "1.png", "mimeType": "image/png",
            "size": 12345, "width": 640, "height": 480, "durationMs": 1200,
            "thumbnailUrl": "https://files.example.com/1.small.png", "waveform": [0, 50, 100],
        });
        let place = json!({ "latitude": 52.52, "longitude": 13.405, "name": "Berlin", "address": null });
        let note = json!({ "kind": "VIDEO", "outcome": "MISSED", "durationSeconds": 0 });
        let mut stream = bob.follows(&room, Some(0)).await;
        for (kind, field, content, type_name) in [
            ("IMAGE", "image", &media, "MediaContent"),
            ("FILE", "file", &media, "MediaContent"),
            ("VOICE", "voice", &media, "MediaContent"),
            ("VIDEO", "video", &media, "MediaContent"),
            ("LOCATION", "location", &place, "LocationContent"),
            ("CALL", "call", &note, "CallContent"),
        ] {
            let sent = ann.writes(&room, json!({ "content": { field: content } })).await;
            let mut expected = content.clone();
            expected["__typename"] = json!(type_name);
            let seen = bob.looks_at(&sent).await;
            assert_eq!((&seen["kind"], &seen["text"]), (&json!(kind), &Value::Null));
            assert_eq!(seen["content"], expected);
            let event = stream.next().await;
            assert_eq!((&event["message"]["id"], &event["seq"]), (&json!(sent.id), &json!(sent.seq)));
        }
        // A text beside it, and none without it.
        let sent = ann.writes(&room, json!({ "text": "look", "content": { "image": media } })).await;
        assert_eq!(bob.looks_at(&sent).await["text"], "look");
        assert_eq!(stream.next().await["message"]["text"], "look");
        let plain = ann.sends(&room, "plain").await;
        let seen = bob.looks_at(&plain).await;
        assert_eq!((&seen["kind"], &seen["content"], &seen["entities"]), (&json!("TEXT"), &Value::Null, &json!([])));

        // A deleted one holds nothing.
        ann.deletes(&sent).await;
        let seen = bob.looks_at(&sent).await;
        assert_eq!((&seen["kind"], &seen["text"], &seen["content"]), (&json!("IMAGE"), &Value::Null, &Value::Null));
    }

    async fn a_page_shows_what_its_messages_hold(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Pages", &[bob]).await;
        let query = "query($id: ID!, $last: Int) { conversation(id: $id) { messages(last: $last) { nodes {
            id kind text content { __typename } entities { kind } replyTo { id } threadRoot { id } thread { replyCount } forwarded { hops }
        } } } }";
        let first = ann.sends(&room, "first").await;
        let page = bob.asks(query, json!({ "id": room.id, "last": 10 })).await;
        let plain = json!({
            "id": first.id, "kind": "TEXT", "text": "first", "content": null, "entities": [], "replyTo": null,
            "threadRoot": null, "thread": null, "forwarded": null,
        });
        assert_eq!(page["conversation"]["messages"]["nodes"], json!([plain]));
        let answer = bob.writes(&room, json!({ "text": "yes", "replyToId": first.id, "threadId": first.id })).await;
        let page = bob.asks(query, json!({ "id": room.id, "last": 10 })).await;
        let nodes = &page["conversation"]["messages"]["nodes"];
        assert_eq!(nodes[0]["thread"]["replyCount"], 1);
        assert_eq!(nodes[1], json!({
            "id": answer.id, "kind": "TEXT", "text": "yes", "content": null, "entities": [],
            "replyTo": { "id": first.id }, "threadRoot": { "id": first.id }, "thread": null, "forwarded": null,
        }));
    }

    async fn what_does_not_go_with_a_message_is_refused(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Checks", &[]).await;
        let url = "https://files.example.com/1";
        let image = |field: &str, value: Value| json!({ "content": { "image": { "url": url, field: value } } });
        for (message, field) in [
            (json!({}), "text"),
            (json!({ "content": { "image": { "url": "ftp://files.example.com" } } }), "url"),
            (image("size", json!(-1)), "size"),
            (image("width", json!(0)), "width"),
            (image("height", json!(100_001)), "height"),
            (image("durationMs", json!(-1)), "durationMs"),
            (image("waveform", json!([101])), "waveform"),
            (image("waveform", json!(vec![1; 129])), "waveform"),
            (image("mimeType", json!("image")), "mimeType"),
            (image("name", json!("a/b")), "name"),
            (image("thumbnailUrl", json!("none")), "thumbnailUrl"),
            (json!({ "content": { "location": { "latitude": 90.1, "longitude": 0.0 } } }), "latitude"),
            (json!({ "content": { "location": { "latitude": 0.0, "longitude": -180.1 } } }), "longitude"),
            (json!({ "content": { "call": { "kind": "AUDIO", "outcome": "COMPLETED", "durationSeconds": -1 } } }), "durationSeconds"),
        ] {
            assert_eq!(blamed(&ann, &room, message.clone()).await, field, "{message}");
        }
        let two = json!({ "conversationId": room.id, "content": {
            "image": { "url": url }, "location": { "latitude": 0.0, "longitude": 0.0 },
        } });
        ann.is_refused(SEND, json!({ "input": two })).await;
        assert_eq!(ann.last_seq(&room).await, 0);
    }

    async fn entities_lie_within_the_text(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Entities", &[bob]).await;
        // The smiley takes two UTF-16 code units.
        let (say, end) = ("a 😀 bold", 9);
        let mention = json!({ "kind": "MENTION", "offset": 0, "length": 1, "userId": bob.id });
        let link = json!({ "kind": "LINK", "offset": 2, "length": 2, "url": "https://example.com" });
        let pre = json!({ "kind": "PRE", "offset": 0, "length": end, "language": "rust" });
        let message = json!({ "text": say, "entities": [entity("BOLD", 5, 4), link, mention, pre] });
        let sent = ann.writes(&room, message).await;
        let seen = bob.looks_at(&sent).await["entities"].take();
        let kinds: Vec<_> = seen.as_array().expect("a list").iter().map(|e| text(&e["kind"])).collect();
        assert_eq!(kinds, ["PRE", "MENTION", "LINK", "BOLD"]);
        assert_eq!(seen[1]["user"]["id"], *bob.id);
        assert_eq!((&seen[2]["url"], &seen[0]["language"]), (&json!("https://example.com"), &json!("rust")));

        for bad in [
            entity("BOLD", -1, 2),
            entity("BOLD", 0, 0),
            entity("BOLD", 0, end + 1),
            entity("BOLD", i32::MAX, 1),
            entity("BOLD", 3, 1),
            entity("LINK", 0, 1),
            entity("MENTION", 0, 1),
            json!({ "kind": "BOLD", "offset": 0, "length": 1, "url": "https://example.com" }),
            json!({ "kind": "BOLD", "offset": 0, "length": 1, "userId": bob.id }),
            json!({ "kind": "CODE", "offset": 0, "length": 1, "language": "rust" }),
            json!({ "kind": "LINK", "offset": 0, "length": 1, "url": "javascript:alert(1)" }),
        ] {
            assert_eq!(blamed(ann, &room, json!({ "text": say, "entities": [bad] })).await, "entities", "{bad}");
        }
        // Of URLs there may be four of the longest.
        let long = format!("https://example.com/{}", "a".repeat(2_048 - 20));
        let links = |count| vec![json!({ "kind": "LINK", "offset": 0, "length": 1, "url": long }); count];
        ann.writes(&room, json!({ "text": say, "entities": links(4) })).await;
        assert_eq!(blamed(ann, &room, json!({ "text": say, "entities": links(5) })).await, "entities");
        let many = vec![entity("BOLD", 0, 1); 101];
        assert_eq!(blamed(ann, &room, json!({ "text": say, "entities": many })).await, "entities");
    }

    async fn who_is_mentioned_is_told_if_a_member(app) {
        let [ann, bob, cleo] = &app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Mentions", &[bob]).await;
        let all_rows = "SELECT count(*) FROM mentions";
        let mention = |user: &Person| json!({ "kind": "MENTION", "offset": 0, "length": 1, "userId": user.id });
        let own = ann.writes(&room, json!({ "text": "@me", "entities": [mention(ann)] })).await;
        assert_eq!(bob.looks_at(&own).await["entities"][0]["user"]["id"], *ann.id);
        assert_eq!(app.runs_sql(all_rows).await, "0");
        let both = ann.writes(&room, json!({ "text": "@b @c", "entities": [mention(bob), mention(cleo)] })).await;
        assert_eq!(app.runs_sql(all_rows).await, "1");
        let everyone = ann.writes(&room, json!({ "text": "@all", "entities": [entity("MENTION_EVERYONE", 0, 4)] })).await;
        assert_eq!(app.runs_sql(all_rows).await, "2");
        // Edited, the mention is another; deleted, it is gone.
        let input = json!({ "messageId": both.id, "text": "@b", "entities": [] });
        ann.asks(crate::harness::people::EDIT, json!({ "input": input })).await;
        assert_eq!(app.runs_sql(all_rows).await, "1");
        ann.deletes(&everyone).await;
        assert_eq!(app.runs_sql(all_rows).await, "0");

        // Where there are many, few mention everyone.
        let channel = ann.makes(json!({ "kind": "ROOM", "memberIds": [bob.id], "slug": "many" })).await;
        let input = json!({ "conversationId": channel.id, "text": "@all", "entities": [entity("MENTION_EVERYONE", 0, 4)] });
        assert_eq!(bob.is_refused(SEND, json!({ "input": input })).await, "FORBIDDEN");
        ann.asks(SEND, json!({ "input": input })).await;
        let plain = bob.sends(&channel, "hi").await;
        let input = json!({ "messageId": plain.id, "text": "@all", "entities": [entity("MENTION_EVERYONE", 0, 4)] });
        assert_eq!(bob.is_refused(crate::harness::people::EDIT, json!({ "input": input })).await, "FORBIDDEN");
    }

    async fn a_retry_of_all_that_a_message_holds_is_the_same_message(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Retries", &[bob]).await;
        let first = ann.sends(&room, "first").await;
        let message = json!({
            "text": "again", "clientMessageId": "k", "replyToId": first.id, "threadId": first.id,
            "content": { "image": { "url": "https://files.example.com/1" } }, "entities": [entity("BOLD", 0, 5)],
        });
        let sends = (0..8).map(|_| ann.writes(&room, message.clone()));
        let sent = futures_util::future::join_all(sends).await;
        assert!(sent.iter().all(|again| *again == sent[0]));
        assert_eq!(ann.last_seq(&room).await, 2);
        assert_eq!(bob.looks_at(&first).await["thread"]["replyCount"], 1);
        for (field, other) in [
            ("text", json!("other")),
            ("replyToId", Value::Null),
            ("threadId", Value::Null),
            ("entities", json!([])),
            ("content", json!({ "file": { "url": "https://files.example.com/1" } })),
        ] {
            let mut input = message.clone();
            input["conversationId"] = json!(room.id);
            input[field] = other;
            assert_eq!(ann.is_refused(SEND, json!({ "input": input })).await, "CONFLICT", "{field}");
        }
        assert_eq!(ann.last_seq(&room).await, 2);
    }
}
