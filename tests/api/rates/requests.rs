//! Requests of all kinds, counted before anything of them is read.

use hyper::StatusCode;

use super::*;
use crate::harness::clients::Socket;

/// Requests at once of a device, and of a stranger's address.
const BURST: u64 = 600;
const EACH: Duration = Duration::from_millis(50);

fn batch() -> Value {
    json!(vec![json!({ "query": TYPENAME }); 10])
}

/// Asks until refused, ten at a time; answers the refusal.
async fn exhausts(app: &App, address: &str, person: Option<&Person>) -> Answer {
    let began = Instant::now();
    let mut asked = 0;
    let refused = loop {
        let answer = ask_from(app, address, person, &batch()).await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        asked += 10;
    };
    let more = u64::try_from(began.elapsed().as_millis() / EACH.as_millis()).expect("it fits");
    assert!(
        asked + 20 > BURST && asked <= BURST + more,
        "{asked} in {:?}",
        began.elapsed()
    );
    refused
}

/// Asks on a socket until that is refused. Fewer are left than come at once, but perhaps some; `more`
/// uses them up.
async fn is_refused_on<F: Future<Output = Answer>>(socket: &mut Socket, more: impl Fn() -> F) {
    let refusal = loop {
        socket.subscribe("1", TYPENAME, &json!({})).await;
        let message = socket.next().await.expect("the socket stays open");
        if message["type"] == "error" {
            break message;
        }
        let complete = socket.next().await.expect("the socket stays open");
        assert_eq!(complete["type"], "complete");
        more().await;
    };
    let extensions = &refusal["payload"][0]["extensions"];
    let expected = json!({ "code": "RATE_LIMITED", "retryAfter": 1 });
    assert_eq!(*extensions, expected, "{refusal}");
}

fn remaining(answer: &Value) -> u64 {
    let told = &answer["extensions"]["rateLimit"];
    assert!(
        told["reset"].as_u64().is_some_and(|reset| reset > 0),
        "{answer}"
    );
    told["remaining"]
        .as_u64()
        .unwrap_or_else(|| panic!("a number: {answer}"))
}

on_both! {
    with &[("RATE_LIMITS", "on"), ("TRUSTED_PROXIES", "127.0.0.1")];

    async fn who_asks_too_much_is_told_when_to_come_back(app) {
        let ann = app.person("Ann").await;
        let refused = exhausts(app, "192.0.2.60", None).await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers["retry-after"], "1");
        assert_eq!(refused.content_type(), "application/graphql-response+json; charset=utf-8");
        let answer = refused.json();
        assert_eq!(answer["data"], Value::Null);
        assert_eq!(codes(&answer), ["RATE_LIMITED"]);
        assert_eq!(answer["errors"][0]["extensions"]["retryAfter"], 1);
        // It is not read first: another address is told what is wrong with it.
        let nonsense = json!("nonsense");
        let status = async |address| ask_from(app, address, None, &nonsense).await.status;
        until("there is nothing left", || async {
            ask_from(app, "192.0.2.60", None, &batch()).await;
            status("192.0.2.60").await == StatusCode::TOO_MANY_REQUESTS
        }).await;
        assert_eq!(status("192.0.2.61").await, StatusCode::BAD_REQUEST);
        // Who is signed in is not counted with the strangers who share the address.
        let query = json!({ "query": "{ viewer { user { id } } }" });
        let answer = ask_from(app, "192.0.2.60", Some(&ann), &query).await.json();
        assert_eq!(answer["data"]["viewer"]["user"]["id"], ann.id, "{answer}");
        until("the stranger may ask again", || async {
            let answer = ask_from(app, "192.0.2.60", None, &json!({ "query": TYPENAME })).await;
            answer.status == StatusCode::OK
        }).await;
    }

    async fn every_answer_tells_what_is_left(app) {
        let ann = app.person("Ann").await;
        let query = json!({ "query": TYPENAME });
        let first = ask_from(app, "192.0.2.70", None, &query).await.json();
        assert_eq!(remaining(&first), BURST - 1);
        // Each of a batch, what is refused, and what nobody can read.
        let answers = ask_from(app, "192.0.2.70", None, &batch()).await.json();
        for answer in answers.as_array().expect("a list") {
            assert!((BURST - 11..BURST - 1).contains(&remaining(answer)), "{answer}");
        }
        for (body, status) in [("{ nothing }", 400), ("{", 400), ("subscription { x }", 400)] {
            let answer = ask_from(app, "192.0.2.70", None, &json!({ "query": body })).await;
            assert_eq!(answer.status, status, "{body}");
            remaining(&answer.json());
        }
        let nonsense = ask_from(app, "192.0.2.70", None, &json!(7)).await.json();
        remaining(&nonsense);
        // Those who are signed in, over all transports.
        let answer = ask_from(app, "192.0.2.70", Some(&ann), &query).await.json();
        assert!(remaining(&answer) > BURST - 5, "{answer}");
        let mut events = app.http().events(&app.url("/graphql"), Some(&ann.token), &query).await;
        let (name, data) = events.next().await.expect("a result");
        assert_eq!(name, "next");
        remaining(&data);
        let mut socket = ann.opens_socket().await;
        socket.subscribe("1", TYPENAME, &json!({})).await;
        remaining(&socket.next().await.expect("a result")["payload"]);
    }

    async fn operations_on_a_socket_count_the_same_and_streams_go_on(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Streams", &[&bob]).await;
        let mut stream = ann.follows(&room, Some(0)).await;
        let (phone, batch) = (ann.signs_in_again().await, batch());
        let refused = exhausts(app, "192.0.2.80", Some(&ann)).await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        let mut socket = ann.opens_socket().await;
        is_refused_on(&mut socket, || ask_from(app, "192.0.2.80", Some(&ann), &batch)).await;
        // What she follows comes all the same, and her other device has room.
        bob.sends(&room, "still there?").await;
        assert_eq!(stream.next().await["message"]["text"], "still there?");
        phone.sends(&room, "yes").await;
        assert_eq!(stream.next().await["message"]["text"], "yes");
        // A stranger's socket counts with its address.
        exhausts(app, "192.0.2.81", None).await;
        let from = [("x-forwarded-for", "192.0.2.81")];
        let socket = Socket::try_connect(&app.url("/graphql"), &from).await;
        let mut socket = socket.expect("the socket opens");
        socket.greet(None).await;
        assert_eq!(socket.next().await.expect("an answer")["type"], "connection_ack");
        is_refused_on(&mut socket, || ask_from(app, "192.0.2.81", None, &batch)).await;
        let mut other = Socket::open(&app.url("/graphql"), None).await;
        other.subscribe("1", TYPENAME, &json!({})).await;
        assert_eq!(other.next().await.expect("an answer")["type"], "next");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_rate_limits_nobody_is_counted() {
    let app = App::sqlite().await;
    for _ in 0..70 {
        let answers = ask_from(&app, "192.0.2.90", None, &batch()).await;
        assert_eq!(answers.status, StatusCode::OK);
        assert_eq!(
            answers.json()[9],
            json!({ "data": { "__typename": "Query" } })
        );
    }
    app.finish().await;
}
