//! What people make of conversations for themselves: nobody else sees it, their other devices hear of
//! it.

use serde_json::{Value, json};

use crate::harness::clients::Socket;
use crate::harness::people::{MARK_READ, text};
use crate::harness::{App, Person, Room, on_both, until};

/// What somebody has made of a conversation, as it is without.
fn nothing() -> Value {
    json!({
        "isHidden": false, "mutedUntil": null, "isPinned": false, "pinnedAt": null,
        "isMarkedUnread": false, "draft": null,
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut state = nothing();
    state[field] = value;
    state
}

const STATE: &str = "isHidden mutedUntil isPinned pinnedAt isMarkedUnread draft { text updatedAt }";

impl Person {
    /// Makes something of a conversation: `mutation` with more input, if any. Answers what is then.
    pub(crate) async fn makes_of(&self, room: &Room, mutation: &str, more: Value) -> Value {
        let (query, input) = making(room, mutation, more);
        let data = self.asks(&query, input).await;
        state(&data[mutation]["conversation"])
    }

    /// What this person has made of it.
    pub(crate) async fn state_of(&self, room: &Room) -> Value {
        let query = format!("query($id: ID!) {{ conversation(id: $id) {{ {STATE} }} }}");
        let found = self.asks(&query, json!({ "id": room.id })).await;
        state(&found["conversation"])
    }

    /// The titles of the conversations in the list, by a filter.
    pub(crate) async fn lists(&self, filter: Value) -> Vec<String> {
        let query = "query($filter: ConversationFilter) { viewer {
            conversations(filter: $filter) { nodes { title } }
            conversationCount(filter: $filter)
        } }";
        let found = self.asks(query, json!({ "filter": filter })).await["viewer"].clone();
        let nodes = found["conversations"]["nodes"].as_array().expect("a list");
        assert_eq!(found["conversationCount"], nodes.len());
        let title = |node: &Value| node["title"].as_str().unwrap_or("(none)").to_owned();
        nodes.iter().map(title).collect()
    }

    /// Follows what this person makes of conversations; the stream is open when this returns.
    pub(crate) async fn follows_states(&self, app: &App) -> States {
        let before = app.domain.open_signal_streams();
        let mut socket = self.on(app).opens_socket().await;
        let query = format!(
            "subscription {{ conversationStateChanged {{ conversationId conversation {{ title }} {STATE} }} }}"
        );
        socket.subscribe("1", &query, &json!({})).await;
        until("the stream is open", || async {
            app.domain.open_signal_streams() > before
        })
        .await;
        States(socket)
    }
}

/// A mutation, and its variables.
pub(crate) fn making(room: &Room, mutation: &str, more: Value) -> (String, Value) {
    let mut input = more;
    input["conversationId"] = json!(room.id);
    let name = format!("{}{}Input", mutation[..1].to_uppercase(), &mutation[1..]);
    let query = format!(
        "mutation($input: {name}!) {{ {mutation}(input: $input) {{ conversation {{ {STATE} }} }} }}"
    );
    (query, json!({ "input": input }))
}

/// Instants are not known beforehand.
fn state(found: &Value) -> Value {
    let mut state = found.clone();
    for instant in ["/pinnedAt", "/draft/updatedAt"] {
        if let Some(instant) = state.pointer_mut(instant).filter(|at| !at.is_null()) {
            text(instant);
            *instant = json!("then");
        }
    }
    state
}

/// A stream of what somebody makes of conversations.
pub(crate) struct States(Socket);

impl States {
    /// The next conversation that changes, and what is made of it.
    pub(crate) async fn next(&mut self) -> (String, Value) {
        let message = self.0.next().await.expect("the stream goes on");
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
        let mut told = state(&message["payload"]["data"]["conversationStateChanged"]);
        let told = told.as_object_mut().expect("an object");
        let conversation = told.remove("conversation").expect("it is there");
        told.remove("conversationId");
        (text(&conversation["title"]), json!(told))
    }
}

fn pinned() -> Value {
    let mut state = with("isPinned", json!(true));
    state["pinnedAt"] = json!("then");
    state
}

on_both! {
    async fn what_one_device_makes_of_a_conversation_the_others_hear_and_nobody_else_does(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        let phone = ann.signs_in_again().await;
        let mut live = phone.follows_states(app).await;
        let mut others = bob.follows_states(app).await;
        assert_eq!(ann.state_of(&room).await, nothing());
        let drafted = with("draft", json!({ "text": " Dear Bob,\n", "updatedAt": "then" }));
        for (mutation, more, expected) in [
            ("pinConversation", json!({}), pinned()),
            ("unpinConversation", json!({}), nothing()),
            ("muteConversation", json!({ "until": "2099-01-01T00:00:00.000Z" }), with("mutedUntil", json!("2099-01-01T00:00:00.000Z"))),
            ("unmuteConversation", json!({}), nothing()),
            ("hideConversation", json!({}), with("isHidden", json!(true))),
            ("showConversation", json!({}), nothing()),
            ("markUnread", json!({}), with("isMarkedUnread", json!(true))),
        ] {
            assert_eq!(ann.makes_of(&room, mutation, more.clone()).await, expected, "{mutation}");
            assert_eq!(live.next().await, ("Room".to_owned(), expected.clone()), "{mutation}");
            assert_eq!(phone.state_of(&room).await, expected);
            // What is so already is no news.
            assert_eq!(ann.makes_of(&room, mutation, more).await, expected);
        }
        // Reading takes the mark away, though everything was read.
        let read = json!({ "input": { "conversationId": room.id, "seq": 0 } });
        phone.asks(MARK_READ, read).await;
        assert_eq!(live.next().await.1, nothing());
        ann.makes_of(&room, "markUnread", json!({})).await;
        live.next().await;
        ann.asks("mutation { markAllRead { conversationCount } }", json!({})).await;
        assert_eq!(live.next().await.1, nothing());

        let dear = json!({ "text": " Dear Bob,\n" });
        assert_eq!(ann.makes_of(&room, "setDraft", dear.clone()).await, drafted);
        assert_eq!(live.next().await.1, drafted);
        ann.makes_of(&room, "setDraft", dear).await;
        // It goes by itself, not with what is sent.
        ann.sends(&room, "Dear Bob,").await;
        assert_eq!(phone.state_of(&room).await, drafted);
        phone.makes_of(&room, "setDraft", json!({ "text": "" })).await;
        assert_eq!(live.next().await.1, nothing());

        assert_eq!(bob.state_of(&room).await, nothing());
        bob.makes_of(&room, "hideConversation", json!({})).await;
        assert_eq!(others.next().await.1, with("isHidden", json!(true)), "the first that Bob hears");
    }

    async fn what_is_hidden_comes_back_with_the_next_message(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        ann.makes_group("Other", &[]).await;
        bob.sends(&room, "one").await;
        ann.makes_of(&room, "hideConversation", json!({})).await;
        assert_eq!(ann.lists(Value::Null).await, ["Other"]);
        assert_eq!(ann.lists(json!({ "hidden": true })).await, ["Room"]);
        assert_eq!(bob.lists(Value::Null).await, ["Room"]);
        // What is no message does not bring it back.
        bob.updates(&room, json!({ "title": "Renamed" })).await;
        assert_eq!(ann.lists(json!({ "hidden": true })).await, ["Renamed"]);
        let said = bob.sends(&room, "two").await;
        assert_eq!(ann.lists(Value::Null).await, ["Renamed", "Other"]);
        assert_eq!(ann.state_of(&room).await, nothing());
        bob.deletes(&said).await;
        assert_eq!(ann.lists(Value::Null).await, ["Renamed", "Other"]);
    }

    async fn muting_ends_by_itself(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Room", &[]).await;
        let (query, past) = making(&room, "muteConversation", json!({ "until": "2020-01-01T00:00:00Z" }));
        assert_eq!(ann.is_refused_with(&query, past).await, json!({ "code": "BAD_USER_INPUT", "field": "until" }));
        ann.makes_of(&room, "muteConversation", json!({ "until": "2099-01-01T00:00:00.000Z" })).await;
        assert_eq!(ann.lists(json!({ "muted": true })).await, ["Room"]);
        assert_eq!(ann.lists(json!({ "muted": false })).await, Vec::<String>::new());
        let soon = app.domain.clock().now().0 + 60_000;
        app.runs_sql(&format!("UPDATE conversation_states SET muted_until = {soon}")).await;
        assert_eq!(ann.lists(json!({ "muted": true })).await, ["Room"]);
        app.advance(std::time::Duration::from_secs(61));
        assert_eq!(ann.state_of(&room).await, nothing());
        assert_eq!(ann.lists(json!({ "muted": false })).await, ["Room"]);
    }

    async fn twenty_are_pinned_at_most_and_listed_in_the_order_of_pinning(app) {
        let ann = app.person("Ann").await;
        let mut rooms = Vec::new();
        for n in 0..21 {
            rooms.push(ann.makes_group(&format!("{n}"), &[]).await);
        }
        for (n, room) in rooms.iter().enumerate().take(20) {
            app.advance(std::time::Duration::from_millis(5));
            assert_eq!(ann.makes_of(room, "pinConversation", json!({})).await, pinned(), "{n}");
        }
        let (query, more) = making(&rooms[20], "pinConversation", json!({}));
        assert_eq!(ann.is_refused(&query, more.clone()).await, "CONFLICT");
        // To pin one again is no change, and keeps its place.
        ann.makes_of(&rooms[0], "pinConversation", json!({})).await;
        ann.makes_of(&rooms[5], "unpinConversation", json!({})).await;
        ann.asks(&query, more).await;
        let found = ann.asks("{ viewer { pinnedConversations { title } } }", json!({})).await;
        let titles = found["viewer"]["pinnedConversations"].as_array().expect("a list");
        let titles: Vec<String> = titles.iter().map(|node| text(&node["title"])).collect();
        let expected: Vec<String> = (0..21).filter(|n| *n != 5).map(|n| n.to_string()).collect();
        assert_eq!(titles, expected);
    }

    async fn who_comes_back_finds_nothing_of_what_they_had_made_of_it(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        for (mutation, more) in [
            ("pinConversation", json!({})),
            ("hideConversation", json!({})),
            ("setDraft", json!({ "text": "begun" })),
        ] {
            bob.makes_of(&room, mutation, more).await;
        }
        bob.removes(&room, &bob).await;
        ann.adds(&room, &[&bob]).await;
        assert_eq!(bob.state_of(&room).await, nothing());
        assert_eq!(bob.lists(json!({})).await, ["Room"]);
    }

    async fn a_draft_has_a_limit(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Room", &[]).await;
        for bad in ["x".repeat(4_001), "a\0b".to_owned()] {
            let (query, input) = making(&room, "setDraft", json!({ "text": bad }));
            assert_eq!(ann.is_refused_with(&query, input).await, json!({ "code": "BAD_USER_INPUT", "field": "text" }));
        }
        let longest = "ü".repeat(4_000);
        let kept = ann.makes_of(&room, "setDraft", json!({ "text": longest })).await;
        assert_eq!(kept["draft"]["text"], longest);
    }

    async fn of_devices_that_write_at_once_one_wins_and_all_agree(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Room", &[]).await;
        let mut live = ann.follows_states(app).await;
        let writes = (0..12).map(|n| {
            let (ann, room) = (&ann, &room);
            async move {
                match n % 3 {
                    0 => ann.makes_of(room, "setDraft", json!({ "text": format!("{n}") })).await,
                    1 => ann.makes_of(room, "pinConversation", json!({})).await,
                    _ => ann.makes_of(room, "markUnread", json!({})).await,
                }
            }
        });
        futures_util::future::join_all(writes).await;
        let now = ann.state_of(&room).await;
        assert_eq!((&now["isPinned"], &now["isMarkedUnread"]), (&json!(true), &json!(true)), "none undoes another");
        while live.next().await.1 != now {}
    }
}
