//! What the system tells of members, among their messages.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::people::{DELETE, EDIT, text};
use crate::harness::{Person, Room, on_both};

const MESSAGES: &str =
    "query($id: ID!, $system: Boolean! = true) { conversation(id: $id) { unreadCount
    messages(last: 100, system: $system) { nodes { id seq text sender { id }
        system { action actor { displayName } user { displayName } role } } }
} }";

impl Person {
    /// What the system tells: seq, action, by whom, to whom, and the role.
    async fn is_told(&self, room: &Room) -> Vec<(i64, String, String, String, Value)> {
        let nodes = self.sees_messages(room, true).await;
        let told = nodes.into_iter().filter(|node| !node["system"].is_null());
        told.map(|node| {
            let seq = node["seq"].as_i64().expect("a number");
            let system = &node["system"];
            assert_eq!(
                (&node["text"], &node["sender"]),
                (&Value::Null, &Value::Null)
            );
            let name = |who: &str| text(&system[who]["displayName"]);
            let action = text(&system["action"]);
            (
                seq,
                action,
                name("actor"),
                name("user"),
                system["role"].clone(),
            )
        })
        .collect()
    }

    async fn sees_messages(&self, room: &Room, system: bool) -> Vec<Value> {
        let variables = json!({ "id": room.id, "system": system });
        let found = self.asks(MESSAGES, variables).await;
        let nodes = found["conversation"]["messages"]["nodes"].as_array();
        nodes.expect("a list").clone()
    }
}

on_both! {
    async fn each_change_of_members_is_told_at_the_seq_of_its_event(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes(json!({ "kind": "ROOM", "memberIds": [], "slug": "told" })).await;
        let mut live = ann.follows(&room, Some(0)).await;
        ann.adds(&room, &[&bob, &cleo]).await;
        dan.asks(crate::harness::people::JOIN_ROOM, json!({ "input": { "slug": "told" } })).await;
        ann.sends(&room, "hello").await;
        ann.sets_role(&room, &bob, "ADMIN").await;
        bob.removes(&room, &dan).await;
        ann.bans(&room, &cleo).await;
        ann.sets_role(&room, &bob, "OWNER").await;
        bob.removes(&room, &bob).await;
        let events = live.take(11).await;
        let told = ann.is_told(&room).await;
        let of = |seq: i64, action: &str, actor: &str, user: &str, role: Value| (seq, action.to_owned(), actor.to_owned(), user.to_owned(), role);
        assert_eq!(told, [
            of(1, "JOINED", "Ann", "Bob", Value::Null),
            of(2, "JOINED", "Ann", "Cleo", Value::Null),
            of(3, "JOINED", "Dan", "Dan", Value::Null),
            of(5, "ROLE_CHANGED", "Ann", "Bob", json!("ADMIN")),
            of(6, "REMOVED", "Bob", "Dan", Value::Null),
            of(7, "BANNED", "Ann", "Cleo", Value::Null),
            of(8, "OWNER_CHANGED", "Ann", "Bob", json!("OWNER")),
            of(9, "ROLE_CHANGED", "Ann", "Ann", json!("ADMIN")),
            of(10, "LEFT", "Bob", "Bob", Value::Null),
            of(11, "OWNER_CHANGED", "Bob", "Ann", json!("OWNER")),
        ]);
        // Each stands where its event stands.
        for (seq, ..) in told {
            let event = events.iter().find(|event| event["seq"] == seq).expect("an event");
            assert!(text(&event["__typename"]).starts_with("Member"), "{event}");
        }
    }

    async fn who_does_not_ask_for_them_sees_and_counts_none(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Quiet", &[&bob]).await;
        ann.sends(&room, "one").await;
        ann.adds(&room, &[&cleo]).await;
        ann.sends(&room, "two").await;
        cleo.removes(&room, &cleo).await;
        let texts = |nodes: Vec<Value>| nodes.iter().map(|node| node["text"].clone()).collect::<Vec<_>>();
        assert_eq!(texts(bob.sees_messages(&room, false).await), ["one", "two"]);
        assert_eq!(texts(bob.sees_messages(&room, true).await), [json!("one"), Value::Null, json!("two"), Value::Null]);
        let query = "query($id: ID!) { conversation(id: $id) { unreadCount messages(last: 1) { nodes { text } } } }";
        let found = bob.asks(query, json!({ "id": room.id })).await["conversation"].clone();
        assert_eq!(found, json!({ "unreadCount": 2, "messages": { "nodes": [{ "text": "two" }] } }));
        // Of several conversations too, and page by page.
        ann.makes_group("Another", &[&bob]).await;
        let query = "query($system: Boolean!) { viewer { conversations { nodes { messages(last: 2, system: $system) { nodes { seq } } } } } }";
        for (system, seqs) in [(false, json!([{ "seq": 1 }, { "seq": 3 }])), (true, json!([{ "seq": 3 }, { "seq": 4 }]))] {
            let found = bob.asks(query, json!({ "system": system })).await;
            assert_eq!(found["viewer"]["conversations"]["nodes"][1]["messages"]["nodes"], seqs, "{found}");
        }
        // They stay as they are.
        let told = bob.sees_messages(&room, true).await[1]["id"].clone();
        assert_eq!(ann.is_refused(DELETE, json!({ "input": { "messageId": told } })).await, "FORBIDDEN");
        assert_eq!(ann.is_refused(EDIT, json!({ "input": { "messageId": told, "text": "no" } })).await, "FORBIDDEN");
        // A stream is told by the events, and by nothing else.
        let mut live = bob.follows(&room, Some(0)).await;
        let kinds: Vec<_> = live.take(4).await.iter().map(|event| text(&event["__typename"])).collect();
        assert_eq!(kinds, ["MessageSent", "MemberJoined", "MessageSent", "MemberLeft"]);
    }

    async fn two_hundred_are_added_in_a_handful_of_statements(app) {
        let ann = app.person("Ann").await;
        let few = join_all((0..3).map(|n| async move { app.person(&format!("Few {n}")).await })).await;
        let many = join_all((0..40).map(|n| async move { app.person(&format!("Many {n}")).await })).await;
        let room = ann.makes_group("Crowd", &[]).await;
        let cost = async |others: &[Person]| {
            app.advance(std::time::Duration::from_secs(1));
            app.domain.statements().record();
            ann.adds(&room, &others.iter().collect::<Vec<_>>()).await;
            app.recorded_statements().await.len()
        };
        let (few, many) = (cost(&few).await, cost(&many).await);
        assert_eq!(few, many, "it does not grow");
        assert!(many < 24, "{many} statements");
        assert_eq!(ann.is_told(&room).await.len(), 43);
    }
}
