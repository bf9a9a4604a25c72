//! Many sockets, many messages, many who leave at once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::renewal::{renewal, token_expiring};
use crate::harness::clients::{Ended, Socket};
use crate::harness::people::{SEND, text};
use crate::harness::servers::Postgres;
use crate::harness::{App, Person, on_both, until};

/// Greets and tells how that ended.
async fn greets(app: &App, person: &Person) -> Result<Socket, Ended> {
    let mut socket = Socket::connect(&app.url("/graphql")).await;
    socket.greet(Some(&person.token)).await;
    socket.next().await.map(|ack| {
        assert_eq!(ack["type"], "connection_ack", "{ack}");
        socket
    })
}

on_both! {
    with &[("RATE_LIMITS", "on")];

    async fn a_user_has_so_many_sockets_and_gets_each_place_back(app) {
        const MOST: usize = 100;
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let phone = ann.signs_in_again().await;
        let mut sockets = Vec::new();
        for n in 0..MOST - 1 {
            let device = if n % 2 == 0 { &ann } else { &phone };
            sockets.push(greets(app, device).await.expect("a place"));
        }
        // Each way to leave makes place, and never for two.
        for way in ["closes", "breaks off", "is thrown out", "signs out"] {
            let device = ann.signs_in_again().await;
            let mut last = greets(app, &device).await.expect(way);
            assert_eq!(greets(app, &ann).await.err(), Some(Ended::Closed(1013)), "{way}");
            match way {
                "closes" => last.close().await,
                "breaks off" => drop(last),
                "is thrown out" => {
                    last.send_text("nonsense".to_owned()).await;
                    assert_eq!(last.ended().await, Ended::Closed(4400));
                }
                _ => {
                    device.asks("mutation { signOut { ok } }", Value::Null).await;
                    assert_eq!(last.ended().await, Ended::Closed(4403));
                }
            }
            until("there is a place again", || async { greets(app, &ann).await.is_ok() }).await;
            until("it was given back", || async { greets(app, &phone).await.is_ok() }).await;
        }
        // Others, and nobody, have places of their own.
        greets(app, &bob).await.expect("Bob's place");
        Socket::open(&app.url("/graphql"), None).await;
    }

    async fn who_talks_too_fast_is_read_more_slowly_and_loses_nothing(app) {
        const BURST: u64 = 200;
        const MESSAGES: u64 = 500;
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Fast", &[&bob]).await;
        let mut fast = bob.follows(&room, Some(0)).await;
        let began = Instant::now();
        for n in 0..MESSAGES {
            fast.socket.send(&json!({ "type": "ping", "payload": n })).await;
        }
        // Results are written meanwhile.
        ann.sends(&room, "in between").await;
        let (mut pongs, mut event_after) = (0, None);
        while pongs < MESSAGES {
            let message = fast.socket.next().await.expect("the socket stays open");
            if message["type"] == "pong" {
                assert_eq!(message["payload"], pongs);
                pongs += 1;
            } else {
                assert_eq!(message["payload"]["data"]["conversationEvents"]["seq"], 1, "{message}");
                event_after = Some(began.elapsed());
            }
        }
        let took = began.elapsed();
        // A hundred a second, after the first two hundred.
        let least = Duration::from_millis((MESSAGES - BURST - 10) * 10);
        assert!(took > least && took < 3 * least, "{took:?}");
        assert!(event_after.expect("the event came meanwhile") < least, "{event_after:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_rate_limits_a_socket_is_read_as_fast_as_it_talks() {
    let app = App::sqlite().await;
    let mut fast = Socket::open(&app.url("/graphql"), None).await;
    let began = Instant::now();
    for n in 0..1_000 {
        fast.send(&json!({ "type": "ping", "payload": n })).await;
    }
    for n in 0..1_000 {
        assert_eq!(fast.next().await.expect("a pong")["payload"], n);
    }
    // At a hundred a second it would be eight.
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    app.finish().await;
}

/// Many sockets on a node that stops.
#[expect(clippy::print_stdout, reason = "the figures are of interest")]
async fn empties(app: App) {
    const SOCKETS: usize = 600;
    let [ann, bob] = app.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Leaving", &[&bob]).await;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(bob.follows(&room, Some(0)).await);
    }
    ann.sends(&room, "before").await;
    for socket in &mut sockets {
        assert_eq!(socket.next().await["seq"], 1);
    }
    let mut talking = ann.opens_socket().await;
    let mut silent = Socket::connect(&app.url("/graphql")).await;

    let began = Instant::now();
    let stopping = tokio::spawn(app.stop());
    assert_eq!(
        silent.ended().await,
        Ended::Closed(1012),
        "who had not greeted goes at once"
    );
    // Who is still connected still writes, and is still heard by whoever is there.
    let input = json!({ "conversationId": room.id, "text": "meanwhile" });
    talking
        .subscribe("s", SEND, &json!({ "input": input }))
        .await;
    let leaving = sockets.into_iter().map(|mut following| async move {
        let mut heard = false;
        loop {
            match following.socket.next().await {
                Ok(_) => heard = true,
                Err(ended) => return (ended, began.elapsed(), heard),
            }
        }
    });
    let left = join_all(leaving.map(tokio::spawn).collect::<Vec<_>>()).await;
    let left: Vec<_> = left.into_iter().map(|left| left.expect("left")).collect();
    assert!(
        left.iter().all(|(ended, ..)| *ended == Ended::Closed(1012)),
        "{left:?}"
    );
    let times = || left.iter().map(|(_, at, _)| *at);
    let (first, last) = (times().min().expect("one"), times().max().expect("one"));
    let heard = left.iter().filter(|(_, _, heard)| *heard).count();
    println!("{SOCKETS} sockets left from {first:.2?} to {last:.2?}; {heard} heard more before");
    // One a millisecond, at random.
    assert!(
        last - first > Duration::from_millis(SOCKETS as u64 / 2),
        "{first:?}, {last:?}"
    );
    let answer = talking.next().await;
    if answer.is_ok() {
        assert!(heard > 0, "those that were still there hear what was said");
    }
    stopping.await.expect("the node stops");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_lets_a_crowd_go_one_by_one_on_sqlite() {
    empties(App::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_lets_a_crowd_go_one_by_one_on_postgres() {
    empties(App::postgres().await).await;
}

/// The database is away, and a crowd wants in: nobody is told anything that clients do not
/// come back from, and nobody waits for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_before_a_dead_database_is_told_to_come_back_later() {
    let postgres = Postgres::durable().await;
    let database = postgres.fresh_database().await;
    let app = App::with(&[("DATABASE_URL", &database)]).await;
    let ann = app.person("Ann").await;
    let mut socket = ann.opens_socket().await;
    let mut renewed_until = async |token: &str| {
        socket.send(&renewal(token)).await;
        let pong = socket.next().await.expect("the socket stays open");
        text(&pong["payload"]["expiresAt"])
    };
    let (later, expires_at) = token_expiring(&app, &ann, 3_600);
    let before = renewed_until(&ann.token).await;

    postgres.kill();
    let began = Instant::now();
    let crowd = join_all((0..40).map(|_| greets(&app, &ann))).await;
    for refused in crowd {
        assert_eq!(refused.err(), Some(Ended::Closed(1013)));
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
    // An open socket stays open: its renewal is put off, not refused.
    assert_eq!(renewed_until(&later).await, before);

    postgres.start().await;
    until("the database is back", || async {
        greets(&app, &ann).await.is_ok()
    })
    .await;
    assert_eq!(renewed_until(&later).await, expires_at);
    app.finish().await;
}
