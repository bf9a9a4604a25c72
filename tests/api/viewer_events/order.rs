//! Commits in one order, arrivals in another.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::App;
use crate::harness::servers::{Postgres, Redis};

use super::*;

const SECRET: &str = "a secret that every node of the test has";

async fn node(database: &str, redis: Option<&Redis>) -> App {
    let redis = redis.map(Redis::url);
    let mut settings = vec![("DATABASE_URL", database), ("JWT_SECRET", SECRET)];
    settings.extend(redis.as_deref().map(|url| ("REDIS_URL", url)));
    App::with(&settings).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_does_not_cover_what_began_before_and_commits_after() {
    let postgres = Postgres::shared().await;
    let database = postgres.fresh_database().await;
    let app = node(&database, None).await;
    let [ann, bob] = app.people(["Ann", "Bob"]).await;
    let late = ann.makes_group("Late", &[&bob]).await;
    let early = ann.makes_group("Early", &[&bob]).await;
    let start = bob.event_cursor().await;
    let mut live = bob.follows_all(Some(&start)).await;

    // Ann's transaction in the one room begins, takes its place in the order and then waits.
    let mut session = postgres.session(&database).await;
    let lock = "BEGIN; SELECT FROM conversations WHERE title = 'Late' FOR UPDATE";
    session.execute(lock).await.expect("the row is locked");
    let (sender, room) = (ann.clone(), late.clone());
    let waiting = tokio::spawn(async move { sender.sends(&room, "late").await });
    crate::harness::until("the sender waits for the lock", || async {
        // A division by zero tells without reading rows that nobody waits.
        let waits = "SELECT 1 / count(*) FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        postgres
            .session(&database)
            .await
            .execute(waits)
            .await
            .is_ok()
    })
    .await;

    // Meanwhile the other room goes on, in more transactions than one.
    for n in 0..5 {
        ann.sends(&early, &format!("{n}")).await;
    }
    let (events, cursor) = live.take(5).await;
    assert_eq!(
        places(&events),
        (1..=5).map(|seq| place(&early, seq)).collect::<Vec<_>>()
    );
    let of_the_moment = bob.event_cursor().await;

    session
        .execute("COMMIT")
        .await
        .expect("the lock is given back");
    waiting.await.expect("the message is sent");

    for cursor in [&cursor, &of_the_moment] {
        let mut resumed = bob.follows_all(Some(cursor)).await;
        assert_eq!(places(&resumed.take(1).await.0), [place(&late, 1)]);
        ends_silent(resumed).await;
    }
    assert_eq!(places(&live.take(1).await.0), [place(&late, 1)]);
    ends_silent(live).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_transaction_of_somebody_else_costs_nothing_but_longer_cursors() {
    let postgres = Postgres::shared().await;
    let database = postgres.fresh_database().await;
    let app = node(&database, None).await;
    let [ann, bob] = app.people(["Ann", "Bob"]).await;
    let mut rooms = Vec::new();
    for n in 0..40 {
        rooms.push(ann.makes_group(&format!("{n}"), &[&bob]).await);
    }
    let mut session = postgres.session(&database).await;
    let begin = "BEGIN; SELECT pg_current_xact_id()";
    session
        .execute(begin)
        .await
        .expect("a transaction that writes");
    let mut live = bob.follows_all(Some(&bob.event_cursor().await)).await;
    let mut cursors = Vec::new();
    for round in 0..2 {
        for room in &rooms {
            ann.sends(room, &format!("{round}")).await;
            cursors.push(live.next().await.1);
        }
    }
    for (n, cursor) in cursors.iter().enumerate().step_by(13) {
        let mut due: Vec<_> = (n + 1..80)
            .map(|n| place(&rooms[n % 40], 1 + n as i64 / 40))
            .collect();
        let mut resumed = bob.follows_all(Some(cursor)).await;
        let mut found = places(&resumed.take(due.len()).await.0);
        due.sort();
        found.sort();
        assert_eq!(found, due);
    }
    session
        .execute("COMMIT")
        .await
        .expect("the transaction ends");
    // Sooner or later there is a newer base, and names are forgotten: not at once where
    // transactions of other tests are still running on this server.
    let resumed =
        tokio::sync::Mutex::new(bob.follows_all(cursors.last().map(String::as_str)).await);
    crate::harness::until("the cursor is short again", || async {
        ann.sends(&rooms[0], "and on").await;
        let cursor = resumed.lock().await.next().await.1;
        *resumed.lock().await = bob.follows_all(Some(&cursor)).await;
        cursor.len() < 120
    })
    .await;
    drop((live, resumed));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_who_come_and_go_between_nodes_see_each_event_once() {
    const ROOMS: usize = 8;
    const EACH: i64 = 60;
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::own().await;
    let nodes = [
        node(&database, Some(&redis)).await,
        node(&database, Some(&redis)).await,
        // One that tells nobody.
        node(&database, None).await,
    ];
    let [ann, bob] = nodes[0].people(["Ann", "Bob"]).await;
    let mut rooms = Vec::new();
    for n in 0..ROOMS {
        rooms.push(ann.makes_group(&format!("{n}"), &[&bob]).await);
    }
    let start = bob.event_cursor().await;
    let done = Arc::new(AtomicBool::new(false));
    let sending = rooms.iter().enumerate().map(|(n, room)| {
        let (nodes, ann) = (&nodes, &ann);
        async move {
            for seq in 1..=EACH {
                let index = (n + usize::try_from(seq).expect("small")) % 3;
                assert_eq!(ann.on(&nodes[index]).sends(room, "hi").await.seq, seq);
            }
        }
    });
    let reading = |first: usize, stride: usize| {
        let (nodes, bob, mut cursor) = (&nodes, &bob, start.clone());
        async move {
            let mut heads: HashMap<String, i64> = HashMap::new();
            let mut left = ROOMS * usize::try_from(EACH).expect("small");
            let mut turn = first;
            while left > 0 {
                let mut stream = bob.on(&nodes[turn % 3]).follows_all(Some(&cursor)).await;
                for _ in 0..left.min(1 + turn * stride % 37) {
                    let (event, next) = stream.next().await;
                    let (room, seq) = places(&[event]).remove(0);
                    let head = heads.entry(room).or_default();
                    assert_eq!(seq, *head + 1, "each once and in order");
                    (*head, cursor) = (seq, next);
                    left -= 1;
                }
                turn += 1;
            }
            (
                bob.on(&nodes[turn % 3]).follows_all(Some(&cursor)).await,
                heads,
            )
        }
    };
    let breaking = async {
        while !done.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(400)).await;
            redis.kill();
            tokio::time::sleep(Duration::from_millis(400)).await;
            redis.start().await;
        }
    };
    let working = async {
        let (_, one, two, three) = tokio::join!(
            futures_util::future::join_all(sending),
            reading(0, 7),
            reading(1, 11),
            reading(2, 29),
        );
        done.store(true, Ordering::Relaxed);
        [one, two, three]
    };
    let (readers, ()) = tokio::join!(working, breaking);
    for (stream, heads) in readers {
        assert!(heads.values().all(|head| *head == EACH), "{heads:?}");
        ends_silent(stream).await;
    }
    for node in nodes {
        node.finish().await;
    }
}
