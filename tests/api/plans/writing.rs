//! The statements of what messages hold besides their text, and of those that are sent later.

use std::time::Duration;

use serde_json::json;

use crate::harness::people::EDIT;
use crate::harness::{App, Person, until};
use crate::scheduled::{self, in_seconds};
use crate::writing::edits::EDITS;

/// Messages of every kind, changed, answered, read, forwarded, deleted, and sent later.
pub(super) async fn all_that_messages_hold(app: &App, ann: &Person, bob: &Person) {
    let room = ann.makes_group("Writing", &[bob]).await;
    let entities = json!([
        { "kind": "MENTION", "offset": 0, "length": 2, "userId": bob.id },
        { "kind": "MENTION_EVERYONE", "offset": 0, "length": 2 },
    ]);
    let root = ann
        .writes(&room, json!({ "text": "hi", "entities": entities }))
        .await;
    let other = ann.sends(&room, "plain").await;
    let reply = json!({ "text": "hi", "threadId": root.id, "replyToId": other.id });
    let first = bob.writes(&room, reply.clone()).await;
    let second = bob.writes(&room, reply).await;
    let edit = json!({ "messageId": root.id, "text": "ho", "entities": [] });
    ann.asks(EDIT, json!({ "input": edit })).await;
    ann.edits(&root, "he").await;
    ann.reads_thread(&root, second.seq).await;
    let page = ann.thread(&root, json!({ "first": 1 })).await;
    let cursor = &page["replies"]["pageInfo"]["endCursor"];
    ann.thread(&root, json!({ "first": 1, "after": cursor }))
        .await;
    ann.thread(&root, json!({ "last": 1, "before": cursor }))
        .await;
    let edits = bob.asks(EDITS, json!({ "id": root.id, "first": 1 })).await;
    let cursor = &edits["node"]["edits"]["pageInfo"]["endCursor"];
    bob.asks(EDITS, json!({ "id": root.id, "first": 1, "after": cursor }))
        .await;
    let query = "query($id: ID!) { conversation(id: $id) { messages(last: 10) { nodes {
        entities { user { id } } replyTo { id } threadRoot { id } edits { nodes { text } }
        thread { lastReply { id } unreadCount readSeq replies(last: 3) { nodes { id } } readers { nodes { readSeq } } }
    } } } }";
    ann.asks(query, json!({ "id": room.id })).await;
    ann.forwards(&root, &room, Some("forwarded")).await;
    bob.deletes(&second).await;
    bob.deletes(&first).await;
    ann.deletes(&root).await;

    let at = in_seconds(app, 60).await;
    let message = json!({ "text": "later", "clientMessageId": "later" });
    ann.schedules(&room, &at, message).await;
    let id = ann.schedules(&room, &at, json!({ "text": "never" })).await;
    for conversation in [None, Some(&room.id)] {
        let mut variables = json!({ "conversation": conversation, "first": 1 });
        let page = ann.asks(scheduled::LIST, variables.clone()).await;
        variables["after"] = page["viewer"]["scheduledMessages"]["pageInfo"]["endCursor"].clone();
        ann.asks(scheduled::LIST, variables).await;
    }
    let input = json!({ "scheduledMessageId": id });
    let change = json!({ "scheduledMessageId": id, "text": "not at all" });
    ann.asks(scheduled::EDIT, json!({ "input": change })).await;
    ann.asks(scheduled::CANCEL, json!({ "input": input })).await;
    app.advance(Duration::from_secs(61));
    until("it is sent", || async { ann.scheduled().await.is_empty() }).await;
    what_waits_and_what_disappears(app, ann, bob).await;
}

/// Retries by key, slow mode, messages that disappear, and what waits in a conversation that is deleted.
async fn what_waits_and_what_disappears(app: &App, ann: &Person, bob: &Person) {
    let room = ann.makes_group("Brief", &[bob]).await;
    ann.sets(&room, json!({ "slowModeSeconds": 1 })).await;
    let at = in_seconds(app, 60).await;
    for message in ["one", "two"] {
        let message = json!({ "text": message, "clientMessageId": message });
        bob.schedules(&room, &at, message).await;
    }
    app.advance(Duration::from_secs(61));
    until("both are sent", || async {
        app.advance(Duration::from_millis(100));
        bob.scheduled().await.is_empty()
    })
    .await;
    bob.schedules(
        &room,
        &at,
        json!({ "text": "one", "clientMessageId": "one" }),
    )
    .await;
    ann.sets(&room, json!({ "slowModeSeconds": 0 })).await;
    let root = ann.sends(&room, "root").await;
    let reply = json!({ "text": "hi", "threadId": root.id });
    ann.forwards(&root, &room, Some("copy")).await;
    ann.forwards(&root, &room, Some("copy")).await;
    for _ in 0..2 {
        let reply = bob.writes(&room, reply.clone()).await;
        ann.reacts(&reply, "👍").await;
    }
    ann.edits(&root, "edited").await;
    ann.asks_poll(&room, crate::polls::poll(&["a", "b"])).await;
    ann.sets(&room, json!({ "retentionSeconds": 60 })).await;
    app.advance(Duration::from_secs(61));
    until("all is gone", || async {
        ann.looks_at(&root).await["thread"].is_null()
    })
    .await;
    ann.sets(&room, json!({ "retentionSeconds": null })).await;
    let at = in_seconds(app, 3_600).await;
    ann.schedules(&room, &at, json!({ "text": "never" })).await;
    ann.deletes_conversation(&room).await;
}
