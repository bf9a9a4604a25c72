//! The stream of receipts.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::*;
use crate::harness::people::{RECEIPTS, text};
use crate::harness::{App, until};

/// Who reads one message at about the same time.
const CROWD: usize = 200;

/// Registers many, a few at a time.
async fn crowd(app: &App) -> Vec<Person> {
    let people = stream::iter(0..CROWD).map(|n| async move { app.person(&format!("P {n}")).await });
    people.buffered(8).collect().await
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
        let ann = app.person("Ann").await;
        let people = crowd(app).await;
        let (early, late) = people.split_at(CROWD / 2);
        let room = ann.makes_group("Crowd", &early.iter().collect::<Vec<_>>()).await;
        ann.adds(&room, &late.iter().collect::<Vec<_>>()).await;
        let said = ann.sends(&room, "read this").await;
        let mut anns = ann.follows_receipts(app, &room).await;
        let mut bobs = people[0].follows_receipts(app, &room).await;
        let begun = std::time::Instant::now();
        let reading = stream::iter(&people).map(|person| person.reads(&room, said.seq));
        reading.buffer_unordered(16).collect::<Vec<_>>().await;
        let took = begun.elapsed();

        let mut heard = HashMap::new();
        let mut events = 0;
        while heard.len() < CROWD {
            let event = anns.next().await;
            let others = event["others"].as_array().expect("a list");
            assert!(others.len() <= 200);
            for receipt in others.iter().chain([&event]) {
                assert_eq!(marks(receipt), (said.seq, said.seq));
                let twice = heard.insert(text(&receipt["userId"]), ());
                assert!(twice.is_none(), "each once");
            }
            events += 1;
        }
        // The first at once; then eight a tick if they were few in it, else one.
        let ticks = usize::try_from(took.as_millis() / 250).expect("few") + 2;
        assert!(events <= 8 * ticks, "{events} in {took:?}");
        assert!(bobs.next().await["userId"].is_string());
        let found = ann.asks(MEMBERS, json!({ "id": room.id })).await;
        let members = found["conversation"]["members"]["nodes"].as_array().expect("a list");
        assert_eq!(members.len(), 200, "a page");
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
