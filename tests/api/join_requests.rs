//! Asking to join: who is told, who answers, and what comes of it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::clients::Socket;
use crate::harness::people::JOIN_ROOM;
use crate::harness::{App, Person, Room, on_both, until};
use crate::invitations::ACCEPT;

pub(crate) const REQUEST: &str = "mutation($input: RequestToJoinInput!) {
    requestToJoin(input: $input) { joinRequest { id state user { id } conversation { id title memberCount } } }
}";
pub(crate) const APPROVE: &str = "mutation($input: ApproveJoinRequestInput!) {
    approveJoinRequest(input: $input) { joinRequest { id state } }
}";
pub(crate) const DECLINE: &str = "mutation($input: DeclineJoinRequestInput!) {
    declineJoinRequest(input: $input) { joinRequest { id state } }
}";
pub(crate) const WITHDRAW: &str = "mutation($input: WithdrawJoinRequestInput!) {
    withdrawJoinRequest(input: $input) { joinRequest { id state } }
}";
pub(crate) const WAITING: &str =
    "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    conversation(id: $id) { joinRequests(first: $first, after: $after, last: $last, before: $before) {
        nodes { id user { id } state } pageInfo { hasNextPage endCursor }
    } }
}";
pub(crate) const OWN: &str = "query($first: Int, $after: String, $last: Int, $before: String) {
    viewer { joinRequests(first: $first, after: $after, last: $last, before: $before) {
        nodes { id state conversation { title } } pageInfo { hasNextPage endCursor }
    } }
}";
pub(crate) const RECEIVED: &str = "subscription($id: ID!) {
    joinRequestReceived(conversationId: $id) { id state user { id } }
}";

impl Person {
    /// Asks to join; answers the request.
    pub(crate) async fn asks_to_join(&self, slug: &str) -> Value {
        let data = self.asks(REQUEST, named(slug)).await;
        data["requestToJoin"]["joinRequest"].clone()
    }

    /// Approves, declines or withdraws; answers the state.
    pub(crate) async fn settles(&self, mutation: &str, id: &Value) -> Value {
        let data = self.asks(mutation, which(id)).await;
        let payload = data.as_object().and_then(|data| data.values().next());
        payload.expect("a payload")["joinRequest"]["state"].clone()
    }

    /// The ids of those who wait.
    async fn sees_waiting(&self, room: &Room) -> Vec<Value> {
        let found = self.asks(WAITING, json!({ "id": room.id })).await;
        let nodes = found["conversation"]["joinRequests"]["nodes"].as_array();
        let nodes = nodes.expect("a list").iter();
        nodes.map(|node| node["id"].clone()).collect()
    }

    /// The states of one's own.
    async fn sees_own(&self) -> Vec<Value> {
        let found = self.asks(OWN, json!({})).await;
        let nodes = found["viewer"]["joinRequests"]["nodes"].as_array();
        let nodes = nodes.expect("a list").iter();
        nodes.map(|node| node["state"].clone()).collect()
    }

    /// Follows who asks to join; the stream is open when this returns.
    pub(crate) async fn hears_of_joins(&self, app: &App, room: &Room) -> Waiting {
        let before = app.domain.open_signal_streams();
        let mut socket = self.on(app).opens_socket().await;
        socket
            .subscribe("1", RECEIVED, &json!({ "id": room.id }))
            .await;
        until("the stream is open", || async {
            app.domain.open_signal_streams() > before
        })
        .await;
        Waiting { socket }
    }
}

/// A stream of requests to join.
pub(crate) struct Waiting {
    pub(crate) socket: Socket,
}

impl Waiting {
    /// The id of the next one.
    pub(crate) async fn next(&mut self) -> Value {
        let message = self.socket.next().await.expect("the stream goes on");
        assert_eq!(message["type"], "next", "{message}");
        let request = &message["payload"]["data"]["joinRequestReceived"];
        assert_eq!(request["state"], "PENDING", "{message}");
        request["id"].clone()
    }

    pub(crate) async fn completes(&mut self) {
        let message = self.socket.next().await.expect("the socket stays open");
        assert_eq!(message["type"], "complete", "{message}");
    }
}

fn named(slug: &str) -> Value {
    json!({ "input": { "slug": slug } })
}

fn which(id: &Value) -> Value {
    json!({ "input": { "joinRequestId": id } })
}

/// A room that one asks to join.
async fn asking_room(ann: &Person, slug: &str) -> Room {
    let room = ann
        .makes(json!({ "kind": "ROOM", "memberIds": [], "slug": slug, "title": "Asking" }))
        .await;
    ann.sets(&room, json!({ "joinsByRequest": true })).await;
    room
}

on_both! {
    async fn who_asks_is_heard_of_and_let_in(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = asking_room(&ann, "asking").await;
        let mut waiting = ann.hears_of_joins(app, &room).await;
        let mut live = ann.follows(&room, Some(1)).await;
        let asked = bob.asks_to_join("asking").await;
        let id = &asked["id"];
        assert_eq!(asked, json!({
            "id": id, "state": "PENDING", "user": { "id": bob.id },
            "conversation": { "id": room.id, "title": "Asking", "memberCount": 1 },
        }));
        assert_eq!(waiting.next().await, *id);
        // There is one of a user, by whichever way they ask.
        assert_eq!(bob.asks_to_join("asking").await["id"], *id);
        let joined = bob.asks(JOIN_ROOM.replace("conversation { id lastSeq }", "conversation { id } joinRequest { id }").as_str(), named("asking")).await;
        assert_eq!(joined["joinRoom"], json!({ "conversation": null, "joinRequest": { "id": id } }));
        let other = cleo.asks_to_join("asking").await["id"].clone();
        assert_eq!(waiting.next().await, other);
        assert_eq!(ann.sees_waiting(&room).await, [other.clone(), id.clone()]);
        assert_eq!(bob.sees_own().await, ["PENDING"]);

        let cursor = bob.event_cursor().await;
        let mut all = bob.follows_all(Some(&cursor)).await;
        assert_eq!(ann.settles(APPROVE, id).await, "APPROVED");
        assert_eq!(ann.settles(APPROVE, id).await, "APPROVED");
        assert_eq!(ann.settles(DECLINE, &other).await, "DECLINED");
        assert_eq!(ann.settles(DECLINE, &other).await, "DECLINED");
        let event = live.next().await;
        assert_eq!((&event["__typename"], &event["actor"]["id"], &event["member"]["user"]["id"]), (&json!("MemberJoined"), &json!(ann.id), &json!(bob.id)));
        assert_eq!(all.next().await.0["__typename"], "MemberJoined");
        assert_eq!((bob.sees_own().await, cleo.sees_own().await), (vec![json!("APPROVED")], vec![json!("DECLINED")]));
        assert_eq!(ann.sees_waiting(&room).await, Vec::<Value>::new());
        assert_eq!(ann.is_refused(APPROVE, which(&other)).await, "CONFLICT");
        assert_eq!(cleo.is_refused(REQUEST, named("asking")).await, "FORBIDDEN");
        assert_eq!(bob.is_refused(REQUEST, named("asking")).await, "CONFLICT", "he is in");
        assert_eq!(bob.is_refused(WAITING, json!({ "id": room.id })).await, "FORBIDDEN");
        assert_eq!(bob.is_refused(APPROVE, which(&other)).await, "NOT_FOUND");
        // When it is forgotten she may ask again.
        app.advance(Duration::from_hours(31 * 24));
        let cleo = cleo.signs_in_again().await;
        until("it is forgotten", || async { cleo.sees_own().await.is_empty() }).await;
        cleo.asks_to_join("asking").await;
    }

    async fn a_request_is_taken_back_and_settled_by_coming_in_otherwise(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = asking_room(&ann, "otherwise").await;
        let id = bob.asks_to_join("otherwise").await["id"].clone();
        assert_eq!(cleo.is_refused(WITHDRAW, which(&id)).await, "NOT_FOUND");
        assert_eq!(ann.is_refused(WITHDRAW, which(&id)).await, "NOT_FOUND");
        assert_eq!(bob.settles(WITHDRAW, &id).await, "WITHDRAWN");
        assert_eq!(bob.settles(WITHDRAW, &id).await, "WITHDRAWN");
        assert_eq!(ann.is_refused(APPROVE, which(&id)).await, "CONFLICT");
        assert_eq!(bob.asks_to_join("otherwise").await["id"], id, "it is asked again");
        cleo.asks_to_join("otherwise").await;
        dan.asks_to_join("otherwise").await;
        let mut live = ann.follows(&room, Some(1)).await;
        // Added; by an owner's link, which approves; banned.
        ann.adds(&room, &[&bob]).await;
        cleo.accepts(&ann.invites(&room, json!({})).await.code).await;
        ann.bans(&room, &dan).await;
        live.take(2).await;
        assert_eq!(bob.sees_own().await, ["APPROVED"]);
        assert_eq!(cleo.sees_own().await, ["APPROVED"]);
        assert_eq!(dan.sees_own().await, ["DECLINED"]);
        assert_eq!(ann.sees_waiting(&room).await, Vec::<Value>::new());
    }

    async fn by_the_link_of_a_plain_member_one_asks(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes_group("Links", &[&bob]).await;
        let bobs = bob.invites(&room, json!({ "maxUses": 2 })).await;
        let asking = ann.invites(&room, json!({ "asksFirst": true })).await;
        ann.sets(&room, json!({ "joinsByRequest": true })).await;
        let mut waiting = ann.hears_of_joins(app, &room).await;
        let first = cleo.accepts(&bobs.code).await;
        assert_eq!((&first["conversation"], &first["joinRequest"]["state"]), (&Value::Null, &json!("PENDING")));
        // Asking again by it is no further use.
        assert_eq!(cleo.accepts(&bobs.code).await, first);
        assert_eq!(waiting.next().await, first["joinRequest"]["id"]);
        let second = dan.accepts(&asking.code).await["joinRequest"]["id"].clone();
        assert_eq!(waiting.next().await, second);
        assert_eq!(app.runs_sql("SELECT sum(uses) FROM invitations").await, "2");
        // Who is no admin any more hears no more of it.
        ann.sets_role(&room, &bob, "OWNER").await;
        ann.sets_role(&room, &ann, "MEMBER").await;
        waiting.completes().await;
        assert_eq!(bob.settles(APPROVE, &second).await, "APPROVED");
        let mut late = bob.hears_of_joins(app, &room).await;
        assert_eq!(late.next().await, first["joinRequest"]["id"]);
        bob.removes(&room, &bob).await;
        late.completes().await;
    }

    async fn a_room_that_everybody_left_has_an_owner_again(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = asking_room(&ann, "empty").await;
        ann.removes(&room, &ann).await;
        bob.asks(JOIN_ROOM, named("empty")).await;
        let mut live = bob.follows(&room, Some(0)).await;
        assert_eq!(live.take(3).await[2]["member"]["role"], "OWNER");
        let asked = cleo.asks_to_join("empty").await["id"].clone();
        assert_eq!(bob.settles(APPROVE, &asked).await, "APPROVED");
        assert_eq!(live.next().await["member"]["role"], "MEMBER");
        bob.sets(&room, json!({ "joinsByRequest": false })).await;
        assert_eq!(ann.is_refused(REQUEST, named("empty")).await, "CONFLICT");
        assert_eq!(ann.is_refused(REQUEST, named("none")).await, "NOT_FOUND");
    }

    async fn who_is_declined_sees_no_more_of_it_and_who_is_unbanned_may_ask_again(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Private", &[]).await;
        let link = ann.invites(&room, json!({ "asksFirst": true })).await;
        let preview = "{ viewer { joinRequests { nodes { state conversation { title } } } } }";
        let sees = async || bob.asks(preview, json!({})).await["viewer"]["joinRequests"]["nodes"].clone();
        let asked = bob.accepts(&link.code).await["joinRequest"]["id"].clone();
        assert_eq!(sees().await, json!([{ "state": "PENDING", "conversation": { "title": "Private" } }]));
        let mut waiting = ann.hears_of_joins(app, &room).await;
        assert_eq!(waiting.next().await, asked);
        ann.bans(&room, &bob).await;
        assert_eq!(sees().await, json!([{ "state": "DECLINED", "conversation": null }]));
        assert_eq!(bob.is_refused(ACCEPT, json!({ "input": { "code": link.code } })).await, "FORBIDDEN");
        ann.unbans(&room, &bob).await;
        let again = bob.accepts(&link.code).await["joinRequest"]["id"].clone();
        assert_eq!(waiting.next().await, again);
        assert_eq!(ann.settles(APPROVE, &again).await, "APPROVED");
        assert_eq!(sees().await, json!([{ "state": "APPROVED", "conversation": { "title": "Private" } }]));
    }
}
