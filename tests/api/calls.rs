//! Calls: who is rung, who wins, who is told what, and what remains.

mod ends;
mod properties;
mod rules;
mod signals;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::clients::Socket;
use crate::harness::people::text;
use crate::harness::{App, Person, Room, on_both};

pub(crate) const START: &str = "mutation($input: StartCallInput!) { startCall(input: $input) { call { id kind state outcome caller { id } parties { user { id } state } answeredAt endedAt durationSeconds } } }";
pub(crate) const ANSWER: &str = "mutation($input: AnswerCallInput!) { answerCall(input: $input) { call { id state outcome } } }";
pub(crate) const DECLINE: &str = "mutation($input: DeclineCallInput!) { declineCall(input: $input) { call { id state outcome } } }";
pub(crate) const HANG_UP: &str =
    "mutation($input: HangUpInput!) { hangUp(input: $input) { call { id state outcome } } }";
pub(crate) const SAY: &str =
    "mutation($input: SendCallSignalInput!) { sendCallSignal(input: $input) { ok } }";
pub(crate) const CALL: &str = "query($id: ID!) { call(id: $id) { id kind state outcome caller { id } conversation { id unreadCount } parties { user { id } state } startedAt answeredAt endedAt durationSeconds } }";
pub(crate) const HISTORY: &str = "query($conversation: ID, $first: Int, $after: String, $last: Int, $before: String) { callHistory(conversationId: $conversation, first: $first, after: $after, last: $last, before: $before) { nodes { id outcome } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";
pub(crate) const ICE: &str =
    "query($id: ID!) { iceServers(callId: $id) { urls username credential } }";
pub(crate) const SIGNALS: &str =
    "subscription { callSignaled { seq kind payload from { id } call { id state outcome } } }";

/// Longer than it rings.
const RING: Duration = Duration::from_secs(41);
/// Longer than a device may be out of reach.
const GRACE: Duration = Duration::from_secs(11);

impl Person {
    pub(crate) async fn makes_direct(&self, other: &Self) -> Room {
        self.makes(json!({ "kind": "DIRECT", "memberIds": [other.id] }))
            .await
    }

    /// Rings the other in a direct conversation; answers the call.
    pub(crate) async fn calls(&self, room: &Room) -> Value {
        let input = json!({ "conversationId": room.id, "kind": "VIDEO" });
        self.asks(START, json!({ "input": input })).await["startCall"]["call"].clone()
    }

    pub(crate) async fn does(&self, mutation: &str, call: &str) -> Value {
        let mut done = self.asks(mutation, on_call(call)).await;
        let payload = done
            .as_object_mut()
            .and_then(|data| data.values_mut().next());
        payload.expect("a payload")["call"].take()
    }

    pub(crate) async fn says(&self, call: &str, kind: &str, payload: &str) {
        self.asks(SAY, said(call, kind, payload)).await;
    }

    pub(crate) async fn call(&self, call: &str) -> Value {
        self.asks(CALL, json!({ "id": call })).await["call"].clone()
    }

    async fn history(&self, variables: Value) -> Value {
        self.asks(HISTORY, variables).await["callHistory"].clone()
    }

    /// Listens for calls with this device.
    pub(crate) async fn listens(&self) -> Phone {
        let mut socket = self.opens_socket().await;
        socket.subscribe("1", SIGNALS, &json!({})).await;
        Phone { socket }
    }
}

pub(crate) fn on_call(call: &str) -> Value {
    json!({ "input": { "callId": call } })
}

pub(crate) fn said(call: &str, kind: &str, payload: &str) -> Value {
    json!({ "input": { "callId": call, "kind": kind, "payload": payload } })
}

/// A device that listens for calls.
pub(crate) struct Phone {
    pub(crate) socket: Socket,
}

impl Phone {
    pub(crate) async fn next(&mut self) -> Value {
        let message = self.socket.next().await.expect("the stream goes on");
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
        message["payload"]["data"]["callSignaled"].clone()
    }

    /// The next signal is of this kind.
    pub(crate) async fn is_told(&mut self, kind: &str, call: &str) -> Value {
        let signal = self.next().await;
        assert_eq!(signal["kind"], kind, "{signal}");
        assert_eq!(signal["call"]["id"], call, "{signal}");
        signal
    }

    /// The next signals have these kinds, and rise.
    pub(crate) async fn is_told_all(&mut self, kinds: &[&str], call: &str) -> Vec<Value> {
        let mut signals = Vec::new();
        let mut last = 0;
        for kind in kinds {
            let signal = self.is_told(kind, call).await;
            let seq = signal["seq"].as_i64().expect("a number");
            assert!(seq > last, "{signals:?} {signal}");
            last = seq;
            signals.push(signal);
        }
        signals
    }
}

/// Ann and Bob, whose phone and laptop listen, and Ann's phone.
struct Scene {
    ann: Person,
    bob: Person,
    laptop: Person,
    room: Room,
    anns: Phone,
    bobs: Phone,
    laptops: Phone,
}

impl Scene {
    async fn set(app: &App) -> Self {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let laptop = bob.signs_in_again().await;
        let room = ann.makes_direct(&bob).await;
        let (anns, bobs, laptops) = (
            ann.listens().await,
            bob.listens().await,
            laptop.listens().await,
        );
        Self {
            ann,
            bob,
            laptop,
            room,
            anns,
            bobs,
            laptops,
        }
    }

    /// Ann rings Bob: on both of his devices.
    async fn rings(&mut self) -> String {
        let call = self.ann.calls(&self.room).await;
        assert_eq!(call["state"], "RINGING", "{call}");
        let id = text(&call["id"]);
        for phone in [&mut self.bobs, &mut self.laptops] {
            let signal = phone.is_told("RINGING", &id).await;
            assert_eq!(signal["from"]["id"], self.ann.id);
        }
        id
    }

    /// And Bob answers with his phone.
    async fn talks(&mut self) -> String {
        let id = self.rings().await;
        assert_eq!(self.bob.does(ANSWER, &id).await["state"], "ANSWERED");
        self.anns.is_told("ANSWERED", &id).await;
        self.bobs.is_told("ANSWERED", &id).await;
        self.laptops.is_told("ANSWERED_ELSEWHERE", &id).await;
        id
    }

    /// The call left this one event, as the last of the conversation, and an unread count of 0.
    async fn leaves_one_record(&self, id: &str, seq: i64, outcome: &str) {
        let mut stream = self.bob.opens_socket().await;
        let query = "subscription($id: ID!) { conversationEvents(conversationId: $id, after: 0) {
            __typename seq ... on CallEnded { call { id outcome } } } }";
        stream
            .subscribe("1", query, &json!({ "id": self.room.id }))
            .await;
        for at in 1..=seq {
            let event =
                stream.next().await.expect("an event")["payload"]["data"]["conversationEvents"]
                    .clone();
            assert_eq!(
                (&event["__typename"], &event["seq"]),
                (&json!("CallEnded"), &json!(at))
            );
            if at == seq {
                assert_eq!(event["call"], json!({ "id": id, "outcome": outcome }));
            }
        }
        assert_eq!(self.bob.last_seq(&self.room).await, seq, "and no more");
        let call = self.bob.call(id).await;
        assert_eq!(call["outcome"], outcome);
        assert_eq!(call["conversation"]["unreadCount"], 0);
    }
}

on_both! {
    async fn a_call_rings_everywhere_is_answered_once_and_leaves_a_record(app) {
        let mut scene = Scene::set(app).await;
        let mut events = scene.ann.follows(&scene.room, Some(0)).await;
        let id = scene.talks().await;
        let call = scene.laptop.call(&id).await;
        assert_eq!(call["kind"], "VIDEO");
        assert_eq!(call["caller"]["id"], scene.ann.id);
        assert_eq!(call["conversation"]["id"], scene.room.id);
        assert_eq!(call["endedAt"], Value::Null);
        let joined = |person: &Person| json!({ "user": { "id": person.id }, "state": "JOINED" });
        assert_eq!(call["parties"], json!([joined(&scene.ann), joined(&scene.bob)]));

        app.advance(Duration::from_secs(95));
        assert_eq!(scene.bob.does(HANG_UP, &id).await["outcome"], "COMPLETED");
        let ended = scene.anns.is_told("ENDED", &id).await;
        assert_eq!(ended["call"], json!({ "id": id, "state": "ENDED", "outcome": "COMPLETED" }));
        assert_eq!(ended["from"]["id"], scene.bob.id);
        scene.bobs.is_told("ENDED", &id).await;
        let call = scene.ann.call(&id).await;
        let seconds = call["durationSeconds"].as_i64().expect("a duration");
        assert!((95..100).contains(&seconds), "{call}");
        let event = events.next().await;
        assert_eq!((&event["__typename"], &event["actor"]["id"]), (&json!("CallEnded"), &json!(scene.bob.id)));
        scene.leaves_one_record(&id, 1, "COMPLETED").await;

        // The laptop has heard the last of it; and a further call is possible.
        let next = scene.rings().await;
        assert_eq!(scene.ann.does(HANG_UP, &next).await["outcome"], "CANCELLED");
        scene.laptops.is_told("ENDED", &next).await;
    }

    async fn of_devices_that_answer_at_once_one_wins(app) {
        let mut scene = Scene::set(app).await;
        let more = [scene.bob.signs_in_again().await, scene.bob.signs_in_again().await];
        let devices = [&scene.bob.clone(), &scene.laptop.clone(), &more[0], &more[1]];
        for round in 1..=5 {
            let id = scene.rings().await;
            let answers = devices.map(|device| device.request(ANSWER, on_call(&id)));
            let answers = futures_util::future::join_all(answers).await;
            let answers: Vec<Value> = answers.iter().map(|answer| answer.json()).collect();
            let lost = answers.iter().filter(|answer| answer["errors"][0]["extensions"]["code"] == "CONFLICT");
            assert_eq!(lost.count(), 3, "{answers:?}");
            scene.anns.is_told("ANSWERED", &id).await;
            let mut told = [scene.bobs.next().await, scene.laptops.next().await].map(|signal| text(&signal["kind"]));
            told.sort();
            let winner = answers.iter().position(|answer| answer["errors"].is_null()).expect("a winner");
            let expected = if winner < 2 { ["ANSWERED", "ANSWERED_ELSEWHERE"] } else { ["ANSWERED_ELSEWHERE"; 2] };
            assert_eq!(told, expected);
            // Again is no change for the winner, and no gain for the others.
            assert_eq!(devices[winner].does(ANSWER, &id).await["state"], "ANSWERED");
            assert_eq!(devices[(winner + 1) % 4].is_refused(ANSWER, on_call(&id)).await, "CONFLICT");
            scene.ann.does(HANG_UP, &id).await;
            scene.anns.is_told("ENDED", &id).await;
            match winner {
                0 => drop(scene.bobs.is_told("ENDED", &id).await),
                1 => drop(scene.laptops.is_told("ENDED", &id).await),
                _ => {}
            }
            scene.leaves_one_record(&id, round, "COMPLETED").await;
        }
    }

    async fn two_who_ring_each_other_at_once_are_in_one_call(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_direct(&bob).await;
        for _ in 0..5 {
            let (anns, bobs) = tokio::join!(ann.calls(&room), bob.calls(&room));
            assert_eq!(anns["id"], bobs["id"]);
            let id = text(&anns["id"]);
            let call = ann.call(&id).await;
            assert_eq!(call["state"], "ANSWERED");
            // To start it again is no change.
            assert_eq!(ann.calls(&room).await["id"], anns["id"]);
            ann.does(HANG_UP, &id).await;
        }
        assert_eq!(ann.last_seq(&room).await, 5);
    }

    async fn one_who_is_in_a_call_is_busy(app) {
        let mut scene = Scene::set(app).await;
        let cleo = app.person("Cleo").await;
        let mut cleos = cleo.listens().await;
        let [to_bob, to_ann] = [cleo.makes_direct(&scene.bob).await, cleo.makes_direct(&scene.ann).await];
        let id = scene.rings().await;
        let states = |call: &Value| [0, 1].map(|n| text(&call["parties"][n]["state"]));
        // The one who is rung, and the one who rings; as a record, and without a sound.
        for (room, expected) in [(&to_bob, ["LEFT", "BUSY"]), (&to_ann, ["LEFT", "BUSY"])] {
            let call = cleo.calls(room).await;
            assert_eq!((&call["state"], &call["outcome"]), (&json!("ENDED"), &json!("BUSY")));
            assert_eq!(states(&call), expected);
            assert_eq!(cleo.last_seq(room).await, 1);
        }
        // The caller cannot ring a third, nor the second once more from another device.
        let call = scene.ann.calls(&to_ann).await;
        assert_eq!(call["outcome"], "BUSY");
        assert_eq!(states(&call), ["BUSY", "MISSED"]);
        let tablet = scene.ann.signs_in_again().await;
        assert_eq!(tablet.calls(&scene.room).await["outcome"], "BUSY");
        scene.bob.does(DECLINE, &id).await;
        scene.bobs.is_told("ENDED", &id).await;
        scene.laptops.is_told("DECLINED_ELSEWHERE", &id).await;
        let free = text(&cleo.calls(&to_bob).await["id"]);
        scene.bobs.is_told("RINGING", &free).await;
        assert_eq!(cleo.does(HANG_UP, &free).await["outcome"], "CANCELLED");
        // Cleo, who was not rung by anybody, hears of the end of her own call alone.
        cleos.is_told("ENDED", &free).await;
    }

    async fn calls_are_listed_newest_first(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let rooms = [ann.makes_direct(&bob).await, ann.makes_direct(&cleo).await];
        let mut made = Vec::new();
        for n in 0..6 {
            let id = text(&ann.calls(&rooms[n % 2]).await["id"]);
            ann.does(HANG_UP, &id).await;
            made.insert(0, id);
            app.advance(Duration::from_millis(5));
        }
        let ids = |page: &Value| -> Vec<String> {
            page["nodes"].as_array().expect("a list").iter().map(|call| text(&call["id"])).collect()
        };
        let all = ann.history(json!({})).await;
        assert_eq!(ids(&all), made);
        let first = ann.history(json!({ "first": 4 })).await;
        assert_eq!(ids(&first), made[..4]);
        assert_eq!(first["pageInfo"]["hasNextPage"], true);
        let rest = ann.history(json!({ "first": 4, "after": first["pageInfo"]["endCursor"] })).await;
        assert_eq!(ids(&rest), made[4..]);
        let back = ann.history(json!({ "last": 2, "before": rest["pageInfo"]["startCursor"] })).await;
        assert_eq!(ids(&back), made[2..4]);
        let with_bob: Vec<String> = made.iter().skip(1).step_by(2).cloned().collect();
        let room = &rooms[0].id;
        let page = ann.history(json!({ "conversation": room, "first": 2 })).await;
        assert_eq!(ids(&page), with_bob[..2]);
        let last = json!({ "conversation": room, "first": 2, "after": page["pageInfo"]["endCursor"] });
        assert_eq!(ids(&ann.history(last).await), with_bob[2..]);
        assert_eq!(ids(&bob.history(json!({})).await), with_bob);
        let node = "query($id: ID!) { node(id: $id) { __typename ... on Call { id outcome } } }";
        let found = cleo.asks(node, json!({ "id": made[0] })).await;
        assert_eq!(found["node"], json!({ "__typename": "Call", "id": made[0], "outcome": "CANCELLED" }));
    }
}
