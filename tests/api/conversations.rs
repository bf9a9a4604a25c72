//! Conversations and their members: who may do what, and what others see of it.

use serde_json::{Value, json};

use crate::harness::on_both;
use crate::harness::people::{ADD, DELETE, EDIT, JOIN_ROOM, REMOVE, SEND, UPDATE, seqs};

/// What an event says of how a conversation is called and looks like.
fn shown(event: &Value) -> Value {
    let details = &event["details"];
    json!({
        "title": details["title"],
        "description": details["description"],
        "avatarUrl": details["avatarUrl"],
    })
}

on_both! {
    async fn a_new_conversation_has_no_events(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("New", &[&bob]).await;
        let query = "query($id: ID!) { conversation(id: $id) {
            kind title slug lastSeq unreadCount
            members(first: 10) { totalCount nodes { role deliveredSeq readSeq user { id displayName } } }
            messages(last: 5) { nodes { id } } } }";
        for person in [&ann, &bob] {
            let found = person.asks(query, json!({ "id": room.id })).await["conversation"].clone();
            assert_eq!(found["kind"], "GROUP");
            assert_eq!(found["title"], "New");
            assert_eq!(found["slug"], Value::Null);
            assert_eq!(found["lastSeq"], 0);
            assert_eq!(found["members"]["totalCount"], 2);
            assert_eq!(found["messages"]["nodes"], json!([]));
            let roles = found["members"]["nodes"].as_array().expect("a list");
            let role_of = |id: &str| {
                roles.iter().find(|m| m["user"]["id"] == id).expect("a member")["role"].clone()
            };
            assert_eq!((role_of(&ann.id), role_of(&bob.id)), (json!("OWNER"), json!("MEMBER")));
        }
    }

    async fn a_direct_conversation_exists_once_for_a_pair(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let ask = async |one: &crate::harness::Person, other: &crate::harness::Person| {
            one.makes(json!({ "kind": "DIRECT", "memberIds": [other.id] })).await.id
        };
        // Both at once, several times each.
        let asked = futures_util::future::join_all((0..8).map(|n| {
            let (one, other) = if n % 2 == 0 { (&ann, &bob) } else { (&bob, &ann) };
            ask(one, other)
        }));
        let ids = asked.await;
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    async fn a_room_is_found_by_its_slug_and_the_slug_is_unique(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let input = json!({ "kind": "ROOM", "memberIds": [], "title": "General", "slug": "general-talk" });
        let room = ann.makes(input.clone()).await;
        let query = "query($slug: String!) { conversation(slug: $slug) { id slug kind } }";
        let found = ann.asks(query, json!({ "slug": "general-talk" })).await;
        assert_eq!(found["conversation"], json!({ "id": room.id, "slug": "general-talk", "kind": "ROOM" }));
        let create = "mutation($input: CreateConversationInput!) { createConversation(input: $input) { conversation { id } } }";
        let refused = bob.is_refused_with(create, json!({ "input": input })).await;
        assert_eq!(refused, json!({ "code": "CONFLICT", "field": "slug" }));
        let found = bob.asks(query, json!({ "slug": "general-talk" })).await;
        assert_eq!(found["conversation"]["id"], json!(room.id), "who is no member finds it too");
        assert_eq!(ann.is_refused(query, json!({ "slug": "none" })).await, "NOT_FOUND");
    }

    async fn a_change_of_title_is_told_to_all_and_stays(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Old", &[&bob]).await;
        let mut live = bob.follows(&room, Some(0)).await;
        let picture = "https://example.com/lake.png";
        let updated = bob.updates(&room, json!({ "title": " Lake ", "description": "Trains,\ntents", "avatarUrl": picture })).await;
        assert_eq!(updated, json!({ "title": "Lake", "description": "Trains,\ntents", "avatarUrl": picture, "lastSeq": 1 }));
        // What makes no difference is no event.
        ann.updates(&room, json!({ "title": "Lake" })).await;
        ann.updates(&room, json!({})).await;
        let event = live.next().await;
        assert_eq!((&event["__typename"], &event["seq"], &event["actor"]["id"]), (&json!("ConversationUpdated"), &json!(1), &json!(bob.id)));
        assert_eq!(shown(&event), json!({ "title": "Lake", "description": "Trains,\ntents", "avatarUrl": picture }));
        ann.updates(&room, json!({ "title": null, "avatarUrl": null })).await;
        let now = json!({ "title": null, "description": "Trains,\ntents", "avatarUrl": null });
        assert_eq!(shown(&live.next().await), now);
        // Replayed, both tell what is so now.
        let mut replay = ann.follows(&room, Some(0)).await;
        for seq in [1, 2] {
            let event = replay.next().await;
            assert_eq!((&event["seq"], shown(&event)), (&json!(seq), now.clone()));
        }
        let query = "query($id: ID!) { conversation(id: $id) { title description avatarUrl } }";
        assert_eq!(ann.asks(query, json!({ "id": room.id })).await["conversation"], now);
    }

    async fn not_everybody_changes_a_channel_and_nobody_a_direct_conversation(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let change = |id: &str| json!({ "input": { "conversationId": id, "title": "Mine" } });
        for kind in ["CHANNEL", "ROOM"] {
            let room = ann.makes(json!({ "kind": kind, "title": "News", "memberIds": [bob.id] })).await;
            assert_eq!(bob.is_refused(UPDATE, change(&room.id)).await, "FORBIDDEN");
            ann.sets_role(&room, &bob, "ADMIN").await;
            assert_eq!(bob.updates(&room, json!({ "title": "Ours" })).await["title"], "Ours");
        }
        let direct = ann.makes_direct(&bob).await;
        assert_eq!(ann.is_refused(UPDATE, change(&direct.id)).await, "FORBIDDEN");
        let group = ann.makes_group("Group", &[&bob]).await;
        for (field, value) in [("title", " "), ("title", "a\nb"), ("description", ""), ("avatarUrl", "javascript:alert(1)")] {
            let mut input = json!({ "conversationId": group.id });
            input[field] = value.into();
            let refused = ann.is_refused_with(UPDATE, json!({ "input": input })).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": field }));
        }
        assert_eq!(ann.last_seq(&group).await, 0);
    }

    async fn anyone_joins_a_room_by_its_slug_once(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes(json!({ "kind": "ROOM", "memberIds": [], "slug": "lobby", "title": "Lobby" })).await;
        ann.sends(&room, "welcome").await;
        let mut stream = ann.follows(&room, Some(1)).await;
        let join = json!({ "input": { "slug": "lobby" } });
        let all = futures_util::future::join_all((0..6).map(|_| bob.asks(JOIN_ROOM, join.clone()))).await;
        assert!(all.iter().all(|joined| joined["joinRoom"]["conversation"]["id"] == room.id), "{all:?}");
        cleo.asks(JOIN_ROOM, join.clone()).await;
        let joined = stream.take(2).await;
        let who: Vec<_> = joined.iter().map(|event| (event["member"]["user"]["id"].clone(), event["actor"]["id"].clone())).collect();
        assert_eq!(who, [(json!(bob.id), json!(bob.id)), (json!(cleo.id), json!(cleo.id))]);
        bob.sends(&room, "hello").await;
        bob.removes(&room, &bob).await;
        bob.asks(JOIN_ROOM, join).await;
        assert_eq!(seqs(&stream.take(3).await), [4, 5, 6]);
        for slug in ["none", "Not A Slug", ""] {
            assert_eq!(bob.is_refused(JOIN_ROOM, json!({ "input": { "slug": slug } })).await, "NOT_FOUND", "{slug}");
        }
        let anonymous = app.anonymous(JOIN_ROOM, json!({ "input": { "slug": "lobby" } })).await;
        assert_eq!(anonymous["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }

    async fn adding_a_member_twice_is_one_event(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Twice", &[]).await;
        let mut stream = ann.follows(&room, Some(0)).await;
        ann.adds(&room, &[&bob, &cleo, &bob]).await;
        ann.adds(&room, &[&bob]).await;
        ann.sends(&room, "end").await;
        let events = stream.take(3).await;
        let joined: Vec<_> = events[..2].iter().map(|e| e["member"]["user"]["id"].clone()).collect();
        assert_eq!(joined, [json!(bob.id), json!(cleo.id)]);
        assert_eq!(events[2]["__typename"], "MessageSent");
        assert_eq!(seqs(&events), [1, 2, 3]);
    }

    async fn a_new_member_reads_the_past_and_has_nothing_unread(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Past", &[]).await;
        ann.sends(&room, "long ago").await;
        ann.adds(&room, &[&bob]).await;
        let query = "query($id: ID!) { conversation(id: $id) { unreadCount messages(last: 9) { nodes { text } } } }";
        let found = bob.asks(query, json!({ "id": room.id })).await["conversation"].clone();
        assert_eq!(found, json!({ "unreadCount": 0, "messages": { "nodes": [{ "text": "long ago" }] } }));
    }

    async fn only_those_above_may_remove(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Above", &[&bob, &cleo]).await;
        let remove = |who: &str| json!({ "input": { "conversationId": room.id, "userId": who } });
        assert_eq!(bob.is_refused(REMOVE, remove(&cleo.id)).await, "FORBIDDEN");
        assert_eq!(bob.is_refused(REMOVE, remove(&ann.id)).await, "FORBIDDEN");
        bob.removes(&room, &bob).await;
        assert_eq!(bob.is_refused(REMOVE, remove(&cleo.id)).await, "NOT_FOUND", "one who left sees nothing");
        ann.removes(&room, &bob).await;
        assert_eq!(ann.last_seq(&room).await, 1, "removing twice is one event");
    }

    async fn the_longest_member_inherits(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Heirs", &[]).await;
        ann.adds(&room, &[&bob]).await;
        ann.adds(&room, &[&cleo]).await;
        ann.removes(&room, &ann).await;
        let query = "query($id: ID!) { conversation(id: $id) { members { nodes { role user { id } } } } }";
        let members = bob.asks(query, json!({ "id": room.id })).await["conversation"]["members"]["nodes"].clone();
        assert_eq!(members, json!([
            { "role": "OWNER", "user": { "id": bob.id } },
            { "role": "MEMBER", "user": { "id": cleo.id } },
        ]));
    }

    async fn a_direct_conversation_keeps_its_members(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes(json!({ "kind": "DIRECT", "memberIds": [bob.id] })).await;
        let add = json!({ "input": { "conversationId": room.id, "userIds": [cleo.id] } });
        assert_eq!(ann.is_refused(ADD, add).await, "FORBIDDEN");
        let leave = json!({ "input": { "conversationId": room.id, "userId": ann.id } });
        assert_eq!(ann.is_refused(REMOVE, leave).await, "FORBIDDEN");
    }

    async fn few_write_to_a_channel(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let channel = ann.makes(json!({ "kind": "CHANNEL", "title": "News", "memberIds": [bob.id] })).await;
        let send = json!({ "input": { "conversationId": channel.id, "text": "hi" } });
        assert_eq!(bob.is_refused(SEND, send).await, "FORBIDDEN");
        assert_eq!(ann.sends(&channel, "hi").await.seq, 1, "a refused send takes no position");
    }

    async fn a_retry_returns_the_first_message(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Retry", &[&bob]).await;
        let elsewhere = ann.makes_group("Elsewhere", &[&bob]).await;
        let mut stream = bob.follows(&room, Some(0)).await;
        let sends = (0..10).map(|_| ann.sends_with_key(&room, "once", "key 1"));
        let sent = futures_util::future::join_all(sends).await;
        assert!(sent.iter().all(|again| *again == sent[0]), "{sent:?}");

        let other = json!({ "input": { "conversationId": room.id, "text": "other", "clientMessageId": "key 1" } });
        let refused = ann.is_refused_with(SEND, other).await;
        assert_eq!(refused, json!({ "code": "CONFLICT", "field": "clientMessageId" }));
        let moved = json!({ "input": { "conversationId": elsewhere.id, "text": "once", "clientMessageId": "key 1" } });
        assert_eq!(ann.is_refused(SEND, moved).await, "CONFLICT");
        assert_eq!(bob.sends_with_key(&room, "once", "key 1").await.seq, 2, "keys are the sender's own");

        ann.edits(&sent[0], "edited since").await;
        assert_eq!(ann.sends_with_key(&room, "once", "key 1").await, sent[0], "still the same message");
        ann.deletes(&sent[0]).await;
        assert_eq!(ann.sends_with_key(&room, "once", "key 1").await, sent[0], "even deleted");
        assert_eq!(seqs(&stream.take(4).await), [1, 2, 3, 4]);
        assert_eq!(ann.last_seq(&room).await, 4);
    }

    async fn only_the_sender_edits_and_nobody_edits_the_deleted(app) {
        let [ann, bob, eve] = app.people(["Ann", "Bob", "Eve"]).await;
        let room = ann.makes_group("Edits", &[&bob]).await;
        let sent = bob.sends(&room, "mine").await;
        let edit = |text: &str| json!({ "input": { "messageId": sent.id, "text": text } });
        assert_eq!(ann.is_refused(EDIT, edit("yours")).await, "FORBIDDEN");
        assert_eq!(eve.is_refused(EDIT, edit("yours")).await, "NOT_FOUND");
        bob.edits(&sent, "mine").await;
        assert_eq!(ann.last_seq(&room).await, 1, "the same text is no change");
        let delete = json!({ "input": { "messageId": sent.id } });
        assert_eq!(eve.is_refused(DELETE, delete).await, "NOT_FOUND");
        ann.deletes(&sent).await;
        bob.deletes(&sent).await;
        assert_eq!(ann.last_seq(&room).await, 2, "deleting twice is one event");
        assert_eq!(bob.is_refused(EDIT, edit("again")).await, "CONFLICT");
        let anns = ann.sends(&room, "hers").await;
        let delete = json!({ "input": { "messageId": anns.id } });
        assert_eq!(bob.is_refused(DELETE, delete).await, "FORBIDDEN");
    }

    async fn nodes_are_fetched_again_by_their_members_only(app) {
        let [ann, bob, eve] = app.people(["Ann", "Bob", "Eve"]).await;
        let room = ann.makes_group("Nodes", &[&bob]).await;
        let sent = ann.sends(&room, "hello").await;
        let query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on User { displayName }
            ... on Message { text conversation { id } sender { displayName } } ... on Conversation { title } } }";
        let ids = json!({ "ids": [sent.id, ann.id, "nonsense", room.id] });
        let found = bob.asks(query, ids.clone()).await["nodes"].clone();
        assert_eq!(found, json!([
            { "__typename": "Message", "id": sent.id, "text": "hello", "conversation": { "id": room.id }, "sender": { "displayName": "Ann" } },
            { "__typename": "User", "id": ann.id, "displayName": "Ann" },
            null,
            { "__typename": "Conversation", "id": room.id, "title": "Nodes" },
        ]));
        let found = eve.asks(query, ids).await["nodes"].clone();
        assert_eq!(found[0], Value::Null);
        assert_eq!(found[1]["displayName"], "Ann", "people can be seen by anyone signed in");
        assert_eq!(found[3], Value::Null);
        let node = "query($id: ID!) { node(id: $id) { id } }";
        assert_eq!(eve.is_refused(node, json!({ "id": sent.id })).await, "NOT_FOUND");
        assert_eq!(bob.asks(node, json!({ "id": sent.id })).await["node"]["id"], json!(sent.id));
    }
}
