//! Scheduled messages that a node has claimed, and then froze, died, or could not send.

use tokio::time::timeout;

use super::*;
use crate::harness::process::Process;
use crate::harness::servers::Session;
use crate::scheduled::{CANCEL, EDIT, SCHEDULE, rfc3339};

async fn process(database: &str) -> Process {
    let settings = [("DATABASE_URL", database), ("JWT_SECRET", SECRET)];
    let mut process = Process::new(&settings);
    process.start().await;
    process
}

async fn session(database: &str) -> Session {
    Postgres::shared().await.session(database).await
}

async fn count(session: &mut Session, of: &str) -> i64 {
    let statement = format!("SELECT count(*) FROM {of}");
    let count = session.ask(&statement).await.expect("a good statement");
    count.parse().expect("a number")
}

/// Waits until there are so many of these rows.
async fn until_there_are(least: i64, of: &str, session: &mut Session) {
    let counted = async {
        while count(session, of).await < least {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(30), counted).await.expect(of);
}

/// So many milliseconds from now, by the clock of everybody.
fn in_ms(ms: u64) -> String {
    let now = backchannel_domain::clock::Clock::default().now();
    rfc3339(now.plus(Duration::from_millis(ms)).0)
}

async fn texts(person: &Person, room: &Room) -> Vec<String> {
    let query =
        "query($id: ID!) { conversation(id: $id) { messages(last: 200) { nodes { text } } } }";
    let mut found = person.asks(query, json!({ "id": room.id })).await;
    let nodes = found["conversation"]["messages"]["nodes"].take();
    let nodes = nodes.as_array().expect("a list");
    nodes.iter().map(|node| text(&node["text"])).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cancelled_or_edited_while_a_node_stalls_is_not_sent_as_it_was() {
    let database = Postgres::shared().await.fresh_database().await;
    let stalled = process(&database).await;
    let ann = stalled.person("Ann").await;
    let room = ann.makes_group("Stalled", &[]).await;
    let at = in_ms(1_500);
    let cancelled = ann
        .schedules(&room, &at, json!({ "text": "cancelled" }))
        .await;
    let edited = ann.schedules(&room, &at, json!({ "text": "first" })).await;
    let kept = ann.schedules(&room, &at, json!({ "text": "kept" })).await;
    // It stalls with the claims, in a transaction that waits for the conversation.
    let mut holder = session(&database).await;
    holder.execute("BEGIN").await.expect("a transaction");
    let hold = "SELECT id FROM conversations WHERE title = 'Stalled' FOR UPDATE";
    holder.execute(hold).await.expect("the conversation");
    let mut watcher = session(&database).await;
    let is_claimed = "scheduled_messages WHERE claim IS NOT NULL";
    until_there_are(3, is_claimed, &mut watcher).await;
    // And it stands in front of the conversation.
    let waits = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until_there_are(1, waits, &mut watcher).await;
    stalled.signal("STOP");
    let awake = node(&database, None).await;
    holder.execute("ROLLBACK").await.expect("let go");

    let there = ann.on(&awake);
    let input = json!({ "scheduledMessageId": cancelled });
    there.asks(CANCEL, json!({ "input": input })).await;
    let input = json!({ "scheduledMessageId": edited, "text": "second" });
    there.asks(EDIT, json!({ "input": input })).await;
    // Longer than the claims are good for.
    sleep(Duration::from_secs(4)).await;
    stalled.signal("CONT");

    until("none waits", || async {
        there.scheduled().await.is_empty()
    })
    .await;
    // Whatever the one that stalled is still at.
    sleep(Duration::from_secs(1)).await;
    let mut said = texts(&there, &room).await;
    said.sort();
    assert_eq!(said, ["kept", "second"]);
    let query = "query($id: ID!) { node(id: $id) { ... on Message { text } } }";
    for (id, expected) in [(&edited, json!("second")), (&kept, json!("kept"))] {
        let found = there.asks(query, json!({ "id": id })).await;
        assert_eq!(found["node"]["text"], expected);
    }
    let gone = there.is_refused(query, json!({ "id": cancelled })).await;
    assert_eq!(gone, "NOT_FOUND");
    awake.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_has_sent_before_it_died_never_counts_as_failed() {
    const MESSAGES: usize = 300;
    let database = Postgres::shared().await.fresh_database().await;
    let mut victim = process(&database).await;
    let [ann, bob] = [victim.person("Ann").await, victim.person("Bob").await];
    let room = ann.makes_group("Killed", &[&bob]).await;
    let at = in_ms(6_000);
    let mut ids = Vec::new();
    for chunk in 0..MESSAGES / 50 {
        let some = (0..50).map(|n| {
            let (bob, room, at) = (&bob, &room, &at);
            async move {
                let text = format!("{chunk} {n}");
                let input = json!({ "conversationId": room.id, "sendAt": at, "text": text });
                let made = bob.asks(SCHEDULE, json!({ "input": input })).await;
                self::text(&made["scheduleMessage"]["scheduledMessage"]["id"])
            }
        });
        ids.extend(join_all(some).await);
    }
    let mut watcher = session(&database).await;
    until_there_are(1, "messages", &mut watcher).await;
    victim.kill();
    let survivor = node(&database, None).await;
    let there = bob.on(&survivor);
    // By now the survivor has none of them, or not many: their claims go on for three seconds.
    ann.on(&survivor)
        .sets(&room, json!({ "onlyAdminsSend": true }))
        .await;
    until("all are settled", || async {
        let waiting = there.asks(PAGES, json!({})).await;
        let waiting = waiting["viewer"]["scheduledMessages"]["nodes"]
            .as_array()
            .cloned();
        waiting
            .expect("a list")
            .iter()
            .all(|one| one["failure"].is_string())
    })
    .await;
    let sent = "messages WHERE kind = 'text'";
    let failed = "scheduled_messages WHERE failure IS NOT NULL";
    let (sent, failed) = (
        count(&mut watcher, sent).await,
        count(&mut watcher, failed).await,
    );
    assert_eq!(sent + failed, MESSAGES as i64);
    let both = "messages m JOIN scheduled_messages s ON s.id = m.id";
    assert_eq!(count(&mut watcher, both).await, 0);
    assert!(sent > 0, "the victim has sent some");
    survivor.finish().await;
}

const PAGES: &str = "{ viewer { scheduledMessages(first: 200) { nodes { id failure } } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_is_stuck_makes_no_other_wait() {
    let database = Postgres::shared().await.fresh_database().await;
    let app = node(&database, None).await;
    let ann = app.person("Ann").await;
    let stuck = ann.makes_group("Stuck", &[]).await;
    let free = ann.makes_group("Free", &[]).await;
    let now = app.domain.clock().now();
    let at = |ms| {
        rfc3339(
            now.plus(Duration::from_secs(60) + Duration::from_millis(ms))
                .0,
        )
    };
    let sooner = (0..100).map(|n| {
        let (ann, stuck, at) = (&ann, &stuck, at(n));
        async move {
            ann.schedules(stuck, &at, json!({ "text": format!("{n:03}") }))
                .await
        }
    });
    join_all(sooner).await;
    for ms in [500, 600, 60_000] {
        ann.schedules(&free, &at(ms), json!({ "text": "free" }))
            .await;
    }
    let mut live = ann.follows(&free, Some(0)).await;
    let mut holder = session(&database).await;
    holder.execute("BEGIN").await.expect("a transaction");
    let hold = "SELECT id FROM conversations WHERE title = 'Stuck' FOR UPDATE";
    holder.execute(hold).await.expect("the conversation");
    for (seconds, expected) in [(61, 2), (60, 1)] {
        app.advance(Duration::from_secs(seconds));
        let due = Instant::now();
        live.take(expected).await;
        assert!(
            due.elapsed() < Duration::from_secs(2),
            "{:?}",
            due.elapsed()
        );
    }
    holder.execute("ROLLBACK").await.expect("let go");
    until("none waits", || async { ann.scheduled().await.is_empty() }).await;
    let said = texts(&ann, &stuck).await;
    assert_eq!(said.len(), 100);
    assert!(said.is_sorted(), "in the order of their times: {said:?}");
    drop(live);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_disappear_elsewhere_though_one_conversation_is_stuck() {
    let database = Postgres::shared().await.fresh_database().await;
    let app = node(&database, None).await;
    let ann = app.person("Ann").await;
    let mut rooms = Vec::new();
    for title in ["Stuck", "Free"] {
        let room = ann.makes_group(title, &[]).await;
        let said = ann.sends(&room, "brief").await;
        ann.sets(&room, json!({ "retentionSeconds": 60 })).await;
        rooms.push((room, said));
    }
    let mut holder = session(&database).await;
    holder.execute("BEGIN").await.expect("a transaction");
    let hold = "SELECT id FROM conversations WHERE title = 'Stuck' FOR UPDATE";
    holder.execute(hold).await.expect("the conversation");
    app.advance(Duration::from_secs(61));
    let [(_, stuck), (_, free)] = &rooms[..] else {
        unreachable!("there are two")
    };
    let is_gone = async |message: &Sent| ann.looks_at(message).await["text"] == Value::Null;
    until("the free one is gone", || is_gone(free)).await;
    assert!(!is_gone(stuck).await);
    // By now it is waited for, and gone as soon as that can be.
    sleep(Duration::from_secs(5)).await;
    holder.execute("ROLLBACK").await.expect("let go");
    until("the other is gone", || is_gone(stuck)).await;
    app.finish().await;
}
