//! A node without doors: the API over a SQLite file of its own, on one thread.

use std::sync::Arc;
use std::time::Duration;

use async_graphql::Variables;
use backchannel_domain::admission::Admission;
use backchannel_domain::calls::Turn;
use backchannel_domain::clock::Clock;
use backchannel_domain::db::DatabaseUrl;
use backchannel_domain::error::Unauthenticated;
use backchannel_domain::{Cx, Domain, Settings};
use backchannel_schema::{Answer, Api, Asked, GraphQlRequest, Introspection, Trusted, to_json};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// Longer than any bench takes.
const HALF_A_DAY: Duration = Duration::from_hours(12);

pub(crate) struct Node {
    pub(crate) api: Api,
    pub(crate) domain: Domain,
    runtime: Runtime,
    _files: TempDir,
}

/// Somebody who has signed in.
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) cx: Cx,
}

/// What a subscription has to say.
pub(crate) type Answers = BoxStream<'static, Answer>;

/// The API, as a node has it.
pub(crate) fn api() -> Api {
    Api::new(
        Introspection::Refused,
        Admission::new(2),
        Trusted::default(),
    )
}

/// A request that sends its document along.
pub(crate) fn request(document: impl Into<String>, variables: Value) -> GraphQlRequest {
    GraphQlRequest {
        document: Asked::Text(document.into()),
        operation_name: None,
        variables: Variables::from_json(variables),
    }
}

impl Node {
    /// One that limits nobody: benches ask more than people do.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// One that limits its callers.
    pub(crate) fn limited() -> Self {
        Self::with(|settings| settings.rate_limits = true)
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let files = tempfile::tempdir().expect("a directory for the node's files");
        let mut settings = Settings {
            database: DatabaseUrl::Sqlite(files.path().join("backchannel.db")),
            database_pool: 10,
            redis_url: None,
            jwt_secret: b"of this bench and of nothing else".to_vec(),
            access_token_lifetime: HALF_A_DAY,
            refresh_token_lifetime: HALF_A_DAY,
            refresh_grace: Duration::from_secs(30),
            default_region: None,
            sessions_per_user: 50,
            legacy_jwt_secret: None,
            turn: Turn::default(),
            rate_limits: false,
            couriers: Vec::new(),
        };
        change(&mut settings);
        let domain = runtime.block_on(Domain::start(settings, Clock::default()));
        Self {
            api: api(),
            domain: domain.expect("the node starts"),
            runtime,
            _files: files,
        }
    }

    /// Does `work` to its end.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Prepares, executes and encodes a query or mutation.
    pub(crate) async fn execute(&self, cx: Cx, request: GraphQlRequest) -> String {
        let operation = self.api.prepare(request).expect("the document is good");
        let response = self.api.execute(operation, cx).await;
        assert!(response.errors.is_empty(), "{:?}", response.errors);
        to_json(&response)
    }

    /// Opens a subscription, which begins when it is first asked for something.
    pub(crate) fn subscribe(&self, person: &Person, request: GraphQlRequest) -> Answers {
        let operation = self.api.prepare(request).expect("the document is good");
        self.api.subscribe(operation, person.cx.clone()).boxed()
    }

    /// The data of the answer to a request of somebody's.
    pub(crate) fn ask(&self, person: &Person, document: &str, variables: Value) -> Value {
        self.data(person.cx.clone(), document, variables)
    }

    fn data(&self, cx: Cx, document: &str, variables: Value) -> Value {
        let json = self.run(self.execute(cx, request(document, variables)));
        data(&json)
    }

    /// Registers somebody.
    pub(crate) fn person(&self, name: &str) -> Person {
        let document = "mutation($input: RegisterInput!) {
            register(input: $input) { accessToken viewer { user { id } } }
        }";
        let email = format!("{name}@example.com");
        let input = json!({ "email": email, "password": "nine lives left", "displayName": name });
        let nobody = self.domain.anonymous(Unauthenticated::NoToken);
        let session = self.data(nobody, document, json!({ "input": input }))["register"].clone();
        let token = text(&session["accessToken"]);
        let cx = self.run(self.domain.authenticate(Some(&token), Arc::default()));
        Person {
            id: text(&session["viewer"]["user"]["id"]),
            token,
            cx: cx.expect("the database answers"),
        }
    }

    /// Makes a conversation of somebody with others; answers its id.
    pub(crate) fn conversation(&self, owner: &Person, others: &[&Person]) -> String {
        let document = "mutation($input: CreateConversationInput!) {
            createConversation(input: $input) { conversation { id } }
        }";
        let ids: Vec<_> = others.iter().map(|person| &person.id).collect();
        let input = json!({ "kind": "GROUP", "title": "Bench", "memberIds": ids });
        let made = self.ask(owner, document, json!({ "input": input }));
        text(&made["createConversation"]["conversation"]["id"])
    }

    /// Sends a message.
    pub(crate) fn send(&self, sender: &Person, conversation: &str) {
        self.run(self.execute(sender.cx.clone(), message(conversation)));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.runtime.block_on(self.domain.stop());
    }
}

/// A request to send a message of 120 characters.
pub(crate) fn message(conversation: &str) -> GraphQlRequest {
    let document = "mutation($input: SendMessageInput!) {
        sendMessage(input: $input) { message { id seq createdAt } }
    }";
    let text = "It is a hundred and twenty characters long, ".repeat(3);
    let input = json!({ "conversationId": conversation, "text": text[..120] });
    request(document, json!({ "input": input }))
}

/// Takes the next answer of a stream and appends it to a text.
pub(crate) async fn take(answers: &mut Answers, text: &mut String) {
    match answers.next().await {
        Some(Answer::Result(result)) => result.append_to(text),
        Some(Answer::Refused(response)) => panic!("refused: {:?}", response.errors),
        None => panic!("the stream ended"),
    }
}

/// The data of a result that has no errors.
pub(crate) fn data(json: &str) -> Value {
    let mut result: Value = serde_json::from_str(json).expect("results are JSON");
    assert_eq!(result["errors"], Value::Null, "{json}");
    result["data"].take()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
