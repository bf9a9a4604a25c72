//! Reporting users and messages: what is kept, and of what.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Person, on_both, until};

pub(crate) const REPORT: &str = "mutation($input: ReportInput!) { report(input: $input) { report { reason comment reportedAt } } }";

impl Person {
    pub(crate) async fn reports(&self, input: Value) -> Value {
        self.asks(REPORT, json!({ "input": input })).await["report"]["report"].clone()
    }
}

on_both! {
    async fn what_was_to_be_seen_is_kept_whatever_becomes_of_it(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Group", &[&bob]).await;
        let said = ann.sends(&room, "first words").await;
        ann.edits(&said, "rude words").await;
        let input = json!({ "messageId": said.id, "reason": "HARASSMENT", "comment": " see for yourself " });
        let first = bob.reports(input).await;
        assert_eq!((&first["reason"], &first["comment"]), (&json!("HARASSMENT"), &json!("see for yourself")));
        ann.deletes(&said).await;
        app.advance(Duration::from_secs(5));
        assert_eq!(bob.reports(json!({ "messageId": said.id, "reason": "SPAM" })).await, first, "the first stays");
        assert_eq!(app.runs_sql("SELECT text FROM reports").await, "rude words");
        let whose = "SELECT count(*) FROM reports r JOIN users u ON u.id = r.user_id JOIN users b ON b.id = r.reporter_id \
            JOIN messages m ON m.id = r.message_id AND m.conversation_id = r.conversation_id AND m.created_at = r.sent_at \
            WHERE u.display_name = 'Ann' AND b.display_name = 'Bob'";
        assert_eq!(app.runs_sql(whose).await, "1");
        // The sender too, by itself; and by somebody else once more.
        let of_ann = json!({ "userId": ann.id, "reason": "IMPERSONATION" });
        assert_eq!(bob.reports(of_ann.clone()).await["comment"], Value::Null);
        app.person("Cleo").await.reports(of_ann).await;
        assert_eq!(app.runs_sql("SELECT count(*) FROM reports").await, "3");
        // Nobody is told: the next that Ann hears of is a message.
        let mut stream = ann.follows(&room, Some(3)).await;
        bob.sends(&room, "next").await;
        assert_eq!(stream.next().await["message"]["text"], "next");
        app.advance(Duration::from_hours(181 * 24));
        until("old reports are cleared away", || async {
            app.runs_sql("SELECT count(*) FROM reports").await == "0"
        })
        .await;
    }

    async fn only_what_is_seen_can_be_reported(app) {
        let [ann, bob, eve] = app.people(["Ann", "Bob", "Eve"]).await;
        let room = ann.makes_group("Group", &[&bob, &eve]).await;
        let said = ann.sends(&room, "secret").await;
        ann.removes(&room, &eve).await;
        let on = |input: Value| json!({ "input": input });
        let message = on(json!({ "messageId": said.id, "reason": "SPAM" }));
        assert_eq!(eve.is_refused(REPORT, message.clone()).await, "NOT_FOUND");
        for (person, input) in [
            (&ann, message),
            (&ann, on(json!({ "userId": ann.id, "reason": "SPAM" }))),
            (&bob, on(json!({ "reason": "SPAM" }))),
            (&bob, on(json!({ "userId": ann.id, "messageId": said.id, "reason": "SPAM" }))),
            (&bob, on(json!({ "userId": ann.id, "reason": "SPAM", "comment": "x".repeat(1_001) }))),
        ] {
            assert_eq!(person.is_refused(REPORT, input.clone()).await, "BAD_USER_INPUT", "{input}");
        }
        // Nor what was before one joined, where that is hidden.
        ann.updates(&room, json!({ "settings": { "history": "JOINING" } })).await;
        ann.adds(&room, &[&eve]).await;
        let message = on(json!({ "messageId": said.id, "reason": "SPAM" }));
        assert_eq!(eve.is_refused(REPORT, message).await, "NOT_FOUND");
        assert_eq!(app.runs_sql("SELECT count(*) FROM reports").await, "0");
    }

    async fn a_picture_is_kept_as_it_was(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Group", &[&bob]).await;
        let image = json!({ "url": "https://example.org/rude.png" });
        let said = ann.writes(&room, json!({ "content": { "image": image } })).await;
        bob.reports(json!({ "messageId": said.id, "reason": "SEXUAL_CONTENT" })).await;
        ann.deletes(&said).await;
        let kept = app.runs_sql("SELECT content FROM reports").await;
        assert!(kept.contains("https://example.org/rude.png"), "{kept}");
    }
}

on_both! {
    with &[("RATE_LIMITS", "on")];

    async fn nobody_reports_too_much(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let input = json!({ "userId": bob.id, "reason": "SPAM" });
        for _ in 0..30 {
            ann.reports(input.clone()).await;
        }
        assert_eq!(ann.is_refused(REPORT, json!({ "input": input })).await, "RATE_LIMITED");
    }
}
