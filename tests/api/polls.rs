//! Polls: asked once, voted in by whoever reads them, and closed.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::people::{SEND, Sent, text};
use crate::harness::{Person, Room, on_both};
use crate::reactions::crowd;

pub(crate) const ASK: &str = "mutation($input: CreatePollInput!) {
    createPoll(input: $input) { message { id seq text poll { isClosed voterCount options { number text count } } } }
}";
pub(crate) const VOTE: &str = "mutation($input: VotePollInput!) {
    votePoll(input: $input) { message { id poll { voterCount viewerVotes options { count } } } }
}";
pub(crate) const CLOSE: &str = "mutation($input: ClosePollInput!) { closePoll(input: $input) { message { poll { isClosed } } } }";
/// Who has voted for what.
pub(crate) const WHO: &str =
    "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    node(id: $id) { ... on Message { text poll {
        allowsMultiple isAnonymous closesAt isClosed voterCount viewerVotes
        options { number text count
            voters(first: $first, after: $after, last: $last, before: $before) {
                nodes { displayName } pageInfo { endCursor }
            } }
    } } }
}";

/// A question with these options.
pub(crate) fn poll(options: &[&str]) -> Value {
    json!({ "question": "Which?", "options": options })
}

pub(crate) fn vote(message: &Sent, options: &[i32]) -> Value {
    json!({ "input": { "messageId": message.id, "options": options } })
}

/// The poll of a message, as somebody sees it.
pub(crate) async fn sees_poll(person: &Person, message: &Sent) -> Value {
    person.asks(WHO, json!({ "id": message.id })).await["node"]["poll"].clone()
}

/// How often each option was chosen, and how many have voted.
fn votes(poll: &Value) -> (Vec<i64>, i64) {
    let options = poll["options"].as_array().expect("a list").iter();
    let counts = options.map(|option| option["count"].as_i64().expect("a number"));
    (
        counts.collect(),
        poll["voterCount"].as_i64().expect("a number"),
    )
}

impl Person {
    pub(crate) async fn asks_poll(&self, room: &Room, poll: Value) -> Sent {
        let mut input = poll;
        input["conversationId"] = json!(room.id);
        let message =
            self.asks(ASK, json!({ "input": input })).await["createPoll"]["message"].clone();
        let seq = message["seq"].as_i64().expect("a number");
        Sent {
            id: text(&message["id"]),
            seq,
        }
    }

    pub(crate) async fn votes(&self, message: &Sent, options: &[i32]) -> Value {
        let voted = self.asks(VOTE, vote(message, options)).await;
        voted["votePoll"]["message"]["poll"].clone()
    }

    async fn closes(&self, message: &Sent) {
        let input = json!({ "input": { "messageId": message.id } });
        let closed = self.asks(CLOSE, input).await;
        assert_eq!(closed["closePoll"]["message"]["poll"]["isClosed"], true);
    }
}

on_both! {
    async fn a_poll_is_asked_once_answered_and_closed(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[&bob, &cleo]).await;
        let mut events = cleo.follows(&room, Some(0)).await;
        let mut asked = poll(&["tea", "coffee", "water"]);
        asked["clientMessageId"] = json!("key");
        let message = bob.asks_poll(&room, asked.clone()).await;
        assert_eq!(bob.asks_poll(&room, asked.clone()).await, message, "a retry is no other poll");
        asked["options"] = json!(["tea", "coffee"]);
        asked["conversationId"] = json!(room.id);
        assert_eq!(bob.is_refused(ASK, json!({ "input": asked })).await, "CONFLICT");
        let text = json!({ "input": { "conversationId": room.id, "text": "Which?", "clientMessageId": "key" } });
        assert_eq!(bob.is_refused(SEND, text).await, "CONFLICT");
        let sent = events.next().await;
        assert_eq!((&sent["__typename"], &sent["message"]["text"]), (&json!("MessageSent"), &json!("Which?")));

        assert_eq!(votes(&ann.votes(&message, &[2]).await), (vec![0, 1, 0], 1));
        // What is chosen replaces what was; the same again is no change.
        let changed = ann.votes(&message, &[1]).await;
        assert_eq!((votes(&changed), &changed["viewerVotes"]), ((vec![1, 0, 0], 1), &json!([1])));
        ann.votes(&message, &[1]).await;
        cleo.votes(&message, &[1]).await;
        ann.votes(&message, &[]).await;
        let told = events.take(4).await;
        for (event, actor) in told.iter().zip([&ann, &ann, &cleo, &ann]) {
            assert_eq!((&event["__typename"], &event["actor"]["id"]), (&json!("PollChanged"), &json!(actor.id)));
        }
        let seen = sees_poll(&cleo, &message).await;
        assert_eq!((votes(&seen), &seen["viewerVotes"]), ((vec![1, 0, 0], 1), &json!([1])));
        assert_eq!(seen["options"][0]["voters"]["nodes"], json!([{ "displayName": "Cleo" }]));

        for wrong in [&[0][..], &[4], &[-1], &[1, 2]] {
            let refused = cleo.is_refused_with(VOTE, vote(&message, wrong)).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": "options" }), "{wrong:?}");
        }
        let close = json!({ "input": { "messageId": message.id } });
        assert_eq!(cleo.is_refused(CLOSE, close).await, "FORBIDDEN");
        bob.closes(&message).await;
        ann.closes(&message).await;
        assert_eq!(events.next().await["actor"]["id"], bob.id.as_str());
        assert_eq!(cleo.is_refused(VOTE, vote(&message, &[2])).await, "CONFLICT");
        bob.deletes(&message).await;
        assert_eq!(events.next().await["__typename"], "MessageDeleted", "and closing it again was no event");
        assert_eq!(sees_poll(&cleo, &message).await, Value::Null);
        assert_eq!(app.runs_sql("SELECT count(*) FROM poll_votes").await, "0");
        let said = bob.sends(&room, "no poll").await;
        assert_eq!(cleo.is_refused(VOTE, vote(&said, &[1])).await, "BAD_USER_INPUT");
    }

    async fn several_may_be_chosen_and_nobody_told_by_whom(app) {
        let people = crowd(app, 3).await;
        let [ann, others @ ..] = &people[..] else { panic!("three people") };
        let channel = json!({ "kind": "CHANNEL", "title": "News", "memberIds": [others[0].id, others[1].id] });
        let room = ann.makes(channel).await;
        let mut asked = poll(&["a", "b", "c"]);
        asked["allowsMultiple"] = json!(true);
        let open = ann.asks_poll(&room, asked.clone()).await;
        asked["isAnonymous"] = json!(true);
        let anonymous = ann.asks_poll(&room, asked).await;
        // Plain members do not ask in a channel, but they answer.
        for message in [&open, &anonymous] {
            for person in &people {
                person.votes(message, &[3, 1]).await;
            }
        }
        let who = ann.asks(WHO, json!({ "id": open.id, "first": 2 })).await["node"]["poll"].clone();
        assert_eq!(votes(&who), (vec![3, 0, 3], 3));
        let voters = &who["options"][2]["voters"];
        assert_eq!(voters["nodes"], json!([{ "displayName": "P 0" }, { "displayName": "P 1" }]));
        let next = json!({ "id": open.id, "first": 2, "after": voters["pageInfo"]["endCursor"] });
        let next = ann.asks(WHO, next).await;
        assert_eq!(next["node"]["poll"]["options"][2]["voters"]["nodes"], json!([{ "displayName": "P 2" }]));
        let hidden = sees_poll(&others[0], &anonymous).await;
        assert_eq!((votes(&hidden), &hidden["viewerVotes"]), ((vec![3, 0, 3], 3), &json!([1, 3])));
        assert!(hidden["options"].as_array().expect("a list").iter().all(|option| option["voters"]["nodes"] == json!([])));
    }

    async fn who_votes_alone_is_named_unless_the_poll_is_anonymous(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        let mut live = ann.follows(&room, Some(0)).await;
        for is_anonymous in [false, true] {
            let mut asked = poll(&["a", "b"]);
            asked["isAnonymous"] = json!(is_anonymous);
            let asked = ann.asks_poll(&room, asked).await;
            live.next().await;
            bob.votes(&asked, &[2]).await;
            let event = live.next().await;
            let named = if is_anonymous { Value::Null } else { json!(bob.id) };
            assert_eq!(event["actor"]["id"], named, "{event}");
            assert_eq!(event["message"]["poll"]["options"][1]["count"], 1);
            let mut replayed = bob.follows(&room, Some(asked.seq)).await;
            assert_eq!(replayed.next().await, event);
        }
    }

    async fn it_closes_by_itself(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        let at = backchannel_domain::Timestamp(app.clock.now().0 + 60_000);
        let mut asked = poll(&["a", "b"]);
        asked["closesAt"] = json!(backchannel_schema::rfc3339(at));
        let message = ann.asks_poll(&room, asked).await;
        bob.votes(&message, &[1]).await;
        assert_eq!(sees_poll(&bob, &message).await["isClosed"], false);
        app.advance(Duration::from_secs(61));
        assert_eq!(bob.is_refused(VOTE, vote(&message, &[2])).await, "CONFLICT");
        let closed = sees_poll(&bob, &message).await;
        assert_eq!((&closed["isClosed"], votes(&closed)), (&json!(true), (vec![1, 0], 1)));
        let last = ann.last_seq(&room).await;
        ann.closes(&message).await;
        assert_eq!(ann.last_seq(&room).await, last, "it is closed already");
    }

    async fn what_cannot_be_asked_is_refused(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes(json!({ "kind": "CHANNEL", "title": "News", "memberIds": [bob.id] })).await;
        let many: Vec<String> = (0..13).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let long = "x".repeat(101);
        for (options, field) in [(&["one"][..], "options"), (&many, "options"), (&["a", "a"], "options"), (&["a", " "], "options"), (&["a", &long], "options")] {
            let mut input = poll(options);
            input["conversationId"] = json!(room.id);
            let refused = ann.is_refused_with(ASK, json!({ "input": input })).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": field }));
        }
        for (field, value) in [("question", json!(" ")), ("question", json!("x".repeat(301))), ("closesAt", json!("2020-01-01T00:00:00Z")), ("clientMessageId", json!(""))] {
            let mut input = poll(&["a", "b"]);
            input["conversationId"] = json!(room.id);
            input[field] = value;
            let refused = ann.is_refused_with(ASK, json!({ "input": input })).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": field }));
        }
        let mut input = poll(&["a", "b"]);
        input["conversationId"] = json!(room.id);
        assert_eq!(bob.is_refused(ASK, json!({ "input": input })).await, "FORBIDDEN");
        assert_eq!(ann.last_seq(&room).await, 0);
    }

    async fn a_crowd_of_voters_is_told_in_few_events(app) {
        let people = crowd(app, 12).await;
        let others: Vec<&Person> = people[1..].iter().collect();
        let room = people[0].makes_group("Crowd", &others).await;
        let message = people[0].asks_poll(&room, poll(&["a", "b"])).await;
        let mut events = people[1].follows(&room, Some(message.seq)).await;
        join_all(people.iter().map(|person| person.votes(&message, &[1]))).await;
        join_all(people.iter().map(|person| person.votes(&message, &[2]))).await;
        let last = people[0].last_seq(&room).await;
        assert!(last - message.seq <= 8, "{last}");
        let told = events.take(usize::try_from(last - message.seq).expect("small")).await;
        assert!(told.iter().any(|event| event["actor"].is_null()), "several have no one actor");
        assert_eq!(votes(&sees_poll(&people[0], &message).await), (vec![0, 12], 12));
    }
}
