//! Blocking: nothing passes either way, and nobody is told.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::calls::{CALL, START};
use crate::harness::people::{ADD, EDIT, SEND, SET_TYPING, Sent, seqs, text};
use crate::harness::{Person, Room, on_both};
use crate::requests::{ACCEPT, REQUEST};

pub(crate) const BLOCK: &str =
    "mutation($input: BlockUserInput!) { blockUser(input: $input) { user { id } } }";
pub(crate) const UNBLOCK: &str =
    "mutation($input: UnblockUserInput!) { unblockUser(input: $input) { user { id } } }";
pub(crate) const BLOCKED: &str =
    "query($first: Int, $after: String, $last: Int, $before: String) { viewer {
    blockedUsers(first: $first, after: $after, last: $last, before: $before) {
        nodes { user { id } blockedAt } pageInfo { hasNextPage endCursor }
    }
} }";
const MARKS: &str = "query($id: ID!) { conversation(id: $id) { unreadCount
    members(first: 5) { nodes { user { id } deliveredSeq readSeq } }
    messages(first: 50) { nodes { seenBy(first: 5) { totalCount } } } } }";

impl Person {
    pub(crate) async fn blocks(&self, other: &Self) {
        let blocked = self.asks(BLOCK, json!({ "input": { "userId": other.id } }));
        assert_eq!(blocked.await["blockUser"]["user"]["id"], other.id.as_str());
    }

    pub(crate) async fn unblocks(&self, other: &Self) {
        let unblocked = self.asks(UNBLOCK, json!({ "input": { "userId": other.id } }));
        assert_eq!(
            unblocked.await["unblockUser"]["user"]["id"],
            other.id.as_str()
        );
    }

    async fn blocked(&self, variables: Value) -> (Vec<String>, Value) {
        let found = self.asks(BLOCKED, variables).await["viewer"]["blockedUsers"].clone();
        let nodes = found["nodes"].as_array().expect("a list").iter();
        let ids = nodes.map(|node| text(&node["user"]["id"])).collect();
        (ids, found["pageInfo"].clone())
    }

    /// What somebody sees of how far a member has come, and of how many messages are unread and seen.
    async fn knows_marks(&self, room: &Room, of: &Self) -> [i64; 4] {
        let found = self.asks(MARKS, json!({ "id": room.id })).await["conversation"].clone();
        let members = found["members"]["nodes"].as_array().expect("a list");
        let member = members.iter().find(|m| m["user"]["id"] == of.id.as_str());
        let member = member.expect("a member");
        let messages = found["messages"]["nodes"].as_array().expect("a list");
        let seen = messages.iter().map(|m| m["seenBy"]["totalCount"].as_i64());
        [
            member["deliveredSeq"].as_i64().expect("a number"),
            member["readSeq"].as_i64().expect("a number"),
            found["unreadCount"].as_i64().expect("a number"),
            seen.flatten().sum(),
        ]
    }
}

fn to(room: &Room) -> Value {
    json!({ "input": { "conversationId": room.id, "text": "hi" } })
}

on_both! {
    async fn nothing_is_sent_edited_or_called_either_way_until_it_is_lifted(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_direct(&bob).await;
        let mut seen = ann.follows(&room, Some(0)).await;
        let old = bob.sends_with_key(&room, "before", "key").await;
        let anns = ann.sends(&room, "mine").await;
        ann.blocks(&bob).await;
        ann.blocks(&bob).await;
        for (person, message) in [(&ann, &anns), (&bob, &old)] {
            let refused = person.request(SEND, to(&room)).await.json();
            assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");
            let edit = json!({ "input": { "messageId": message.id, "text": "changed" } });
            assert_eq!(person.is_refused(EDIT, edit).await, "FORBIDDEN");
            let typing = json!({ "input": { "conversationId": room.id, "typing": true } });
            assert_eq!(person.is_refused(SET_TYPING, typing).await, "FORBIDDEN");
            let call = json!({ "input": { "conversationId": room.id, "kind": "AUDIO" } });
            assert_eq!(person.is_refused(START, call).await, "FORBIDDEN");
            let answers = join_all([(); 5].map(|()| person.request(SEND, to(&room)))).await;
            assert!(answers.iter().all(|answer| answer.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"));
        }
        // It stays to be read, and one may take back what one has said.
        assert_eq!(bob.last_seq(&room).await, 2);
        bob.deletes(&old).await;
        // Lifted by Bob, who does not block her, it is still there; lifted by her, it is gone.
        bob.unblocks(&ann).await;
        assert_eq!(bob.is_refused(SEND, to(&room)).await, "FORBIDDEN");
        // Each for themselves.
        bob.blocks(&ann).await;
        ann.unblocks(&bob).await;
        assert_eq!(ann.is_refused(SEND, to(&room)).await, "FORBIDDEN");
        bob.unblocks(&ann).await;
        bob.unblocks(&ann).await;
        assert_eq!(bob.sends(&room, "after").await.seq, 4);
        let events = seen.take(4).await;
        assert_eq!(seqs(&events), [1, 2, 3, 4], "dense, and nothing of what was refused");
        assert_eq!(events[2]["__typename"], "MessageDeleted");
    }

    async fn a_call_ends_with_the_block(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_direct(&bob).await;
        let (mut anns, mut bobs) = (ann.listens().await, bob.listens().await);
        let mut events = bob.follows(&room, Some(0)).await;
        // One that rings, and one that was answered.
        let id = text(&bob.calls(&room).await["id"]);
        anns.is_told("RINGING", &id).await;
        ann.blocks(&bob).await;
        bobs.is_told("ENDED", &id).await;
        let call = bob.asks(CALL, json!({ "id": id })).await["call"].clone();
        assert_eq!((&call["state"], &call["outcome"]), (&json!("ENDED"), &json!("DECLINED")), "as if it were declined");
        assert_eq!(events.next().await["call"]["outcome"], "DECLINED");
        ann.unblocks(&bob).await;
        let id = text(&bob.calls(&room).await["id"]);
        ann.does(crate::calls::ANSWER, &id).await;
        bobs.is_told("ANSWERED", &id).await;
        bob.blocks(&ann).await;
        bobs.is_told("ENDED", &id).await;
        assert_eq!(events.next().await["call"]["outcome"], "COMPLETED");
        assert_eq!(bob.is_refused(START, json!({ "input": { "conversationId": room.id, "kind": "AUDIO" } })).await, "FORBIDDEN");
    }

    async fn what_is_read_meanwhile_shows_to_oneself_alone(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_direct(&bob).await;
        for n in 0..4 {
            let (one, other) = if n < 2 { (&ann, &bob) } else { (&bob, &ann) };
            one.sends(&room, "hi").await;
            other.receives(&room, 1).await;
        }
        bob.reads(&room, 1).await;
        assert_eq!(ann.knows_marks(&room, &bob).await, [1, 1, 2, 1]);
        let mut receipts = ann.follows_receipts(app, &room).await;
        let mut own = bob.follows_receipts(app, &room).await;
        let mut typing = ann.follows_typing(app, &room).await;
        ann.blocks(&bob).await;
        bob.reads(&room, 4).await;
        ann.reads(&room, 3).await;
        let moved = own.next().await;
        assert_eq!((&moved["userId"], &moved["readSeq"]), (&json!(bob.id), &json!(4)), "his own, and no other");
        assert_eq!(receipts.next().await["userId"], ann.id.as_str(), "her own, and no other");
        assert_eq!(ann.knows_marks(&room, &bob).await[..2], [1, 1], "as before");
        assert_eq!(bob.knows_marks(&room, &bob).await, [4, 4, 0, 2]);
        assert_eq!(bob.knows_marks(&room, &ann).await[1], 0);
        let cleared = bob.asks("mutation { markAllRead { conversationCount } }", json!({})).await;
        assert_eq!(cleared["markAllRead"]["conversationCount"], 0);
        ann.unblocks(&bob).await;
        assert_eq!(ann.knows_marks(&room, &bob).await, [4, 4, 1, 3]);
        bob.types(&room, true).await;
        let change = typing.next().await;
        assert_eq!((&change["userId"], &change["typing"]), (&json!(bob.id), &json!(true)), "and nothing before");
        bob.sends(&room, "back").await;
        ann.reads(&room, 5).await;
        assert_eq!(own.next().await["userId"], ann.id.as_str());
    }

    async fn requests_of_the_blocked_are_pending_for_ever(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let mut anns = ann.follows_requests().await;
        let mut bobs = bob.follows_requests().await;
        let asked = bob.asks_for_chat(json!({ "userId": ann.id, "text": "please" })).await;
        let id = asked["id"].clone();
        anns.shows(&id, "PENDING").await;
        bobs.shows(&id, "PENDING").await;
        ann.blocks(&bob).await;
        assert!(ann.has_requests("INCOMING").await.is_empty());
        assert_eq!(bob.has_requests("OUTGOING").await, std::slice::from_ref(&id));
        let on = json!({ "input": { "requestId": id } });
        assert_eq!(ann.is_refused(ACCEPT, on).await, "NOT_FOUND");
        assert_eq!(bob.asks_for_chat(json!({ "userId": ann.id })).await, asked, "as it was");
        bob.answers(crate::requests::CANCEL, &id).await;
        bobs.shows(&id, "CANCELLED").await;
        for by in [json!({ "userId": ann.id }), json!({ "email": ann.email })] {
            let again = bob.asks_for_chat(by).await;
            assert_eq!((&again["id"], &again["state"]), (&id, &json!("PENDING")));
        }
        bobs.shows(&id, "PENDING").await;
        assert!(ann.has_requests("INCOMING").await.is_empty());
        let direct = json!({ "kind": "DIRECT", "memberIds": [ann.id] });
        let create = "mutation($input: CreateConversationInput!) { createConversation(input: $input) { conversation { id } } }";
        assert_eq!(bob.is_refused(create, json!({ "input": direct })).await, "FORBIDDEN");
        assert_eq!(ann.is_refused(REQUEST, json!({ "input": { "userId": bob.id } })).await, "FORBIDDEN");
        // The next that Ann hears of is Cleo's.
        let cleos = cleo.asks_for_chat(json!({ "userId": ann.id })).await["id"].clone();
        anns.shows(&cleos, "PENDING").await;
        // And her own to somebody whom she then blocks is taken back.
        ann.answers(crate::requests::DECLINE, &cleos).await;
        anns.shows(&cleos, "DECLINED").await;
        let own = ann.asks_for_chat(json!({ "userId": cleo.id })).await["id"].clone();
        anns.shows(&own, "PENDING").await;
        ann.blocks(&cleo).await;
        anns.shows(&own, "CANCELLED").await;
        // Lifted, Bob is heard when he asks again.
        ann.unblocks(&bob).await;
        assert!(ann.has_requests("INCOMING").await.is_empty());
        bob.asks_for_chat(json!({ "userId": ann.id })).await;
        anns.shows(&id, "PENDING").await;
    }

    async fn in_groups_both_stay_and_nobody_brings_them_together_anew(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = cleo.makes_group("Both", &[&ann, &bob]).await;
        let mut stream = ann.follows(&room, Some(0)).await;
        ann.blocks(&bob).await;
        bob.sends(&room, "still here").await;
        assert_eq!(stream.next().await["message"]["text"], "still here");
        let create = "mutation($input: CreateConversationInput!) { createConversation(input: $input) { conversation { id } } }";
        let own = bob.makes_group("Own", &[]).await;
        for (person, other) in [(&ann, &bob), (&bob, &ann)] {
            let group = json!({ "input": { "kind": "GROUP", "memberIds": [cleo.id, other.id] } });
            assert_eq!(person.is_refused(create, group).await, "FORBIDDEN");
        }
        let add = json!({ "input": { "conversationId": own.id, "userIds": [ann.id] } });
        assert_eq!(bob.is_refused(ADD, add).await, "FORBIDDEN");
        bob.adds(&room, &[&ann]).await;
        assert_eq!(bob.last_seq(&room).await, 1, "she was there already");
    }

    async fn the_blocked_are_listed_latest_first(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        for other in [&bob, &cleo, &dan] {
            ann.blocks(other).await;
            app.advance(Duration::from_millis(5));
        }
        let (first, info) = ann.blocked(json!({ "first": 2 })).await;
        assert_eq!(first, [dan.id.as_str(), &cleo.id]);
        assert_eq!(info["hasNextPage"], true);
        assert_eq!(ann.blocked(json!({ "first": 2, "after": info["endCursor"] })).await.0, [bob.id.as_str()]);
        assert_eq!(ann.blocked(json!({ "last": 1, "before": info["endCursor"] })).await.0, [dan.id.as_str()]);
        assert!(bob.blocked(json!({})).await.0.is_empty(), "nobody is told");
        for (mutation, id) in [(BLOCK, &ann.id), (UNBLOCK, &ann.id)] {
            let refused = ann.is_refused(mutation, json!({ "input": { "userId": id } })).await;
            assert!(["BAD_USER_INPUT", "NOT_FOUND"].contains(&refused.as_str()), "{refused}");
        }
    }

    /// Both write as fast as they can; what was acknowledged is there, dense and in order, and nothing
    /// of either comes after the block was.
    async fn a_block_under_load_lets_nothing_through_and_loses_nothing(app) {
        const SENDERS: usize = 4;
        for round in 0..4 {
            let [ann, bob] = app.people([&*format!("Ann {round}"), &*format!("Bob {round}")]).await;
            let room = ann.makes_direct(&bob).await;
            let mut stream = bob.follows(&room, Some(0)).await;
            let sends = (0..SENDERS).map(|n| {
                let person = if n % 2 == 0 { &ann } else { &bob };
                sends_until_refused(person.clone(), room.clone())
            });
            let block = async {
                stream.take(5 + 4 * round).await;
                ann.blocks(&bob).await;
                ann.last_seq(&room).await
            };
            let (sent, last) = tokio::join!(join_all(sends), block);
            let mut acked: Vec<i64> = sent.concat().iter().map(|sent| sent.seq).collect();
            acked.sort_unstable();
            assert_eq!(acked, (1..=last).collect::<Vec<_>>(), "each is there, and no other");
            assert_eq!(ann.last_seq(&room).await, last, "nothing came after the block");
            let again = bob.follows(&room, Some(0)).await.take(acked.len()).await;
            assert_eq!(seqs(&again), acked);
        }
    }
}

/// Answers what was acknowledged until it was refused.
async fn sends_until_refused(person: Person, room: Room) -> Vec<Sent> {
    let mut sent = Vec::new();
    loop {
        let answer = person.request(SEND, to(&room)).await.json();
        if answer["errors"].is_null() {
            sent.push(Sent::of(&answer["data"]));
        } else {
            assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN");
            return sent;
        }
    }
}
