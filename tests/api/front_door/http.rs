//! Methods, bodies and batches; and what an error does not say.

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::people::SEND;
use crate::harness::{App, Person, on_both};

use super::{code, post, post_as, request};

pub(super) const JSON: (&str, &str) = ("content-type", "application/json");
pub(super) const QUERY: &str = r#"{"query":"{ __typename }"}"#;

/// A request to send "smuggled", as JSON.
pub(super) fn smuggled(room: &str) -> String {
    let input = json!({ "conversationId": room, "text": "smuggled" });
    json!({ "query": SEND, "variables": { "input": input } }).to_string()
}

pub(super) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

pub(super) fn bearer(person: &Person) -> String {
    format!("Bearer {}", person.token)
}

#[track_caller]
pub(super) fn assert_rest_error(status: StatusCode, body: &Value) {
    let keys: Vec<_> = body.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["error", "message", "success"], "{body}");
    assert_eq!(body["success"], false);
    assert!(
        body["error"].is_string() && body["message"].is_string(),
        "{body}"
    );
    assert!(status.is_client_error(), "{status}");
}

on_both! {
    async fn no_mutation_is_executed_in_a_way_that_a_foreign_page_can_send(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Guarded", &[]).await;
        let body = smuggled(&room.id);
        let authorization = bearer(&ann);
        let signed_in = ("authorization", authorization.as_str());
        let variables = encoded(&json!({ "input": { "conversationId": room.id, "text": "smuggled" } }).to_string());
        let path = format!("/graphql?query={}&variables={variables}", encoded(SEND));

        for accept in ["application/json", "application/graphql-response+json", "text/event-stream", "*/*"] {
            let answer = request(app, Method::GET, &path, &[signed_in, ("accept", accept)], "").await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{accept}");
            assert_eq!(answer.headers["allow"], "GET, POST");
            assert_eq!(code(&answer.json()), "BAD_USER_INPUT");
        }
        // One of several operations, named.
        let two = format!("query Harmless {{ __typename }} {}", SEND.replacen("mutation", "mutation Harmful", 1));
        let path = format!("/graphql?query={}&variables={variables}&operationName=Harmful", encoded(&two));
        let answer = request(app, Method::GET, &path, &[signed_in], "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);

        let form = format!("query={}&variables={variables}", encoded(SEND));
        for (kind, body) in [
            ("text/plain", body.as_str()),
            ("text/plain; x=application/json", body.as_str()),
            ("application/x-www-form-urlencoded", form.as_str()),
            ("application/x-www-form-urlencoded", body.as_str()),
            ("application/graphql", SEND),
            ("application/json+x", body.as_str()),
            ("application/jsonp", body.as_str()),
            ("application/json; charset=utf-16", body.as_str()),
            ("application/json; charset=utf-7", body.as_str()),
            ("", body.as_str()),
        ] {
            let answer = request(app, Method::POST, "/graphql", &[signed_in, ("content-type", kind)], body.to_owned()).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
            assert_eq!(code(&answer.json()), "BAD_USER_INPUT", "{kind}");
        }
        let answer = request(app, Method::POST, "/graphql", &[signed_in], body.clone()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "no content type at all");
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = request(app, method, "/graphql", &[signed_in, JSON], body.clone()).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers["allow"], "GET, POST");
        }
        // Cookies are nobody's.
        let cookie = format!("token={0}; accessToken={0}; authorization=Bearer {0}", ann.token);
        let answer = request(app, Method::POST, "/graphql", &[JSON, ("cookie", &cookie)], body).await;
        assert_eq!(code(&answer.json()), "UNAUTHENTICATED");
        assert_eq!(ann.last_seq(&room).await, 0, "nothing was sent");
    }

    async fn a_form_is_taken_only_with_a_header_that_a_page_must_ask_for(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Form", &[]).await;
        let operations = smuggled(&room.id);
        let form = format!(
            "--x\r\ncontent-disposition: form-data; name=\"operations\"\r\n\r\n{operations}\r\n\
             --x\r\ncontent-disposition: form-data; name=\"map\"\r\n\r\n{{}}\r\n--x--\r\n"
        );
        let authorization = bearer(&ann);
        let headers = [("authorization", authorization.as_str()), ("content-type", "multipart/form-data; boundary=x")];

        let answer = request(app, Method::POST, "/graphql", &headers, form.clone()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(code(&answer.json()), "BAD_USER_INPUT");
        assert_eq!(ann.last_seq(&room).await, 0);

        for (n, name) in ["graphql-require-preflight", "apollo-require-preflight", "x-apollo-operation-name"].iter().enumerate() {
            let headers = [headers[0], headers[1], (name, "true")];
            let answer = request(app, Method::POST, "/graphql", &headers, form.clone()).await.json();
            assert_eq!(answer["data"]["sendMessage"]["message"]["seq"], n + 1, "{answer}");
            for broken in ["", "nonsense", "--x--\r\n", "--x\r\n\r\n"] {
                let answer = request(app, Method::POST, "/graphql", &headers, broken.to_owned()).await;
                assert_eq!(answer.status, StatusCode::BAD_REQUEST);
                assert_eq!(code(&answer.json()), "BAD_USER_INPUT");
            }
        }
        assert_eq!(ann.last_seq(&room).await, 3);
    }

    async fn a_batch_is_executed_in_order(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Batch", &[]).await;
        let send = |text: &str| json!({ "query": SEND, "variables": { "input": { "conversationId": room.id, "text": text } } });
        for size in [1, 2, 10] {
            let before = ann.last_seq(&room).await;
            let batch: Vec<_> = (0..size).map(|n| send(&n.to_string())).collect();
            let answer = post_as(app, Some(&ann), json!(batch).to_string()).await;
            assert_eq!(answer.status, StatusCode::OK);
            let seqs: Vec<_> = answer.json().as_array().expect("a list").iter()
                .map(|one| one["data"]["sendMessage"]["message"]["seq"].as_i64().expect("a number")).collect();
            assert_eq!(seqs, (before + 1..=before + size).collect::<Vec<_>>());
        }
        let before = ann.last_seq(&room).await;
        for size in [0, 11, 1_000] {
            let batch = vec![send("too many"); size];
            let answer = post_as(app, Some(&ann), json!(batch).to_string()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{size}");
            assert_eq!(code(&answer.json()), "BAD_USER_INPUT", "{size}");
        }
        // One that fails is no reason for the next to.
        let batch = json!([send(""), { "query": "{" }, { "query": "subscription { x }" }, send("last")]);
        let answer = post_as(app, Some(&ann), batch.to_string()).await.json();
        let codes: Vec<_> = (0..3).map(|n| answer[n]["errors"][0]["extensions"]["code"].clone()).collect();
        assert_eq!(codes, ["BAD_USER_INPUT"; 3]);
        assert_eq!(answer[3]["data"]["sendMessage"]["message"]["seq"], before + 1, "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused() {
    let app = App::sqlite().await;
    let deep = "[".repeat(100_000);
    for body in [
        "",
        " ",
        "{",
        "null",
        "true",
        "7",
        "\"query\"",
        "{}",
        "[null]",
        "[[]]",
        "[1]",
        "{\"query\":null}",
        "{\"query\":1}",
        "{\"query\":\"{ __typename }\"",
        "{\"query\":\"{ __typename }\"} trailing",
        "{\"query\":\"{a}\",\"variables\":[]}",
        "{\"query\":\"{a}\",\"variables\":\"{}\"}",
        "{\"query\":\"{a}\",\"operationName\":1}",
        "{\"query\":\"{a}\",\"extensions\":1}",
        "{\"query\":\"{a}\",\"query\":\"{b}\"}",
        deep.as_str(),
    ] {
        let answer = post(&app, body.to_owned()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body:.40}");
        assert_eq!(code(&answer.json()), "BAD_USER_INPUT", "{body:.40}");
    }
    let not_text = post(&app, &b"{\"query\":\"{ __typename \xff }\"}"[..]).await;
    assert_eq!(not_text.status, StatusCode::BAD_REQUEST);
    let padded = post(&app, format!("\n {QUERY}\r\n")).await.json();
    assert_eq!(padded["data"]["__typename"], "Query");
    app.finish().await;
}

#[tokio::test]
async fn a_refusal_does_not_repeat_what_was_sent() {
    let app = App::sqlite().await;
    let long = "x".repeat(900_000);
    let name = "x".repeat(30_000);
    let many: String = (0..700).map(|n| format!("nope{n} ")).collect();
    for body in [
        json!({ "query": "{ __typename }", "variables": long }),
        json!({ "query": "{ __typename }", "operationName": long }),
        json!({ "query": "{ __typename }", "extensions": long }),
        json!({ "query": format!("{{ {name} }}") }),
        json!({ "query": format!("{{ __typename {many} }}") }),
        json!({ "query": format!("{{ viewer(x: \"{name}\") {{ user {{ id }} }} }}") }),
        json!({ "query": format!("{{ node(id: [\"{name}\"]) {{ id }} }}") }),
        json!({ "query": format!("query({}) {{ __typename }}", (0..900).map(|n| format!("$v{n}: Int ")).collect::<String>()) }),
        json!({ "query": format!("{{ ...{name} }}") }),
        json!({ "query": format!("{{ viewer @{name} {{ user {{ id }} }} }}") }),
        json!({ "query": format!("query {name}($a: {name}) {{ __typename }}") }),
        json!({ "query": format!("{{ __typename {} ! }}", " ".repeat(30_000)) }),
        json!({ "query": format!("{{ __typename {}", "a ".repeat(3_000)) }),
        json!({ "query": format!("mutation {{ createConversation(input: {{ kind: {name}, memberIds: [] }}) {{ conversation {{ id }} }} }}") }),
        json!({ "query": "mutation($k: ConversationKind!) { createConversation(input: { kind: $k, memberIds: [] }) { conversation { id } } }", "variables": { "k": long } }),
        json!({ "query": "query($f: Int) { viewer { conversations(first: $f) { nodes { id } } } }", "variables": { "f": long } }),
    ] {
        let body = body.to_string();
        let answer = post(&app, body.clone()).await;
        let size = answer.body.len();
        assert!(answer.json()["errors"].is_array(), "{body:.200}");
        assert!(
            size < 2_048,
            "{size} bytes for {body:.200}: {:.300}",
            answer.json().to_string()
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn no_error_tells_what_the_server_is_made_of() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let mut answers = Vec::new();
    for body in [
        json!({ "query": "{" }),
        json!({ "query": "{ nope }" }),
        json!({ "query": "query($a: Int!) { __typename }" }),
        json!({ "query": "{ node(id: \"'\\\"; SELECT\") { id } }" }),
        json!({ "query": "{ conversation(slug: \"\\u0000\") { id } }" }),
        json!({ "query": 7 }),
        json!({ "query": "mutation { createConversation(input: { kind: X, memberIds: 1 }) { conversation { id } } }" }),
    ] {
        answers.push(
            post_as(&app, Some(&ann), body.to_string())
                .await
                .json()
                .to_string(),
        );
    }
    for answer in answers {
        for word in [
            "sqlx",
            "sea_orm",
            "sea-orm",
            "sqlite",
            "postgres",
            "panicked",
            ".rs:",
            "Db(",
            "DbErr",
            "src/",
            "async_graphql",
            "RecordNotFound",
            "SELECT ",
        ] {
            assert!(
                !answer
                    .replace("; SELECT", "")
                    .to_lowercase()
                    .contains(&word.to_lowercase()),
                "{word}: {answer}"
            );
        }
    }
    app.finish().await;
}
