//! Many sockets that leave at once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;

use crate::harness::App;
use crate::harness::clients::{Ended, Socket};
use crate::harness::people::SEND;

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
