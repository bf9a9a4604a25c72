//! The same key again is answered with the first message, whatever has changed since.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::on_both;
use crate::harness::people::SEND;
use crate::writing::forwarding::FORWARD;

on_both! {
    async fn a_retry_is_answered_though_nothing_may_be_sent_any_more(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Retries", &[bob]).await;
        let first = bob.sends_with_key(&room, "hi", "k").await;
        let again = async || assert_eq!(bob.sends_with_key(&room, "hi", "k").await, first);
        let other = |key: &str| json!({ "input": { "conversationId": room.id, "text": "other", "clientMessageId": key } });
        ann.sets(&room, json!({ "slowModeSeconds": 60 })).await;
        again().await;
        ann.sets(&room, json!({ "slowModeSeconds": 0, "onlyAdminsSend": true })).await;
        again().await;
        assert_eq!(bob.is_refused(SEND, other("k")).await, "CONFLICT");
        assert_eq!(bob.is_refused(SEND, other("l")).await, "FORBIDDEN");
        ann.archives(&room).await;
        again().await;
        ann.restores(&room).await;
        ann.deletes(&first).await;
        again().await;
        ann.removes(&room, bob).await;
        let input = json!({ "conversationId": room.id, "text": "hi", "clientMessageId": "k" });
        assert_eq!(bob.is_refused(SEND, json!({ "input": input })).await, "NOT_FOUND");
        ann.adds(&room, &[bob]).await;
        again().await;

        let direct = ann.makes_direct(bob).await;
        let first = bob.sends_with_key(&direct, "psst", "d").await;
        ann.blocks(bob).await;
        assert_eq!(bob.sends_with_key(&direct, "psst", "d").await, first);
        assert_eq!(bob.is_refused(SEND, json!({ "input": { "conversationId": direct.id, "text": "psst" } })).await, "FORBIDDEN");
    }

    async fn a_retry_of_a_reply_is_answered_though_the_thread_is_out_of_sight(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Retries", &[bob]).await;
        ann.sets(&room, json!({ "history": "JOINING" })).await;
        let root = ann.sends(&room, "root").await;
        let reply = bob.writes(&room, json!({ "text": "1", "threadId": root.id })).await;
        let retried = json!({ "text": "2", "threadId": reply.id, "replyToId": root.id, "clientMessageId": "k" });
        let first = bob.writes(&room, retried.clone()).await;
        ann.removes(&room, bob).await;
        ann.adds(&room, &[bob]).await;
        assert_eq!(bob.writes(&room, retried).await, first);
        for change in [json!({ "text": "3" }), json!({ "clientMessageId": "l" })] {
            let mut input = json!({ "conversationId": room.id, "text": "2", "threadId": reply.id, "replyToId": root.id, "clientMessageId": "k" });
            for (field, value) in change.as_object().expect("fields") {
                input[field] = value.clone();
            }
            assert_eq!(bob.is_refused(SEND, json!({ "input": input })).await, "NOT_FOUND");
        }
    }

    async fn a_retry_of_a_forward_is_answered_though_the_source_is_gone(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let (from, to) = (ann.makes_group("From", &[bob]).await, ann.makes_group("To", &[bob]).await);
        let source = ann.sends(&from, "as it was").await;
        let copy = bob.forwards(&source, &to, Some("k")).await;
        let again = async || assert_eq!(bob.forwards(&source, &to, Some("k")).await, copy);
        ann.sets(&to, json!({ "onlyAdminsSend": true })).await;
        again().await;
        ann.deletes(&source).await;
        again().await;
        ann.removes(&from, bob).await;
        again().await;
        let other = json!({ "messageId": source.id, "conversationId": to.id, "clientMessageId": "l" });
        assert_eq!(bob.is_refused(FORWARD, json!({ "input": other })).await, "NOT_FOUND");
        ann.removes(&to, bob).await;
        let input = json!({ "messageId": source.id, "conversationId": to.id, "clientMessageId": "k" });
        assert_eq!(bob.is_refused(FORWARD, json!({ "input": input })).await, "NOT_FOUND");
        assert_eq!(ann.last_seq(&to).await, 3);
    }

    async fn a_retry_of_a_poll_is_answered_though_it_is_over(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Polls", &[]).await;
        let closes_at = crate::scheduled::in_seconds(app, 60).await;
        let create = "mutation($input: CreatePollInput!) { createPoll(input: $input) { message { id } } }";
        let input = json!({ "input": {
            "conversationId": room.id, "question": "?", "options": ["a", "b"], "closesAt": closes_at, "clientMessageId": "p",
        } });
        let first = ann.asks(create, input.clone()).await;
        assert_ne!(first["createPoll"]["message"]["id"], Value::Null);
        app.advance(Duration::from_secs(61));
        assert_eq!(ann.asks(create, input).await, first);
        assert_eq!(ann.last_seq(&room).await, 1);
    }
}
