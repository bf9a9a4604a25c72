//! What people do to messages one by one: pinning, starring, hiding; and how long they may still change
//! what they have said.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::people::{DELETE, EDIT, Sent, text};
use crate::harness::{Person, Room, on_both, until};
use crate::polls::poll;

pub(crate) const PIN: &str = "mutation($input: PinMessageInput!) {
    pinMessage(input: $input) { message { pinnedAt pinnedBy { id } } }
}";
pub(crate) const UNPIN: &str = "mutation($input: UnpinMessageInput!) {
    unpinMessage(input: $input) { message { pinnedAt pinnedBy { id } } }
}";
pub(crate) const STAR: &str =
    "mutation($input: StarMessageInput!) { starMessage(input: $input) { message { isStarred } } }";
pub(crate) const UNSTAR: &str = "mutation($input: UnstarMessageInput!) { unstarMessage(input: $input) { message { isStarred } } }";
pub(crate) const HIDE: &str =
    "mutation($input: HideMessageInput!) { hideMessage(input: $input) { message { isHidden } } }";
pub(crate) const PINNED: &str =
    "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { conversation(id: $id) {
    pinnedMessages(first: $first, after: $after, last: $last, before: $before) {
        nodes { id } pageInfo { hasNextPage endCursor startCursor }
    } } }";
pub(crate) const STARRED: &str = "query($conversation: ID, $first: Int, $after: String, $last: Int, $before: String) { viewer {
    starredMessages(conversationId: $conversation, first: $first, after: $after, last: $last, before: $before) {
        nodes { id isStarred } pageInfo { hasNextPage endCursor startCursor }
    } } }";

pub(crate) fn of(message: &Sent) -> Value {
    json!({ "input": { "messageId": message.id } })
}

fn ids(page: &Value) -> Vec<String> {
    let nodes = page["nodes"].as_array().expect("a list");
    nodes.iter().map(|node| text(&node["id"])).collect()
}

impl Person {
    pub(crate) async fn pins(&self, message: &Sent) {
        let pinned = self.asks(PIN, of(message)).await;
        assert!(pinned["pinMessage"]["message"]["pinnedAt"].is_string());
    }

    pub(crate) async fn unpins(&self, message: &Sent) {
        let unpinned = self.asks(UNPIN, of(message)).await;
        assert!(unpinned["unpinMessage"]["message"]["pinnedAt"].is_null());
    }

    pub(crate) async fn stars(&self, message: &Sent) {
        let starred = self.asks(STAR, of(message)).await;
        assert_eq!(starred["starMessage"]["message"]["isStarred"], true);
    }

    pub(crate) async fn hides(&self, message: &Sent) {
        let hidden = self.asks(HIDE, of(message)).await;
        assert_eq!(hidden["hideMessage"]["message"]["isHidden"], true);
    }

    async fn sees_pinned(&self, room: &Room) -> Vec<String> {
        let found = self.asks(PINNED, json!({ "id": room.id })).await;
        ids(&found["conversation"]["pinnedMessages"])
    }

    async fn sees_starred(&self, room: Option<&Room>) -> Vec<String> {
        let of = json!({ "conversation": room.map(|room| &room.id) });
        ids(&self.asks(STARRED, of).await["viewer"]["starredMessages"])
    }
}

on_both! {
    async fn messages_are_pinned_and_unpinned_for_all(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        let mut sent = Vec::new();
        for n in 0..4 {
            sent.push(ann.sends(&room, &n.to_string()).await);
        }
        let mut events = ann.follows(&room, Some(4)).await;
        for message in [&sent[0], &sent[2], &sent[1]] {
            bob.pins(message).await;
        }
        ann.pins(&sent[1]).await;
        ann.unpins(&sent[3]).await;
        let pinned = [&sent[1], &sent[2], &sent[0]].map(|message| message.id.clone());
        assert_eq!(ann.sees_pinned(&room).await, pinned, "the one pinned last first");
        let first = ann.asks(PINNED, json!({ "id": room.id, "first": 2 })).await["conversation"]["pinnedMessages"].clone();
        assert_eq!((ids(&first), &first["pageInfo"]["hasNextPage"]), (pinned[..2].to_vec(), &json!(true)));
        let next = json!({ "id": room.id, "first": 2, "after": first["pageInfo"]["endCursor"] });
        let next = ann.asks(PINNED, next).await["conversation"]["pinnedMessages"].clone();
        assert_eq!(ids(&next), pinned[2..]);
        let back = json!({ "id": room.id, "last": 1, "before": next["pageInfo"]["startCursor"] });
        assert_eq!(ids(&ann.asks(PINNED, back).await["conversation"]["pinnedMessages"]), pinned[1..2]);

        ann.unpins(&sent[2]).await;
        ann.deletes(&sent[0]).await;
        assert_eq!(bob.sees_pinned(&room).await, pinned[..1]);
        let told = events.take(5).await;
        let kinds: Vec<_> = told.iter().map(|event| text(&event["__typename"])).collect();
        assert_eq!(kinds, ["MessagePinned", "MessagePinned", "MessagePinned", "MessageUnpinned", "MessageDeleted"]);
        assert_eq!((&told[0]["message"]["id"], &told[0]["actor"]["id"]), (&json!(sent[0].id), &json!(bob.id)));
        assert_eq!(ann.is_refused(PIN, of(&sent[0])).await, "CONFLICT", "a deleted one");
    }

    async fn few_pin_where_few_write_and_not_without_end(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let channel = ann.makes(json!({ "kind": "CHANNEL", "title": "News", "memberIds": [bob.id] })).await;
        let message = ann.sends(&channel, "news").await;
        assert_eq!(bob.is_refused(PIN, of(&message)).await, "FORBIDDEN");
        ann.pins(&message).await;
        assert_eq!(bob.is_refused(UNPIN, of(&message)).await, "FORBIDDEN");
        ann.sets_role(&channel, &bob, "ADMIN").await;
        bob.unpins(&message).await;
        let direct = ann.makes_direct(&bob).await;
        let mut last = message;
        for n in 0..50 {
            last = ann.sends(&direct, &n.to_string()).await;
            bob.pins(&last).await;
        }
        let more = ann.sends(&direct, "one more").await;
        assert_eq!(bob.is_refused(PIN, of(&more)).await, "CONFLICT");
        bob.pins(&last).await;
        bob.unpins(&last).await;
        bob.pins(&more).await;
    }

    async fn stars_are_the_viewers_own(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let (one, two) = (ann.makes_group("One", &[&bob]).await, ann.makes_group("Two", &[&bob]).await);
        let (a, b) = (ann.sends(&one, "a").await, ann.sends(&two, "b").await);
        let (c, gone) = (ann.sends(&one, "c").await, ann.sends(&one, "gone").await);
        let mut socket = bob.signs_in_again().await.opens_socket().await;
        socket.subscribe("1", "subscription { messageStateChanged { messageId isStarred isHidden } }", &json!({})).await;
        // There is nothing to tell when it is open: a star is given again and again until it is heard.
        let heard = loop {
            bob.stars(&a).await;
            let heard = tokio::time::timeout(Duration::from_millis(200), socket.next()).await;
            if let Ok(heard) = heard {
                break heard.expect("the stream goes on");
            }
            bob.asks(UNSTAR, of(&a)).await;
        };
        let told = |message: &Sent, is_starred: bool, is_hidden: bool| {
            json!({ "messageId": message.id, "isStarred": is_starred, "isHidden": is_hidden })
        };
        assert_eq!(heard["payload"]["data"]["messageStateChanged"], told(&a, true, false));
        for message in [&b, &c, &gone] {
            bob.stars(message).await;
        }
        bob.stars(&b).await;
        ann.deletes(&gone).await;
        assert_eq!(ann.is_refused(STAR, of(&gone)).await, "CONFLICT");
        let ids_of = |messages: &[&Sent]| messages.iter().map(|message| message.id.clone()).collect::<Vec<_>>();
        assert_eq!(bob.sees_starred(None).await, ids_of(&[&c, &b, &a]), "the latest star first");
        assert_eq!(bob.sees_starred(Some(&one)).await, ids_of(&[&c, &a]));
        assert_eq!(ann.sees_starred(None).await, Vec::<String>::new());
        let first = bob.asks(STARRED, json!({ "first": 2 })).await["viewer"]["starredMessages"].clone();
        assert_eq!((ids(&first), &first["pageInfo"]["hasNextPage"]), (ids_of(&[&c, &b]), &json!(true)));
        let next = json!({ "first": 2, "after": first["pageInfo"]["endCursor"] });
        assert_eq!(ids(&bob.asks(STARRED, next).await["viewer"]["starredMessages"]), ids_of(&[&a]));
        // What the viewer does not see any more is not listed.
        bob.removes(&two, &bob).await;
        assert_eq!(bob.sees_starred(None).await, ids_of(&[&c, &a]));
        assert_eq!(bob.is_refused(STARRED, json!({ "conversation": two.id })).await, "NOT_FOUND");
        bob.asks(UNSTAR, of(&c)).await;
        assert_eq!(bob.sees_starred(None).await, ids_of(&[&a]));
        bob.hides(&a).await;
        let mut heard = vec![told(&a, true, false)];
        while heard.last() != Some(&told(&a, true, true)) {
            let next = socket.next().await.expect("the stream goes on");
            heard.push(next["payload"]["data"]["messageStateChanged"].clone());
        }
        for (message, is_starred) in [(&a, true), (&b, true), (&c, false)] {
            let of_it = heard.iter().filter(|state| state["messageId"] == message.id.as_str());
            let of_it: Vec<_> = of_it.collect();
            assert_eq!(of_it.last().expect("some")["isStarred"], is_starred, "{heard:?}");
            assert!(of_it.windows(2).all(|two| two[0] != two[1]), "nothing is told twice: {heard:?}");
        }
    }

    async fn what_is_hidden_is_gone_for_the_viewer_alone(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let (room, other) = (ann.makes_group("Room", &[&bob]).await, ann.makes_group("Other", &[&bob]).await);
        let mut sent = Vec::new();
        for n in 0..5 {
            sent.push(ann.sends(&room, &n.to_string()).await);
        }
        ann.sends(&other, "other").await;
        bob.stars(&sent[1]).await;
        bob.pins(&sent[1]).await;
        let mut events = ann.follows(&room, Some(6)).await;
        for message in [&sent[1], &sent[4], &sent[1]] {
            bob.hides(message).await;
        }
        let query = "query($id: ID!) { conversation(id: $id) { unreadCount lastMessage { id }
            last: messages(last: 2) { nodes { id } pageInfo { hasPreviousPage } }
            all: messages(first: 50) { nodes { id isHidden } } } }";
        let found = bob.asks(query, json!({ "id": room.id })).await["conversation"].clone();
        let of_seqs = |seqs: &[usize]| seqs.iter().map(|n| sent[*n].id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&found["last"]), of_seqs(&[2, 3]), "as many as were asked for");
        assert_eq!(found["last"]["pageInfo"]["hasPreviousPage"], true);
        assert_eq!(found["lastMessage"]["id"], sent[3].id.as_str());
        assert_eq!((ids(&found["all"]), &found["unreadCount"]), (of_seqs(&[0, 2, 3]), &json!(3)));
        // Of several conversations too.
        let query = "{ viewer { conversations { nodes { unreadCount messages(last: 1) { nodes { id } } } } } }";
        let found = bob.asks(query, json!({})).await["viewer"]["conversations"]["nodes"].clone();
        let newest = found.as_array().expect("a list").iter().find(|c| c["unreadCount"] == 3);
        assert_eq!(ids(&newest.expect("the room")["messages"]), of_seqs(&[3]));
        assert_eq!(bob.sees_pinned(&room).await, Vec::<String>::new());
        assert_eq!(bob.sees_starred(None).await, Vec::<String>::new());
        // By its id it is still there, and says so. Others see no difference.
        let query = "query($id: ID!) { node(id: $id) { ... on Message { text isHidden } } }";
        for (person, hidden) in [(&bob, true), (&ann, false)] {
            let found = person.asks(query, json!({ "id": sent[1].id })).await;
            assert_eq!(found["node"], json!({ "text": "1", "isHidden": hidden }));
        }
        assert_eq!(ann.sees_pinned(&room).await, of_seqs(&[1]));
        ann.edits(&sent[1], "changed").await;
        assert_eq!(events.next().await["seq"], 7, "hiding is no event");
    }

    async fn what_was_said_long_ago_stays_where_the_conversation_says_so(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[&bob, &cleo]).await;
        let edit = |message: &Sent| json!({ "input": { "messageId": message.id, "text": "changed" } });
        let (first, second) = (bob.sends(&room, "first").await, bob.sends(&room, "second").await);
        let settings = json!({ "editWindowSeconds": 60, "deleteWindowSeconds": 120 });
        ann.updates(&room, json!({ "settings": settings })).await;
        bob.edits(&first, "in time").await;
        app.advance(Duration::from_secs(61));
        assert_eq!(bob.is_refused(EDIT, edit(&first)).await, "FORBIDDEN");
        bob.deletes(&first).await;
        app.advance(Duration::from_secs(61));
        assert_eq!(bob.is_refused(DELETE, of(&second)).await, "FORBIDDEN");
        assert_eq!(cleo.is_refused(DELETE, of(&second)).await, "FORBIDDEN");
        ann.deletes(&second).await;
    }

    async fn with_a_conversation_goes_what_was_done_in_it(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        let asked = ann.asks_poll(&room, poll(&["a", "b"])).await;
        bob.votes(&asked, &[1]).await;
        bob.reacts(&asked, "👍").await;
        bob.stars(&asked).await;
        bob.hides(&asked).await;
        ann.deletes_conversation(&room).await;
        app.advance(Duration::from_secs(61));
        let left = "SELECT (SELECT count(*) FROM polls) + (SELECT count(*) FROM poll_votes) + (SELECT count(*) FROM reactions)
            + (SELECT count(*) FROM stars) + (SELECT count(*) FROM hidden_messages) + (SELECT count(*) FROM erasures)";
        until("all is erased", || async { app.runs_sql(left).await == "0" }).await;
    }

    async fn stars_are_bounded_though_many_are_given_at_once(app) {
        let ann = app.person("Ann").await;
        let (room, other) = (ann.makes_group("Starry", &[]).await, ann.makes_group("Other", &[]).await);
        ann.sends(&room, "star").await;
        let id = if app.is_on_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
        let messages = format!("INSERT INTO messages (id, conversation_id, seq, sender_id, text, created_at, stamp)
            WITH RECURSIVE n(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < 9999)
            SELECT {id}, m.conversation_id, n.n, m.sender_id, m.text, m.created_at, m.stamp FROM messages m, n");
        app.runs_sql(&messages).await;
        let stars = "INSERT INTO stars (user_id, message_id, conversation_id, created_at)
            SELECT sender_id, id, conversation_id, created_at FROM messages WHERE seq > 1";
        app.runs_sql(stars).await;
        // There is room for two more; each is in the way of no other.
        let mut more = Vec::new();
        for n in 0..6 {
            more.push(ann.sends(&other, &n.to_string()).await);
        }
        let tries = join_all(more.iter().map(|message| ann.request(STAR, of(message)))).await;
        let given = tries.iter().filter(|answer| answer.json()["errors"].is_null()).count();
        assert_eq!(given, 2);
        assert_eq!(app.runs_sql("SELECT count(*) FROM stars").await, "10000");
    }
}
