//! Streams: each event once, in order, none left out; over the seam from replay to live,
//! and to the end of a membership.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::on_both;
use crate::harness::people::{EVENTS, seqs, viewer_events};

on_both! {
    async fn a_message_reaches_a_follower(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Two", &[&bob]).await;
        let mut stream = bob.follows(&room, Some(0)).await;

        let sent = ann.sends(&room, "hello").await;

        let event = stream.next().await;
        assert_eq!(sent.seq, 1);
        assert_eq!(event["__typename"], "MessageSent");
        assert_eq!(event["seq"], 1);
        assert_eq!(event["conversationId"], room.id);
        assert_eq!(event["actor"]["id"], ann.id);
        assert_eq!(event["message"]["id"], sent.id);
        assert_eq!(event["message"]["text"], "hello");
        assert_eq!(event["at"], event["message"]["createdAt"]);
    }

    async fn every_kind_of_event_shares_one_dense_sequence(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("All kinds", &[&bob]).await;
        let mut stream = bob.follows(&room, Some(0)).await;

        let sent = ann.sends(&room, "first").await;
        ann.edits(&sent, "second").await;
        ann.adds(&room, &[&cleo]).await;
        ann.deletes(&sent).await;
        ann.removes(&room, &cleo).await;

        let events = stream.take(5).await;
        let kinds: Vec<_> = events.iter().map(|event| event["__typename"].as_str().expect("a type")).collect();
        assert_eq!(kinds, ["MessageSent", "MessageEdited", "MemberJoined", "MessageDeleted", "MemberLeft"]);
        assert_eq!(seqs(&events), [1, 2, 3, 4, 5]);
        assert_eq!(events[1]["message"]["seq"], 1, "the message keeps its own position");
        assert_eq!(events[2]["member"]["user"]["id"], cleo.id);
        assert_eq!(events[4]["user"]["id"], cleo.id);
        assert_eq!(ann.last_seq(&room).await, 5);
    }

    async fn a_replay_shows_the_present_state(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Edited", &[&bob]).await;
        let edited = ann.sends(&room, "taken back").await;
        let deleted = ann.sends(&room, "erased").await;
        ann.edits(&edited, "what stays").await;
        ann.deletes(&deleted).await;

        let events = bob.follows(&room, Some(0)).await.take(4).await;

        assert_eq!(seqs(&events), [1, 2, 3, 4]);
        assert_eq!(events[0]["message"]["text"], "what stays");
        assert_eq!(events[1]["message"]["text"], Value::Null, "a tombstone keeps the place");
        let all = json!(events).to_string();
        assert!(!all.contains("taken back") && !all.contains("erased"), "{all}");
    }

    async fn a_stream_goes_from_replay_to_live_without_a_seam(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Seam", &[&bob]).await;
        // Several pages of replay, while more is being sent all the time.
        for n in 1..=250 {
            ann.sends(&room, &format!("{n}")).await;
        }
        let sending = async {
            for n in 251..=500 {
                ann.sends(&room, &format!("{n}")).await;
            }
        };
        let following = async {
            let mut streams = Vec::new();
            for after in [0, 17, 200, 250] {
                streams.push((after, bob.follows(&room, Some(after)).await));
            }
            for (after, mut stream) in streams {
                let events = stream.take(500 - usize::try_from(after).expect("not negative")).await;
                let expected: Vec<_> = (after + 1..=500).collect();
                assert_eq!(seqs(&events), expected);
                for event in events {
                    assert_eq!(event["message"]["text"], event["seq"].to_string());
                }
            }
        };
        tokio::join!(sending, following);
    }

    async fn parallel_senders_leave_no_hole(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes_group("Crowd", &[&bob, &cleo, &dan]).await;
        let mut stream = dan.follows(&room, Some(0)).await;
        let burst = |person: crate::harness::Person| {
            let room = room.clone();
            async move {
                for n in 0..40 {
                    person.sends(&room, &format!("{} {n}", person.name)).await;
                }
            }
        };
        let (bursts, events) = tokio::join!(
            futures_util::future::join_all([&ann, &bob, &cleo].map(|person| burst(person.clone()))),
            stream.take(120),
        );
        assert_eq!(bursts.len(), 3);
        assert_eq!(seqs(&events), (1..=120).collect::<Vec<_>>());
    }

    async fn without_a_position_only_the_future_is_told(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Later", &[&bob]).await;
        ann.sends(&room, "past").await;
        let mut socket = bob.opens_socket().await;
        let variables = json!({ "id": room.id, "after": null });
        socket.subscribe("1", EVENTS, &variables).await;
        // The stream is up once this node follows the conversation.
        crate::harness::until("the stream is up", || async { app.domain.open_feeds() == 1 }).await;
        socket.stays_silent_for(Duration::from_millis(300)).await;

        ann.sends(&room, "future").await;

        let message = socket.next().await.expect("an event");
        assert_eq!(message["payload"]["data"]["conversationEvents"]["seq"], 2);
    }

    async fn removal_ends_the_stream_with_itself(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Ends", &[&bob, &cleo]).await;
        let mut bobs = bob.follows(&room, Some(0)).await;
        let mut cleos = cleo.follows(&room, Some(0)).await;
        ann.sends(&room, "before").await;
        // The stream is open when it brings something.
        assert_eq!(seqs(&bobs.take(1).await), [1]);
        ann.removes(&room, &bob).await;
        ann.sends(&room, "after").await;

        assert_eq!(seqs(&bobs.take(1).await), [2]);
        bobs.completes().await;
        assert_eq!(seqs(&cleos.take(3).await), [1, 2, 3], "the others go on");

        let again = json!({ "id": room.id, "after": 2 });
        bobs.socket.subscribe("2", EVENTS, &again).await;
        let refused = bobs.socket.next().await.expect("an answer");
        assert!(refused.to_string().contains("NOT_FOUND"), "{refused}");
    }

    async fn one_who_comes_back_reads_past_the_old_removal(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Back", &[&bob]).await;
        ann.sends(&room, "one").await;
        ann.removes(&room, &bob).await;
        ann.sends(&room, "three").await;
        ann.adds(&room, &[&bob]).await;
        let mut stream = bob.follows(&room, Some(0)).await;
        assert_eq!(seqs(&stream.take(4).await), [1, 2, 3, 4]);

        ann.removes(&room, &bob).await;

        assert_eq!(stream.next().await["seq"], 5);
        stream.completes().await;
    }

    async fn many_who_resume_at_once_are_read_for_together(app) {
        // Nearly as many sockets as a user may have.
        const MANY: usize = 90;
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Crowd", &[&bob]).await;
        let start = bob.event_cursor().await;
        for n in 0..40 {
            ann.sends(&room, &format!("{n}")).await;
        }
        let sockets = futures_util::future::join_all((0..MANY).map(|_| bob.opens_socket())).await;
        app.domain.statements().record();
        let began = std::time::Instant::now();

        let resuming = sockets.into_iter().enumerate().map(|(n, mut socket)| {
            let (room, start) = (&room, &start);
            async move {
                let (query, variables) = if n % 2 == 0 {
                    (EVENTS.to_owned(), json!({ "id": room.id, "after": n % 7 }))
                } else {
                    (viewer_events(), json!({ "after": start }))
                };
                socket.subscribe("1", &query, &variables).await;
                let first = if n % 2 == 0 { n % 7 + 1 } else { 1 };
                for seq in first..=40 {
                    let message = socket.next().await.expect("the stream goes on");
                    let data = &message["payload"]["data"];
                    let event = if n % 2 == 0 { &data["conversationEvents"] } else { &data["viewerEvents"]["event"] };
                    assert_eq!(event["seq"], seq, "{message}");
                }
            }
        });
        futures_util::future::join_all(resuming).await;

        let plans = app.domain.explain_recorded().await.expect("every statement can be explained");
        let reads = plans.iter().filter(|plan| plan.sql.contains("wanted(")).count();
        assert!(reads > 0, "the log was read");
        // Who comes within a while is read for together, so what counts is how long all took.
        let rounds = usize::try_from(began.elapsed().as_millis() / 50).expect("few");
        assert!(reads < MANY / 4 + 2 * rounds, "{reads} reads of the log for {MANY} in {rounds} rounds");
        assert!(reads < MANY, "one each");
    }

    async fn a_position_that_does_not_exist_is_refused(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Positions", &[&bob]).await;
        ann.sends(&room, "one").await;
        for after in [-1, 2, i64::from(i32::MAX)] {
            let mut socket = bob.opens_socket().await;
            socket.subscribe("1", EVENTS, &json!({ "id": room.id, "after": after })).await;
            let refused = socket.next().await.expect("an answer").to_string();
            assert!(refused.contains("BAD_USER_INPUT") && refused.contains(r#""field":"after""#), "{refused}");
        }
    }

    async fn a_stranger_cannot_tell_a_conversation_from_none(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Private", &[]).await;
        let mut answers = Vec::new();
        for id in [room.id.as_str(), "cnv_AaH4qIAkdqm0Vs4KuCidpA", "nonsense"] {
            let mut socket = bob.opens_socket().await;
            socket.subscribe("1", EVENTS, &json!({ "id": id, "after": 0 })).await;
            answers.push(socket.next().await.expect("an answer"));
        }
        assert!(answers[0].to_string().contains("NOT_FOUND"), "{}", answers[0]);
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0], answers[2]);
    }

    async fn server_sent_events_carry_the_same_stream(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Events", &[&bob]).await;
        ann.sends(&room, "one").await;
        let body = json!({ "query": EVENTS, "variables": { "id": room.id, "after": 0 } });
        let mut stream = app.http().events(&app.url("/graphql"), Some(&bob.token), &body).await;
        let event = |data: Value| data["data"]["conversationEvents"].clone();

        let (name, data) = stream.next().await.expect("the replay");
        assert_eq!((name.as_str(), &event(data)["seq"]), ("next", &json!(1)));
        ann.sends(&room, "two").await;
        let (name, data) = stream.next().await.expect("the live event");
        assert_eq!((name.as_str(), &event(data)["message"]["text"]), ("next", &json!("two")));
        ann.removes(&room, &bob).await;
        let (_, data) = stream.next().await.expect("the removal");
        assert_eq!(event(data)["__typename"], "MemberLeft");
        assert_eq!(stream.next().await.expect("an end").0, "complete");
        assert!(stream.next().await.is_none());
    }
}
