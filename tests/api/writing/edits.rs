//! What messages were before they were edited.

use serde_json::{Value, json};

use crate::harness::people::{EDIT, Sent};
use crate::harness::{Person, on_both};

pub(crate) const EDITS: &str = "query($id: ID!, $first: Int, $after: String) {
    node(id: $id) { ... on Message { edits(first: $first, after: $after) {
        nodes { seq text entities { kind } writtenAt } pageInfo { hasNextPage endCursor }
    } } }
}";

impl Person {
    /// What a message was before, as this person sees it: texts, oldest first.
    async fn sees_edits(&self, message: &Sent) -> Vec<Value> {
        let found = self.asks(EDITS, json!({ "id": message.id })).await;
        let edits = found["node"]["edits"]["nodes"]
            .as_array()
            .expect("a list")
            .clone();
        edits.iter().map(|edit| edit["text"].clone()).collect()
    }
}

on_both! {
    async fn edits_leave_what_was_before(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Edits", &[bob]).await;
        let said = ann.writes(&room, json!({ "text": "one", "entities": [{ "kind": "BOLD", "offset": 0, "length": 3 }] })).await;
        assert_eq!(bob.sees_edits(&said).await, [Value::Null; 0]);
        let mut stream = bob.follows(&room, Some(said.seq)).await;
        ann.edits(&said, "two").await;
        ann.edits(&said, "two").await;
        ann.edits(&said, "three").await;
        // Entities alone are a change too.
        let input = json!({ "messageId": said.id, "text": "three", "entities": [{ "kind": "ITALIC", "offset": 0, "length": 5 }] });
        ann.asks(EDIT, json!({ "input": input })).await;
        for (seq, now) in [(2, "two"), (3, "three"), (4, "three")] {
            let event = stream.next().await;
            assert_eq!((&event["__typename"], &event["seq"]), (&json!("MessageEdited"), &json!(seq)));
            // As it was live, or as it is by now.
            let shown = &event["message"]["text"];
            assert!(*shown == now || *shown == "three", "{event}");
        }
        assert_eq!(bob.sees_edits(&said).await, ["one", "two", "three"]);
        let page = bob.asks(EDITS, json!({ "id": said.id, "first": 1 })).await["node"]["edits"].take();
        assert_eq!((&page["nodes"][0]["entities"][0]["kind"], &page["nodes"][0]["seq"]), (&json!("BOLD"), &json!(2)));
        assert_eq!(page["pageInfo"]["hasNextPage"], true);
        let rest = json!({ "id": said.id, "first": 5, "after": page["pageInfo"]["endCursor"] });
        let rest = bob.asks(EDITS, rest).await["node"]["edits"].take();
        assert_eq!(rest["nodes"].as_array().expect("a list").len(), 2);

        // Nothing is left of what was deleted.
        ann.deletes(&said).await;
        assert_eq!(ann.sees_edits(&said).await, [Value::Null; 0]);
        assert_eq!(app.runs_sql("SELECT count(*) FROM message_edits").await, "0");
    }

    async fn the_last_fifty_versions_are_kept(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Edits", &[]).await;
        let said = ann.sends(&room, "0").await;
        for n in 1..=52 {
            ann.edits(&said, &format!("{n}")).await;
        }
        let kept = ann.sees_edits(&said).await;
        assert_eq!((kept.len(), &kept[0], &kept[49]), (50, &json!("2"), &json!("51")));
    }
}
