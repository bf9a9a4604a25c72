//! Where a node's codes arrive: the webhook that an operator would have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::Value;
use tokio::net::TcpListener;

use super::until;

/// The webhook of one node.
pub(crate) struct Mailbox {
    pub(crate) url: String,
    contents: Arc<Mutex<Contents>>,
}

#[derive(Default)]
struct Contents {
    letters: HashMap<String, Vec<Value>>,
    /// How often it is still to fail.
    failures: usize,
}

impl Mailbox {
    pub(crate) async fn open() -> Self {
        let contents = Arc::default();
        let router = Router::new()
            .route("/otp", post(receive))
            .with_state(Arc::clone(&contents));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url: format!("http://{address}/otp"),
            contents,
        }
    }

    /// The next letters are refused, so many times.
    pub(crate) fn fails(&self, times: usize) {
        self.contents.lock().expect("no panic").failures = times;
    }

    /// The `n`th letter to somebody, from 0, when it has come.
    pub(crate) async fn letter(&self, to: &str, n: usize) -> Value {
        until("a letter comes", || async { self.count(to) > n }).await;
        self.contents.lock().expect("no panic").letters[to][n].clone()
    }

    /// How many letters have come for somebody.
    pub(crate) fn count(&self, to: &str) -> usize {
        let contents = self.contents.lock().expect("no panic");
        contents.letters.get(to).map_or(0, Vec::len)
    }
}

async fn receive(
    State(contents): State<Arc<Mutex<Contents>>>,
    Json(letter): Json<Value>,
) -> StatusCode {
    let mut contents = contents.lock().expect("no panic");
    if contents.failures > 0 {
        contents.failures -= 1;
        return StatusCode::BAD_GATEWAY;
    }
    let to = letter["to"].as_str().expect("an address").to_owned();
    contents.letters.entry(to).or_default().push(letter);
    StatusCode::NO_CONTENT
}
