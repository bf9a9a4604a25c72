//! The front door: what is let in, what is turned away, how quickly, and in which words.
//!
//! 1. [`http`]: methods, bodies, batches; [`media`]: what answers are in; [`pages`]: origins
//!    and other paths.
//! 2. [`limits`]: requests that are too large, and that refusing them costs next to nothing.
//!    [`documents`]: asked for by their hash, or by their id in the trusted list.
//! 3. [`results`]: the shape of results, and errors in the right places.
//! 4. [`sockets`]: slow clients, draining, places; [`crowds`]: many of them; [`storm`]: all at
//!    once. [`renewal`]: a new token on an open one, and what ends it.

mod crowds;
mod documents;
mod http;
mod limits;
mod media;
mod pages;
mod renewal;
mod results;
mod sockets;
pub(crate) mod storm;

use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request};
use serde_json::{Value, json};

use crate::harness::clients::Answer;
use crate::harness::{App, Person};

/// Any request to `path`.
async fn request(
    app: &App,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<bytes::Bytes>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(app.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body: bytes::Bytes = body.into();
    let request = request.body(body.into()).expect("a request");
    app.http().request(request).await
}

/// A POST of this body as JSON, by nobody.
async fn post(app: &App, body: impl Into<bytes::Bytes>) -> Answer {
    post_as(app, None, body).await
}

async fn post_as(app: &App, person: Option<&Person>, body: impl Into<bytes::Bytes>) -> Answer {
    let token = person.map_or("", |person| &person.token);
    let bearer = format!("Bearer {token}");
    let headers = [
        (CONTENT_TYPE.as_str(), "application/json"),
        (ACCEPT.as_str(), "application/graphql-response+json"),
        (AUTHORIZATION.as_str(), bearer.as_str()),
    ];
    let headers = if person.is_some() {
        &headers[..]
    } else {
        &headers[..2]
    };
    request(app, Method::POST, "/graphql", headers, body).await
}

async fn ask(app: &App, query: &str) -> Value {
    post(app, json!({ "query": query }).to_string())
        .await
        .json()
}

/// The code of the only error, and no data at all.
#[track_caller]
fn code(answer: &Value) -> &str {
    let errors = answer["errors"].as_array();
    let errors = errors.unwrap_or_else(|| panic!("refused: {answer}"));
    assert_eq!(errors.len(), 1, "{answer}");
    assert_eq!(answer["data"], Value::Null, "{answer}");
    errors[0]["extensions"]["code"].as_str().expect("a code")
}
