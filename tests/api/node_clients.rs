//! The clients that users have, run by Node: graphql-ws, graphql-sse, Apollo Client and urql, with
//! the audits of graphql-http, against a node of each kind; and Chromium, for real calls.

use std::path::Path;
use std::process::Stdio;

use crate::harness::servers::{Coturn, Postgres, Redis};
use crate::harness::{App, on_both};

on_both! {
    async fn real_clients_are_served(app) {
        let said = run("all.mjs", vec![app.url("")]).await;
        let audits = said.lines().filter(|line| line.starts_with("ok")).count();
        assert!(audits > 100, "all checks were run:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_call_is_relayed_on_sqlite() {
    let turn_urls = Coturn::shared().await.urls();
    let app = App::with(&[("TURN_URLS", &turn_urls), ("TURN_SECRET", Coturn::SECRET)]).await;
    call_between([&app, &app]).await;
    app.finish().await;
}

/// Caller and callee are on different nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_call_is_relayed_between_two_nodes() {
    let turn_urls = Coturn::shared().await.urls();
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::shared().await.url();
    let settings = [
        ("DATABASE_URL", database.as_str()),
        ("REDIS_URL", &redis),
        ("JWT_SECRET", "shared by the nodes of this test"),
        ("TURN_URLS", &turn_urls),
        ("TURN_SECRET", Coturn::SECRET),
    ];
    let (a, b) = (App::with(&settings).await, App::with(&settings).await);
    call_between([&a, &b]).await;
    tokio::join!(a.finish(), b.finish());
}

/// Two users call each other, one on each node; prints how soon they were connected.
#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn call_between(nodes: [&App; 2]) {
    let said = run("call/call.mjs", nodes.map(|node| node.url("")).to_vec()).await;
    println!("{said}");
    let calls = said.matches("ms after the answer").count();
    assert_eq!(calls, 2, "a video and an audio call were made:\n{said}");
}

/// Runs a script of `tests/clients` and answers what it said; fails when one of its checks does.
async fn run(script: &'static str, urls: Vec<String>) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    assert!(
        folder.join("node_modules").exists(),
        "tests/clients/node_modules is missing: `scripts/test` installs it, or `npm ci` there"
    );
    let run = tokio::task::spawn_blocking(move || {
        std::process::Command::new("node")
            .arg(script)
            .args(urls)
            .env("TURN_SECRET", Coturn::SECRET)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .expect("`node` runs: `scripts/test` installs it, or install Node 20 or newer")
    });
    let output = run.await.expect("the clients are run");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complaints}");
    said.into_owned()
}
