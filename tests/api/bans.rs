//! Who may not come in, by whichever way, until the ban is lifted.

use serde_json::{Value, json};

use crate::harness::people::{ADD, JOIN_ROOM};
use crate::harness::{Person, Room, on_both};
use crate::invitations::{ACCEPT, PREVIEW};
use crate::join_requests::REQUEST;

pub(crate) const BAN: &str = "mutation($input: BanMemberInput!) {
    banMember(input: $input) { ban { user { id } bannedBy { id } reason bannedAt } }
}";
pub(crate) const UNBAN: &str =
    "mutation($input: UnbanMemberInput!) { unbanMember(input: $input) { conversation { id } } }";
pub(crate) const BANS: &str =
    "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    conversation(id: $id) { bans(first: $first, after: $after, last: $last, before: $before) {
        nodes { user { id } bannedBy { id } reason } pageInfo { hasNextPage hasPreviousPage endCursor }
    } }
}";

impl Person {
    /// Bans somebody; answers the ban.
    pub(crate) async fn bans(&self, room: &Room, other: &Self) -> Value {
        let data = self.asks(BAN, whom(room, other)).await;
        data["banMember"]["ban"].clone()
    }

    pub(crate) async fn unbans(&self, room: &Room, other: &Self) {
        self.asks(UNBAN, whom(room, other)).await;
    }

    /// The ids of those who are banned.
    async fn sees_banned(&self, room: &Room) -> Vec<Value> {
        let found = self.asks(BANS, json!({ "id": room.id })).await;
        let nodes = found["conversation"]["bans"]["nodes"].as_array();
        let nodes = nodes.expect("a list").iter();
        nodes.map(|node| node["user"]["id"].clone()).collect()
    }
}

fn whom(room: &Room, other: &Person) -> Value {
    json!({ "input": { "conversationId": room.id, "userId": other.id } })
}

on_both! {
    async fn who_is_banned_is_out_and_comes_in_by_no_way(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes(json!({ "kind": "ROOM", "memberIds": [bob.id, cleo.id], "slug": "closed" })).await;
        let code = ann.invites(&room, json!({})).await.code;
        let mut bobs = bob.follows(&room, Some(0)).await;
        let mut cleos = cleo.follows(&room, Some(0)).await;
        let input = json!({ "input": { "conversationId": room.id, "userId": bob.id, "reason": " spam " } });
        let ban = ann.asks(BAN, input.clone()).await["banMember"]["ban"].clone();
        assert_eq!((&ban["user"]["id"], &ban["reason"]), (&json!(bob.id), &json!("spam")));
        // Once more it is no change, and no event.
        assert_eq!(ann.asks(BAN, input).await["banMember"]["ban"], ban);
        // And one who never was there.
        ann.bans(&room, &dan).await;
        for stream in [&mut bobs, &mut cleos] {
            let event = stream.next().await;
            assert_eq!((&event["__typename"], &event["seq"], &event["user"]["id"]), (&json!("MemberLeft"), &json!(1), &json!(bob.id)));
        }
        bobs.completes().await;
        assert_eq!(ann.sees_banned(&room).await, [json!(dan.id), json!(bob.id)]);

        for banned in [&bob, &dan] {
            let add = json!({ "input": { "conversationId": room.id, "userIds": [banned.id] } });
            assert_eq!(ann.is_refused(ADD, add).await, "FORBIDDEN");
            let slug = json!({ "input": { "slug": "closed" } });
            assert_eq!(banned.is_refused(JOIN_ROOM, slug.clone()).await, "FORBIDDEN");
            assert_eq!(banned.is_refused(ACCEPT, json!({ "input": { "code": code } })).await, "FORBIDDEN");
            assert_eq!(banned.is_refused(PREVIEW, json!({ "code": code })).await, "FORBIDDEN");
            ann.sets(&room, json!({ "joinsByRequest": true })).await;
            for query in [REQUEST, JOIN_ROOM] {
                assert_eq!(banned.is_refused(query, slug.clone()).await, "FORBIDDEN");
            }
            ann.sets(&room, json!({ "joinsByRequest": false })).await;
        }
        ann.unbans(&room, &bob).await;
        ann.unbans(&room, &bob).await;
        bob.asks(JOIN_ROOM, json!({ "input": { "slug": "closed" } })).await;
        let told = cleos.take(5).await;
        assert_eq!(told[4]["__typename"], "MemberJoined", "{told:?}");
        assert_eq!(ann.sees_banned(&room).await, [json!(dan.id)]);
    }

    async fn bans_go_by_rank(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes_group("Rank", &[&bob, &cleo, &dan]).await;
        ann.sets_role(&room, &bob, "ADMIN").await;
        ann.sets_role(&room, &cleo, "ADMIN").await;
        for (actor, whom_) in [(&bob, &ann), (&bob, &cleo), (&dan, &bob), (&dan, &ann)] {
            assert_eq!(actor.is_refused(BAN, whom(&room, whom_)).await, "FORBIDDEN");
        }
        assert_eq!(dan.is_refused(UNBAN, whom(&room, &bob)).await, "FORBIDDEN");
        assert_eq!(dan.is_refused(BANS, json!({ "id": room.id })).await, "FORBIDDEN");
        let myself = ann.is_refused_with(BAN, whom(&room, &ann)).await;
        assert_eq!(myself, json!({ "code": "BAD_USER_INPUT", "field": "userId" }));
        let mut live = ann.follows(&room, Some(2)).await;
        bob.bans(&room, &dan).await;
        ann.bans(&room, &cleo).await;
        let told = live.take(2).await;
        assert_eq!(told.iter().map(|event| event["user"]["id"].clone()).collect::<Vec<_>>(), [json!(dan.id), json!(cleo.id)]);
        let direct = ann.makes_direct(&bob).await;
        assert_eq!(ann.is_refused(BAN, whom(&direct, &bob)).await, "FORBIDDEN");
        assert_eq!(ann.is_refused(BANS, json!({ "id": direct.id })).await, "FORBIDDEN");
    }

    async fn bans_are_paged(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Pages", &[]).await;
        let others: [Person; 3] = app.people(["Bob", "Cleo", "Dan"]).await;
        for other in &others {
            ann.bans(&room, other).await;
            app.advance(std::time::Duration::from_secs(1));
        }
        let mut variables = json!({ "id": room.id, "first": 2 });
        let page = ann.asks(BANS, variables.clone()).await["conversation"]["bans"].clone();
        assert_eq!(page["pageInfo"]["hasNextPage"], true);
        variables["after"] = page["pageInfo"]["endCursor"].clone();
        let next = ann.asks(BANS, variables).await["conversation"]["bans"].clone();
        assert_eq!(next["nodes"][0]["user"]["id"], others[0].id, "the latest came first");
        let back = json!({ "id": room.id, "last": 1, "before": page["pageInfo"]["endCursor"] });
        let back = ann.asks(BANS, back).await["conversation"]["bans"].clone();
        assert_eq!(back["nodes"][0]["user"]["id"], others[2].id);
        // Of several conversations at once, in as many statements as of one.
        let query = "{ viewer { conversations(first: 20) { nodes { bans(first: 3) { nodes { reason } } } } } }";
        let count = async || {
            app.advance(std::time::Duration::from_secs(1));
            app.domain.statements().record();
            ann.asks(query, json!({})).await;
            app.recorded_statements().await.len()
        };
        let of_one = count().await;
        for _ in 0..5 {
            ann.makes_group("More", &[]).await;
        }
        assert_eq!(count().await, of_one);
    }
}
