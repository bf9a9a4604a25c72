//! Who is typing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::people::{Following, SET_TYPING};
use crate::harness::{Person, on_both};

/// Longer than anybody is held to be typing who is not heard of.
const SILENCE: Duration = Duration::from_secs(6);

impl Following {
    /// What comes next is that this person types, or does no longer.
    async fn shows(&mut self, who: &Person, typing: bool) {
        let heard = self.next().await;
        assert_eq!(
            (&heard["userId"], &heard["typing"]),
            (&json!(who.id), &json!(typing))
        );
    }
}

on_both! {
    async fn others_see_who_starts_and_who_stops(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Typing", &[&bob]).await;
        let mut anns = ann.follows_typing(app, &room).await;
        let mut bobs = bob.signs_in_again().await.follows_typing(app, &room).await;
        // To go on is no news, nor is to stop twice.
        for typing in [true, true, true, false, false] {
            bob.types(&room, typing).await;
        }
        for stream in [&mut anns, &mut bobs] {
            let heard = stream.next().await;
            assert_eq!(heard, json!({ "conversationId": room.id, "userId": bob.id, "typing": true }));
            stream.shows(&bob, false).await;
        }
        ann.types(&room, true).await;
        bobs.shows(&ann, true).await;
    }

    async fn who_is_not_heard_of_types_no_longer(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Silence", &[&bob]).await;
        let mut anns = ann.follows_typing(app, &room).await;
        bob.types(&room, true).await;
        anns.shows(&bob, true).await;
        // Whoever goes on saying so is held to be typing all along.
        for _ in 0..4 {
            app.advance(Duration::from_secs(3));
            bob.types(&room, true).await;
        }
        ann.types(&room, true).await;
        anns.shows(&ann, true).await;
        app.advance(SILENCE);
        anns.shows(&bob, false).await;
        anns.shows(&ann, false).await;
    }

    async fn a_message_ends_the_typing_of_its_sender(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Message", &[&bob]).await;
        let mut anns = ann.follows_typing(app, &room).await;
        bob.types(&room, true).await;
        ann.types(&room, true).await;
        anns.shows(&bob, true).await;
        anns.shows(&ann, true).await;
        bob.sends(&room, "done").await;
        anns.shows(&bob, false).await;
        app.advance(Duration::from_secs(1));
        bob.types(&room, true).await;
        anns.shows(&bob, true).await;
    }

    async fn who_comes_sees_who_is_typing_now(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Now", &[&bob, &cleo]).await;
        let mut anns = ann.follows_typing(app, &room).await;
        bob.types(&room, true).await;
        cleo.types(&room, true).await;
        anns.shows(&bob, true).await;
        anns.shows(&cleo, true).await;
        bob.types(&room, false).await;
        anns.shows(&bob, false).await;
        // Who types before anybody wants to know is known all the same.
        let other = ann.makes_group("Nobody looks", &[&bob]).await;
        bob.types(&other, true).await;
        ann.follows_typing(app, &other).await.shows(&bob, true).await;
        let mut later = ann.signs_in_again().await.follows_typing(app, &room).await;
        later.shows(&cleo, true).await;
        // Who leaves types no longer.
        ann.removes(&room, &cleo).await;
        anns.shows(&cleo, false).await;
        later.shows(&cleo, false).await;
    }

    async fn removal_ends_the_stream_before_anything_later(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Removed", &[&bob, &cleo]).await;
        let mut bobs = bob.follows_typing(app, &room).await;
        let mut cleos = cleo.follows_typing(app, &room).await;
        ann.types(&room, true).await;
        bobs.shows(&ann, true).await;
        cleos.shows(&ann, true).await;
        ann.removes(&room, &bob).await;
        cleo.types(&room, true).await;
        cleos.shows(&cleo, true).await;
        bobs.completes().await;
        let refused: Value = bob.is_refused_with(SET_TYPING, json!({ "input": { "conversationId": room.id, "typing": true } })).await;
        assert_eq!(refused["code"], "NOT_FOUND");
    }

    async fn who_may_not_send_cannot_type(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes(json!({ "kind": "CHANNEL", "memberIds": [bob.id] })).await;
        let mut bobs = bob.follows_typing(app, &room).await;
        let input = json!({ "input": { "conversationId": room.id, "typing": true } });
        assert_eq!(bob.is_refused(SET_TYPING, input).await, "FORBIDDEN");
        ann.types(&room, true).await;
        bobs.shows(&ann, true).await;
    }
}
