//! The stream of everything: each event once, whatever commits in which order, over any number
//! of conversations and reconnections.

mod order;
mod snapshot;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::people::{FollowingAll, text, viewer_events};
use crate::harness::{Person, Room, on_both};

/// Longer than anything here takes to arrive, and short enough to wait for nothing.
const A_WHILE: Duration = Duration::from_millis(700);

/// Conversation and seq of each event.
fn places(events: &[Value]) -> Vec<(String, i64)> {
    let place = |event: &Value| {
        (
            text(&event["conversationId"]),
            event["seq"].as_i64().expect("a number"),
        )
    };
    events.iter().map(place).collect()
}

fn place(room: &Room, seq: i64) -> (String, i64) {
    (room.id.clone(), seq)
}

async fn ends_silent(mut stream: FollowingAll) {
    stream.socket.stays_silent_for(A_WHILE).await;
}

on_both! {
    async fn events_of_all_conversations_come_live(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let (one, two) = (ann.makes_group("One", &[&bob]).await, ann.makes_group("Two", &[&bob]).await);
        ann.sends(&one, "before").await;
        let mut stream = bob.follows_all(Some(&bob.event_cursor().await)).await;

        ann.sends(&two, "hello").await;
        let said = ann.sends(&one, "there").await;
        ann.edits(&said, "here").await;

        let (events, _) = stream.take(3).await;
        assert_eq!(places(&events), [place(&two, 1), place(&one, 2), place(&one, 3)]);
        assert_eq!(events[0]["message"]["text"], "hello");
        assert_eq!(events[2]["__typename"], "MessageEdited");
        assert_eq!(events[2]["message"]["text"], "here");
        ends_silent(stream).await;
    }

    async fn without_a_cursor_the_stream_begins_at_the_present(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        ann.sends(&room, "long ago").await;
        let mut stream = bob.follows_all(None).await;
        // Nobody can tell from outside when a stream has begun; from its first event on, it
        // has all.
        let mut tries = 0..50;
        let first = loop {
            assert!(tries.next().is_some(), "the stream never began");
            ann.sends(&room, "now").await;
            if let Some((event, _)) = stream.next_within(Duration::from_millis(200)).await {
                break event["seq"].as_i64().expect("a number");
            }
        };
        assert!(first > 1, "what was there before is not replayed");
        let last = ann.sends(&room, "and now").await.seq;
        for seq in first + 1..=last {
            assert_eq!(stream.next().await.0["seq"], seq);
        }
    }

    async fn every_cursor_resumes_behind_its_event(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let rooms = [
            ann.makes_group("One", &[&bob]).await,
            ann.makes_group("Two", &[&bob]).await,
            ann.makes_group("Three", &[&bob]).await,
        ];
        let start = bob.event_cursor().await;
        let mut live = bob.follows_all(Some(&start)).await;
        for n in 0..12 {
            ann.sends(&rooms[n * 5 % 3], &format!("{n}")).await;
        }
        let mut seen = Vec::new();
        let mut cursors = vec![start];
        for _ in 0..12 {
            let (event, cursor) = live.next().await;
            seen.push(event);
            cursors.push(cursor);
        }
        drop(live);

        for (n, cursor) in cursors.iter().enumerate() {
            let mut stream = bob.follows_all(Some(cursor)).await;
            let mut expected = places(&seen[n..]);
            let mut cursor = cursor.clone();
            // Its own cursors resume it too, wherever it is cut.
            while !expected.is_empty() {
                let (event, next) = stream.next().await;
                let found = places(&[event]).remove(0);
                let index = expected.iter().position(|place| *place == found);
                expected.remove(index.unwrap_or_else(|| panic!("{found:?} is not due")));
                stream = bob.follows_all(Some(&next)).await;
                cursor = next;
            }
            assert!(cursor.len() < 400, "{} characters", cursor.len());
            if n % 6 == 0 {
                ends_silent(stream).await;
            }
        }
    }

    async fn conversations_joined_later_are_included(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let old = ann.makes_group("Old", &[]).await;
        ann.sends(&old, "before Bob").await;
        let before = bob.event_cursor().await;
        let mut live = bob.follows_all(Some(&before)).await;

        ann.adds(&old, &[&bob]).await;
        ann.sends(&old, "after").await;
        let new = ann.makes_group("New", &[&bob]).await;
        ann.sends(&new, "first").await;
        let direct = ann.makes(json!({ "kind": "DIRECT", "memberIds": [bob.id] })).await;
        ann.sends(&direct, "psst").await;

        let expected = [place(&old, 2), place(&old, 3), place(&new, 1), place(&direct, 1)];
        let mut lived = places(&live.take(4).await.0);
        lived.sort();
        let mut replayed = places(&bob.follows_all(Some(&before)).await.take(4).await.0);
        replayed.sort();
        let mut expected = expected.to_vec();
        expected.sort();
        assert_eq!(lived, expected);
        assert_eq!(replayed, expected);
        ends_silent(live).await;
    }

    async fn a_removal_is_the_last_event_of_its_conversation(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let (room, other) = (ann.makes_group("Room", &[&bob]).await, ann.makes_group("Other", &[&bob]).await);
        let before = bob.event_cursor().await;
        let mut live = bob.follows_all(Some(&before)).await;

        let said = ann.sends(&room, "as it was").await;
        ann.removes(&room, &bob).await;
        ann.sends(&room, "without Bob").await;
        ann.edits(&said, "rewritten without Bob").await;
        ann.sends(&other, "still here").await;

        let expected = [place(&room, 1), place(&room, 2), place(&other, 1)];
        let (lived, cursor) = live.take(3).await;
        assert_eq!(places(&lived), expected);
        assert_eq!(lived[1]["__typename"], "MemberLeft");
        assert_eq!(lived[1]["user"]["id"], bob.id);
        let (replayed, _) = bob.follows_all(Some(&before)).await.take(3).await;
        assert_eq!(places(&replayed), expected);
        let all = json!([lived, replayed]).to_string();
        assert!(!all.contains("without Bob"), "what happened after the removal: {all}");
        ends_silent(bob.follows_all(Some(&cursor)).await).await;

        // Coming back is the next event; what happened meanwhile is not among them.
        ann.adds(&room, &[&bob]).await;
        ann.sends(&room, "welcome back").await;
        let expected = [place(&room, 5), place(&room, 6)];
        assert_eq!(places(&live.take(2).await.0), expected);
        assert_eq!(places(&bob.follows_all(Some(&cursor)).await.take(2).await.0), expected);
        let mut all = places(&bob.follows_all(Some(&before)).await.take(5).await.0);
        all.sort();
        let mut expected = [place(&room, 1), place(&room, 2), place(&other, 1), place(&room, 5), place(&room, 6)];
        expected.sort();
        assert_eq!(all, expected, "away from before the removal until after the return");
    }

    async fn a_slow_reader_misses_and_repeats_nothing(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut rooms = Vec::new();
        for n in 0..20 {
            rooms.push(ann.makes_group(&format!("{n}"), &[&bob]).await);
        }
        let mut stream = bob.follows_all(Some(&bob.event_cursor().await)).await;
        // Far more than a stream keeps, over more conversations than a cursor names.
        let sending = rooms.iter().map(|room| async {
            for n in 0..15 {
                ann.sends(room, &"long ".repeat(n * 40 + 1)).await;
            }
        });
        futures_util::future::join_all(sending).await;
        let (events, cursor) = stream.take(300).await;
        let mut found = places(&events);
        found.sort();
        let mut expected: Vec<_> = rooms.iter().flat_map(|room| (1..=15).map(|seq| place(room, seq))).collect();
        expected.sort();
        assert_eq!(found, expected);
        ends_silent(bob.follows_all(Some(&cursor)).await).await;
        ends_silent(stream).await;
    }

    async fn what_is_no_cursor_of_this_stream_is_refused(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Room", &[]).await;
        ann.sends(&room, "hi").await;
        let query = "query($id: ID!) { conversation(id: $id) { messages { pageInfo { endCursor } } } }";
        let page = ann.asks(query, json!({ "id": room.id })).await;
        let of_a_page = text(&page["conversation"]["messages"]["pageInfo"]["endCursor"]);
        // Version 1, a base of 2^40, no catching up.
        let of_the_future = "BAGAgICAgCAA".to_owned();
        let huge = "A".repeat(20_000);
        for cursor in ["", "x", "BA", "not base64!", &of_a_page, &of_the_future, &huge] {
            let refused = refusal(&ann, &json!({ "after": cursor })).await;
            assert_eq!(refused["code"], "BAD_USER_INPUT", "{cursor}: {refused}");
            assert_eq!(refused["field"], "after", "{cursor}: {refused}");
        }
        let refused = refusal(&ann, &json!({ "after": 7 })).await;
        assert_eq!(refused["code"], "BAD_USER_INPUT", "{refused}");
    }

    async fn the_costs_of_resuming_grow_with_what_was_missed(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let mut rooms = Vec::new();
        for n in 0..300 {
            let others: &[&Person] = if n < 3 { &[&bob, &cleo] } else { &[&bob] };
            rooms.push(ann.makes_group(&format!("{n}"), others).await);
            ann.sends(&rooms[n], "first").await;
        }
        let (few, many) = (cleo.event_cursor().await, bob.event_cursor().await);
        app.advance(Duration::from_secs(30 * 24 * 3_600));
        // Everybody's token has expired by now.
        let ann = ann.signs_in_again().await;
        let (bob, cleo) = (bob.signs_in_again().await, cleo.signs_in_again().await);
        for room in &rooms[..3] {
            ann.sends(room, "missed").await;
        }

        let statements = async |person: &Person, cursor: &str| {
            app.domain.statements().record();
            let mut stream = person.follows_all(Some(cursor)).await;
            let (events, _) = stream.take(3).await;
            let took = app.recorded_statements().await;
            assert_eq!(places(&events), rooms[..3].iter().map(|room| place(room, 2)).collect::<Vec<_>>());
            took
        };
        let of_three = statements(&cleo, &few).await;
        let of_three_hundred = statements(&bob, &many).await;
        assert!(of_three_hundred.len() <= of_three.len(), "{} and {}", of_three.join("\n"), of_three_hundred.join("\n"));
    }

    async fn opening_looks_for_what_was_missed_once(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut rooms = Vec::new();
        for n in 0..40 {
            rooms.push(ann.makes_group(&format!("{n}"), &[&bob]).await);
        }
        app.domain.statements().record();
        let mut stream = bob.follows_all(Some(&ann.event_cursor().await)).await;
        ann.sends(&rooms[7], "live").await;
        assert_eq!(places(&stream.take(1).await.0), [place(&rooms[7], 1)]);
        let texts = app.recorded_statements().await;
        let looks = texts.iter().filter(|sql| sql.contains("member_stamp"));
        assert_eq!(looks.count(), 3, "for Ann's cursor, for where Bob's stream is and for what it missed");
    }

    async fn a_month_of_events_comes_in_pages(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut rooms = Vec::new();
        for n in 0..60 {
            rooms.push(ann.makes_group(&format!("{n}"), &[&bob]).await);
        }
        let start = bob.event_cursor().await;
        let ann = &ann;
        let sending = rooms.iter().enumerate().map(|(n, room)| async move {
            for m in 0..if n == 7 { 450 } else { 10 } {
                ann.sends(room, &format!("{m}")).await;
            }
        });
        futures_util::stream::StreamExt::collect::<Vec<_>>(
            futures_util::stream::StreamExt::buffer_unordered(futures_util::stream::iter(sending), 8),
        ).await;
        let before = app.domain.statements().count();
        let mut left = 450 + 59 * 10;
        let mut found = Vec::new();
        let mut cursor = start;
        let mut longest = 0;
        // Cut off now and then: each reconnection goes on where it was.
        while left > 0 {
            let count = left.min(333);
            let (events, next) = bob.follows_all(Some(&cursor)).await.take(count).await;
            found.extend(places(&events));
            longest = longest.max(next.len());
            cursor = next;
            left -= count;
        }
        let took = app.domain.statements().count() - before;
        found.sort();
        let mut expected: Vec<_> = rooms.iter().enumerate()
            .flat_map(|(n, room)| (1..=if n == 7 { 450 } else { 10 }).map(|seq| place(room, seq)))
            .collect();
        expected.sort();
        assert_eq!(found, expected);
        assert!(took < 120, "{took} statements for 1,040 events in four goes");
        assert!(longest < 2_000, "a cursor of {longest} characters");
        ends_silent(bob.follows_all(Some(&cursor)).await).await;
    }

    async fn the_stream_is_for_those_who_are_signed_in(app) {
        let answer = app.anonymous("{ viewer { eventCursor } }", json!({})).await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        let mut socket = crate::harness::clients::Socket::open(&app.url("/graphql"), None).await;
        socket.subscribe("1", &viewer_events(), &json!({})).await;
        let refused = socket.next().await.expect("an answer");
        assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{refused}");
    }
}

/// The extensions of the error that ends a stream of everything at once.
async fn refusal(person: &Person, variables: &Value) -> Value {
    let mut socket = person.opens_socket().await;
    socket.subscribe("1", &viewer_events(), variables).await;
    let refused = socket.next().await.expect("an answer");
    refused["payload"]["errors"][0]["extensions"].clone()
}
