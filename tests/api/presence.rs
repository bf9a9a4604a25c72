//! Who is there: several devices, what they say of themselves, and what watchers see of it.

mod watching;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::clients::{Ended, Socket};
use crate::harness::{PATIENCE, Person, on_both, until};

pub(crate) const SET: &str = "mutation($input: SetPresenceInput!) {
    setPresence(input: $input) { presence { userId state text lastSeenAt } }
}";
pub(crate) const WATCH: &str = "subscription($ids: [ID!]!) {
    presenceChanged(userIds: $ids) { userId state text lastSeenAt }
}";
const PRESENCE: &str = "query($id: ID!) { node(id: $id) { ... on User { presence { userId state text lastSeenAt } } } }";

impl Person {
    /// Sets the presence of this device. Answers that of the person.
    pub(crate) async fn sets_presence(&self, input: Value) -> Value {
        let data = self.asks(SET, json!({ "input": input })).await;
        data["setPresence"]["presence"].clone()
    }

    /// What another one's presence is.
    pub(crate) async fn sees(&self, other: &Self) -> Value {
        let data = self.asks(PRESENCE, json!({ "id": other.id })).await;
        data["node"]["presence"].clone()
    }

    /// Watches others over a socket of its own.
    pub(crate) async fn watches(&self, others: &[&Self]) -> Watching {
        let ids: Vec<_> = others.iter().map(|other| other.id.as_str()).collect();
        let mut socket = self.opens_socket().await;
        socket.subscribe("1", WATCH, &json!({ "ids": ids })).await;
        Watching { socket }
    }
}

/// A stream of presence.
pub(crate) struct Watching {
    pub(crate) socket: Socket,
}

impl Watching {
    /// The next value.
    pub(crate) async fn next(&mut self) -> Value {
        self.next_within(PATIENCE).await
    }

    /// The next value, for which more patience is needed.
    pub(crate) async fn next_within(&mut self, patience: Duration) -> Value {
        let message = self.socket.next_within(patience).await;
        let message = message.expect("the stream goes on");
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
        message["payload"]["data"]["presenceChanged"].clone()
    }

    /// The next value is of this person, in this state.
    #[track_caller]
    pub(crate) fn shows(
        &mut self,
        person: &Person,
        state: &'static str,
    ) -> impl Future<Output = Value> {
        let (id, name) = (person.id.clone(), person.name.clone());
        let asked = std::panic::Location::caller();
        async move {
            let value = self.next().await;
            assert_eq!(
                (&value["userId"], &value["state"]),
                (&json!(id), &json!(state)),
                "{name} at {asked}"
            );
            value
        }
    }
}

on_both! {
    async fn whoever_never_was_there_is_offline(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let never = json!({ "userId": bob.id, "state": "OFFLINE", "text": null, "lastSeenAt": null });
        assert_eq!(ann.sees(&bob).await, never);
        let mut watching = ann.watches(&[&bob]).await;
        assert_eq!(watching.next().await, never);
    }

    async fn an_open_socket_makes_one_online_and_closing_it_offline_after_a_grace(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut watching = bob.watches(&[&ann]).await;
        watching.shows(&ann, "OFFLINE").await;
        let first = ann.opens_socket().await;
        let online = watching.shows(&ann, "ONLINE").await;
        assert_eq!(online["lastSeenAt"], ann.sees(&ann).await["lastSeenAt"]);
        let second = ann.opens_socket().await;
        drop(first);
        drop(second);
        // Back within the grace; nobody notices, or this would not be the next to be seen.
        let third = ann.opens_socket().await;
        ann.sets_presence(json!({ "state": "ONLINE", "text": "back" })).await;
        assert_eq!(watching.shows(&ann, "ONLINE").await["text"], "back");

        drop(third);
        let closed = Instant::now();
        let offline = watching.shows(&ann, "OFFLINE").await;
        let took = closed.elapsed();
        assert!((2.9..8.0).contains(&took.as_secs_f64()), "{took:?}");
        assert!(offline["lastSeenAt"].as_str() > online["lastSeenAt"].as_str(), "{offline}");
        assert_eq!(bob.sees(&ann).await, offline);
    }

    async fn a_stream_of_server_sent_events_makes_one_online_too(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut watching = bob.watches(&[&ann]).await;
        watching.shows(&ann, "OFFLINE").await;
        let body = json!({ "query": WATCH, "variables": { "ids": [bob.id] } });
        let mut events = app.http().events(&app.url("/graphql"), Some(&ann.token), &body).await;
        assert_eq!(events.next().await.expect("the present state").0, "next");
        watching.shows(&ann, "ONLINE").await;
        drop(events);
        watching.shows(&ann, "OFFLINE").await;
    }

    async fn of_several_devices_the_strongest_state_counts(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let (phone, tablet) = (ann.signs_in_again().await, ann.signs_in_again().await);
        let mut watching = bob.watches(&[&ann]).await;
        watching.shows(&ann, "OFFLINE").await;
        let _sockets = [ann.opens_socket().await, phone.opens_socket().await];
        watching.shows(&ann, "ONLINE").await;
        let says = async |device: &Person, state: &str, outcome: &str| {
            let presence = device.sets_presence(json!({ "state": state })).await;
            assert_eq!(presence["state"], outcome, "{state}");
        };
        says(&phone, "AWAY", "ONLINE").await;
        says(&ann, "AWAY", "AWAY").await;
        watching.shows(&ann, "AWAY").await;
        says(&phone, "BUSY", "BUSY").await;
        watching.shows(&ann, "BUSY").await;
        // A device without a socket counts while it says something.
        says(&tablet, "ONLINE", "BUSY").await;
        says(&phone, "OFFLINE", "ONLINE").await;
        watching.shows(&ann, "ONLINE").await;
        says(&tablet, "OFFLINE", "AWAY").await;
        watching.shows(&ann, "AWAY").await;
        // With all of them so, one seems to be away although two sockets are open.
        says(&ann, "OFFLINE", "OFFLINE").await;
        let seen = watching.shows(&ann, "OFFLINE").await;
        says(&phone, "ONLINE", "ONLINE").await;
        assert!(watching.shows(&ann, "ONLINE").await["lastSeenAt"].as_str() > seen["lastSeenAt"].as_str());
    }

    async fn what_a_client_notices_overrides_nothing_that_was_chosen(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut watching = bob.watches(&[&ann]).await;
        watching.shows(&ann, "OFFLINE").await;
        let _socket = ann.opens_socket().await;
        watching.shows(&ann, "ONLINE").await;
        let notices = async |state: &str, outcome: &str| {
            let presence = ann.sets_presence(json!({ "state": state, "automatic": true })).await;
            assert_eq!(presence["state"], outcome, "noticed {state}");
        };
        notices("ONLINE", "ONLINE").await;
        notices("AWAY", "AWAY").await;
        notices("AWAY", "AWAY").await;
        notices("ONLINE", "ONLINE").await;
        for chosen in ["BUSY", "AWAY", "OFFLINE"] {
            ann.sets_presence(json!({ "state": chosen })).await;
            notices("AWAY", chosen).await;
            notices("ONLINE", chosen).await;
        }
        ann.sets_presence(json!({ "state": "ONLINE", "text": "the last" })).await;
        let mut states = Vec::new();
        loop {
            let value = watching.next().await;
            states.push(value["state"].clone());
            if value["text"] == "the last" {
                break;
            }
        }
        // Changes in quick succession may come as their last.
        let all = ["AWAY", "ONLINE", "BUSY", "AWAY", "OFFLINE", "ONLINE"];
        let mut rest = all.iter();
        assert!(states.iter().all(|seen| rest.any(|state| seen == state)), "{states:?}");
    }

    async fn what_was_chosen_stays_with_the_session_and_idleness_does_not(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let phone = ann.signs_in_again().await;
        let mut watching = bob.watches(&[&ann]).await;
        watching.shows(&ann, "OFFLINE").await;
        for (device, state, automatic, after) in [
            (&ann, "BUSY", false, "BUSY"),
            (&phone, "AWAY", true, "ONLINE"),
        ] {
            let socket = device.opens_socket().await;
            watching.shows(&ann, "ONLINE").await;
            device.sets_presence(json!({ "state": state, "automatic": automatic })).await;
            watching.shows(&ann, state).await;
            drop(socket);
            watching.shows(&ann, "OFFLINE").await;
            let socket = device.opens_socket().await;
            watching.shows(&ann, after).await;
            drop(socket);
            watching.shows(&ann, "OFFLINE").await;
        }
    }

    async fn a_text_is_the_users_and_is_left_or_taken_away(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let phone = ann.signs_in_again().await;
        let mut watching = bob.watches(&[&ann]).await;
        watching.shows(&ann, "OFFLINE").await;
        ann.sets_presence(json!({ "state": "BUSY", "text": "  in a meeting " })).await;
        assert_eq!(watching.shows(&ann, "BUSY").await["text"], "in a meeting");
        let left = phone.sets_presence(json!({ "state": "ONLINE" })).await;
        assert_eq!((&left["state"], &left["text"]), (&json!("BUSY"), &json!("in a meeting")));
        let longest = "ü".repeat(140);
        phone.sets_presence(json!({ "state": "ONLINE", "text": longest })).await;
        assert_eq!(watching.shows(&ann, "BUSY").await["text"], longest);
        phone.sets_presence(json!({ "state": "ONLINE", "text": "" })).await;
        assert_eq!(watching.shows(&ann, "BUSY").await["text"], Value::Null);
        // Nothing new is nothing to tell.
        let changed = ann.sees(&ann).await;
        ann.sets_presence(json!({ "state": "BUSY", "text": "" })).await;
        assert_eq!(ann.sees(&ann).await, changed);
    }

    async fn a_device_without_a_socket_is_there_for_45_seconds_from_its_last_word(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let mut watching = cleo.watches(&[&ann, &bob]).await;
        watching.shows(&ann, "OFFLINE").await;
        watching.shows(&bob, "OFFLINE").await;
        ann.sets_presence(json!({ "state": "ONLINE" })).await;
        watching.shows(&ann, "ONLINE").await;
        bob.sets_presence(json!({ "state": "AWAY" })).await;
        watching.shows(&bob, "AWAY").await;
        app.advance(Duration::from_secs(44));
        ann.sets_presence(json!({ "state": "BUSY" })).await;
        watching.shows(&ann, "BUSY").await;
        app.advance(Duration::from_secs(2));
        // Whose time is over goes in one transaction.
        watching.shows(&bob, "OFFLINE").await;
        assert_eq!(cleo.sees(&ann).await["state"], "BUSY");
        app.advance(Duration::from_secs(44));
        watching.shows(&ann, "OFFLINE").await;
    }

    async fn signing_out_ends_a_device_at_once_and_its_watching(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let phone = ann.signs_in_again().await;
        let mut watching = bob.watches(&[&ann]).await;
        watching.shows(&ann, "OFFLINE").await;
        let _other = phone.opens_socket().await;
        watching.shows(&ann, "ONLINE").await;
        let mut anns = ann.watches(&[&bob]).await;
        anns.shows(&bob, "ONLINE").await;
        ann.sets_presence(json!({ "state": "BUSY" })).await;
        watching.shows(&ann, "BUSY").await;

        ann.asks("mutation { signOut { ok } }", json!({})).await;
        let answered = Instant::now();
        assert_eq!(bob.sees(&ann).await["state"], "ONLINE", "it counts in the answer already");
        watching.shows(&ann, "ONLINE").await;
        assert_eq!(anns.socket.ended().await, Ended::Closed(4403));
        let took = answered.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        phone.asks("mutation { signOut { ok } }", json!({})).await;
        assert_eq!(bob.sees(&ann).await["state"], "OFFLINE");
        watching.shows(&ann, "OFFLINE").await;
    }

    async fn what_must_not_be_accepted_is_refused(app) {
        let ann = app.person("Ann").await;
        let set = async |input: Value| ann.is_refused_with(SET, json!({ "input": input })).await;
        let bad = |field: &str| json!({ "code": "BAD_USER_INPUT", "field": field });
        assert_eq!(set(json!({ "state": "BUSY", "text": "x".repeat(141) })).await, bad("text"));
        assert_eq!(set(json!({ "state": "BUSY", "text": "two\nlines" })).await, bad("text"));
        assert_eq!(set(json!({ "state": "BUSY", "text": "nul\0" })).await, bad("text"));
        for state in ["BUSY", "OFFLINE"] {
            assert_eq!(set(json!({ "state": state, "automatic": true })).await, bad("automatic"));
        }
        let query = "mutation { setPresence(input: { state: ONLINE }) { presence { state } } }";
        let stranger = app.anonymous(query, json!({})).await;
        assert_eq!(stranger["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        assert_eq!(ann.sees(&ann).await["lastSeenAt"], Value::Null, "nothing came of it");

        let mut socket = ann.opens_socket().await;
        let mut subscribe = async |ids: Vec<String>| {
            socket.subscribe("1", WATCH, &json!({ "ids": ids })).await;
            let answer = socket.next().await.expect("an answer");
            assert_eq!(socket.next().await.expect("an end")["type"], "complete");
            answer["payload"]["errors"][0]["extensions"].clone()
        };
        let nobody = format!("usr_{}", "A".repeat(22));
        let many = (0..201).map(|n| format!("usr_{}{n:03}A", "A".repeat(18))).collect();
        assert_eq!(subscribe(many).await, bad("userIds"));
        for ids in [vec![nobody], vec![ann.id.clone(), "no id".to_owned()]] {
            assert_eq!(subscribe(ids).await, json!({ "code": "NOT_FOUND" }));
        }
        let mut socket = Socket::open(&app.url("/graphql"), None).await;
        socket.subscribe("1", WATCH, &json!({ "ids": [ann.id] })).await;
        let answer = socket.next().await.expect("an answer");
        assert_eq!(answer["payload"]["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
}
