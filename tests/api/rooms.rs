//! Rooms are public: whoever is signed in finds them and reads them. Taking part is for members.

use serde_json::{Value, json};

use crate::audit::becomes_operator;
use crate::harness::people::{
    ADD, EVENTS, JOIN_ROOM, MARK_READ, RECEIPTS, SEND, SET_ROLE, TYPING, text,
};
use crate::harness::{Person, Room, on_both};
use crate::settings::{ARCHIVE, RESTORE};

pub(crate) const ROOMS: &str = "query($query: String, $tag: String, $first: Int, $after: String, $last: Int, $before: String) {
    rooms(query: $query, tag: $tag, first: $first, after: $after, last: $last, before: $before) {
        nodes { title memberCount tags } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";
const CREATE: &str = "mutation($input: CreateConversationInput!) { createConversation(input: $input) { conversation { slug } } }";

impl Person {
    /// The titles of the rooms that are found.
    async fn finds_rooms(&self, variables: Value) -> Vec<String> {
        let found = self.asks(ROOMS, variables).await;
        titles(&found["rooms"])
    }

    async fn opens_room(&self, title: &str, tags: &[&str]) -> Room {
        let input = json!({ "kind": "ROOM", "title": title, "memberIds": [], "tags": tags });
        self.makes(input).await
    }

    async fn joins(&self, slug: &str) {
        self.asks(JOIN_ROOM, json!({ "input": { "slug": slug } }))
            .await;
    }

    async fn popular_tags(&self) -> Value {
        let found = self.asks("{ roomTags { tag roomCount } }", json!({})).await;
        found["roomTags"].clone()
    }
}

fn titles(page: &Value) -> Vec<String> {
    let nodes = page["nodes"].as_array().expect("a list");
    nodes.iter().map(|node| text(&node["title"])).collect()
}

on_both! {
    async fn a_room_is_read_by_anyone_who_is_signed_in(app) {
        let [ann, bob, eve] = app.people(["Ann", "Bob", "Eve"]).await;
        let room = ann.opens_room("Lobby", &["talk"]).await;
        bob.joins("lobby").await;
        let said = bob.sends(&room, "hello").await;
        ann.reads(&room, said.seq).await;
        let query = "query($id: ID, $slug: String) { conversation(id: $id, slug: $slug) {
            id title slug tags memberCount unreadCount unreadMentionCount deliveredSeqHere isHidden
            viewerMembership { role }
            lastMessage { text }
            messages(last: 5) { nodes { id text sender { displayName } conversation { id } seenBy { totalCount nodes { role } } } }
            members(first: 5) { totalCount nodes { role deliveredSeq readSeq user { displayName } } }
        } }";
        for variables in [json!({ "id": room.id }), json!({ "slug": "lobby" })] {
            let found = eve.asks(query, variables).await["conversation"].clone();
            let member = |role: &str, name: &str| json!({ "role": role, "deliveredSeq": 0, "readSeq": 0, "user": { "displayName": name } });
            assert_eq!(found, json!({
                "id": room.id, "title": "Lobby", "slug": "lobby", "tags": ["talk"], "memberCount": 2,
                "unreadCount": 0, "unreadMentionCount": 0, "deliveredSeqHere": 0, "isHidden": false,
                "viewerMembership": null,
                "lastMessage": { "text": "hello" },
                "messages": { "nodes": [{
                    "id": said.id, "text": "hello", "sender": { "displayName": "Bob" }, "conversation": { "id": room.id },
                    "seenBy": { "totalCount": 0, "nodes": [] },
                }] },
                "members": { "totalCount": 2, "nodes": [member("OWNER", "Ann"), member("MEMBER", "Bob")] },
            }));
        }
        let nodes = "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Message { text } } }";
        let found = eve.asks(nodes, json!({ "ids": [room.id, said.id] })).await;
        assert_eq!(found["nodes"], json!([{ "id": room.id }, { "id": said.id, "text": "hello" }]));
        let own = bob.asks(query, json!({ "id": room.id })).await["conversation"].clone();
        assert_eq!(own["viewerMembership"]["role"], "MEMBER");
        assert_eq!(own["members"]["nodes"][0]["readSeq"], said.seq);
        assert_eq!(own["messages"]["nodes"][0]["seenBy"]["totalCount"], 1);
    }

    async fn taking_part_in_a_room_is_for_members(app) {
        let [ann, eve] = app.people(["Ann", "Eve"]).await;
        let room = ann.opens_room("Lobby", &[]).await;
        let said = ann.sends(&room, "hello").await;
        let (pin, pinned) = crate::states::making(&room, "pinConversation", json!({}));
        for (query, input) in [
            (SEND, json!({ "input": { "conversationId": room.id, "text": "hi" } })),
            (MARK_READ, json!({ "input": { "conversationId": room.id, "seq": 1 } })),
            (crate::harness::people::EDIT, json!({ "input": { "messageId": said.id, "text": "hi" } })),
            (crate::harness::people::DELETE, json!({ "input": { "messageId": said.id } })),
            (crate::harness::people::UPDATE, json!({ "input": { "conversationId": room.id, "title": "Mine" } })),
            (pin.as_str(), pinned),
        ] {
            assert_eq!(eve.is_refused(query, input).await, "NOT_FOUND", "{query}");
        }
        for query in [EVENTS, RECEIPTS, TYPING] {
            let mut socket = eve.opens_socket().await;
            socket.subscribe("1", query, &json!({ "id": room.id })).await;
            let message = socket.next().await.expect("the socket stays open");
            assert_eq!(message["payload"]["errors"][0]["extensions"]["code"], "NOT_FOUND", "{message}");
        }
        assert_eq!(eve.lists(Value::Null).await, Vec::<String>::new());
        // Who leaves is a stranger again, who may look.
        eve.joins("lobby").await;
        eve.sends(&room, "hi").await;
        eve.removes(&room, &eve).await;
        let query = "query($id: ID!) { conversation(id: $id) { memberCount viewerMembership { role } messages { nodes { text } } } }";
        let found = eve.asks(query, json!({ "id": room.id })).await["conversation"].clone();
        assert_eq!((&found["memberCount"], &found["viewerMembership"]), (&json!(1), &Value::Null));
        assert_eq!(found["messages"]["nodes"].as_array().map(Vec::len), Some(2));
    }

    async fn rooms_are_found_by_words_and_tags_those_with_most_members_first(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        for (title, tags) in [("Rust Talk", vec!["rust", "talk"]), ("Rusty nails", vec!["craft"]), ("Garden", vec!["craft", "talk"])] {
            ann.opens_room(title, &tags).await;
        }
        ann.makes(json!({ "kind": "CHANNEL", "title": "Rust news", "memberIds": [], "tags": ["rust"] })).await;
        bob.joins("garden").await;
        cleo.joins("garden").await;
        bob.joins("rust-talk").await;
        let none = Vec::<String>::new();
        assert_eq!(cleo.finds_rooms(json!({ "first": 2 })).await, ["Garden", "Rust Talk"]);
        assert_eq!(cleo.finds_rooms(json!({ "query": "rus" })).await, ["Rust Talk", "Rusty nails"]);
        assert_eq!(cleo.finds_rooms(json!({ "query": "ta rust" })).await, ["Rust Talk"]);
        assert_eq!(cleo.finds_rooms(json!({ "tag": "craft" })).await, ["Garden", "Rusty nails"]);
        assert_eq!(cleo.finds_rooms(json!({ "tag": "craft", "query": "nail" })).await, ["Rusty nails"]);
        assert_eq!(cleo.finds_rooms(json!({ "tag": "none" })).await, none);
        // The channel's tag is no room's.
        let popular = json!([{ "tag": "talk", "roomCount": 2 }, { "tag": "craft", "roomCount": 2 }, { "tag": "rust", "roomCount": 1 }]);
        assert_eq!(cleo.popular_tags().await, popular);

        let all = cleo.finds_rooms(json!({})).await;
        assert_eq!(all.len(), 4, "{all:?}");
        let mut walked = Vec::new();
        let mut variables = json!({ "first": 1 });
        loop {
            let page = cleo.asks(ROOMS, variables.clone()).await["rooms"].clone();
            walked.extend(titles(&page));
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            variables["after"] = page["pageInfo"]["endCursor"].clone();
        }
        assert_eq!(walked, all);
        let last = cleo.asks(ROOMS, json!({ "last": 2 })).await["rooms"].clone();
        assert_eq!(titles(&last), all[2..]);
        let before = json!({ "last": 2, "before": last["pageInfo"]["startCursor"] });
        assert_eq!(cleo.finds_rooms(before).await, all[..2]);

        for (field, value) in [("query", "x"), ("tag", "No Tag"), ("after", "nonsense")] {
            let refused = cleo.is_refused_with(ROOMS, json!({ field: value })).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": field }));
        }
        let anonymous = app.anonymous(ROOMS, json!({})).await;
        assert_eq!(anonymous["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }

    async fn a_room_without_a_slug_has_that_of_its_title(app) {
        let ann = app.person("Ann").await;
        for (title, slug) in [("  Rust & Friends! ", json!("rust-friends")), ("日本語", Value::Null)] {
            let input = json!({ "input": { "kind": "ROOM", "title": title, "memberIds": [] } });
            let made = ann.asks(CREATE, input).await;
            assert_eq!(made["createConversation"]["conversation"]["slug"], slug);
        }
        let again = json!({ "input": { "kind": "ROOM", "title": "rust friends", "memberIds": [] } });
        assert_eq!(ann.is_refused_with(CREATE, again).await, json!({ "code": "CONFLICT", "field": "slug" }));
        let group = json!({ "input": { "kind": "GROUP", "title": "Friends", "memberIds": [] } });
        assert_eq!(ann.asks(CREATE, group).await["createConversation"]["conversation"]["slug"], Value::Null);
    }

    async fn tags_are_told_of_like_a_title(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        let mut socket = bob.opens_socket().await;
        let events = "subscription($id: ID!) { conversationEvents(conversationId: $id, after: 0) {
            seq ... on ConversationUpdated { details { title tags } } } }";
        socket.subscribe("1", events, &json!({ "id": room.id })).await;
        ann.updates(&room, json!({ "tags": ["b-side", "a1", "b-side"] })).await;
        // What makes no difference is no event.
        ann.updates(&room, json!({ "tags": ["a1", "b-side"] })).await;
        ann.updates(&room, json!({})).await;
        let message = socket.next().await.expect("an event");
        let told = &message["payload"]["data"]["conversationEvents"];
        assert_eq!(*told, json!({ "seq": 1, "details": { "title": "Room", "tags": ["a1", "b-side"] } }));
        ann.updates(&room, json!({ "tags": [] })).await;
        let message = socket.next().await.expect("an event");
        assert_eq!(message["payload"]["data"]["conversationEvents"]["details"]["tags"], json!([]));
        assert_eq!(bob.popular_tags().await, json!([]));
        let too_many: Vec<_> = (0..11).map(|n| format!("tag{n}")).collect();
        for bad in [json!(["Big"]), json!([""]), json!(["a b"]), json!(["x".repeat(33)]), json!(too_many)] {
            let input = json!({ "input": { "conversationId": room.id, "tags": bad } });
            let refused = ann.is_refused_with(crate::harness::people::UPDATE, input).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": "tags" }));
        }
        let direct = json!({ "input": { "kind": "DIRECT", "memberIds": [bob.id], "tags": ["a"] } });
        assert_eq!(ann.is_refused_with(CREATE, direct).await, json!({ "code": "BAD_USER_INPUT", "field": "tags" }));
    }

    async fn a_room_that_is_deleted_is_not_found_any_more(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.opens_room("Lobby", &["talk"]).await;
        let said = ann.sends(&room, "hello").await;
        bob.joins("lobby").await;
        bob.makes_of(&room, "setDraft", json!({ "text": "Dear" })).await;
        let mut live = bob.follows(&room, Some(1)).await;
        assert_eq!(live.next().await["__typename"], "MemberJoined");
        ann.deletes_conversation(&room).await;
        assert_eq!(live.next().await["__typename"], "ConversationDeleted");
        let node = "query($id: ID!) { node(id: $id) { id } }";
        for person in [&ann, &bob] {
            assert_eq!(person.finds_rooms(json!({ "query": "lobby" })).await, Vec::<String>::new());
            assert_eq!(person.popular_tags().await, json!([]));
            for id in [&room.id, &said.id] {
                assert_eq!(person.is_refused(node, json!({ "id": id })).await, "NOT_FOUND");
            }
        }
        app.advance(std::time::Duration::from_secs(61));
        crate::harness::until("the draft is erased", || async {
            app.runs_sql("SELECT count(*) FROM conversation_states").await == "0"
        })
        .await;
        // Its slug is free.
        bob.opens_room("Lobby", &[]).await;
    }

    async fn the_room_general_is_there_from_the_start(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let query = "{ conversation(slug: \"general\") { id kind title memberCount members { nodes { role user { id displayName } } } } }";
        let found = ann.asks(query, json!({})).await["conversation"].clone();
        assert_eq!((&found["kind"], &found["title"], &found["memberCount"]), (&json!("ROOM"), &json!("General"), &json!(1)));
        let owner = &found["members"]["nodes"][0]["user"];
        assert_eq!(owner["displayName"], "Backchannel");
        assert_eq!(ann.finds_rooms(json!({ "query": "gener" })).await, ["General"]);
        let room = Room { id: text(&found["id"]) };
        for person in [&ann, &bob] {
            person.joins("general").await;
        }
        let mut live = bob.follows(&room, Some(0)).await;
        ann.sends(&room, "hello").await;
        assert_eq!(live.take(3).await[2]["message"]["text"], "hello");
        // Its owner is nobody's: not to be found, and not to be talked to.
        let users = "{ users(query: \"backchannel\") { nodes { id } } }";
        assert_eq!(ann.asks(users, json!({})).await["users"]["nodes"], json!([]));
        let direct = json!({ "input": { "kind": "DIRECT", "memberIds": [owner["id"]] } });
        assert_eq!(ann.is_refused(CREATE, direct).await, "NOT_FOUND");
        let group = ann.makes_group("Group", &[]).await;
        let add = json!({ "input": { "conversationId": group.id, "userIds": [owner["id"]] } });
        assert_eq!(ann.is_refused(ADD, add).await, "NOT_FOUND", "nobody could hand it over again");
    }

    async fn operators_take_the_room_general_in_hand(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let found = ann.asks("{ conversation(slug: \"general\") { id members { nodes { user { id } } } } }", json!({})).await;
        let room = Room { id: text(&found["conversation"]["id"]) };
        let nobody = found["conversation"]["members"]["nodes"][0]["user"]["id"].clone();
        for person in [&ann, &bob] {
            person.joins("general").await;
        }
        let role = |id: &Value, role: &str| json!({ "input": { "conversationId": room.id, "userId": id, "role": role } });
        let (ann_id, bob_id) = (json!(ann.id), json!(bob.id));
        assert_eq!(ann.is_refused(SET_ROLE, role(&ann_id, "OWNER")).await, "FORBIDDEN");
        becomes_operator(app, &ann).await;
        assert_eq!(ann.is_refused(SET_ROLE, role(&nobody, "MEMBER")).await, "FORBIDDEN", "it has an owner");
        let mut live = bob.follows(&room, Some(2)).await;
        ann.asks(SET_ROLE, role(&bob_id, "ADMIN")).await;
        ann.asks(SET_ROLE, role(&ann_id, "OWNER")).await;
        let told = live.take(3).await.iter().map(|event| event["member"].clone()).map(|member| (member["user"]["id"].clone(), member["role"].clone())).collect::<Vec<_>>();
        assert_eq!(told, [(bob_id.clone(), json!("ADMIN")), (ann_id.clone(), json!("OWNER")), (nobody, json!("ADMIN"))]);
        // It is somebody's now: another operator has no say.
        becomes_operator(app, &bob).await;
        assert_eq!(bob.is_refused(SET_ROLE, role(&bob_id, "OWNER")).await, "FORBIDDEN");
    }

    async fn a_room_without_a_slug_is_joined_by_its_id(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.opens_room("日本語", &[]).await;
        let mut live = ann.follows(&room, Some(0)).await;
        let by_id = json!({ "input": { "conversationId": room.id } });
        bob.asks(JOIN_ROOM, by_id).await;
        assert_eq!(live.next().await["member"]["user"]["id"], bob.id);
        let group = ann.makes_group("Group", &[]).await;
        let by_id = json!({ "input": { "conversationId": group.id } });
        assert_eq!(bob.is_refused(JOIN_ROOM, by_id).await, "NOT_FOUND");
        for input in [json!({}), json!({ "slug": "lobby", "conversationId": room.id })] {
            assert_eq!(bob.is_refused(JOIN_ROOM, json!({ "input": input })).await, "BAD_USER_INPUT");
        }
    }

    async fn a_room_is_not_shown_to_whom_it_bans(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.opens_room("Lobby", &["talk"]).await;
        ann.bans(&room, &bob).await;
        for variables in [json!({}), json!({ "query": "lobby" }), json!({ "tag": "talk" }), json!({ "query": "lob", "tag": "talk" })] {
            assert!(cleo.finds_rooms(variables.clone()).await.contains(&"Lobby".to_owned()), "{variables}");
            assert!(!bob.finds_rooms(variables.clone()).await.contains(&"Lobby".to_owned()), "{variables}");
        }
        ann.unbans(&room, &bob).await;
        assert_eq!(bob.finds_rooms(json!({ "tag": "talk" })).await, ["Lobby"]);
    }

    async fn an_archived_room_that_everybody_left_can_be_restored(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.opens_room("Attic", &[]).await;
        let here = json!({ "input": { "conversationId": room.id } });
        ann.asks(ARCHIVE, here.clone()).await;
        assert_eq!(bob.is_refused(JOIN_ROOM, here.clone()).await, "FORBIDDEN");
        ann.removes(&room, &ann).await;
        bob.joins("attic").await;
        bob.asks(RESTORE, here).await;
        let mut live = bob.follows(&room, Some(0)).await;
        assert_eq!(live.take(4).await[2]["member"]["role"], "OWNER");
        bob.sends(&room, "open again").await;
        assert_eq!(live.next().await["message"]["text"], "open again");
    }

    async fn members_are_counted_right_whatever_happens(app) {
        let people = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let [ann, bob, cleo, dan] = &people;
        let room = ann.opens_room("Busy", &[]).await;
        for _ in 0..3 {
            let joins = [bob, cleo, dan].map(|person| person.joins("busy"));
            futures_util::future::join_all(joins).await;
            futures_util::future::join_all([bob, cleo].map(|person| person.removes(&room, person))).await;
        }
        ann.adds(&room, &[bob, dan]).await;
        ann.removes(&room, ann).await;
        let group = ann.makes_group("Group", &[bob, cleo]).await;
        bob.removes(&group, bob).await;
        ann.makes_direct(bob).await;
        let wrong = "SELECT count(*) FROM conversations c WHERE member_count <> (
            SELECT count(*) FROM members m WHERE m.conversation_id = c.id AND m.left_at IS NULL)";
        assert_eq!(app.runs_sql(wrong).await, "0");
        let query = "query($id: ID!) { conversation(id: $id) { memberCount members { totalCount } } }";
        let found = bob.asks(query, json!({ "id": room.id })).await["conversation"].clone();
        assert_eq!(found, json!({ "memberCount": 2, "members": { "totalCount": 2 } }));
    }
}
