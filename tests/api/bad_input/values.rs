//! Values that do not fit, for documents that have fitted before and are not validated again.

use super::*;

const PAGE: &str = "query($id: ID!, $first: Int, $after: String, $with: Boolean = true) {
    conversation(id: $id) { messages(first: $first, after: $after) { nodes { seq text @include(if: $with) } } }
}";
const SPELT: &str = "mutation($id: ID!, $text: String, $key: String) {
    sendMessage(input: { conversationId: $id, text: $text, clientMessageId: $key }) { message { seq } }
}";

on_both! {
    async fn a_known_document_is_refused_like_a_new_one(app) {
        let scene = Scene::set(app).await;
        let (ann, room) = (&scene.ann, &scene.room.id);
        let input = |input: Value| json!({ "input": input });
        let cases = [
            (SEND, input(json!({ "conversationId": room, "text": "hi", "clientMessageId": "one" })), vec![
                json!({}),
                json!({ "input": null }),
                json!({ "input": [] }),
                input(json!({ "conversationId": room, "text": 1 })),
                input(json!({ "conversationId": null, "text": "hi" })),
                input(json!({ "conversationId": 1.5, "text": "hi" })),
                input(json!({ "conversationId": room, "text": "hi", "nope": 1 })),
                input(json!({ "text": "hi" })),
            ]),
            (SPELT, json!({ "id": room, "text": "hi", "key": "two" }), vec![
                json!({ "text": "hi" }),
                json!({ "id": null, "text": "hi" }),
                json!({ "id": room, "text": 5, "key": "three" }),
                json!({ "id": room, "text": ["hi"], "key": "three" }),
                json!({ "id": room, "text": "hi", "key": { "three": 3 } }),
            ]),
            (PAGE, json!({ "id": room, "first": 1, "after": null, "with": false }), vec![
                json!({ "id": room, "first": "1" }),
                json!({ "id": room, "first": 1.5 }),
                json!({ "id": room, "first": 3_000_000_000_u32 }),
                json!({ "id": room, "first": [1] }),
                json!({ "id": room, "after": 7 }),
                json!({ "id": room, "with": "yes" }),
                json!({ "id": room, "with": null }),
                json!({ "id": [room] }),
            ]),
            (NODES, json!({ "ids": [room] }), vec![
                json!({ "ids": null }),
                json!({ "ids": [null] }),
                json!({ "ids": [[room]] }),
                json!({ "ids": [true] }),
            ]),
        ];
        for (query, good, bad) in cases {
            let known = format!("{query} # known");
            for n in 0..2 {
                let answer = ann.request(&known, good.clone()).await.json();
                assert!(answer["errors"].is_null(), "{n}: {answer}");
            }
            for (n, variables) in bad.into_iter().enumerate() {
                let new = format!("{query} # {n}");
                let of_new = ann.request(&new, variables.clone()).await.json();
                let of_known = ann.request(&known, variables.clone()).await.json();
                assert!(of_new["errors"].is_array(), "{query} {variables}: {of_new}");
                assert_eq!(of_known, of_new, "{query} {variables}");
            }
        }
    }

    async fn what_was_left_out_of_a_known_document_is_looked_at_when_it_comes(app) {
        let scene = Scene::set(app).await;
        // Without the text nothing of the input is validated; the number is no id.
        let query = "mutation($text: String) {
            sendMessage(input: { conversationId: 1.5, text: $text }) { message { seq } }
        }";
        for variables in [json!({}), json!({ "text": "hi" }), json!({ "text": "hi" })] {
            let known = scene.ann.request(query, variables.clone()).await.json();
            let new = scene.ann.request(&format!("{query} #"), variables.clone()).await.json();
            assert!(known["errors"].is_array(), "{variables}: {known}");
            assert_eq!(known, new, "{variables}");
        }
        scene.finds_nothing_moved().await;
    }
}
