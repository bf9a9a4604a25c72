//! The stream of receipts.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;

use super::*;
use crate::harness::people::{RECEIPTS, text};
use crate::harness::{App, until};

/// Who reads one message at about the same time.
const CROWD: usize = 200;

/// What came of it.
pub(crate) struct Burst {
    pub(crate) readers: usize,
    /// From the first read to the last.
    pub(crate) took: Duration,
    /// What a member heard of it.
    pub(crate) events: usize,
}

impl Burst {
    /// The first at once; then eight a tick if they were few in it, else one.
    pub(crate) fn most(&self) -> usize {
        8 * (usize::try_from(self.took.as_millis() / 250).expect("few") + 2)
    }
}

/// So many members read one message at about the same time. Panics unless a member hears of each of
/// them once.
pub(crate) async fn burst(app: &App, readers: usize) -> Burst {
    let ann = app.person("Ann").await;
    // A few at a time.
    let people =
        stream::iter(0..readers).map(|n| async move { app.person(&format!("P {n}")).await });
    let people: Vec<_> = people.buffered(8).collect().await;
    let room = ann.makes_group("Crowd", &[]).await;
    for some in people.chunks(100) {
        ann.adds(&room, &some.iter().collect::<Vec<_>>()).await;
    }
    let said = ann.sends(&room, "read this").await;
    let mut anns = ann.follows_receipts(app, &room).await;
    let mut bobs = people[0].follows_receipts(app, &room).await;
    let begun = Instant::now();
    let reading = stream::iter(&people).map(|person| person.reads(&room, said.seq));
    reading.buffer_unordered(16).collect::<Vec<_>>().await;
    let took = begun.elapsed();
    let mut heard = HashSet::new();
    let mut events = 0;
    while heard.len() < readers {
        let event = anns.next().await;
        let others = event["others"].as_array().expect("a list");
        assert!(others.len() <= 200);
        for receipt in others.iter().chain([&event]) {
            assert_eq!(marks(receipt), (said.seq, said.seq));
            assert!(heard.insert(text(&receipt["userId"])), "each once");
        }
        events += 1;
    }
    assert!(bobs.next().await["userId"].is_string());
    Burst {
        readers,
        took,
        events,
    }
}

on_both! {
    async fn a_receipt_says_who_came_how_far_and_when(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Receipt", &[&bob]).await;
        ann.sends(&room, "one").await;
        let mut anns = ann.follows_receipts(app, &room).await;
        let mut bobs = bob.signs_in_again().await.follows_receipts(app, &room).await;
        bob.receives(&room, 1).await;
        let heard = anns.next().await;
        assert_eq!(heard["conversationId"], room.id);
        assert_eq!(heard["userId"], bob.id);
        assert_eq!(marks(&heard), (1, 0));
        assert_eq!(heard["others"], json!([]));
        assert!(text(&heard["at"]) > text(&json!("2026")));
        assert_eq!(bobs.next().await, heard, "one's own other devices hear it too");
        bob.reads(&room, 1).await;
        assert_eq!(marks(&anns.next().await), (1, 1));
        assert_eq!(marks(&bobs.next().await), (1, 1));
    }

    async fn what_a_few_do_at_once_comes_as_the_latest_of_each(app) {
        let people = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let [ann, others @ ..] = &people;
        let room = ann.makes_group("Few", &others.each_ref()).await;
        for n in 1..=20 {
            ann.sends(&room, &format!("{n}")).await;
        }
        let mut anns = ann.follows_receipts(app, &room).await;
        for seq in 1..=20 {
            for other in others {
                other.reads(&room, seq).await;
            }
        }
        let (mut count, mut last) = (0, HashMap::new());
        while last.values().filter(|marks| **marks == (20, 20)).count() < 3 {
            let heard = anns.next().await;
            assert_eq!(heard["others"], json!([]), "each comes by itself");
            let known = last.insert(text(&heard["userId"]), marks(&heard));
            assert!(known.is_none_or(|known| known < marks(&heard)), "only forward");
            count += 1;
        }
        assert!(count < 60, "{count} events of 60 reads");
    }

    async fn a_crowd_that_reads_at_once_makes_a_handful_of_events(app) {
        let burst = burst(app, CROWD).await;
        assert!(burst.events <= burst.most(), "{} in {:?}", burst.events, burst.took);
    }

    async fn removal_ends_the_stream_before_anything_later(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Removed", &[&bob, &cleo]).await;
        let mut seq = ann.sends(&room, "one").await.seq;
        for _ in 0..5 {
            let mut bobs = bob.follows_receipts(app, &room).await;
            let mut cleos = cleo.follows_receipts(app, &room).await;
            cleo.receives(&room, seq).await;
            assert_eq!(bobs.next().await["userId"], cleo.id);
            assert_eq!(cleos.next().await["userId"], cleo.id);
            ann.removes(&room, &bob).await;
            cleo.reads(&room, seq).await;
            ann.sends(&room, "not for Bob").await;
            bobs.completes().await;
            assert_eq!(marks(&cleos.next().await), (seq, seq), "the others go on");
            drop((bobs, cleos));
            until("they are closed", || async { app.domain.open_signal_streams() == 0 }).await;
            ann.adds(&room, &[&bob]).await;
            seq = ann.last_seq(&room).await;
        }
    }

    async fn strangers_and_nobody_hear_nothing(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Private", &[]).await;
        let mut socket = bob.opens_socket().await;
        socket.subscribe("1", RECEIPTS, &json!({ "id": room.id })).await;
        let refused = socket.next().await.expect("an answer").to_string();
        assert!(refused.contains("NOT_FOUND"), "{refused}");
        let mut socket = crate::harness::clients::Socket::open(&app.url("/graphql"), None).await;
        socket.subscribe("1", RECEIPTS, &json!({ "id": room.id })).await;
        let refused = socket.next().await.expect("an answer").to_string();
        assert!(refused.contains("UNAUTHENTICATED"), "{refused}");
    }
}
