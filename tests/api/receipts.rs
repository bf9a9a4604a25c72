//! How far members have come: marks, what of them shows to whom, and the stream of them.

mod hiding;
mod seen;
pub(crate) mod stream;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::people::MARK_READ;
use crate::harness::{Person, Room, on_both};

const UNREAD: &str =
    "query($id: ID!) { conversation(id: $id) { unreadCount deliveredSeqHere lastSeq } }";
const MEMBERS: &str = "query($id: ID!) { conversation(id: $id) {
    members(first: 200) { nodes { user { id } deliveredSeq readSeq } }
} }";

impl Person {
    /// The conversation as this device sees it.
    async fn standing(&self, room: &Room) -> Value {
        self.asks(UNREAD, json!({ "id": room.id })).await["conversation"].clone()
    }

    async fn unread(&self, room: &Room) -> i64 {
        let standing = self.standing(room).await;
        standing["unreadCount"].as_i64().expect("a number")
    }

    /// The marks of `other` as this one sees them.
    async fn sees_marks(&self, room: &Room, other: &Self) -> (i64, i64) {
        let found = self.asks(MEMBERS, json!({ "id": room.id })).await;
        let members = found["conversation"]["members"]["nodes"]
            .as_array()
            .expect("a list");
        let member = members
            .iter()
            .find(|member| member["user"]["id"] == other.id.as_str());
        marks(member.expect("a member"))
    }

    async fn marks_all_read(&self) -> Value {
        let marked = self.asks("mutation { markAllRead { conversationCount } }", json!({}));
        marked.await["markAllRead"]["conversationCount"].clone()
    }
}

/// Delivered and read of a member or receipt.
fn marks(of: &Value) -> (i64, i64) {
    let seq = |name: &str| of[name].as_i64().expect("a number");
    (seq("deliveredSeq"), seq("readSeq"))
}

on_both! {
    async fn a_device_has_what_reached_it_and_a_member_the_most_of_the_devices(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let laptop = bob.signs_in_again().await;
        let room = ann.makes_group("Devices", &[&bob]).await;
        for n in 1..=6 {
            ann.sends(&room, &format!("{n}")).await;
        }
        let mut watch = ann.follows_receipts(app, &room).await;

        bob.receives(&room, 4).await;
        laptop.receives(&room, 2).await;
        assert_eq!(bob.standing(&room).await["deliveredSeqHere"], 4);
        assert_eq!(laptop.standing(&room).await["deliveredSeqHere"], 2);
        assert_eq!(ann.sees_marks(&room, &bob).await, (4, 0));
        // Reading is also receiving, on the device that read.
        assert_eq!(marks(&laptop.reads(&room, 5).await), (5, 5));
        assert_eq!(laptop.standing(&room).await["deliveredSeqHere"], 5);
        assert_eq!(bob.standing(&room).await["deliveredSeqHere"], 4);
        assert_eq!(marks(&bob.receives(&room, 5).await), (5, 5));
        assert_eq!(bob.standing(&room).await["deliveredSeqHere"], 5);

        assert_eq!(marks(&watch.next().await), (4, 0), "what only the laptop had was no news");
        assert_eq!(marks(&watch.next().await), (5, 5));
        laptop.receives(&room, 6).await;
        assert_eq!(marks(&watch.next().await), (6, 5), "nor was what only the phone did");
    }

    async fn who_joins_has_everything_from_before_on_every_device(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Late", &[]).await;
        ann.sends(&room, "before").await;
        ann.adds(&room, &[&bob]).await;
        for device in [&bob, &bob.signs_in_again().await] {
            let standing = device.standing(&room).await;
            assert_eq!(standing, json!({ "unreadCount": 0, "deliveredSeqHere": 2, "lastSeq": 2 }));
        }
        assert_eq!(ann.sees_marks(&room, &bob).await, (2, 2));
    }

    async fn a_mark_that_changes_nothing_writes_nothing(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Still", &[&bob]).await;
        ann.sends(&room, "one").await;
        ann.sends(&room, "two").await;
        let mut watch = ann.follows_receipts(app, &room).await;
        bob.reads(&room, 2).await;
        assert_eq!(marks(&watch.next().await), (2, 2));

        app.domain.statements().record();
        for seq in [0, 1, 2] {
            assert_eq!(marks(&bob.reads(&room, seq).await), (2, 2));
            assert_eq!(marks(&bob.receives(&room, seq).await), (2, 2));
        }
        let statements = app.recorded_statements().await;
        for sql in &statements {
            assert!(sql.starts_with("SELECT"), "{sql}");
        }
        // Who asks, and where they stand.
        let of_marks = statements.iter().filter(|sql| sql.contains("said_here")).count();
        assert_eq!(of_marks, 6);
        for seq in [-1, 3] {
            let input = json!({ "conversationId": room.id, "seq": seq });
            let refused = bob.is_refused_with(MARK_READ, json!({ "input": input })).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": "seq" }));
        }
        ann.sends(&room, "three").await;
        bob.receives(&room, 3).await;
        assert_eq!(marks(&watch.next().await), (3, 2), "and nothing was told");
    }

    async fn a_mark_costs_4_statements(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Cheap", &[&bob]).await;
        ann.sends(&room, "one").await;
        bob.receives(&room, 1).await;
        ann.sends(&room, "two").await;
        // The session was read a moment ago; it is once a second.
        app.advance(Duration::from_secs(1));
        app.domain.statements().record();
        bob.reads(&room, 2).await;
        let statements = app.recorded_statements().await;
        // Who asks; where they stand; the member's row; the device's.
        assert_eq!(statements.len(), 4, "{statements:#?}");
        assert_eq!(bob.unread(&room).await, 0);
    }

    async fn everything_is_marked_as_read_at_once(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let mut rooms = Vec::new();
        for n in 1..=3 {
            let room = ann.makes_group(&format!("Room {n}"), &[&bob, &cleo]).await;
            for _ in 0..n {
                ann.sends(&room, "unread").await;
            }
            rooms.push(room);
        }
        let left = ann.makes_group("Left", &[&bob]).await;
        ann.sends(&left, "unread").await;
        ann.removes(&left, &bob).await;
        bob.reads(&rooms[0], 1).await;
        let mut watch = cleo.follows_receipts(app, &rooms[2]).await;
        let mut own = bob.follows_receipts(app, &rooms[1]).await;

        assert_eq!(bob.marks_all_read().await, 2, "one was read already, one is past");

        assert_eq!(marks(&watch.next().await), (3, 3));
        assert_eq!(marks(&own.next().await), (2, 2));
        for (n, room) in (1..).zip(&rooms) {
            let standing = bob.standing(room).await;
            assert_eq!(standing, json!({ "unreadCount": 0, "deliveredSeqHere": n, "lastSeq": n }));
        }
        assert_eq!(bob.marks_all_read().await, 0);
        assert_eq!(cleo.unread(&rooms[2]).await, 3, "that of others is theirs");
        // Another device has it all too, once it says so.
        let other = bob.signs_in_again().await;
        assert_eq!(other.standing(&rooms[2]).await["deliveredSeqHere"], 0);
        assert_eq!(other.marks_all_read().await, 0);
        assert_eq!(other.standing(&rooms[2]).await["deliveredSeqHere"], 3);
    }

    async fn a_count_of_unread_messages_never_sticks(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Unread", &[&bob]).await;
        let first = ann.sends(&room, "one").await;
        let second = ann.sends(&room, "two").await;
        bob.sends(&room, "mine").await;
        assert_eq!((ann.unread(&room).await, bob.unread(&room).await), (1, 2));
        ann.edits(&first, "one, edited").await;
        ann.adds(&room, &[&cleo]).await;
        assert_eq!(bob.unread(&room).await, 2, "only messages count");
        ann.deletes(&second).await;
        assert_eq!(bob.unread(&room).await, 1);
        ann.deletes(&first).await;
        assert_eq!(bob.unread(&room).await, 0, "though nothing was marked as read");
        assert_eq!(cleo.unread(&room).await, 0, "nor from before joining");

        // Away and back.
        ann.sends(&room, "three").await;
        ann.removes(&room, &bob).await;
        ann.sends(&room, "not for Bob").await;
        ann.adds(&room, &[&bob]).await;
        assert_eq!(bob.unread(&room).await, 0);
        let last = ann.sends(&room, "four").await;
        assert_eq!(bob.unread(&room).await, 1);
        bob.reads(&room, last.seq).await;
        assert_eq!(bob.unread(&room).await, 0);
        // What is read stays so when it goes.
        ann.deletes(&last).await;
        assert_eq!(bob.unread(&room).await, 0);
    }
}
