//! Messages that are sent later: once, on time, and as their senders may then.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::people::{Room, text};
use crate::harness::{App, Person, on_both, until};

pub(crate) const SCHEDULE: &str = "mutation($input: ScheduleMessageInput!) {
    scheduleMessage(input: $input) { scheduledMessage { id sendAt } }
}";
pub(crate) const EDIT: &str = "mutation($input: EditScheduledMessageInput!) {
    editScheduledMessage(input: $input) { scheduledMessage { id text sendAt entities { kind } failure } }
}";
pub(crate) const CANCEL: &str = "mutation($input: CancelScheduledMessageInput!) {
    cancelScheduledMessage(input: $input) { ok }
}";
pub(crate) const LIST: &str = "query($conversation: ID, $first: Int, $after: String) {
    viewer { scheduledMessages(conversationId: $conversation, first: $first, after: $after) {
        nodes { id kind text content { __typename } entities { kind } conversation { id } sendAt failure }
        pageInfo { hasNextPage endCursor }
    } }
}";

/// So many seconds from a node's now.
pub(crate) async fn in_seconds(app: &App, seconds: i64) -> String {
    rfc3339(app.domain.clock().now().0 + 1_000 * seconds)
}

/// An instant in milliseconds, as clients say it.
pub(crate) fn rfc3339(at: i64) -> String {
    let at = DateTime::from_timestamp_millis(at).expect("an instant");
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

impl Person {
    pub(crate) async fn schedules(&self, room: &Room, at: &str, message: Value) -> String {
        let mut input = message;
        input["conversationId"] = json!(room.id);
        input["sendAt"] = json!(at);
        let made = self.asks(SCHEDULE, json!({ "input": input })).await;
        text(&made["scheduleMessage"]["scheduledMessage"]["id"])
    }

    /// What waits, or could not be sent.
    pub(crate) async fn scheduled(&self) -> Vec<Value> {
        let found = self.asks(LIST, json!({})).await;
        found["viewer"]["scheduledMessages"]["nodes"]
            .as_array()
            .expect("a list")
            .clone()
    }
}

on_both! {
    async fn a_scheduled_message_is_sent_once_when_its_time_comes(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Later", &[bob]).await;
        let first = ann.sends(&room, "first").await;
        let mut stream = bob.follows(&room, Some(1)).await;
        let at = in_seconds(app, 60).await;
        let message = json!({
            "text": "happy new year", "replyToId": first.id, "entities": [{ "kind": "BOLD", "offset": 0, "length": 5 }],
            "content": { "image": { "url": "https://files.example.com/1" } },
        });
        let id = ann.schedules(&room, &at, message).await;
        let waiting = ann.scheduled().await;
        assert_eq!(waiting.len(), 1);
        assert_eq!((&waiting[0]["id"], &waiting[0]["sendAt"], &waiting[0]["kind"]), (&json!(id), &json!(at), &json!("IMAGE")));
        assert_eq!(waiting[0]["conversation"]["id"], *room.id);
        assert_eq!(bob.scheduled().await.len(), 0);
        // Before its time, nothing is sent.
        app.advance(Duration::from_secs(50));
        let between = bob.sends(&room, "not yet").await;
        assert_eq!((between.seq, stream.next().await["message"]["text"].clone()), (2, json!("not yet")));
        app.advance(Duration::from_secs(11));
        let event = stream.next().await;
        assert_eq!((&event["message"]["id"], &event["message"]["text"]), (&json!(id), &json!("happy new year")));
        assert_eq!((&event["seq"], &event["actor"]["id"]), (&json!(3), &json!(ann.id)));
        let seen = bob.asks(crate::writing::WRITTEN, json!({ "id": id })).await["node"].take();
        assert_eq!((&seen["replyTo"]["id"], &seen["content"]["url"]), (&json!(first.id), &json!("https://files.example.com/1")));
        assert_eq!(seen["entities"][0]["kind"], "BOLD");
        until("it waits no more", || async { ann.scheduled().await.is_empty() }).await;
        assert_eq!(bob.last_seq(&room).await, 3);
    }

    async fn what_waits_can_be_changed_and_taken_back(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Later", &[bob]).await;
        let at = in_seconds(app, 60).await;
        let kept = ann.schedules(&room, &at, json!({ "text": "one" })).await;
        let cancelled = ann.schedules(&room, &at, json!({ "text": "never" })).await;
        let later = in_seconds(app, 120).await;
        let input = json!({ "scheduledMessageId": kept, "text": "two", "sendAt": later, "entities": [{ "kind": "BOLD", "offset": 0, "length": 3 }] });
        let changed = ann.asks(EDIT, json!({ "input": input })).await["editScheduledMessage"]["scheduledMessage"].take();
        assert_eq!((&changed["text"], &changed["sendAt"]), (&json!("two"), &json!(later)));
        assert_eq!(changed["entities"][0]["kind"], "BOLD");
        let input = json!({ "scheduledMessageId": cancelled });
        // To others it does not exist.
        assert_eq!(bob.is_refused(CANCEL, json!({ "input": input })).await, "NOT_FOUND");
        ann.asks(CANCEL, json!({ "input": input })).await;
        assert_eq!(ann.is_refused(CANCEL, json!({ "input": input })).await, "NOT_FOUND");
        let mut stream = bob.follows(&room, Some(0)).await;
        app.advance(Duration::from_secs(121));
        let event = stream.next().await;
        assert_eq!((&event["message"]["id"], &event["message"]["text"]), (&json!(kept), &json!("two")));
        let last = bob.sends(&room, "and that was all").await;
        assert_eq!(last.seq, 2);
    }

    async fn what_may_not_be_sent_then_says_why(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Later", &[bob]).await;
        let at = in_seconds(app, 60).await;
        let id = bob.schedules(&room, &at, json!({ "text": "still here?" })).await;
        ann.removes(&room, bob).await;
        let mut stream = ann.follows(&room, Some(1)).await;
        app.advance(Duration::from_secs(61));
        until("it was tried", || async {
            let waiting = bob.scheduled().await;
            waiting[0]["failure"] == "no such conversation"
        })
        .await;
        assert_eq!(bob.scheduled().await[0]["conversation"], Value::Null);
        assert_eq!(ann.last_seq(&room).await, 1);
        // Back again, it is sent after all.
        ann.adds(&room, &[bob]).await;
        let input = json!({ "scheduledMessageId": id, "text": "back" });
        assert_eq!(bob.is_refused_with(EDIT, json!({ "input": input })).await["field"], "sendAt");
        let input = json!({ "scheduledMessageId": id, "sendAt": in_seconds(app, 5).await });
        bob.asks(EDIT, json!({ "input": input })).await;
        assert_eq!(stream.next().await["__typename"], "MemberJoined");
        app.advance(Duration::from_secs(6));
        assert_eq!(stream.next().await["message"]["id"], *id);
    }

    async fn what_cannot_be_scheduled_is_refused(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Later", &[]).await;
        let refusal = async |person: &Person, at: &str, message: &str| {
            let input = json!({ "conversationId": room.id, "sendAt": at, "text": message });
            person.is_refused_with(SCHEDULE, json!({ "input": input })).await
        };
        let (soon, past) = (in_seconds(app, 60).await, in_seconds(app, -1).await);
        assert_eq!(refusal(ann, &past, "hi").await["field"], "sendAt");
        assert_eq!(refusal(ann, &in_seconds(app, 400 * 86_400).await, "hi").await["field"], "sendAt");
        assert_eq!(refusal(ann, &soon, " ").await["field"], "text");
        assert_eq!(refusal(bob, &soon, "hi").await["code"], "NOT_FOUND");
        // The key of one that waits.
        let first = ann.schedules(&room, &soon, json!({ "text": "hi", "clientMessageId": "k" })).await;
        assert_eq!(ann.schedules(&room, &soon, json!({ "text": "hi", "clientMessageId": "k" })).await, first);
        let input = json!({ "conversationId": room.id, "sendAt": soon, "text": "other", "clientMessageId": "k" });
        assert_eq!(ann.is_refused(SCHEDULE, json!({ "input": input })).await, "CONFLICT");
        assert_eq!(ann.scheduled().await.len(), 1);
        // Sent, it is not sent again by whoever has not heard of it.
        app.advance(Duration::from_secs(61));
        until("it is sent", || async { ann.scheduled().await.is_empty() }).await;
        let soon = in_seconds(app, 10).await;
        ann.schedules(&room, &soon, json!({ "text": "hi", "clientMessageId": "k" })).await;
        app.advance(Duration::from_secs(11));
        until("it is settled", || async { ann.scheduled().await.is_empty() }).await;
        assert_eq!(ann.last_seq(&room).await, 1);
    }

    async fn what_is_scheduled_comes_in_pages(app) {
        let ann = app.person("Ann").await;
        let (room, other) = (ann.makes_group("A", &[]).await, ann.makes_group("B", &[]).await);
        for n in [3, 1, 2] {
            let at = in_seconds(app, 60 * n).await;
            ann.schedules(&room, &at, json!({ "text": format!("{n}") })).await;
            ann.schedules(&other, &at, json!({ "text": format!("other {n}") })).await;
        }
        let mut variables = json!({ "conversation": room.id, "first": 2 });
        let page = ann.asks(LIST, variables.clone()).await["viewer"]["scheduledMessages"].take();
        assert_eq!((&page["nodes"][0]["text"], &page["nodes"][1]["text"]), (&json!("1"), &json!("2")));
        variables["after"] = page["pageInfo"]["endCursor"].clone();
        let page = ann.asks(LIST, variables).await["viewer"]["scheduledMessages"].take();
        assert_eq!((&page["nodes"][0]["text"], &page["pageInfo"]["hasNextPage"]), (&json!("3"), &json!(false)));
        assert_eq!(ann.scheduled().await.len(), 6);
    }

    async fn a_retry_of_scheduling_is_answered_with_the_first_whatever_became_of_it(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Later", &[bob]).await;
        let (soon, late) = (in_seconds(app, 60).await, in_seconds(app, 600).await);
        let once = json!({ "text": "once", "clientMessageId": "once" });
        let input = |at: &str, what: &str, key: &str| json!({ "input": {
            "conversationId": room.id, "sendAt": at, "text": what, "clientMessageId": key,
        } });
        // Of many at once there is one.
        let all = join_all((0..8).map(|_| bob.schedules(&room, &soon, once.clone()))).await;
        let id = &all[0];
        assert!(all.iter().all(|other| other == id), "{all:?}");
        let change = json!({ "scheduledMessageId": id, "text": "otherwise" });
        bob.asks(EDIT, json!({ "input": change })).await;
        assert_eq!(bob.schedules(&room, &soon, once.clone()).await, *id);
        assert_eq!(bob.is_refused(SCHEDULE, input(&soon, "otherwise", "once")).await, "CONFLICT");
        // Another one is sent before its first time comes.
        let early = json!({ "text": "early", "clientMessageId": "early" });
        let sooner = bob.schedules(&room, &late, early.clone()).await;
        let change = json!({ "scheduledMessageId": sooner, "sendAt": soon });
        bob.asks(EDIT, json!({ "input": change })).await;
        app.advance(Duration::from_secs(61));
        until("both are sent", || async { bob.scheduled().await.is_empty() }).await;
        let made = bob.asks(SCHEDULE, input(&late, "early", "early")).await;
        assert_eq!(made["scheduleMessage"]["scheduledMessage"]["id"], *sooner);
        // When the first time is over, and nobody but admins sends.
        ann.sets(&room, json!({ "onlyAdminsSend": true })).await;
        assert_eq!(bob.schedules(&room, &soon, once.clone()).await, *id);
        assert_eq!(bob.is_refused(SCHEDULE, input(&late, "other", "early")).await, "CONFLICT");
        assert_eq!(bob.is_refused(SCHEDULE, input(&late, "new", "new")).await, "FORBIDDEN");
        assert_eq!(bob.scheduled().await, Vec::<Value>::new());
        assert_eq!(bob.last_seq(&room).await, 3);
        ann.removes(&room, bob).await;
        assert_eq!(bob.is_refused(SCHEDULE, input(&soon, "once", "once")).await, "NOT_FOUND");
    }

    async fn what_slow_mode_holds_back_is_sent_in_turn(app) {
        let [ann, bob, cleo] = &app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Slow", &[bob, cleo]).await;
        ann.sets(&room, json!({ "slowModeSeconds": 30 })).await;
        let at = in_seconds(app, 60).await;
        for n in 0..3 {
            bob.schedules(&room, &at, json!({ "text": format!("{n}") })).await;
        }
        cleo.schedules(&room, &at, json!({ "text": "and I" })).await;
        let mut live = ann.follows(&room, Some(1)).await;
        app.advance(Duration::from_secs(61));
        let mut said: Vec<_> = live.take(2).await.iter().map(|event| text(&event["message"]["text"])).collect();
        said.sort();
        assert_eq!(said, ["0", "and I"]);
        // The others have another time, and are not tried before.
        until("they are put off", || async {
            let waiting = bob.scheduled().await;
            waiting.len() == 2 && waiting.iter().all(|one| text(&one["sendAt"]) > at)
        })
        .await;
        for next in ["1", "2"] {
            app.advance(Duration::from_secs(31));
            assert_eq!(live.next().await["message"]["text"], next);
        }
        until("none waits", || async { bob.scheduled().await.is_empty() }).await;
    }

    async fn a_deleted_conversation_keeps_nothing_that_was_to_be_sent_there(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Gone", &[bob]).await;
        let other = ann.makes_group("Lasting", &[bob]).await;
        let at = in_seconds(app, 3_600).await;
        for person in [ann, bob] {
            person.schedules(&room, &at, json!({ "text": "secret", "content": { "image": { "url": "https://files.example.com/1" } } })).await;
        }
        ann.schedules(&other, &at, json!({ "text": "kept" })).await;
        ann.deletes_conversation(&room).await;
        app.advance(Duration::from_secs(61));
        let count = "SELECT count(*) FROM scheduled_messages";
        until("it is cleared away", || async { app.runs_sql(count).await == "1" }).await;
        assert_eq!(bob.scheduled().await, Vec::<Value>::new());
        assert_eq!(ann.scheduled().await[0]["text"], "kept");
    }

    async fn no_more_wait_than_there_is_room_for_though_many_come_at_once(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Full", &[]).await;
        let at = in_seconds(app, 3_600).await;
        ann.schedules(&room, &at, json!({ "text": "first" })).await;
        let id = if app.is_on_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
        let fill = format!("INSERT INTO scheduled_messages (id, sender_id, conversation_id, text, send_at, created_at)
            WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 997)
            SELECT {id}, s.sender_id, s.conversation_id, s.text, s.send_at, s.created_at FROM scheduled_messages s, n");
        app.runs_sql(&fill).await;
        let input = json!({ "input": { "conversationId": room.id, "sendAt": at, "text": "more" } });
        let tries = join_all((0..6).map(|_| ann.request(SCHEDULE, input.clone()))).await;
        let made = tries.iter().filter(|answer| answer.json()["errors"].is_null()).count();
        assert_eq!(made, 2);
    }
}
