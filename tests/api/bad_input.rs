//! What must not be accepted: each such input gets a typed error and changes nothing, and
//! nobody learns from an error what they may not see.

mod foreign;
mod values;

use backchannel::Api;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};

use crate::harness::people::{
    ADD, DELETE, EDIT, EVENTS, Following, MARK_DELIVERED, MARK_READ, RECEIPTS, REMOVE, Room, SEND,
    SET_ROLE, SET_TYPING, Sent, TYPING, UPDATE, text,
};
use crate::harness::{App, Person, on_both};

const CREATE: &str = "mutation($input: CreateConversationInput!) {
    createConversation(input: $input) { conversation { id kind title slug } }
}";
const NODE: &str = "query($id: ID!) { node(id: $id) { __typename id } }";
const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }";
const CONVERSATION: &str =
    "query($id: ID, $slug: String) { conversation(id: $id, slug: $slug) { id } }";
const STATE: &str = "query($id: ID!) {
    conversation(id: $id) {
        title slug lastSeq
        members(first: 200) { totalCount nodes { user { id } role deliveredSeq readSeq } }
        messages(first: 200) { nodes { id seq text clientMessageId editedAt deletedAt } }
    }
    viewer { conversations(first: 200) { nodes { id } } }
}";

/// A conversation of Ann and Bob with something in it, Bob following it, and a stranger.
struct Scene {
    ann: Person,
    bob: Person,
    stranger: Person,
    room: Room,
    said: Sent,
    watch: Following,
    before: Value,
}

impl Scene {
    async fn set(app: &App) -> Self {
        let [ann, bob, stranger] = app.people(["Ann", "Bob", "Stranger"]).await;
        let room = ann.makes_group("Unmoved", &[&bob]).await;
        let said = ann.sends_with_key(&room, "unmoved", "used").await;
        let mut watch = bob.follows(&room, Some(0)).await;
        assert_eq!(watch.next().await["seq"], 1);
        let before = ann.asks(STATE, json!({ "id": room.id })).await;
        Self {
            ann,
            bob,
            stranger,
            room,
            said,
            watch,
            before,
        }
    }

    /// Nothing has changed, and Bob has heard of nothing.
    async fn finds_nothing_moved(mut self) {
        let after = self.ann.asks(STATE, json!({ "id": self.room.id })).await;
        assert_eq!(after, self.before);
        self.ann.sends(&self.room, "sentinel").await;
        let heard = self.watch.next().await;
        assert_eq!(
            (&heard["seq"], &heard["message"]["text"]),
            (&json!(2), &json!("sentinel"))
        );
    }
}

impl Person {
    /// The one error of a request that must fail.
    async fn error(&self, query: &str, variables: Value) -> Value {
        let answer = self.request(query, variables).await;
        let size = answer.body.len();
        let answer = answer.json();
        let errors = answer["errors"].as_array();
        let errors = errors.unwrap_or_else(|| panic!("refused: {answer}"));
        assert_eq!(errors.len(), 1, "{answer}");
        assert!(
            size < 2_048,
            "an answer of {size} bytes: {}…",
            &answer.to_string()[..500]
        );
        errors[0].clone()
    }

    async fn gets(&self, code: &str, query: &str, variables: Value) {
        let error = self.error(query, variables.clone()).await;
        assert_eq!(
            error["extensions"]["code"],
            code,
            "{query} {:.300} {error}",
            variables.to_string()
        );
    }

    async fn gets_bad_input(&self, field: &str, query: &str, variables: Value) {
        let error = self.error(query, variables.clone()).await;
        let expected = json!({ "code": "BAD_USER_INPUT", "field": field });
        assert_eq!(
            error["extensions"],
            expected,
            "{query} {:.300} {error}",
            variables.to_string()
        );
    }

    /// A subscription that must be refused: what comes instead of its first event.
    async fn subscribes_in_vain(&self, query: &str, variables: &Value) -> Value {
        let mut socket = self.opens_socket().await;
        socket.subscribe("1", query, variables).await;
        socket.next().await.expect("the socket stays open")
    }
}

/// An id that is well-formed and names nothing.
fn nothing(prefix: &str, number: usize) -> String {
    format!("{prefix}{number:0>21}A")
}

on_both! {
    async fn a_text_has_1_to_4000_characters_and_is_not_blank(app) {
        let scene = Scene::set(app).await;
        let (ann, room) = (&scene.ann, &scene.room);
        let bad = [
            String::new(), " \t\r\n".to_owned(), "\u{3000}\u{2003}".to_owned(), "\0".to_owned(),
            "a\0b".to_owned(), "x".repeat(4_001), "ü".repeat(4_001), "🏊".repeat(4_001),
        ];
        for text in &bad {
            let input = json!({ "conversationId": room.id, "text": text });
            ann.gets_bad_input("text", SEND, json!({ "input": input })).await;
            let input = json!({ "messageId": scene.said.id, "text": text });
            ann.gets_bad_input("text", EDIT, json!({ "input": input })).await;
        }
        for input in [
            json!({ "conversationId": room.id }),
            json!({ "conversationId": room.id, "text": null }),
        ] {
            ann.gets_bad_input("text", SEND, json!({ "input": input })).await;
        }
        scene.finds_nothing_moved().await;
    }

    async fn the_longest_text_of_any_script_arrives_as_it_was_sent(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Long", &[&bob]).await;
        let mut stream = bob.follows(&room, Some(0)).await;
        for text in [
            "x".repeat(4_000), "ü".repeat(4_000), "🏊".repeat(4_000), " \n inner \u{1}\u{7f}\r\n ".to_owned(),
            "\u{202e}\u{feff}e\u{301}".to_owned(), "'; DROP TABLE messages; --".to_owned(), "\\u0000 \\x00".to_owned(),
        ] {
            ann.sends(&room, &text).await;
            assert_eq!(stream.next().await["message"]["text"], text);
        }
    }

    async fn an_idempotency_key_has_1_to_128_printable_bytes(app) {
        let scene = Scene::set(app).await;
        let too_long = ["x".repeat(129), "é".repeat(65), "x".repeat(10_000)];
        let bad = ["", "\0", "a\nb", "\u{7f}", "a\u{85}"].map(str::to_owned);
        for key in bad.iter().chain(&too_long) {
            let input = json!({ "conversationId": scene.room.id, "text": "hi", "clientMessageId": key });
            scene.ann.gets_bad_input("clientMessageId", SEND, json!({ "input": input })).await;
        }
        // A key that was used is no way to say something else, here or elsewhere.
        let elsewhere = scene.stranger.makes_group("Elsewhere", &[&scene.ann]).await;
        for (room, text) in [(&scene.room, "other"), (&elsewhere, "unmoved"), (&elsewhere, "other")] {
            let input = json!({ "conversationId": room.id, "text": text, "clientMessageId": "used" });
            let error = scene.ann.error(SEND, json!({ "input": input })).await;
            assert_eq!(error["extensions"], json!({ "code": "CONFLICT", "field": "clientMessageId" }));
        }
        assert_eq!(scene.ann.last_seq(&elsewhere).await, 0);
        scene.ann.removes(&elsewhere, &scene.ann).await;
        scene.finds_nothing_moved().await;
    }

    async fn a_key_of_exactly_128_bytes_is_kept_as_it_is(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Keys", &[]).await;
        for key in ["x".repeat(128), "é".repeat(64), " ".to_owned(), "'\"\\%_".to_owned()] {
            let first = ann.sends_with_key(&room, "hi", &key).await;
            assert_eq!(ann.sends_with_key(&room, "hi", &key).await, first);
            let sent = ann.asks("query($id: ID!) { node(id: $id) { ... on Message { clientMessageId } } }", json!({ "id": first.id })).await;
            assert_eq!(sent["node"]["clientMessageId"], key);
        }
    }

    async fn a_body_of_megabytes_is_refused_unread(app) {
        let scene = Scene::set(app).await;
        for megabytes in [1, 5] {
            let input = json!({ "conversationId": scene.room.id, "text": "x".repeat(megabytes * 1_024 * 1_024) });
            let answer = scene.ann.request(SEND, json!({ "input": input })).await;
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
            assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "TOO_COMPLEX");
            assert!(answer.body.len() < 2_048);
        }
        // Just below the limit of the body, the limit of the text tells.
        let input = json!({ "conversationId": scene.room.id, "text": "x".repeat(1_000_000) });
        scene.ann.gets_bad_input("text", SEND, json!({ "input": input })).await;
        scene.finds_nothing_moved().await;
    }

    async fn half_a_character_is_no_text(app) {
        let scene = Scene::set(app).await;
        let url = app.url("/graphql");
        for half in [r"\ud83d", r"\ude00", r"\ud83d\ud83d", r"\ude00\ud83d"] {
            let body = json!({ "query": SEND, "variables": { "input": { "conversationId": scene.room.id, "text": "HALF" } } });
            let body = body.to_string().replace("HALF", half);
            let document = format!(r#"mutation {{ sendMessage(input: {{ conversationId: "{}", text: "{half}" }}) {{ message {{ id }} }} }}"#, scene.room.id);
            for body in [body, json!({ "query": document }).to_string()] {
                let request = Request::post(&url)
                    .header(CONTENT_TYPE, "application/json")
                    .header("authorization", format!("Bearer {}", scene.ann.token))
                    .body(body.into())
                    .expect("a request");
                let answer = app.http().request(request).await;
                assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{:?}", answer.body);
            }
        }
        scene.finds_nothing_moved().await;
    }

    async fn a_cursor_that_is_not_of_the_list_is_refused(app) {
        let scene = Scene::set(app).await;
        scene.ann.sends(&scene.room, "another").await;
        let lists = "query($id: ID!) {
            conversation(id: $id) {
                messages(first: 1) { edges { cursor } }
                members(first: 1) { edges { cursor } }
            }
            viewer { conversations(first: 1) { edges { cursor } } }
        }";
        let found = scene.ann.asks(lists, json!({ "id": scene.room.id })).await;
        let cursor = |list: &Value| text(&list["edges"][0]["cursor"]);
        let message = cursor(&found["conversation"]["messages"]);
        let member = cursor(&found["conversation"]["members"]);
        let conversation = cursor(&found["viewer"]["conversations"]);
        let of = |list: &str| match list {
            "messages" => (message.clone(), vec![member.clone(), conversation.clone()]),
            "members" => (member.clone(), vec![message.clone(), conversation.clone()]),
            _ => (conversation.clone(), vec![message.clone(), member.clone()]),
        };
        for list in ["messages", "members", "conversations"] {
            for (argument, take) in [("after", "first"), ("before", "last"), ("after", "last"), ("before", "first")] {
                let page = format!("{list}({take}: 2, {argument}: $cursor) {{ edges {{ cursor }} }}");
                let query = if list == "conversations" {
                    format!("query($cursor: String, $id: ID!) {{ conversation(id: $id) {{ id }} viewer {{ {page} }} }}")
                } else {
                    format!("query($cursor: String, $id: ID!) {{ conversation(id: $id) {{ {page} }} }}")
                };
                let (own, others) = of(list);
                let asks = |cursor: &str| json!({ "id": scene.room.id, "cursor": cursor });
                scene.ann.asks(&query, asks(&own)).await;
                let truncated = own[..own.len() - 1].to_owned();
                let longer = format!("{own}AAAA");
                let garbage = ["", "0", "1", "garbage", "====", "💥", "\0", "null", "__________8", " "];
                let garbage = garbage.map(str::to_owned).into_iter();
                let garbage = garbage.chain([truncated, longer, format!("{own}="), format!(" {own}"), "A".repeat(10_000)]);
                for bad in garbage.chain(others) {
                    scene.ann.gets_bad_input(argument, &query, asks(&bad)).await;
                }
                // Of the right form, and far out: a page without items is a fair answer too.
                for far in ["f_________8", "AAAAAAAAAAA", &"_".repeat(32), &"A".repeat(32), &format!("f_________{}", "_".repeat(22)), &format!("g{}", "A".repeat(31))] {
                    let answer = scene.ann.request(&query, asks(far)).await.json();
                    let code = &answer["errors"][0]["extensions"]["code"];
                    assert!(code.is_null() || code == "BAD_USER_INPUT", "{query} {far} {answer}");
                }
            }
        }
    }

    async fn a_page_has_1_to_200_items_from_one_end(app) {
        let scene = Scene::set(app).await;
        for list in ["messages", "members", "conversations"] {
            let query = |page: &str| {
                if list == "conversations" {
                    format!("query($id: ID!, $first: Int, $last: Int) {{ conversation(id: $id) {{ id }} viewer {{ {list}({page}) {{ edges {{ cursor }} }} }} }}")
                } else {
                    format!("query($id: ID!, $first: Int, $last: Int) {{ conversation(id: $id) {{ {list}({page}) {{ edges {{ cursor }} }} }} }}")
                }
            };
            let both = query("first: $first, last: $last");
            let with = |name: &str, size: i64| {
                let mut variables = json!({ "id": scene.room.id });
                variables[name] = json!(size);
                variables
            };
            for end in ["first", "last"] {
                for size in [0, -1, i64::from(i32::MIN), 201, 100_000, i64::from(i32::MAX)] {
                    scene.ann.gets_bad_input(end, &both, with(end, size)).await;
                }
                // Past what an `Int` can be.
                for size in [i64::from(i32::MAX) + 1, i64::MIN, i64::MAX] {
                    scene.ann.gets("BAD_USER_INPUT", &both, with(end, size)).await;
                }
                for size in [1, 200] {
                    scene.ann.asks(&both, with(end, size)).await;
                }
                let literal = query(&format!("{end}: 99999999999999999999999"));
                let literal = literal.replace(", $first: Int, $last: Int", "");
                let answer = scene.ann.request(&literal, json!({ "id": scene.room.id })).await.json();
                assert_eq!(answer["data"], Value::Null);
                assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
            }
            let variables = json!({ "id": scene.room.id, "first": 1, "last": 1 });
            scene.ann.gets_bad_input("last", &both, variables).await;
        }
        scene.finds_nothing_moved().await;
    }

    async fn what_is_no_id_of_the_right_kind_names_nothing(app) {
        let scene = Scene::set(app).await;
        let ann = &scene.ann;
        let kinds = [("usr_", &ann.id), ("cnv_", &scene.room.id), ("msg_", &scene.said.id)];
        for (prefix, own) in kinds {
            let cut = &own[..own.len() - 1];
            let malformed = [
                "", "\0", "0", "💥💥", "usr", prefix, cut, &format!("{own}A"), &format!("{own}="), &format!(" {own}"),
                &own.to_uppercase(), &own.replace('_', "-"), &"x".repeat(10_000), &format!("{prefix}{}", "A".repeat(10_000)),
                &nothing(prefix, 1), &nothing("xyz_", 1),
            ].map(str::to_owned);
            let others = kinds.iter().filter(|(other, _)| *other != prefix).map(|(_, id)| (*id).clone());
            for bad in malformed.into_iter().chain(others) {
                let is_anything = kinds.iter().any(|(_, id)| **id == bad);
                if !is_anything {
                    ann.gets("NOT_FOUND", NODE, json!({ "id": bad })).await;
                    let found = ann.asks(NODES, json!({ "ids": [bad, own] })).await;
                    assert_eq!(found["nodes"][0], Value::Null, "{bad:.80}");
                    assert_eq!(found["nodes"][1]["id"], **own);
                }
                let user = &scene.bob.id;
                let requests = match prefix {
                    "cnv_" => vec![
                        (CONVERSATION, json!({ "id": bad })),
                        (SEND, json!({ "input": { "conversationId": bad, "text": "hi" } })),
                        (ADD, json!({ "input": { "conversationId": bad, "userIds": [user] } })),
                        (REMOVE, json!({ "input": { "conversationId": bad, "userId": user } })),
                        (MARK_READ, json!({ "input": { "conversationId": bad, "seq": 1 } })),
                        (MARK_DELIVERED, json!({ "input": { "conversationId": bad, "seq": 1 } })),
                    ],
                    "msg_" => vec![
                        (EDIT, json!({ "input": { "messageId": bad, "text": "hi" } })),
                        (DELETE, json!({ "input": { "messageId": bad } })),
                    ],
                    _ => vec![
                        (ADD, json!({ "input": { "conversationId": scene.room.id, "userIds": [bad] } })),
                        (ADD, json!({ "input": { "conversationId": scene.room.id, "userIds": [scene.stranger.id, bad] } })),
                        (REMOVE, json!({ "input": { "conversationId": scene.room.id, "userId": bad } })),
                        (CREATE, json!({ "input": { "kind": "GROUP", "memberIds": [bad] } })),
                        (CREATE, json!({ "input": { "kind": "GROUP", "memberIds": [user, bad] } })),
                        (CREATE, json!({ "input": { "kind": "DIRECT", "memberIds": [bad] } })),
                    ],
                };
                for (query, variables) in requests {
                    ann.gets("NOT_FOUND", query, variables).await;
                }
            }
        }
        scene.finds_nothing_moved().await;
    }

    async fn no_list_of_ids_is_longer_than_200(app) {
        let scene = Scene::set(app).await;
        for count in [201, 1_000] {
            let users: Vec<_> = (0..count).map(|n| nothing("usr_", n)).collect();
            // Repeats count: a list is bounded before it is looked at.
            let same = vec![scene.bob.id.clone(); count];
            for ids in [users, same] {
                scene.ann.gets_bad_input("ids", NODES, json!({ "ids": ids })).await;
                let input = json!({ "conversationId": scene.room.id, "userIds": ids });
                scene.ann.gets_bad_input("userIds", ADD, json!({ "input": input })).await;
                let input = json!({ "kind": "GROUP", "memberIds": ids });
                scene.ann.gets_bad_input("memberIds", CREATE, json!({ "input": input })).await;
            }
        }
        let ids = vec![scene.bob.id.clone(); 200];
        let found = scene.ann.asks(NODES, json!({ "ids": ids })).await;
        assert_eq!(found["nodes"].as_array().map(Vec::len), Some(200));
        scene.finds_nothing_moved().await;
    }

    async fn a_slug_is_lower_case_letters_digits_and_single_dashes(app) {
        let scene = Scene::set(app).await;
        let long = "x".repeat(65);
        for slug in [
            "", "-", "a-", "-a", "a--b", "A", "a b", "a_b", "ä", "a.b", "a/b", "a\0", "\n", "a\n", "١", "ａ", long.as_str(),
        ] {
            let input = json!({ "kind": "ROOM", "memberIds": [], "slug": slug });
            scene.ann.gets_bad_input("slug", CREATE, json!({ "input": input })).await;
        }
        for kind in ["GROUP", "CHANNEL", "DIRECT"] {
            let input = json!({ "kind": kind, "memberIds": [scene.bob.id], "slug": "fine" });
            scene.ann.gets_bad_input("slug", CREATE, json!({ "input": input })).await;
        }
        // Whatever is asked for by a slug that cannot be is not there.
        for slug in ["", "\0", "a\0b", "A", "fine", "💥", &"x".repeat(10_000)] {
            scene.ann.gets("NOT_FOUND", CONVERSATION, json!({ "slug": slug })).await;
        }
        scene.ann.gets("BAD_USER_INPUT", CONVERSATION, json!({})).await;
        let two = json!({ "id": scene.room.id, "slug": "fine" });
        scene.ann.gets("BAD_USER_INPUT", CONVERSATION, two).await;
        scene.finds_nothing_moved().await;
    }

    async fn a_slug_has_one_room(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        for slug in ["a", "7", "a-b-2", &"x".repeat(64)] {
            let room = ann.makes(json!({ "kind": "ROOM", "memberIds": [], "slug": slug })).await;
            let found = ann.asks(CONVERSATION, json!({ "slug": slug })).await;
            assert_eq!(found["conversation"]["id"], room.id);
            for person in [&ann, &bob] {
                let input = json!({ "kind": "ROOM", "memberIds": [], "slug": slug });
                let error = person.error(CREATE, json!({ "input": input })).await;
                assert_eq!(error["extensions"], json!({ "code": "CONFLICT", "field": "slug" }));
            }
        }
    }

    async fn a_title_is_one_line_of_1_to_100_characters(app) {
        let scene = Scene::set(app).await;
        let long = "ü".repeat(101);
        for title in ["", "  ", "a\nb", "\0", long.as_str()] {
            let input = json!({ "kind": "GROUP", "memberIds": [], "title": title });
            scene.ann.gets_bad_input("title", CREATE, json!({ "input": input })).await;
        }
        scene.finds_nothing_moved().await;
    }

    async fn a_direct_conversation_names_one_other_who_exists(app) {
        let scene = Scene::set(app).await;
        let Scene { ann, bob, stranger, .. } = &scene;
        for members in [json!([]), json!([ann.id]), json!([ann.id, ann.id]), json!([bob.id, stranger.id]), json!([ann.id, bob.id, stranger.id])] {
            let input = json!({ "kind": "DIRECT", "memberIds": members });
            ann.gets_bad_input("memberIds", CREATE, json!({ "input": input })).await;
        }
        let input = json!({ "kind": "DIRECT", "memberIds": [nothing("usr_", 7)] });
        ann.gets("NOT_FOUND", CREATE, json!({ "input": input })).await;
        for title in ["Us", " "] {
            let input = json!({ "kind": "DIRECT", "memberIds": [bob.id], "title": title });
            ann.gets_bad_input("title", CREATE, json!({ "input": input })).await;
        }
        for kind in ["GROUP", "CHANNEL", "ROOM"] {
            let input = json!({ "kind": kind, "memberIds": [bob.id, nothing("usr_", 7)] });
            ann.gets("NOT_FOUND", CREATE, json!({ "input": input })).await;
        }
        scene.finds_nothing_moved().await;
    }

    async fn a_mark_stays_within_what_there_is(app) {
        let scene = Scene::set(app).await;
        for query in [MARK_READ, MARK_DELIVERED] {
            for seq in [-1, i64::from(i32::MIN), 2, 1_000, i64::from(i32::MAX)] {
                let input = json!({ "conversationId": scene.room.id, "seq": seq });
                scene.bob.gets_bad_input("seq", query, json!({ "input": input })).await;
            }
            for seq in [json!(i64::from(i32::MAX) + 1), json!(0.5), json!("1"), json!(null), json!(true), json!([[1]])] {
                let input = json!({ "conversationId": scene.room.id, "seq": seq });
                scene.bob.gets("BAD_USER_INPUT", query, json!({ "input": input })).await;
            }
            let input = json!({ "conversationId": scene.room.id, "seq": 0 });
            scene.bob.asks(query, json!({ "input": input })).await;
        }
        scene.finds_nothing_moved().await;
    }

    async fn what_does_not_fit_the_schema_is_not_executed(app) {
        let scene = Scene::set(app).await;
        let room = &scene.room.id;
        let send = |input: Value| json!({ "input": input });
        let long = "x".repeat(100_000);
        for (query, variables) in [
            (SEND, json!({})),
            (SEND, json!({ "input": null })),
            (SEND, json!({ "input": [] })),
            (SEND, json!({ "input": "hi" })),
            (SEND, json!({ "input": long })),
            (SEND, send(json!({ "text": "no conversation" }))),
            (SEND, send(json!({ "conversationId": null, "text": "hi" }))),
            (SEND, send(json!({ "conversationId": 1.5, "text": "hi" }))),
            (SEND, send(json!({ "conversationId": true, "text": "hi" }))),
            (SEND, send(json!({ "conversationId": [room, room], "text": "hi" }))),
            (SEND, send(json!({ "conversationId": { "id": room }, "text": "hi" }))),
            (SEND, send(json!({ "conversationId": room, "text": 1 }))),
            (SEND, send(json!({ "conversationId": room, "text": true }))),
            (SEND, send(json!({ "conversationId": room, "text": ["a", "b"] }))),
            (SEND, send(json!({ "conversationId": room, "text": {} }))),
            (SEND, send(json!({ "conversationId": room, "text": "hi", "nope": 1 }))),
            (SEND, send(json!({ "conversationId": room, "text": "hi", (long.as_str()): 1 }))),
            (SEND, send(json!({ "conversationId": room, "text": "hi", "clientMessageId": 7 }))),
            (CREATE, send(json!({ "kind": "PARTY", "memberIds": [] }))),
            (CREATE, send(json!({ "kind": "group", "memberIds": [] }))),
            (CREATE, send(json!({ "kind": long, "memberIds": [] }))),
            (CREATE, send(json!({ "kind": 1, "memberIds": [] }))),
            (CREATE, send(json!({ "kind": "GROUP" }))),
            (CREATE, send(json!({ "kind": "GROUP", "memberIds": [null] }))),
            (CREATE, send(json!({ "kind": "GROUP", "memberIds": [[scene.bob.id]] }))),
            (CREATE, send(json!({ "kind": "GROUP", "memberIds": {} }))),
            (CREATE, send(json!({ "kind": "GROUP", "memberIds": [1.5] }))),
            ("mutation($input: NoSuchInput!) { sendMessage(input: $input) { message { id } } }", send(json!({}))),
            ("mutation($input: SendMessagePayload!) { sendMessage(input: $input) { message { id } } }", send(json!({}))),
            ("mutation { sendMessage(input: $input) { message { id } } }", send(json!({ "conversationId": room, "text": "hi" }))),
            ("mutation { sendMessage { message { id } } }", json!({})),
            ("mutation { sendMessage(input: {}, input: {}) { message { id } } }", json!({})),
            ("mutation { sendMassage { message { id } } }", json!({})),
            ("query { sendMessage { message { id } } }", json!({})),
            ("mutation { signOut }", json!({})),
            ("mutation { signOut { ok { ok } } }", json!({})),
            ("mutation { signOut { ok } } mutation { signOut { ok } }", json!({})),
            ("mutation { signOut { ok @nope } }", json!({})),
            ("mutation { signOut @skip { ok } }", json!({})),
            ("mutation { signOut { ok } ...A }", json!({})),
            ("mutation { signOut { ok } } fragment A on Query { __typename }", json!({})),
            ("mutation { signOut { ok } ... on Query { __typename } }", json!({})),
            ("mutation($a: String) { signOut { ok } }", json!({})),
            ("{ viewer { user { id } } ", json!({})),
            ("", json!({})),
            ("\0", json!({})),
            ("# nothing", json!({})),
        ] {
            let answer = scene.ann.request(query, variables.clone()).await;
            let size = answer.body.len();
            let answer = answer.json();
            let shown = format!("{query} {:.200} {:.500}", variables.to_string(), answer.to_string());
            assert!(answer["data"].is_null(), "{shown}");
            for error in answer["errors"].as_array().unwrap_or_else(|| panic!("{shown}")) {
                assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{shown}");
            }
            assert!(size < 2_048, "{size} bytes: {shown}");
        }
        // Nobody was signed out by any of it.
        scene.finds_nothing_moved().await;
    }

}

impl Scene {
    /// [`Scene::finds_nothing_moved`] where the test itself made Ann further conversations.
    async fn finds_nothing_moved_but_lists(mut self) {
        let after = self.ann.asks(STATE, json!({ "id": self.room.id })).await;
        self.before["viewer"] = after["viewer"].clone();
        self.finds_nothing_moved().await;
    }
}

impl Person {
    /// Leaves what can be left.
    async fn removes_if_group(&self, room: &Room) {
        let input = json!({ "conversationId": room.id, "userId": self.id });
        self.request(REMOVE, json!({ "input": input })).await;
    }
}
