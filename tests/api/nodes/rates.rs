//! What is counted on one node counts on the others.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::harness::servers::Outage;
use crate::rates::{MINUTE, SIGN_IN};

/// The burst of sends, and of guesses at a password.
const SENDS: usize = 120;
const GUESSES: usize = 10;

async fn limited(database: &str, redis: Option<&Redis>) -> App {
    let redis = redis.map(Redis::url);
    let mut settings = vec![
        ("DATABASE_URL", database),
        ("JWT_SECRET", SECRET),
        ("RATE_LIMITS", "on"),
    ];
    settings.extend(redis.as_deref().map(|url| ("REDIS_URL", url)));
    App::with(&settings).await
}

async fn cluster() -> Cluster {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::own().await;
    let (a, b) = tokio::join!(
        limited(&database, Some(&redis)),
        limited(&database, Some(&redis))
    );
    let cluster = Cluster { a, b, redis };
    cluster.has_redis(true).await;
    cluster
}

/// Sends until that is refused; answers how often it was not. Slowly enough for nodes to hear of
/// each other, and much faster than what is sent is paid off.
async fn sends_until_refused(person: &Person, room: &Room) -> usize {
    let sent = AtomicUsize::new(0);
    until("a send is refused", || async {
        let input = json!({ "conversationId": room.id, "text": "hey" });
        let answer = person.request(SEND, json!({ "input": input })).await.json();
        if answer["errors"].is_null() {
            sent.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        assert_eq!(code(&answer), "RATE_LIMITED", "{answer}");
        true
    })
    .await;
    sent.into_inner()
}

/// The code of each of so many guesses at once.
async fn guesses(app: &App, email: &str, times: usize) -> Vec<String> {
    let guesses = (0..times).map(|n| async move {
        let input = json!({ "email": email, "password": format!("guess {n}") });
        let answer = app.anonymous(SIGN_IN, json!({ "input": input })).await;
        text(code(&answer))
    });
    join_all(guesses).await
}

fn guessed(codes: &[String]) -> usize {
    let wrong = codes.iter().filter(|code| *code == "UNAUTHENTICATED");
    let refused = codes.iter().filter(|code| *code == "RATE_LIMITED");
    assert_eq!(wrong.clone().count() + refused.count(), codes.len());
    wrong.count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn nodes_share_a_limit_through_redis_and_do_again_when_it_is_back() {
    let cluster = cluster().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Shared", &[&bob]).await;
    let mut stream = bob.on(&cluster.b).follows(&room, Some(0)).await;
    let on_a = sends_until_refused(&ann, &room).await;
    assert!(on_a >= SENDS, "{on_a}");
    let on_b = sends_until_refused(&ann.on(&cluster.b), &room).await;
    println!("{on_a} sent on one node, {on_b} more on the other");
    assert!(
        on_b < SENDS,
        "{on_b} more: by itself it lets {SENDS} through"
    );
    stream.take(on_a + on_b).await;

    // With Redis away, each lets through what it has; when it is back, what is owed still is.
    cluster.redis.kill();
    cluster.has_redis(false).await;
    let on_b = sends_until_refused(&bob.on(&cluster.b), &room).await;
    assert!(on_b >= SENDS, "{on_b}");
    stream.take(on_b).await;
    cluster.redis.start().await;
    cluster.has_redis(true).await;
    let on_a = sends_until_refused(&bob, &room).await;
    println!("{on_b} sent on one node without Redis, {on_a} on the other when it was back");
    assert!(on_a < SENDS, "{on_a}");
    stream.take(on_a).await;
    drop(stream);
    cluster.down().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_counted_on_all_nodes_together_though_redis_is_dead() {
    guards_hold(Outage::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_are_counted_on_all_nodes_together_though_redis_is_frozen() {
    guards_hold(Outage::Frozen).await;
}

async fn guards_hold(outage: Outage) {
    let cluster = cluster().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Guarded", &[&bob]).await;
    assert_eq!(guessed(&guesses(&cluster.a, &ann.email, 3).await), 3);
    outage.begin(&cluster.redis);
    cluster.has_redis(false).await;
    // What was counted before holds; those on both nodes at once are counted together.
    let (on_a, on_b) = tokio::join!(
        guesses(&cluster.a, &ann.email, 20),
        guesses(&cluster.b, &ann.email, 20)
    );
    assert_eq!(guessed(&on_a) + guessed(&on_b), GUESSES - 3);
    // Everything else goes on.
    let mut stream = bob.on(&cluster.b).follows(&room, Some(0)).await;
    ann.asks(VIEWER, json!({})).await;
    ann.on(&cluster.b).asks(VIEWER, json!({})).await;
    let began = Instant::now();
    ann.sends(&room, "meanwhile").await;
    assert!(began.elapsed() < ACKED, "{:?}", began.elapsed());
    assert_eq!(stream.next().await["message"]["text"], "meanwhile");
    // By the clock there is one more guess a minute, on whichever node.
    for node in [&cluster.a, &cluster.b] {
        node.advance(MINUTE);
    }
    let (on_a, on_b) = tokio::join!(
        guesses(&cluster.a, &ann.email, 2),
        guesses(&cluster.b, &ann.email, 2)
    );
    assert_eq!(guessed(&on_a) + guessed(&on_b), 1);
    drop(stream);
    cluster.down().await;
}
