//! To whom people are open: what others see of them, everywhere it is shown, and when that changes.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::clients::Socket;
use crate::harness::{Person, Room, on_both};
use crate::presence::Watching;

pub(crate) const UPDATE: &str = "mutation($input: UpdatePrivacyInput!) {
    updatePrivacy(input: $input) { viewer { privacy { foundByEmail foundByPhone lastSeen avatar chatsFrom } } }
}";
const PRIVACY: &str =
    "{ viewer { privacy { foundByEmail foundByPhone lastSeen avatar chatsFrom } } }";
const AVATAR: &str = "query($id: ID!) { node(id: $id) { ... on User { avatarUrl } } }";
const SENT: &str = "subscription($id: ID!) { conversationEvents(conversationId: $id, after: 0) {
    ... on MessageSent { message { text sender { avatarUrl presence { state lastSeenAt } } } }
} }";
const PICTURE: &str = "https://example.com/ann.png";

impl Person {
    pub(crate) async fn updates_privacy(&self, input: Value) -> Value {
        let data = self.asks(UPDATE, json!({ "input": input })).await;
        data["updatePrivacy"]["viewer"]["privacy"].clone()
    }

    /// Another's picture, by itself.
    async fn sees_avatar(&self, other: &Self) -> Value {
        let data = self.asks(AVATAR, json!({ "id": other.id })).await;
        data["node"]["avatarUrl"].clone()
    }

    /// The picture of whoever sent the newest message: as it is written, and as it is resolved.
    async fn sees_sender(&self, room: &Room) -> [Value; 2] {
        let query = "query($id: ID!) { conversation(id: $id) {
            messages(last: 1) { nodes { sender { avatarUrl } } }
            resolved: messages(last: 1) { edges { node { conversation { id } sender { avatarUrl } } } }
        } }";
        let data = self.asks(query, json!({ "id": room.id })).await;
        let found = &data["conversation"];
        [
            found["messages"]["nodes"][0]["sender"]["avatarUrl"].clone(),
            found["resolved"]["edges"][0]["node"]["sender"]["avatarUrl"].clone(),
        ]
    }
}

/// Follows a conversation in which one message was sent; the stream is open when this returns.
async fn follows(person: &Person, room: &Room) -> Socket {
    let mut socket = person.opens_socket().await;
    socket.subscribe("1", SENT, &json!({ "id": room.id })).await;
    assert_eq!(told(&mut socket).await["text"], "first");
    socket
}

async fn told(socket: &mut Socket) -> Value {
    let message = socket.next().await.expect("the stream goes on");
    assert_eq!(message["type"], "next", "{message}");
    let event = &message["payload"]["data"]["conversationEvents"];
    event["message"].clone()
}

async fn sees_text(watching: &mut Watching, text: &str) -> Value {
    loop {
        let seen = watching.next().await;
        if seen["text"] == text {
            return seen;
        }
    }
}

on_both! {
    async fn settings_are_for_everyone_until_they_are_changed_one_by_one(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut expected = json!({ "foundByEmail": "EVERYONE", "foundByPhone": "EVERYONE", "lastSeen": "EVERYONE", "avatar": "EVERYONE", "chatsFrom": "EVERYONE" });
        let own = async |person: &Person| person.asks(PRIVACY, json!({})).await["viewer"]["privacy"].clone();
        assert_eq!(own(&ann).await, expected);
        for (setting, audience) in [("foundByEmail", "NOBODY"), ("foundByPhone", "CONTACTS"), ("lastSeen", "NOBODY"), ("avatar", "CONTACTS"), ("chatsFrom", "CONTACTS")] {
            expected[setting] = json!(audience);
            assert_eq!(ann.updates_privacy(json!({ setting: audience })).await, expected);
            assert_eq!(own(&ann).await, expected);
        }
        assert_eq!(ann.updates_privacy(json!({ "avatar": null })).await, expected);
        assert_eq!(own(&bob).await["avatar"], "EVERYONE");
        let stranger = app.anonymous(UPDATE, json!({ "input": {} })).await;
        assert_eq!(stranger["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }

    async fn a_picture_is_shown_to_those_it_is_open_to_wherever_it_stands(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Pictures", &[&bob, &cleo]).await;
        ann.updates_profile(json!({ "avatarUrl": PICTURE })).await;
        ann.adds_contact(&bob, None).await;
        ann.sends(&room, "hi").await;
        for (audience, to_bob, to_cleo) in [
            ("EVERYONE", json!(PICTURE), json!(PICTURE)),
            ("CONTACTS", json!(PICTURE), Value::Null),
            ("NOBODY", Value::Null, Value::Null),
        ] {
            ann.updates_privacy(json!({ "avatar": audience })).await;
            for (person, expected) in [(&ann, json!(PICTURE)), (&bob, to_bob), (&cleo, to_cleo)] {
                assert_eq!(person.sees_avatar(&ann).await, expected, "{audience} {}", person.name);
                let both = [expected.clone(), expected];
                assert_eq!(person.sees_sender(&room).await, both, "{audience} {}", person.name);
            }
        }
        assert_eq!(cleo.finds_avatar("ann").await, Value::Null);
    }

    async fn an_event_shows_each_what_is_open_to_them(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes_group("Events", &[&bob, &cleo, &dan]).await;
        ann.updates_profile(json!({ "avatarUrl": PICTURE })).await;
        dan.updates_profile(json!({ "avatarUrl": PICTURE })).await;
        ann.adds_contact(&bob, None).await;
        ann.sets_presence(json!({ "state": "BUSY" })).await;
        dan.sends(&room, "first").await;
        let people = [&cleo, &bob, &ann, &cleo, &bob];
        let mut sockets = join_all(people.iter().map(|person| follows(person, &room))).await;
        ann.updates_privacy(json!({ "avatar": "CONTACTS", "lastSeen": "CONTACTS" })).await;
        ann.sends(&room, "mine").await;
        for (person, socket) in people.iter().zip(&mut sockets) {
            let told = told(socket).await;
            let sender = &told["sender"];
            let is_shown = person.id != cleo.id;
            assert_eq!(sender["avatarUrl"] == PICTURE, is_shown, "{}: {told}", person.name);
            assert_eq!(sender["presence"]["lastSeenAt"].is_string(), is_shown, "{}: {told}", person.name);
            assert_eq!(sender["presence"]["state"], "BUSY");
        }
        dan.sends(&room, "anybody's").await;
        for socket in &mut sockets {
            assert_eq!(told(socket).await["sender"]["avatarUrl"], PICTURE);
        }
    }

    async fn when_somebody_was_last_there_is_shown_to_those_it_is_open_to(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        ann.sets_presence(json!({ "state": "BUSY", "text": "there" })).await;
        let mut watching = bob.watches(&[&ann]).await;
        let mut own = ann.watches(&[&ann]).await;
        let whole = watching.shows(&ann, "BUSY").await;
        assert!(whole["lastSeenAt"].is_string(), "{whole}");
        let mut hidden = whole.clone();
        hidden["lastSeenAt"] = Value::Null;
        ann.updates_privacy(json!({ "lastSeen": "CONTACTS" })).await;
        assert_eq!(watching.next().await, hidden);
        assert_eq!(bob.sees(&ann).await, hidden);
        ann.adds_contact(&bob, None).await;
        assert_eq!(watching.next().await, whole);
        ann.updates_privacy(json!({ "lastSeen": "NOBODY" })).await;
        assert_eq!(watching.next().await, hidden);
        // Its changes are hidden, and those of the rest are not.
        ann.sets_presence(json!({ "state": "BUSY", "text": "still" })).await;
        let seen = sees_text(&mut watching, "still").await;
        assert_eq!(seen["lastSeenAt"], Value::Null);
        ann.updates_privacy(json!({ "lastSeen": "EVERYONE" })).await;
        assert!(watching.next().await["lastSeenAt"].is_string());
        assert!(sees_text(&mut own, "still").await["lastSeenAt"].is_string(), "one's own is always whole");
    }

    async fn between_two_of_whom_one_blocks_the_other_nothing_is_seen(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Blocked", &[&bob, &cleo]).await;
        let direct = ann.makes_direct(&bob).await;
        for person in [&ann, &bob] {
            person.updates_profile(json!({ "avatarUrl": PICTURE })).await;
            person.sets_presence(json!({ "state": "BUSY", "text": "there" })).await;
        }
        ann.sends(&direct, "hi").await;
        ann.sends(&room, "hi").await;
        let mut watching = bob.watches(&[&ann]).await;
        let mut other = ann.watches(&[&bob]).await;
        let whole = watching.shows(&ann, "BUSY").await;
        other.shows(&bob, "BUSY").await;
        let mut profiles = bob.watches_profiles(&[&ann]).await;
        assert_eq!(profiles.next().await["avatarUrl"], PICTURE);

        ann.blocks(&bob).await;
        let nothing = json!({ "userId": ann.id, "state": "OFFLINE", "text": null, "lastSeenAt": null });
        assert_eq!(watching.next().await, nothing);
        other.shows(&bob, "OFFLINE").await;
        assert_eq!(profiles.next().await["avatarUrl"], Value::Null);
        assert_eq!(bob.sees(&ann).await, nothing);
        assert_eq!(ann.sees(&bob).await["state"], "OFFLINE");
        assert_eq!([bob.sees_avatar(&ann).await, ann.sees_avatar(&bob).await], [Value::Null, Value::Null]);
        assert_eq!(bob.sees_sender(&room).await, [Value::Null, Value::Null]);
        assert_eq!(bob.sees_sender(&direct).await, [Value::Null, Value::Null]);
        assert_eq!(cleo.sees(&ann).await, whole, "others see what they saw");
        assert_eq!(cleo.sees_sender(&room).await, [json!(PICTURE), json!(PICTURE)]);
        assert_eq!([ann.sees(&ann).await, ann.sees_avatar(&ann).await], [whole.clone(), json!(PICTURE)]);
        // What she does meanwhile is nothing to him.
        ann.sets_presence(json!({ "state": "AWAY", "text": "later" })).await;
        ann.updates_profile(json!({ "avatarUrl": "https://example.com/new.png" })).await;
        ann.unblocks(&bob).await;
        assert_eq!(watching.next().await["text"], "later");
        other.shows(&bob, "BUSY").await;
        assert_eq!(profiles.next().await["avatarUrl"], "https://example.com/new.png");
    }

    async fn a_profile_is_told_again_when_its_picture_opens_or_closes(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        ann.updates_profile(json!({ "avatarUrl": PICTURE })).await;
        let mut to_bob = bob.watches_profiles(&[&ann]).await;
        let mut to_cleo = cleo.watches_profiles(&[&ann]).await;
        for profiles in [&mut to_bob, &mut to_cleo] {
            assert_eq!(profiles.next().await["avatarUrl"], PICTURE);
        }
        ann.updates_privacy(json!({ "avatar": "CONTACTS" })).await;
        for profiles in [&mut to_bob, &mut to_cleo] {
            assert_eq!(profiles.next().await["avatarUrl"], Value::Null);
        }
        ann.adds_contact(&bob, None).await;
        assert_eq!(to_bob.next().await["avatarUrl"], PICTURE);
        // Settings that hide nothing of it are told to nobody.
        ann.updates_privacy(json!({ "foundByEmail": "NOBODY" })).await;
        ann.updates_profile(json!({ "bio": "hi" })).await;
        let seen = to_cleo.next().await;
        assert_eq!((&seen["bio"], &seen["avatarUrl"]), (&json!("hi"), &Value::Null));
        assert_eq!(to_bob.next().await["bio"], "hi");
        ann.removes_contact(&bob).await;
        assert_eq!(to_bob.next().await["avatarUrl"], Value::Null);
    }

    async fn a_page_with_senders_who_hide_something_costs_one_statement_more(app) {
        let people = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let [ann, bob, cleo, dan] = &people;
        let room = ann.makes_group("Busy", &[bob, cleo, dan]).await;
        for person in &people {
            person.updates_profile(json!({ "avatarUrl": PICTURE })).await;
        }
        for n in 0..50 {
            people[n % 4].sends(&room, &format!("{n}")).await;
        }
        let queries = [
            "query($id: ID!) { conversation(id: $id) { messages(last: 50) { nodes { sender { avatarUrl } } } } }",
            "query($id: ID!) { conversation(id: $id) { messages(last: 50) { nodes { conversation { id } sender { avatarUrl } } } } }",
        ];
        let cost = async |query| {
            app.advance(std::time::Duration::from_secs(1));
            let before = app.domain.statements().count();
            let data = dan.asks(query, json!({ "id": room.id })).await;
            let cost = app.domain.statements().count() - before;
            let nodes = data["conversation"]["messages"]["nodes"].as_array().expect("a page");
            (nodes.iter().filter(|node| node["sender"]["avatarUrl"] == PICTURE).count(), cost)
        };
        let open = [cost(queries[0]).await, cost(queries[1]).await];
        assert!(open[0].1 <= 4 && open.iter().all(|(shown, _)| *shown == 50), "{open:?}");
        for person in [ann, bob, dan] {
            person.updates_privacy(json!({ "avatar": "NOBODY" })).await;
        }
        // Field by field, the senders are looked up once more by themselves.
        for (more, (query, (_, open))) in queries.iter().zip(open).enumerate() {
            let (shown, cost) = cost(query).await;
            assert_eq!(shown, 24, "those of Cleo, and one's own");
            assert!(cost <= open + 1 + more as u64, "{cost} statements, {open} before");
        }
    }
}

impl Person {
    /// The picture of the first who is found.
    async fn finds_avatar(&self, query: &str) -> Value {
        let found = self.asks(crate::directory::FIND, json!({ "query": query }));
        found.await["users"]["nodes"][0]["avatarUrl"].clone()
    }
}
