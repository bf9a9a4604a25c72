//! Saying elsewhere what was said before.

use serde_json::{Value, json};

use crate::harness::people::{EDIT, Room, Sent, text};
use crate::harness::{Person, on_both};

pub(crate) const FORWARD: &str = "mutation($input: ForwardMessageInput!) {
    forwardMessage(input: $input) { message { id seq } }
}";

impl Person {
    pub(crate) async fn forwards(&self, message: &Sent, to: &Room, key: Option<&str>) -> Sent {
        let input =
            json!({ "messageId": message.id, "conversationId": to.id, "clientMessageId": key });
        let sent = self.asks(FORWARD, json!({ "input": input })).await;
        let message = &sent["forwardMessage"]["message"];
        let seq = message["seq"].as_i64().expect("a number");
        Sent {
            id: text(&message["id"]),
            seq,
        }
    }
}

on_both! {
    async fn what_is_forwarded_says_where_it_comes_from(app) {
        let [ann, bob, cleo] = &app.people(["Ann", "Bob", "Cleo"]).await;
        let from = ann.makes_group("From", &[bob]).await;
        let to = bob.makes_group("To", &[cleo]).await;
        let first = ann.sends(&from, "first").await;
        let entities = json!([
            { "kind": "BOLD", "offset": 0, "length": 4 },
            { "kind": "MENTION", "offset": 0, "length": 4, "userId": bob.id },
        ]);
        let image = json!({ "image": { "url": "https://files.example.com/1" } });
        let source = ann.writes(&from, json!({
            "text": "look", "content": image, "entities": entities, "replyToId": first.id, "threadId": first.id,
        })).await;
        let mut stream = cleo.follows(&to, Some(0)).await;
        let copy = bob.forwards(&source, &to, None).await;
        let event = stream.next().await;
        assert_eq!((&event["message"]["id"], &event["message"]["text"]), (&json!(copy.id), &json!("look")));
        let seen = cleo.looks_at(&copy).await;
        assert_eq!((&seen["kind"], &seen["content"]["url"]), (&json!("IMAGE"), &json!("https://files.example.com/1")));
        assert_eq!((&seen["replyTo"], &seen["threadRoot"]), (&Value::Null, &Value::Null));
        // The mention stays behind.
        assert_eq!(seen["entities"].as_array().expect("a list").len(), 1);
        assert_eq!((&seen["forwarded"]["sender"]["id"], &seen["forwarded"]["hops"]), (&json!(ann.id), &json!(1)));
        // Once more, and it still says so.
        let back = cleo.makes_group("Back", &[]).await;
        let again = cleo.forwards(&copy, &back, None).await;
        let again = cleo.looks_at(&again).await["forwarded"].take();
        assert_eq!((&again["sender"]["id"], &again["hops"]), (&json!(ann.id), &json!(2)));
        assert_eq!(again["sentAt"], seen["forwarded"]["sentAt"]);
    }

    async fn a_retry_of_a_forward_is_the_same_message(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let (from, to) = (ann.makes_group("From", &[bob]).await, ann.makes_group("To", &[bob]).await);
        let source = ann.sends(&from, "as it was").await;
        let copy = ann.forwards(&source, &to, Some("k")).await;
        ann.edits(&source, "as it is").await;
        assert_eq!(ann.forwards(&source, &to, Some("k")).await, copy);
        assert_eq!(bob.looks_at(&copy).await["text"], "as it was");
        let other = ann.sends(&from, "other").await;
        let input = json!({ "messageId": other.id, "conversationId": to.id, "clientMessageId": "k" });
        assert_eq!(ann.is_refused(FORWARD, json!({ "input": input })).await, "CONFLICT");
        assert_eq!(ann.last_seq(&to).await, 1);
    }

    async fn what_cannot_be_forwarded_is_refused(app) {
        let [ann, bob, cleo] = &app.people(["Ann", "Bob", "Cleo"]).await;
        let from = ann.makes_group("From", &[bob]).await;
        let channel = cleo.makes(json!({ "kind": "CHANNEL", "memberIds": [bob.id] })).await;
        let refused = async |person: &Person, message: &Sent, to: &Room| {
            let input = json!({ "messageId": message.id, "conversationId": to.id });
            person.is_refused(FORWARD, json!({ "input": input })).await
        };
        let gone = ann.sends(&from, "gone").await;
        ann.deletes(&gone).await;
        assert_eq!(refused(ann, &gone, &from).await, "CONFLICT");
        let note = json!({ "call": { "kind": "AUDIO", "outcome": "COMPLETED", "durationSeconds": 3 } });
        let note = ann.writes(&from, json!({ "content": note })).await;
        assert_eq!(refused(ann, &note, &from).await, "FORBIDDEN");
        let said = ann.sends(&from, "said").await;
        assert_eq!(refused(bob, &said, &channel).await, "FORBIDDEN");
        assert_eq!(refused(cleo, &said, &channel).await, "NOT_FOUND");
        assert_eq!(refused(ann, &said, &channel).await, "NOT_FOUND");
    }

    async fn what_was_forwarded_cannot_be_edited(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[bob]).await;
        let source = ann.sends(&room, "I said").await;
        let copy = bob.forwards(&source, &room, None).await;
        let input = json!({ "messageId": copy.id, "text": "I never said" });
        assert_eq!(bob.is_refused(EDIT, json!({ "input": input })).await, "CONFLICT");
        assert_eq!(ann.looks_at(&copy).await["text"], "I said");
        assert_eq!(ann.last_seq(&room).await, copy.seq);
        bob.deletes(&copy).await;
    }
}
