//! Who has seen a message.

use super::*;
use crate::harness::people::{Sent, text};

const SEEN_BY: &str = "query($id: ID!) { node(id: $id) { ... on Message {
    seenBy { totalCount nodes { user { id } } }
} } }";

impl Person {
    /// The ids of those who have seen a message, as this one knows.
    pub(super) async fn seen_by(&self, message: &Sent) -> Vec<String> {
        let found = self.asks(SEEN_BY, json!({ "id": message.id })).await;
        let seen_by = &found["node"]["seenBy"];
        let nodes = seen_by["nodes"].as_array().expect("a list");
        assert_eq!(seen_by["totalCount"], nodes.len());
        nodes.iter().map(|node| text(&node["user"]["id"])).collect()
    }
}

on_both! {
    async fn a_message_is_seen_by_those_who_were_there_and_have_read_it(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes_group("Seen", &[&bob, &cleo]).await;
        let first = ann.sends(&room, "one").await;
        let second = bob.sends(&room, "two").await;
        assert_eq!(ann.seen_by(&first).await, [""; 0], "not even by the sender");
        bob.reads(&room, 1).await;
        assert_eq!(ann.seen_by(&first).await, [&*bob.id]);
        ann.reads(&room, 2).await;
        cleo.reads(&room, 2).await;
        assert_eq!(ann.seen_by(&first).await.len(), 2);
        assert_eq!(bob.seen_by(&second).await.len(), 2);

        // One who came later was not there; one who has left is not any more.
        ann.adds(&room, &[&dan]).await;
        dan.reads(&room, 3).await;
        assert_eq!(dan.seen_by(&first).await.len(), 2);
        ann.removes(&room, &cleo).await;
        assert_eq!(ann.seen_by(&first).await, [&*bob.id]);
        ann.adds(&room, &[&cleo]).await;
        cleo.reads(&room, 5).await;
        assert_eq!(ann.seen_by(&first).await, [&*bob.id], "who comes back is new");
        ann.deletes(&first).await;
        assert_eq!(ann.seen_by(&first).await, [&*bob.id], "a tombstone was seen as well");
    }

    async fn pages_of_those_who_saw_follow_each_other(app) {
        let people = app.people(["Ann", "Bob", "Cleo", "Dan", "Eve"]).await;
        let [ann, others @ ..] = &people;
        let room = ann.makes_group("Pages", &[]).await;
        for other in others {
            ann.adds(&room, &[other]).await;
        }
        let said = ann.sends(&room, "hello").await;
        for other in others {
            other.reads(&room, said.seq).await;
        }
        let query = "query($id: ID!, $first: Int, $after: String, $last: Int) { node(id: $id) { ... on Message {
            seenBy(first: $first, after: $after, last: $last) {
                totalCount nodes { user { id } } pageInfo { endCursor hasNextPage hasPreviousPage }
            }
        } } }";
        let page = async |variables: Value| {
            let mut variables = variables;
            variables["id"] = json!(said.id);
            let seen = ann.asks(query, variables).await["node"]["seenBy"].clone();
            assert_eq!(seen["totalCount"], 4);
            let nodes = seen["nodes"].as_array().expect("a list").iter();
            let ids: Vec<_> = nodes.map(|node| text(&node["user"]["id"])).collect();
            (ids, seen["pageInfo"].clone())
        };
        let ids: Vec<_> = others.iter().map(|other| other.id.clone()).collect();
        let (first, info) = page(json!({ "first": 3 })).await;
        assert_eq!((first.as_slice(), &info["hasNextPage"]), (&ids[..3], &json!(true)));
        let (rest, info) = page(json!({ "first": 3, "after": info["endCursor"] })).await;
        assert_eq!((rest.as_slice(), &info["hasNextPage"]), (&ids[3..], &json!(false)));
        let (last, info) = page(json!({ "last": 2 })).await;
        assert_eq!((last.as_slice(), &info["hasPreviousPage"]), (&ids[2..], &json!(true)));
        let refused = ann.is_refused(query, json!({ "id": said.id, "first": 201 })).await;
        assert_eq!(refused, "BAD_USER_INPUT");
    }

    async fn who_saw_each_of_50_messages_costs_2_statements_and_how_many_costs_1(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Many", &[&bob, &cleo]).await;
        for n in 1..=50 {
            ann.sends(&room, &format!("{n}")).await;
        }
        bob.reads(&room, 50).await;
        cleo.reads(&room, 25).await;
        let query = |of: &str| format!("query($id: ID!) {{ conversation(id: $id) {{ lastSeq
            messages(last: 50) {{ nodes {{ seq {of} }} }} }} }}");
        let cost = async |of: &str| {
            app.domain.statements().record();
            let found = ann.asks(&query(of), json!({ "id": room.id })).await;
            let statements = app.recorded_statements().await;
            let of_members = statements.iter().filter(|sql| sql.contains("\"members\""));
            (of_members.count(), found)
        };
        let (bare, _) = cost("").await;
        let (counted, found) = cost("seenBy { totalCount }").await;
        let (listed, _) = cost("seenBy(first: 3) { totalCount nodes { user { id } } }").await;
        let nodes = found["conversation"]["messages"]["nodes"].as_array().expect("a list");
        for node in nodes {
            let expected = if node["seq"].as_i64() <= Some(25) { 2 } else { 1 };
            assert_eq!(node["seenBy"]["totalCount"], expected, "{node}");
        }
        assert_eq!((counted, listed), (bare + 1, bare + 2), "however many messages");
    }
}
