//! Methods, media types, origins, and the paths that are not GraphQL's.

use hyper::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::people::SEND;
use crate::harness::{App, Person, on_both};

use super::{ask, code, post, post_as, request};

const JSON: (&str, &str) = ("content-type", "application/json");
const QUERY: &str = r#"{"query":"{ __typename }"}"#;

/// A request to send "smuggled", as JSON.
fn smuggled(room: &str) -> String {
    let input = json!({ "conversationId": room, "text": "smuggled" });
    json!({ "query": SEND, "variables": { "input": input } }).to_string()
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn bearer(person: &Person) -> String {
    format!("Bearer {}", person.token)
}

#[track_caller]
fn assert_rest_error(status: StatusCode, body: &Value) {
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
async fn a_client_that_names_no_media_type_gets_json() {
    let app = App::sqlite().await;
    let mut stream = TcpStream::connect(app.address)
        .await
        .expect("the port is open");
    let request = format!(
        "POST /graphql HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{QUERY}",
        app.address,
        QUERY.len(),
    );
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(crate::harness::PATIENCE, read)
        .await
        .expect("in time")
        .expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(
        head.contains("\r\ncontent-type: application/json; charset=utf-8"),
        "{head}"
    );
    assert_eq!(body, r#"{"data":{"__typename":"Query"}}"#);
    app.finish().await;
}

#[tokio::test]
async fn the_client_chooses_among_the_media_types_that_there_are() {
    let app = App::sqlite().await;
    let (graphql, json) = (
        "application/graphql-response+json; charset=utf-8",
        "application/json; charset=utf-8",
    );
    for (accept, given) in [
        ("application/graphql-response+json", graphql),
        ("application/json", json),
        ("APPLICATION/JSON", json),
        ("*/*", json),
        ("application/*", json),
        ("text/html, */*;q=0.1", json),
        (
            "application/json;q=0.2, application/graphql-response+json;q=0.3",
            graphql,
        ),
        (
            "application/json;q=0.3, application/graphql-response+json;q=0.2",
            json,
        ),
        (
            "application/graphql-response+json, application/json;q=0.9",
            graphql,
        ),
        ("application/json; charset=utf-8", json),
        (
            "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
            graphql,
        ),
    ] {
        let answer = request(
            &app,
            Method::POST,
            "/graphql",
            &[JSON, ("accept", accept)],
            QUERY,
        )
        .await;
        assert_eq!(
            (answer.status, answer.content_type()),
            (StatusCode::OK, given),
            "{accept}"
        );
        let mistaken = request(
            &app,
            Method::POST,
            "/graphql",
            &[JSON, ("accept", accept)],
            r#"{"query":"{ nope }"}"#,
        )
        .await;
        let status = if given == graphql {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::OK
        };
        assert_eq!(
            (mistaken.status, mistaken.content_type()),
            (status, given),
            "{accept}"
        );
        assert!(
            mistaken.json().get("data").is_none(),
            "a request error has no data"
        );
    }
    for accept in [
        "text/html",
        "image/*",
        "application/xml",
        "application/json;q=0",
        "text/*",
        "nonsense",
    ] {
        let answer = request(
            &app,
            Method::POST,
            "/graphql",
            &[JSON, ("accept", accept)],
            QUERY,
        )
        .await;
        assert_eq!(answer.status, StatusCode::NOT_ACCEPTABLE, "{accept}");
        assert_eq!(code(&answer.json()), "BAD_USER_INPUT", "{accept}");
    }
    for charset in [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
        "Application/JSON",
    ] {
        let answer = request(
            &app,
            Method::POST,
            "/graphql",
            &[("content-type", charset)],
            QUERY,
        )
        .await;
        assert_eq!(answer.status, StatusCode::OK, "{charset}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_subscription_needs_a_stream() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let room = ann.makes_group("Stream", &[]).await;
    let subscription = "subscription($id: ID!) { conversationEvents(conversationId: $id) { seq } }";
    let body = json!({ "query": subscription, "variables": { "id": room.id } });
    let url = app.url("/graphql");
    let answer = app.http().post(&url, Some(&ann.token), &body).await.json();
    assert_eq!(code(&answer), "BAD_USER_INPUT");
    // Everything can be had as a stream, refusals included, each in one `next`.
    let one = async |token: Option<&str>, query: &str| {
        let mut events = app
            .http()
            .events(
                &url,
                token,
                &json!({ "query": query, "variables": { "id": room.id } }),
            )
            .await;
        let (name, data) = events.next().await.expect("a result");
        assert_eq!(name, "next");
        assert_eq!(events.next().await.expect("an end").0, "complete");
        assert!(events.next().await.is_none());
        data
    };
    assert_eq!(
        one(None, "{ __typename }").await,
        json!({ "data": { "__typename": "Query" } })
    );
    assert_eq!(code(&one(None, "{ nope }").await), "BAD_USER_INPUT");
    assert_eq!(code(&one(None, "{").await), "BAD_USER_INPUT");
    for token in [None, Some("bad"), Some("")] {
        assert_eq!(
            code(&one(token, subscription).await),
            "UNAUTHENTICATED",
            "{token:?}"
        );
        assert_eq!(
            code(&one(token, "{ viewer { user { id } } }").await),
            "UNAUTHENTICATED",
            "{token:?}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn pages_of_the_allowed_origins_may_ask_and_no_others() {
    let app = App::with(&[(
        "ALLOWED_ORIGINS",
        "https://app.example.com,http://localhost:5173",
    )])
    .await;
    let preflight = async |origin: &str, headers: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", headers),
        ];
        request(&app, Method::OPTIONS, "/graphql", &headers, "").await
    };
    let list = |headers: &HeaderMap, name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().expect("text").to_ascii_lowercase())
            .unwrap_or_default()
    };
    for origin in ["https://app.example.com", "http://localhost:5173"] {
        let answer = preflight(origin, "authorization,content-type").await;
        assert!(answer.status.is_success(), "{}", answer.status);
        assert_eq!(answer.headers["access-control-allow-origin"], origin);
        assert_eq!(answer.headers["access-control-allow-credentials"], "true");
        assert!(
            list(&answer.headers, "vary").contains("origin"),
            "{:?}",
            answer.headers
        );
        let methods = list(&answer.headers, "access-control-allow-methods");
        assert!(
            methods.contains("post") && !methods.contains('*'),
            "{methods}"
        );
        let allowed = list(&answer.headers, "access-control-allow-headers");
        // The last three are what we ask for when a form comes without.
        for name in [
            "authorization",
            "content-type",
            "graphql-require-preflight",
            "apollo-require-preflight",
            "x-apollo-operation-name",
        ] {
            assert!(
                allowed.split(',').any(|one| one.trim() == name),
                "{name} is not in {allowed}"
            );
        }
        let answer = request(
            &app,
            Method::POST,
            "/graphql",
            &[JSON, ("origin", origin)],
            QUERY,
        )
        .await;
        assert_eq!(answer.headers["access-control-allow-origin"], origin);
        assert_eq!(answer.headers["access-control-allow-credentials"], "true");
        let refused = request(
            &app,
            Method::POST,
            "/graphql",
            &[("content-type", "text/plain"), ("origin", origin)],
            QUERY,
        )
        .await;
        assert_eq!(
            refused.headers["access-control-allow-origin"], origin,
            "pages may read refusals too"
        );
    }
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com.evil.example",
        "https://app.example.com:8443",
        "https://x.app.example.com",
        "null",
        "*",
        "https://APP.example.com.",
        "https://app.example.com/",
    ] {
        for answer in [
            preflight(origin, "authorization").await,
            request(
                &app,
                Method::POST,
                "/graphql",
                &[JSON, ("origin", origin)],
                QUERY,
            )
            .await,
            request(&app, Method::GET, "/health", &[("origin", origin)], "").await,
        ] {
            assert!(
                !answer.headers.contains_key("access-control-allow-origin"),
                "{origin}: {:?}",
                answer.headers
            );
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn what_is_not_there_says_so_in_the_words_of_the_rest_surface() {
    let app = App::sqlite().await;
    for path in [
        "/nope",
        "/graphql/",
        "/graphql/x",
        "/health/nope",
        "/playground/",
        "/playground/nope.js",
        "/playground/../Cargo.toml",
        "/playground/%2e%2e/Cargo.toml",
        "/%00",
        "/api",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let answer = request(&app, method.clone(), path, &[], "").await;
            if answer.status != StatusCode::METHOD_NOT_ALLOWED {
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
            }
            assert_rest_error(answer.status, &answer.json());
        }
    }
    for path in ["/ping", "/health", "/health/ready", "/"] {
        for method in [Method::DELETE, Method::POST, Method::PUT] {
            let answer = request(&app, method.clone(), path, &[], "").await;
            assert_eq!(
                answer.status,
                StatusCode::METHOD_NOT_ALLOWED,
                "{method} {path}"
            );
            assert_rest_error(answer.status, &answer.json());
            let allow = answer
                .headers
                .get("allow")
                .expect("405 comes with Allow")
                .to_str()
                .expect("text");
            assert!(allow.contains("GET"), "{allow}");
        }
        let head = request(&app, Method::HEAD, path, &[], "").await;
        assert_eq!(
            (head.status, head.body.len()),
            (StatusCode::OK, 0),
            "HEAD {path}"
        );
    }
    let head = request(
        &app,
        Method::HEAD,
        "/graphql?query=%7B__typename%7D",
        &[],
        "",
    )
    .await;
    assert_eq!(
        (head.status, head.body.len()),
        (StatusCode::METHOD_NOT_ALLOWED, 0)
    );
    assert_eq!(head.headers["allow"], "GET, POST");
    app.finish().await;
}

on_both! {
    async fn the_health_of_a_node_is_told_without_details(app) {
        let ping = request(app, Method::GET, "/ping", &[], "").await;
        assert_eq!((ping.status, ping.json()), (StatusCode::OK, json!({ "pong": true })));
        for path in ["/health", "/health/ready"] {
            let answer = request(app, Method::GET, path, &[], "").await;
            let body = answer.json();
            assert_eq!(answer.status, StatusCode::OK);
            let keys: Vec<_> = body.as_object().expect("an object").keys().cloned().collect();
            assert_eq!(keys, ["status", "success", "timestamp"], "{path}");
            assert_eq!((&body["success"], &body["status"]), (&json!(true), &json!("ok")));
            let timestamp = body["timestamp"].as_str().expect("text");
            assert!(timestamp.len() == 24 && timestamp.ends_with('Z') && timestamp.as_bytes()[19] == b'.', "{timestamp}");
            assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        }
    }
}

#[tokio::test]
async fn the_playground_is_there_in_development() {
    let app = App::sqlite().await;
    let page = request(&app, Method::GET, "/", &[("accept", "text/html")], "").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.content_type().starts_with("text/html"),
        "{}",
        page.content_type()
    );
    let policy = page.headers["content-security-policy"]
        .to_str()
        .expect("text");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = String::from_utf8(page.body.to_vec()).expect("UTF-8");
    let links: Vec<_> = html
        .split(['"', '\''])
        .filter(|part| part.starts_with('/') || part.starts_with("http"))
        .collect();
    assert!(links.iter().any(|link| link.ends_with(".js")), "{links:?}");
    for link in links {
        assert!(
            link.starts_with('/'),
            "nothing is loaded from elsewhere: {link}"
        );
        let file = request(&app, Method::GET, link, &[], "").await;
        assert_eq!(file.status, StatusCode::OK, "{link}");
        assert!(
            file.headers.contains_key("content-security-policy"),
            "{link}"
        );
    }
    let sdl = ask(
        &app,
        "{ __schema { queryType { name } } __type(name: \"User\") { name } }",
    )
    .await;
    assert_eq!(sdl["data"]["__schema"]["queryType"]["name"], "Query");
    app.finish().await;
}

#[tokio::test]
async fn production_tells_strangers_less() {
    let production = [
        ("BACKCHANNEL_ENV", "production"),
        ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
    ];
    let app = App::with(&production).await;
    for path in ["/", "/playground/assets/app.js", "/playground/index.html"] {
        let answer = request(&app, Method::GET, path, &[], "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_rest_error(answer.status, &answer.json());
    }
    for query in [
        "{ __schema { queryType { name } } }",
        "{ __type(name: \"User\") { name } }",
        "{ x: __schema { types { name } } __typename }",
        "{ ...A } fragment A on Query { ... on Query { __schema { types { name } } } }",
        "query($n: String!) { __type(name: $n) { name } }",
    ] {
        let answer = ask(&app, query).await;
        assert_eq!(code(&answer), "BAD_USER_INPUT", "{query}");
        assert!(!answer.to_string().contains("Query\""), "{answer}");
    }
    for query in [
        "{ vewer { user { id } } }",
        "{ viewer { usr { id } } }",
        "mutation { sendMesage { message { id } } }",
        "{ node(idd: 1) { id } }",
        "query($a: Usr) { __typename }",
    ] {
        let answer = ask(&app, query).await.to_string();
        assert!(!answer.to_lowercase().contains("did you mean"), "{answer}");
        for name in ["\"viewer\"", "sendMessage", "displayName"] {
            assert!(
                !answer.contains(&format!("`{name}`")) && !answer.contains(&format!("\\\"{name}")),
                "{answer}"
            );
        }
    }
    assert_eq!(
        ask(&app, "{ __typename }").await["data"]["__typename"],
        "Query",
        "a name of a type is no secret"
    );
    let answer = ask(&app, "{ viewer { user { __typename id } } }").await;
    assert_eq!(code(&answer), "UNAUTHENTICATED");
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
