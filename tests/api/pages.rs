//! Reading: pages, their edges, and what they cost.

mod written;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::people::seqs;
use crate::harness::{App, Person, on_both};

const PAGE: &str = "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    conversation(id: $id) {
        messages(first: $first, after: $after, last: $last, before: $before) {
            edges { cursor node { seq } }
            nodes { seq }
            pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }
    }
}";

/// How many statements a query costs.
async fn statements(app: &App, person: &Person, query: &str, variables: Value) -> (Value, u64) {
    let before = app.domain.statements().count();
    let found = person.asks(query, variables).await;
    (found, app.domain.statements().count() - before)
}

async fn page(person: &Person, id: &str, args: Value) -> Value {
    let mut variables = args;
    variables["id"] = json!(id);
    person.asks(PAGE, variables).await["conversation"]["messages"].clone()
}

fn nodes(page: &Value) -> Vec<i64> {
    seqs(page["nodes"].as_array().expect("a list"))
}

on_both! {
    async fn a_membership_is_read_once_a_second_however_often_pages_are(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Pages", &[]).await;
        let cost = async |query| {
            let (_, cost) = statements(app, &ann, query, json!({ "id": room.id })).await;
            cost
        };
        let mut least = [u64::MAX; 3];
        // The least of several, for the node looks at the database by itself now and then.
        for _ in 0..10 {
            app.advance(Duration::from_secs(1));
            cost("{ viewer { user { id } } }").await;
            let costs = [
                cost(PAGE).await,
                cost(PAGE).await,
                cost("query($id: ID!) { conversation(id: $id) { id lastSeq } }").await,
            ];
            least = std::array::from_fn(|n| least[n].min(costs[n]));
        }
        assert_eq!(least, [2, 1, 1], "what may have changed is read each time");
    }

    async fn pages_follow_each_other_in_both_directions(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Pages", &[]).await;
        for n in 1..=7 {
            ann.sends(&room, &format!("{n}")).await;
        }
        let newest = page(&ann, &room.id, json!({ "last": 3 })).await;
        assert_eq!(nodes(&newest), [5, 6, 7]);
        assert_eq!(newest["pageInfo"]["hasPreviousPage"], true);
        assert_eq!(newest["pageInfo"]["hasNextPage"], false);
        let older = json!({ "last": 3, "before": newest["pageInfo"]["startCursor"] });
        let older = page(&ann, &room.id, older).await;
        assert_eq!(nodes(&older), [2, 3, 4]);
        assert_eq!(older["pageInfo"]["hasNextPage"], true);
        let oldest = json!({ "last": 3, "before": older["pageInfo"]["startCursor"] });
        let oldest = page(&ann, &room.id, oldest).await;
        assert_eq!(nodes(&oldest), [1]);
        assert_eq!(oldest["pageInfo"]["hasPreviousPage"], false);

        let first = page(&ann, &room.id, json!({ "first": 4 })).await;
        assert_eq!(nodes(&first), [1, 2, 3, 4]);
        assert_eq!(first["edges"][3]["cursor"], first["pageInfo"]["endCursor"]);
        let rest = json!({ "first": 4, "after": first["pageInfo"]["endCursor"] });
        let rest = page(&ann, &room.id, rest).await;
        assert_eq!(nodes(&rest), [5, 6, 7]);
        assert_eq!(rest["pageInfo"]["hasNextPage"], false);
        let between = json!({ "first": 9, "after": first["edges"][0]["cursor"], "before": rest["edges"][0]["cursor"] });
        assert_eq!(nodes(&page(&ann, &room.id, between).await), [2, 3, 4]);
        assert_eq!(nodes(&page(&ann, &room.id, json!({})).await), [1, 2, 3, 4, 5, 6, 7]);
    }

    async fn a_page_of_an_empty_conversation_is_empty(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Empty", &[]).await;
        let empty = page(&ann, &room.id, json!({ "last": 50 })).await;
        let info = json!({ "hasNextPage": false, "hasPreviousPage": false, "startCursor": null, "endCursor": null });
        assert_eq!(empty, json!({ "edges": [], "nodes": [], "pageInfo": info }));
    }

    async fn a_page_of_50_messages_with_senders_costs_at_most_4_statements(app) {
        let people = app.people(["Ann", "Bob", "Cleo", "Dan", "Eve"]).await;
        let [ann, others @ ..] = &people;
        let room = ann.makes_group("Busy", &others.each_ref()).await;
        for n in 0..60 {
            people[n % 5].sends(&room, &format!("{n}")).await;
        }
        let query = "query($id: ID!) { conversation(id: $id) { messages(last: 50) {
            nodes { id seq text createdAt sender { id displayName avatarUrl } } } } }";
        let (found, cost) = statements(app, ann, query, json!({ "id": room.id })).await;
        let nodes = found["conversation"]["messages"]["nodes"].as_array().expect("a page");
        assert_eq!(nodes.len(), 50);
        assert_eq!(nodes[49]["sender"]["displayName"], "Eve");
        assert!(cost <= 4, "{cost} statements");
    }

    async fn fifty_conversations_with_last_message_and_unread_cost_at_most_6_statements(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        for n in 0..50 {
            let room = ann.makes_group(&format!("Room {n}"), &[&bob]).await;
            bob.sends(&room, "read").await;
            bob.sends(&room, &format!("newest of {n}")).await;
        }
        let query = "{ viewer { conversations(first: 50) { nodes {
            id title unreadCount
            messages(last: 1) { nodes { text sender { displayName } } } } } } }";
        let (found, cost) = statements(app, &ann, query, json!({})).await;
        let nodes = found["viewer"]["conversations"]["nodes"].as_array().expect("a page");
        assert_eq!(nodes.len(), 50);
        for (index, node) in nodes.iter().enumerate() {
            let number = 49 - index;
            assert_eq!(node["title"], format!("Room {number}"), "most recently active first");
            assert_eq!(node["unreadCount"], 2);
            assert_eq!(node["messages"]["nodes"][0]["text"], format!("newest of {number}"));
            assert_eq!(node["messages"]["nodes"][0]["sender"]["displayName"], "Bob");
        }
        assert!(cost <= 6, "{cost} statements");
    }

    async fn members_of_many_conversations_are_paged_in_one_statement(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        for n in 0..10 {
            ann.makes_group(&format!("Room {n}"), &[&bob, &cleo]).await;
        }
        let query = "{ viewer { conversations(first: 10) { nodes {
            members(first: 2) { totalCount nodes { role user { displayName } } pageInfo { hasNextPage } } } } } }";
        let (found, cost) = statements(app, &ann, query, json!({})).await;
        for node in found["viewer"]["conversations"]["nodes"].as_array().expect("a page") {
            assert_eq!(node["members"]["totalCount"], 3);
            assert_eq!(node["members"]["nodes"].as_array().map(Vec::len), Some(2));
            assert_eq!(node["members"]["pageInfo"]["hasNextPage"], true);
        }
        assert!(cost <= 5, "{cost} statements");
    }

    async fn the_viewers_list_is_paged_by_activity(app) {
        let ann = app.person("Ann").await;
        let mut rooms = Vec::new();
        for n in 0..5 {
            rooms.push(ann.makes_group(&format!("{n}"), &[]).await);
        }
        ann.sends(&rooms[1], "up").await;
        let query = "query($first: Int, $after: String, $last: Int, $before: String) {
            viewer { conversations(first: $first, after: $after, last: $last, before: $before) {
                nodes { title } pageInfo { hasNextPage hasPreviousPage endCursor startCursor } } } }";
        let list = async |args: Value| ann.asks(query, args).await["viewer"]["conversations"].clone();
        let titles = |page: &Value| -> Vec<String> {
            let nodes = page["nodes"].as_array().expect("a list");
            nodes.iter().map(|node| node["title"].as_str().expect("a title").to_owned()).collect()
        };
        let first = list(json!({ "first": 2 })).await;
        assert_eq!(titles(&first), ["1", "4"]);
        assert_eq!(first["pageInfo"]["hasNextPage"], true);
        let next = list(json!({ "first": 9, "after": first["pageInfo"]["endCursor"] })).await;
        assert_eq!(titles(&next), ["3", "2", "0"]);
        assert_eq!(next["pageInfo"]["hasNextPage"], false);
        let last = list(json!({ "last": 2 })).await;
        assert_eq!(titles(&last), ["2", "0"]);
        let before = list(json!({ "last": 2, "before": last["pageInfo"]["startCursor"] })).await;
        assert_eq!(titles(&before), ["4", "3"]);
        assert_eq!(before["pageInfo"]["hasPreviousPage"], true);
    }

    async fn unread_counts_others_messages_only(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Unread", &[&bob]).await;
        let unread = async |person: &Person| {
            let query = "query($id: ID!) { conversation(id: $id) { unreadCount } }";
            person.asks(query, json!({ "id": room.id })).await["conversation"]["unreadCount"].as_i64()
        };
        let mark = "mutation($input: MarkInput!) { markRead(input: $input) { member { readSeq deliveredSeq user { id } } } }";
        ann.sends(&room, "one").await;
        let second = ann.sends(&room, "two").await;
        bob.sends(&room, "mine").await;
        assert_eq!((unread(&ann).await, unread(&bob).await), (Some(1), Some(2)));

        ann.deletes(&second).await;
        assert_eq!(unread(&bob).await, Some(1), "a deleted message is not unread");
        let marked = bob.asks(mark, json!({ "input": { "conversationId": room.id, "seq": 4 } })).await;
        let member = &marked["markRead"]["member"];
        assert_eq!(*member, json!({ "readSeq": 4, "deliveredSeq": 4, "user": { "id": bob.id } }));
        assert_eq!(unread(&bob).await, Some(0));
        let back = bob.asks(mark, json!({ "input": { "conversationId": room.id, "seq": 1 } })).await;
        assert_eq!(back["markRead"]["member"]["readSeq"], 4, "marks never move back");
    }
}
