//! How conversations are set, and what comes of it; archiving, restoring and deleting them.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::people::{ADD, DELETE, EDIT, JOIN_ROOM, SEND, UPDATE, seqs, text};
use crate::harness::{App, Person, Room, on_both, until};

pub(crate) const ARCHIVE: &str = "mutation($input: ArchiveConversationInput!) {
    archiveConversation(input: $input) { conversation { archivedAt lastSeq } }
}";
pub(crate) const RESTORE: &str = "mutation($input: RestoreConversationInput!) {
    restoreConversation(input: $input) { conversation { archivedAt lastSeq } }
}";
pub(crate) const DELETE_CONVERSATION: &str = "mutation($input: DeleteConversationInput!) {
    deleteConversation(input: $input) { deletedConversationId }
}";
const CONVERSATION: &str = "query($id: ID!) { conversation(id: $id) { id archivedAt
    settings { onlyAdminsSend onlyAdminsAdd slowModeSeconds allowsReactions history joinsByRequest showsEdits retentionSeconds }
} }";

impl Person {
    /// Sets a conversation.
    pub(crate) async fn sets(&self, room: &Room, settings: Value) {
        self.updates(room, json!({ "settings": settings })).await;
    }

    pub(crate) async fn archives(&self, room: &Room) {
        self.asks(ARCHIVE, here(room)).await;
    }

    pub(crate) async fn restores(&self, room: &Room) {
        self.asks(RESTORE, here(room)).await;
    }

    pub(crate) async fn deletes_conversation(&self, room: &Room) {
        let gone = self.asks(DELETE_CONVERSATION, here(room)).await;
        assert_eq!(gone["deleteConversation"]["deletedConversationId"], room.id);
    }
}

fn here(room: &Room) -> Value {
    json!({ "input": { "conversationId": room.id } })
}

fn saying(room: &Room, what: &str) -> Value {
    json!({ "input": { "conversationId": room.id, "text": what } })
}

/// What is left of the texts and contents of a conversation in the database.
async fn left_in(app: &App) -> String {
    let texts = "SELECT (SELECT count(*) FROM messages WHERE text IS NOT NULL) + (SELECT count(*) FROM message_details) + (SELECT count(*) FROM reactions) + (SELECT count(*) FROM conversation_states) + (SELECT count(*) FROM conversation_terms WHERE term <> 'general') + (SELECT count(*) FROM erasures)";
    app.runs_sql(texts).await
}

on_both! {
    async fn settings_are_told_to_all_and_stay(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Set", &[&bob]).await;
        let before = json!({
            "onlyAdminsSend": false, "onlyAdminsAdd": false, "slowModeSeconds": 0, "allowsReactions": true,
            "history": "ALL", "joinsByRequest": false, "showsEdits": true, "retentionSeconds": null,
        });
        let of_room = json!({ "id": room.id });
        assert_eq!(bob.asks(CONVERSATION, of_room.clone()).await["conversation"]["settings"], before);
        let mut live = bob.opens_socket().await;
        let query = "subscription($id: ID!) { conversationEvents(conversationId: $id, after: 0) {
            seq ... on ConversationUpdated { details { title archivedAt settings {
                onlyAdminsSend onlyAdminsAdd slowModeSeconds allowsReactions history joinsByRequest showsEdits retentionSeconds
            } } }
        } }";
        live.subscribe("1", query, &of_room).await;
        let all = json!({
            "onlyAdminsSend": true, "onlyAdminsAdd": true, "slowModeSeconds": 3600, "allowsReactions": false,
            "history": "JOINING", "joinsByRequest": true, "showsEdits": false, "retentionSeconds": 86_400,
        });
        ann.sets(&room, all.clone()).await;
        // What makes no difference is no event, and what is left out stays.
        ann.sets(&room, all.clone()).await;
        ann.sets(&room, json!({ "history": null })).await;
        let told = live.next().await.expect("an event")["payload"]["data"]["conversationEvents"].clone();
        assert_eq!(told, json!({ "seq": 1, "details": { "title": "Set", "archivedAt": null, "settings": all } }));
        assert_eq!(bob.asks(CONVERSATION, of_room).await["conversation"]["settings"], all);
        assert_eq!(ann.last_seq(&room).await, 1);
        let bad = [("slowModeSeconds", -1), ("slowModeSeconds", 3601), ("retentionSeconds", 59), ("retentionSeconds", 31_536_001)];
        for (field, seconds) in bad {
            let input = json!({ "input": { "conversationId": room.id, "settings": { field: seconds } } });
            let refused = ann.is_refused_with(UPDATE, input).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": field }));
        }
        // A plain member may give a group another title, and nothing more.
        bob.updates(&room, json!({ "title": "Ours" })).await;
        let input = json!({ "input": { "conversationId": room.id, "title": "Mine", "settings": {} } });
        assert_eq!(bob.is_refused(UPDATE, input).await, "FORBIDDEN");
    }

    async fn where_only_admins_send_others_neither_send_nor_edit(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Read", &[&bob]).await;
        let said = bob.sends_with_key(&room, "before", "key").await;
        let mut live = bob.follows(&room, Some(1)).await;
        ann.sets(&room, json!({ "onlyAdminsSend": true })).await;
        assert_eq!(bob.is_refused(SEND, saying(&room, "no")).await, "FORBIDDEN");
        let edit = json!({ "input": { "messageId": said.id, "text": "no" } });
        assert_eq!(bob.is_refused(EDIT, edit).await, "FORBIDDEN");
        ann.sends(&room, "an owner").await;
        ann.sets_role(&room, &bob, "ADMIN").await;
        bob.sends(&room, "an admin").await;
        ann.sets_role(&room, &bob, "MEMBER").await;
        ann.sets(&room, json!({ "onlyAdminsSend": false })).await;
        bob.sends(&room, "everybody").await;
        assert_eq!(seqs(&live.take(7).await), [2, 3, 4, 5, 6, 7, 8]);
    }

    async fn slow_mode_makes_members_wait(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Slow", &[&bob, &cleo]).await;
        ann.sets(&room, json!({ "slowModeSeconds": 30 })).await;
        let mut live = cleo.follows(&room, Some(1)).await;
        // Of many at once, one; whoever else is there goes on.
        let (bobs, cleos) = tokio::join!(
            join_all((0..8).map(|_| bob.request(SEND, saying(&room, "bob")))),
            join_all((0..8).map(|_| cleo.request(SEND, saying(&room, "cleo")))),
        );
        for answers in [bobs, cleos] {
            let answers: Vec<_> = answers.iter().map(|answer| answer.json()).collect();
            let refused: Vec<_> = answers.iter().filter(|answer| !answer["errors"].is_null()).collect();
            assert_eq!(refused.len(), 7, "{answers:?}");
            for answer in refused {
                let told = &answer["errors"][0]["extensions"];
                assert_eq!(told["code"], "RATE_LIMITED");
                let seconds = told["retryAfter"].as_u64().expect("seconds");
                assert!((1..=30).contains(&seconds), "{seconds}");
            }
        }
        assert_eq!(seqs(&live.take(2).await), [2, 3]);
        for n in 0..3 {
            ann.sends(&room, &format!("the owner {n}")).await;
        }
        app.advance(Duration::from_secs(31));
        let first = bob.sends_with_key(&room, "again", "key").await;
        // A retry is no second message.
        assert_eq!(bob.sends_with_key(&room, "again", "key").await, first);
        assert_eq!(bob.is_refused(SEND, saying(&room, "more")).await, "RATE_LIMITED");
        ann.sets(&room, json!({ "slowModeSeconds": 0 })).await;
        bob.sends(&room, "as I like").await;
        bob.sends(&room, "as I like").await;
        assert_eq!(app.runs_sql("SELECT count(*) FROM last_sends").await, "0");
        assert_eq!(ann.last_seq(&room).await, 10);
    }

    async fn messages_disappear_where_that_is_set_and_nowhere_else(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Brief", &[&bob]).await;
        let other = ann.makes_group("Lasting", &[&bob]).await;
        ann.sends(&room, "before it was set").await;
        ann.sends(&other, "it lasts").await;
        ann.sets(&room, json!({ "retentionSeconds": 60 })).await;
        let mut live = bob.follows(&room, Some(2)).await;
        app.advance(Duration::from_secs(30));
        let kept = ann.sends(&room, "half a minute later").await;
        app.advance(Duration::from_secs(31));
        let told = live.take(2).await;
        assert_eq!((&told[0]["message"]["id"], &told[0]["__typename"]), (&json!(kept.id), &json!("MessageSent")));
        let gone = &told[1];
        assert_eq!((&gone["__typename"], &gone["message"]["seq"], &gone["message"]["text"]), (&json!("MessageDeleted"), &json!(1), &Value::Null));
        ann.sets(&room, json!({ "retentionSeconds": null })).await;
        app.advance(Duration::from_secs(120));
        ann.sends(&room, "for ever").await;
        let told: Vec<_> = live.take(2).await.iter().map(|event| text(&event["__typename"])).collect();
        assert_eq!(told, ["ConversationUpdated", "MessageSent"]);
        assert_eq!(ann.last_seq(&other).await, 1);
    }

    async fn both_of_a_pair_may_let_their_messages_disappear(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let direct = ann.makes_direct(&bob).await;
        let said = ann.sends(&direct, "between us").await;
        let mut live = ann.follows(&direct, Some(said.seq)).await;
        bob.sets(&direct, json!({ "retentionSeconds": 60 })).await;
        assert_eq!(live.next().await["__typename"], "ConversationUpdated");
        for change in [json!({ "retentionSeconds": 60, "showsEdits": false }), json!({ "onlyAdminsSend": true })] {
            let input = json!({ "conversationId": direct.id, "settings": change });
            assert_eq!(ann.is_refused(UPDATE, json!({ "input": input })).await, "FORBIDDEN");
        }
        app.advance(Duration::from_secs(61));
        let gone = live.next().await;
        assert_eq!((&gone["__typename"], &gone["message"]["id"]), (&json!("MessageDeleted"), &json!(said.id)));
        assert_eq!((&gone["message"]["text"], &gone["actor"]), (&Value::Null, &Value::Null));
    }

    async fn an_archived_conversation_is_read_and_left_and_nothing_is_added(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes_group("Old", &[&bob, &cleo]).await;
        let said = bob.sends(&room, "hello").await;
        let mut live = bob.follows(&room, Some(1)).await;
        assert_eq!(bob.is_refused(ARCHIVE, here(&room)).await, "FORBIDDEN");
        ann.archives(&room).await;
        ann.archives(&room).await;
        assert_eq!(live.next().await["__typename"], "ConversationUpdated");
        let found = bob.asks(CONVERSATION, json!({ "id": room.id })).await;
        assert!(found["conversation"]["archivedAt"].is_string(), "{found}");
        let edit = json!({ "input": { "messageId": said.id, "text": "new" } });
        let add = json!({ "input": { "conversationId": room.id, "userIds": [dan.id] } });
        let update = json!({ "input": { "conversationId": room.id, "title": "New" } });
        for (query, variables) in [(SEND, saying(&room, "hi")), (EDIT, edit), (ADD, add), (UPDATE, update)] {
            for person in [&ann, &bob] {
                assert_eq!(person.is_refused(query, variables.clone()).await, "FORBIDDEN", "{query}");
            }
        }
        let delete = json!({ "input": { "messageId": said.id } });
        bob.asks(DELETE, delete).await;
        cleo.removes(&room, &cleo).await;
        ann.restores(&room).await;
        ann.restores(&room).await;
        bob.sends(&room, "it goes on").await;
        let told: Vec<_> = live.take(4).await.iter().map(|event| text(&event["__typename"])).collect();
        assert_eq!(told, ["MessageDeleted", "MemberLeft", "ConversationUpdated", "MessageSent"]);
        let direct = ann.makes_direct(&bob).await;
        assert_eq!(ann.is_refused(ARCHIVE, here(&direct)).await, "FORBIDDEN");
    }

    async fn a_deleted_conversation_is_over_for_everybody_and_erased(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let input = json!({ "kind": "ROOM", "memberIds": [bob.id, cleo.id], "title": "Gone", "slug": "gone" });
        let room = ann.makes(input.clone()).await;
        let said = bob.sends(&room, "secret").await;
        let cursor = cleo.event_cursor().await;
        bob.sends(&room, "another secret").await;
        ann.removes(&room, &bob).await;
        ann.adds(&room, &[&bob]).await;
        let code = ann.invites(&room, json!({})).await.code;
        let mut live = bob.follows(&room, Some(4)).await;
        let now = bob.event_cursor().await;
        let mut all = bob.follows_all(Some(&now)).await;
        let mut receipts = bob.follows_receipts(app, &room).await;
        assert_eq!(bob.is_refused(DELETE_CONVERSATION, here(&room)).await, "FORBIDDEN");

        ann.deletes_conversation(&room).await;
        let event = live.next().await;
        assert_eq!((&event["__typename"], &event["seq"]), (&json!("ConversationDeleted"), &json!(5)));
        live.completes().await;
        receipts.completes().await;
        assert_eq!(all.next().await.0["__typename"], "ConversationDeleted");
        let message = "query($id: ID!) { node(id: $id) { id } }";
        for person in [&ann, &bob, &cleo] {
            assert_eq!(person.is_refused(CONVERSATION, json!({ "id": room.id })).await, "NOT_FOUND");
            assert_eq!(person.is_refused(SEND, saying(&room, "hi")).await, "NOT_FOUND");
            assert_eq!(person.is_refused(message, json!({ "id": said.id })).await, "NOT_FOUND");
            assert_eq!(person.is_refused(DELETE_CONVERSATION, here(&room)).await, "NOT_FOUND");
            assert_eq!(person.is_refused(crate::invitations::ACCEPT, json!({ "input": { "code": code } })).await, "NOT_FOUND");
            assert_eq!(person.is_refused(JOIN_ROOM, json!({ "input": { "slug": "gone" } })).await, "NOT_FOUND");
            let list = person.asks("{ viewer { conversations { nodes { id } } } }", json!({})).await;
            assert_eq!(list["viewer"]["conversations"]["nodes"], json!([]));
        }
        app.advance(Duration::from_secs(61));
        until("all is erased", || async { left_in(app).await == "0" }).await;
        // Who was away comes past what is left, to the deletion, which is the last of it.
        let mut late = cleo.follows_all(Some(&cursor)).await;
        let (events, last) = late.take(4).await;
        let told: Vec<_> = events.iter().map(|event| text(&event["__typename"])).collect();
        assert_eq!(told, ["MessageSent", "MemberLeft", "MemberJoined", "ConversationDeleted"]);
        assert_eq!(events[0]["message"]["text"], Value::Null);
        drop(late);
        // The slug is free.
        let again = ann.makes(input).await;
        let mut late = cleo.follows_all(Some(&last)).await;
        ann.sends(&again, "new").await;
        assert_eq!(late.next().await.0["conversationId"], again.id);
        let direct = ann.makes_direct(&bob).await;
        assert_eq!(ann.is_refused(DELETE_CONVERSATION, here(&direct)).await, "FORBIDDEN");
    }

    async fn to_delete_a_large_conversation_costs_a_handful_of_statements(app) {
        let ann = app.person("Ann").await;
        let others = join_all((0..30).map(|n| async move { app.person(&format!("Person {n}")).await })).await;
        let room = ann.makes_group("Large", &others.iter().collect::<Vec<_>>()).await;
        let said = ann.sends(&room, "loved").await;
        ann.reacts(&said, "👍").await;
        app.domain.statements().record();
        ann.deletes_conversation(&room).await;
        let statements = app.recorded_statements().await;
        assert!(statements.len() < 30, "{}: {statements:#?}", statements.len());
        app.advance(Duration::from_secs(61));
        until("what people did to its messages is erased too", || async { left_in(app).await == "0" }).await;
    }
}
