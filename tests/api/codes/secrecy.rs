//! That nobody learns who has an account, and that no secret is in a log.

use super::*;
use crate::bots::makes_bot;
use crate::contacts::SYNC;
use crate::harness::mailbox::Mailbox;
use crate::harness::people::Sent;
use crate::harness::process::Process;
use crate::harness::servers::{Postgres, Redis};

on_both! {
    async fn known_and_unknown_recipients_are_answered_alike(app) {
        const PHONE: &str = "+12025550173";
        let ann = app.person("Ann").await;
        let code = asks_to_attach(app, &ann, PHONE).await;
        ann.asks(ATTACH, code.input(json!({}))).await;
        let alike = |answer: &Value| {
            let mut answer = answer.clone();
            let requested = answer["data"]["requestCode"].as_object_mut().expect("an answer");
            let token = text(&requested["token"]);
            assert!(token.starts_with("cod_") && token.len() == 26, "{token}");
            requested.clear();
            answer
        };
        for purpose in ["REGISTER", "SIGN_IN", "RESET_PASSWORD"] {
            for (known, unknown) in [(ann.email.as_str(), "nobody@example.com"), (PHONE, "+12025550199")] {
                let hers = app.anonymous(REQUEST, request(known, purpose)).await;
                let nobodys = app.anonymous(REQUEST, request(unknown, purpose)).await;
                assert_eq!(alike(&hers), alike(&nobodys));
                // What is tried then is answered alike, too.
                let tried = async |asked: &Value| {
                    let token = &asked["data"]["requestCode"]["token"];
                    let (query, more) = match purpose {
                        "REGISTER" => (REGISTER, json!({ "displayName": "Eve" })),
                        "SIGN_IN" => (SIGN_IN, json!({})),
                        _ => (RESET, json!({ "newPassword": "another good one" })),
                    };
                    let guess = Code { token: text(token), code: "000000".to_owned() };
                    app.anonymous(query, guess.input(more)).await
                };
                assert_eq!(tried(&hers).await, tried(&nobodys).await);
            }
        }
        // There is nothing to reset for nobody.
        app.mailbox.letter(&ann.email, 2).await;
        assert_eq!(app.mailbox.count("nobody@example.com"), 2);
    }
}

/// All that must not be in a log.
const WORDS: [&str; 10] = [
    PASSWORD,
    "another good one",
    "the text of a message",
    "what Cleo asks with",
    "what Bob thinks of it",
    "Granny's new number",
    "12025550173",
    "12025550188",
    "ann@example.com",
    "bob@example.com",
];

/// Looking for people, knowing them, asking them, reporting them; and a bot, whose key is answered.
async fn of_strangers(process: &Process, ann: &Person, bob: &Person, sent: &Sent) -> String {
    let find = "query($query: String!) { users(query: $query) { nodes { id } } }";
    for query in ["+1 202 555 0173", &ann.email, "12025550188"] {
        bob.asks(find, json!({ "query": query })).await;
    }
    let numbers = ["+12025550173", "+1 (202) 555-0188"]
        .map(|phone| json!({ "phone": phone, "name": "Granny's new number" }));
    bob.asks(SYNC, json!({ "input": { "contacts": numbers } }))
        .await;
    let cleo = process.person("Cleo").await;
    cleo.asks_for_chat(json!({ "email": bob.email, "text": "what Cleo asks with" }))
        .await;
    bob.reports(
        json!({ "messageId": sent.id, "reason": "SPAM", "comment": "what Bob thinks of it" }),
    )
    .await;
    let (bot, _) = makes_bot(ann, "Bot", &["MESSAGES"]).await;
    bot.asks("{ viewer { user { id } } }", json!({})).await;
    bot.token
}

/// Runs through registering, codes, messages and mistakes on a node that logs all it can; then looks
/// for what should not be there.
async fn logs_no_secrets(settings: &[(&str, &str)]) {
    let mailbox = Mailbox::open().await;
    let levels = "debug,sqlx=debug,sea_orm=debug,hyper=debug,reqwest=debug,redis=debug";
    let own = [("LOG_LEVEL", levels), ("OTP_WEBHOOK_URL", &mailbox.url)];
    let mut process = Process::new(&[&own[..], settings].concat());
    process.start().await;
    let [ann, bob] = [process.person("Ann").await, process.person("Bob").await];
    let room = ann.makes_group("Room", &[&bob]).await;
    let mut stream = bob.follows(&room, Some(0)).await;
    let sent = ann.sends(&room, "the text of a message").await;
    stream.next().await;
    ann.edits(&sent, "the text of a message, edited").await;
    stream.next().await;
    let mut secrets: Vec<String> = WORDS.map(str::to_owned).to_vec();
    for to in ["+12025550173", &*ann.email] {
        let asked = ann.asks(REQUEST, request(to, "ATTACH")).await;
        let letter = mailbox.letter(to, 0).await;
        let code = Code {
            token: text(&asked["requestCode"]["token"]),
            code: text(&letter["code"]),
        };
        let wrong = json!({ "input": { "token": code.token, "code": code.wrong() } });
        ann.is_refused(ATTACH, wrong).await;
        ann.asks(ATTACH, code.input(json!({}))).await;
        secrets.extend([code.token, code.code]);
    }
    secrets.push(of_strangers(&process, &ann, &bob, &sent).await);
    let again = ann.signs_in_again().await;
    let change = json!({ "currentPassword": PASSWORD, "newPassword": "another good one" });
    ann.asks(CHANGE, json!({ "input": change })).await;
    // What is refused is not told either.
    ann.is_refused(
        "query($id: ID!) { node(id: $id) { id } } #the text of a message",
        json!({ "id": "x" }),
    )
    .await;
    let wrong = json!({ "input": { "email": ann.email, "password": PASSWORD } });
    ann.is_refused(BY_PASSWORD, wrong).await;
    for person in [&ann, &bob, &again] {
        secrets.extend([person.token.clone(), person.refresh_token.clone()]);
    }
    process.kill();
    let log = process.log_text();
    assert!(log.lines().count() > 50, "it logs what it does:\n{log}");
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_node_on_sqlite_holds_no_secrets() {
    logs_no_secrets(&[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_node_on_postgres_holds_no_secrets() {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::shared().await.url();
    logs_no_secrets(&[("DATABASE_URL", &database), ("REDIS_URL", &redis)]).await;
}
