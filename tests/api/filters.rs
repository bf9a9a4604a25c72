//! A viewer's list of conversations: which it has, what it shows of each, and what it costs.

use serde_json::{Value, json};

use crate::harness::people::text;
use crate::harness::{Person, Room, on_both};

impl Person {
    async fn counts_unread(&self) -> Value {
        let query = "{ viewer { unreadConversationCount } }";
        self.asks(query, json!({})).await["viewer"]["unreadConversationCount"].clone()
    }

    /// What a list shows of a conversation.
    async fn previews(&self, room: &Room) -> Value {
        let query = "query($id: ID!) { conversation(id: $id) {
            unreadCount unreadMentionCount lastMessage { text deletedAt sender { displayName } }
        } }";
        let found = self.asks(query, json!({ "id": room.id })).await;
        found["conversation"].clone()
    }
}

on_both! {
    async fn a_list_has_what_its_filter_says(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob Brown", "Cleo"]).await;
        let channel = json!({ "kind": "CHANNEL", "title": "News of the lake", "memberIds": [bob.id], "tags": ["water"] });
        let channel = ann.makes(channel).await;
        let trip = ann.makes_group("Trip to Ångström's lake-house", &[&bob]).await;
        let direct = ann.makes_direct(&bob).await;
        ann.makes_direct(&cleo).await;
        ann.updates(&trip, json!({ "tags": ["trips", "water"] })).await;
        bob.sends(&direct, "hi").await;
        let none = Vec::<String>::new();
        let (news, journey) = ("News of the lake", "Trip to Ångström's lake-house");
        let all = ["(none)", journey, "(none)", news];
        assert_eq!(ann.lists(Value::Null).await, all);
        assert_eq!(ann.lists(json!({})).await, all);
        for (filter, expected) in [
            (json!({ "kinds": ["CHANNEL"] }), vec![news]),
            (json!({ "kinds": ["CHANNEL", "GROUP", "CHANNEL", "ROOM"] }), vec![journey, news]),
            (json!({ "tag": "water" }), vec![journey, news]),
            (json!({ "tag": "trips", "kinds": ["GROUP"] }), vec![journey]),
            (json!({ "tag": "trips", "kinds": ["CHANNEL"] }), vec![]),
            (json!({ "query": "angstrom" }), vec![journey]),
            (json!({ "query": "la of" }), vec![news]),
            (json!({ "query": "house" }), vec![journey]),
            (json!({ "query": "brow" }), vec!["(none)"]),
            (json!({ "query": "ann" }), vec![]),
            (json!({ "unread": true }), vec!["(none)"]),
            (json!({ "unread": false }), vec![journey, "(none)", news]),
            (json!({ "pinned": true }), vec![]),
            (json!({ "archived": true }), vec![]),
            (json!({ "hidden": true }), vec![]),
        ] {
            assert_eq!(ann.lists(filter.clone()).await, expected, "{filter}");
        }
        assert_eq!(ann.counts_unread().await, 1);
        ann.makes_of(&channel, "markUnread", json!({})).await;
        ann.makes_of(&trip, "pinConversation", json!({})).await;
        assert_eq!(ann.lists(json!({ "unread": true })).await, ["(none)", news]);
        assert_eq!(ann.counts_unread().await, 2);
        assert_eq!(ann.lists(json!({ "pinned": true })).await, [journey]);
        assert_eq!(ann.lists(json!({ "pinned": false, "query": "lake" })).await, [news]);
        ann.reads(&direct, 1).await;
        assert_eq!(ann.counts_unread().await, 1);
        // Another title, and it is found by that alone.
        ann.updates(&trip, json!({ "title": "Gone" })).await;
        assert_eq!(ann.lists(json!({ "query": "gon" })).await, ["Gone"]);
        assert_eq!(ann.lists(json!({ "query": "angstrom" })).await, none);
        assert_eq!(bob.lists(json!({ "query": "news" })).await, [news]);
        assert_eq!(cleo.lists(json!({ "query": "news" })).await, none);

        let query = "query($filter: ConversationFilter) { viewer { conversations(filter: $filter) { nodes { id } } } }";
        for (field, value) in [("query", "x".to_owned()), ("query", "a b c d e f g h i".to_owned()), ("tag", "No Tag".to_owned())] {
            let refused = ann.is_refused_with(query, json!({ "filter": { field: value } })).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": field }));
        }
    }

    async fn a_filtered_list_is_paged(app) {
        let ann = app.person("Ann").await;
        for n in 0..6 {
            let room = ann.makes_group(&format!("Room {n}"), &[]).await;
            if n % 2 == 0 {
                ann.makes_of(&room, "pinConversation", json!({})).await;
            }
        }
        let query = "query($after: String) { viewer {
            conversations(filter: { pinned: true }, first: 2, after: $after) { nodes { title } pageInfo { hasNextPage endCursor } }
        } }";
        let page = ann.asks(query, json!({})).await["viewer"]["conversations"].clone();
        assert_eq!(page["nodes"], json!([{ "title": "Room 4" }, { "title": "Room 2" }]));
        assert_eq!(page["pageInfo"]["hasNextPage"], true);
        let next = json!({ "after": page["pageInfo"]["endCursor"] });
        let page = ann.asks(query, next).await["viewer"]["conversations"].clone();
        assert_eq!(page["nodes"], json!([{ "title": "Room 0" }]));
        assert_eq!(page["pageInfo"]["hasNextPage"], false);
    }

    async fn the_newest_message_is_shown_and_who_is_mentioned_counts(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        assert_eq!(ann.previews(&room).await, json!({ "unreadCount": 0, "unreadMentionCount": 0, "lastMessage": null }));
        ann.sends(&room, "one").await;
        let two = bob.sends(&room, "two").await;
        let three = bob.sends(&room, "three").await;
        bob.edits(&two, "2").await;
        let preview = ann.previews(&room).await;
        assert_eq!(preview["unreadCount"], 2);
        assert_eq!(preview["lastMessage"], json!({ "text": "three", "deletedAt": null, "sender": { "displayName": "Bob" } }));
        // By name in one, by name and with everyone in the other.
        let mention = async |who: &str, seq: i64| {
            let sql = format!("INSERT INTO mentions (conversation_id, user_id, seq)
                SELECT c.id, {who}, {seq} FROM conversations c WHERE c.title = 'Room'");
            app.runs_sql(&sql).await;
        };
        let ann_is = "(SELECT id FROM users WHERE display_name = 'Ann')";
        let everyone = if app.is_on_postgres() { "'00000000-0000-0000-0000-000000000000'::uuid" } else { "zeroblob(16)" };
        mention(ann_is, 2).await;
        mention(ann_is, 3).await;
        mention(everyone, 3).await;
        mention(everyone, 1).await;
        assert_eq!(ann.previews(&room).await["unreadMentionCount"], 2);
        assert_eq!(bob.previews(&room).await["unreadMentionCount"], 1, "his own does not count");
        ann.reads(&room, 2).await;
        assert_eq!(ann.previews(&room).await["unreadMentionCount"], 1);
        bob.deletes(&three).await;
        let preview = ann.previews(&room).await;
        assert_eq!(preview["unreadMentionCount"], 0);
        assert_eq!(preview["lastMessage"]["text"], Value::Null);
        text(&preview["lastMessage"]["deletedAt"]);
        // A line of the system is not what was said last.
        app.runs_sql("UPDATE messages SET kind = 'system' WHERE text = 'three' OR deleted_at IS NOT NULL").await;
        assert_eq!(ann.previews(&room).await["lastMessage"]["text"], "2");
    }

    async fn all_that_a_list_shows_costs_at_most_6_statements(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        for n in 0..50 {
            let room = ann.makes_group(&format!("Room {n}"), &[&bob]).await;
            bob.sends(&room, &format!("newest of {n}")).await;
            if n % 10 == 0 {
                ann.makes_of(&room, "pinConversation", json!({})).await;
            }
        }
        let query = "{ viewer { conversations(first: 50) { nodes {
            title unreadCount unreadMentionCount isPinned isMarkedUnread mutedUntil draft { text }
            lastMessage { text sender { displayName } } } } } }";
        let mut least = u64::MAX;
        for _ in 0..3 {
            let before = app.domain.statements().count();
            let found = ann.asks(query, json!({})).await;
            least = least.min(app.domain.statements().count() - before);
            let nodes = found["viewer"]["conversations"]["nodes"].as_array().expect("a page");
            assert_eq!(nodes.len(), 50);
            for (index, node) in nodes.iter().enumerate() {
                let number = 49 - index;
                let newest = json!({ "text": format!("newest of {number}"), "sender": { "displayName": "Bob" } });
                assert_eq!(node["lastMessage"], newest);
                assert_eq!((&node["unreadCount"], &node["isPinned"]), (&json!(1), &json!(number % 10 == 0)));
            }
        }
        assert!(least <= 6, "{least} statements");
    }

    async fn what_the_viewer_hides_is_not_unread(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        let (one, two) = (bob.sends(&room, "one").await, bob.sends(&room, "two").await);
        ann.hides(&one).await;
        assert_eq!(ann.lists(json!({ "unread": true })).await, ["Room"]);
        ann.hides(&two).await;
        assert_eq!(ann.previews(&room).await["unreadCount"], 0);
        assert_eq!(ann.counts_unread().await, 0);
        assert_eq!(ann.lists(json!({ "unread": true })).await, Vec::<String>::new());
        assert_eq!(ann.lists(json!({ "unread": false })).await, ["Room"]);
    }
}
