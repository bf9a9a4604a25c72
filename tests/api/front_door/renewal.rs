//! A token renewed on an open socket, and what ends sockets and streams nonetheless.

use std::time::{Duration, Instant};

use backchannel_domain::Timestamp;
use backchannel_schema::rfc3339;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::clients::{Ended, Socket};
use crate::harness::people::{EVENTS, text};
use crate::harness::{App, Person, on_both};

/// What must happen at once must happen within this.
const AT_ONCE: Duration = Duration::from_secs(1);

const VIEWER: &str = "{ viewer { user { id } } }";

/// A token of the same session that expires at another time, as if it had been given out
/// earlier or later. Answers the expiry too, as clients read it.
pub(super) fn token_expiring(
    app: &App,
    person: &Person,
    seconds_from_now: i64,
) -> (String, String) {
    let secret = std::fs::read(app.files().join("jwt_secret")).expect("the node's secret");
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_aud = false;
    let key = DecodingKey::from_secret(&secret);
    let mut claims = jsonwebtoken::decode::<Value>(&person.token, &key, &validation)
        .expect("a token of the node")
        .claims;
    let expires_at = app.clock.now().0 / 1_000 + seconds_from_now;
    claims["exp"] = json!(expires_at);
    let key = EncodingKey::from_secret(&secret);
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key);
    let expires_at = rfc3339(Timestamp(expires_at * 1_000));
    (token.expect("a token"), expires_at)
}

/// The same person, with another token.
fn with_token(person: &Person, token: &str) -> Person {
    let mut person = person.clone();
    token.clone_into(&mut person.token);
    person
}

fn ping(payload: Value) -> Value {
    json!({ "type": "ping", "payload": payload })
}

pub(super) fn renewal(token: &str) -> Value {
    ping(json!({ "authorization": format!("Bearer {token}") }))
}

on_both! {
    async fn a_socket_outlives_its_first_token_when_it_is_renewed(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Long", &[]).await;
        let (short, _) = token_expiring(app, &ann, 2);
        let short = with_token(&ann, &short);
        let mut renewed = short.follows(&room, Some(0)).await;
        let not_renewed = short.follows(&room, Some(0)).await;

        let (long, expires_at) = token_expiring(app, &ann, 600);
        renewed.socket.send(&renewal(&long)).await;
        // Sent on its heels, so it is obeyed after the renewal.
        renewed.socket.subscribe("2", VIEWER, &Value::Null).await;
        let pong = renewed.socket.next().await.expect("a pong");
        assert_eq!(pong, json!({ "type": "pong", "payload": { "expiresAt": expires_at } }));
        let viewer = renewed.socket.next().await.expect("a result");
        assert_eq!(viewer["payload"]["data"]["viewer"]["user"]["id"], ann.id, "{viewer}");
        assert_eq!(renewed.socket.next().await.expect("an end")["type"], "complete");

        let told = timeout(Duration::from_secs(4), not_renewed.ends()).await;
        assert_eq!(told.expect("the first token expires"), Ended::Closed(4403));
        ann.sends(&room, "still there?").await;
        assert_eq!(renewed.next().await["seq"], 1, "the stream goes on");
        renewed.socket.subscribe("3", VIEWER, &Value::Null).await;
        let viewer = renewed.socket.next().await.expect("a result");
        assert_eq!(viewer["payload"]["data"]["viewer"]["user"]["id"], ann.id, "{viewer}");
        assert_eq!(renewed.socket.next().await.expect("an end")["type"], "complete");

        ann.asks("mutation { signOut { ok } }", Value::Null).await;
        let ended = timeout(AT_ONCE, renewed.ends()).await;
        assert_eq!(ended.expect("in a second"), Ended::Closed(4403));
    }

    async fn a_renewed_socket_and_a_stream_end_when_their_tokens_do(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Short", &[]).await;
        let (first, _) = token_expiring(app, &ann, 2);
        let (second, _) = token_expiring(app, &ann, 4);
        let began = Instant::now();
        let mut socket = with_token(&ann, &first).follows(&room, None).await;
        let body = json!({ "query": EVENTS, "variables": { "id": room.id } });
        let mut events = app.http().events(&app.url("/graphql"), Some(&first), &body).await;
        socket.socket.send(&renewal(&second)).await;
        assert_eq!(socket.socket.next().await.expect("a pong")["type"], "pong");

        let (_, data) = events.next().await.expect("why it ends");
        assert_eq!(data["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{data}");
        assert_eq!(events.next().await.expect("an end").0, "complete");
        let stream_took = began.elapsed();
        assert_eq!(socket.ends().await, Ended::Closed(4403));
        let socket_took = began.elapsed();
        // Tokens count in whole seconds, and began somewhere within one.
        for (took, expiry) in [(stream_took, 2), (socket_took, 4)] {
            let latest = Duration::from_secs(expiry) + AT_ONCE;
            assert!(took > Duration::from_secs(expiry - 1) && took < latest, "{took:?}");
        }
    }

    async fn a_stolen_refresh_token_ends_sockets_and_streams_however_they_were_renewed(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Stolen", &[]).await;
        ann.sends(&room, "one").await;
        let mut socket = ann.follows(&room, Some(0)).await;
        socket.next().await;
        let body = json!({ "query": EVENTS, "variables": { "id": room.id, "after": 0 } });
        let mut events = app.http().events(&app.url("/graphql"), Some(&ann.token), &body).await;
        assert_eq!(events.next().await.expect("the replay").0, "next");
        let refresh = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { accessToken } }";
        let spent = json!({ "input": { "refreshToken": ann.refresh_token } });
        let fresh = app.anonymous(refresh, spent.clone()).await;
        let fresh = text(&fresh["data"]["refreshSession"]["accessToken"]);
        socket.socket.send(&renewal(&fresh)).await;
        let pong = socket.socket.next().await.expect("a pong");
        assert!(pong["payload"]["expiresAt"].is_string(), "{pong}");

        app.advance(Duration::from_secs(31));
        let refused = app.anonymous(refresh, spent).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{refused}");
        let ended = timeout(AT_ONCE, async {
            assert_eq!(socket.ends().await, Ended::Closed(4403));
            let (_, data) = events.next().await.expect("why it ends");
            assert_eq!(data["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{data}");
            assert_eq!(events.next().await.expect("an end").0, "complete");
        });
        ended.await.expect("both end within a second");
    }

    async fn a_token_may_have_any_of_its_names_and_an_older_one_takes_nothing_away(app) {
        let ann = app.person("Ann").await;
        let mut socket = ann.opens_socket().await;
        let (long, expires_at) = token_expiring(app, &ann, 3_600);
        let (short, _) = token_expiring(app, &ann, 60);
        let payloads = [
            json!({ "authorization": format!("Bearer {long}") }),
            json!({ "Authorization": format!("bearer {short}"), "at": 1 }),
            json!({ "accessToken": long }),
            json!({ "token": short, "authorization": null }),
        ];
        for payload in payloads {
            socket.send(&ping(payload)).await;
            let pong = socket.next().await.expect("a pong");
            assert_eq!(pong, json!({ "type": "pong", "payload": { "expiresAt": expires_at } }));
        }
        // What brings no token is answered as ever.
        for payload in [json!({ "at": [1, "ü"] }), json!({ "authorization": null }), json!([long]), json!("token")] {
            socket.send(&ping(payload.clone())).await;
            let pong = socket.next().await.expect("a pong");
            assert_eq!(pong, json!({ "type": "pong", "payload": payload }));
        }
        socket.send(&json!({ "type": "ping" })).await;
        assert_eq!(socket.next().await.expect("a pong"), json!({ "type": "pong" }));
    }

    async fn only_a_good_token_of_its_own_session_renews_a_socket(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let other = ann.signs_in_again().await;
        let ended = ann.signs_in_again().await;
        ended.asks("mutation { signOut { ok } }", Value::Null).await;
        let (expired, _) = token_expiring(app, &ann, -1);
        let changed = format!("{}x", ann.token);
        let bad = [
            ("another user's", &bob.token),
            ("another session's", &other.token),
            ("an ended session's", &ended.token),
            ("an expired one", &expired),
            ("a changed one", &changed),
            ("a refresh token", &ann.refresh_token),
            ("nothing", &String::new()),
        ];
        for (what, token) in bad {
            let mut socket = ann.opens_socket().await;
            socket.send(&renewal(token)).await;
            assert_eq!(socket.next().await, Err(Ended::Closed(4403)), "{what}");
        }
        let mut nobodys = Socket::open(&app.url("/graphql"), None).await;
        nobodys.send(&renewal(&ann.token)).await;
        assert_eq!(nobodys.next().await, Err(Ended::Closed(4403)), "nobody's socket");
        let mut socket = ann.opens_socket().await;
        socket.send(&ping(json!({ "authorization": 1 }))).await;
        assert_eq!(socket.next().await, Err(Ended::Closed(4400)), "a number");
        // Before the greeting there is nothing to renew, and nothing is harmed.
        let mut early = Socket::connect(&app.url("/graphql")).await;
        early.send(&renewal(&ann.token)).await;
        assert_eq!(early.next().await, Ok(json!({ "type": "pong" })));
        early.greet(Some(&ann.token)).await;
        assert_eq!(early.next().await, Ok(json!({ "type": "connection_ack" })));
    }
}
