//! Nodes on which many react to one message, and vote in one poll.

use std::collections::BTreeMap;

use crate::polls::{poll, sees_poll};
use crate::reactions::{counts, crowd};

use super::*;

const EMOJI: [&str; 4] = ["👍", "🎉", "😀", "🚀"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_do_on_several_nodes_is_counted_right() {
    let cluster = Cluster::up().await;
    let people = crowd(&cluster.a, 12).await;
    let others: Vec<&Person> = people[1..].iter().collect();
    let room = people[0].makes_group("Both", &others).await;
    let message = people[0].sends(&room, "react!").await;
    let asked = people[0]
        .asks_poll(&room, poll(&["one", "two", "three"]))
        .await;
    let acts = people.iter().enumerate().map(|(n, person)| {
        let nodes = [person.clone(), person.on(&cluster.b)];
        let (message, asked) = (&message, &asked);
        async move {
            for round in 0..6 {
                let person = &nodes[(n + round) % 2];
                person.reacts(message, EMOJI[(n + round) % 4]).await;
                person
                    .votes(asked, &[i32::try_from((n + round) % 3).expect("small") + 1])
                    .await;
                if round % 2 == 1 {
                    person.unreacts(message, EMOJI[(n + round) % 4]).await;
                }
            }
        }
    });
    join_all(acts).await;

    // Of six rounds, those with even numbers stay; of 0, 2, 4 the last is the first again.
    let mut expected: BTreeMap<String, i64> = BTreeMap::new();
    for n in 0..people.len() {
        for round in [0, 2] {
            *expected
                .entry(EMOJI[(n + round) % 4].to_owned())
                .or_default() += 1;
        }
    }
    let query =
        "query($id: ID!) { node(id: $id) { ... on Message { reactions { emoji count } } } }";
    for app in [&cluster.a, &cluster.b] {
        let person = people[0].on(app);
        let found = person.asks(query, json!({ "id": message.id })).await;
        assert_eq!(counts(&found["node"]), expected);
        let found = sees_poll(&person, &asked).await;
        assert_eq!(found["voterCount"], 12);
        let votes = found["options"].as_array().expect("a list").iter();
        let votes: Vec<_> = votes.map(|option| option["count"].as_i64()).collect();
        assert_eq!(votes, [Some(4); 3], "each has voted once");
    }
    let rows = "SELECT count(*) FROM poll_votes";
    assert_eq!(cluster.a.runs_sql(rows).await, "12");
    cluster.down().await;
}
