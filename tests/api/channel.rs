//! A channel of 10,000 members costs no more than one of two, where it is not listed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{App, Person, Room, on_both};

const MEMBERS: usize = 10_000;
/// What a page of members may take, anywhere in the list.
const PROMISED: Duration = Duration::from_millis(50);

const PAGE: &str = "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { conversation(id: $id) {
    memberCount
    members(first: $first, after: $after, last: $last, before: $before) {
        totalCount nodes { role joinedAt user { displayName } } pageInfo { startCursor endCursor }
    }
} }";

/// A channel of so many, who were written straight into the database.
async fn channel(app: &App, ann: &Person, members: usize) -> Room {
    let title = format!("Channel of {members}");
    let room = ann
        .makes(json!({ "kind": "CHANNEL", "title": title, "memberIds": [] }))
        .await;
    let (numbers, id, yes) = if app.is_on_postgres() {
        let numbers = format!("SELECT n FROM generate_series(2, {members}) n");
        (numbers, "gen_random_uuid()", "TRUE")
    } else {
        let numbers = format!(
            "WITH RECURSIVE r(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM r WHERE n < {members}) SELECT n FROM r"
        );
        (numbers, "randomblob(16)", "1")
    };
    app.runs_sql(&format!(
        "INSERT INTO users (id, display_name, created_at, is_listed)
         SELECT {id}, '{title}', n, {yes} FROM ({numbers}) numbers"
    ))
    .await;
    app.runs_sql(&format!(
        "INSERT INTO members (conversation_id, user_id, role, joined_at, joined_seq)
         SELECT c.id, u.id, 'member', u.created_at, 0 FROM users u JOIN conversations c ON c.title = u.display_name
         WHERE u.display_name = '{title}'"
    ))
    .await;
    app.runs_sql(&format!(
        "UPDATE conversations SET member_count = {members} WHERE title = '{title}'"
    ))
    .await;
    room
}

/// The least that something cost in statements, for the node looks at the database by itself now
/// and then.
async fn least<F: Future>(app: &App, something: impl Fn() -> F) -> u64 {
    let mut least = u64::MAX;
    for _ in 0..8 {
        let before = app.domain.statements().count();
        something().await;
        least = least.min(app.domain.statements().count() - before);
    }
    least
}

on_both! {
    async fn a_send_costs_the_same_statements_however_many_members_there_are(app) {
        let ann = app.person("Ann").await;
        let small = channel(app, &ann, 2).await;
        let big = channel(app, &ann, MEMBERS).await;
        let mut stream = ann.follows(&big, Some(0)).await;
        let of_small = least(app, || ann.sends(&small, "hi")).await;
        let of_big = least(app, || ann.sends(&big, "hi")).await;
        assert_eq!(of_big, of_small);
        assert!(of_big <= 8, "{of_big} statements");
        assert_eq!(stream.take(8).await[7]["seq"], 8);
        let found = ann.asks(PAGE, json!({ "id": big.id, "first": 1 })).await["conversation"].clone();
        assert_eq!((&found["memberCount"], &found["members"]["totalCount"]), (&json!(MEMBERS), &json!(MEMBERS)));
        let count = |room: &Room| json!({ "id": room.id, "first": 50 });
        let of_small = least(app, || ann.asks(PAGE, count(&small))).await;
        let of_big = least(app, || ann.asks(PAGE, count(&big))).await;
        assert_eq!(of_big, of_small);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, on a quiet machine: scripts/channel"]
#[expect(clippy::print_stdout, reason = "the figures are of interest")]
async fn members_of_a_large_channel_are_paged_within_50_ms_anywhere() {
    for (name, app) in ["SQLite", "Postgres"]
        .into_iter()
        .zip(App::both_with(&[]).await)
    {
        let ann = app.person("Ann").await;
        let big = channel(&app, &ann, MEMBERS).await;
        let (mut times, mut seen, mut after) = (Vec::new(), 0, Value::Null);
        loop {
            let began = Instant::now();
            let variables = json!({ "id": big.id, "first": 200, "after": after });
            let page = ann.asks(PAGE, variables).await["conversation"]["members"].clone();
            times.push(began.elapsed());
            let nodes = page["nodes"].as_array().expect("a page");
            if nodes.is_empty() {
                break;
            }
            seen += nodes.len();
            after = page["pageInfo"]["endCursor"].clone();
        }
        assert_eq!(seen, MEMBERS);
        let began = Instant::now();
        ann.asks(PAGE, json!({ "id": big.id, "last": 200 })).await;
        times.push(began.elapsed());
        times.sort_unstable();
        let (half, most) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "{name}: a page of 200 of {MEMBERS} members: {half:.1?} at the median, {most:.1?} at most"
        );
        assert!(most < PROMISED, "{name}: {most:?}");
        for (what, query) in [
            (
                "memberCount",
                "query($id: ID!) { conversation(id: $id) { memberCount } }",
            ),
            (
                "unreadCount",
                "query($id: ID!) { conversation(id: $id) { unreadCount lastMessage { text } } }",
            ),
        ] {
            let began = Instant::now();
            for _ in 0..20 {
                ann.asks(query, json!({ "id": big.id })).await;
            }
            println!("{name}: {what}: {:.1?}", began.elapsed() / 20);
        }
        let count =
            "SELECT count(*) FROM members m JOIN conversations c ON c.id = m.conversation_id
            WHERE c.member_count > 100 AND m.left_at IS NULL";
        let began = Instant::now();
        app.runs_sql(count).await;
        println!(
            "{name}: counting them, with a new connection: {:.1?}",
            began.elapsed()
        );
        app.finish().await;
    }
}
