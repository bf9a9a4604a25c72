//! What new members see of what was before them: all of it, or nothing, through every door.

use serde_json::{Value, json};

use crate::harness::people::{DELETE, EDIT, seqs};
use crate::harness::{App, Person, Room, on_both};
use crate::polls::poll;

const PAGE: &str = "query($id: ID!, $first: Int, $after: String, $last: Int) { conversation(id: $id) {
    unreadCount lastSeq lastMessage { text }
    messages(first: $first, after: $after, last: $last) { nodes { text } pageInfo { hasPreviousPage startCursor } }
} }";
const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Message { text } } }";

impl App {
    /// Newcomers to all conversations see nothing of what was before them, or all of it.
    async fn shows_newcomers(&self, history: &str) {
        let settings = json!({ "history": history });
        self.runs_sql(&format!("UPDATE conversations SET settings = '{settings}'"))
            .await;
    }
}

impl Person {
    async fn finds_said(&self, room: &Room) -> (Vec<Value>, Value) {
        let found =
            self.asks(PAGE, json!({ "id": room.id, "last": 50 })).await["conversation"].clone();
        let nodes = found["messages"]["nodes"].as_array().expect("a page");
        let texts = nodes.iter().map(|node| node["text"].clone());
        (texts.collect(), found["lastMessage"]["text"].clone())
    }
}

on_both! {
    async fn who_joins_from_then_on_sees_nothing_of_what_was_before(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[&cleo]).await;
        let one = ann.sends(&room, "one").await;
        app.shows_newcomers("joining").await;
        ann.sends(&room, "two").await;
        let mut everything = bob.follows_all(Some(&bob.event_cursor().await)).await;
        ann.adds(&room, &[&bob]).await;
        assert_eq!(bob.finds_said(&room).await, (vec![], Value::Null));
        assert_eq!(cleo.finds_said(&room).await, (vec![json!("one"), json!("two")], json!("two")), "who was there sees all");
        let four = ann.sends(&room, "four").await;
        assert_eq!(bob.finds_said(&room).await, (vec![json!("four")], json!("four")));
        let found = bob.asks(PAGE, json!({ "id": room.id, "first": 1 })).await["conversation"].clone();
        assert_eq!((&found["unreadCount"], &found["lastSeq"]), (&json!(1), &json!(4)));
        assert_eq!(found["messages"]["nodes"][0]["text"], "four");
        // By a cursor from before, and by id.
        let cursor = ann.asks(PAGE, json!({ "id": room.id, "first": 1 })).await["conversation"]["messages"]["pageInfo"]["startCursor"].clone();
        let found = bob.asks(PAGE, json!({ "id": room.id, "first": 5, "after": cursor })).await;
        assert_eq!(found["conversation"]["messages"]["nodes"], json!([{ "text": "four" }]));
        let found = bob.asks(NODES, json!({ "ids": [one.id, four.id] })).await;
        assert_eq!(found["nodes"], json!([null, { "text": "four" }]));
        let many = "{ viewer { conversations { nodes { messages(last: 9) { nodes { text } } lastMessage { text } } } } }";
        let other = bob.makes_group("Other", &[]).await;
        bob.sends(&other, "own").await;
        let lists = bob.asks(many, json!({})).await["viewer"]["conversations"]["nodes"].clone();
        assert_eq!(lists[1]["messages"]["nodes"], json!([{ "text": "four" }]), "{lists}");
        // Whatever is done to it, as a member of another role too.
        ann.sets_role(&room, &bob, "ADMIN").await;
        for (query, input) in [
            (DELETE, json!({ "input": { "messageId": one.id } })),
            (EDIT, json!({ "input": { "messageId": one.id, "text": "mine" } })),
        ] {
            assert_eq!(bob.is_refused(query, input).await, "NOT_FOUND");
        }
        // Both streams begin with the joining, and are dense from there; of what is older they tell that
        // something happened to it, and not what it says.
        let mut live = bob.follows(&room, Some(0)).await;
        ann.edits(&one, "one, edited").await;
        ann.edits(&four, "4").await;
        ann.deletes(&one).await;
        let mut streams = vec![live.take(5 + 1).await];
        streams.push(everything.take(6 + 1).await.0.into_iter().filter(|event| event["conversationId"] == room.id).collect());
        streams.push(bob.follows(&room, Some(1)).await.take(6).await);
        for events in streams {
            assert_eq!(seqs(&events), [3, 4, 5, 6, 7, 8]);
            assert_eq!(events[0]["member"]["user"]["id"], json!(bob.id));
            assert_eq!((&events[3]["__typename"], &events[3]["message"]["text"]), (&json!("MessageEdited"), &Value::Null));
            assert_eq!(events[4]["message"]["text"], "4");
            assert_eq!(events[5]["message"]["id"], json!(one.id));
        }
        let texts: Vec<_> = cleo.follows(&room, Some(5)).await.take(2).await.iter().map(|event| event["message"]["text"].clone()).collect();
        assert_eq!(texts, [Value::Null, json!("4")], "deleted by now");
    }

    async fn a_poll_is_shown_to_those_who_see_its_message_alone(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[&cleo]).await;
        let asked = ann.asks_poll(&room, poll(&["tea", "coffee"])).await;
        app.shows_newcomers("joining").await;
        ann.adds(&room, &[&bob]).await;
        let mut live = [&bob, &cleo].map(|person| (person, Some(2)));
        let mut streams = Vec::new();
        for (person, after) in &mut live {
            streams.push(person.follows(&room, after.take()).await);
        }
        let cursor = cleo.event_cursor().await;
        ann.votes(&asked, &[1]).await;
        let [of_newcomer, of_old_hand] = &mut streams[..] else { panic!("two") };
        let (hidden, shown) = (of_newcomer.next().await, of_old_hand.next().await);
        assert_eq!((&hidden["__typename"], &hidden["message"]["poll"]), (&json!("PollChanged"), &Value::Null));
        assert_eq!(shown["message"]["poll"]["options"][0]["count"], 1);
        assert_eq!(bob.follows(&room, Some(2)).await.next().await, hidden, "replayed too");
        // Nor to one who has left, and replays what there was before.
        ann.removes(&room, &cleo).await;
        ann.votes(&asked, &[2]).await;
        let (event, _) = cleo.follows_all(Some(&cursor)).await.next().await;
        assert_eq!((&event["__typename"], &event["message"]["poll"]), (&json!("PollChanged"), &Value::Null), "{event}");
    }

    async fn a_text_from_before_is_not_shown_live_to_those_who_joined_later(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[&cleo]).await;
        let one = ann.sends(&room, "one").await;
        app.shows_newcomers("joining").await;
        ann.adds(&room, &[&bob]).await;
        let cursor = bob.event_cursor().await;
        let mut streams = Vec::new();
        for person in [&cleo, &bob, &cleo, &bob] {
            streams.push(person.follows(&room, Some(2)).await);
        }
        let mut all = [cleo.follows_all(None).await, bob.follows_all(None).await];
        ann.sends(&room, "all are there").await;
        for stream in &mut streams {
            stream.next().await;
        }
        for (stream, person) in all.iter_mut().zip([&cleo, &bob]) {
            // It may not have been open yet.
            while stream.next_within(std::time::Duration::from_millis(500)).await.is_none() {
                person.sends(&room, "now?").await;
            }
        }
        ann.edits(&one, "edited").await;
        for (n, stream) in streams.iter_mut().enumerate() {
            let event = loop {
                let event = stream.next().await;
                if event["__typename"] == "MessageEdited" {
                    break event;
                }
            };
            let shown = if n % 2 == 0 { json!("edited") } else { Value::Null };
            assert_eq!(event["message"]["text"], shown);
        }
        for (stream, shown) in all.iter_mut().zip([json!("edited"), Value::Null]) {
            let event = loop {
                let (event, _) = stream.next().await;
                if event["__typename"] == "MessageEdited" {
                    break event;
                }
            };
            assert_eq!(event["message"]["text"], shown);
        }
        // And when it is caught up with.
        let mut late = bob.follows_all(Some(&cursor)).await;
        let event = loop {
            let (event, _) = late.next().await;
            if event["__typename"] == "MessageEdited" {
                break event;
            }
        };
        assert_eq!(event["message"]["text"], Value::Null);
    }

    async fn what_a_reply_quotes_is_shown_to_those_alone_who_may_see_it(app) {
        const QUERY: &str = "subscription($id: ID!) { conversationEvents(conversationId: $id) {
            seq ... on MessageSent { message { text replyTo { text } threadRoot { text } thread { replyCount } } }
        } }";
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[&cleo]).await;
        let one = ann.sends(&room, "one").await;
        app.shows_newcomers("joining").await;
        ann.adds(&room, &[&bob]).await;
        let mut sockets = Vec::new();
        for person in [&cleo, &bob, &cleo, &bob] {
            let mut socket = person.opens_socket().await;
            let query = QUERY.replace("conversationId: $id", "conversationId: $id, after: 1");
            socket.subscribe("1", &query, &json!({ "id": room.id })).await;
            let message = socket.next().await.expect("the joining");
            assert_eq!(message["payload"]["data"]["conversationEvents"]["seq"], 2);
            sockets.push(socket);
        }
        let reply = "mutation($input: SendMessageInput!) { sendMessage(input: $input) { message { id seq } } }";
        for more in [json!({ "replyToId": one.id }), json!({ "threadId": one.id })] {
            let mut input = more.clone();
            input["conversationId"] = json!(room.id);
            input["text"] = json!("well");
            ann.asks(reply, json!({ "input": input.clone() })).await;
            for (n, socket) in sockets.iter_mut().enumerate() {
                let message = socket.next().await.expect("the reply");
                let told = &message["payload"]["data"]["conversationEvents"]["message"];
                assert_eq!(told["text"], "well", "{message}");
                let shown = if n % 2 == 0 { json!({ "text": "one" }) } else { Value::Null };
                let field = if more["threadId"].is_null() { "replyTo" } else { "threadRoot" };
                assert_eq!(told[field], shown, "{message}");
            }
            // Nor does one who was not there answer what was said then.
            assert_eq!(bob.is_refused(reply, json!({ "input": input })).await, "NOT_FOUND");
        }
    }

    async fn who_comes_back_sees_what_newcomers_see(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        ann.sends(&room, "one").await;
        app.shows_newcomers("joining").await;
        assert_eq!(bob.finds_said(&room).await.0, [json!("one")], "who is there goes on seeing all");
        ann.removes(&room, &bob).await;
        ann.sends(&room, "three").await;
        ann.adds(&room, &[&bob]).await;
        assert_eq!(bob.finds_said(&room).await.0, Vec::<Value>::new());
        app.shows_newcomers("all").await;
        assert_eq!(bob.finds_said(&room).await.0, Vec::<Value>::new(), "what he was not to see stays so");
        ann.removes(&room, &bob).await;
        ann.adds(&room, &[&bob]).await;
        assert_eq!(bob.finds_said(&room).await.0, [json!("one"), json!("three")]);
        assert_eq!(seqs(&bob.follows(&room, Some(0)).await.take(6).await), [1, 2, 3, 4, 5, 6]);
    }

    async fn the_owner_says_what_newcomers_see(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[]).await;
        ann.sends(&room, "one").await;
        ann.updates(&room, json!({ "settings": { "history": "JOINING" } })).await;
        ann.adds(&room, &[&bob]).await;
        assert_eq!(bob.finds_said(&room).await.0, Vec::<Value>::new());
        ann.updates(&room, json!({ "settings": { "history": "ALL" } })).await;
        ann.adds(&room, &[&cleo]).await;
        assert_eq!(cleo.finds_said(&room).await.0, [json!("one")]);
        assert_eq!(bob.finds_said(&room).await.0, Vec::<Value>::new());
        assert_eq!(seqs(&bob.follows(&room, Some(0)).await.take(3).await), [3, 4, 5]);
    }

    async fn strangers_to_a_room_that_hides_the_past_see_no_messages(app) {
        let [ann, eve] = app.people(["Ann", "Eve"]).await;
        let room = ann.makes(json!({ "kind": "ROOM", "title": "Quiet", "memberIds": [] })).await;
        let one = ann.sends(&room, "one").await;
        assert_eq!(eve.finds_said(&room).await, (vec![json!("one")], json!("one")));
        app.shows_newcomers("joining").await;
        assert_eq!(eve.finds_said(&room).await, (vec![], Value::Null));
        assert_eq!(eve.asks(NODES, json!({ "ids": [one.id] })).await["nodes"], json!([null]));
        assert_eq!(ann.finds_said(&room).await.0, [json!("one")]);
        eve.asks(crate::harness::people::JOIN_ROOM, json!({ "input": { "slug": "quiet" } })).await;
        ann.sends(&room, "three").await;
        assert_eq!(eve.finds_said(&room).await.0, [json!("three")]);
    }
}
