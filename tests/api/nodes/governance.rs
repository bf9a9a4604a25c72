//! Who may do what, across nodes: it holds at once everywhere, also where nobody tells of it.

use super::*;
use crate::bans::BAN;
use crate::harness::people::{REMOVE, SET_ROLE, UPDATE};

fn saying(room: &Room) -> Value {
    json!({ "input": { "conversationId": room.id, "text": "hi" } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_conversation_ends_on_every_node_within_a_second_also_unhinted() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    for from in [&cluster.a, &silent] {
        let room = ann.makes_group("Gone", &[&bob]).await;
        ann.sends(&room, "one").await;
        let there = bob.on(&cluster.b);
        let mut stream = there.follows(&room, Some(0)).await;
        stream.next().await;
        let cursor = there.event_cursor().await;
        let mut all = there.follows_all(Some(&cursor)).await;
        let mut receipts = there.follows_receipts(&cluster.b, &room).await;

        ann.on(from).deletes_conversation(&room).await;

        let deleted = Instant::now();
        assert_eq!(
            bob.on(&cluster.b).is_refused(SEND, saying(&room)).await,
            "NOT_FOUND"
        );
        assert_eq!(stream.next().await["__typename"], "ConversationDeleted");
        stream.completes().await;
        receipts.completes().await;
        assert_eq!(all.next().await.0["__typename"], "ConversationDeleted");
        assert!(deleted.elapsed() < AT_ONCE, "{:?}", deleted.elapsed());
    }
    silent.finish().await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_and_slow_mode_hold_on_every_node_at_once() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Slow", &[&bob]).await;
    let mut stream = ann.on(&cluster.b).follows(&room, Some(0)).await;
    let nodes = [&cluster.a, &cluster.b, &silent];
    bob.sends(&room, "fast").await;
    ann.on(&silent)
        .sets(&room, json!({ "slowModeSeconds": 3600 }))
        .await;
    let tries = nodes.iter().flat_map(|node| [bob.on(node), bob.on(node)]);
    let answers = join_all(tries.map(|bob| {
        let send = saying(&room);
        async move { bob.request(SEND, send).await.json() }
    }))
    .await;
    let sent = answers.iter().filter(|answer| answer["errors"].is_null());
    assert_eq!(sent.count(), 1, "{answers:?}");
    ann.on(&cluster.b)
        .sets(
            &room,
            json!({ "slowModeSeconds": 0, "onlyAdminsSend": true }),
        )
        .await;
    for node in nodes {
        assert_eq!(
            bob.on(node).is_refused(SEND, saying(&room)).await,
            "FORBIDDEN"
        );
    }
    ann.sets(&room, json!({ "onlyAdminsSend": false })).await;
    bob.on(&silent).sends(&room, "again").await;
    assert_eq!(seqs(&stream.take(6).await), first(6));
    drop(stream);
    silent.finish().await;
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_to_join_are_heard_of_on_every_node_also_unhinted() {
    let (cluster, silent) = Cluster::with_a_silent_node().await;
    let [ann, bob, cleo] = cluster.a.people(["Ann", "Bob", "Cleo"]).await;
    let room = ann
        .makes(json!({ "kind": "ROOM", "memberIds": [], "slug": "asking" }))
        .await;
    ann.sets(&room, json!({ "joinsByRequest": true })).await;
    let mut waiting = ann.hears_of_joins(&cluster.b, &room).await;
    for (node, person) in [(&cluster.a, &bob), (&silent, &cleo)] {
        let started = Instant::now();
        let asked = person.on(node).asks_to_join("asking").await;
        assert_eq!(waiting.next().await, asked["id"]);
        assert!(started.elapsed() < UNHINTED, "{:?}", started.elapsed());
    }
    drop(waiting);
    silent.finish().await;
    cluster.down().await;
}

/// Everybody leaves, removes, bans, is given roles and hands over at the same time, on two nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_has_one_owner_whatever_happens_on_two_nodes_at_once() {
    const ROUNDS: usize = 6;
    let cluster = Cluster::up().await;
    let names = ["Ann", "Bob", "Cleo", "Dan", "Eve"];
    let people: [Person; 5] = cluster.a.people(names).await;
    let [ann, others @ ..] = &people;
    // She takes part in nothing, and sees it all.
    let witness = cluster.a.person("Witness").await;
    let mut members: Vec<&Person> = others.iter().collect();
    members.push(&witness);
    let room = ann.makes_group("Race", &members).await;
    let mut stream = witness.on(&cluster.b).follows(&room, Some(0)).await;
    for round in 0..ROUNDS {
        let tries = people.iter().enumerate().flat_map(|(n, actor)| {
            let other = &people[(n + 1 + round) % people.len()];
            let whom = |person: &Person| json!({ "conversationId": room.id, "userId": person.id });
            let role = |person: &Person, role: &str| {
                json!({ "conversationId": room.id, "userId": person.id, "role": role })
            };
            let acts = [
                (SET_ROLE, role(other, "OWNER")),
                (SET_ROLE, role(other, "ADMIN")),
                (REMOVE, whom(actor)),
                (REMOVE, whom(other)),
                (BAN, whom(other)),
                (UPDATE, json!({ "conversationId": room.id, "title": format!("{round}") })),
            ];
            let nodes = [&cluster.a, &cluster.b];
            acts.into_iter().enumerate().map(move |(k, (query, input))| {
                let actor = actor.on(nodes[(n + k) % 2]);
                async move {
                    let answer = actor.request(query, json!({ "input": input })).await.json();
                    let code = &answer["errors"][0]["extensions"]["code"];
                    assert_ne!(code, "INTERNAL", "{query} {answer}");
                }
            })
        });
        join_all(tries).await;
        let owner = owner(&witness, &room).await;
        // Who is out comes back: whoever owns it now lets them in.
        let owner = people
            .iter()
            .chain([&witness])
            .find(|person| person.id == owner);
        let owner = owner.expect("one of them");
        for person in &people {
            if person.id != owner.id {
                owner.unbans(&room, person).await;
                owner.adds(&room, &[person]).await;
            }
        }
        if owner.id == witness.id {
            witness.sets_role(&room, ann, "OWNER").await;
            witness.sets_role(&room, &witness, "MEMBER").await;
        }
    }
    let last = usize::try_from(witness.last_seq(&room).await).expect("it fits");
    assert_eq!(
        seqs(&stream.take(last).await),
        first(last),
        "dense, each once"
    );
    drop(stream);
    cluster.down().await;
}

/// The id of the one owner.
async fn owner(witness: &Person, room: &Room) -> String {
    let query =
        "query($id: ID!) { conversation(id: $id) { members { nodes { role user { id } } } } }";
    let found = witness.asks(query, json!({ "id": room.id })).await;
    let nodes = found["conversation"]["members"]["nodes"].as_array();
    let owners = nodes.expect("a list").iter();
    let owners: Vec<_> = owners.filter(|node| node["role"] == "OWNER").collect();
    assert_eq!(owners.len(), 1, "{owners:?}");
    text(&owners[0]["user"]["id"])
}
