//! Origins, the paths that are not GraphQL's, and what production does not tell.

use crate::harness::{App, on_both};
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::http::*;
use super::{ask, code, request};

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
        ("RATE_LIMITS", "on"),
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
