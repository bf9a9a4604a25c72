//! A node in this process, on a database of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use backchannel::Application;
use backchannel::config::{Config, Overrides};
use backchannel_domain::clock::Clock;
use backchannel_domain::{Domain, RanFor};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::clients::Http;
use super::mailbox::Mailbox;
use super::people::{Node, Person};
use super::servers::{Postgres, Redis, sqlite3};
use super::until;

/// Runs a test on SQLite with the in-process bus, and on Postgres with Redis; if need be with
/// settings of its own.
macro_rules! on_both {
    (
        with $settings:expr;
        $($(#[doc = $doc:literal])* async fn $name:ident($app:ident) $body:block)*
    ) => {$(
        $(#[doc = $doc])*
        async fn $name($app: &$crate::harness::App) $body

        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let app = $crate::harness::App::with($settings).await;
                super::$name(&app).await;
                app.finish().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let app = $crate::harness::App::postgres_with($settings).await;
                super::$name(&app).await;
                app.finish().await;
            }
        }
    )*};
    ($($tests:tt)*) => { $crate::harness::on_both! { with &[]; $($tests)* } };
}
pub(crate) use on_both;

/// A running node.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) domain: Domain,
    /// Where its codes arrive.
    pub(crate) mailbox: Mailbox,
    http: Http,
    stop: oneshot::Sender<()>,
    stopped: JoinHandle<()>,
    files: TempDir,
    /// The URL of its Postgres database, if it is on one.
    database: Option<String>,
}

/// Settings by name, as in the environment.
pub(crate) type Settings<'a> = &'a [(&'static str, &'a str)];

impl App {
    pub(crate) async fn sqlite() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::postgres_with(&[]).await
    }

    /// One node on each database, with settings of the test's own.
    pub(crate) async fn both_with(settings: Settings<'_>) -> [Self; 2] {
        [
            Self::with(settings).await,
            Self::postgres_with(settings).await,
        ]
    }

    /// A node on Postgres and Redis, with further settings of the test's own.
    pub(crate) async fn postgres_with(settings: Settings<'_>) -> Self {
        let database = Postgres::shared().await.fresh_database().await;
        let redis = Redis::shared().await.url();
        let both = [("DATABASE_URL", database.as_str()), ("REDIS_URL", &redis)];
        Self::with(&[&both[..], settings].concat()).await
    }

    /// A node with settings of the test's own. Tests ask more than people do, and all from one
    /// address: nobody is limited unless the test wants it.
    pub(crate) async fn with(settings: Settings<'_>) -> Self {
        let files = tempfile::tempdir().expect("a directory for the node's files");
        let directory = files.path().display().to_string();
        let named = settings.iter().find(|(name, _)| *name == "DATABASE_URL");
        let database = named.map(|(_, url)| (*url).to_owned());
        let mailbox = Mailbox::open().await;
        let settings: BTreeMap<_, _> = [
            ("OTP_WEBHOOK_URL", mailbox.url.as_str()),
            ("PORT", "0"),
            ("HOST", "127.0.0.1"),
            ("DATA_DIR", &directory),
            ("RATE_LIMITS", "off"),
        ]
        .iter()
        .chain(settings)
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
        // Nothing: not set.
        let settings = settings.into_iter().filter(|(_, value)| !value.is_empty());
        let settings: Overrides = settings.collect();
        let config = Config::load(&settings, |_| None).expect("the settings are valid");
        let clock = Clock::default();
        let application = Application::build_at(config, clock.clone())
            .await
            .expect("the node starts");
        let address = application.address();
        let domain = application.domain().clone();
        let (stop, asked) = oneshot::channel();
        let stopped = tokio::spawn(application.run_until(async move {
            // An error means that the test is gone, which also is a reason to stop.
            let _ = asked.await;
        }));
        Self {
            address,
            clock,
            domain,
            http: Http::new(),
            stop,
            stopped,
            mailbox,
            files,
            database,
        }
    }

    /// Moves the node's clock into the future.
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The texts of the statements that were run for clients since recording began.
    pub(crate) async fn recorded_statements(&self) -> Vec<String> {
        let plans = self.domain.explain_recorded().await.expect("plans");
        let of_clients = plans
            .into_iter()
            .filter(|plan| plan.ran_for == RanFor::Clients);
        of_clients.map(|plan| plan.sql).collect()
    }

    /// The URL of its database, if that is not the file beside it.
    pub(crate) fn database_url(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// Whether its database is Postgres, and not the file beside it.
    pub(crate) fn is_on_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// Runs a statement as an operator does, by no door of the node; answers the first value.
    pub(crate) async fn runs_sql(&self, statement: &str) -> String {
        if let Some(url) = &self.database {
            let mut session = Postgres::shared().await.session(url).await;
            return session.ask(statement).await.expect("a good statement");
        }
        sqlite3(&self.files().join("backchannel.db"), statement)
    }

    /// The node's data directory.
    pub(crate) fn files(&self) -> &std::path::Path {
        self.files.path()
    }

    /// Registers somebody, with an e-mail address made of the name.
    pub(crate) async fn person(&self, name: &str) -> Person {
        Person::register(&self.node(), name).await
    }

    /// Somebody who has a phone number too.
    pub(crate) async fn person_with_phone(&self, name: &str, phone: &str) -> Person {
        Person::register_with(&self.node(), name, Some(phone)).await
    }

    /// Where people are on.
    pub(crate) fn node(&self) -> Node {
        Node {
            endpoint: self.url("/graphql"),
            http: self.http.clone(),
        }
    }

    /// Several at once.
    pub(crate) async fn people<const N: usize>(&self, names: [&str; N]) -> [Person; N] {
        let people = futures_util::future::join_all(names.map(|name| self.person(name))).await;
        people
            .try_into()
            .unwrap_or_else(|_| unreachable!("as many people as names"))
    }

    /// What nobody gets as an answer to a GraphQL request.
    pub(crate) async fn anonymous(&self, query: &str, variables: Value) -> Value {
        let body = json!({ "query": query, "variables": variables });
        self.http
            .post(&self.url("/graphql"), None, &body)
            .await
            .json()
    }

    /// Stops the node as SIGTERM does, and waits for it.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        tokio::time::timeout(Duration::from_secs(15), self.stopped)
            .await
            .expect("the node drains in time")
            .expect("the node does not panic");
    }

    /// Ends a test: whatever it opened must be gone, and nothing left behind on the node.
    pub(crate) async fn finish(self) {
        let domain = self.domain.clone();
        until("every stream of the test is closed", || async {
            domain.open_feeds() == 0
        })
        .await;
        self.stop().await;
    }
}
