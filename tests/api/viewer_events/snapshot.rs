//! Applying the stream to an old snapshot equals a fresh snapshot, for every kind of event.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::polls::poll;

/// What a client keeps of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
struct Kept {
    last_seq: i64,
    /// What it is called and looks like.
    details: Value,
    /// Roles by user.
    members: BTreeMap<String, String>,
    /// By seq.
    messages: BTreeMap<i64, KeptMessage>,
}

/// What a client keeps of a message.
#[derive(Clone, Debug, PartialEq)]
struct KeptMessage {
    id: String,
    text: Value,
    is_edited: bool,
    is_deleted: bool,
    is_pinned: bool,
    reactions: Value,
    poll: Value,
}

/// What a client keeps.
#[derive(Clone, Debug, Default, PartialEq)]
struct Snapshot {
    conversations: BTreeMap<String, Kept>,
    /// Outcomes of calls that are over.
    calls: BTreeMap<String, Value>,
}

const CONVERSATION: &str = "fragment Kept on Conversation {
    id lastSeq title description avatarUrl archivedAt settings { onlyAdminsSend slowModeSeconds }
    members(first: 20) { nodes { role user { id } } }
    messages(last: 20) { nodes { id seq text editedAt deletedAt pinnedAt
        reactions { emoji count } poll { isClosed voterCount options { number count } } } }
}";

impl Snapshot {
    async fn of(person: &Person) -> (Self, String) {
        let query = format!(
            "{{ viewer {{ eventCursor conversations(first: 8) {{ nodes {{ ...Kept }} }} }}
                callHistory {{ nodes {{ id outcome }} }} }} {CONVERSATION}"
        );
        let found = person.asks(&query, json!({})).await;
        let (viewer, calls) = (&found["viewer"], &found["callHistory"]["nodes"]);
        let conversations = viewer["conversations"]["nodes"].as_array().expect("a list");
        let kept = conversations
            .iter()
            .map(|found| (text(&found["id"]), Kept::of(found)));
        let calls = calls.as_array().expect("a list").iter();
        let snapshot = Self {
            conversations: kept.collect(),
            calls: calls
                .map(|call| (text(&call["id"]), call["outcome"].clone()))
                .collect(),
        };
        (snapshot, text(&viewer["eventCursor"]))
    }

    /// What a client does with an event, as the client guide says.
    async fn apply(&mut self, person: &Person, event: &Value) {
        let id = text(&event["conversationId"]);
        let seq = event["seq"].as_i64().expect("a number");
        let kind = text(&event["__typename"]);
        let own = |user: &Value| user["id"] == person.id;
        if kind == "CallEnded" {
            let call = &event["call"];
            self.calls
                .insert(text(&call["id"]), call["outcome"].clone());
        }
        let comes = kind == "MemberJoined" && own(&event["member"]["user"]);
        if kind == "ConversationDeleted" {
            self.conversations.remove(&id);
            return;
        }
        if comes || !self.conversations.contains_key(&id) {
            let query =
                format!("query($id: ID!) {{ conversation(id: $id) {{ ...Kept }} }} {CONVERSATION}");
            let found = person.request(&query, json!({ "id": id })).await.json();
            // Gone again by now: a later event says so.
            if !found["data"]["conversation"].is_null() {
                self.conversations
                    .insert(id, Kept::of(&found["data"]["conversation"]));
            }
            return;
        }
        if kind == "MemberLeft" && own(&event["user"]) {
            self.conversations.remove(&id);
            return;
        }
        let kept = self.conversations.get_mut(&id).expect("known by now");
        if seq <= kept.last_seq {
            return;
        }
        assert_eq!(seq, kept.last_seq + 1, "{event}");
        kept.last_seq = seq;
        match kind.as_str() {
            "MessageSent"
            | "MessageEdited"
            | "MessageDeleted"
            | "MessageReactionsChanged"
            | "MessagePinned"
            | "MessageUnpinned"
            | "PollChanged" => {
                let message = &event["message"];
                kept.messages.insert(
                    message["seq"].as_i64().expect("a number"),
                    message_of(message),
                );
            }
            "MemberJoined" | "MemberRoleChanged" => {
                let member = &event["member"];
                kept.members
                    .insert(text(&member["user"]["id"]), text(&member["role"]));
            }
            "MemberLeft" => {
                kept.members.remove(&text(&event["user"]["id"]));
            }
            "CallEnded" => {}
            "ConversationUpdated" => kept.details = event["details"].clone(),
            other => panic!("what does a client do with {other}?"),
        }
    }
}

impl Kept {
    fn of(found: &Value) -> Self {
        let members = found["members"]["nodes"].as_array().expect("a list");
        let messages = found["messages"]["nodes"].as_array().expect("a list");
        Self {
            last_seq: found["lastSeq"].as_i64().expect("a number"),
            details: json!({
                "title": found["title"],
                "description": found["description"],
                "avatarUrl": found["avatarUrl"],
                "archivedAt": found["archivedAt"],
                "settings": found["settings"],
            }),
            members: members
                .iter()
                .map(|m| (text(&m["user"]["id"]), text(&m["role"])))
                .collect(),
            messages: messages
                .iter()
                .map(|m| (m["seq"].as_i64().expect("a number"), message_of(m)))
                .collect(),
        }
    }
}

fn message_of(message: &Value) -> KeptMessage {
    let set = |field: &str| !message[field].is_null();
    KeptMessage {
        id: text(&message["id"]),
        text: message["text"].clone(),
        is_edited: set("editedAt"),
        is_deleted: set("deletedAt"),
        is_pinned: set("pinnedAt"),
        reactions: message["reactions"].clone(),
        poll: message["poll"].clone(),
    }
}

/// The kinds of events there are, from the schema.
fn kinds() -> BTreeSet<String> {
    let sdl = backchannel::Api::sdl();
    let kinds = sdl
        .lines()
        .filter(|line| line.contains(" implements ConversationEvent"));
    kinds
        .map(|line| line.split(' ').nth(1).expect("a name").to_owned())
        .collect()
}

on_both! {
    async fn events_applied_to_an_old_snapshot_equal_a_fresh_one(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[&bob, &cleo]).await;
        let own = bob.makes_group("Bob's", &[&ann]).await;
        let left = ann.makes_group("To be left", &[&bob]).await;
        let again = ann.makes_group("Left and joined", &[&bob]).await;
        let gone = ann.makes_group("To be deleted", &[&bob]).await;
        let old = ann.sends(&room, "old").await;
        let erased = ann.sends(&room, "old too").await;
        cleo.sends(&room, "stays").await;
        for other in [&left, &again, &gone] {
            bob.sends(other, "hi").await;
        }
        let mut snapshots = vec![Snapshot::of(&bob).await];

        ann.edits(&old, "new").await;
        ann.deletes(&erased).await;
        let sent = bob.sends(&room, "hello").await;
        bob.edits(&sent, "hello!").await;
        snapshots.push(Snapshot::of(&bob).await);
        bob.deletes(&sent).await;
        let asked = bob.asks_poll(&room, poll(&["a", "b"])).await;
        for person in [&ann, &cleo] {
            person.votes(&asked, &[2]).await;
            person.reacts(&old, "👍").await;
            person.pins(&asked).await;
        }
        bob.reacts(&asked, "🎉").await;
        bob.pins(&old).await;
        cleo.unpins(&asked).await;
        cleo.unreacts(&old, "👍").await;
        // With it goes what was done to it.
        let taken_back = ann.sends(&room, "taken back").await;
        bob.reacts(&taken_back, "🎉").await;
        bob.pins(&taken_back).await;
        ann.deletes(&taken_back).await;
        bob.updates(&room, json!({ "title": "Another room", "description": "new" })).await;
        ann.updates(&left, json!({ "title": "Nearly left" })).await;
        ann.removes(&room, &cleo).await;
        ann.adds(&room, &[&cleo]).await;
        bob.removes(&left, &bob).await;
        ann.removes(&again, &bob).await;
        ann.sends(&again, "without Bob").await;
        ann.sends(&gone, "the last").await;
        ann.deletes_conversation(&gone).await;
        ann.sets(&room, json!({ "slowModeSeconds": 1 })).await;
        bob.sends(&room, "slowly").await;
        ann.archives(&room).await;
        ann.updates(&left, json!({ "title": "Without Bob" })).await;
        snapshots.push(Snapshot::of(&bob).await);
        ann.adds(&again, &[&bob]).await;
        let new = cleo.makes_group("New", &[]).await;
        cleo.sends(&new, "before Bob").await;
        cleo.adds(&new, &[&bob]).await;
        cleo.sends(&new, "after Bob").await;
        ann.restores(&room).await;
        // The owner goes, and another inherits.
        ann.removes(&room, &ann).await;
        bob.removes(&own, &bob).await;
        bob.sends(&again, "last").await;
        let direct = ann.makes(json!({ "kind": "DIRECT", "memberIds": [bob.id] })).await;
        let start = "mutation($id: ID!) { startCall(input: { conversationId: $id, kind: AUDIO }) { call { id } } }";
        let started = ann.asks(start, json!({ "id": direct.id })).await;
        let hang_up = "mutation($id: ID!) { hangUp(input: { callId: $id }) { call { id } } }";
        ann.asks(hang_up, json!({ "id": started["startCall"]["call"]["id"] })).await;

        let (fresh, end) = Snapshot::of(&bob).await;
        let mut seen = BTreeSet::new();
        for (mut snapshot, cursor) in snapshots {
            let mut stream = bob.follows_all(Some(&cursor)).await;
            let mut last = cursor;
            // At the end, a stream from the last cursor on has nothing to tell.
            while let Some((event, next)) = stream.next_within(A_WHILE).await {
                seen.insert(text(&event["__typename"]));
                snapshot.apply(&bob, &event).await;
                last = next;
            }
            assert_eq!(snapshot, fresh);
            ends_silent(bob.follows_all(Some(&last)).await).await;
        }
        assert_eq!(seen, kinds(), "every kind of event was applied");
        ends_silent(bob.follows_all(Some(&end)).await).await;
    }
}
