//! The audit log: what is in it, who reads it, and that it cannot be changed unnoticed.

use std::collections::HashSet;
use std::process::{Command, Output};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::codes::{ATTACH, CHANGE, asks_to_attach};
use crate::harness::people::{PASSWORD, text};
use crate::harness::{App, Person, on_both, until};
use crate::sessions::{REVOKE, session_ids};

pub(crate) const LOG: &str = "query($act: AuditAct, $actor: ID, $subject: ID, $first: Int, $after: String, $last: Int, $before: String) {
    auditLog(act: $act, actorId: $actor, subjectId: $subject, first: $first, after: $after, last: $last, before: $before) {
        nodes { seq at act actor { id } subject { id } sessionId address detail hash }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";
const SIGN_IN: &str = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken } }";

/// Runs a command on the node's database, as its operator does beside it.
async fn command(app: &App, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backchannel"));
    command
        .env_clear()
        .env("DATA_DIR", app.files())
        .env("LOG_LEVEL", "warn")
        .args(args);
    if let Some(url) = app.database_url() {
        command.env("DATABASE_URL", url);
    }
    let run = tokio::task::spawn_blocking(move || command.output());
    run.await.expect("no panic").expect("the binary runs")
}

/// Makes somebody an operator, by the command.
pub(crate) async fn becomes_operator(app: &App, person: &Person) {
    let done = command(app, &["grant-operator", &person.email]).await;
    assert!(done.status.success(), "{done:?}");
    until("it is felt", || async {
        person.asks("{ viewer { isOperator } }", json!({})).await["viewer"]["isOperator"] == true
    })
    .await;
}

async fn operator(app: &App) -> Person {
    let person = app.person("Olga").await;
    becomes_operator(app, &person).await;
    person
}

async fn entries(person: &Person, variables: Value) -> Vec<Value> {
    let page = person.asks(LOG, variables).await;
    page["auditLog"]["nodes"]
        .as_array()
        .expect("a list")
        .clone()
}

async fn wrong_password(app: &App, email: &str) {
    let input = json!({ "email": email, "password": "not the password" });
    let refused = app.anonymous(SIGN_IN, json!({ "input": input })).await;
    assert_eq!(
        refused["errors"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );
}

async fn verify(app: &App) -> Result<String, String> {
    let done = command(app, &["verify-audit"]).await;
    let said = |bytes| String::from_utf8(bytes).expect("a text");
    if done.status.success() {
        Ok(said(done.stdout))
    } else {
        Err(said(done.stderr))
    }
}

on_both! {
    async fn acts_are_in_the_log_with_who_did_them(app) {
        let olga = operator(app).await;
        let ann = app.person("Ann").await;
        let other = ann.signs_in_again().await;
        wrong_password(app, &ann.email).await;
        wrong_password(app, "nobody@example.com").await;
        let id = session_ids(&other).await.into_iter().next().expect("a session");
        ann.asks(REVOKE, json!({ "input": { "sessionId": id } })).await;
        let code = asks_to_attach(app, &ann, "+12025550173").await;
        let wrong = json!({ "input": { "token": code.token, "code": code.wrong() } });
        ann.is_refused(ATTACH, wrong).await;
        ann.asks(ATTACH, code.input(json!({}))).await;
        let change = json!({ "currentPassword": PASSWORD, "newPassword": "another good one" });
        ann.asks(CHANGE, json!({ "input": change })).await;
        ann.asks("mutation { signOut { ok } }", json!({})).await;

        let all = entries(&olga, json!({ "first": 200 })).await;
        let acts: Vec<_> = all.iter().rev().map(|entry| entry["act"].as_str().expect("an act")).collect();
        assert_eq!(acts, [
            "REGISTERED", "OPERATOR_GRANTED", "REGISTERED", "SIGNED_IN", "SIGN_IN_REFUSED", "SIGN_IN_REFUSED",
            "SESSION_REVOKED", "CODE_REFUSED", "IDENTIFIER_ATTACHED", "PASSWORD_CHANGED", "SIGNED_OUT",
        ]);
        let seqs: Vec<_> = all.iter().rev().map(|entry| entry["seq"].as_u64().expect("a number")).collect();
        assert_eq!(seqs, (1..=11).collect::<Vec<_>>());
        let of = |act: &str| all.iter().filter(|entry| entry["act"] == act).collect::<Vec<_>>();
        let granted = of("OPERATOR_GRANTED");
        assert_eq!((&granted[0]["actor"], &granted[0]["subject"]["id"]), (&Value::Null, &json!(olga.id)));
        // Newest first: nobody's, then Ann's.
        let refused = of("SIGN_IN_REFUSED");
        assert_eq!((&refused[0]["subject"], &refused[1]["subject"]["id"]), (&Value::Null, &json!(ann.id)));
        assert_eq!(refused[1]["address"], "127.0.0.1");
        let attached = of("IDENTIFIER_ATTACHED")[0];
        assert_eq!((&attached["actor"]["id"], &attached["subject"]["id"]), (&json!(ann.id), &json!(ann.id)));
        assert!(attached["sessionId"].is_string());
        assert_eq!(attached["detail"], "phone", "which of the two, not which number");
        assert!(!json!(all).to_string().contains("2025550173"), "it names nobody but by ids");
        let intact = verify(app).await.expect("it is intact");
        assert!(intact.starts_with("11 entries, intact; the last at ") && intact.contains(&text(&all[0]["hash"])), "{intact}");
    }

    async fn operators_alone_read_it_and_narrow_it_down(app) {
        let olga = operator(app).await;
        let ann = app.person("Ann").await;
        for n in 0..5 {
            wrong_password(app, if n % 2 == 0 { &ann.email } else { &olga.email }).await;
        }
        assert_eq!(ann.is_refused(LOG, json!({})).await, "FORBIDDEN");
        let anonymous = app.anonymous(LOG, json!({})).await;
        assert_eq!(anonymous["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");

        let of_ann = json!({ "act": "SIGN_IN_REFUSED", "subject": ann.id });
        assert_eq!(entries(&olga, of_ann).await.len(), 3);
        assert_eq!(entries(&olga, json!({ "actor": ann.id })).await.len(), 0, "strangers did it");
        assert_eq!(olga.is_refused(LOG, json!({ "actor": "usr_nobody" })).await, "NOT_FOUND");
        let mut seen = Vec::new();
        let mut variables = json!({ "first": 2 });
        loop {
            let page = olga.asks(LOG, variables.clone()).await["auditLog"].clone();
            seen.extend(page["nodes"].as_array().expect("a list").clone());
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            variables["after"] = page["pageInfo"]["endCursor"].clone();
        }
        assert_eq!(seen, entries(&olga, json!({ "first": 100 })).await);
        let before = json!({ "last": 2, "before": variables["after"] });
        assert_eq!(entries(&olga, before).await, seen[seen.len() - 5..seen.len() - 3].to_vec());

        let done = command(app, &["revoke-operator", &olga.email]).await;
        assert!(done.status.success(), "{done:?}");
        until("it is felt", || async {
            olga.request(LOG, json!({})).await.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
        }).await;
        let unknown = command(app, &["grant-operator", "nobody@example.com"]).await;
        assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    }

    async fn what_happens_at_once_is_one_chain(app) {
        let olga = operator(app).await;
        let names: Vec<String> = (0..8).map(|n| format!("Person {n}")).collect();
        let people = join_all(names.iter().map(|name| app.person(name))).await;
        let tries = people.iter().flat_map(|person| (0..4).map(move |n| async move {
            if n % 2 == 0 {
                person.signs_in_again().await;
            } else {
                wrong_password(app, &person.email).await;
            }
        }));
        join_all(tries).await;
        // What comes to nothing leaves nothing.
        let again = json!({ "email": people[0].email, "password": PASSWORD, "displayName": "Eve" });
        let register = "mutation($input: RegisterInput!) { register(input: $input) { accessToken } }";
        app.anonymous(register, json!({ "input": again })).await;
        let all = entries(&olga, json!({ "first": 200 })).await;
        assert_eq!(all.len(), 2 + 8 + 32);
        let hashes: HashSet<_> = all.iter().map(|entry| text(&entry["hash"])).collect();
        assert_eq!(hashes.len(), all.len());
        assert!(verify(app).await.expect("it is intact").starts_with("42 entries, intact"));
    }

    async fn what_is_changed_is_found(app) {
        let people = app.people(["Ann", "Bob", "Cleo", "Dan", "Eve"]).await;
        assert!(verify(app).await.expect("it is intact").starts_with("5 entries"));
        let breaks = async |change: &str, seq: u64, undo: &str| {
            app.runs_sql(change).await;
            let found = verify(app).await.expect_err("it is found");
            assert!(found.contains(&format!("entry {seq} is missing or not what was written")), "{change}: {found}");
            app.runs_sql(undo).await;
            verify(app).await.expect("it is as it was");
        };
        breaks("UPDATE audit_entries SET at = at + 1 WHERE seq = 3", 3, "UPDATE audit_entries SET at = at - 1 WHERE seq = 3").await;
        breaks("UPDATE audit_entries SET act = 'signed_in' WHERE seq = 2", 2, "UPDATE audit_entries SET act = 'registered' WHERE seq = 2").await;
        breaks("UPDATE audit_entries SET seq = 9 WHERE seq = 4", 4, "UPDATE audit_entries SET seq = 4 WHERE seq = 9").await;
        breaks("UPDATE audit_entries SET seq = 9 WHERE seq = 5", 5, "UPDATE audit_entries SET seq = 5 WHERE seq = 9").await;
        // The end is cut off, and the head moved to hide it: the hash that was written down tells.
        let before = verify(app).await;
        app.runs_sql("DELETE FROM audit_entries WHERE seq = 5").await;
        app.runs_sql("UPDATE audit_heads SET seq = 4, hash = (SELECT hash FROM audit_entries WHERE seq = 4)").await;
        assert_ne!(verify(app).await, before);
        drop(people);
    }
}
