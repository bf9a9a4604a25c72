//! Reactions: counted right, whoever reacts at the same time, and told in few events.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::{Value, json};

use crate::harness::people::{Sent, text};
use crate::harness::{App, Person, Room, on_both};

pub(crate) const ADD: &str = "mutation($input: AddReactionInput!) {
    addReaction(input: $input) { message { id reactions { emoji count viewerReacted } } }
}";
pub(crate) const REMOVE: &str = "mutation($input: RemoveReactionInput!) {
    removeReaction(input: $input) { message { id reactions { emoji count viewerReacted } } }
}";
/// Who has reacted to a message, with what.
pub(crate) const WHO: &str =
    "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    node(id: $id) { ... on Message { reactions {
        emoji count viewerReacted
        users(first: $first, after: $after, last: $last, before: $before) {
            nodes { displayName } pageInfo { hasNextPage hasPreviousPage endCursor startCursor }
        }
    } } }
}";

/// The ten that this file reacts with.
const SOME: [&str; 10] = ["👍", "🎉", "😀", "🚀", "🙈", "🐙", "🌵", "🍋", "🎸", "🧭"];

pub(crate) fn reaction(message: &Sent, emoji: &str) -> Value {
    json!({ "input": { "messageId": message.id, "emoji": emoji } })
}

/// What a message shows of its reactions: how often each.
pub(crate) fn counts(message: &Value) -> BTreeMap<String, i64> {
    let reactions = message["reactions"].as_array().expect("a list");
    let count = |reaction: &Value| {
        let count = reaction["count"].as_i64().expect("a number");
        (text(&reaction["emoji"]), count)
    };
    reactions.iter().map(count).collect()
}

impl Person {
    /// Reacts; answers the reactions.
    pub(crate) async fn reacts(&self, message: &Sent, emoji: &str) -> Value {
        let added = self.asks(ADD, reaction(message, emoji)).await;
        added["addReaction"]["message"]["reactions"].clone()
    }

    /// Takes a reaction back; answers the reactions.
    pub(crate) async fn unreacts(&self, message: &Sent, emoji: &str) -> Value {
        let removed = self.asks(REMOVE, reaction(message, emoji)).await;
        removed["removeReaction"]["message"]["reactions"].clone()
    }

    async fn sees_who(&self, message: &Sent, page: Value) -> Value {
        let mut variables = page;
        variables["id"] = json!(message.id);
        self.asks(WHO, variables).await["node"]["reactions"].clone()
    }

    async fn may_not_react(&self, message: &Sent) -> String {
        self.is_refused(ADD, reaction(message, "🍋")).await
    }
}

/// So many people.
pub(crate) async fn crowd(app: &App, count: usize) -> Vec<Person> {
    let people = stream::iter(0..count).map(|n| async move { app.person(&format!("P {n}")).await });
    people.buffered(4).collect().await
}

fn shown(emoji: &str, count: i64, own: bool) -> Value {
    json!({ "emoji": emoji, "count": count, "viewerReacted": own })
}

/// Reads events up to the last; answers how many there were, and what the last one shows.
async fn last_shown(person: &Person, room: &Room, after: i64) -> (i64, BTreeMap<String, i64>) {
    const QUERY: &str = "subscription($id: ID!, $after: Int) {
        conversationEvents(conversationId: $id, after: $after) { __typename seq actor { id }
            ... on MessageReactionsChanged { message { reactions { emoji count } } }
        }
    }";
    let last = person.last_seq(room).await;
    let mut socket = person.opens_socket().await;
    let variables = json!({ "id": room.id, "after": after });
    socket.subscribe("1", QUERY, &variables).await;
    loop {
        let told = socket.next().await.expect("the stream goes on");
        let event = &told["payload"]["data"]["conversationEvents"];
        assert_eq!(event["__typename"], "MessageReactionsChanged", "{told}");
        if event["seq"] == last {
            return (last - after, counts(&event["message"]));
        }
    }
}

on_both! {
    async fn a_reaction_is_told_shown_and_taken_back(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let channel = ann.makes(json!({ "kind": "CHANNEL", "title": "News", "memberIds": [bob.id] })).await;
        let message = ann.sends(&channel, "news").await;
        let mut events = ann.follows(&channel, Some(1)).await;
        // One is one, however it is spelled.
        assert_eq!(bob.reacts(&message, "❤").await, json!([shown("❤\u{FE0F}", 1, true)]));
        assert_eq!(bob.reacts(&message, "❤\u{FE0F}").await, json!([shown("❤\u{FE0F}", 1, true)]));
        bob.unreacts(&message, "👍").await;
        assert_eq!(ann.reacts(&message, "👍").await, json!([shown("❤\u{FE0F}", 1, false), shown("👍", 1, true)]));
        bob.unreacts(&message, "❤").await;
        let told = events.take(3).await;
        for (event, actor) in told.iter().zip([&bob, &ann, &bob]) {
            assert_eq!(event["__typename"], "MessageReactionsChanged");
            assert_eq!(event["actor"]["id"], actor.id.as_str());
            assert_eq!(event["message"]["id"], message.id.as_str());
        }
        assert_eq!(counts(&told[2]["message"]), BTreeMap::from([("👍".to_owned(), 1)]));
        assert_eq!(ann.last_seq(&channel).await, 4, "what was so already is no event");
        // With the message, they are gone.
        ann.deletes(&message).await;
        assert_eq!(counts(&events.next().await["message"]), BTreeMap::new());
        assert_eq!(bob.may_not_react(&message).await, "CONFLICT");
        assert_eq!(app.runs_sql("SELECT count(*) FROM reactions").await, "0");
    }

    async fn there_is_room_for_so_many(app) {
        let people = crowd(app, 5).await;
        let [ann, bob, ..] = &people[..] else { panic!("five people") };
        let others: Vec<&Person> = people[1..].iter().collect();
        let room = ann.makes_group("Room", &others).await;
        let message = ann.sends(&room, "hi").await;
        let all: Vec<char> = "😀😃😄😁😆😅😂🙂🙃😉😊😇🥰😍🤩😘😗😚😙🥲😋".chars().collect();
        for (person, five) in people.iter().zip(all[..20].chunks(5)) {
            for emoji in five {
                person.reacts(&message, &emoji.to_string()).await;
            }
        }
        let own = ann.is_refused_with(ADD, reaction(&message, "😋")).await;
        assert_eq!(own, json!({ "code": "CONFLICT", "field": "emoji" }), "a sixth");
        let last = people.last().expect("five");
        let other = last.is_refused_with(ADD, reaction(&message, "😋")).await;
        assert_eq!(other, json!({ "code": "CONFLICT", "field": "emoji" }), "a twenty-first");
        // What is there already takes no room, and what is taken back makes some.
        last.reacts(&message, "😀").await;
        ann.reacts(&message, "😀").await;
        bob.unreacts(&message, "😅").await;
        last.reacts(&message, "😋").await;
        for wrong in ["", "a", "ok", "👍👍", "1", ":+1:"] {
            let refused = ann.is_refused_with(ADD, reaction(&message, wrong)).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": "emoji" }), "{wrong}");
        }
    }

    async fn reactions_are_refused_where_nobody_reacts(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        let message = ann.sends(&room, "hi").await;
        assert_eq!(cleo.may_not_react(&message).await, "NOT_FOUND");
        assert_eq!(cleo.is_refused(REMOVE, reaction(&message, "👍")).await, "NOT_FOUND");
        ann.archives(&room).await;
        assert_eq!(bob.may_not_react(&message).await, "FORBIDDEN");
        ann.restores(&room).await;
        let allows = |allows: bool| json!({ "settings": { "allowsReactions": allows } });
        ann.updates(&room, allows(false)).await;
        assert_eq!(bob.may_not_react(&message).await, "FORBIDDEN");
        ann.updates(&room, allows(true)).await;
        bob.reacts(&message, "👍").await;
        let direct = ann.makes_direct(&bob).await;
        let said = ann.sends(&direct, "hi").await;
        bob.reacts(&said, "👍").await;
        ann.blocks(&bob).await;
        assert_eq!(ann.may_not_react(&said).await, "FORBIDDEN");
        assert_eq!(bob.may_not_react(&said).await, "FORBIDDEN");
        assert_eq!(ann.sees_who(&said, json!({})).await[0]["count"], 1, "what there is stays");
        assert_eq!(bob.unreacts(&said, "👍").await, json!([]), "unless it is taken back");
        ann.removes(&room, &bob).await;
        assert_eq!(bob.may_not_react(&message).await, "NOT_FOUND");
    }

    async fn who_has_reacted_comes_in_pages(app) {
        let people = crowd(app, 3).await;
        let [ann, others @ ..] = &people[..] else { panic!("three people") };
        let room = ann.makes_group("Room", &others.iter().collect::<Vec<_>>()).await;
        let message = ann.sends(&room, "hi").await;
        for person in &people {
            // Each in a commit of its own.
            person.reacts(&message, "👍").await;
        }
        let names = |found: &Value| -> Vec<String> {
            let nodes = found[0]["users"]["nodes"].as_array().expect("a list");
            nodes.iter().map(|node| text(&node["displayName"])).collect()
        };
        let first = ann.sees_who(&message, json!({ "first": 2 })).await;
        assert_eq!((names(&first), &first[0]["count"]), (vec!["P 0".to_owned(), "P 1".to_owned()], &json!(3)));
        let info = &first[0]["users"]["pageInfo"];
        assert_eq!((&info["hasNextPage"], &info["hasPreviousPage"]), (&json!(true), &json!(false)));
        let next = ann.sees_who(&message, json!({ "first": 2, "after": info["endCursor"] })).await;
        assert_eq!(names(&next), ["P 2"]);
        let cursor = &next[0]["users"]["pageInfo"]["startCursor"];
        let back = ann.sees_who(&message, json!({ "last": 1, "before": cursor })).await;
        assert_eq!(names(&back), ["P 1"]);
        // Fifty messages cost no more than one.
        let two = ann.sends(&room, "two").await;
        ann.reacts(&two, "🎉").await;
        let query = "query($id: ID!) { conversation(id: $id) { messages { nodes { reactions {
            emoji count viewerReacted } sender { displayName } } } } }";
        app.domain.statements().record();
        ann.asks(query, json!({ "id": room.id })).await;
        assert!(app.recorded_statements().await.len() <= 6);
    }

    async fn a_storm_is_counted_right_and_told_in_few_events(app) {
        const TIMES: usize = 10;
        let people = crowd(app, 20).await;
        let others: Vec<&Person> = people[1..].iter().collect();
        let room = people[0].makes_group("Storm", &others).await;
        let message = people[0].sends(&room, "react!").await;
        let began = Instant::now();
        // Each reacts with five, and retries each nine times: a thousand.
        let reacts = people.iter().enumerate().flat_map(|(n, person)| {
            (0..5 * TIMES).map(move |i| (person, SOME[(n + i % 5) % SOME.len()]))
        });
        let answers = join_all(reacts.map(|(person, emoji)| person.reacts(&message, emoji)));
        let answers = answers.await;
        assert_eq!(answers.len(), 1_000);
        // Two of the five are taken back, again and again.
        let takes_back = people.iter().enumerate().flat_map(|(n, person)| {
            (0..2 * TIMES).map(move |i| (person, SOME[(n + i % 2) % SOME.len()]))
        });
        join_all(takes_back.map(|(person, emoji)| person.unreacts(&message, emoji))).await;
        let took = began.elapsed();

        let expected: BTreeMap<String, i64> = SOME.iter().map(|emoji| ((*emoji).to_owned(), 6)).collect();
        let (events, shown) = last_shown(&people[1], &room, message.seq).await;
        assert_eq!(shown, expected);
        let rows = "SELECT count(*) FROM reactions";
        assert_eq!(app.runs_sql(rows).await, "60", "as many rows as are counted");
        let most = i64::try_from(took.as_millis() / 250).expect("a short time") + 2;
        assert!((2..=most).contains(&events), "{events} events in {took:?}");
    }
}
