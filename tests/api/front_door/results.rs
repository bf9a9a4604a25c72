//! Results fit what was asked: the order of the request, null where a field failed that may
//! be null, and its parent where it may not (GraphQL specification, sections 6.4.4 and 7.2.2).

use serde_json::{Value, json};

use crate::harness::{App, Person};

use super::post_as;

/// The answer's `data` as it was written, and the paths of its errors.
async fn asked(app: &App, person: &Person, query: &str, variables: Value) -> (String, Vec<String>) {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let answer = post_as(app, Some(person), body).await;
    let written = String::from_utf8(answer.body.to_vec()).expect("UTF-8");
    let parsed = answer.json();
    let errors = parsed["errors"].as_array().cloned().unwrap_or_default();
    for error in &errors {
        let keys: Vec<_> = error
            .as_object()
            .expect("an object")
            .keys()
            .cloned()
            .collect();
        assert!(
            keys.iter()
                .all(|key| ["message", "locations", "path", "extensions"].contains(&key.as_str())),
            "{error}"
        );
        assert!(error["locations"][0]["line"].is_u64(), "{error}");
    }
    let mut paths: Vec<_> = errors
        .iter()
        .map(|error| {
            let path = error["path"]
                .as_array()
                .unwrap_or_else(|| panic!("an error of execution has a path: {error}"));
            path.iter()
                .map(|part| {
                    part.as_str()
                        .map_or_else(|| part.to_string(), str::to_owned)
                })
                .collect::<Vec<_>>()
                .join(".")
        })
        .collect();
    paths.sort_unstable();
    // Keys in the order they came in, which a parsed map would lose.
    let data = written
        .split_once("\"data\":")
        .unwrap_or_else(|| panic!("data: {written}"))
        .1;
    let end = if data.starts_with("null") {
        4
    } else {
        object_end(data)
    };
    (data[..end].to_owned(), paths)
}

/// Where the object that `text` begins with is over. No string in these results has braces.
fn object_end(text: &str) -> usize {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    panic!("an object: {text}")
}

#[tokio::test]
async fn fields_come_in_the_order_of_the_request() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let room = ann.makes_group("Order", &[]).await;
    let sent = ann.sends(&room, "hi").await;
    let (id, message, user) = (&room.id, &sent.id, &ann.id);
    for (query, expected) in [
        (
            "{ b: __typename a: __typename __typename }",
            r#"{"b":"Query","a":"Query","__typename":"Query"}"#.to_owned(),
        ),
        (
            "{ viewer { user { displayName id } } __typename }",
            format!(
                r#"{{"viewer":{{"user":{{"displayName":"Ann","id":"{user}"}}}},"__typename":"Query"}}"#
            ),
        ),
        (
            "{ __typename viewer { user { id displayName } } }",
            format!(
                r#"{{"__typename":"Query","viewer":{{"user":{{"id":"{user}","displayName":"Ann"}}}}}}"#
            ),
        ),
        (
            "query($c: ID!) { z: conversation(id: $c) { title id } a: conversation(id: $c) { id title } }",
            format!(
                r#"{{"z":{{"title":"Order","id":"{id}"}},"a":{{"id":"{id}","title":"Order"}}}}"#
            ),
        ),
        (
            "query($c: ID!) { conversation(id: $c) { lastSeq ...F id } } fragment F on Conversation { title lastSeq kind }",
            format!(
                r#"{{"conversation":{{"lastSeq":1,"title":"Order","kind":"GROUP","id":"{id}"}}}}"#
            ),
        ),
        (
            "query($c: ID!) { conversation(id: $c) { ... { title } ... on Node { id } kind } }",
            format!(r#"{{"conversation":{{"title":"Order","id":"{id}","kind":"GROUP"}}}}"#),
        ),
        // Fields of the same key are one field, where the first of them stands.
        (
            "query($c: ID!) { conversation(id: $c) { messages(first: 1) { nodes { text } } title messages(first: 1) { nodes { seq text } } } }",
            r#"{"conversation":{"messages":{"nodes":[{"text":"hi","seq":1}]},"title":"Order"}}"#
                .to_owned(),
        ),
        (
            "query($c: ID!) { conversation(id: $c) { title @skip(if: true) kind id @include(if: false) lastSeq } }",
            r#"{"conversation":{"kind":"GROUP","lastSeq":1}}"#.to_owned(),
        ),
        // What is asked of another type is not asked of this one.
        (
            "query($m: ID!) { node(id: $m) { ... on User { displayName } ... on Message { text id } } }",
            format!(r#"{{"node":{{"text":"hi","id":"{message}"}}}}"#),
        ),
        (
            "query($u: ID!, $m: ID!) { nodes(ids: [$m, $u]) { ... on Message { text } ... on User { displayName } id __typename } }",
            format!(
                r#"{{"nodes":[{{"text":"hi","id":"{message}","__typename":"Message"}},{{"displayName":"Ann","id":"{user}","__typename":"User"}}]}}"#
            ),
        ),
        (
            "{ b: __typename __schema { queryType { name } } a: __typename }",
            r#"{"b":"Query","__schema":{"queryType":{"name":"Query"}},"a":"Query"}"#.to_owned(),
        ),
        (
            "{ __type(name: \"PageInfo\") { name kind } a: __typename }",
            r#"{"__type":{"name":"PageInfo","kind":"OBJECT"},"a":"Query"}"#.to_owned(),
        ),
    ] {
        let (data, errors) = asked(
            &app,
            &ann,
            query,
            json!({ "c": id, "m": message, "u": user }),
        )
        .await;
        assert_eq!(errors, [""; 0], "{query}");
        assert_eq!(data, expected, "{query}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_field_that_fails_is_null_and_its_neighbours_are_not() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let room = ann.makes_group("Null", &[]).await;
    let sent = ann.sends(&room, "hi").await;
    let (c, m) = (&room.id, &sent.id);
    for (query, expected, errors) in [
        (
            "{ a: conversation(id: \"x\") { id } b: __typename }",
            r#"{"a":null,"b":"Query"}"#.to_owned(),
            &["a"][..],
        ),
        (
            "{ b: __typename a: conversation(id: \"x\") { id } }",
            r#"{"b":"Query","a":null}"#.to_owned(),
            &["a"],
        ),
        (
            "{ a: conversation(id: \"x\") { id } b: node(id: \"y\") { id } }",
            r#"{"a":null,"b":null}"#.to_owned(),
            &["a", "b"],
        ),
        (
            "{ ...F } fragment F on Query { ... { a: node(id: \"x\") { id } } }",
            r#"{"a":null}"#.to_owned(),
            &["a"],
        ),
        // What may not be null takes the nearest that may with it.
        (
            "query($c: ID!) { conversation(id: $c) { title messages(first: 0) { nodes { id } } } b: __typename }",
            r#"{"conversation":null,"b":"Query"}"#.to_owned(),
            &["conversation.messages"],
        ),
        (
            "query($c: ID!) { conversation(id: $c) { messages(first: 0) { nodes { id } } title members(first: 0) { totalCount } } }",
            r#"{"conversation":null}"#.to_owned(),
            &["conversation.members", "conversation.messages"],
        ),
        (
            "query($c: ID!) { a: conversation(id: $c) { id } b: conversation(id: $c) { m: members(last: 201) { totalCount } } }",
            format!(r#"{{"a":{{"id":"{c}"}},"b":null}}"#),
            &["b.m"],
        ),
        // Within a list, the item.
        (
            "query($c: ID!, $m: ID!) { nodes(ids: [$c, \"x\", $m]) { id ... on Conversation { messages(first: 0) { nodes { id } } } } }",
            format!(r#"{{"nodes":[null,null,{{"id":"{m}"}}]}}"#),
            &["nodes.0.messages"],
        ),
        (
            "query($c: ID!, $m: ID!) { nodes(ids: [$m, $c, $c]) { ... on Conversation { x: messages(first: 0) { nodes { id } } } ... on Message { text } } }",
            r#"{"nodes":[{"text":"hi"},null,null]}"#.to_owned(),
            &["nodes.1.x", "nodes.2.x"],
        ),
        (
            "query($m: ID!) { node(id: $m) { ... on Message { conversation { members(first: 0) { totalCount } } text } } b: __typename }",
            r#"{"node":null,"b":"Query"}"#.to_owned(),
            &["node.conversation.members"],
        ),
        // Up to the root, where nothing between may be null.
        (
            "{ viewer { user { id } conversations(first: 0) { nodes { id } } } b: __typename }",
            "null".to_owned(),
            &["viewer.conversations"],
        ),
        (
            "{ viewer { conversations { nodes { id messages(first: 0) { nodes { id } } } } } }",
            "null".to_owned(),
            &["viewer.conversations.nodes.0.messages"],
        ),
        (
            "query($c: ID!) { nodes(ids: [$c]) { ... on Conversation { members { nodes { user { id } } } messages { edges { node { conversation { messages(last: -1) { nodes { id } } } } } } } } }",
            r#"{"nodes":[null]}"#.to_owned(),
            &["nodes.0.messages.edges.0.node.conversation.messages"],
        ),
    ] {
        let (data, paths) = asked(&app, &ann, query, json!({ "c": c, "m": m })).await;
        assert_eq!(
            (data, paths),
            (
                expected,
                errors.iter().map(|path| (*path).to_owned()).collect()
            ),
            "{query}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn an_empty_place_stays_null_beside_a_failed_one() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let room = ann.makes_group("Empty", &[]).await;
    let sent = ann.sends(&room, "gone").await;
    ann.deletes(&sent).await;
    let query = "query($c: ID!, $m: ID!) {
        failed: node(id: \"x\") { id }
        node(id: $m) { ... on Message { text sender { avatarUrl } editedAt } }
        conversation(id: $c) { slug messages(first: 1) { nodes { text clientMessageId } } }
    }";
    let (data, paths) = asked(&app, &ann, query, json!({ "c": room.id, "m": sent.id })).await;
    assert_eq!(
        data,
        r#"{"failed":null,"node":{"text":null,"sender":{"avatarUrl":null},"editedAt":null},"conversation":{"slug":null,"messages":{"nodes":[{"text":null,"clientMessageId":null}]}}}"#
    );
    assert_eq!(paths, ["failed"]);
    app.finish().await;
}

#[tokio::test]
async fn a_mutation_that_fails_leaves_no_data_and_those_before_it_done() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let room = ann.makes_group("Serial", &[]).await;
    let query = "mutation($c: ID!) {
        one: sendMessage(input: { conversationId: $c, text: \"one\" }) { message { seq } }
        two: sendMessage(input: { conversationId: $c, text: \"\" }) { message { seq } }
    }";
    let (data, paths) = asked(&app, &ann, query, json!({ "c": room.id })).await;
    assert_eq!((data.as_str(), paths), ("null", vec!["two".to_owned()]));
    assert_eq!(
        ann.last_seq(&room).await,
        1,
        "the first was executed: the specification has no undoing"
    );
    app.finish().await;
}

#[tokio::test]
async fn the_default_value_of_a_variable_counts_for_directives_too() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let query = "query($with: Boolean = true, $without: Boolean! = true) { viewer { user {
        __typename displayName @include(if: $with) avatarUrl @skip(if: $without)
    } } }";
    for (variables, expected) in [
        (json!({}), r#","displayName":"Ann""#),
        (json!({ "with": false }), ""),
        (
            json!({ "without": false }),
            r#","displayName":"Ann","avatarUrl":null"#,
        ),
    ] {
        let expected = format!(r#"{{"viewer":{{"user":{{"__typename":"User"{expected}}}}}}}"#);
        let (data, errors) = asked(&app, &ann, query, variables).await;
        assert_eq!((data, errors.len()), (expected, 0));
    }
    app.finish().await;
}
