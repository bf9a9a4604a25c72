//! The clients that users have: graphql-ws, graphql-sse, Apollo Client and urql, and the
//! audits of graphql-http, run by Node against a node of each kind.

use std::path::Path;
use std::process::Stdio;

use crate::harness::on_both;

on_both! {
    async fn real_clients_are_served(app) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
        assert!(
            folder.join("node_modules").exists(),
            "tests/clients/node_modules is missing: `scripts/test` installs it, or `npm ci` there"
        );
        let url = format!("http://{}", app.address);
        let run = tokio::task::spawn_blocking(move || {
            std::process::Command::new("node")
                .arg("all.mjs")
                .arg(url)
                .current_dir(folder)
                .stdin(Stdio::null())
                .output()
                .expect("`node` runs: `scripts/test` installs it, or install Node 20 or newer")
        });
        let output = run.await.expect("the clients are run");
        let said = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{complaints}");
        let audits = said.lines().filter(|line| line.starts_with("ok")).count();
        assert!(audits > 100, "all checks were run:\n{said}");
    }
}
