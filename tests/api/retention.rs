//! Messages that disappear, many of them: soon, by few statements, and with all that belongs to them.

use std::time::Duration;

use backchannel_domain::RanFor;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{on_both, until};

/// Messages in one conversation: several transactions' worth.
const MANY: usize = 450;

on_both! {
    async fn several_hundred_messages_of_one_conversation_disappear_together(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Brief", &[bob]).await;
        let other = ann.makes_group("Brief too", &[bob]).await;
        let root = ann.sends(&room, "root").await;
        for chunk in 0..(MANY / 50) {
            let reply = json!({ "text": "reply", "threadId": root.id, "replyToId": root.id });
            let plain = (0..45).map(|n| ann.writes(&room, json!({ "text": format!("{chunk} {n}") })));
            join_all(plain).await;
            join_all((0..5).map(|_| bob.writes(&room, reply.clone()))).await;
        }
        let starred = ann.sends(&room, "dear").await;
        bob.stars(&starred).await;
        bob.hides(&starred).await;
        ann.sends(&other, "here too").await;
        app.advance(Duration::from_secs(100));
        let kept = bob.writes(&room, json!({ "text": "kept", "threadId": root.id })).await;
        let last_seq = kept.seq;
        for room in [&room, &other] {
            ann.sets(room, json!({ "retentionSeconds": 180 })).await;
        }
        app.domain.statements().record();
        app.advance(Duration::from_secs(81));
        let left = "SELECT count(*) FROM messages WHERE deleted_at IS NULL AND kind <> 'system'";
        until("all but one are gone", || async { app.runs_sql(left).await == "1" }).await;
        let plans = app.domain.explain_recorded().await.expect("plans");
        let writes = |plan: &&backchannel_domain::Plan| {
            let sql = plan.sql.trim_start();
            plan.ran_for == RanFor::Upkeep && (sql.starts_with("UPDATE \"message") || sql.starts_with("DELETE"))
        };
        let writes = plans.iter().filter(writes).count();
        assert!(writes < 60, "{writes} statements for {MANY} messages");
        assert_eq!(app.runs_sql("SELECT count(*) FROM stars").await, "0");
        let hidden = "query($id: ID!) { node(id: $id) { ... on Message { isHidden } } }";
        let hidden = bob.asks(hidden, json!({ "id": starred.id })).await;
        assert_eq!(hidden["node"]["isHidden"], true, "for ever");
        let thread = ann.looks_at(&root).await["thread"].take();
        assert_eq!((&thread["replyCount"], &thread["lastReply"]["id"]), (&json!(1), &json!(kept.id)));
        // Each is told of, without a hole.
        let gone = MANY as i64 + 2;
        assert_eq!(ann.last_seq(&room).await, last_seq + 1 + gone);
        app.advance(Duration::from_secs(110));
        until("that one too", || async { app.runs_sql(left).await == "0" }).await;
        assert_eq!(ann.looks_at(&root).await["thread"], Value::Null);
    }

    async fn what_is_gone_is_not_looked_through_again(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Brief", &[]).await;
        for n in 0..3 {
            ann.sends(&room, &format!("{n}")).await;
        }
        let gone = "SELECT gone_seq FROM retentions";
        ann.sets(&room, json!({ "retentionSeconds": 60 })).await;
        app.advance(Duration::from_secs(61));
        until("they are gone", || async { app.runs_sql(gone).await == "3" }).await;
        ann.sets(&room, json!({ "retentionSeconds": null })).await;
        let kept = ann.sends(&room, "for now").await;
        app.advance(Duration::from_secs(120));
        ann.sets(&room, json!({ "retentionSeconds": 60 })).await;
        until("it goes on from there", || async { ann.looks_at(&kept).await["text"] == Value::Null }).await;
        assert_eq!(app.runs_sql(gone).await, kept.seq.to_string());
        let left = "SELECT count(*) FROM messages WHERE deleted_at IS NULL AND kind <> 'system'";
        assert_eq!(app.runs_sql(left).await, "0");
    }
}
