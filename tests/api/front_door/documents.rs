//! Documents asked for by their hash (automatic persisted queries), or by their id in the
//! trusted list.

use std::path::PathBuf;

use backchannel::Application;
use backchannel::config::{Config, Overrides};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::clients::{Answer, Socket};
use crate::harness::people::SEND;
use crate::harness::{App, Person, on_both};

use super::{code, post, post_as, request};

const VIEWER: &str = "query Viewer { viewer { user { displayName } } }";
const FIRST_EVENT: &str = "subscription First($id: ID!) {
    conversationEvents(conversationId: $id, after: 0) { ... on MessageSent { message { text } } }
}";

fn sha256(text: &str) -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(text);
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What Apollo's clients send beside the rest.
fn persisted(hash: &str) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } })
}

async fn by_hash(app: &App, person: Option<&Person>, text: &str) -> Answer {
    let body = json!({ "extensions": persisted(&sha256(text)) });
    post_as(app, person, body.to_string()).await
}

/// The URL of a GET that asks for a document by its hash.
fn url(text: &str) -> String {
    let extensions = persisted(&sha256(text)).to_string();
    let escaped = extensions.replace('{', "%7B").replace('}', "%7D");
    format!("/graphql?extensions={}", escaped.replace('"', "%22"))
}

on_both! {
    async fn a_document_that_was_sent_once_may_be_asked_for_by_its_hash(app) {
        let ann = app.person("Ann").await;
        let unknown = by_hash(app, Some(&ann), VIEWER).await;
        assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
        assert_eq!(code(&unknown.json()), "PERSISTED_QUERY_NOT_FOUND");
        assert_eq!(unknown.json()["errors"][0]["message"], "PersistedQueryNotFound");

        let both = json!({ "query": VIEWER, "extensions": persisted(&sha256(VIEWER)) });
        let expected = json!({ "data": { "viewer": { "user": { "displayName": "Ann" } } } });
        assert_eq!(post_as(app, Some(&ann), both.to_string()).await.json(), expected);
        assert_eq!(by_hash(app, Some(&ann), VIEWER).await.json(), expected);
        let bearer = format!("Bearer {}", ann.token);
        let got = request(app, Method::GET, &url(VIEWER), &[("authorization", &bearer)], "").await;
        assert_eq!(got.json(), expected);
        let id = json!({ "documentId": format!("sha256:{}", sha256(VIEWER)) });
        assert_eq!(post_as(app, Some(&ann), id.to_string()).await.json(), expected);
        let stranger = by_hash(app, None, VIEWER).await.json();
        assert_eq!(code(&stranger), "UNAUTHENTICATED", "what is kept is the question");
    }

    async fn mutations_and_subscriptions_are_asked_for_by_hash_too(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Hashes", &[]).await;
        ann.sends(&room, "in full").await;
        let input = json!({ "conversationId": room.id, "text": "by hash" });
        let body = json!({ "variables": { "input": input }, "extensions": persisted(&sha256(SEND)) });
        let sent = post_as(app, Some(&ann), body.to_string()).await.json();
        assert_eq!(sent["data"]["sendMessage"]["message"]["seq"], 2, "{sent}");
        let refused = request(app, Method::GET, &url(SEND), &[], "").await;
        assert_eq!(refused.status, StatusCode::METHOD_NOT_ALLOWED);

        let hash = sha256(FIRST_EVENT);
        let mut payload = json!({ "variables": { "id": room.id }, "extensions": persisted(&hash) });
        let mut socket = Socket::open(&app.url("/graphql"), Some(&ann.token)).await;
        socket.send(&json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
        let unknown = socket.next().await.expect("an answer");
        assert_eq!((&unknown["type"], &unknown["id"]), (&json!("error"), &json!("1")), "{unknown}");
        assert_eq!(unknown["payload"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
        payload["query"] = json!(FIRST_EVENT);
        socket.send(&json!({ "type": "subscribe", "id": "1", "payload": payload })).await;
        let first = socket.next().await.expect("an event");
        assert_eq!(first["payload"]["data"]["conversationEvents"]["message"]["text"], "in full");
        payload.as_object_mut().expect("an object").remove("query");
        socket.send(&json!({ "type": "subscribe", "id": "2", "payload": payload })).await;
        loop {
            let event = socket.next().await.expect("an event");
            if event["id"] == "2" {
                assert_eq!(event["payload"]["data"]["conversationEvents"]["message"]["text"], "in full");
                break;
            }
        }
        socket.close().await;

        let mut events = app.http().events(&app.url("/graphql"), Some(&ann.token), &payload).await;
        let (name, event) = events.next().await.expect("an event");
        assert_eq!(name, "next");
        assert_eq!(event["data"]["conversationEvents"]["message"]["text"], "in full");
    }
}

#[tokio::test]
async fn a_hash_of_another_document_is_refused_and_neither_is_kept() {
    let app = App::sqlite().await;
    let body = json!({ "query": "{ __typename }", "extensions": persisted(&sha256(VIEWER)) });
    let refused = post(&app, body.to_string()).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert_eq!(code(&refused.json()), "BAD_USER_INPUT");
    for text in [VIEWER, "{ __typename }"] {
        let unknown = by_hash(&app, None, text).await.json();
        assert_eq!(code(&unknown), "PERSISTED_QUERY_NOT_FOUND", "{text}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_document_that_was_refused_is_not_kept() {
    let app = App::sqlite().await;
    let deep = format!("{{ {} }}", "a { ".repeat(13) + "b" + &" }".repeat(13));
    for (text, because) in [
        (deep.as_str(), "TOO_COMPLEX"),
        ("{ viewer", "BAD_USER_INPUT"),
    ] {
        let body = json!({ "query": text, "extensions": persisted(&sha256(text)) });
        assert_eq!(code(&post(&app, body.to_string()).await.json()), because);
        let unknown = by_hash(&app, None, text).await.json();
        assert_eq!(code(&unknown), "PERSISTED_QUERY_NOT_FOUND", "{text}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_malformed_request_for_a_document_is_told_what_is_wrong() {
    let app = App::sqlite().await;
    for (body, says) in [
        (json!({}), "`query` is missing"),
        (
            json!({ "extensions": { "persistedQuery": 1 } }),
            "must be an object",
        ),
        (
            json!({ "extensions": { "persistedQuery": { "version": 1 } } }),
            "`sha256Hash`",
        ),
        (
            json!({ "extensions": { "persistedQuery": { "version": 2, "sha256Hash": "a" } } }),
            "must be 1",
        ),
        (
            json!({ "query": "{ __typename }", "documentId": "a" }),
            "not both",
        ),
    ] {
        let answer = post(&app, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        let answer = answer.json();
        assert_eq!(code(&answer), "BAD_USER_INPUT");
        let message = answer["errors"][0]["message"].as_str().expect("a text");
        assert!(message.contains(says), "{body}: {message}");
    }
    let nonsense = json!({ "extensions": persisted("no hash at all") });
    let nonsense = post(&app, nonsense.to_string()).await.json();
    assert_eq!(code(&nonsense), "PERSISTED_QUERY_NOT_FOUND");
    app.finish().await;
}

/// A file of this text, as a client's build writes one.
fn list(text: &Value) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("operations.json");
    std::fs::write(&path, text.to_string()).expect("written");
    (directory, path)
}

/// Apollo's form, whose ids are hashes.
fn apollo_list() -> Value {
    let operation =
        json!({ "id": sha256(VIEWER), "name": "Viewer", "type": "query", "body": VIEWER });
    json!({ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [operation] })
}

#[tokio::test]
async fn documents_of_the_list_are_known_from_the_start() {
    for (listed, id) in [
        (apollo_list(), sha256(VIEWER)),
        (
            json!({ "5d41402abc4b2a76b9719d911017c592": VIEWER }),
            "5d41402abc4b2a76b9719d911017c592".to_owned(),
        ),
    ] {
        let (_directory, path) = list(&listed);
        let app = App::with(&[("TRUSTED_OPERATIONS", &path.display().to_string())]).await;
        let ann = app.person("Ann").await;
        let ways = [
            json!({ "documentId": id }),
            json!({ "extensions": persisted(&id) }),
        ];
        for way in ways {
            let answer = post_as(&app, Some(&ann), way.to_string()).await.json();
            assert_eq!(
                answer["data"]["viewer"]["user"]["displayName"], "Ann",
                "{way}"
            );
        }
        app.finish().await;
    }
}

#[tokio::test]
async fn where_only_the_list_is_trusted_nothing_else_is_run() {
    let (_directory, path) = list(&apollo_list());
    let path = path.display().to_string();
    let settings = [
        ("TRUSTED_OPERATIONS", path.as_str()),
        ("ONLY_TRUSTED_OPERATIONS", "on"),
    ];
    let app = App::with(&settings).await;
    let listed = json!({ "query": VIEWER }).to_string();
    assert_eq!(
        code(&post(&app, listed).await.json()),
        "UNAUTHENTICATED",
        "it is run"
    );
    assert_eq!(
        code(&by_hash(&app, None, VIEWER).await.json()),
        "UNAUTHENTICATED"
    );

    let other = "{ __typename }";
    for body in [
        json!({ "query": other }),
        json!({ "query": other, "extensions": persisted(&sha256(other)) }),
        json!({ "extensions": persisted(&sha256(other)) }),
        json!({ "documentId": "anything" }),
        json!({ "query": "{ __schema { types { name } } }" }),
        json!({ "query": format!("{VIEWER} ") }),
    ] {
        let refused = post(&app, body.to_string()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(
            code(&refused.json()),
            "PERSISTED_QUERY_NOT_IN_LIST",
            "{body}"
        );
    }
    let mut socket = Socket::open(&app.url("/graphql"), None).await;
    socket.subscribe("1", other, &json!({})).await;
    let refused = socket.next().await.expect("an answer");
    assert_eq!(
        refused["payload"][0]["extensions"]["code"],
        "PERSISTED_QUERY_NOT_IN_LIST"
    );
    socket.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_list_that_cannot_be_used_keeps_the_node_from_starting() {
    let (directory, path) = list(&json!({ "broken": "query {" }));
    let settings: Overrides = [
        ("PORT", "0".to_owned()),
        ("DATA_DIR", directory.path().display().to_string()),
        ("TRUSTED_OPERATIONS", path.display().to_string()),
    ]
    .into_iter()
    .collect();
    let config = Config::load(&settings, |_| None).expect("the settings are valid");
    let error = Application::build(config).await.err().expect("a refusal");
    let error = error.to_string();
    for part in ["TRUSTED_OPERATIONS", "operations.json", "broken"] {
        assert!(error.contains(part), "{error}");
    }
}
