//! Requests of one who is used to servers dying; and what all such have in common.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::people::{PASSWORD, text};

/// Pause of a client before it tries again.
pub(crate) const RETRY: Duration = Duration::from_millis(5);
/// An answer that takes longer from a process that lives is a fault.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// Why a request has no answer: the connection failed, or was cut.
#[derive(Debug)]
pub(crate) struct Cut;

/// A client that is used to servers dying.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The endpoints it knows, and which of them it is on.
    pub(crate) nodes: Arc<[String]>,
    pub(crate) at: usize,
    pub(crate) token: Option<String>,
    pub(crate) http: Client<HttpConnector, Full<Bytes>>,
    pub(crate) world: Arc<World>,
}

/// What all have in common.
#[derive(Default)]
pub(crate) struct World {
    /// Global ids of the conversations.
    pub(crate) rooms: Vec<String>,
    pub(crate) acks: AtomicUsize,
    pub(crate) events: AtomicUsize,
    pub(crate) connections: AtomicUsize,
    /// Whether the node may say that something went wrong: its database dies.
    pub(crate) may_fail: bool,
    pub(crate) failures: AtomicUsize,
    /// What must never happen, in words.
    pub(crate) faults: Mutex<Vec<String>>,
}

impl World {
    pub(crate) fn fault(&self, what: String) {
        self.faults.lock().expect("no holder panics").push(what);
    }

    /// Takes what a GraphQL answer has as `errors`. No request here deserves a refusal, so a
    /// failure of the server is the only one there may be.
    pub(crate) fn check(&self, errors: &Value) -> Result<(), Cut> {
        let Some(errors) = errors.as_array() else {
            return Ok(());
        };
        let internal = |error: &Value| error["extensions"]["code"] == "INTERNAL";
        assert!(self.may_fail && errors.iter().all(internal), "{errors:?}");
        self.failures.fetch_add(1, Ordering::Relaxed);
        Err(Cut)
    }
}

impl Caller {
    /// One whom nobody knows yet, on the first of `nodes`.
    pub(crate) fn new(nodes: Arc<[String]>) -> Self {
        Self {
            nodes,
            at: 0,
            token: None,
            http: Client::builder(TokioExecutor::new()).build_http(),
            world: Arc::default(),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.nodes[self.at]
    }

    pub(crate) async fn open(
        &self,
        accept: &str,
        query: &str,
        variables: &Value,
    ) -> Result<Response<Incoming>, Cut> {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let request = Request::post(self.url())
            .header("content-type", "application/json")
            .header("accept", accept);
        let request = match &self.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        let request = request.body(Full::from(body)).expect("a valid request");
        self.http.request(request).await.map_err(|_| Cut)
    }

    /// The data of the answer, if one comes.
    pub(crate) async fn ask(&self, query: &str, variables: &Value) -> Result<Value, Cut> {
        let answer = async {
            let response = self.open("application/json", query, variables).await?;
            let body = response.into_body().collect().await.map_err(|_| Cut)?;
            Ok(body.to_bytes())
        };
        let Ok(answer) = timeout(ANSWER, answer).await else {
            self.world
                .fault(format!("no answer to {query} {variables}"));
            return Err(Cut);
        };
        let mut answer: Value = serde_json::from_slice(&answer?).expect("whole answers are JSON");
        self.world.check(&answer["errors"])?;
        Ok(answer["data"].take())
    }

    /// The data of the answer, however often it takes to ask.
    pub(crate) async fn insist(&self, query: &str, variables: &Value) -> Value {
        loop {
            match self.ask(query, variables).await {
                Ok(data) => return data,
                Err(Cut) => sleep(RETRY).await,
            }
        }
    }

    pub(crate) async fn register(&mut self, name: &str) -> String {
        let query = "mutation($input: RegisterInput!) {
            register(input: $input) { accessToken viewer { user { id } } }
        }";
        let email = format!("{name}@example.com");
        let input = json!({ "email": email, "password": PASSWORD, "displayName": name });
        let session = self.insist(query, &json!({ "input": input })).await["register"].clone();
        self.token = Some(text(&session["accessToken"]));
        text(&session["viewer"]["user"]["id"])
    }

    pub(crate) async fn make_room(&self, members: &[String]) -> String {
        let query = "mutation($input: CreateConversationInput!) {
            createConversation(input: $input) { conversation { id } }
        }";
        let input = json!({ "kind": "GROUP", "title": "Crash", "memberIds": members });
        let made = self.insist(query, &json!({ "input": input })).await;
        text(&made["createConversation"]["conversation"]["id"])
    }

    pub(crate) async fn last_seq(&self, room: &str) -> i64 {
        let query = "query($id: ID!) { conversation(id: $id) { lastSeq } }";
        let found = self.insist(query, &json!({ "id": room })).await;
        found["conversation"]["lastSeq"].as_i64().expect("a number")
    }

    /// Every message the database has of a conversation.
    pub(crate) async fn messages(&self, room: &str) -> Vec<Value> {
        let query = "query($id: ID!, $after: String) {
            conversation(id: $id) { messages(first: 200, after: $after) {
                nodes { id seq text clientMessageId }
                pageInfo { hasNextPage endCursor }
            } }
        }";
        let (mut all, mut after) = (Vec::new(), Value::Null);
        loop {
            let found = self
                .insist(query, &json!({ "id": room, "after": after }))
                .await;
            let page = &found["conversation"]["messages"];
            all.extend(page["nodes"].as_array().expect("a list").iter().cloned());
            if page["pageInfo"]["hasNextPage"] == false {
                return all;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
    }
}
