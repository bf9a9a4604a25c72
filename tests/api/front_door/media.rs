//! Which media type an answer is in.

use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::App;

use super::http::*;
use super::{code, request};

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

/// An answer of some kilobytes.
const LONG: &str = r#"{"query":"{ __schema { types { name description } } }"}"#;

#[tokio::test]
async fn a_long_answer_is_compressed_as_the_client_takes_it() {
    let app = App::sqlite().await;
    let plain = request(&app, Method::POST, "/graphql", &[JSON], LONG).await;
    assert!(plain.headers.get("content-encoding").is_none());
    for (takes, encoding) in [
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("zstd;q=0.1, gzip", "gzip"),
    ] {
        let headers = [JSON, ("accept-encoding", takes)];
        let answer = request(&app, Method::POST, "/graphql", &headers, LONG).await;
        assert_eq!(answer.headers["content-encoding"], encoding, "{takes}");
        assert_eq!(
            answer.headers["vary"]
                .to_str()
                .ok()
                .map(|vary| vary.contains("accept-encoding")),
            Some(true)
        );
        assert!(
            answer.body.len() < plain.body.len() / 2,
            "{takes}: {}",
            answer.body.len()
        );
        if encoding == "gzip" {
            let mut read = Vec::new();
            let mut decoder = flate2::read::GzDecoder::new(&answer.body[..]);
            std::io::Read::read_to_end(&mut decoder, &mut read).expect("gzip");
            assert_eq!(read, plain.body);
        } else {
            assert!(
                answer.body.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
                "a frame of zstd"
            );
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn short_answers_and_streams_are_not_compressed() {
    let app = App::sqlite().await;
    let takes = ("accept-encoding", "gzip, zstd");
    let short = request(&app, Method::POST, "/graphql", &[JSON, takes], QUERY).await;
    assert!(short.headers.get("content-encoding").is_none());
    let headers = [JSON, takes, ("accept", "text/event-stream")];
    let stream = request(&app, Method::POST, "/graphql", &headers, LONG).await;
    assert_eq!(stream.content_type(), "text/event-stream; charset=utf-8");
    assert!(stream.headers.get("content-encoding").is_none());
    assert!(
        stream
            .body
            .starts_with(b":\n\nevent: next\ndata: {\"data\"")
    );
    app.finish().await;
}
