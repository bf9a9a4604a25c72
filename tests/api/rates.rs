//! How often anybody may do anything: what is counted, for whom, and how a refusal looks.
//!
//! Those who ask here come from addresses of their own, by a proxy that is trusted: tests run side
//! by side, on one Redis.

mod addresses;
mod passwords;
mod requests;

use std::time::{Duration, Instant};

use backchannel_domain::rates::markdown;
use futures_util::future::join_all;
use hyper::Request;
use serde_json::{Value, json};

use crate::harness::clients::Answer;
use crate::harness::people::{PASSWORD, SEND, seqs};
use crate::harness::{App, Person, on_both, until};

/// In which one more guess at a password, or one more registration, is paid off.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

pub(crate) const SIGN_IN: &str =
    "mutation($input: SignInInput!) { signIn(input: $input) { accessToken } }";
const TYPENAME: &str = "{ __typename }";

/// A request of somebody behind a proxy, who may be signed in.
async fn ask_from(app: &App, address: &str, person: Option<&Person>, body: &Value) -> Answer {
    let request = Request::post(app.url("/graphql"))
        .header("content-type", "application/json")
        .header("accept", "application/graphql-response+json")
        .header("x-forwarded-for", address);
    let request = match person {
        Some(person) => request.header("authorization", format!("Bearer {}", person.token)),
        None => request,
    };
    let request = request.body(body.to_string().into());
    app.http().request(request.expect("a request")).await
}

/// The same field so often in one document.
fn aliases(times: usize, operation: &str, field: &str) -> Value {
    let fields: String = (0..times).map(|n| format!("a{n}: {field} ")).collect();
    json!({ "query": format!("{operation} {{ {fields} }}") })
}

/// A sign-in, as part of a document.
fn signing_in(email: &str, password: &str) -> String {
    format!("signIn(input: {{ email: {email:?}, password: {password:?} }}) {{ expiresAt }}")
}

/// The codes of all errors of an answer, in their order.
fn codes(answer: &Value) -> Vec<&str> {
    let errors = answer["errors"].as_array().into_iter().flatten();
    let codes = errors.map(|error| error["extensions"]["code"].as_str());
    codes.map(|code| code.expect("a code")).collect()
}

/// How many of an answer's errors have this code.
fn count(answer: &Value, code: &str) -> usize {
    codes(answer).into_iter().filter(|one| *one == code).count()
}

on_both! {
    with &[("RATE_LIMITS", "on"), ("TRUSTED_PROXIES", "127.0.0.1")];

    async fn who_sends_too_much_is_held_up_and_others_are_not(app) {
        const BURST: i64 = 120;
        const EACH: Duration = Duration::from_millis(200);
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Loud", &[&bob]).await;
        let mut stream = bob.follows(&room, Some(0)).await;
        let send = format!("sendMessage(input: {{ conversationId: {:?}, text: \"hey\" }}) {{ message {{ id }} }}", room.id);
        let began = Instant::now();
        let refused = loop {
            let answer = ask_from(app, "192.0.2.1", Some(&ann), &aliases(20, "mutation", &send)).await;
            let answer = answer.json();
            if !codes(&answer).is_empty() {
                break answer;
            }
        };
        assert!(codes(&refused).iter().all(|code| *code == "RATE_LIMITED"), "{refused}");
        assert_eq!(refused["errors"][0]["extensions"]["retryAfter"], 1, "{refused}");
        let sent = ann.last_seq(&room).await;
        let more = i64::try_from(began.elapsed().as_millis() / EACH.as_millis()).expect("it fits");
        assert!((BURST..=BURST + more + 1).contains(&sent), "{sent} in {:?}", began.elapsed());
        // Another device of hers is held up with it; an edit counts as much as a message.
        let phone = ann.signs_in_again().await;
        until("she may send again", || async {
            let input = json!({ "conversationId": room.id, "text": "again" });
            phone.request(SEND, json!({ "input": input })).await.json()["errors"].is_null()
        }).await;
        bob.sends(&room, "my turn").await;
        let events = stream.take(usize::try_from(sent).expect("it fits") + 2).await;
        let texts: Vec<_> = events.iter().map(|event| event["message"]["text"].clone()).collect();
        let (heys, last) = texts.split_at(texts.len() - 2);
        assert!(heys.iter().all(|text| text == "hey"));
        assert_eq!(last, ["again", "my turn"]);
    }

    async fn who_comes_and_goes_too_often_is_held_up(app) {
        const BURST: i64 = 300;
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = json!({ "kind": "ROOM", "title": "Door", "memberIds": [] });
        let room = bob.makes(room).await;
        let mut stream = bob.follows(&room, Some(0)).await;
        let mut own = ann.follows_all(Some(&ann.event_cursor().await)).await;
        let come = format!("joinRoom(input: {{ conversationId: {:?} }}) {{ conversation {{ id }} }}", room.id);
        let go = format!("removeMember(input: {{ conversationId: {:?}, userId: {:?} }}) {{ conversation {{ id }} }}", room.id, ann.id);
        let both = (0..10).fold(String::new(), |all, n| all + &format!(" c{n}: {come} g{n}: {go}"));
        let both = json!({ "query": format!("mutation {{ {both} }}") });
        let refused = loop {
            let answer = ask_from(app, "192.0.2.1", Some(&ann), &both).await.json();
            if !codes(&answer).is_empty() {
                break answer;
            }
        };
        assert!(codes(&refused).iter().all(|code| *code == "RATE_LIMITED"), "{refused}");
        let done = bob.last_seq(&room).await;
        assert!(done >= BURST, "{done}");
        let events = stream.take(usize::try_from(done).expect("it fits")).await;
        assert_eq!(seqs(&events), (1..=done).collect::<Vec<_>>());
        for (event, kind) in events.iter().zip(["MemberJoined", "MemberLeft"].into_iter().cycle()) {
            assert_eq!(event["__typename"], kind);
        }
        // She hears of each coming and going herself.
        let (events, _) = own.take(events.len()).await;
        assert_eq!(seqs(&events), (1..=done).collect::<Vec<_>>());
    }

    async fn signals_are_counted_for_each_device(app) {
        const BURST: usize = 300;
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Nervous", &[&bob]).await;
        let mut typing = bob.follows_typing(app, &room).await;
        let set = format!("setTyping(input: {{ conversationId: {:?}, typing: true }}) {{ ok }}", room.id);
        let began = Instant::now();
        let mut told = 0;
        let refused = loop {
            let answer = ask_from(app, "192.0.2.2", Some(&ann), &aliases(20, "mutation", &set)).await;
            let answer = answer.json();
            if !codes(&answer).is_empty() {
                break answer;
            }
            told += 20;
        };
        let more = usize::try_from(began.elapsed().as_millis() / 100).expect("it fits");
        assert!(codes(&refused).iter().all(|code| *code == "RATE_LIMITED"), "{refused}");
        assert!(told + 20 > BURST && told <= BURST + more, "{told}");
        let phone = ann.signs_in_again().await;
        phone.types(&room, true).await;
        assert_eq!(typing.next().await["userId"], ann.id);
        drop(typing);
    }
}

/// Registers nobody new: the address has an account.
async fn tries_to_register(app: &App, address: &str, times: usize) -> Value {
    let field = format!(
        "register(input: {{ email: \"ann@example.com\", password: {PASSWORD:?}, displayName: \"Ann\" }}) {{ expiresAt }}"
    );
    let body = aliases(times, "mutation", &field);
    ask_from(app, address, None, &body).await.json()
}

/// Guesses so often at once, each time from another address.
async fn guesses(app: &App, email: &str, times: usize) -> Vec<Value> {
    let guesses = (0..times).map(|n| async move {
        let input = json!({ "email": email, "password": format!("guess {n}") });
        let body = json!({ "query": SIGN_IN, "variables": { "input": input } });
        ask_from(app, &format!("198.51.100.{n}"), None, &body)
            .await
            .json()
    });
    join_all(guesses).await
}

#[test]
fn the_operators_table_is_the_one_that_holds() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operators.md");
    let text = std::fs::read_to_string(path).expect("docs/operators.md is there");
    let (_, rest) = text
        .split_once("<!-- rates -->")
        .expect("the table begins with <!-- rates -->");
    let (table, _) = rest
        .split_once("<!-- /rates -->")
        .expect("the table ends with <!-- /rates -->");
    assert_eq!(
        table.trim(),
        markdown().trim(),
        "copy it from `rates::markdown()`"
    );
}
