//! Sends whose connection to the database breaks in the middle.

use crate::harness::servers::{Cut, Postgres, Wire};

use super::waiting::{Sending, Stage, answered, gives_back, send};
use super::*;

/// Queues sends behind one that waits for the conversation, so that they go together: the first
/// answer is that one's, the others are of two with a key and one without, by turns.
async fn queue(stage: &Stage, ann: &Person, bob: &Person, room: &Room) -> Vec<Sending> {
    let session = stage.holds("conversations").await;
    let mut sendings = vec![tokio::spawn(send(ann, room, "first", Some("first")))];
    stage.are_waiting(1).await;
    for n in 0..9 {
        let key = format!("key {n}");
        let key = Some(key.as_str()).filter(|_| n % 3 > 0);
        let sender = if n % 2 == 0 { ann } else { bob };
        sendings.push(stage.queues(send(sender, room, "in a batch", key)).await);
    }
    gives_back(session).await;
    sendings
}

/// A batch has locked its conversation and waits for the row of a sender, which each message
/// refers to, when its connection is ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_connection_is_killed_is_sent_once() {
    let stage = Stage::set().await;
    let [ann, bob] = stage.app.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Held", &[&bob]).await;
    let mut stream = bob.follows(&room, Some(0)).await;
    let session = stage.holds("users WHERE display_name = 'Bob'").await;
    let sendings = queue(&stage, &ann, &bob, &room).await;
    for _ in 0..2 {
        stage.are_waiting(1).await;
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        stage
            .session()
            .await
            .execute(kill)
            .await
            .expect("it is ended");
    }
    stage.are_waiting(1).await;
    gives_back(session).await;

    let mut given = Vec::new();
    for sending in sendings {
        given.push(answered(sending).await.expect("it is sent").seq);
    }
    given.sort_unstable();
    assert_eq!(given, (1..=10).collect::<Vec<_>>());
    assert_eq!(seqs(&stream.take(10).await), given);
    assert_eq!(ann.last_seq(&room).await, 10);
    drop(stream);
    stage.app.finish().await;
}

/// What a batch says to the database is not heard or not answered, `cuts` times. Whether it took
/// effect is found out: each is sent once, with a key or without.
async fn a_batch_is_cut_off(cuts: &[(Cut, &[&str])]) {
    let postgres = Postgres::shared().await;
    let database = postgres.fresh_database().await;
    let (wire, url) = Wire::to(&database).await;
    let stage = Stage::set_behind(database, &url).await;
    let [ann, bob] = stage.app.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Held", &[&bob]).await;
    let mut stream = bob.follows(&room, Some(0)).await;
    for (cut, words) in cuts {
        wire.cuts(*cut, words);
    }
    let sendings = queue(&stage, &ann, &bob, &room).await;
    for (seq, sending) in (1..).zip(sendings) {
        assert_eq!(answered(sending).await.map(|sent| sent.seq), Ok(seq));
    }
    assert!(wire.has_cut(), "the connection was cut");
    assert_eq!(seqs(&stream.take(10).await), (1..=10).collect::<Vec<_>>());
    assert_eq!(ann.last_seq(&room).await, 10);
    drop(stream);
    stage.app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_took_effect_without_an_answer_is_sent_once() {
    a_batch_is_cut_off(&[(Cut::After, &["in a batch"])]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_not_heard_is_sent_once() {
    a_batch_is_cut_off(&[(Cut::Before, &["in a batch"])]).await;
}

const COMMIT: &[&str] = &["in a batch", "COMMIT"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_try_that_is_committed_without_an_answer_is_sent_once() {
    a_batch_is_cut_off(&[(Cut::Before, &["in a batch"]), (Cut::After, COMMIT)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_try_that_is_lost_at_its_commit_is_sent_once() {
    a_batch_is_cut_off(&[(Cut::Before, &["in a batch"]), (Cut::Before, COMMIT)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_statement_that_is_not_answered_is_sent_once() {
    let database = Postgres::shared().await.fresh_database().await;
    let (wire, url) = Wire::to(&database).await;
    let stage = Stage::set_behind(database, &url).await;
    let [ann, bob] = stage.app.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Quiet", &[&bob]).await;
    let mut stream = bob.follows(&room, Some(0)).await;
    let mut expected = Vec::new();
    for cut in [Cut::After, Cut::Before] {
        for key in [Some(format!("{cut:?}")), None] {
            let text = format!("{cut:?} {key:?}");
            wire.cuts(cut, &[&text]);
            let sent = outcome(&send(&ann, &room, &text, key.as_deref()).await);
            assert!(wire.has_cut(), "the connection was cut");
            expected.push(text);
            assert_eq!(sent.map(|sent| sent.seq), Ok(expected.len() as i64));
        }
    }
    let events = stream.take(expected.len()).await;
    let texts: Vec<_> = events
        .iter()
        .map(|event| text(&event["message"]["text"]))
        .collect();
    assert_eq!(texts, expected);
    assert_eq!(ann.last_seq(&room).await, expected.len() as i64);
    drop(stream);
    stage.app.finish().await;
}
