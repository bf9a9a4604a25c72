//! Asking for a direct conversation: what passes before it is granted, and what comes of it.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::clients::Socket;
use crate::harness::people::{seqs, text};
use crate::harness::{App, Person, Room, on_both, until};

const FIELDS: &str = "fragment Request on ChatRequest { id from { id } to { id } state text askedAt changedAt conversation { id } }";
pub(crate) const REQUEST: &str = "mutation($input: RequestChatInput!) { requestChat(input: $input) { request { ...Request } } }
fragment Request on ChatRequest { id from { id } to { id } state text askedAt changedAt conversation { id } }";
pub(crate) const ACCEPT: &str = "mutation($input: AcceptChatRequestInput!) { acceptChatRequest(input: $input) { request { id state text conversation { id } } } }";
pub(crate) const DECLINE: &str = "mutation($input: DeclineChatRequestInput!) { declineChatRequest(input: $input) { request { id state text conversation { id } } } }";
pub(crate) const CANCEL: &str = "mutation($input: CancelChatRequestInput!) { cancelChatRequest(input: $input) { request { id state text conversation { id } } } }";
pub(crate) const LIST: &str = "query($direction: ChatRequestDirection!, $state: ChatRequestState! = PENDING, $first: Int, $after: String, $last: Int, $before: String) { viewer {
    chatRequests(direction: $direction, state: $state, first: $first, after: $after, last: $last, before: $before) {
        nodes { id text } pageInfo { hasNextPage endCursor }
    }
} }";
const DIRECT: &str = "mutation($input: CreateConversationInput!) { createConversation(input: $input) { conversation { id } } }";

impl Person {
    /// Asks somebody for a conversation; answers the request.
    pub(crate) async fn asks_for_chat(&self, input: Value) -> Value {
        let data = self.asks(REQUEST, json!({ "input": input })).await;
        data["requestChat"]["request"].clone()
    }

    /// Accepts, declines or cancels; answers the request.
    pub(crate) async fn answers(&self, mutation: &str, id: &Value) -> Value {
        let mut data = self
            .asks(mutation, json!({ "input": { "requestId": id } }))
            .await;
        let payload = data
            .as_object_mut()
            .and_then(|data| data.values_mut().next());
        payload.expect("a payload")["request"].take()
    }

    /// The ids of the pending requests of one direction.
    pub(crate) async fn has_requests(&self, direction: &str) -> Vec<Value> {
        let found = self.asks(LIST, json!({ "direction": direction })).await;
        let nodes = found["viewer"]["chatRequests"]["nodes"].as_array();
        let nodes = nodes.expect("a list").iter();
        nodes.map(|node| node["id"].clone()).collect()
    }

    /// Follows the requests over a WebSocket of its own.
    pub(crate) async fn follows_requests(&self) -> Requests {
        let mut socket = self.opens_socket().await;
        let query = format!("subscription {{ chatRequestChanged {{ ...Request }} }} {FIELDS}");
        socket.subscribe("1", &query, &json!({})).await;
        Requests { socket }
    }
}

/// A stream of requests.
pub(crate) struct Requests {
    socket: Socket,
}

impl Requests {
    pub(crate) async fn next(&mut self) -> Value {
        let message = self.socket.next().await.expect("the stream goes on");
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
        message["payload"]["data"]["chatRequestChanged"].clone()
    }

    /// The next one has this state.
    pub(crate) async fn shows(&mut self, id: &Value, state: &str) -> Value {
        let request = self.next().await;
        assert_eq!(
            (&request["id"], &request["state"]),
            (id, &json!(state)),
            "{request}"
        );
        request
    }
}

/// Lets nobody write to a person without asking.
async fn closes(app: &App, person: &Person) {
    let sql = format!(
        "UPDATE users SET chats_from = 'nobody' WHERE email = '{}'",
        person.email
    );
    app.runs_sql(&sql).await;
}

fn direct_with(other: &Person) -> Value {
    json!({ "input": { "kind": "DIRECT", "memberIds": [other.id] } })
}

on_both! {
    async fn a_request_holds_its_message_back_until_it_is_accepted(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        closes(app, &bob).await;
        assert_eq!(ann.is_refused(DIRECT, direct_with(&bob)).await, "FORBIDDEN");
        let cursor = bob.event_cursor().await;
        let mut anns = ann.follows_requests().await;
        let asked = ann.asks_for_chat(json!({ "userId": bob.id, "text": "Hi Bob" })).await;
        assert_eq!((&asked["state"], &asked["text"]), (&json!("PENDING"), &json!("Hi Bob")));
        assert_eq!((&asked["from"]["id"], &asked["to"]["id"]), (&json!(ann.id), &json!(bob.id)));
        let id = &asked["id"];
        assert_eq!(anns.shows(id, "PENDING").await, asked);
        // Bob comes to it later, by the stream and by the list.
        let mut bobs = bob.follows_requests().await;
        assert_eq!(bobs.shows(id, "PENDING").await, asked);
        assert_eq!(bob.has_requests("INCOMING").await, std::slice::from_ref(id));
        assert_eq!(ann.has_requests("OUTGOING").await, std::slice::from_ref(id));
        assert!(bob.has_requests("OUTGOING").await.is_empty());
        // Asking again is no change, and Ann cannot answer for Bob.
        assert_eq!(ann.asks_for_chat(json!({ "userId": bob.id, "text": "again" })).await, asked);
        let on = json!({ "input": { "requestId": id } });
        assert_eq!(ann.is_refused(ACCEPT, on.clone()).await, "FORBIDDEN");
        assert_eq!(bob.is_refused(CANCEL, on.clone()).await, "FORBIDDEN");
        assert_eq!(ann.is_refused(DIRECT, direct_with(&bob)).await, "FORBIDDEN");
        assert_eq!(app.runs_sql("SELECT count(*) FROM conversations WHERE kind = 'direct'").await, "0", "nothing can pass");

        let mut all = bob.follows_all(Some(&cursor)).await;
        let accepted = bob.answers(ACCEPT, id).await;
        assert_eq!(accepted["state"], "ACCEPTED");
        assert_eq!(accepted["text"], Value::Null, "it is in the conversation now");
        let room = Room { id: text(&accepted["conversation"]["id"]) };
        for stream in [&mut anns, &mut bobs] {
            assert_eq!(stream.shows(id, "ACCEPTED").await["conversation"]["id"], room.id.as_str());
        }
        let (event, _) = all.next().await;
        assert_eq!((&event["__typename"], &event["seq"]), (&json!("MessageSent"), &json!(1)));
        assert_eq!((&event["actor"]["id"], &event["message"]["text"]), (&json!(ann.id), &json!("Hi Bob")));
        assert_eq!(bob.answers(ACCEPT, id).await, accepted, "once more is no change");
        assert_eq!(bob.is_refused(DECLINE, on.clone()).await, "CONFLICT");
        assert_eq!(ann.is_refused(CANCEL, on).await, "CONFLICT");
        let mut events = ann.follows(&room, Some(0)).await;
        assert_eq!(bob.sends(&room, "Hi Ann").await.seq, 2);
        assert_eq!(seqs(&events.take(2).await), [1, 2]);
        assert_eq!(ann.makes(direct_with(&bob)["input"].clone()).await.id, room.id);
        let node = "query($id: ID!) { node(id: $id) { __typename ... on ChatRequest { state } } }";
        let found = ann.asks(node, json!({ "id": id })).await;
        assert_eq!(found["node"], json!({ "__typename": "ChatRequest", "state": "ACCEPTED" }));
    }

    async fn one_who_was_declined_may_ask_again_but_not_for_ever(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        closes(app, &bob).await;
        let mut anns = ann.follows_requests().await;
        let first = ann.asks_for_chat(json!({ "userId": bob.id, "text": "one" })).await;
        let id = first["id"].clone();
        anns.shows(&id, "PENDING").await;
        assert_eq!(ann.answers(CANCEL, &id).await["state"], "CANCELLED");
        anns.shows(&id, "CANCELLED").await;
        assert!(bob.has_requests("INCOMING").await.is_empty());
        for n in 1..=3 {
            let again = ann.asks_for_chat(json!({ "userId": bob.id, "text": format!("{n}") })).await;
            assert_eq!((&again["id"], &again["state"]), (&id, &json!("PENDING")), "the same request");
            assert_eq!(anns.shows(&id, "PENDING").await["text"], n.to_string());
            assert_eq!(bob.answers(DECLINE, &id).await["state"], "DECLINED");
            anns.shows(&id, "DECLINED").await;
            assert_eq!(bob.answers(DECLINE, &id).await["state"], "DECLINED", "once more is no change");
        }
        assert_eq!(ann.is_refused(REQUEST, json!({ "input": { "userId": bob.id } })).await, "FORBIDDEN");
        // Bob may ask; it is the same request the other way round.
        let back = bob.asks_for_chat(json!({ "userId": ann.id })).await;
        assert_eq!((&back["id"], &back["from"]["id"], &back["state"]), (&id, &json!(bob.id), &json!("PENDING")));
        anns.shows(&id, "PENDING").await;
        assert_eq!(ann.has_requests("INCOMING").await, std::slice::from_ref(&id));
        let accepted = ann.answers(ACCEPT, &id).await;
        let room = Room { id: text(&accepted["conversation"]["id"]) };
        assert_eq!(ann.last_seq(&room).await, 0, "there was no message, and what was declined does not come");
    }

    async fn two_who_ask_each_other_have_accepted(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let asked = ann.asks_for_chat(json!({ "userId": bob.id, "text": "Ann's" })).await;
        let answered = bob.asks_for_chat(json!({ "userId": ann.id, "text": "Bob's" })).await;
        assert_eq!((&answered["id"], &answered["state"]), (&asked["id"], &json!("ACCEPTED")));
        let room = Room { id: text(&answered["conversation"]["id"]) };
        let events = ann.follows(&room, Some(0)).await.take(2).await;
        let texts: Vec<_> = events.iter().map(|event| event["message"]["text"].clone()).collect();
        assert_eq!(texts, ["Ann's", "Bob's"]);
        // Where there is a conversation already, there is nothing to ask.
        assert_eq!(ann.asks_for_chat(json!({ "userId": bob.id, "text": "again" })).await["state"], "ACCEPTED");
        let cleo = app.person("Cleo").await;
        let old = cleo.makes_direct(&ann).await;
        let there = ann.asks_for_chat(json!({ "userId": cleo.id, "text": "lost" })).await;
        assert_eq!((&there["state"], &there["conversation"]["id"]), (&json!("ACCEPTED"), &json!(old.id)));
        assert_eq!(cleo.last_seq(&old).await, 0);
        // Both at once, several times: one request, one conversation.
        let [dan, eve] = app.people(["Dan", "Eve"]).await;
        let asks = (0..6).map(|n| {
            let (one, other) = if n % 2 == 0 { (&dan, &eve) } else { (&eve, &dan) };
            one.asks_for_chat(json!({ "userId": other.id }))
        });
        let ids: Vec<_> = join_all(asks).await.into_iter().map(|request| request["id"].clone()).collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(dan.asks_for_chat(json!({ "userId": eve.id })).await["state"], "ACCEPTED");
    }

    async fn opening_the_conversation_accepts_the_request(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        closes(app, &ann).await;
        closes(app, &bob).await;
        let mut anns = ann.follows_requests().await;
        let id = ann.asks_for_chat(json!({ "userId": bob.id, "text": "first" })).await["id"].clone();
        anns.shows(&id, "PENDING").await;
        let room = bob.makes_direct(&ann).await;
        assert_eq!(anns.shows(&id, "ACCEPTED").await["conversation"]["id"], room.id.as_str());
        assert_eq!(ann.follows(&room, Some(0)).await.next().await["message"]["text"], "first");
    }

    async fn an_address_that_may_not_be_found_is_nobodys(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let by = |email: &str| json!({ "input": { "email": email } });
        let unknown = ann.request(REQUEST, by("nobody@example.com")).await.json();
        assert_eq!(unknown["errors"][0]["extensions"]["code"], "NOT_FOUND");
        let set = |audience: &str| format!("UPDATE users SET found_by_email = '{audience}' WHERE email = 'bob@example.com'");
        for audience in ["nobody", "contacts"] {
            app.runs_sql(&set(audience)).await;
            assert_eq!(ann.request(REQUEST, by("bob@example.com")).await.json(), unknown, "{audience}");
        }
        app.runs_sql(&set("everyone")).await;
        let found = ann.asks_for_chat(json!({ "email": " Bob@Example.com" })).await;
        assert_eq!(found["to"]["id"], bob.id.as_str());
        for input in [json!({}), json!({ "userId": bob.id, "email": "bob@example.com" }), json!({ "userId": ann.id }), json!({ "userId": bob.id, "text": " " })] {
            assert_eq!(ann.is_refused(REQUEST, json!({ "input": input })).await, "BAD_USER_INPUT", "{input}");
        }
    }

    async fn requests_are_listed_latest_first(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let mut asked = Vec::new();
        for person in [&bob, &cleo, &dan] {
            asked.insert(0, person.asks_for_chat(json!({ "userId": ann.id })).await["id"].clone());
            app.advance(Duration::from_millis(5));
        }
        let page = async |mut variables: Value| {
            variables["direction"] = json!("INCOMING");
            let found = ann.asks(LIST, variables).await["viewer"]["chatRequests"].clone();
            let nodes = found["nodes"].as_array().expect("a list").iter();
            let ids: Vec<Value> = nodes.map(|node| node["id"].clone()).collect();
            (ids, found["pageInfo"].clone())
        };
        let (first, info) = page(json!({ "first": 2 })).await;
        assert_eq!(first, asked[..2]);
        assert_eq!(info["hasNextPage"], true);
        assert_eq!(page(json!({ "first": 2, "after": info["endCursor"] })).await.0, asked[2..]);
        assert_eq!(page(json!({ "last": 1, "before": info["endCursor"] })).await.0, asked[..1]);
        ann.answers(DECLINE, &asked[0]).await;
        assert_eq!(page(json!({})).await.0, asked[1..]);
        assert_eq!(page(json!({ "state": "DECLINED" })).await.0, asked[..1]);
    }

    async fn what_nothing_comes_of_is_forgotten(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        ann.asks_for_chat(json!({ "userId": bob.id })).await;
        let kept = ann.asks_for_chat(json!({ "userId": cleo.id })).await["id"].clone();
        cleo.answers(ACCEPT, &kept).await;
        app.advance(Duration::from_hours(366 * 24));
        until("the one that is pending is gone", || async {
            app.runs_sql("SELECT count(*) FROM chat_requests").await == "1"
        })
        .await;
        assert_eq!(app.runs_sql("SELECT state FROM chat_requests").await, "accepted");
    }
}

on_both! {
    with &[("RATE_LIMITS", "on")];

    async fn nobody_asks_too_many(app) {
        let ann = app.person("Ann").await;
        let nobody = json!({ "input": { "email": "nobody@example.com" } });
        for _ in 0..20 {
            assert_eq!(ann.is_refused(REQUEST, nobody.clone()).await, "NOT_FOUND");
        }
        let refused = ann.is_refused_with(REQUEST, nobody).await;
        assert_eq!(refused["code"], "RATE_LIMITED");
        assert!(refused["retryAfter"].as_i64().expect("seconds") > 60, "{refused}");
    }
}
