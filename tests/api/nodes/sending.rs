//! Nodes that send to the same conversations.

use super::*;

/// Each commits to many conversations at a time, and waits for none of the other's locks while it
/// holds its own: a deadlock would show as a second without an answer, and as a refusal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_send_to_the_same_conversations_in_opposite_orders_do_not_block_each_other() {
    const ROOMS: usize = 12;
    const ROUNDS: usize = 8;
    let cluster = Cluster::up().await;
    let people = cluster.a.people(["Ann", "Bob", "Cleo"]).await;
    let [ann, others @ ..] = &people;
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        rooms.push(ann.makes_group(&format!("{n}"), &others.each_ref()).await);
    }
    let mut stream = ann.on(&cluster.b).follows(&rooms[0], Some(0)).await;
    let sends = |person: Person, rooms: Vec<Room>| async move {
        let mut sent = Vec::new();
        for round in 0..ROUNDS {
            let texts = rooms
                .iter()
                .map(|room| (room, format!("{} {round}", person.name)));
            let all = texts.map(|(room, text)| {
                let person = &person;
                async move { person.sends(room, &text).await.id }
            });
            sent.extend(join_all(all).await);
        }
        sent
    };
    let reversed: Vec<Room> = rooms.iter().rev().cloned().collect();
    let both = people.iter().flat_map(|person| {
        let (here, there) = (person.clone(), person.on(&cluster.b));
        [sends(here, rooms.clone()), sends(there, reversed.clone())]
    });
    let sent = join_all(both).await;

    let count = people.len() * 2 * ROUNDS;
    let ids: std::collections::HashSet<_> = sent.iter().flatten().collect();
    assert_eq!(ids.len(), count * ROOMS, "each is a message of its own");
    assert_eq!(seqs(&stream.take(count).await), first(count));
    for room in &rooms {
        assert_eq!(ann.last_seq(room).await, count as i64);
    }
    drop(stream);
    cluster.down().await;
}
