//! Messages for the same second on three nodes, two of which die: each is sent once, and soon.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use backchannel_domain::Timestamp;
use backchannel_domain::clock::Clock;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::harness::Person;
use crate::harness::people::{Room, text};
use crate::harness::process::Process;
use crate::harness::servers::{Postgres, Redis};
use crate::scheduled::{SCHEDULE, rfc3339};

/// Messages in all.
const MESSAGES: usize = 1_000;
/// Those of one person.
const EACH: usize = 125;
/// How late the last may be.
const LATE: Duration = Duration::from_secs(5);

const PAGE: &str = "query($id: ID!, $before: String) { conversation(id: $id) {
    lastSeq messages(last: 200, before: $before) {
        nodes { id seq text createdAt } pageInfo { hasPreviousPage startCursor }
    }
} }";

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_the_same_second_are_each_sent_once_though_nodes_die() {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::shared().await.url();
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("REDIS_URL", &redis),
        ("JWT_SECRET", super::SECRET),
        ("RATE_LIMITS", "off"),
    ];
    let mut nodes = [(); 3].map(|()| Process::new(&settings));
    for node in &mut nodes {
        node.start().await;
    }
    let [survivor, victims @ ..] = &mut nodes;
    let names: Vec<_> = (0..MESSAGES / EACH)
        .map(|n| format!("Person {n}"))
        .collect();
    let node = survivor.node();
    let people = names.iter().map(|name| Person::register(&node, name));
    let people = join_all(people).await;
    let others: Vec<&Person> = people.iter().skip(1).collect();
    let mut rooms = Vec::new();
    for title in ["A", "B", "C"] {
        rooms.push(people[0].makes_group(title, &others).await);
    }

    let clock = Clock::default();
    let at = clock.now().plus(Duration::from_secs(15));
    let scheduled = people.iter().map(|person| schedule(person, &rooms, at));
    let scheduled: Vec<_> = join_all(scheduled).await.into_iter().flatten().collect();
    assert_eq!(scheduled.len(), MESSAGES);
    let wait = u64::try_from(at.0 - clock.now().0).expect("all were scheduled in time");
    let due = Instant::now() + Duration::from_millis(wait);
    // One dies as it begins, the other in the middle of it.
    for (victim, after) in victims.iter_mut().zip([300, 700]) {
        sleep_until(due + Duration::from_millis(after)).await;
        victim.kill();
    }
    sleep_until(due + LATE + Duration::from_secs(1)).await;

    let mut found: HashMap<String, String> = HashMap::new();
    let mut keys = HashSet::new();
    for room in &rooms {
        for message in all_messages(&people[0], room).await {
            let sent = chrono::DateTime::parse_from_rfc3339(&text(&message["createdAt"]));
            let late = sent.expect("an instant").timestamp_millis() - at.0;
            let late = Duration::from_millis(u64::try_from(late).expect("not before its time"));
            assert!(late <= LATE, "{message} is {late:?} late");
            assert!(
                keys.insert(text(&message["text"])),
                "{message} was sent twice"
            );
            found.insert(text(&message["id"]), room.id.clone());
        }
    }
    let expected: HashMap<String, String> = scheduled.into_iter().collect();
    assert_eq!(found.len(), MESSAGES);
    assert!(
        found == expected,
        "each is where it was to go, under the id that was told"
    );
}

/// Schedules this person's messages, over all rooms; their ids, and where they go.
async fn schedule(person: &Person, rooms: &[Room], at: Timestamp) -> Vec<(String, String)> {
    let at = rfc3339(at.0);
    let mut scheduled = Vec::new();
    for n in 0..EACH {
        let room = &rooms[n % rooms.len()];
        let message = format!("{} {n}", person.name);
        let input = json!({ "conversationId": room.id, "sendAt": at, "text": message });
        let made = person.asks(SCHEDULE, json!({ "input": input })).await;
        let id = text(&made["scheduleMessage"]["scheduledMessage"]["id"]);
        scheduled.push((id, room.id.clone()));
    }
    scheduled
}

/// All messages of a conversation, which stand without a gap.
async fn all_messages(person: &Person, room: &Room) -> Vec<serde_json::Value> {
    let mut variables = json!({ "id": room.id });
    let mut all = Vec::new();
    loop {
        let mut page = person.asks(PAGE, variables.clone()).await["conversation"].take();
        let messages = page["messages"]["nodes"].take();
        all.extend(messages.as_array().expect("a list").iter().cloned());
        if page["messages"]["pageInfo"]["hasPreviousPage"] == false {
            assert_eq!(page["lastSeq"], all.len());
            return all;
        }
        variables["before"] = page["messages"]["pageInfo"]["startCursor"].clone();
    }
}
